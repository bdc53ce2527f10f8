//! The keys and rows of the one state tree: sessions, their indexes, and what is remembered for a while.
//!
//! A key is one byte of [`RowKind`] and fixed-width fields, numbers big-endian, so that byte order is
//! the order of the fields. Keys that begin with a time are named after the instant from which the
//! thing they point at may be forgotten.

mod rows;

use crate::id::{AttemptId, LogIndex, ProcessId, SessionKey, SidKey, SubjectKey};
use crate::time::Timestamp;

pub use rows::{AttemptRow, ClockRow, FoundedState, NotBeforeRow, ResultRow, SessionCountRow, SweepRow, TombstoneRow};

/// What a row is. Append-only: the number is the key's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RowKind {
    /// One of the few single rows, by [`MetaKey`].
    Meta = 0x01,
    /// [`crate::session::IndexRow`] by session.
    Index = 0x10,
    /// [`crate::session::BodyRow`] by session.
    Body = 0x11,
    /// A session by its expiry; no value.
    ByExpiry = 0x12,
    /// A session by subject and creating entry; no value.
    BySubject = 0x13,
    /// A session by its provider's session; no value.
    BySid = 0x14,
    /// [`SessionCountRow`] by subject.
    SessionCount = 0x15,
    /// [`AttemptRow`] by login attempt.
    Attempt = 0x20,
    /// A login attempt by its end; no value.
    AttemptDue = 0x21,
    /// [`ResultRow`] by tag.
    Result = 0x30,
    /// A result by its end; no value.
    ResultDue = 0x31,
    /// [`TombstoneRow`] by session.
    Tombstone = 0x40,
    /// A tombstone by its end; no value.
    TombstoneDue = 0x41,
    /// [`NotBeforeRow`] by subject.
    NotBefore = 0x50,
    /// A not-before mark by its end; no value.
    NotBeforeDue = 0x51,
}

impl RowKind {
    /// Every kind, in key order.
    pub const ALL: [Self; 15] = [
        Self::Meta,
        Self::Index,
        Self::Body,
        Self::ByExpiry,
        Self::BySubject,
        Self::BySid,
        Self::SessionCount,
        Self::Attempt,
        Self::AttemptDue,
        Self::Result,
        Self::ResultDue,
        Self::Tombstone,
        Self::TombstoneDue,
        Self::NotBefore,
        Self::NotBeforeDue,
    ];

    /// The first byte of its keys.
    pub const fn prefix(self) -> u8 {
        self as u8
    }

    /// First key of this kind and first key after it.
    pub fn range(self) -> (Vec<u8>, Vec<u8>) {
        (vec![self.prefix()], vec![self.prefix() + 1])
    }
}

/// The single rows. Append-only. The last two are the store's own: `apply` neither reads nor writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MetaKey {
    /// [`ClockRow`]: the latest stamp.
    Clock = 1,
    /// [`FoundedState`].
    Founded = 2,
    /// [`SweepRow`]: how far the sweep of older epochs has come; absent when none is due.
    Sweep = 3,
    /// The store's: the last applied log id.
    Applied = 0x80,
    /// The store's: the last applied membership.
    Membership = 0x81,
}

impl MetaKey {
    const ALL: [Self; 5] = [Self::Clock, Self::Founded, Self::Sweep, Self::Applied, Self::Membership];
}

/// A parsed key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// See [`RowKind::Meta`].
    Meta(MetaKey),
    /// See [`RowKind::Index`].
    Index(SessionKey),
    /// See [`RowKind::Body`].
    Body(SessionKey),
    /// See [`RowKind::ByExpiry`].
    ByExpiry(Timestamp, SessionKey),
    /// See [`RowKind::BySubject`].
    BySubject(SubjectKey, LogIndex, SessionKey),
    /// See [`RowKind::BySid`].
    BySid(SidKey, SessionKey),
    /// See [`RowKind::SessionCount`].
    SessionCount(SubjectKey),
    /// See [`RowKind::Attempt`].
    Attempt(AttemptId),
    /// See [`RowKind::AttemptDue`].
    AttemptDue(Timestamp, AttemptId),
    /// See [`RowKind::Result`].
    Result(ProcessId, u64),
    /// See [`RowKind::ResultDue`].
    ResultDue(Timestamp, ProcessId, u64),
    /// See [`RowKind::Tombstone`].
    Tombstone(SessionKey),
    /// See [`RowKind::TombstoneDue`].
    TombstoneDue(Timestamp, SessionKey),
    /// See [`RowKind::NotBefore`].
    NotBefore(SubjectKey),
    /// See [`RowKind::NotBeforeDue`].
    NotBeforeDue(Timestamp, SubjectKey),
}

