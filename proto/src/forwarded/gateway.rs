//! The kinds of gateway, and the one set of headers that each of them overwrites itself.

use std::fmt;

use thiserror::Error;

use super::headers::HeaderView;

/// What stands in front. Never guessed: a plain nginx hands a client's `X-Original-URL` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gateway {
    /// Not named: headers are read as oauth2-proxy reads them.
    #[default]
    None,
    /// ingress-nginx, or an nginx that sets the same headers.
    Nginx,
    /// Traefik's `forwardAuth`.
    Traefik,
    /// Caddy's `forward_auth`.
    Caddy,
    /// Envoy: which original URL it reports is not known yet, so no rule about URLs opens.
    Envoy,
    /// HAProxy: as with Envoy.
    Haproxy,
}

/// No such kind of gateway.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no gateway is called {0:?}: use nginx, traefik, caddy, envoy or haproxy")]
pub struct UnknownGateway(pub String);

/// A trusted source sent the headers of another kind and lacks those of the configured one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayNotice {
    /// What is configured.
    pub configured: Gateway,
    /// Whose headers came.
    pub seen: Gateway,
}

impl fmt::Display for GatewayNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.seen.name();
        write!(f, "a trusted proxy sends the headers of {seen}, which are not read: ")?;
        match self.configured {
            Gateway::None => write!(f, "set gateway={seen} if it is one"),
            Gateway::Nginx | Gateway::Traefik | Gateway::Caddy | Gateway::Envoy | Gateway::Haproxy => {
                write!(f, "gateway is {}, set gateway={seen} if that is wrong", self.configured.name())
            }
        }
    }
}

/// Where the original URL stands.
#[derive(Clone, Copy)]
pub(super) enum UrlHeaders {
    /// Not known for this kind.
    Unknown,
    /// In one header.
    Whole(&'static str),
    /// In three.
    Parts { scheme: &'static str, host: &'static str, uri: &'static str },
}

/// The set of one kind.
pub(super) struct HeaderSet<'c> {
    pub(super) url: UrlHeaders,
    pub(super) method: Option<&'static str>,
    pub(super) address: Option<&'c str>,
}

impl Gateway {
    /// Reads a configured name; empty is [`Gateway::None`].
    pub fn parse(name: &str) -> Result<Self, UnknownGateway> {
        match name {
            "" | "none" => Ok(Self::None),
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
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Envoy => "envoy",
            Self::Haproxy => "haproxy",
        }
    }

    pub(super) fn headers(self, real_client_ip_header: &str) -> HeaderSet<'_> {
        let parts = UrlHeaders::Parts { scheme: "x-forwarded-proto", host: "x-forwarded-host", uri: "x-forwarded-uri" };
        let (url, method, address) = match self {
            Self::None => (UrlHeaders::Unknown, None, Some(real_client_ip_header)),
            Self::Nginx => (UrlHeaders::Whole("x-original-url"), Some("x-original-method"), Some("x-real-ip")),
            Self::Traefik => (parts, Some("x-forwarded-method"), Some("x-real-ip")),
            Self::Caddy => (parts, Some("x-forwarded-method"), Some("x-forwarded-for")),
            Self::Envoy => (UrlHeaders::Unknown, None, Some("x-envoy-external-address")),
            Self::Haproxy => (UrlHeaders::Unknown, None, None),
        };
        HeaderSet { url, method, address }
    }
}

/// Looks for another kind's headers where the configured kind's are missing.
pub(super) fn notice(configured: Gateway, headers: &dyn HeaderView) -> Option<GatewayNotice> {
    let has = |name| {
        let mut found = false;
        headers.each(name, &mut |value| found |= !value.is_empty());
        found
    };
    let seen = match configured {
        Gateway::Nginx if has("x-original-url") => return None,
        Gateway::None | Gateway::Traefik | Gateway::Caddy if has("x-forwarded-uri") => return None,
        Gateway::None | Gateway::Traefik | Gateway::Caddy => Gateway::Nginx,
        Gateway::Nginx | Gateway::Envoy | Gateway::Haproxy if has("x-forwarded-method") => {
            if has("x-real-ip") {
                Gateway::Traefik
            } else {
                Gateway::Caddy
            }
        }
        Gateway::Envoy | Gateway::Haproxy => Gateway::Nginx,
        Gateway::Nginx => return None,
    };
    let sent = seen != Gateway::Nginx || has("x-original-url");
    sent.then_some(GatewayNotice { configured, seen })
}
