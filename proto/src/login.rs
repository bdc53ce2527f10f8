//! A login in progress, kept in a sealed, short-lived cookie of the browser: an anonymous request
//! writes nothing to the cluster. Each attempt has a cookie of its own, so several tabs can log in.
//!
//! Layout, big-endian, then base64url without padding: version 1, key id 4, started at (ms) 8,
//! nonce 12, AES-256-GCM ciphertext with tag. The first three are readable without a key and
//! authenticated. Plaintext: attempt 16, state 32, nonce 32, PKCE verifier 32, provider and site
//! each after a length byte, then the target.

mod parameters;
mod surplus;
#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::crypto::{NONCE_LEN, TAG_LEN, take};
use crate::id::{AttemptId, KeyId, MAX_NAME_LEN, ProviderId, SiteId};
use crate::keyring::{Keyring, sha256};
use crate::time::{Timestamp, Ttl};

pub use parameters::{AllowedValue, LoginParameter, login_parameters};
pub use surplus::{LoginCookieLimits, surplus_login_cookies};

const VERSION: u8 = 1;
const PURPOSE: &[u8] = b"login cookie/1";
const RANDOM_LEN: usize = 32;
/// Ends every `state`. An oauth2-proxy that gets one back, after a way back to it, looks for a colon: without it takes
/// the answer for an error of its own and shows a 500 page; with it, one that says to try again.
const STATE_END: char = ':';
/// 32 bytes in base64url without padding, before [`STATE_END`].
const STATE_CHARS: usize = (RANDOM_LEN * 4).div_ceil(3);
const PREFIX_LEN: usize = 1 + KeyId::LEN + 8;
const HEAD_LEN: usize = PREFIX_LEN + NONCE_LEN;
const FIXED_LEN: usize = AttemptId::LEN + 3 * RANDOM_LEN + 2;

/// Longest return target kept in bytes; a longer one becomes `/`. Browsers bound all cookies of a
/// site together, and gateways bound the header.
pub const MAX_TARGET: usize = 1024;

/// Random bytes that [`LoginAttempt::begin`] takes: attempt id, state, nonce, verifier.
pub const LOGIN_ENTROPY: usize = AttemptId::LEN + 3 * RANDOM_LEN;

/// Longest cookie value in characters.
pub const MAX_LOGIN_COOKIE: usize = (HEAD_LEN + FIXED_LEN + 2 * MAX_NAME_LEN + MAX_TARGET + TAG_LEN).div_ceil(3) * 4;

/// Longest time from the start of a login to its callback.
pub const LONGEST_LOGIN: Ttl = Ttl::from_secs(15 * 60);

/// How far ahead of ours the clock of the replica that began the attempt may be.
const CLOCK_TOLERANCE: Ttl = Ttl::from_secs(300);

/// Characters of the state's hash in a cookie name: 48 bits tell a browser's few attempts apart.
const NAME_HASH_LEN: usize = 8;

/// Why a cookie value is no login attempt of this browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidLogin {
    /// Not a value of this shape.
    #[error("is not a login cookie")]
    Malformed,
    /// Written by another version of this program.
    #[error("is a login cookie of another version")]
    Version,
    /// Sealed under a key that is not in the ring.
    #[error("was sealed under a key that is not in the ring")]
    UnknownKey,
    /// Forged, damaged, or made for another cookie name or cluster.
    #[error("does not open")]
    NotAuthentic,
    /// Older than a login may take, or from the future.
    #[error("is older than a login may take")]
    Expired,
}

/// One login attempt. State, nonce and verifier never print.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginAttempt {
    /// Names the attempt in the cluster; the session it creates carries it.
    pub attempt: AttemptId,
    /// Where the browser wanted to go. To be parsed again before it becomes a `Location`.
    pub target: String,
    /// When it began, by the beginning replica's clock.
    pub started_at: Timestamp,
    /// The provider asked.
    pub provider: ProviderId,
    /// The site logged in to.
    pub site: SiteId,
    state: Zeroizing<String>,
    nonce: Zeroizing<String>,
    verifier: Zeroizing<String>,
}