impl Key {
    /// What its row is.
    pub const fn kind(&self) -> RowKind {
        match self {
            Self::Meta(_) => RowKind::Meta,
            Self::Index(_) => RowKind::Index,
            Self::Body(_) => RowKind::Body,
            Self::ByExpiry(..) => RowKind::ByExpiry,
            Self::BySubject(..) => RowKind::BySubject,
            Self::BySid(..) => RowKind::BySid,
            Self::SessionCount(_) => RowKind::SessionCount,
            Self::Attempt(_) => RowKind::Attempt,
            Self::AttemptDue(..) => RowKind::AttemptDue,
            Self::Result(..) => RowKind::Result,
            Self::ResultDue(..) => RowKind::ResultDue,
            Self::Tombstone(_) => RowKind::Tombstone,
            Self::TombstoneDue(..) => RowKind::TombstoneDue,
            Self::NotBefore(_) => RowKind::NotBefore,
            Self::NotBeforeDue(..) => RowKind::NotBeforeDue,
        }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let start = Prefix::of(self.kind());
        match self {
            Self::Meta(meta) => start.bytes(&[*meta as u8]),
            Self::Index(key) | Self::Body(key) | Self::Tombstone(key) => start.bytes(key.as_bytes()),
            Self::ByExpiry(at, key) | Self::TombstoneDue(at, key) => start.time(*at).bytes(key.as_bytes()),
            Self::BySubject(subject, index, key) => {
                start.bytes(subject.as_bytes()).number(index.get()).bytes(key.as_bytes())
            }
            Self::BySid(sid, key) => start.bytes(sid.as_bytes()).bytes(key.as_bytes()),
            Self::Attempt(attempt) => start.bytes(attempt.as_bytes()),
            Self::AttemptDue(at, attempt) => start.time(*at).bytes(attempt.as_bytes()),
            Self::Result(process, sequence) => start.bytes(process.as_bytes()).number(*sequence),
            Self::ResultDue(at, process, sequence) => start.time(*at).bytes(process.as_bytes()).number(*sequence),
            Self::SessionCount(subject) | Self::NotBefore(subject) => start.bytes(subject.as_bytes()),
            Self::NotBeforeDue(at, subject) => start.time(*at).bytes(subject.as_bytes()),
        }
        .0
    }

    /// Reads a key; none if the bytes are no key of this tree.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let (prefix, rest) = key.split_first()?;
        let kind = RowKind::ALL.into_iter().find(|kind| kind.prefix() == *prefix)?;
        let mut fields = Fields(rest);
        let key = match kind {
            RowKind::Meta => {
                let [code] = fields.take()?;
                Self::Meta(MetaKey::ALL.into_iter().find(|meta| *meta as u8 == code)?)
            }
            RowKind::Index => Self::Index(fields.session()?),
            RowKind::Body => Self::Body(fields.session()?),
            RowKind::ByExpiry => Self::ByExpiry(fields.time()?, fields.session()?),
            RowKind::BySubject => {
                Self::BySubject(fields.subject()?, LogIndex::new(fields.number()?), fields.session()?)
            }
            RowKind::BySid => Self::BySid(SidKey::from_bytes(fields.take()?), fields.session()?),
            RowKind::SessionCount => Self::SessionCount(fields.subject()?),
            RowKind::Attempt => Self::Attempt(fields.attempt()?),
            RowKind::AttemptDue => Self::AttemptDue(fields.time()?, fields.attempt()?),
            RowKind::Result => Self::Result(fields.process()?, fields.number()?),
            RowKind::ResultDue => Self::ResultDue(fields.time()?, fields.process()?, fields.number()?),
            RowKind::Tombstone => Self::Tombstone(fields.session()?),
            RowKind::TombstoneDue => Self::TombstoneDue(fields.time()?, fields.session()?),
            RowKind::NotBefore => Self::NotBefore(fields.subject()?),
            RowKind::NotBeforeDue => Self::NotBeforeDue(fields.time()?, fields.subject()?),
        };
        fields.0.is_empty().then_some(key)
    }
}

/// What the row of `key` is; none if it is no key of this tree.
pub fn classify(key: &[u8]) -> Option<RowKind> {
    Key::decode(key).map(|key| key.kind())
}

/// The key of a session's index row.
pub fn index_row_key(session: &SessionKey) -> Vec<u8> {
    Key::Index(*session).encode()
}

