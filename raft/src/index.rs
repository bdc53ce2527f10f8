//! The in-memory index of every live session: what the auth check reads instead of sled.
//!
//! Only `apply` and the installation of a snapshot write it; the index rows of the state are what
//! it is rebuilt from at start.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use conclave_proto::id::{LogIndex, SessionKey, SubjectKey};
use conclave_proto::keyspace::{Key, NotBeforeRow, RowKind};
use conclave_proto::session::IndexRow;
use conclave_proto::transition::Change;
use conclave_proto::wire::{Versioned, WireError};
use papaya::HashMap;
use tokio::sync::watch;

/// The keys are digests of random ids, or MACs: their own bytes are as good as any hash of them.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(head) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*head);
        }
    }

    // The length of the array, which is the same for all keys.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

type DigestMap<K, V> = HashMap<K, V, BuildHasherDefault<DigestHasher>>;

/// Every live session, the tombstones and the not-before marks.
pub struct SessionIndex {
    sessions: DigestMap<SessionKey, Arc<IndexRow>>,
    tombstones: DigestMap<SessionKey, ()>,
    not_before: DigestMap<SubjectKey, LogIndex>,
    applied: watch::Sender<LogIndex>,
}

impl Default for SessionIndex {
    fn default() -> Self {
        Self {
            sessions: DigestMap::default(),
            tombstones: DigestMap::default(),
            not_before: DigestMap::default(),
            applied: watch::Sender::new(LogIndex::default()),
        }
    }
}

impl SessionIndex {
    /// The row of a session, borrowed: no clone, no lock. Whether it still lives is the caller's
    /// to ask (expiry, epoch, [`SessionIndex::not_before`]).
    pub fn get<T>(&self, key: &SessionKey, read: impl FnOnce(&Arc<IndexRow>) -> T) -> Option<T> {
        self.sessions.pin().get(key).map(read)
    }

    /// Whether the session was revoked within the retry window.
    pub fn is_tombstoned(&self, key: &SessionKey) -> bool {
        self.tombstones.pin().contains_key(key)
    }

    /// Sessions of this person that entries before the returned one made are dead.
    pub fn not_before(&self, subject: &SubjectKey) -> Option<LogIndex> {
        self.not_before.pin().get(subject).copied()
    }

    /// Number of sessions that have an index row.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is no session at all.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// The last entry whose effect this index shows.
    pub fn applied(&self) -> LogIndex {
        *self.applied.borrow()
    }

    /// Follows [`SessionIndex::applied`].
    pub fn watch_applied(&self) -> watch::Receiver<LogIndex> {
        self.applied.subscribe()
    }

    /// Follows one entry's changes.
    pub(crate) fn follow(&self, changes: &[Change]) -> Result<(), WireError> {
        changes.iter().try_for_each(|change| match change {
            Change::Put { key, value } => self.put(key, value),
            Change::Delete { key } => {
                self.delete(key);
                Ok(())
            }
        })
    }

    /// Says that the effects of the entries up to `index` are visible.
    pub(crate) fn publish(&self, index: LogIndex) {
        self.applied.send_replace(index);
    }

    /// Takes in one row of the state; rows of other kinds leave it as it is.
    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), WireError> {
        match indexed(key) {
            Some(Indexed::Session(key)) => {
                self.sessions.pin().insert(key, Arc::new(IndexRow::from_bytes(value)?));
            }
            Some(Indexed::Tombstone(key)) => {
                self.tombstones.pin().insert(key, ());
            }
            Some(Indexed::NotBefore(subject)) => {
                self.not_before.pin().insert(subject, NotBeforeRow::from_bytes(value)?.index);
            }
            None => {}
        }
        Ok(())
    }

    fn delete(&self, key: &[u8]) {
        match indexed(key) {
            Some(Indexed::Session(key)) => {
                self.sessions.pin().remove(&key);
            }
            Some(Indexed::Tombstone(key)) => {
                self.tombstones.pin().remove(&key);
            }
            Some(Indexed::NotBefore(subject)) => {
                self.not_before.pin().remove(&subject);
            }
            None => {}
        }
    }

    /// Makes this the index of `rows`, which are all rows of [`INDEXED_KINDS`]. Readers meet, row by
    /// row, the older or the newer state.
    pub(crate) fn replace<E: From<WireError>>(
        &self,
        rows: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), E>>,
    ) -> Result<(), E> {
        let mut seen = HashSet::new();
        for row in rows {
            let (key, value) = row?;
            self.put(&key, &value)?;
            seen.extend(indexed(&key));
        }
        self.sessions.pin().retain(|key, _| seen.contains(&Indexed::Session(*key)));
        self.tombstones.pin().retain(|key, ()| seen.contains(&Indexed::Tombstone(*key)));
        self.not_before.pin().retain(|subject, _| seen.contains(&Indexed::NotBefore(*subject)));
        Ok(())
    }
}

/// The kinds of rows that the index is made of.
pub(crate) const INDEXED_KINDS: [RowKind; 3] = [RowKind::Index, RowKind::Tombstone, RowKind::NotBefore];

/// A row that the index shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Indexed {
    Session(SessionKey),
    Tombstone(SessionKey),
    NotBefore(SubjectKey),
}

fn indexed(key: &[u8]) -> Option<Indexed> {
    match Key::decode(key)? {
        Key::Index(key) => Some(Indexed::Session(key)),
        Key::Tombstone(key) => Some(Indexed::Tombstone(key)),
        Key::NotBefore(subject) => Some(Indexed::NotBefore(subject)),
        Key::Meta(_)
        | Key::Body(_)
        | Key::ByExpiry(..)
        | Key::BySubject(..)
        | Key::BySid(..)
        | Key::SessionCount(_)
        | Key::Attempt(_)
        | Key::AttemptDue(..)
        | Key::Result(..)
        | Key::ResultDue(..)
        | Key::TombstoneDue(..)
        | Key::NotBeforeDue(..) => None,
    }
}