impl LoginAttempt {
    /// A new attempt from unpredictable bytes. A `target` over [`MAX_TARGET`] becomes `/`.
    pub fn begin(
        entropy: [u8; LOGIN_ENTROPY],
        now: Timestamp,
        provider: ProviderId,
        site: SiteId,
        target: &str,
    ) -> Self {
        let entropy = Zeroizing::new(entropy);
        let mut attempt = [0; AttemptId::LEN];
        attempt.copy_from_slice(&entropy[..AttemptId::LEN]);
        let text = |place: usize| {
            let from = AttemptId::LEN + place * RANDOM_LEN;
            Zeroizing::new(URL_SAFE_NO_PAD.encode(&entropy[from..from + RANDOM_LEN]))
        };
        let target = if target.len() > MAX_TARGET { "/" } else { target };
        Self {
            attempt: AttemptId::from_bytes(attempt),
            target: target.to_owned(),
            started_at: now,
            provider,
            site,
            state: ended(&text(0)),
            nonce: text(1),
            verifier: text(2),
        }
    }

    /// The `state` parameter: opaque, unguessable.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The `nonce` that the ID token must repeat.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The PKCE verifier (RFC 7636), sent with the code only.
    pub fn verifier(&self) -> &str {
        &self.verifier
    }

    /// The PKCE challenge for method S256.
    pub fn code_challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(sha256(self.verifier.as_bytes()))
    }

    /// Whether `state` is this attempt's, in constant time.
    pub fn matches_state(&self, state: &str) -> bool {
        self.state.as_bytes().ct_eq(state.as_bytes()).into()
    }

    /// Whether text could be a `state` of ours, by its shape. oauth2-proxy's name the target behind the colon.
    pub fn could_be_state(text: &str) -> bool {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        text.strip_suffix(STATE_END).is_some_and(|random| random.len() == STATE_CHARS && random.bytes().all(letter))
    }

    /// The name of the cookie that holds the attempt of that state. Takes any text: callbacks bring
    /// what they like.
    pub fn cookie_name(base: &str, state: &str) -> String {
        let random = random_of(state);
        let hash = URL_SAFE_NO_PAD.encode(sha256(&[PURPOSE, random.as_bytes()].concat()));
        format!("{base}_{}_csrf", &hash[..NAME_HASH_LEN])
    }

    /// The cookie's value, sealed under the ring's active key. `nonce` must be fresh random bytes.
    pub fn seal(&self, ring: &Keyring, cookie_name: &str, nonce: [u8; NONCE_LEN]) -> String {
        let mut value = vec![VERSION];
        value.extend_from_slice(ring.active().as_bytes());
        value.extend_from_slice(&self.started_at.as_millis().to_be_bytes());
        let aad = aad(cookie_name, &value);
        value.extend_from_slice(&nonce);
        ring.active_login_key().aead().seal_into(&mut value, nonce, &aad, &self.plaintext());
        URL_SAFE_NO_PAD.encode(value)
    }

    /// Opens a cookie's value. An attempt older than `lifetime` is refused.
    pub fn open(
        value: &str,
        ring: &Keyring,
        cookie_name: &str,
        now: Timestamp,
        lifetime: Ttl,
    ) -> Result<Self, InvalidLogin> {
        if value.len() > MAX_LOGIN_COOKIE {
            return Err(InvalidLogin::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(value).map_err(|_| InvalidLogin::Malformed)?;
        let (prefix, mut rest) = bytes.split_at_checked(PREFIX_LEN).ok_or(InvalidLogin::Malformed)?;
        let prefix = Prefix::read(prefix)?;
        let nonce = take(&mut rest).ok_or(InvalidLogin::Malformed)?;
        let key = ring.login_key(prefix.key).ok_or(InvalidLogin::UnknownKey)?;
        let plain =
            key.aead().open(nonce, &aad(cookie_name, &bytes[..PREFIX_LEN]), rest).ok_or(InvalidLogin::NotAuthentic)?;
        let ahead = prefix.started_at.since(now);
        if now.since(prefix.started_at) >= lifetime || ahead > CLOCK_TOLERANCE {
            return Err(InvalidLogin::Expired);
        }
        Self::read(&plain, prefix.started_at).ok_or(InvalidLogin::Malformed)
    }

    fn plaintext(&self) -> Zeroizing<Vec<u8>> {
        let mut plain = Zeroizing::new(Vec::with_capacity(FIXED_LEN + 2 * MAX_NAME_LEN + self.target.len()));
        plain.extend_from_slice(self.attempt.as_bytes());
        for text in [random_of(&self.state), self.nonce.as_str(), self.verifier.as_str()] {
            let random = URL_SAFE_NO_PAD.decode(text.as_bytes()).map(Zeroizing::new);
            plain.extend_from_slice(&random.expect("begin() and read() encode these themselves"));
        }
        for name in [self.provider.as_str(), self.site.as_str()] {
            plain.push(u8::try_from(name.len()).expect("names are at most 32 bytes"));
            plain.extend_from_slice(name.as_bytes());
        }
        plain.extend_from_slice(self.target.as_bytes());
        plain
    }

    fn read(plain: &[u8], started_at: Timestamp) -> Option<Self> {
        let mut rest = plain;
        let attempt = take(&mut rest).map(AttemptId::from_bytes)?;
        let mut text = || {
            let random = Zeroizing::new(take::<RANDOM_LEN>(&mut rest)?);
            Some(Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_ref())))
        };
        let (state, nonce, verifier) = (ended(&text()?), text()?, text()?);
        let provider = ProviderId::parse(take_name(&mut rest)?).ok()?;
        let site = SiteId::parse(take_name(&mut rest)?).ok()?;
        let target = std::str::from_utf8(rest).ok()?.to_owned();
        Some(Self { attempt, target, started_at, provider, site, state, nonce, verifier })
    }
}

