//! This service's own host and pages: no target may lead back to them.

use url::Url;

use super::hosts::AllowedHosts;

/// What targets are held against.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// Hosts that absolute targets may name.
    pub hosts: &'a AllowedHosts,
    /// Root of this service's own pages, without a slash at its end. An empty one names the endpoints alone.
    pub prefix: &'a str,
    /// Each `host[:port]` by which browsers know this service; an empty one is none.
    pub own_hosts: &'a [&'a str],
}

/// The own pages where no prefix tells them from the application's.
const ENDPOINTS: [&str; 6] = ["/auth", "/callback", "/sign_in", "/sign_out", "/start", "/userinfo"];

impl Targets<'_> {
    /// Whether a browser reads this path of this host as one of our own pages.
    pub(super) fn is_own_path(&self, path: &str) -> bool {
        // The browser's reading: it takes backslashes for slashes and resolves escaped dots.
        let seen = Url::parse("http://own.invalid/").and_then(|base| base.join(path));
        seen.is_ok_and(|seen| self.is_under_prefix(seen.path()))
    }

    /// The same of a URL, where it names this host.
    pub(super) fn is_own_url(&self, url: &Url) -> bool {
        self.own_hosts.iter().any(|host| names_host(url, host)) && self.is_under_prefix(url.path())
    }

    fn is_under_prefix(&self, path: &str) -> bool {
        match path.strip_prefix(self.prefix) {
            Some(rest) if self.prefix.is_empty() => ENDPOINTS.contains(&rest),
            Some(rest) => rest.starts_with('/'),
            None => false,
        }
    }
}

/// Whether a URL names `own`, a `host[:port]`. A gateway may leave the port out of `Host`: then any will do.
pub fn names_host(url: &Url, own: &str) -> bool {
    if own.is_empty() || own.contains(['/', '\\', '?', '#', '@']) {
        return false;
    }
    let Ok(own) = Url::parse(&format!("{}://{own}/", url.scheme())) else { return false };
    own.host().is_some() && own.host() == url.host() && (own.port().is_none() || own.port() == url.port())
}
