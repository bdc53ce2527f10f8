//! The types that openraft is built with, and short names for them.

use std::fmt;
use std::sync::Arc;

use conclave_proto::command::{Batch, Outcome};
use conclave_proto::id::NodeId;
use conclave_proto::wire::{Versioned, WireError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::snapshot::SnapshotSource;

openraft::declare_raft_types!(
    /// What this Raft replicates.
    pub TypeConfig:
        D = Proposal,
        R = Reply,
        NodeId = u64,
        Node = Member,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = SnapshotSource,
        AsyncRuntime = openraft::TokioRuntime,
);

/// Term, leader and index of a log entry.
pub type RaftLogId = openraft::LogId<u64>;
/// A vote, for this replica or another.
pub type RaftVote = openraft::Vote<u64>;
/// One log entry.
pub type RaftEntry = openraft::Entry<TypeConfig>;
/// Who the members are, with the entry that said so.
pub type RaftMembership = openraft::StoredMembership<u64, Member>;
/// What is known of a snapshot besides its rows.
pub type RaftSnapshotMeta = openraft::SnapshotMeta<u64, Member>;
/// A snapshot that can be sent or installed.
pub type RaftSnapshot = openraft::Snapshot<TypeConfig>;
/// openraft's error for storage.
pub type RaftStorageError = openraft::StorageError<u64>;

/// Appends that end when they are durable: openraft's own extension of its storage trait, for whoever
/// measures the log by itself.
pub use openraft::storage::RaftLogStorageExt as LogAppend;

/// A log entry that proposes commands.
pub fn entry(term: u64, node: NodeId, index: u64, proposal: Proposal) -> RaftEntry {
    let log_id = RaftLogId::new(openraft::CommittedLeaderId::new(term, node.get()), index);
    RaftEntry { log_id, payload: openraft::EntryPayload::Normal(proposal) }
}

/// One encoded [`Batch`]. It travels and is stored as the bytes that its proposer wrote, and only
/// `apply` decodes it: a replica that does not know a command still keeps and passes on its entry.
#[derive(Clone, PartialEq, Eq)]
pub struct Proposal(Arc<[u8]>);

impl Proposal {
    /// Encodes a batch.
    pub fn new(batch: &Batch) -> Self {
        Self(batch.to_bytes().into())
    }

    /// Takes bytes as they were stored or received; they are judged by [`Proposal::decode`].
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The encoded batch.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Decodes the batch; fails for one of a newer program.
    pub fn decode(&self) -> Result<Batch, WireError> {
        Batch::from_bytes(&self.0)
    }
}

impl From<&Batch> for Proposal {
    fn from(batch: &Batch) -> Self {
        Self::new(batch)
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proposal({} bytes)", self.0.len())
    }
}

impl Serialize for Proposal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Proposal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(ProposalVisitor)
    }
}

struct ProposalVisitor;

impl serde::de::Visitor<'_> for ProposalVisitor {
    type Value = Proposal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an encoded batch")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Proposal, E> {
        Ok(Proposal::from_bytes(bytes))
    }
}

/// What a batch did, command by command; empty for entries that hold no batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply(pub Vec<Outcome>);

/// A member as the log records it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its stable peer name, `host:port`.
    pub name: String,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
