//! Splitting an original URL by hand: real gateways report whatever `Host` a client sent, so a URL
//! library's corrections would read something that nobody asked for.

/// The parts of an original URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitUrl<'u> {
    /// `http` or `https`.
    pub scheme: &'u str,
    /// Host, with port if one was given.
    pub host: &'u str,
    /// Path and query; begins with exactly one slash.
    pub uri: &'u str,
}

/// Splits `scheme://host[:port]/uri`; anything else is nothing.
pub fn split_url(whole: &str) -> Option<SplitUrl<'_>> {
    let (scheme, rest) = whole.split_once("://")?;
    if !matches!(scheme, "http" | "https") {
        return None;
    }
    let (host, uri) = rest.split_at(rest.find('/')?);
    (is_host(host) && is_uri(uri)).then_some(SplitUrl { scheme, host, uri })
}

/// The scheme that a header names, in whichever case.
pub(super) fn scheme(named: &str) -> Option<&'static str> {
    ["http", "https"].into_iter().find(|scheme| named.eq_ignore_ascii_case(scheme))
}

/// Whether this is `host` or `host:port` of host characters.
pub(super) fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let port_fits = port.is_none_or(is_port);
    let name_fits = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            !name.is_empty() && name.bytes().all(is_host_byte)
        }
    };
    port_fits && name_fits
}

/// Whether this begins with one slash and holds neither blanks nor control characters.
pub(super) fn is_uri(uri: &str) -> bool {
    let mut bytes = uri.bytes();
    let begins = bytes.next() == Some(b'/') && !matches!(bytes.next(), Some(b'/' | b'\\'));
    begins && !uri.bytes().any(|byte| byte.is_ascii_control() || byte == b' ')
}
