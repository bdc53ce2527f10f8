//! Addresses and networks: whose headers count, and which clients need no login.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

use super::PeerAddress;

/// A list entry that is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidCidr {
    /// Cannot be read.
    #[error("{0:?} is neither an IP address nor a network such as 10.0.0.0/8")]
    Unreadable(String),
    /// Bits beyond the prefix are set.
    #[error("{given:?} has bits set beyond its prefix: write {meant}")]
    NotCanonical {
        /// As configured.
        given: String,
        /// The network that contains it.
        meant: String,
    },
}

/// A network, or one address. IPv4 written as IPv6 is IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Reads `address` or `address/prefix`; bits beyond the prefix have to be zero.
    pub fn parse(raw: &str) -> Result<Self, InvalidCidr> {
        let unreadable = || InvalidCidr::Unreadable(raw.to_owned());
        let Some((address, prefix)) = raw.split_once('/') else {
            let base = raw.parse::<IpAddr>().map_err(|_| unreadable())?.to_canonical();
            return Ok(Self { base, prefix: width(base) });
        };
        let base = address.parse::<IpAddr>().map_err(|_| unreadable())?;
        let digits = prefix.bytes().all(|byte| byte.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
        let prefix = prefix.parse::<u8>().ok().filter(|bits| digits && *bits <= width(base)).ok_or_else(unreadable)?;
        let masked = mask(base, prefix);
        if masked != base {
            return Err(InvalidCidr::NotCanonical { given: raw.to_owned(), meant: format!("{masked}/{prefix}") });
        }
        Ok(Self { base, prefix }.unmapped())
    }

    /// Whether the address lies in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        width(address) == width(self.base) && mask(address, self.prefix) == self.base
    }

    fn unmapped(self) -> Self {
        match (self.base.to_canonical(), self.base) {
            (base @ IpAddr::V4(_), IpAddr::V6(_)) if self.prefix >= 96 => Self { base, prefix: self.prefix - 96 },
            _ => self,
        }
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let bits = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & bits))
        }
        IpAddr::V6(v6) => {
            let bits = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & bits))
        }
    }
}

/// A list of networks and addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpSet(Vec<Cidr>);

impl IpSet {
    /// Reads a configured list.
    pub fn parse<S: AsRef<str>>(list: &[S]) -> Result<Self, InvalidCidr> {
        list.iter().map(|raw| Cidr::parse(raw.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether one of them holds the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(address))
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where a proxy usually stands: loopback, private, carrier-grade and link-local networks.
const USUAL_PROXIES: [&str; 9] = [
    "127.0.0.0/8",
    "::1",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
];

/// Whose headers count (`trusted_proxy_ips`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxies {
    nets: IpSet,
    explicit: bool,
}

impl Default for TrustedProxies {
    fn default() -> Self {
        let nets = IpSet::parse(&USUAL_PROXIES).expect("the usual networks are well-formed");
        Self { nets, explicit: false }
    }
}

impl TrustedProxies {
    /// Reads `trusted_proxy_ips`; an empty list is the default one.
    pub fn parse<S: AsRef<str>>(list: &[S]) -> Result<Self, InvalidCidr> {
        if list.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self { nets: IpSet::parse(list)?, explicit: true })
    }

    /// Whether somebody named them: only then may a header open a rule without a gateway kind.
    pub fn explicit(&self) -> bool {
        self.explicit
    }

    /// Whether headers from this peer count.
    pub fn contains(&self, peer: &PeerAddress) -> bool {
        match peer {
            PeerAddress::Ip(address) => self.nets.contains(*address),
            PeerAddress::Unix => true,
        }
    }

    pub(super) fn contains_ip(&self, address: IpAddr) -> bool {
        self.nets.contains(address)
    }
}
