//! How the other replicas do: who answers, how far away they are, how their clocks differ.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use conclave_proto::id::{KeyId, PeerName};
use conclave_proto::time::{Timestamp, Ttl};
use conclave_proto::wire::DiskRoom;
use parking_lot::RwLock;

/// Measured round trips kept for each peer.
const SAMPLES: usize = 16;

/// So many questions in a row without an answer make a peer lost.
const LOST_AFTER: u32 = 3;

/// A clock further from the members' median than this is wrong.
const MAX_DEVIATION_MS: i64 = 5_000;

/// Clocks needed for a median that tells who is wrong: of two, neither can be blamed.
const CLOCKS_FOR_MEDIAN: usize = 3;

/// What changed by an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing.
    Same,
    /// The peer answers again.
    Back,
    /// The peer stopped answering.
    Lost,
}

/// One answer to a ping.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    /// From question to answer.
    pub(crate) round_trip: Duration,
    /// The peer's wall clock when it answered.
    pub(crate) theirs: Timestamp,
    /// Ours when the answer came.
    pub(crate) ours: Timestamp,
    /// Whether it could take this replica's visitors.
    pub(crate) answers: bool,
    /// The cookie secrets that it holds, once it knows the cluster.
    pub(crate) keys: Option<Vec<KeyId>>,
    /// What its disk has room for.
    pub(crate) room: DiskRoom,
}

/// What counts of a peer when a replica asks whether another would do better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerFitness {
    /// Whether it answers questions of replicas and could answer visitors.
    pub(crate) answers: bool,
    /// What its disk has room for.
    pub(crate) room: DiskRoom,
}

/// What a leader knows of the disk of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberRoom {
    /// Not heard of yet.
    Unknown,
    /// It said so lately.
    Known(DiskRoom),
    /// It stopped answering, or never began.
    Lost,
}

#[derive(Default)]
struct Peer {
    reachable: bool,
    misses: u32,
    round_trips: VecDeque<Duration>,
    offset_ms: Option<i64>,
    answers: bool,
    keys: Option<Vec<KeyId>>,
    room: DiskRoom,
}

/// All other replicas.
#[derive(Default)]
pub(crate) struct Health {
    peers: RwLock<BTreeMap<PeerName, Peer>>,
}

impl Health {
    /// A peer answered.
    pub(crate) fn answered(&self, name: &PeerName, pulse: Pulse) -> Turn {
        let mut peers = self.peers.write();
        let peer = peers.entry(name.clone()).or_default();
        let turn = if peer.reachable { Turn::Same } else { Turn::Back };
        peer.reachable = true;
        peer.misses = 0;
        peer.answers = pulse.answers;
        peer.room = pulse.room;
        peer.offset_ms = Some(offset_ms(&pulse));
        peer.keys = pulse.keys;
        if peer.round_trips.len() == SAMPLES {
            peer.round_trips.pop_front();
        }
        peer.round_trips.push_back(pulse.round_trip);
        turn
    }

    /// A peer did not answer.
    pub(crate) fn missed(&self, name: &PeerName) -> Turn {
        let mut peers = self.peers.write();
        let peer = peers.entry(name.clone()).or_default();
        peer.misses = peer.misses.saturating_add(1);
        if !peer.reachable || peer.misses < LOST_AFTER {
            return Turn::Same;
        }
        peer.reachable = false;
        peer.answers = false;
        peer.offset_ms = None;
        Turn::Lost
    }

    /// Whether that peer answers.
    pub(crate) fn is_reachable(&self, name: &PeerName) -> bool {
        self.peers.read().get(name).is_some_and(|peer| peer.reachable)
    }

    /// Every peer that answers questions.
    pub(crate) fn reachable(&self) -> Vec<PeerFitness> {
        let peers = self.peers.read();
        let reachable = peers.values().filter(|peer| peer.reachable);
        reachable.map(|peer| PeerFitness { answers: peer.answers, room: peer.room }).collect()
    }

    /// What is known of that member's disk.
    pub(crate) fn room_of(&self, name: &PeerName) -> MemberRoom {
        match self.peers.read().get(name) {
            Some(peer) if peer.reachable => MemberRoom::Known(peer.room),
            Some(peer) if peer.misses >= LOST_AFTER => MemberRoom::Lost,
            Some(_) | None => MemberRoom::Unknown,
        }
    }

