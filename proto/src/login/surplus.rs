//! Bounds the login cookies a browser carries: too many make every request too large for a gateway.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{NAME_HASH_LEN, PREFIX_LEN, Prefix};
use crate::cookie::cookie_pairs;
use crate::time::Timestamp;

/// Characters that hold the clear prefix: whole groups of four.
const PREFIX_CHARS: usize = PREFIX_LEN.div_ceil(3) * 4;

/// How many login cookies a browser may carry at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginCookieLimits {
    /// Logins in progress.
    pub count: usize,
    /// Names and values together, in bytes.
    pub bytes: usize,
}

impl Default for LoginCookieLimits {
    /// Five tabs, and 3 KiB of the 8 KiB that nginx takes as all headers together.
    fn default() -> Self {
        Self { count: 5, bytes: 3 * 1024 }
    }
}

/// Names of the login cookies to clear, oldest first, so that one more of `adding` bytes (name and
/// value) keeps the limits. Ages are believed unauthenticated: a browser that lies clears its own.
pub fn surplus_login_cookies(header: &str, base: &str, adding: usize, limits: LoginCookieLimits) -> Vec<String> {
    let mut found: BTreeMap<&str, (Timestamp, usize)> = BTreeMap::new();
    for (name, value) in cookie_pairs(header).filter(|(name, _)| is_login_cookie(name, base)) {
        let (age, bytes) = found.entry(name).or_insert((Timestamp::ZERO, 0));
        *age = started_at(value).max(*age);
        *bytes += name.len() + value.len();
    }
    let mut oldest_first: Vec<_> = found.into_iter().map(|(name, (age, bytes))| (age, name, bytes)).collect();
    oldest_first.sort_unstable();
    let mut count = oldest_first.len() + 1;
    let mut bytes = oldest_first.iter().map(|(_, _, bytes)| bytes).sum::<usize>() + adding;
    let mut surplus = Vec::new();
    for (_, name, size) in oldest_first {
        if count <= limits.count && bytes <= limits.bytes {
            break;
        }
        count -= 1;
        bytes -= size;
        surplus.push(name.to_owned());
    }
    surplus
}

/// `BASE_xxxxxxxx_csrf`.
fn is_login_cookie(name: &str, base: &str) -> bool {
    let hash = name.strip_prefix(base).and_then(|rest| rest.strip_prefix('_')?.strip_suffix("_csrf"));
    hash.is_some_and(|hash| hash.len() == NAME_HASH_LEN)
}

/// When the attempt began; what cannot be read counts as oldest.
fn started_at(value: &str) -> Timestamp {
    let prefix = value.get(..PREFIX_CHARS).and_then(|chars| URL_SAFE_NO_PAD.decode(chars).ok());
    let prefix = prefix.and_then(|bytes| Prefix::read(&bytes[..PREFIX_LEN]).ok());
    prefix.map_or(Timestamp::ZERO, |prefix| prefix.started_at)
}
