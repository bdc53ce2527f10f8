//! Making and ending sessions: each has an index row, a body row, and one row in each index.

use super::Entry;
use super::overlay::Overlay;
use crate::command::{ATTEMPT_WINDOW, CreateSession, Outcome, RETRY_WINDOW, REVOKE_NOW, Refusal, Revoke};
use crate::id::{Epoch, Generation, SessionKey, SubjectKey};
use crate::keyspace::{
    AttemptRow, Key, NotBeforeRow, TombstoneRow, attempt_key, index_row_key, not_before_key, sid_range, subject_before,
    tombstone_key,
};
use crate::session::{BodyRow, IndexRow, LONGEST_LIFETIME};
use crate::time::Timestamp;

/// The session of a login, and the end of those that it replaces. The order of the refusals tells the most lasting one.
pub(super) fn create(
    state: &mut Overlay<'_>,
    entry: Entry,
    epoch: Epoch,
    create: &CreateSession,
) -> Result<Outcome, Refusal> {
    if create.epoch != epoch {
        return Err(Refusal::WrongEpoch);
    }
    if state.has(&attempt_key(&create.attempt)) {
        return Err(Refusal::AttemptUsed);
    }
    if state.has(&index_row_key(&create.key)) || state.has(&tombstone_key(&create.key)) {
        return Err(Refusal::KeyTaken);
    }
    let expires_at = entry.clock.saturating_add(create.lifetime.min(LONGEST_LIFETIME));
    let index = IndexRow {
        provider: create.provider.clone(),
        site: create.site.clone(),
        created_at: entry.clock,
        expires_at,
        generation: Generation::default(),
        subject: create.subject,
        sid: create.sid,
        attempt: create.attempt,
        created_index: entry.at,
        epoch,
    };
    insert(state, create, &index);
    for replaced in create.replaces.iter().filter(|key| **key != create.key) {
        end(state, entry, *replaced);
    }
    state.put(Key::Attempt(create.attempt), &AttemptRow { session: create.key });
    state.mark(Key::AttemptDue(entry.clock.saturating_add(ATTEMPT_WINDOW), create.attempt));
    Ok(Outcome::Created { expires_at, index: entry.at })
}

fn insert(state: &mut Overlay<'_>, create: &CreateSession, index: &IndexRow) {
    let key = create.key;
    state.put(Key::Index(key), index);
    state.put(Key::Body(key), &BodyRow { label: create.label.clone(), body: create.body.clone() });
    state.mark(Key::ByExpiry(index.expires_at, key));
    state.mark(Key::BySubject(index.subject, index.created_index, key));
    if let Some(sid) = index.sid {
        state.mark(Key::BySid(sid, key));
    }
}

/// Removes every row of a session; false if it has none. The attempt that made it stays remembered.
pub(super) fn remove(state: &mut Overlay<'_>, key: SessionKey) -> bool {
    let Some(index) = state.row::<IndexRow>(&index_row_key(&key)) else {
        return false;
    };
    state.delete(Key::Index(key));
    state.delete(Key::Body(key));
    state.delete(Key::ByExpiry(index.expires_at, key));
    state.delete(Key::BySubject(index.subject, index.created_index, key));
    if let Some(sid) = index.sid {
        state.delete(Key::BySid(sid, key));
    }
    true
}

/// How many sessions ended.
pub(super) fn revoke(state: &mut Overlay<'_>, entry: Entry, revoke: &Revoke) -> u32 {
    match revoke {
        Revoke::Session(key) => end(state, entry, *key),
        Revoke::Subject(subject) => {
            set_not_before(state, entry, *subject);
            end_all(state, entry, &subject_before(subject, entry.at))
        }
        Revoke::Sid(sid) => end_all(state, entry, &sid_range(sid)),
    }
}

fn end_all(state: &mut Overlay<'_>, entry: Entry, range: &(Vec<u8>, Vec<u8>)) -> u32 {
    let sessions: Vec<_> = state.keys(range, REVOKE_NOW).iter().filter_map(indexed_session).collect();
    sessions.into_iter().map(|key| end(state, entry, key)).sum()
}

/// Removes a session and puts up its tombstone, or a new one in the place of an older.
fn end(state: &mut Overlay<'_>, entry: Entry, key: SessionKey) -> u32 {
    if let Some(old) = state.row::<TombstoneRow>(&tombstone_key(&key)) {
        state.delete(Key::TombstoneDue(old.due, key));
    }
    let due = end_of_window(entry);
    state.put(Key::Tombstone(key), &TombstoneRow { due });
    state.mark(Key::TombstoneDue(due, key));
    u32::from(remove(state, key))
}

fn set_not_before(state: &mut Overlay<'_>, entry: Entry, subject: SubjectKey) {
    if let Some(old) = state.row::<NotBeforeRow>(&not_before_key(&subject)) {
        state.delete(Key::NotBeforeDue(old.due, subject));
    }
    let due = end_of_window(entry);
    state.put(Key::NotBefore(subject), &NotBeforeRow { index: entry.at, due });
    state.mark(Key::NotBeforeDue(due, subject));
}

fn end_of_window(entry: Entry) -> Timestamp {
    entry.clock.saturating_add(RETRY_WINDOW)
}

/// The session that a row of one of the three session indexes points at.
pub(super) fn indexed_session(key: &Key) -> Option<SessionKey> {
    match key {
        Key::ByExpiry(_, session) | Key::BySubject(_, _, session) | Key::BySid(_, session) => Some(*session),
        Key::Meta(_)
        | Key::Index(_)
        | Key::Body(_)
        | Key::Attempt(_)
        | Key::AttemptDue(..)
        | Key::Result(..)
        | Key::ResultDue(..)
        | Key::Tombstone(_)
        | Key::TombstoneDue(..)
        | Key::NotBefore(_)
        | Key::NotBeforeDue(..) => None,
    }
}
