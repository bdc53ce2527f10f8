//! What the original request was: taken from the one set of headers that the configured gateway
//! sets itself, from trusted addresses, and from nothing else.

mod client;
mod closed;
mod doubt;
mod gateway;
mod headers;
mod secure;
mod target;
mod trust;
mod url;
mod visitor;

use std::net::IpAddr;

pub use closed::{CLOSED_FOR, ClosedSources, MAX_CLOSED};
pub use doubt::{Doubt, GatewayNotice};
pub use gateway::{Gateway, UnknownGateway};
pub use headers::HeaderView;
pub use secure::secure_url;
pub use target::default_targets;
pub use trust::{Cidr, InvalidCidr, IpSet, TrustedProxies};
pub use url::{SplitUrl, split_url};
pub use visitor::visitor;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

impl Endpoint {
    /// Whether a gateway may ask here about a request of somebody else's.
    pub const fn asks(self) -> bool {
        match self {
            Self::Auth | Self::Static => true,
            Self::Browser | Self::Proxied => false,
        }
    }
}

/// Whose requests a listener gets: what a missing header proves, and which values an answer may carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrival {
    /// Browsers reach it as well as gateways: a visitor can send a check without any gateway's headers.
    #[default]
    Shared,
    /// Only gateways reach it, and it answers nothing but the check.
    GatewaysOnly,
}

/// The request as it came in.
#[derive(Clone, Copy, Debug)]
pub struct OwnRequest<'r> {
    /// At which kind of listener.
    pub arrival: Arrival,
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
    /// The check cannot be one of the configured kind of gateway: it opens nothing, and the log names it.
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
    let source = Source::of(config, peer, headers);
    let (client, opening_client) = source.client(config, peer);
    let mut request = match (config.gateway, endpoint) {
        (Gateway::None, _) => source.plain(endpoint, own),
        (_, Endpoint::Auth) => source.reported(None),
        (Gateway::Envoy, Endpoint::Static) => source.composed(own),
        (_, Endpoint::Static) => source.reported(Some(own)),
        (_, Endpoint::Browser | Endpoint::Proxied) => source.visited(own),
    };
    request.client = client;
    request.opening.client = opening_client;
    if let Some(uri) = &mut request.opening.uri {
        uri.reported |= resolved_elsewhere(config, endpoint);
    }
    if !endpoint.asks() || !config.trusted.contains(peer) {
        return Extracted { request, notice: None };
    }
    let doubt = doubt::find(config.gateway, own.arrival, headers);
    if doubt.is_some() {
        request.opening = closed_by_doubt(config.gateway, request.opening);
    }
    let notice = doubt.map(|doubt| GatewayNotice { configured: config.gateway, arrival: own.arrival, doubt });
    Extracted { request, notice }
}

/// Without a kind only the URI is taken from a header that a client could have written through that other gateway:
/// the method is the check's own, and the address has a header of its own option.
fn closed_by_doubt(gateway: Gateway, facts: OpeningFacts<'_>) -> OpeningFacts<'_> {
    match gateway {
        Gateway::None => OpeningFacts { uri: None, ..facts },
        Gateway::IngressNginx
        | Gateway::Nginx
        | Gateway::Traefik
        | Gateway::Caddy
        | Gateway::Envoy
        | Gateway::Haproxy => OpeningFacts::default(),
    }
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

/// A URL as headers report it.
struct Reported<'r> {
    scheme: Option<&'r str>,
    host: Option<&'r str>,
    uri: Single<'r>,
}

impl Reported<'_> {
    /// No header counts.
    const NOTHING: Self = Self { scheme: None, host: None, uri: Single::Absent };
}

impl<'r, 'c> Source<'r, 'c> {
    fn of(config: &'c GatewayConfig, peer: &PeerAddress, headers: &'r dyn HeaderView) -> Self {
        Self {
            headers,
            believed: config.trusted.contains(peer) && (config.reverse_proxy || config.gateway != Gateway::None),
            opens: config.gateway != Gateway::None || config.trusted.explicit(),
            set: config.gateway.headers(&config.real_client_ip_header),
        }
    }

