//! The client's address from the header in which the gateway reports it.

use std::net::{IpAddr, SocketAddr};

use super::headers::{HeaderView, single};
use super::trust::TrustedProxies;

/// The one header that proxies append to instead of overwriting it.
const APPENDED: &str = "x-forwarded-for";

/// The client's address. Of a list that proxies append to, the rightmost entry that is no trusted
/// proxy: what stands left of it is whatever the client wrote.
pub(super) fn address(headers: &dyn HeaderView, name: &str, trusted: &TrustedProxies) -> Option<IpAddr> {
    if !name.eq_ignore_ascii_case(APPENDED) {
        return read(single(headers, name).one()?);
    }
    let mut list = Vec::new();
    let mut readable = true;
    headers.each(APPENDED, &mut |value| match std::str::from_utf8(value) {
        Ok(text) => list.push(text),
        Err(_) => readable = false,
    });
    if !readable {
        return None;
    }
    let mut nearest = None;
    for hop in list.iter().rev().flat_map(|line| line.rsplit(',')) {
        let hop = read(hop.trim())?;
        nearest = Some(hop);
        if !trusted.contains_ip(hop) {
            break;
        }
    }
    nearest
}

/// An address, with a port or without.
fn read(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}
