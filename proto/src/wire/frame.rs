//! The envelope of every peer message, and what is checked before its payload is looked at.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Versioned, WireError, encode};
use crate::id::{ClusterId, Epoch, NodeId, PeerName};
use crate::wire::MAX_ROW;

/// The version of [`Frame`]'s encoding.
pub const FRAME_VERSION: u8 = 1;

/// Largest payload in bytes: 1 MiB of log entries and the one that went over it, or as much of a snapshot.
pub const MAX_PAYLOAD: usize = 1024 * 1024 + 2 * MAX_ROW;

/// Largest encoded [`FrameHead`] in bytes: two names of at most 259 bytes and fixed fields.
pub const MAX_HEAD: usize = 1024;

/// Version, kind and length of the head.
const PREFIX: usize = 1 + 2 + 2;

/// Largest frame in bytes.
pub const MAX_FRAME: usize = PREFIX + MAX_HEAD + MAX_PAYLOAD;

/// Largest answer in bytes.
pub const MAX_ANSWER: usize = MAX_FRAME;

/// What a frame asks. Append-only: the number goes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum FrameKind {
    /// Raft: append entries, or a heartbeat.
    Append = 1,
    /// Raft: a vote.
    Vote = 2,
    /// Begins a snapshot.
    SnapshotBegin = 3,
    /// A piece of a snapshot.
    SnapshotChunk = 4,
    /// Ends a snapshot: install it.
    SnapshotEnd = 5,
    /// Proposes commands for a replica that does not lead.
    Forward = 6,
    /// Asks the leader for a confirmed read index and its time.
    ReadIndex = 7,
    /// Asks the leader for one session's rows after a quorum round.
    FindSession = 8,
    /// Claims a login attempt at the leader.
    Claim = 9,
    /// Ends a claim with its outcome.
    ClaimEnd = 10,
    /// Who are you, and what do you know?
    Hello = 11,
    /// Measures the way.
    Ping = 12,
    /// While founding: here is the cluster's id, before its first entry.
    Adopt = 13,
    /// A leader about to stop: stand for election now.
    Elect = 14,
}

impl FrameKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::Append,
        Self::Vote,
        Self::SnapshotBegin,
        Self::SnapshotChunk,
        Self::SnapshotEnd,
        Self::Forward,
        Self::ReadIndex,
        Self::FindSession,
        Self::Claim,
        Self::ClaimEnd,
        Self::Hello,
        Self::Ping,
        Self::Adopt,
        Self::Elect,
    ];

    /// Its number on the wire.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The kind of that number, if this program knows it.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Whether it may cross between clusters and epochs: such a message only asks who is there.
    pub const fn is_introduction(self) -> bool {
        matches!(self, Self::Hello | Self::Ping)
    }
}

/// Who asks whom, in which cluster and epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// The sender's cluster; none only while it has not been founded or joined.
    pub cluster: Option<ClusterId>,
    /// The sender's epoch; 0 while there is none.
    pub epoch: Epoch,
    /// The sender.
    pub from: NodeId,
    /// The name that its certificate proves.
    pub from_name: PeerName,
    /// The recipient, where its id is known.
    pub to: Option<NodeId>,
    /// The name that was called.
    pub to_name: PeerName,
    /// Random: binds the answer to the question.
    pub question: [u8; 16],
    /// What is asked.
    pub kind: FrameKind,
}

/// [`FrameHead`] without its kind, which stands before it so that an unknown one can be named.
#[derive(Serialize, Deserialize)]
struct HeadFields {
    cluster: Option<ClusterId>,
    epoch: Epoch,
    from: NodeId,
    from_name: PeerName,
    to: Option<NodeId>,
    to_name: PeerName,
    question: [u8; 16],
}

/// One question to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Who asks whom.
    pub head: FrameHead,
    /// The question, encoded by its kind; at most [`MAX_PAYLOAD`].
    pub payload: Vec<u8>,
}

impl Frame {
    /// Version, kind, length of the head, head, payload.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        check_payload(self.payload.len())?;
        let head = self.head.fields().to_bytes();
        let head_len = u16::try_from(head.len()).map_err(|_| WireError::Malformed)?;
        let mut bytes = Vec::with_capacity(PREFIX + head.len() + self.payload.len());
        bytes.push(FRAME_VERSION);
        bytes.extend_from_slice(&self.head.kind.code().to_le_bytes());
        bytes.extend_from_slice(&head_len.to_le_bytes());
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&self.payload);
        Ok(bytes)
    }

    /// Checks size, version and kind, reads the head and leaves the payload alone.
    pub fn decode_head(bytes: &[u8]) -> Result<(FrameHead, &[u8]), WireError> {
        if bytes.len() > MAX_FRAME {
            return Err(WireError::TooLarge { bytes: bytes.len(), limit: MAX_FRAME });
        }
        let (&version, rest) = bytes.split_first().ok_or(WireError::Empty)?;
        if version != FRAME_VERSION {
            return Err(WireError::Version { found: version, supported: FRAME_VERSION });
        }
        let (code, rest) = split_u16(rest)?;
        let kind = FrameKind::from_code(code).ok_or(WireError::UnknownKind(code))?;
        let (head_len, rest) = split_u16(rest)?;
        let head_len = usize::from(head_len);
        let (head, payload) = rest.split_at_checked(head_len).ok_or(WireError::Malformed)?;
        check_payload(payload.len())?;
        Ok((HeadFields::from_bytes(head)?.into_head(kind)?, payload))
    }
}

