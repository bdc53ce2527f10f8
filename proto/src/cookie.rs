//! Cookies as data: attributes, `Set-Cookie` values in oauth2-proxy's form, and reading `Cookie`.

#[cfg(test)]
mod tests;

use std::fmt;

use thiserror::Error;

use crate::time::Ttl;

/// Longest cookie name in bytes, as in oauth2-proxy.
pub const MAX_COOKIE_NAME: usize = 256;

/// Most cookies of one name that are looked at: several are legitimate (one per domain and path
/// variant), many are an attack on our time.
pub const MAX_COOKIES_TRIED: usize = 8;

/// `SameSite`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Sent on top-level navigation.
    Lax,
    /// Sent from the own site only.
    Strict,
    /// Sent always; browsers demand `Secure` with it.
    None,
}

impl SameSite {
    /// The attribute's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lax => "Lax",
            Self::Strict => "Strict",
            Self::None => "None",
        }
    }
}

/// What a site gives all its cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieAttributes {
    /// `Path`; empty sends no attribute, so that a cookie holds below the path that set it.
    pub path: String,
    /// Configured domains; empty means host-only.
    pub domains: Vec<String>,
    /// `Secure`.
    pub secure: bool,
    /// `HttpOnly`.
    pub http_only: bool,
    /// `SameSite`; none sends no attribute.
    pub same_site: Option<SameSite>,
}

impl CookieAttributes {
    /// Whether path and domains can stand in a header as they are.
    pub fn check(&self) -> Result<(), InvalidCookieAttribute> {
        let sound = self.path.starts_with('/') && self.path.bytes().all(is_attribute_byte);
        if !self.path.is_empty() && !sound {
            return Err(InvalidCookieAttribute::Path(self.path.clone()));
        }
        let bad = |domain: &&String| {
            let labels = domain.strip_prefix('.').unwrap_or(domain);
            labels.is_empty() || !labels.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        };
        match self.domains.iter().find(bad) {
            Some(domain) => Err(InvalidCookieAttribute::Domain(domain.clone())),
            None => Ok(()),
        }
    }
}

/// Attributes that a cookie's name demands by its prefix (RFC 6265bis). Browsers drop a cookie that lacks one, and say
/// so to no one: every login would end where it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnmetPrefix {
    /// `__Secure-`, `__Host-` and `__Http-`.
    #[error("must be true, or browsers drop a cookie whose name begins so")]
    Secure,
    /// `__Host-`.
    #[error("must be /, or browsers drop a cookie whose name begins so")]
    Path,
    /// `__Host-`.
    #[error("must be empty, or browsers drop a cookie whose name begins so")]
    Domain,
    /// `__Http-` and `__Host-Http-`.
    #[error("must be true, or browsers drop a cookie whose name begins so")]
    HttpOnly,
}

impl CookieAttributes {
    /// Each attribute that `name` demands and that is not given. Letters count in any case, as in browsers.
    pub fn unmet_by(&self, name: &str) -> Vec<UnmetPrefix> {
        let name = name.to_ascii_lowercase();
        let host = name.starts_with("__host-");
        let http = name.starts_with("__http-") || name.starts_with("__host-http-");
        let secure = host || http || name.starts_with("__secure-");
        let unmet = [
            (UnmetPrefix::Secure, secure && !self.secure),
            (UnmetPrefix::Path, host && self.path != "/"),
            (UnmetPrefix::Domain, host && !self.domains.is_empty()),
            (UnmetPrefix::HttpOnly, http && !self.http_only),
        ];
        unmet.into_iter().filter(|(_, unmet)| *unmet).map(|(unmet, _)| unmet).collect()
    }
}

/// A path or domain that no browser would take, or that would break the header.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidCookieAttribute {
    /// Does not begin with `/` or has characters that end the attribute.
    #[error("cookie path {0:?} must begin with / and have no ; or control characters")]
    Path(String),
    /// Not a domain name.
    #[error("cookie domain {0:?} is no domain name")]
    Domain(String),
}

/// Why a cookie name was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidCookieName {
    /// Nothing was given.
    #[error("is empty")]
    Empty,
    /// More than [`MAX_COOKIE_NAME`] bytes.
    #[error("is longer than {MAX_COOKIE_NAME} bytes")]
    TooLong,
    /// Not a token by RFC 6265.
    #[error("contains {0:?}, which no cookie name may")]
    Character(char),
}

