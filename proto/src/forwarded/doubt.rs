//! Checks that cannot come from the configured kind of gateway, and what to say about them.

use std::fmt;

use super::gateway::{Gateway, Mark};
use super::headers::HeaderView;
use super::{Arrival, CLOSED_FOR};

/// What is wrong with a check. The names are ours, never a client's spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It carries a header that only another kind of gateway sets.
    Foreign(&'static str),
    /// It lacks a header that the configured kind always sets.
    Missing(&'static str),
    /// It carries such a header without a value: HAProxy reports the path of `OPTIONS *` so.
    Empty(&'static str),
}

/// A check from a trusted source that opens nothing, since the configured kind of gateway does not send such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayNotice {
    /// What is configured.
    pub configured: Gateway,
    /// Where the check came in.
    pub arrival: Arrival,
    /// What is wrong with it.
    pub doubt: Doubt,
}

/// Holds a check's headers against the configured kind. The address counts at the gateways' own listener only: a
/// shared one is asked by visitors too, and rules on URLs need none.
pub(super) fn find(configured: Gateway, arrival: Arrival, headers: &dyn HeaderView) -> Option<Doubt> {
    let of = |mark: &Mark| Standing::of(headers, mark);
    if let Some(mark) = configured.foreign().iter().find(|mark| of(mark) == Standing::Filled) {
        return Some(Doubt::Foreign(mark.shown));
    }
    let address = match arrival {
        Arrival::Shared => None,
        Arrival::GatewaysOnly => configured.always_address(),
    };
    let always = || configured.always().iter().copied().chain(address);
    let missing = always().find(|mark| of(mark) == Standing::Absent).map(|mark| Doubt::Missing(mark.shown));
    missing.or_else(|| always().find(|mark| of(mark) == Standing::Empty).map(|mark| Doubt::Empty(mark.shown)))
}

/// How a header stands in a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Absent,
    /// Gateways clear a client's header that way.
    Empty,
    /// With a value, readable or not: a client can make one that is not.
    Filled,
}

impl Standing {
    fn of(headers: &dyn HeaderView, mark: &Mark) -> Self {
        let mut found = Self::Absent;
        headers.each(mark.name, &mut |value| {
            found = match found {
                Self::Absent | Self::Empty if value.trim_ascii().is_empty() => Self::Empty,
                Self::Absent | Self::Empty | Self::Filled => Self::Filled,
            };
        });
        found
    }
}

impl GatewayNotice {
    /// Whether it proves that the gateway at its source is not the configured one: no visitor can take a header
    /// away from the gateways' own listener.
    pub fn is_evidence(&self) -> bool {
        self.arrival == Arrival::GatewaysOnly && matches!(self.doubt, Doubt::Missing(_))
    }
}

/// Worded by the configuration alone: which header it is may be a client's choice, what to do about it is not.
impl fmt::Display for GatewayNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.configured.name();
        match self.doubt {
            Doubt::Foreign(header) if self.configured == Gateway::None => write!(
                f,
                "a check carries {header}, which is not read while gateway is not set, and so no rule on URLs opens \
                 for it: "
            )?,
            Doubt::Foreign(header) => {
                write!(f, "a check carries {header}, which gateway={kind} does not set, and so no rule opens for it: ")?
            }
            Doubt::Missing(header) | Doubt::Empty(header) => {
                write!(f, "a check lacks {header}, which gateway={kind} always sets, and so no rule opens for it")?;
                match self.is_evidence() {
                    false => f.write_str(
                        ": a visitor can cause this too; if rules open for nobody, \
                         the gateway in front is not of this kind or not set up for it: ",
                    )?,
                    true => write!(
                        f,
                        " nor, on this replica, for any other check of its source, until {} minutes after the last \
                         such check: the gateway there is not of this kind or not set up for it: ",
                        CLOSED_FOR.as_secs() / 60
                    )?,
                }
            }
        }
        f.write_str(match self.doubt {
            Doubt::Foreign(_) => foreign_remedy(self.configured),
            Doubt::Missing(_) | Doubt::Empty(_) => missing_remedy(self.configured),
        })
    }
}

const fn foreign_remedy(configured: Gateway) -> &'static str {
    match configured {
        Gateway::None => {
            "if ingress-nginx stands in front, set gateway=ingress-nginx; otherwise a client wrote the header, and \
             the gateway should drop it (nginx: proxy_set_header X-Original-URL \"\"; and the same for \
             X-Original-Method)"
        }
        Gateway::IngressNginx | Gateway::Nginx => {
            "if Traefik (also with its provider for ingress-nginx objects) or Caddy stands in front, set \
             gateway=traefik or gateway=caddy; if it is nginx, a client wrote the header or the configuration sets \
             it: drop it by proxy_set_header X-Forwarded-Method \"\"; and proxy_set_header X-Forwarded-Uri \"\";"
        }
        Gateway::Traefik => {
            "if ingress-nginx stands in front, set gateway=ingress-nginx; if it is Traefik, a client wrote the \
             header: a headers middleware before forwardAuth with customRequestHeaders {X-Original-URL: \"\", \
             X-Original-Method: \"\"} drops it"
        }
        Gateway::Caddy => {
            "if ingress-nginx stands in front, set gateway=ingress-nginx; if it is Caddy, a client wrote the header: \
             request_header -X-Original-* drops it"
        }
        Gateway::Haproxy => {
            "if ingress-nginx stands in front, set gateway=ingress-nginx; if it is HAProxy, a client wrote the header: \
             http-request del-header X-Original- -m beg drops it"
        }
        Gateway::Envoy => {
            "if another gateway stands in front, name it in gateway; otherwise a client wrote the header, and the \
             gateway should not hand it to the check"
        }
    }
}

const fn missing_remedy(configured: Gateway) -> &'static str {
    match configured {
        Gateway::IngressNginx => "name in gateway what stands in front, nginx for a plain nginx",
        Gateway::Nginx => "set the headers as the block for plain nginx in docs/operating.md does",
        Gateway::Traefik => {
            "with authRequestHeaders list X-Real-Ip there; otherwise name in gateway what stands in front"
        }
        Gateway::Haproxy => "set the headers as the lines for HAProxy in docs/operating.md do",
        Gateway::None | Gateway::Caddy | Gateway::Envoy => "name in gateway what stands in front",
    }
}
