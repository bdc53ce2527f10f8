//! One replicated log entry: a batch of commands. Variants are append-only; the schema version comes first.

use serde::{Deserialize, Serialize};

use crate::cookie::MAX_COOKIES_TRIED;
use crate::id::{
    AttemptId, ClusterId, Epoch, FeatureLevel, KeyId, LogIndex, MAX_NAME_LEN, ProcessId, ProviderId, SessionKey,
    SidKey, SiteId, SubjectKey,
};
use crate::session::{MAX_SEALED_BODY, MAX_SEALED_LABEL};
use crate::time::{Timestamp, Ttl};
use crate::wire::{self, MAX_ROW, Versioned};

/// Version of the encoding of [`Batch`].
pub const BATCH_SCHEMA: u8 = 1;

/// Most commands in one entry: the knee of the measured curve of durable appends.
pub const MAX_BATCH_COMMANDS: usize = 64;

/// Most bytes of commands in one entry: with its frame it stays under the store's 128 KiB row.
pub const MAX_BATCH_BYTES: usize = 120 * 1024;

/// Room that a log row leaves for what the log wraps around a batch: log id, kind and lengths.
pub const LOG_ROW_FRAME: usize = 1024;
const _: () = assert!(1 + 8 + 8 + MAX_BATCH_BYTES + LOG_ROW_FRAME <= MAX_ROW);

/// The feature level that this program speaks.
pub const FEATURE_LEVEL: FeatureLevel = FeatureLevel::new(1);

/// The epoch a cluster is founded in; 0 stands for none.
pub const FIRST_EPOCH: Epoch = Epoch::new(1);

/// Most secrets a cluster key is wrapped under: two or three during a rotation, with room.
pub const MAX_ENVELOPES: usize = 16;

/// Longest sealed cluster key in bytes: nonce, key and tag, with room for a later format.
pub const MAX_SEALED_KEY: usize = 256;

/// Most sessions that one revocation removes at once: one person's browsers, and all of an entry's
/// revocations together within [`MAX_CHANGE_BYTES`].
pub const REVOKE_NOW: usize = 16;

/// Most of a person's sessions that one login ends to make room for itself, for the same reason. A
/// lowered limit takes effect over several logins.
pub const MOST_ENDED_BY_LOGIN: usize = REVOKE_NOW;

/// Most things that the [`Command::ExpireUpTo`]s of one entry forget together, for the same reason.
pub const MAX_EXPIRE: usize = 512;

/// Most bytes of keys and values that one entry changes. They are written at once, and the store
/// syncs after 2 MiB at the latest, its own bytes for each row included.
pub const MAX_CHANGE_BYTES: usize = 1024 * 1024;

/// Most sessions that one login ends: as many as cookies of one request are tried.
pub const MAX_REPLACED: usize = MAX_COOKIES_TRIED;
const _: () = assert!(MAX_REPLACED <= REVOKE_NOW, "a login ends no more than a revocation");

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
#[expect(clippy::large_enum_variant, reason = "most commands are logins, and a batch holds at most 64")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// The first command of a cluster. Later ones are refused.
    Found(Found),
    /// A login.
    CreateSession(CreateSession),
    /// Ends sessions.
    Revoke(Revoke),
    /// Forgets what the entry's clock has passed: expired sessions, those of older epochs, and
    /// results, attempts, tombstones and not-before marks whose windows are over.
    ExpireUpTo {
        /// At most so many things; all of an entry's together never more than [`MAX_EXPIRE`].
        limit: u32,
    },
    /// Wraps the cluster key under further cookie secrets, and drops the named ones.
    SetEnvelopes {
        /// The epoch whose cluster key the envelopes hold; refused if another began meanwhile, for
        /// they would lock the new key out.
        epoch: Epoch,
        /// Removed, before anything is added.
        remove: Vec<KeyId>,
        /// Added or replaced, by key id.
        put: Vec<KeyEnvelope>,
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
    #[serde(with = "serde_bytes")]
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
    #[serde(with = "serde_bytes")]
    pub label: Vec<u8>,
    /// Sealed body, at most [`crate::session::MAX_SEALED_BODY`].
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// Sessions whose cookies came with the login: they end as this one begins. At most [`MAX_REPLACED`].
    pub replaces: Vec<SessionKey>,
    /// Most sessions of one person, this one included; 0 = no limit. Beyond it this login ends the
    /// oldest, at most [`MOST_ENDED_BY_LOGIN`]. It stands in the command, so that replicas with
    /// different configurations do the same.
    pub sessions_per_person: u32,
}

