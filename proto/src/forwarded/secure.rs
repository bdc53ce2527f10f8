//! The https address of a request that came in the clear.

use super::url::{is_host, is_uri};

/// The port that https URLs do not name.
const HTTPS: u16 = 443;

/// `https://` with the request's host and URI; none where either is nothing that can stand there. A
/// port of the host gives way to `port`, where https is served.
pub fn secure_url(host: &str, port: Option<u16>, uri: &str) -> Option<String> {
    if !is_host(host) || !is_uri(uri) || !uri.is_ascii() {
        return None;
    }
    let (name, named_port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, true),
        Some(_) | None => (host, false),
    };
    match port.filter(|port| named_port && *port != HTTPS) {
        Some(port) => Some(format!("https://{name}:{port}{uri}")),
        None => Some(format!("https://{name}{uri}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_that_of_https() {
        assert_eq!(secure_url("app.test", Some(8443), "/x?y=1").as_deref(), Some("https://app.test/x?y=1"));
        assert_eq!(secure_url("app.test:80", Some(8443), "/").as_deref(), Some("https://app.test:8443/"));
        assert_eq!(secure_url("app.test:80", Some(443), "/").as_deref(), Some("https://app.test/"));
        assert_eq!(secure_url("[::1]:80", Some(8443), "/").as_deref(), Some("https://[::1]:8443/"));
        assert_eq!(secure_url("[::1]", Some(8443), "/").as_deref(), Some("https://[::1]/"));
    }

    #[test]
    fn what_is_no_host_leads_nowhere() {
        for (host, uri) in [("", "/"), ("a b", "/"), ("evil.test/x", "/"), ("app.test", "//evil.test"), ("a", "x")] {
            assert_eq!(secure_url(host, None, uri), None, "{host} {uri}");
        }
    }
}
