//! Return targets: the only thing that a `Location` after login or sign-out can be made of.

mod hosts;
mod local;
mod own;
mod relative;

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;
use url::Url;

pub use hosts::{AllowedHosts, InvalidAllowedHost};
pub use local::LocalUri;
pub use own::{Targets, names_host};

/// Longest target in bytes: it travels inside the login cookie, of which several share 3 KiB.
pub const MAX_RETURN_TO: usize = 1024;

/// A checked return target: a path of this host, or a URL of an allowed host. It holds printable
/// ASCII only, so it can stand in a `Location` header as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(String);

/// Why a return target was refused. The text never repeats the target: it may hold secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidReturnTo {
    /// Nothing was given.
    #[error("the return target is empty")]
    Empty,
    /// More than [`MAX_RETURN_TO`] bytes.
    #[error("the return target is longer than {MAX_RETURN_TO} bytes")]
    TooLong,
    /// Control characters, which browsers drop or which end a header.
    #[error("the return target holds control characters")]
    Control,
    /// Neither a path nor an http or https URL.
    #[error("the return target is neither a path nor an http or https URL")]
    Scheme,
    /// A path that a browser reads as another host, or with dot segments.
    #[error("the return target is a path that browsers read differently")]
    Ambiguous,
    /// An absolute URL that the URL standard does not accept, or reads differently.
    #[error("the return target is not a well-formed URL")]
    Malformed,
    /// Well-formed, but its host and port are not allowed.
    #[error("the return target's host is not allowed: list it in whitelist_domains")]
    Host,
    /// One of this service's own pages: signing out there, or beginning another login, would go on for ever.
    #[error("the return target is a page of this service itself")]
    OwnPrefix,
}

impl ReturnTo {
    /// Checks a target that the query layer has decoded once. Accepts a path that begins with one
    /// slash, and `http://` or `https://` URLs whose host and port are allowed; never one of our own pages.
    pub fn parse(raw: &str, targets: &Targets<'_>) -> Result<Self, InvalidReturnTo> {
        if raw.is_empty() {
            return Err(InvalidReturnTo::Empty);
        }
        if raw.len() > MAX_RETURN_TO {
            return Err(InvalidReturnTo::TooLong);
        }
        if raw.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(InvalidReturnTo::Control);
        }
        if raw.starts_with('/') {
            let path = relative::checked(raw)?;
            let own = targets.is_own_path(&path);
            return if own { Err(InvalidReturnTo::OwnPrefix) } else { Ok(Self(escape_non_ascii(&path))) };
        }
        let seen = check_absolute(raw, targets.hosts)?;
        if targets.is_own_url(&seen) { Err(InvalidReturnTo::OwnPrefix) } else { Ok(Self(escape_non_ascii(raw))) }
    }

    /// Checks a target anew that [`ReturnTo::as_str`] gave: the list of hosts may have changed since.
    pub fn parse_again(kept: &str, targets: &Targets<'_>) -> Result<Self, InvalidReturnTo> {
        Self::parse(&unescape_non_ascii(kept), targets)
    }

    /// The first candidate that is valid; `/` if none is.
    pub fn first_of<'c>(candidates: impl IntoIterator<Item = &'c str>, targets: &Targets<'_>) -> Self {
        candidates.into_iter().find_map(|raw| Self::parse(raw, targets).ok()).unwrap_or_else(Self::root)
    }

    /// Whether it leads to the origin of one of these URLs; `own` is the origin that a path stands for.
    pub fn leads_to(&self, urls: &[String], own: &str) -> bool {
        let Ok(landed) = Url::parse(own).and_then(|own| own.join(&self.0)) else { return false };
        let origin = landed.origin();
        origin.is_tuple() && urls.iter().any(|url| Url::parse(url).is_ok_and(|url| url.origin() == origin))
    }

    /// The root of this host.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The value for a `Location` header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Two readings have to agree: the plain split that the list is written for, and the URL
/// standard's, which is the browser's.
fn check_absolute(raw: &str, hosts: &AllowedHosts) -> Result<Url, InvalidReturnTo> {
    let (scheme, rest) = raw.split_once("://").ok_or(InvalidReturnTo::Scheme)?;
    if !matches!(scheme, "http" | "https") {
        return Err(InvalidReturnTo::Scheme);
    }
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    if after.starts_with('\\') {
        return Err(InvalidReturnTo::Malformed);
    }
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, host_port)| host_port);
    if host_port.is_empty() || host_port.contains(['%', '<', '>', '"', '`', '{', '}', '|', '^', ' ']) {
        return Err(InvalidReturnTo::Malformed);
    }
    let seen = Url::parse(raw).map_err(|_| InvalidReturnTo::Malformed)?;
    let plain = Url::parse(&format!("{scheme}://{host_port}/")).map_err(|_| InvalidReturnTo::Malformed)?;
    if seen.origin() != plain.origin() {
        return Err(InvalidReturnTo::Malformed);
    }
    if hosts.allow(host_port) && hosts.allow_normalised(&plain) { Ok(seen) } else { Err(InvalidReturnTo::Host) }
}

/// Non-ASCII characters percent-encoded in lower case, as oauth2-proxy's `Location` has them.
fn escape_non_ascii(text: &str) -> String {
    use fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii() {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02x}").expect("writing into a String does not fail");
        }
        out
    })
}

/// The inverse of [`escape_non_ascii`]; what is no text afterwards was none before, and stays.
fn unescape_non_ascii(text: &str) -> Cow<'_, str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.first_chunk::<2>()).flatten();
        match escaped.and_then(|digits| non_ascii(*digits)) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The byte beyond ASCII that two digits name as [`escape_non_ascii`] writes them, in lower case.
fn non_ascii(digits: [u8; 2]) -> Option<u8> {
    if digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let text = std::str::from_utf8(&digits).ok()?;
    u8::from_str_radix(text, 16).ok().filter(|byte| !byte.is_ascii())
}

#[cfg(test)]
mod tests;
