//! The rows that are Raft's own: log entries, the applied record, and what the `meta` tree holds.

use conclave_proto::wire::{self, Versioned};
use openraft::{CommittedLeaderId, EntryPayload, LogId};
use serde::{Deserialize, Serialize};

use crate::limits::MAX_ROW_BYTES;
use crate::types::{Proposal, RaftEntry, RaftLogId, RaftMembership, RaftVote};

/// Tree of log entries: index, big endian, to entry.
pub(crate) const LOG_TREE: &str = "log";

/// Tree of single values.
pub(crate) const META_TREE: &str = "meta";

/// Trees of state are named by their generation: a snapshot fills a fresh one.
const STATE_TREE_PREFIX: &str = "state.";

/// Names the tree of one generation of the state.
pub(crate) fn state_tree_name(generation: u64) -> String {
    format!("{STATE_TREE_PREFIX}{generation:016x}")
}

/// The generation that a tree's name stands for.
pub(crate) fn generation_of_tree(name: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(name).ok()?.strip_prefix(STATE_TREE_PREFIX)?;
    u64::from_str_radix(digits, 16).ok()
}

/// Why a row could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRow {
    /// The checksum does not match: not the bytes that were written.
    #[error("has a wrong checksum")]
    Checksum,
    /// Written by a newer program, or not a row of this kind.
    #[error("has an unknown version")]
    Version,
    /// Cut short or inconsistent.
    #[error("is malformed")]
    Malformed,
}

const LOG_ROW_VERSION: u8 = 1;
const KIND_BLANK: u8 = 0;
const KIND_BATCH: u8 = 1;
const KIND_MEMBERSHIP: u8 = 2;
const MEMBERSHIP_VERSION: u8 = 1;

/// Version, checksum, kind, term, leader.
const LOG_ROW_HEAD: usize = 1 + 4 + 1 + 8 + 8;

/// The log row's key.
pub(crate) fn log_key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// The index that a log row's key stands for.
pub(crate) fn log_index(key: &[u8]) -> Result<u64, BadRow> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| BadRow::Malformed)
}

/// Encodes a log entry. The checksum covers the index too, so that no row passes for another.
pub(crate) fn encode_entry(entry: &RaftEntry) -> Vec<u8> {
    let mut row = vec![LOG_ROW_VERSION, 0, 0, 0, 0];
    let membership;
    let (kind, payload): (u8, &[u8]) = match &entry.payload {
        EntryPayload::Blank => (KIND_BLANK, &[]),
        EntryPayload::Normal(proposal) => (KIND_BATCH, proposal.as_bytes()),
        EntryPayload::Membership(members) => {
            membership = wire::encode(MEMBERSHIP_VERSION, members);
            (KIND_MEMBERSHIP, &membership)
        }
    };
    row.push(kind);
    row.extend_from_slice(&entry.log_id.leader_id.term.to_le_bytes());
    row.extend_from_slice(&entry.log_id.leader_id.node_id.to_le_bytes());
    row.extend_from_slice(payload);
    let crc = row_crc(&log_key(entry.log_id.index), &row[5..]);
    row[1..5].copy_from_slice(&crc.to_le_bytes());
    row
}

fn row_crc(key: &[u8], rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(rest);
    hasher.finalize()
}

/// The id of a log row, its checksum checked.
pub(crate) fn decode_log_id(key: &[u8], row: &[u8]) -> Result<RaftLogId, BadRow> {
    let index = log_index(key)?;
    if row.len() < LOG_ROW_HEAD {
        return Err(BadRow::Malformed);
    }
    if row[0] != LOG_ROW_VERSION {
        return Err(BadRow::Version);
    }
    if row[1..5] != row_crc(key, &row[5..]).to_le_bytes() {
        return Err(BadRow::Checksum);
    }
    let term = u64_at(row, 6);
    let leader = u64_at(row, 14);
    Ok(LogId::new(CommittedLeaderId::new(term, leader), index))
}

fn u64_at(row: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(row[at..at + 8].try_into().expect("eight bytes"))
}

/// Decodes a log entry; a batch stays encoded.
pub(crate) fn decode_entry(key: &[u8], row: &[u8]) -> Result<RaftEntry, BadRow> {
    let log_id = decode_log_id(key, row)?;
    let payload = &row[LOG_ROW_HEAD..];
    let payload = match row[5] {
        KIND_BLANK => EntryPayload::Blank,
        KIND_BATCH => EntryPayload::Normal(Proposal::from_bytes(payload)),
        KIND_MEMBERSHIP => EntryPayload::Membership(
            wire::decode(MEMBERSHIP_VERSION, payload, MAX_ROW_BYTES).map_err(|_| BadRow::Malformed)?,
        ),
        _ => return Err(BadRow::Version),
    };
    Ok(RaftEntry { log_id, payload })
}

/// Key of the applied record in a state tree; the rows of the state begin with other bytes.
pub(crate) const APPLIED_KEY: &[u8] = &[0x00];

/// First key after the applied record.
pub(crate) const FIRST_STATE_KEY: &[u8] = &[0x00, 0x00];

