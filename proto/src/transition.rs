//! The deterministic state machine: what a log entry does to the state.
//!
//! [`apply`] reads the state through a [`StateView`] and returns what changes. It reads no clock
//! (the entry carries the leader's stamp) and draws nothing (ids come with the command), so equal
//! logs give equal states. One entry's work is bounded by the limits in [`crate::command`].
//!
//! What makes retries and crashes safe:
//! - A result is remembered by tag until nobody can ask for it again: for [`RETRY_WINDOW`] after
//!   the entry's clock and after the leader's time that the sender knew, whichever is later. A tag
//!   older than that is refused. So a retried login reports the first entry's outcome, and one that
//!   was revoked meanwhile is not made again.
//! - An attempt is remembered for [`ATTEMPT_WINDOW`], so that another write of the same callback,
//!   under another tag, makes no second session.
//! - Revoking a session leaves a tombstone even where none stood: whichever of a login and its
//!   revocation comes first in the log, the session is dead. It costs two small rows for the
//!   window, and only who held a ticket can ask for it.
//! - Revoking a person's sessions marks the entry's index: sessions of earlier entries are dead
//!   whether or not they were removed yet, and later logins live. Logins in the entry itself were
//!   not acknowledged before the revocation; they live.
//! - A new epoch makes every session dead at once, for each row names its epoch; the rows go by and
//!   by, with [`crate::command::Command::ExpireUpTo`].

mod expiry;
mod found;
mod hash;
mod overlay;
mod retry;
mod sessions;

use std::collections::BTreeMap;

use crate::command::{ATTEMPT_WINDOW, Batch, Command, Outcome, RETRY_WINDOW, Refusal, Tagged};
use crate::id::LogIndex;
use crate::keyspace::{ClockRow, FoundedState, Key, MetaKey, meta_key};
use crate::time::Timestamp;

pub use hash::StateHasher;
use overlay::Overlay;

/// Reads the state. Failing to read ends the process inside the implementation: a replica that
/// guesses is worse than one that is gone.
pub trait StateView {
    /// The row of `key`.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// Rows from `from` up to, but without, `to`, in key order, at most `limit`.
    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)>;
}

impl StateView for BTreeMap<Vec<u8>, Vec<u8>> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        BTreeMap::get(self, key).cloned()
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        if from >= to {
            return Vec::new();
        }
        let rows = BTreeMap::range::<[u8], _>(self, (std::ops::Bound::Included(from), std::ops::Bound::Excluded(to)));
        rows.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

/// One change of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Writes a row, whether or not one stands.
    Put {
        /// Where.
        key: Vec<u8>,
        /// What.
        value: Vec<u8>,
    },
    /// Removes a row.
    Delete {
        /// Which.
        key: Vec<u8>,
    },
}

impl Change {
    /// The row's key.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// What one entry changes: in key order, each key once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(Vec<Change>);

impl Changes {
    /// The changes in key order.
    pub fn as_slice(&self) -> &[Change] {
        &self.0
    }

    /// Bytes of all keys and values: what the store is about to write.
    pub fn bytes(&self) -> usize {
        let size = |change: &Change| match change {
            Change::Put { key, value } => key.len() + value.len(),
            Change::Delete { key } => key.len(),
        };
        self.0.iter().map(size).sum()
    }

    /// Makes them in a plain map.
    pub fn write_to(self, rows: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
        for change in self.0 {
            match change {
                Change::Put { key, value } => {
                    rows.insert(key, value);
                }
                Change::Delete { key } => {
                    rows.remove(&key);
                }
            }
        }
    }
}

impl IntoIterator for Changes {
    type Item = Change;
    type IntoIter = std::vec::IntoIter<Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// What the entry `at` with `batch` does to the state: one outcome for each command, and the
/// changes. The caller writes the changes and the applied index together, or neither.
///
/// The batch must be one that this program understands ([`Batch::is_understood`]).
pub fn apply(view: &dyn StateView, at: LogIndex, batch: &Batch) -> (Vec<Outcome>, Changes) {
    debug_assert!(batch.is_understood(), "I1: a schema that is not known is never applied");
    let mut state = Overlay::new(view);
    let before = state.row::<ClockRow>(&meta_key(MetaKey::Clock)).map(|row| row.0);
    let clock = batch.stamped_at.max(before.unwrap_or(Timestamp::ZERO));
    if before != Some(clock) {
        state.put(Key::Meta(MetaKey::Clock), &ClockRow(clock));
    }
    let entry = Entry { at, clock };
    let outcomes = batch.commands.iter().map(|tagged| entry.run(&mut state, tagged)).collect();
    (outcomes, state.into_changes())
}

/// What a cluster knows of itself; none before it is founded.
pub fn founded(view: &dyn StateView) -> Option<FoundedState> {
    let bytes = view.get(&meta_key(MetaKey::Founded))?;
    Some(overlay::read(&bytes))
}

/// The state's own time: the latest stamp.
pub fn clock(view: &dyn StateView) -> Timestamp {
    let bytes = view.get(&meta_key(MetaKey::Clock));
    bytes.map_or(Timestamp::ZERO, |bytes| overlay::read::<ClockRow>(&bytes).0)
}

/// The entry that is being applied.
#[derive(Clone, Copy)]
struct Entry {
    at: LogIndex,
    clock: Timestamp,
}

impl Entry {
    /// One command: a remembered result first, then age, then the work.
    fn run(self, state: &mut Overlay<'_>, tagged: &Tagged) -> Outcome {
        if tagged.command.repeats_safely() {
            return self.perform(state, &tagged.command);
        }
        if let Some(outcome) = retry::remembered(state, &tagged.tag) {
            return outcome;
        }
        // Who founds has no cluster's time to know yet.
        let ageless = matches!(tagged.command, Command::Found(_));
        if !ageless && retry::is_too_old(&tagged.tag, self.clock) {
            return Outcome::Refused(Refusal::TooOld);
        }
        let outcome = self.perform(state, &tagged.command);
        retry::remember(state, &tagged.tag, self.clock, &outcome);
        outcome
    }

    fn perform(self, state: &mut Overlay<'_>, command: &Command) -> Outcome {
        match self.attempt(state, command) {
            Ok(outcome) => outcome,
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    fn attempt(self, state: &mut Overlay<'_>, command: &Command) -> Result<Outcome, Refusal> {
        command.check_limits()?;
        let epoch = state.founded().map(|founded| founded.epoch);
        match command {
            Command::Found(found) => found::found(state, found),
            Command::CreateSession(create) => sessions::create(state, self, epoch.ok_or(Refusal::NotFounded)?, create),
            Command::Revoke(_) if epoch.is_none() => Err(Refusal::NotFounded),
            Command::Revoke(revoke) => Ok(Outcome::Revoked(sessions::revoke(state, self, revoke))),
            // Before the founding there is no session, but there may be results to forget.
            Command::ExpireUpTo { limit } => {
                Ok(Outcome::Expired(expiry::expire(state, self, epoch.unwrap_or_default(), *limit)))
            }
            Command::SetEnvelopes { epoch, remove, put } => found::set_envelopes(state, *epoch, remove, put),
            Command::Rekey { from, envelopes } => found::rekey(state, *from, envelopes),
            Command::RaiseFeatureLevel(level) => found::raise_feature_level(state, *level),
        }
    }
}

const _: () = assert!(
    ATTEMPT_WINDOW.as_millis() > RETRY_WINDOW.as_millis(),
    "while a write may be retried, its attempt is remembered"
);

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