/// The key of a session's body row.
pub fn body_row_key(session: &SessionKey) -> Vec<u8> {
    Key::Body(*session).encode()
}

/// The key of a session's tombstone.
pub fn tombstone_key(session: &SessionKey) -> Vec<u8> {
    Key::Tombstone(*session).encode()
}

/// The key of a login attempt's row.
pub fn attempt_key(attempt: &AttemptId) -> Vec<u8> {
    Key::Attempt(*attempt).encode()
}

/// The key of the number of a person's sessions.
pub fn session_count_key(subject: &SubjectKey) -> Vec<u8> {
    Key::SessionCount(*subject).encode()
}

/// The key of a person's not-before mark.
pub fn not_before_key(subject: &SubjectKey) -> Vec<u8> {
    Key::NotBefore(*subject).encode()
}

/// The key of a single row.
pub fn meta_key(meta: MetaKey) -> Vec<u8> {
    Key::Meta(meta).encode()
}

/// The session that an index, body or tombstone row belongs to.
pub fn session_key_of(key: &[u8]) -> Option<SessionKey> {
    match Key::decode(key)? {
        Key::Index(session) | Key::Body(session) | Key::Tombstone(session) => Some(session),
        Key::Meta(_)
        | Key::ByExpiry(..)
        | Key::BySubject(..)
        | Key::BySid(..)
        | Key::SessionCount(_)
        | Key::Attempt(_)
        | Key::AttemptDue(..)
        | Key::Result(..)
        | Key::ResultDue(..)
        | Key::TombstoneDue(..)
        | Key::NotBefore(_)
        | Key::NotBeforeDue(..) => None,
    }
}

/// Everything of `kind` due before `now`, as a half-open range of keys.
pub(crate) fn due_before(kind: RowKind, now: Timestamp) -> (Vec<u8>, Vec<u8>) {
    (vec![kind.prefix()], Prefix::of(kind).time(now).0)
}

/// Sessions of `subject` that entries before `index` made.
pub(crate) fn subject_before(subject: &SubjectKey, index: LogIndex) -> (Vec<u8>, Vec<u8>) {
    let from = Prefix::of(RowKind::BySubject).bytes(subject.as_bytes());
    let to = Prefix::of(RowKind::BySubject).bytes(subject.as_bytes()).number(index.get());
    (from.0, to.0)
}

/// All sessions of `subject`, the oldest first.
pub(crate) fn subject_all(subject: &SubjectKey) -> (Vec<u8>, Vec<u8>) {
    let from = Prefix::of(RowKind::BySubject).bytes(subject.as_bytes());
    // One byte longer than any key of that person, and not smaller than any.
    let to = Prefix::of(RowKind::BySubject).bytes(subject.as_bytes()).bytes(&[u8::MAX; 8 + SessionKey::LEN + 1]);
    (from.0, to.0)
}

/// Sessions of `sid`.
pub(crate) fn sid_range(sid: &SidKey) -> (Vec<u8>, Vec<u8>) {
    let from = Prefix::of(RowKind::BySid).bytes(sid.as_bytes());
    // One byte longer than any key of that sid, and not smaller than any.
    let to = Prefix::of(RowKind::BySid).bytes(sid.as_bytes()).bytes(&[u8::MAX; SessionKey::LEN + 1]);
    (from.0, to.0)
}

/// Index rows from `session` on.
pub(crate) fn index_rows_from(session: &SessionKey) -> (Vec<u8>, Vec<u8>) {
    (index_row_key(session), RowKind::Index.range().1)
}

/// A key under construction.
struct Prefix(Vec<u8>);

impl Prefix {
    fn of(kind: RowKind) -> Self {
        let mut key = Vec::with_capacity(1 + SubjectKey::LEN + 8 + SessionKey::LEN);
        key.push(kind.prefix());
        Self(key)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn number(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    fn time(self, at: Timestamp) -> Self {
        self.number(at.as_millis())
    }
}

/// What is left of a key while it is read.
struct Fields<'k>(&'k [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn time(&mut self) -> Option<Timestamp> {
        self.number().map(Timestamp::from_millis)
    }

    fn session(&mut self) -> Option<SessionKey> {
        self.take().map(SessionKey::from_bytes)
    }

    fn subject(&mut self) -> Option<SubjectKey> {
        self.take().map(SubjectKey::from_bytes)
    }

    fn attempt(&mut self) -> Option<AttemptId> {
        self.take().map(AttemptId::from_bytes)
    }

    fn process(&mut self) -> Option<ProcessId> {
        self.take().map(ProcessId::from_bytes)
    }
}

#[cfg(test)]
mod tests;
