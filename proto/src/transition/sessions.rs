//! Making and ending sessions: each has an index row, a body row, one row in each index, and counts
//! among its person's.

use super::Entry;
use super::overlay::Overlay;
use crate::command::{
    ATTEMPT_WINDOW, CreateSession, MOST_ENDED_BY_LOGIN, Outcome, RETRY_WINDOW, REVOKE_NOW, Refusal, Revoke,
};
use crate::id::{Epoch, Generation, SessionKey, SubjectKey};
use crate::keyspace::{
    AttemptRow, Key, NotBeforeRow, SessionCountRow, TombstoneRow, attempt_key, index_row_key, not_before_key,
    session_count_key, sid_range, subject_all, subject_before, tombstone_key,
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
    // Those that it replaces first: each leaves room for it.
    for replaced in create.replaces.iter().filter(|key| **key != create.key) {
        end(state, entry, *replaced);
    }
    make_room(state, entry, create);
    insert(state, create, &index);
    state.put(Key::Attempt(create.attempt), &AttemptRow { session: create.key });
    state.mark(Key::AttemptDue(entry.clock.saturating_add(ATTEMPT_WINDOW), create.attempt));
    Ok(Outcome::Created { expires_at, index: entry.at })
}

/// Ends the oldest of a person's sessions where the new one would be one too many: in the order of
/// the entries that made them, those of one entry in that of their keys.
fn make_room(state: &mut Overlay<'_>, entry: Entry, create: &CreateSession) {
    if create.sessions_per_person == 0 {
        return;
    }
    let wanted = count(state, &create.subject).saturating_add(1);
    let surplus = usize::try_from(wanted.saturating_sub(create.sessions_per_person)).unwrap_or(usize::MAX);
    end_first(state, entry, &subject_all(&create.subject), surplus.min(MOST_ENDED_BY_LOGIN));
}

/// How many sessions of that person have rows.
fn count(state: &Overlay<'_>, subject: &SubjectKey) -> u32 {
    state.row::<SessionCountRow>(&session_count_key(subject)).map_or(0, |row| row.0)
}

fn set_count(state: &mut Overlay<'_>, subject: SubjectKey, sessions: u32) {
    match sessions {
        0 => state.delete(Key::SessionCount(subject)),
        _ => state.put(Key::SessionCount(subject), &SessionCountRow(sessions)),
    }
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
    let sessions = count(state, &index.subject).saturating_add(1);
    set_count(state, index.subject, sessions);
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
    let sessions = count(state, &index.subject);
    debug_assert!(sessions > 0, "I2: a person with a session has a count");
    set_count(state, index.subject, sessions.saturating_sub(1));
    true
}

/// How many sessions ended.
pub(super) fn revoke(state: &mut Overlay<'_>, entry: Entry, revoke: &Revoke) -> u32 {
    match revoke {
        Revoke::Session(key) => end(state, entry, *key),
        Revoke::Subject(subject) => {
            set_not_before(state, entry, *subject);
            end_first(state, entry, &subject_before(subject, entry.at), REVOKE_NOW)
        }
        Revoke::Sid(sid) => end_first(state, entry, &sid_range(sid), REVOKE_NOW),
    }
}

fn end_first(state: &mut Overlay<'_>, entry: Entry, range: &(Vec<u8>, Vec<u8>), limit: usize) -> u32 {
    let sessions: Vec<_> = state.keys(range, limit).iter().filter_map(indexed_session).collect();
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
        | Key::SessionCount(_)
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