/// What a state tree holds besides its rows; written in the same sled batch as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Applied {
    /// The last entry applied.
    pub(crate) last: Option<RaftLogId>,
    /// The last membership applied.
    pub(crate) membership: RaftMembership,
    /// Over all rows but this one.
    pub(crate) checksum: StateChecksum,
}

impl Versioned for Applied {
    const VERSION: u8 = 1;
    const LIMIT: usize = MAX_ROW_BYTES;
}

/// A checksum of a set of rows that follows single changes: rows that were lost or went back to an
/// older value show at the next start, which checksums of single pages cannot tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateChecksum {
    /// Number of rows.
    pub(crate) rows: u64,
    /// Sum of the rows' digests.
    pub(crate) sum: u64,
}

impl StateChecksum {
    /// A row came.
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.rows = self.rows.wrapping_add(1);
        self.sum = self.sum.wrapping_add(row_digest(key, value));
    }

    /// A row went.
    pub(crate) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.rows = self.rows.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(row_digest(key, value));
    }
}

/// Both checksums, mixed (splitmix64), so that sums of many rows do not cancel out.
fn row_digest(key: &[u8], value: &[u8]) -> u64 {
    let mut mixed = (u64::from(crc32fast::hash(key)) << 32) | u64::from(crc32fast::hash(value));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The values of the `meta` tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetaKey {
    /// This replica's node id.
    Node,
    /// The vote.
    Vote,
    /// The last log entry that was purged.
    Purged,
    /// Which generation of the state counts.
    State,
    /// The cluster that this disk belongs to.
    Cluster,
}

impl MetaKey {
    pub(crate) const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Node => b"node",
            Self::Vote => b"vote",
            Self::Purged => b"purged",
            Self::State => b"state",
            Self::Cluster => b"cluster",
        }
    }
}

const META_VERSION: u8 = 1;

/// Encodes a value of the `meta` tree.
pub(crate) fn encode_meta<T: Serialize>(value: &T) -> Vec<u8> {
    wire::encode(META_VERSION, value)
}

/// Reads a value of the `meta` tree.
pub(crate) fn read_meta<T: serde::de::DeserializeOwned>(
    meta: &sled::Tree,
    key: MetaKey,
) -> Result<Option<T>, MetaError> {
    let Some(row) = meta.get(key.bytes())? else { return Ok(None) };
    wire::decode(META_VERSION, &row, MAX_ROW_BYTES).map(Some).map_err(|_| MetaError::Bad(key))
}

/// Why a value of the `meta` tree could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetaError {
    #[error(transparent)]
    Store(#[from] sled::Error),
    #[error("the value {0:?} is malformed")]
    Bad(MetaKey),
}

/// Everything that the `meta` tree says.
#[derive(Clone, Debug, Default)]
pub(crate) struct MetaValues {
    pub(crate) node: Option<u64>,
    pub(crate) vote: Option<RaftVote>,
    pub(crate) purged: Option<RaftLogId>,
    pub(crate) state: Option<u64>,
}

impl MetaValues {
    pub(crate) fn read(meta: &sled::Tree) -> Result<Self, MetaError> {
        Ok(Self {
            node: read_meta(meta, MetaKey::Node)?,
            vote: read_meta(meta, MetaKey::Vote)?,
            purged: read_meta(meta, MetaKey::Purged)?,
            state: read_meta(meta, MetaKey::State)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, bytes: &[u8]) -> RaftEntry {
        let log_id = LogId::new(CommittedLeaderId::new(3, 9), index);
        RaftEntry { log_id, payload: EntryPayload::Normal(Proposal::from_bytes(bytes)) }
    }

    #[test]
    fn log_rows_come_back_and_are_bound_to_their_index() {
        let row = encode_entry(&entry(7, b"batch"));
        let read = decode_entry(&log_key(7), &row).expect("decodes");
        assert_eq!(read.log_id.index, 7);
        assert!(matches!(read.payload, EntryPayload::Normal(p) if p.as_bytes() == b"batch"));
        assert_eq!(decode_entry(&log_key(8), &row).err(), Some(BadRow::Checksum));
        for at in 5..row.len() {
            let mut flipped = row.clone();
            flipped[at] ^= 1;
            assert_eq!(decode_entry(&log_key(7), &flipped).err(), Some(BadRow::Checksum));
        }
    }

    #[test]
    fn log_rows_keep_their_format() {
        let row = encode_entry(&entry(7, b"b"));
        let hex: String = row.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "01336e0556010300000000000000090000000000000062");
    }

    #[test]
    fn the_checksum_follows_changes_in_any_order() {
        let mut one = StateChecksum::default();
        one.add(b"a", b"1");
        one.add(b"b", b"2");
        one.remove(b"a", b"1");
        one.add(b"a", b"3");
        let mut other = StateChecksum::default();
        other.add(b"a", b"3");
        other.add(b"b", b"2");
        assert_eq!(one, other);
        other.remove(b"b", b"2");
        other.add(b"b", b"old");
        assert_ne!(one, other);
    }

    #[test]
    fn state_trees_are_told_apart() {
        assert_eq!(generation_of_tree(state_tree_name(17).as_bytes()), Some(17));
        assert_eq!(generation_of_tree(b"log"), None);
    }
}
