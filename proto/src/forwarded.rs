//! What the original request was: taken from the one set of headers that the configured gateway
//! sets itself, from trusted addresses, and from nothing else.

mod client;
mod gateway;
mod headers;
mod secure;
mod target;
mod trust;
mod url;

use std::net::IpAddr;

pub use gateway::{Gateway, GatewayNotice, UnknownGateway};
pub use headers::HeaderView;
pub use secure::secure_url;
pub use target::default_targets;
pub use trust::{Cidr, InvalidCidr, IpSet, TrustedProxies};
pub use url::{SplitUrl, split_url};

use gateway::{HeaderSet, UrlHeaders};
use headers::{Single, single};

/// Where original requests come from.
#[derive(Clone, Debug, Default)]
pub struct GatewayConfig {
    /// Which set of headers counts.
    pub gateway: Gateway,
    /// Whether headers of trusted sources count at all; a gateway kind implies it.
    pub reverse_proxy: bool,
    /// Whose headers count.
    pub trusted: TrustedProxies,
    /// Lower-case name of the header with the client's address; read with [`Gateway::None`] only.
    pub real_client_ip_header: String,
}

/// The other end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// A TCP peer.
    Ip(IpAddr),
    /// A Unix socket: reached only by whom the file system lets in, so always trusted.
    Unix,
}

/// What kind of endpoint the request came in at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/auth`: the request asks about another one.
    Auth,
    /// Pages that browsers visit under the proxy prefix.
    Browser,
    /// A path that is proxied to an http, unix or file upstream: its own URL is the one that counts.
    Proxied,
    /// A path answered by a `static://` upstream, which also serves as a check for gateways.
    Static,
}

/// The request as it came in.
#[derive(Clone, Copy, Debug)]
pub struct OwnRequest<'r> {
    /// Its method.
    pub method: &'r str,
    /// `https` on a TLS listener, otherwise `http`.
    pub scheme: &'r str,
    /// Its `Host`, with port; empty if there was none.
    pub host: &'r str,
    /// Path and query as on the wire.
    pub uri: &'r str,
}

/// What the original request was, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRequest<'r> {
    /// The method.
    pub method: Option<&'r str>,
    /// `http` or `https`.
    pub scheme: Option<&'r str>,
    /// Host with port, as the browser named it: chooses the cookie's domain.
    pub host: Option<&'r str>,
    /// Path and query.
    pub uri: Option<&'r str>,
    /// The client's address, for the log and the audit.
    pub client: Option<IpAddr>,
    /// What rules that open may believe of the above.
    pub opening: OpeningFacts<'r>,
}

/// The facts that an opening rule (`skip_auth_*`, preflight, `trusted_ips`) is held against.
/// `None` matches no rule, negated ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpeningFacts<'r> {
    /// The method.
    pub method: Option<&'r str>,
    /// The URI.
    pub uri: Option<OpeningUri<'r>>,
    /// The client's address.
    pub client: Option<IpAddr>,
}

/// A URI for opening rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpeningUri<'r> {
    /// Path and query; begins with one slash.
    pub text: &'r str,
    /// Another server resolves it, by rules of its own, so that whatever two servers may read
    /// differently matches nothing: it came in a header, goes to an upstream, or arrived by a gateway,
    /// some kinds of which ask with the original path instead of a header.
    pub reported: bool,
}

/// The outcome of [`original_request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extracted<'r> {
    /// What is known.
    pub request: OriginalRequest<'r>,
    /// Headers of another kind of gateway came instead: to be named once in the log.
    pub notice: Option<GatewayNotice>,
}

/// Finds out what the original request was.
pub fn original_request<'r>(
    config: &GatewayConfig,
    peer: &PeerAddress,
    endpoint: Endpoint,
    own: OwnRequest<'r>,
    headers: &'r dyn HeaderView,
) -> Extracted<'r> {
    let trusted = config.trusted.contains(peer);
    let source = Source {
        headers,
        believed: trusted && (config.reverse_proxy || config.gateway != Gateway::None),
        opens: config.gateway != Gateway::None || config.trusted.explicit(),
        set: config.gateway.headers(&config.real_client_ip_header),
    };
    let (client, opening_client) = source.client(config, peer);
    let mut request = match (config.gateway, endpoint) {
        (Gateway::None, _) => source.plain(endpoint, own),
        (_, Endpoint::Auth) => source.reported(None),
        (_, Endpoint::Static) => source.reported(Some(own)),
        (_, Endpoint::Browser | Endpoint::Proxied) => source.visited(own),
    };
    request.client = client;
    request.opening.client = opening_client;
    if let Some(uri) = &mut request.opening.uri {
        uri.reported |= resolved_elsewhere(config, endpoint);
    }
    let asks = matches!(endpoint, Endpoint::Auth);
    let notice = if asks && trusted { gateway::notice(config.gateway, headers) } else { None };
    Extracted { request, notice }
}

