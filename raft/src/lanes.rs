//! Lanes between replicas: each class of question to a peer has slots of its own, so that what a
//! stranger can cause never waits in front of what the cluster lives by.

use std::sync::Arc;

use conclave_proto::wire::FrameKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A class of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Raft's own messages, snapshots, pings, founding, hand-over.
    Consensus,
    /// Read indexes, by which a replica knows how fresh its knowledge is.
    Freshness,
    /// Forwarded writes: logins that a provider vouched for, sign-outs, expiry, keys.
    Writes,
    /// The ends of claims.
    Releases,
    /// Sessions that only the leader may know. Only a ticket that authenticates gets this far.
    LookUps,
    /// Claims of login attempts: the one question that an anonymous request can cause.
    Claims,
}

/// Slots for Raft and what goes with it. One append is under way for each peer, one vote, one piece
/// of a snapshot, one ping, and fifteen candidatures in a hand-over; but a question to a peer that
/// hangs keeps its slot for four seconds more, while Raft asks again each heartbeat: 40 at 100 ms.
const CONSENSUS_SLOTS: usize = 64;

/// Slots for read indexes. One is under way; a leader that hangs holds those of five seconds, asked
/// again after the 0.8 s of each.
const FRESHNESS_SLOTS: usize = 8;

/// Slots for forwarded batches. Four are under way; a leader that hangs holds each for 14 s, and the
/// commands in it give up after ten.
const WRITES_SLOTS: usize = 16;

/// Slots for ends of claims. Each is answered from memory, so that over a link of 600 ms there and
/// back a hundred logins a second can end.
const RELEASES_SLOTS: usize = 64;

/// Slots for look-ups. Each waits for a share of a quorum round; questions for one session are one.
const LOOK_UPS_SLOTS: usize = 64;

/// Slots for claims. Each is answered from memory and never waits for another's login, so that over
/// a link of 600 ms there and back a hundred logins a second can begin.
const CLAIMS_SLOTS: usize = 64;

/// Sessions that one replica asks for at once, of the leader or of itself while it leads; each costs
/// the leader a share of a quorum round.
pub(crate) const MAX_ASKED: usize = 256;

impl Lane {
    /// Every lane, in the order of their declaration.
    pub(crate) const ALL: [Self; 6] =
        [Self::Consensus, Self::Freshness, Self::Writes, Self::Releases, Self::LookUps, Self::Claims];

    /// The lane of a kind of question.
    pub(crate) const fn of(kind: FrameKind) -> Self {
        match kind {
            FrameKind::Append
            | FrameKind::Vote
            | FrameKind::SnapshotBegin
            | FrameKind::SnapshotChunk
            | FrameKind::SnapshotEnd
            | FrameKind::Hello
            | FrameKind::Ping
            | FrameKind::Adopt
            | FrameKind::Elect => Self::Consensus,
            FrameKind::ReadIndex => Self::Freshness,
            FrameKind::Forward => Self::Writes,
            FrameKind::ClaimEnd => Self::Releases,
            FrameKind::FindSession => Self::LookUps,
            FrameKind::Claim => Self::Claims,
        }
    }

    /// Questions of this class that one replica may have under way to one peer.
    pub(crate) const fn slots(self) -> usize {
        match self {
            Self::Consensus => CONSENSUS_SLOTS,
            Self::Freshness => FRESHNESS_SLOTS,
            Self::Writes => WRITES_SLOTS,
            Self::Releases => RELEASES_SLOTS,
            Self::LookUps => LOOK_UPS_SLOTS,
            Self::Claims => CLAIMS_SLOTS,
        }
    }

    /// Questions of all classes that one replica may have under way to one peer: what a peer listener
    /// must take from each at once, one connection for each.
    pub(crate) const fn all_slots() -> usize {
        let (mut sum, mut next) = (0, 0);
        while next < Self::ALL.len() {
            sum += Self::ALL[next].slots();
            next += 1;
        }
        sum
    }
}

/// The slots of all lanes to one peer.
pub(crate) struct Slots([Arc<Semaphore>; Lane::ALL.len()]);

impl Default for Slots {
    fn default() -> Self {
        Self(Lane::ALL.map(|lane| Arc::new(Semaphore::new(lane.slots()))))
    }
}

impl Slots {
    /// A slot until it is dropped; none while the lane is full. Never waits: a full lane means that
    /// the peer hangs, and who asks decides when to ask again.
    pub(crate) fn take(&self, lane: Lane) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0[lane as usize]).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p10_lanes_nothing_anonymous_holds_a_slot_that_the_cluster_needs() {
        let of_lane = |lane| FrameKind::ALL.into_iter().filter(move |kind| Lane::of(*kind) == lane).collect::<Vec<_>>();
        assert_eq!(of_lane(Lane::Claims), [FrameKind::Claim], "what a stranger can cause stands alone");
        assert_eq!(of_lane(Lane::LookUps), [FrameKind::FindSession], "so does what any user can cause");
        let slots = Slots::default();
        let mut held = Vec::new();
        for (place, lane) in Lane::ALL.into_iter().enumerate().rev() {
            assert_eq!(lane as usize, place, "slots go by the declaration's order");
            held.extend(std::iter::from_fn(|| slots.take(lane)));
            let free: Vec<Lane> = Lane::ALL.into_iter().filter(|lane| slots.take(*lane).is_some()).collect();
            assert_eq!(free, Lane::ALL[..place], "every lane but the full ones has room");
        }
        assert_eq!(held.len(), Lane::all_slots());
        drop(held);
        assert!(Lane::ALL.into_iter().all(|lane| slots.take(lane).is_some()), "a slot comes back");
    }
}