impl fmt::Debug for LoginAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginAttempt").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

/// What can be read of a cookie without a key.
struct Prefix {
    key: KeyId,
    started_at: Timestamp,
}

impl Prefix {
    fn read(bytes: &[u8]) -> Result<Self, InvalidLogin> {
        let mut rest = bytes;
        let [version] = take(&mut rest).ok_or(InvalidLogin::Malformed)?;
        if version != VERSION {
            return Err(InvalidLogin::Version);
        }
        let key = take(&mut rest).map(KeyId::from_bytes).ok_or(InvalidLogin::Malformed)?;
        let millis = take(&mut rest).map(u64::from_be_bytes).ok_or(InvalidLogin::Malformed)?;
        Ok(Self { key, started_at: Timestamp::from_millis(millis) })
    }
}

fn take_name<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let [length] = take(rest)?;
    let (name, tail) = rest.split_at_checked(length.into())?;
    *rest = tail;
    std::str::from_utf8(name).ok()
}

/// A `state` of its random part.
fn ended(random: &str) -> Zeroizing<String> {
    let mut state = Zeroizing::new(String::with_capacity(random.len() + STATE_END.len_utf8()));
    state.push_str(random);
    state.push(STATE_END);
    state
}

/// The random part of a `state`; of any other text, the whole.
fn random_of(state: &str) -> &str {
    state.strip_suffix(STATE_END).unwrap_or(state)
}

fn aad(cookie_name: &str, prefix: &[u8]) -> Vec<u8> {
    let length = (cookie_name.len() as u32).to_be_bytes();
    [PURPOSE, &length, cookie_name.as_bytes(), prefix].concat()
}