fn check_payload(bytes: usize) -> Result<(), WireError> {
    if bytes > MAX_PAYLOAD {
        return Err(WireError::TooLarge { bytes, limit: MAX_PAYLOAD });
    }
    Ok(())
}

fn split_u16(bytes: &[u8]) -> Result<(u16, &[u8]), WireError> {
    let (number, rest) = bytes.split_first_chunk::<2>().ok_or(WireError::Malformed)?;
    Ok((u16::from_le_bytes(*number), rest))
}

impl Versioned for HeadFields {
    const VERSION: u8 = FRAME_VERSION;
    const LIMIT: usize = MAX_HEAD;
}

impl HeadFields {
    fn into_head(self, kind: FrameKind) -> Result<FrameHead, WireError> {
        // Bytes did not pass through the parser: a name that it would change is no name.
        let proper = |name: &PeerName| PeerName::parse(name.as_str()).is_ok_and(|parsed| parsed == *name);
        if !proper(&self.from_name) || !proper(&self.to_name) {
            return Err(WireError::Malformed);
        }
        Ok(FrameHead {
            cluster: self.cluster,
            epoch: self.epoch,
            from: self.from,
            from_name: self.from_name,
            to: self.to,
            to_name: self.to_name,
            question: self.question,
            kind,
        })
    }
}

/// What a replica knows of itself when a frame comes in.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// Its cluster, once founded or joined.
    pub cluster: Option<ClusterId>,
    /// Its epoch as applied; 0 while there is none.
    pub epoch: Epoch,
    /// Itself.
    pub node: NodeId,
    /// Its own name.
    pub name: PeerName,
}

impl FrameHead {
    fn fields(&self) -> HeadFields {
        HeadFields {
            cluster: self.cluster,
            epoch: self.epoch,
            from: self.from,
            from_name: self.from_name.clone(),
            to: self.to,
            to_name: self.to_name.clone(),
            question: self.question,
        }
    }

    /// Whether this frame is for `me`, from my cluster and of my time. The sender's certificate is
    /// the caller's to hold against `from_name`, and `from_name` against the members.
    ///
    /// A sender may be an epoch ahead, for a new one arrives by the log and so by such frames; one
    /// behind is a replica that a recovery or a re-key has left.
    pub fn admit(&self, me: &Recipient) -> Result<(), PeerRefusal> {
        if self.to_name != me.name || self.to.is_some_and(|to| to != me.node) {
            return Err(PeerRefusal::WrongRecipient);
        }
        if self.kind.is_introduction() {
            return Ok(());
        }
        if me.cluster.is_some() && self.cluster != me.cluster {
            return Err(PeerRefusal::WrongCluster);
        }
        if self.epoch < me.epoch {
            return Err(PeerRefusal::OldEpoch);
        }
        Ok(())
    }
}

/// Why a peer did not answer a question. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum PeerRefusal {
    /// The frame names another cluster.
    #[error("belongs to another cluster")]
    WrongCluster,
    /// The frame is meant for another replica.
    #[error("is not the replica that was called")]
    WrongRecipient,
    /// The sender is no configured peer, or its certificate proves another name.
    #[error("does not know the sender")]
    UnknownSender,
    /// The sender stands in an epoch that is over.
    #[error("is in a newer epoch")]
    OldEpoch,
    /// The question goes to the leader.
    #[error("does not lead")]
    NotLeader {
        /// Who leads, as far as known.
        leader: Option<NodeId>,
    },
    /// A size limit was passed.
    #[error("finds the message too large")]
    TooLarge,
    /// Not caught up, or not founded.
    #[error("is not ready")]
    NotReady,
    /// A bounded queue is full.
    #[error("is busy")]
    Busy,
    /// The bytes are not what the kind says.
    #[error("cannot read the message")]
    Malformed,
    /// A frame version or kind that this program does not know.
    #[error("does not know this kind of message")]
    Unsupported,
    /// It took longer than the sender would wait.
    #[error("did not finish in time")]
    Deadline,
}

impl From<WireError> for PeerRefusal {
    fn from(error: WireError) -> Self {
        match error {
            WireError::TooLarge { .. } => Self::TooLarge,
            WireError::Version { .. } | WireError::UnknownKind(_) => Self::Unsupported,
            WireError::Empty | WireError::Malformed => Self::Malformed,
        }
    }
}

/// One answer of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// [`FrameHead::question`] of the frame it answers.
    pub question: [u8; 16],
    /// Who answers.
    pub from: NodeId,
    /// The answer, encoded by the question's kind, or why there is none.
    pub payload: Result<AnswerBytes, PeerRefusal>,
}

/// The bytes of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AnswerBytes(#[serde(with = "serde_bytes")] pub Vec<u8>);

impl Answer {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode(FRAME_VERSION, self)
    }

    /// Reads an answer and holds it against its question.
    pub fn decode(bytes: &[u8], question: &[u8; 16]) -> Result<Self, WireError> {
        let answer: Self = super::decode(FRAME_VERSION, bytes, MAX_ANSWER)?;
        if answer.question != *question {
            return Err(WireError::Malformed);
        }
        Ok(answer)
    }
}

const _: () = {
    let names = 2 * (8 + crate::id::MAX_PEER_NAME_LEN);
    assert!(1 + (1 + ClusterId::LEN) + 4 + 8 + (1 + 8) + 16 + names <= MAX_HEAD);
    assert!(MAX_HEAD <= u16::MAX as usize);
};

#[cfg(test)]
mod tests;