    fn header(&self, name: &str) -> Single<'r> {
        if self.believed { single(self.headers, name) } else { Single::Absent }
    }

    /// The one reader of a reported URL: rules and return targets see the same.
    fn url(&self) -> Reported<'r> {
        match self.set.url {
            UrlHeaders::Unknown => Reported::NOTHING,
            UrlHeaders::Whole(name) => match self.header(name) {
                Single::One(whole) => match split_url(whole) {
                    Some(SplitUrl { scheme, host, uri }) => {
                        Reported { scheme: Some(scheme), host: Some(host), uri: Single::One(uri) }
                    }
                    None => Reported { uri: Single::Unusable, ..Reported::NOTHING },
                },
                absent @ (Single::Absent | Single::Unusable) => Reported { uri: absent, ..Reported::NOTHING },
            },
            UrlHeaders::Parts { scheme, host, uri } => Reported {
                scheme: self.header(scheme).one().and_then(url::scheme),
                host: self.header(host).one(),
                uri: self.header(uri),
            },
        }
    }

    /// As oauth2-proxy reads it: each of the three headers for itself, the method never.
    fn plain(&self, endpoint: Endpoint, own: OwnRequest<'r>) -> OriginalRequest<'r> {
        let reported = self.url();
        let (uri, opening) = match (endpoint, reported.uri) {
            (Endpoint::Browser | Endpoint::Proxied, _) | (Endpoint::Static, Single::Absent) => {
                (Some(own.uri), own_uri(own))
            }
            (Endpoint::Auth, given) | (Endpoint::Static, given @ (Single::One(_) | Single::Unusable)) => {
                self.reported_uri(given)
            }
        };
        OriginalRequest {
            method: Some(own.method),
            scheme: Some(reported.scheme.unwrap_or(own.scheme)),
            host: Some(reported.host.unwrap_or(own.host)),
            uri,
            client: None,
            opening: OpeningFacts { method: Some(own.method), uri: opening, client: None },
        }
    }

    /// On a check, where the gateway's set says everything. Where the set is absent, `own` says where a browser is,
    /// and nothing opens: the path that a gateway asks at is not the one that it asks about.
    fn reported(&self, own: Option<OwnRequest<'r>>) -> OriginalRequest<'r> {
        let Reported { scheme, host, uri: given } = self.url();
        if let (Some(own), Single::Absent) = (own, given) {
            return OriginalRequest { opening: OpeningFacts::default(), ..self.visited(own) };
        }
        let host = host.filter(|host| url::is_host(host));
        let (uri, opening) = self.reported_uri(given);
        let method = self.set.method.and_then(|name| self.header(name).one());
        let opening = OpeningFacts { method, uri: opening, client: None };
        OriginalRequest { method, scheme, host, uri, client: None, opening }
    }

    /// A check whose request line the gateway composed of the original method, host and path.
    fn composed(&self, own: OwnRequest<'r>) -> OriginalRequest<'r> {
        let visited = self.visited(own);
        if self.believed { visited } else { OriginalRequest { opening: OpeningFacts::default(), ..visited } }
    }

    /// A page of ours behind a gateway of a known kind: `Host` is the browser's, and the scheme is
    /// the one thing that only the gateway knows.
    fn visited(&self, own: OwnRequest<'r>) -> OriginalRequest<'r> {
        let scheme = self.header("x-forwarded-proto").one().and_then(url::scheme);
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
        (told, told.filter(|_| self.opens && self.set.address_opens))
    }
}

fn own_uri(own: OwnRequest<'_>) -> Option<OpeningUri<'_>> {
    Some(OpeningUri { text: own.uri, reported: false })
}

#[cfg(test)]
mod tests;
