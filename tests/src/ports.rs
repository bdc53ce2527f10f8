//! Free TCP ports below the ephemeral range, so that a restarted process finds its own again.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below Linux's default ephemeral range (32768), which outgoing connections draw from.
const FIRST: u16 = 21_000;
const LAST: u16 = 31_900;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that was free on every loopback address a moment ago; no two calls of one process give the same.
pub fn free() -> u16 {
    let start = u16::try_from(std::process::id() % u32::from(LAST - FIRST)).unwrap_or_default();
    for _ in FIRST..LAST {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start + step) % (LAST - FIRST);
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {LAST}");
}

/// `127.0.0.1` with a free port.
pub fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free()))
}
