//! The kinds of gateway, and the one set of headers that each of them overwrites itself.

use thiserror::Error;

/// What stands in front. Never guessed: a plain nginx hands a client's `X-Original-URL` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gateway {
    /// Not named: headers are read as oauth2-proxy reads them.
    #[default]
    None,
    /// ingress-nginx, which writes its own check.
    IngressNginx,
    /// A plain nginx that sets the same headers, as the block of the guide does.
    Nginx,
    /// Traefik's `forwardAuth`.
    Traefik,
    /// Caddy's `forward_auth`.
    Caddy,
    /// Envoy's HTTP `ext_authz`: its check has the original method, host and path in the request line, so that they
    /// are known under a `static://` upstream and nowhere else.
    Envoy,
    /// HAProxy with the lines of the guide, by which it sets what Traefik sets.
    Haproxy,
}

/// No such kind of gateway.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no gateway is called {0:?}: use ingress-nginx, nginx, traefik, caddy, envoy or haproxy")]
pub struct UnknownGateway(pub String);

/// A header that distinguishes kinds of gateway.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    /// As it is looked up: lower-case.
    pub(super) name: &'static str,
    /// As it is shown.
    pub(super) shown: &'static str,
}

const ORIGINAL_URL: Mark = Mark { name: "x-original-url", shown: "X-Original-URL" };
const ORIGINAL_METHOD: Mark = Mark { name: "x-original-method", shown: "X-Original-Method" };
const FORWARDED_URI: Mark = Mark { name: "x-forwarded-uri", shown: "X-Forwarded-Uri" };
const FORWARDED_METHOD: Mark = Mark { name: "x-forwarded-method", shown: "X-Forwarded-Method" };
const FORWARDED_FOR: Mark = Mark { name: "x-forwarded-for", shown: "X-Forwarded-For" };
const REAL_IP: Mark = Mark { name: "x-real-ip", shown: "X-Real-IP" };

/// Where the original URL stands.
#[derive(Clone, Copy)]
pub(super) enum UrlHeaders {
    /// In no header.
    Unknown,
    /// In one header.
    Whole(&'static str),
    /// In three.
    Parts { scheme: &'static str, host: &'static str, uri: &'static str },
}

/// The headers in three parts, as forward-auth gateways set them.
const PARTS: UrlHeaders =
    UrlHeaders::Parts { scheme: "x-forwarded-proto", host: "x-forwarded-host", uri: "x-forwarded-uri" };

/// The set of one kind.
pub(super) struct HeaderSet<'c> {
    pub(super) url: UrlHeaders,
    pub(super) method: Option<&'static str>,
    pub(super) address: Option<&'c str>,
    /// Whether the gateway overwrites the address in every case: only then may a rule believe it.
    pub(super) address_opens: bool,
}

impl Gateway {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::None, Self::IngressNginx, Self::Nginx, Self::Traefik, Self::Caddy, Self::Envoy, Self::Haproxy];

    /// Reads a configured name; empty is [`Gateway::None`].
    pub fn parse(name: &str) -> Result<Self, UnknownGateway> {
        match name {
            "" | "none" => Ok(Self::None),
            "ingress-nginx" => Ok(Self::IngressNginx),
            "nginx" => Ok(Self::Nginx),
            "traefik" => Ok(Self::Traefik),
            "caddy" => Ok(Self::Caddy),
            "envoy" => Ok(Self::Envoy),
            "haproxy" => Ok(Self::Haproxy),
            other => Err(UnknownGateway(other.to_owned())),
        }
    }

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::IngressNginx => "ingress-nginx",
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Envoy => "envoy",
            Self::Haproxy => "haproxy",
        }
    }

    pub(super) fn headers(self, real_client_ip_header: &str) -> HeaderSet<'_> {
        let (url, method, address) = match self {
            Self::None => (PARTS, None, Some(real_client_ip_header)),
            Self::IngressNginx | Self::Nginx => {
                (UrlHeaders::Whole("x-original-url"), Some("x-original-method"), Some("x-real-ip"))
            }
            Self::Traefik | Self::Haproxy => (PARTS, Some("x-forwarded-method"), Some("x-real-ip")),
            Self::Caddy => (PARTS, Some("x-forwarded-method"), Some("x-forwarded-for")),
            Self::Envoy => (UrlHeaders::Unknown, None, Some("x-envoy-external-address")),
        };
        // Envoy hands on what a client of its own network wrote there.
        HeaderSet { url, method, address, address_opens: self != Self::Envoy }
    }

    /// Headers that every check of this kind carries, whatever a visitor sends: the URL and the method.
    pub(super) const fn always(self) -> &'static [Mark] {
        match self {
            Self::None | Self::Envoy => &[],
            Self::IngressNginx | Self::Nginx => &[ORIGINAL_URL, ORIGINAL_METHOD],
            Self::Traefik | Self::Caddy | Self::Haproxy => &[FORWARDED_URI, FORWARDED_METHOD],
        }
    }

    /// The header with the client's address, where every check of this kind carries one.
    pub(super) const fn always_address(self) -> Option<Mark> {
        match self {
            Self::None | Self::Envoy => None,
            Self::IngressNginx | Self::Nginx | Self::Traefik | Self::Haproxy => Some(REAL_IP),
            Self::Caddy => Some(FORWARDED_FOR),
        }
    }

    /// Headers that this kind never sets and another one always does. Where the other one stands in front, a client
    /// may have written this kind's own; where this one does, a client wrote them and closes its own request.
    pub(super) const fn foreign(self) -> &'static [Mark] {
        match self {
            Self::IngressNginx | Self::Nginx => &[FORWARDED_METHOD, FORWARDED_URI],
            Self::None | Self::Traefik | Self::Caddy | Self::Haproxy => &[ORIGINAL_URL, ORIGINAL_METHOD],
            Self::Envoy => &[ORIGINAL_URL, ORIGINAL_METHOD, FORWARDED_METHOD, FORWARDED_URI],
        }
    }
}
