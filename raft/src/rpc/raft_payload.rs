//! Raft's own messages, and those that this crate adds, as payloads of frames.

use conclave_proto::id::{ClusterId, LogIndex, NodeId, PeerName};
use conclave_proto::wire::{self, MAX_PAYLOAD, WireError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::types::{RaftSnapshotMeta, RaftVote};

/// Version of every payload below.
const VERSION: u8 = 1;

/// Encodes a payload.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    wire::encode(VERSION, value)
}

/// Decodes a payload; its size was limited with its frame.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    wire::decode(VERSION, bytes, MAX_PAYLOAD)
}

/// Question of `Adopt`: the founder's cluster id, before it initialises Raft. The answer is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Adopt {
    /// Minted by the founder and on its disk already.
    pub(crate) cluster: ClusterId,
    /// Digest of the list of peers that the founder goes by.
    pub(crate) peers_hash: [u8; 32],
    /// Who will be initialised.
    pub(crate) members: Vec<(NodeId, PeerName)>,
}

/// Question of `Elect`: stand for election now, if you have everything. The answer is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Elect {
    /// The leader's last entry.
    pub(crate) last_log: LogIndex,
}

/// Question of `SnapshotBegin`. The answer is the receiver's vote.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotBegin {
    /// Names this transfer.
    pub(crate) transfer: [u8; 16],
    /// The leader's vote.
    pub(crate) vote: RaftVote,
    /// What the snapshot holds.
    pub(crate) meta: RaftSnapshotMeta,
}

/// Question of `SnapshotChunk`. The answer is the receiver's vote.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotChunk {
    /// Which transfer.
    pub(crate) transfer: [u8; 16],
    /// Where it begins: a chunk that was taken, but whose answer was lost, comes again.
    pub(crate) offset: u64,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
}

/// Question of `SnapshotEnd`. The answer is the receiver's vote after installing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotEnd {
    /// Which transfer.
    pub(crate) transfer: [u8; 16],
    /// Bytes sent in all.
    pub(crate) length: u64,
}
