//! What replicas ask each other besides Raft itself: the payloads of frames and answers.

use ring::digest;
use serde::{Deserialize, Serialize};

use super::claim::{ClaimAnswer, ClaimEnd, ClaimQuestion};
use super::{MAX_PAYLOAD, MAX_ROW, Versioned};
use crate::command::{Outcome, Tagged};
use crate::id::{ClusterId, FeatureLevel, KeyId, LogIndex, NodeId, PeerName, SessionKey};
use crate::session::{BodyRow, IndexRow};
use crate::time::{Timestamp, Ttl};

/// Longest time a peer works on a forwarded write, whatever the sender asks for.
pub const MAX_FORWARDED_PATIENCE: Ttl = Ttl::from_secs(30);

/// Enough for every payload of fixed fields and a name.
const SMALL: usize = 1024;

macro_rules! versioned {
    ($($name:ident: $version:literal, $limit:expr;)*) => {
        $(impl Versioned for $name {
            const VERSION: u8 = $version;
            const LIMIT: usize = $limit;
        })*
    };
}

versioned! {
    Hello: 1, SMALL;
    Ping: 1, SMALL;
    Forward: 1, MAX_PAYLOAD;
    Forwarded: 1, MAX_PAYLOAD;
    ReadIndexQuestion: 1, SMALL;
    ReadIndexAnswer: 1, SMALL;
    FindSession: 1, SMALL;
    FoundSession: 1, MAX_ROW + SMALL;
    ClaimQuestion: 1, SMALL;
    ClaimAnswer: 1, SMALL;
    ClaimEnd: 1, SMALL;
}

/// Question and answer of [`super::FrameKind::Hello`]: who is there, and what it remembers. It
/// decides whether a cluster may be founded and whom a replica joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The replica's node id.
    pub node: NodeId,
    /// Its own name.
    pub name: PeerName,
    /// The cluster it remembers.
    pub cluster: Option<ClusterId>,
    /// Its disk has never held a vote, an entry or a cluster.
    pub pristine: bool,
    /// The level its program speaks.
    pub feature_level: FeatureLevel,
    /// [`peers_hash`] of its configured list.
    pub peers_hash: [u8; 32],
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// The highest Raft term it has seen.
    pub term: u64,
    /// Its own clock, from which differences are told.
    pub clock: Timestamp,
}

/// Question and answer of [`super::FrameKind::Ping`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// The sender's own clock.
    pub clock: Timestamp,
    /// Whether the sender could take another's visitors: it is no staler than its bound, applies
    /// entries, holds the keys and is not about to stop.
    pub answers: bool,
    /// The cookie secrets that the sender holds: one is used once all members hold it. None until it has applied the
    /// founding entry, since the ids derive with the cluster's own.
    pub keys: Option<Vec<KeyId>>,
    /// What the sender's disk has room for: a leader proposes no login that a majority cannot keep.
    pub room: DiskRoom,
}

/// How much a replica's disk has room for. Append-only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DiskRoom {
    /// Enough.
    #[default]
    Enough,
    /// Little: another replica should lead and answer, where one has more.
    Low,
    /// Too little for further sessions; what ends sessions goes on.
    NearlyFull,
}

impl DiskRoom {
    /// In words, for pages and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enough => "enough",
            Self::Low => "low",
            Self::NearlyFull => "nearly full",
        }
    }
}

/// Question of [`super::FrameKind::Forward`]: write these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Within one batch's limits.
    pub commands: Vec<Tagged>,
    /// How long the sender will wait; at most [`MAX_FORWARDED_PATIENCE`] counts.
    pub patience: Ttl,
}

/// Answer to [`Forward`], one for each command in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarded {
    /// What became of them.
    pub written: Vec<Written>,
    /// The leader's time: what the sender stamps on its next tags.
    pub leader_time: Timestamp,
}

/// One command's committed result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The entry that carried it this time. A remembered result names its first entry itself.
    pub index: LogIndex,
    /// What it did.
    pub outcome: Outcome,
}

/// Question of [`super::FrameKind::ReadIndex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadIndexQuestion {
    /// The asker's clock, from which differences are told.
    pub clock: Timestamp,
}

/// Answer to [`ReadIndexQuestion`], after a quorum round that began after it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadIndexAnswer {
    /// Whoever has applied this much has seen every write acknowledged before the question.
    pub index: LogIndex,
    /// The leader's term.
    pub term: u64,
    /// The leader's time: its clock, and never earlier than the last stamp.
    pub leader_time: Timestamp,
}

/// Question of [`super::FrameKind::FindSession`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindSession {
    /// Which session.
    pub key: SessionKey,
    /// The entry that made it, by its ticket: the leader has applied it or it never was.
    pub created_index: LogIndex,
}

/// Answer to [`FindSession`], after a quorum round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundSession {
    /// The sealed rows; none means that there is no such session.
    pub rows: Option<(IndexRow, BodyRow)>,
    /// What the leader had applied when it looked.
    pub applied: LogIndex,
    /// The leader's time.
    pub leader_time: Timestamp,
}

/// A digest of a configured peer list: equal lists in any order have equal digests.
pub fn peers_hash(peers: &[PeerName]) -> [u8; 32] {
    let mut names: Vec<&str> = peers.iter().map(PeerName::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let mut hash = digest::Context::new(&digest::SHA256);
    for name in names {
        hash.update(name.as_bytes());
        hash.update(b"\n");
    }
    let mut out = [0; 32];
    out.copy_from_slice(hash.finish().as_ref());
    out
}

#[cfg(test)]
mod tests;