    /// The secrets that each of these peers holds; none unless all of them answer and say so.
    pub(crate) fn keys_of<'a>(&self, names: impl Iterator<Item = &'a PeerName>) -> Option<Vec<Vec<KeyId>>> {
        let peers = self.peers.read();
        names.map(|name| peers.get(name).filter(|peer| peer.reachable).and_then(|peer| peer.keys.clone())).collect()
    }

    /// The usual round trip to that peer: the median, for one slow answer is no slow link.
    pub(crate) fn round_trip(&self, name: &PeerName) -> Option<Ttl> {
        let peers = self.peers.read();
        median(&peers.get(name)?.round_trips).map(Ttl::from)
    }

    /// The usual round trip to the furthest peer that answers.
    pub(crate) fn worst_round_trip(&self) -> Option<Ttl> {
        let peers = self.peers.read();
        let reachable = peers.values().filter(|peer| peer.reachable);
        reachable.filter_map(|peer| median(&peer.round_trips)).max().map(Ttl::from)
    }

    /// How far this replica's clock is ahead of the median of all clocks known, its own included.
    pub(crate) fn deviation_ms(&self) -> Option<i64> {
        let peers = self.peers.read();
        let mut offsets: Vec<i64> = peers.values().filter_map(|peer| peer.offset_ms).collect();
        offsets.push(0);
        if offsets.len() < CLOCKS_FOR_MEDIAN {
            return None;
        }
        offsets.sort_unstable();
        // An even number has two middles; the one nearer to this replica's own clock gives it the
        // benefit of the doubt.
        let (low, high) = (offsets[(offsets.len() - 1) / 2], offsets[offsets.len() / 2]);
        let middle = if low.abs() < high.abs() { low } else { high };
        Some(-middle)
    }

    /// Whether this replica's clock is wrong. Once it was found so, too few clocks for a median do
    /// not absolve it: only one that it agrees with does.
    pub(crate) fn clock_is_off(&self, was_off: bool) -> bool {
        match self.deviation_ms() {
            Some(deviation) => deviation.abs() > MAX_DEVIATION_MS,
            None => was_off && !self.agrees_with_any(),
        }
    }

    fn agrees_with_any(&self) -> bool {
        let peers = self.peers.read();
        peers.values().filter_map(|peer| peer.offset_ms).any(|offset| offset.abs() <= MAX_DEVIATION_MS)
    }
}

/// How far the peer's clock is ahead of ours; the answer travelled half the round trip.
fn offset_ms(pulse: &Pulse) -> i64 {
    let theirs = pulse.theirs.saturating_add(Ttl::from(pulse.round_trip / 2)).as_millis();
    let difference = i128::from(theirs) - i128::from(pulse.ours.as_millis());
    i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN / 2 } else { i64::MAX / 2 })
}

fn median(samples: &VecDeque<Duration>) -> Option<Duration> {
    let mut sorted: Vec<Duration> = samples.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u8) -> PeerName {
        PeerName::parse(&format!("peer-{number}")).expect("valid")
    }

    fn pulse(offset_ms: i64) -> Pulse {
        let ours = Timestamp::from_secs(1_000_000);
        let theirs = Timestamp::from_millis(ours.as_millis().saturating_add_signed(offset_ms));
        Pulse {
            round_trip: Duration::ZERO,
            theirs,
            ours,
            answers: true,
            keys: Some(Vec::new()),
            room: DiskRoom::Enough,
        }
    }

    #[test]
    fn a_peer_is_lost_after_three_misses_and_back_after_one_answer() {
        let health = Health::default();
        assert_eq!(health.answered(&name(1), pulse(0)), Turn::Back);
        assert_eq!(health.reachable(), [PeerFitness { answers: true, room: DiskRoom::Enough }]);
        assert_eq!(health.room_of(&name(1)), MemberRoom::Known(DiskRoom::Enough));
        let misses: Vec<Turn> = (0..4).map(|_| health.missed(&name(1))).collect();
        assert_eq!(misses, [Turn::Same, Turn::Same, Turn::Lost, Turn::Same]);
        assert!(health.reachable().is_empty() && !health.is_reachable(&name(1)));
        assert_eq!((health.room_of(&name(1)), health.room_of(&name(2))), (MemberRoom::Lost, MemberRoom::Unknown));
        assert_eq!(health.answered(&name(1), pulse(0)), Turn::Back);
    }

    #[test]
    fn what_a_peer_holds_is_unknown_until_it_says_so() {
        let health = Health::default();
        let names = [name(1), name(2)];
        health.answered(&name(1), pulse(0));
        health.answered(&name(2), Pulse { keys: None, ..pulse(0) });
        assert_eq!(health.keys_of(names.iter()), None, "it does not know the cluster yet, and may hold any secret");
        health.answered(&name(2), pulse(0));
        assert_eq!(health.keys_of(names.iter()), Some(vec![Vec::new(); 2]));
    }

    #[test]
    fn the_odd_clock_out_is_the_wrong_one() {
        let health = Health::default();
        health.answered(&name(1), pulse(9_000));
        assert_eq!(health.deviation_ms(), None, "of two clocks neither is to blame");
        health.answered(&name(2), pulse(9_100));
        assert_eq!(health.deviation_ms(), Some(-9_000), "two agree, this one is behind");

        let sound = Health::default();
        sound.answered(&name(1), pulse(60_000));
        sound.answered(&name(2), pulse(20));
        assert_eq!(sound.deviation_ms(), Some(-20));
    }

    #[test]
    fn a_lost_peer_does_not_absolve_a_wrong_clock() {
        let health = Health::default();
        assert!(!health.clock_is_off(false));
        health.answered(&name(1), pulse(60_000));
        assert!(!health.clock_is_off(false), "of two clocks neither is to blame");
        health.answered(&name(2), pulse(60_000));
        assert!(health.clock_is_off(false));
        for _ in 0..LOST_AFTER {
            health.missed(&name(1));
        }
        assert!(health.clock_is_off(true), "the two that agreed are no longer heard");
        health.answered(&name(2), pulse(100));
        assert!(!health.clock_is_off(true), "it was put right");
    }

    #[test]
    fn one_slow_answer_is_no_slow_link() {
        let health = Health::default();
        for millis in [10, 10, 900, 10] {
            health.answered(&name(1), Pulse { round_trip: Duration::from_millis(millis), ..pulse(0) });
        }
        assert_eq!(health.worst_round_trip(), Some(Ttl::from_millis(10)));
    }
}
