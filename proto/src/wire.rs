//! How things become bytes, in rows and between peers: the one place that names bincode.
//!
//! Everything starts with a version byte. Integers have fixed width, so that a length can be known
//! beforehand; a limit is checked before anything is allocated, and left-over bytes are refused.
//! The encoding is positional: structs and enums only ever grow at their end, under a new version.

mod claim;
mod frame;
#[cfg(test)]
pub(crate) mod golden;
mod peer;

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

pub use claim::{AttemptOutcome, ClaimAnswer, ClaimEnd, ClaimQuestion, LoginRefusal, MAX_REFUSAL_CAUSE, RefusalKind};
pub use frame::{
    Answer, AnswerBytes, FRAME_VERSION, Frame, FrameHead, FrameKind, MAX_ANSWER, MAX_FRAME, MAX_HEAD, MAX_PAYLOAD,
    PeerRefusal, Recipient,
};
pub use peer::{
    DiskRoom, FindSession, Forward, Forwarded, FoundSession, Hello, MAX_FORWARDED_PATIENCE, Ping, ReadIndexAnswer,
    ReadIndexQuestion, Written, peers_hash,
};

/// Largest row of any tree in bytes. The store writes a leaf of rows as one page, and a page over a
/// quarter of a segment would leave the synced file.
pub const MAX_ROW: usize = 128 * 1024;

/// Why bytes were refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// More bytes than that kind of thing may have.
    #[error("{bytes} bytes, over the limit of {limit}")]
    TooLarge {
        /// What came.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Not even a version byte.
    #[error("empty")]
    Empty,
    /// A version that this program does not know.
    #[error("version {found}, but only {supported} is known")]
    Version {
        /// The first byte.
        found: u8,
        /// What this program reads.
        supported: u8,
    },
    /// A frame of a kind that this program does not know.
    #[error("unknown frame kind {0}")]
    UnknownKind(u16),
    /// Cut short, left-over bytes, or an impossible value.
    #[error("malformed")]
    Malformed,
}

/// A thing with its own version byte and size limit.
pub trait Versioned: Serialize + DeserializeOwned {
    /// The first byte of its encoding.
    const VERSION: u8;
    /// Most bytes of its encoding, the version included.
    const LIMIT: usize;

    /// Its bytes.
    fn to_bytes(&self) -> Vec<u8> {
        encode(Self::VERSION, self)
    }

    /// Reads what [`Versioned::to_bytes`] wrote.
    fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        decode(Self::VERSION, bytes, Self::LIMIT)
    }
}

fn options() -> impl Options {
    bincode::DefaultOptions::new().with_fixint_encoding().reject_trailing_bytes()
}

/// A version byte and the value. `T` is plain data: derived, without maps of unknown length.
pub fn encode<T: Serialize + ?Sized>(version: u8, value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + encoded_len(value));
    bytes.push(version);
    options().serialize_into(&mut bytes, value).expect("plain data always encodes, and memory takes every byte");
    bytes
}

/// Bytes that `value` takes without a version byte.
pub fn encoded_len<T: Serialize + ?Sized>(value: &T) -> usize {
    let len = options().serialized_size(value).expect("plain data always has a length");
    usize::try_from(len).expect("it lies in memory")
}

/// Reads what [`encode`] wrote; `limit` counts the version byte.
pub fn decode<T: DeserializeOwned>(version: u8, bytes: &[u8], limit: usize) -> Result<T, WireError> {
    if bytes.len() > limit {
        return Err(WireError::TooLarge { bytes: bytes.len(), limit });
    }
    let (&found, rest) = bytes.split_first().ok_or(WireError::Empty)?;
    if found != version {
        return Err(WireError::Version { found, supported: version });
    }
    decode_rest(rest)
}

/// Reads a value that takes up all of `bytes`. No length inside can ask for more than is there.
fn decode_rest<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    let limit = u64::try_from(bytes.len()).map_err(|_| WireError::Malformed)?;
    options().with_limit(limit).deserialize(bytes).map_err(|_| WireError::Malformed)
}
