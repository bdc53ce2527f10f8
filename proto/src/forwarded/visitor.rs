//! Whom a client's address counts for.

use std::net::{IpAddr, Ipv6Addr};

/// Whom an address counts for where visitors have shares. A home or a machine has a /64 of IPv6 addresses, which are one
/// visitor.
pub fn visitor(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}