/// Whether a request's own path is another server's to resolve as well.
fn resolved_elsewhere(config: &GatewayConfig, endpoint: Endpoint) -> bool {
    match endpoint {
        Endpoint::Auth | Endpoint::Proxied => true,
        Endpoint::Static => config.reverse_proxy || config.gateway != Gateway::None,
        Endpoint::Browser => false,
    }
}

/// One request's headers and how far they count.
struct Source<'r, 'c> {
    headers: &'r dyn HeaderView,
    believed: bool,
    opens: bool,
    set: HeaderSet<'c>,
}

impl<'r> Source<'r, '_> {
    /// As oauth2-proxy reads it: each of the three headers for itself, the method never.
    fn plain(&self, endpoint: Endpoint, own: OwnRequest<'r>) -> OriginalRequest<'r> {
        let header = |name| if self.believed { single(self.headers, name) } else { Single::Absent };
        let scheme = header("x-forwarded-proto").one().and_then(url::scheme);
        let host = header("x-forwarded-host").one();
        let (uri, opening) = match endpoint {
            Endpoint::Browser | Endpoint::Proxied => (Some(own.uri), own_uri(own)),
            Endpoint::Auth => self.reported_uri(header("x-forwarded-uri")),
            Endpoint::Static => match header("x-forwarded-uri") {
                Single::Absent => (Some(own.uri), own_uri(own)),
                given @ (Single::One(_) | Single::Unusable) => self.reported_uri(given),
            },
        };
        OriginalRequest {
            method: Some(own.method),
            scheme: Some(scheme.unwrap_or(own.scheme)),
            host: Some(host.unwrap_or(own.host)),
            uri,
            client: None,
            opening: OpeningFacts { method: Some(own.method), uri: opening, client: None },
        }
    }

    /// On a check, where the gateway's set says everything; `own` serves where the set is absent.
    fn reported(&self, own: Option<OwnRequest<'r>>) -> OriginalRequest<'r> {
        let header = |name| if self.believed { single(self.headers, name) } else { Single::Absent };
        let (scheme, host, given) = match self.set.url {
            UrlHeaders::Unknown => (None, None, Single::Absent),
            UrlHeaders::Whole(name) => match header(name) {
                Single::One(whole) => match split_url(whole) {
                    Some(split) => (Some(split.scheme), Some(split.host), Single::One(split.uri)),
                    None => (None, None, Single::Unusable),
                },
                absent @ (Single::Absent | Single::Unusable) => (None, None, absent),
            },
            UrlHeaders::Parts { scheme, host, uri } => {
                let scheme = header(scheme).one().and_then(url::scheme);
                (scheme, header(host).one().filter(|host| url::is_host(host)), header(uri))
            }
        };
        if let (Some(own), Single::Absent) = (own, given) {
            return self.visited(own);
        }
        let (uri, opening) = self.reported_uri(given);
        let method = self.set.method.and_then(|name| header(name).one());
        let opening = OpeningFacts { method, uri: opening, client: None };
        OriginalRequest { method, scheme, host, uri, client: None, opening }
    }

    /// A page of ours behind a gateway of a known kind: `Host` is the browser's, and the scheme is
    /// the one thing that only the gateway knows.
    fn visited(&self, own: OwnRequest<'r>) -> OriginalRequest<'r> {
        let header = if self.believed { single(self.headers, "x-forwarded-proto") } else { Single::Absent };
        let scheme = header.one().and_then(url::scheme);
        OriginalRequest {
            method: Some(own.method),
            scheme: Some(scheme.unwrap_or(own.scheme)),
            host: Some(own.host),
            uri: Some(own.uri),
            client: None,
            opening: OpeningFacts { method: Some(own.method), uri: own_uri(own), client: None },
        }
    }

    fn reported_uri(&self, given: Single<'r>) -> (Option<&'r str>, Option<OpeningUri<'r>>) {
        let Some(text) = given.one().filter(|uri| url::is_uri(uri)) else { return (None, None) };
        (Some(text), self.opens.then_some(OpeningUri { text, reported: true }))
    }

    /// The client's address for the log, and the one that rules may believe.
    fn client(&self, config: &GatewayConfig, peer: &PeerAddress) -> (Option<IpAddr>, Option<IpAddr>) {
        if !self.believed {
            let address = match peer {
                PeerAddress::Ip(address) => Some(address.to_canonical()),
                PeerAddress::Unix => None,
            };
            return (address, address);
        }
        let told = self.set.address.and_then(|name| client::address(self.headers, name, &config.trusted));
        (told, told.filter(|_| self.opens))
    }
}

fn own_uri(own: OwnRequest<'_>) -> Option<OpeningUri<'_>> {
    Some(OpeningUri { text: own.uri, reported: false })
}

#[cfg(test)]
mod tests;
