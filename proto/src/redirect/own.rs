//! This service's own host and pages: no target may lead back to them.

use url::Url;

use super::{AllowedHosts, InvalidReturnTo};

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
    /// Refuses a path of this host that a browser reads as one of our own.
    pub(super) fn check_path(&self, path: &str) -> Result<(), InvalidReturnTo> {
        // The browser's reading: it takes backslashes for slashes and resolves escaped dots.
        let base = Url::parse("http://own.invalid/").map_err(|_| InvalidReturnTo::Malformed)?;
        let seen = base.join(path).map_err(|_| InvalidReturnTo::Malformed)?;
        self.check_own(seen.path())
    }

    /// The same of a URL, where it names this host.
    pub(super) fn check_url(&self, url: &Url) -> Result<(), InvalidReturnTo> {
        let own = self.own_hosts.iter().any(|host| names_host(url, host));
        if own { self.check_own(url.path()) } else { Ok(()) }
    }

    fn check_own(&self, path: &str) -> Result<(), InvalidReturnTo> {
        let own = match path.strip_prefix(self.prefix) {
            Some(rest) if self.prefix.is_empty() => ENDPOINTS.contains(&rest),
            Some(rest) => rest.starts_with('/'),
            None => false,
        };
        if own { Err(InvalidReturnTo::OwnPrefix) } else { Ok(()) }
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
