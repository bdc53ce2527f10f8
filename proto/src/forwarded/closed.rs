//! Sources whose gateway was seen not to be the configured one: for a while no rule opens for them.

use std::collections::BTreeMap;

use super::PeerAddress;
use crate::time::{Boottime, Ttl};

/// How long a source stays closed after the last check that proves it: longer than the gaps between the checks of a
/// quiet site, short enough that a mended gateway needs no restart of ours.
pub const CLOSED_FOR: Ttl = Ttl::from_secs(10 * 60);

/// Most sources that are remembered: more gateways than a cluster has, in less than 100 KiB.
pub const MAX_CLOSED: usize = 1024;

/// The closed sources of one replica, by that replica's own clock.
#[derive(Clone, Debug, Default)]
pub struct ClosedSources(BTreeMap<PeerAddress, Boottime>);

impl ClosedSources {
    /// Closes a source, or keeps it closed. True if it was open before. When full, the source that was proven
    /// longest ago opens again.
    pub fn close(&mut self, source: PeerAddress, now: Boottime) -> bool {
        let was_open = !self.is_closed(source, now);
        self.0.insert(canonical(source), now);
        if self.0.len() > MAX_CLOSED {
            let oldest = self.0.iter().min_by_key(|(_, last)| **last).map(|(source, _)| *source);
            self.0.retain(|source, _| Some(*source) != oldest);
        }
        was_open
    }

    /// Whether no rule opens for this source.
    pub fn is_closed(&self, source: PeerAddress, now: Boottime) -> bool {
        self.0.get(&canonical(source)).is_some_and(|last| holds(*last, now))
    }

    /// Those that are closed, in no order.
    pub fn closed(&self, now: Boottime) -> impl Iterator<Item = PeerAddress> {
        self.0.iter().filter(move |(_, last)| holds(**last, now)).map(|(source, _)| *source)
    }
}

fn holds(last: Boottime, now: Boottime) -> bool {
    now.since(last) < CLOSED_FOR
}

/// One source under one name: IPv4 written as IPv6 is IPv4.
fn canonical(source: PeerAddress) -> PeerAddress {
    match source {
        PeerAddress::Ip(address) => PeerAddress::Ip(address.to_canonical()),
        PeerAddress::Unix => PeerAddress::Unix,
    }
}
