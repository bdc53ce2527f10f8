//! The list of hosts that return targets may name (`whitelist_domains`).

use thiserror::Error;
use url::Url;

/// An entry that no configuration can mean.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the allowed host {entry:?} holds control characters")]
pub struct InvalidAllowedHost {
    /// The entry as configured.
    pub entry: String,
}

/// Allowed hosts: `host`, `.domain` or `*.domain` (the domain and all below it), each with
/// `:port`, `:*` for any port, or nothing for URLs that name no port. Letters count as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Without `.` or `*.`.
    host: String,
    /// The same as the URL standard spells it.
    normalised: String,
    /// The domains below it count too.
    below: bool,
    port: Port,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Port {
    Any,
    /// As text; empty if none may be given.
    Exactly(String),
}

impl AllowedHosts {
    /// Reads the list as configured; entries without a host match nothing.
    pub fn parse<S: AsRef<str>>(list: &[S]) -> Result<Self, InvalidAllowedHost> {
        let mut entries = Vec::with_capacity(list.len());
        for raw in list.iter().map(AsRef::as_ref) {
            if raw.chars().any(char::is_control) {
                return Err(InvalidAllowedHost { entry: raw.to_owned() });
            }
            entries.extend(Entry::parse(raw));
        }
        Ok(Self(entries))
    }

    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the list allows `host[:port]`, letter by letter.
    pub fn allow(&self, host_port: &str) -> bool {
        let (host, port) = split_host_port(host_port);
        self.0.iter().any(|entry| entry.matches(host, port))
    }

    /// Whether the list allows the host as the URL standard spells it, whatever its port.
    pub(super) fn allow_normalised(&self, url: &Url) -> bool {
        let Some(host) = url.host_str().map(without_brackets) else { return false };
        self.0.iter().any(|entry| entry.matches_normalised(host))
    }
}

impl Entry {
    fn parse(raw: &str) -> Option<Self> {
        let (host, port) = split_host_port(raw);
        if host.is_empty() {
            return None;
        }
        let (host, below) = match host.strip_prefix("*.").or_else(|| host.strip_prefix('.')) {
            Some(domain) => (domain, true),
            None => (host, false),
        };
        let port = if port == "*" { Port::Any } else { Port::Exactly(port.to_owned()) };
        Some(Self { host: host.to_owned(), normalised: normalise(host), below, port })
    }

    fn matches(&self, host: &str, port: &str) -> bool {
        let port_fits = match &self.port {
            Port::Any => true,
            Port::Exactly(wanted) => wanted == port,
        };
        port_fits && (host == self.host || (self.below && is_below(host, &self.host)))
    }

    fn matches_normalised(&self, host: &str) -> bool {
        host == self.normalised || (self.below && is_below(host, &self.normalised))
    }
}

/// Lower case, punycode and canonical addresses; what is no host stays as it is and matches nothing.
fn normalise(host: &str) -> String {
    let bracketed = if host.contains(':') { format!("http://[{host}]/") } else { format!("http://{host}/") };
    let url = Url::parse(&bracketed).ok();
    let spelled = url.as_ref().and_then(Url::host_str).map(without_brackets);
    spelled.unwrap_or(host).to_ascii_lowercase()
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host)
}

/// Whether `host` ends in a dot and `domain`: the boundary of a label, never its middle.
fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// Splits at the last colon if only digits or `*` follow; strips the brackets of an IPv6 address.
fn split_host_port(host_port: &str) -> (&str, &str) {
    let is_port = |port: &str| port == "*" || port.bytes().all(|byte| byte.is_ascii_digit());
    let (host, port) = match host_port.rsplit_once(':') {
        Some((host, port)) if is_port(port) => (host, port),
        _ => (host_port, ""),
    };
    (without_brackets(host), port)
}
