//! One replicated log entry: a batch of commands. Variants are append-only; the schema version comes first.

use serde::{Deserialize, Serialize};

use crate::id::{
    AttemptId, ClusterId, Epoch, FeatureLevel, KeyId, LogIndex, ProcessId, ProviderId, SessionKey, SidKey, SiteId,
    SubjectKey,
};
use crate::time::{Timestamp, Ttl};

/// Version of the encoding of [`Batch`].
pub const BATCH_SCHEMA: u8 = 1;

/// Most commands in one entry: the knee of the measured curve of durable appends.
pub const MAX_BATCH_COMMANDS: usize = 64;

/// Most bytes of commands in one entry: with its frame it stays under the store's 128 KiB row.
pub const MAX_BATCH_BYTES: usize = 120 * 1024;

/// How long, in log time, the result of a command is remembered and a retry of it is safe; older
/// commands are refused. A tombstone lives as long.
pub const RETRY_WINDOW: Ttl = Ttl::from_secs(120);

/// How long a login attempt is remembered after it made a session: longer than a login cookie lives.
pub const ATTEMPT_WINDOW: Ttl = Ttl::from_secs(20 * 60);

/// One log entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// [`BATCH_SCHEMA`] of the proposer.
    pub schema: u8,
    /// The proposing leader's clock; `apply` takes the later of it and the last stamp.
    pub stamped_at: Timestamp,
    /// At most [`MAX_BATCH_COMMANDS`], together at most [`MAX_BATCH_BYTES`].
    pub commands: Vec<Tagged>,
}

/// A command with the name of the write it belongs to, so that a retry after an unknown result is safe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tagged {
    /// Names the write.
    pub tag: Tag,
    /// What to do.
    pub command: Command,
}

/// The name of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tag {
    /// The process that asked.
    pub process: ProcessId,
    /// Its running number there.
    pub sequence: u64,
    /// The leader's time as that process knew it when it first asked.
    pub known_time: Timestamp,
}

/// What can be done to the replicated state. Append-only: the position of a variant is part of the log format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// The first command of a cluster. Later ones are refused.
    Found(Found),
    /// A login.
    CreateSession(CreateSession),
    /// Ends sessions.
    Revoke(Revoke),
    /// Forgets expired sessions, remembered results, attempts and tombstones.
    ExpireUpTo {
        /// At most so many rows of each kind: bounds one entry's work.
        limit: u32,
    },
    /// Wraps the cluster key under further cookie secrets, and drops the named ones.
    SetEnvelopes {
        /// Added or replaced, by key id.
        put: Vec<KeyEnvelope>,
        /// Removed.
        remove: Vec<KeyId>,
    },
    /// Begins a new epoch with a new cluster key: ends every session.
    Rekey {
        /// The epoch this starts from; refused if it is not the current one.
        from: Epoch,
        /// The new key, wrapped under each configured secret.
        envelopes: Vec<KeyEnvelope>,
    },
    /// Allows commands, rows and frames of that level.
    RaiseFeatureLevel(FeatureLevel),
}

/// See [`Command::Found`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Minted by the founder.
    pub cluster: ClusterId,
    /// The random cluster key, wrapped under each configured cookie secret.
    pub envelopes: Vec<KeyEnvelope>,
    /// The level the founder's program speaks.
    pub feature_level: FeatureLevel,
}

/// The cluster key, sealed under one cookie secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEnvelope {
    /// Which secret opens it.
    pub key_id: KeyId,
    /// AEAD ciphertext (see `keyring`).
    pub sealed: Vec<u8>,
}

/// See [`Command::CreateSession`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateSession {
    /// SHA-256 of the session id that the proposer drew.
    pub key: SessionKey,
    /// The login attempt; one makes at most one session.
    pub attempt: AttemptId,
    /// The epoch whose cluster key sealed the envelopes; refused if another began meanwhile.
    pub epoch: Epoch,
    /// Which provider vouched.
    pub provider: ProviderId,
    /// For which site.
    pub site: SiteId,
    /// Lifetime from the entry's stamp.
    pub lifetime: Ttl,
    /// Finds all sessions of one person.
    pub subject: SubjectKey,
    /// Finds the session of a provider's session.
    pub sid: Option<SidKey>,
    /// Sealed label, at most [`crate::session::MAX_SEALED_LABEL`].
    pub label: Vec<u8>,
    /// Sealed body, at most [`crate::session::MAX_SEALED_BODY`].
    pub body: Vec<u8>,
}

/// Which sessions to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Revoke {
    /// One session.
    Session(SessionKey),
    /// All sessions of one person that were created before this entry.
    Subject(SubjectKey),
    /// The session of one provider session.
    Sid(SidKey),
}

/// What a command did. Remembered for [`RETRY_WINDOW`]; append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done, with nothing to add.
    Done,
    /// The session exists.
    Created {
        /// Expiry by the entry's stamp.
        expires_at: Timestamp,
        /// The entry that made it: goes into the ticket (a retried write reports the first entry's).
        index: LogIndex,
    },
    /// So many sessions ended; 0 when none was there.
    Revoked(u32),
    /// So many rows were forgotten; a full `limit` means there may be more.
    Expired(u32),
    /// Nothing was changed.
    Refused(Refusal),
}

/// Why a command changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The cluster was already founded.
    AlreadyFounded,
    /// The cluster has not been founded yet.
    NotFounded,
    /// This attempt already made a session.
    AttemptUsed,
    /// The command's epoch is not the current one.
    WrongEpoch,
    /// The command is older than [`RETRY_WINDOW`]: its result may have been forgotten.
    TooOld,
    /// An envelope is over its limit.
    TooLarge,
    /// A session of this key exists already or its tombstone stands.
    KeyTaken,
    /// The change would leave no envelope, or lower the level.
    Invalid,
}