/// Whether `name` can name a cookie (RFC 6265: a token).
pub fn check_cookie_name(name: &str) -> Result<(), InvalidCookieName> {
    if name.is_empty() {
        return Err(InvalidCookieName::Empty);
    }
    if name.len() > MAX_COOKIE_NAME {
        return Err(InvalidCookieName::TooLong);
    }
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    name.chars().find(|c| !token(*c)).map_or(Ok(()), |c| Err(InvalidCookieName::Character(c)))
}

/// One `Set-Cookie` header. The value does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct SetCookie {
    name: String,
    value: String,
    path: String,
    domain: Option<String>,
    max_age: Option<u64>,
    http_only: bool,
    secure: bool,
    same_site: Option<SameSite>,
}

impl SetCookie {
    /// Sets `name`. No `max_age` makes a cookie that ends with the browser.
    pub fn set(
        name: &str,
        value: &str,
        attributes: &CookieAttributes,
        domain: Option<&str>,
        max_age: Option<Ttl>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            value: value.to_owned(),
            path: attributes.path.clone(),
            domain: domain.map(str::to_owned),
            max_age: max_age.map(Ttl::as_secs),
            http_only: attributes.http_only,
            secure: attributes.secure,
            same_site: attributes.same_site,
        }
    }

    /// Deletes `name`; only the same path and domain reach the cookie that was set.
    pub fn delete(name: &str, attributes: &CookieAttributes, domain: Option<&str>) -> Self {
        Self::set(name, "", attributes, domain, Some(Ttl::ZERO))
    }

    /// The cookie's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The header's value, attributes in oauth2-proxy's order.
    pub fn header_value(&self) -> String {
        let mut out = format!("{}={}", self.name, self.value);
        if !self.path.is_empty() {
            out.push_str("; Path=");
            out.push_str(&self.path);
        }
        if let Some(domain) = &self.domain {
            // As Go writes it: the leading dot means nothing since RFC 6265.
            out.push_str("; Domain=");
            out.push_str(domain.strip_prefix('.').unwrap_or(domain));
        }
        if let Some(seconds) = self.max_age {
            out.push_str("; Max-Age=");
            out.push_str(&seconds.to_string());
        }
        if self.http_only {
            out.push_str("; HttpOnly");
        }
        if self.secure {
            out.push_str("; Secure");
        }
        if let Some(same_site) = self.same_site {
            out.push_str("; SameSite=");
            out.push_str(same_site.as_str());
        }
        out
    }
}

impl fmt::Debug for SetCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetCookie").field("name", &self.name).field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// The domain for a cookie on `host`: the longest configured one that is a suffix of it, else the
/// last of the list ordered by length, the shortest. None configured: none, a host-only cookie.
///
/// Unlike oauth2-proxy it looks past the port and upper case of `host`, and `example.test` also
/// matches the domain `.example.test`, as it does in a browser.
pub fn domain_for_host<'a>(domains: &'a [String], host: &str) -> Option<&'a str> {
    let mut by_length: Vec<&'a str> = domains.iter().map(String::as_str).collect();
    by_length.sort_by_key(|domain| std::cmp::Reverse(domain.len()));
    let host = without_port(host).to_ascii_lowercase();
    let matching = by_length.iter().find(|domain| covers(domain, &host));
    matching.or(by_length.last()).copied()
}

/// Whether a browser would take a cookie of `domain` from `host` (lower case, no port).
fn covers(domain: &str, host: &str) -> bool {
    let domain = domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase();
    host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        Some(_) | None => host,
    }
}

/// All values of one name in a `Cookie` header, in its order, at most `limit`.
pub fn cookies_named<'h>(header: &'h str, name: &str, limit: usize) -> impl Iterator<Item = &'h str> {
    cookie_pairs(header).filter(move |(found, _)| *found == name).map(|(_, value)| value).take(limit)
}

/// All `name=value` pairs of a `Cookie` header; what is no pair is skipped.
pub fn cookie_pairs(header: &str) -> impl Iterator<Item = (&str, &str)> {
    header.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim_matches([' ', '\t']), value.trim_matches([' ', '\t'])))
    })
}

fn is_attribute_byte(byte: u8) -> bool {
    (0x21..0x7f).contains(&byte) && byte != b';'
}