/// Which sessions to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Revoke {
    /// One session.
    Session(SessionKey),
    /// All sessions of one person that earlier entries created. The first [`REVOKE_NOW`] go at
    /// once; a not-before mark makes the others dead until they are swept.
    Subject(SubjectKey),
    /// The sessions of one provider session. An outcome of [`REVOKE_NOW`] means that there may be
    /// more: revoke again.
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
    /// So many things were forgotten or looked at; a full limit means that there may be more.
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
    /// The change would leave no envelope or too many, lower the level, or make a session without
    /// a lifetime.
    Invalid,
    /// The leader has too little disk space for another session, or too many members have: it
    /// proposed nothing. Never an outcome of `apply`.
    StorageNearlyFull,
}

impl Batch {
    /// A batch of the current schema.
    pub fn new(stamped_at: Timestamp, commands: Vec<Tagged>) -> Self {
        Self { schema: BATCH_SCHEMA, stamped_at, commands }
    }

    /// Whether this program knows the batch's schema. One it does not know must not be applied:
    /// skipping it would make replicas differ.
    pub fn is_understood(&self) -> bool {
        self.schema == BATCH_SCHEMA
    }

    /// Whether number and bytes of the commands are within an entry's limits.
    pub fn is_within_limits(&self) -> bool {
        let bytes: usize = self.commands.iter().map(Tagged::encoded_len).sum();
        self.commands.len() <= MAX_BATCH_COMMANDS && bytes <= MAX_BATCH_BYTES
    }
}

impl Versioned for Batch {
    const VERSION: u8 = BATCH_SCHEMA;
    const LIMIT: usize = MAX_ROW;
}

impl Tagged {
    /// Bytes that this command takes in a batch.
    pub fn encoded_len(&self) -> usize {
        wire::encoded_len(self)
    }
}

impl Command {
    /// Whether doing it twice is as good as doing it once, so that no result need be remembered.
    pub fn repeats_safely(&self) -> bool {
        match self {
            Self::ExpireUpTo { .. } => true,
            Self::Found(_)
            | Self::CreateSession(_)
            | Self::Revoke(_)
            | Self::SetEnvelopes { .. }
            | Self::Rekey { .. }
            | Self::RaiseFeatureLevel(_) => false,
        }
    }

    /// Whether it takes room for a session's life. Everything else is small, or frees room: it must
    /// go on when the disk is nearly full.
    pub fn needs_room(&self) -> bool {
        match self {
            Self::CreateSession(_) => true,
            Self::Found(_)
            | Self::Revoke(_)
            | Self::ExpireUpTo { .. }
            | Self::SetEnvelopes { .. }
            | Self::Rekey { .. }
            | Self::RaiseFeatureLevel(_) => false,
        }
    }

    /// Checks sizes and counts: what a proposer asks before it proposes and `apply` before it acts.
    pub fn check_limits(&self) -> Result<(), Refusal> {
        match self {
            Self::Found(found) => check_envelopes(&found.envelopes),
            Self::CreateSession(create) => create.check_limits(),
            Self::SetEnvelopes { put, remove, .. } => {
                if remove.len() > MAX_ENVELOPES {
                    return Err(Refusal::TooLarge);
                }
                check_envelopes(put)
            }
            Self::Rekey { envelopes, .. } => check_envelopes(envelopes),
            Self::Revoke(_) | Self::ExpireUpTo { .. } | Self::RaiseFeatureLevel(_) => Ok(()),
        }
    }
}

fn check_envelopes(envelopes: &[KeyEnvelope]) -> Result<(), Refusal> {
    let too_many = envelopes.len() > MAX_ENVELOPES;
    if too_many || envelopes.iter().any(|envelope| envelope.sealed.len() > MAX_SEALED_KEY) {
        return Err(Refusal::TooLarge);
    }
    Ok(())
}

impl CreateSession {
    fn check_limits(&self) -> Result<(), Refusal> {
        // A name that came over the wire did not pass through its parser.
        let names_fit = self.provider.as_str().len() <= MAX_NAME_LEN && self.site.as_str().len() <= MAX_NAME_LEN;
        let envelopes_fit = self.label.len() <= MAX_SEALED_LABEL && self.body.len() <= MAX_SEALED_BODY;
        let fits = names_fit && envelopes_fit && self.replaces.len() <= MAX_REPLACED;
        if !fits {
            return Err(Refusal::TooLarge);
        }
        if self.lifetime == Ttl::ZERO {
            return Err(Refusal::Invalid);
        }
        Ok(())
    }
}

/// The largest login: tag, variant, keys, names, the two envelopes with their lengths, and whom it replaces.
const LARGEST_CREATE: usize = (ProcessId::LEN + 8 + 8)
    + 4
    + (SessionKey::LEN + AttemptId::LEN + 4 + 2 * (8 + MAX_NAME_LEN) + 8 + SubjectKey::LEN + 1 + SidKey::LEN)
    + (8 + MAX_SEALED_LABEL)
    + (8 + MAX_SEALED_BODY)
    + (8 + MAX_REPLACED * SessionKey::LEN)
    + 4;
const _: () = assert!(LARGEST_CREATE <= MAX_BATCH_BYTES, "every login that is accepted fits into one entry");

#[cfg(test)]
mod tests;
