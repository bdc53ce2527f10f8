//! Forgetting, by the entry's clock and in bounded steps: first what is dead, then what was only remembered.

use super::Entry;
use super::overlay::Overlay;
use super::sessions::{indexed_session, remove};
use crate::command::MAX_EXPIRE;
use crate::id::{Epoch, SessionKey, SubjectKey};
use crate::keyspace::{
    Key, MetaKey, NotBeforeRow, RowKind, SweepRow, due_before, index_rows_from, meta_key, not_before_key,
    subject_before,
};
use crate::session::IndexRow;
use crate::time::{Timestamp, Ttl};

/// How many things were forgotten or looked at, at most `limit`.
pub(super) fn expire(state: &mut Overlay<'_>, entry: Entry, epoch: Epoch, limit: u32) -> u32 {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(MAX_EXPIRE - state.expired);
    let mut left = limit;
    left -= expired_sessions(state, entry.clock, left);
    left -= older_epochs(state, epoch, left);
    left -= marks(state, entry.clock, left);
    for kind in [RowKind::ResultDue, RowKind::AttemptDue, RowKind::TombstoneDue] {
        left -= remembered(state, kind, entry.clock, left);
    }
    state.expired += limit - left;
    u32::try_from(limit - left).unwrap_or(u32::MAX)
}

/// A session is dead from its expiry on, that instant included.
fn expired_sessions(state: &mut Overlay<'_>, clock: Timestamp, limit: usize) -> usize {
    let range = due_before(RowKind::ByExpiry, clock.saturating_add(Ttl::from_millis(1)));
    let sessions: Vec<_> = state.keys(&range, limit).iter().filter_map(indexed_session).collect();
    for key in &sessions {
        let removed = remove(state, *key);
        debug_assert!(removed, "I2: a row by expiry points at a session");
    }
    sessions.len()
}

/// After a re-key: goes once through all sessions and removes those of older epochs. Those that
/// are made meanwhile are of the new one, wherever they sort.
fn older_epochs(state: &mut Overlay<'_>, epoch: Epoch, limit: usize) -> usize {
    if limit == 0 {
        return 0;
    }
    let Some(SweepRow(from)) = state.row(&meta_key(MetaKey::Sweep)) else {
        return 0;
    };
    let (start, end) = index_rows_from(&from);
    let rows = state.range(&start, &end, limit);
    let mut next = None;
    for (key, value) in &rows {
        let Some(Key::Index(session)) = Key::decode(key) else { continue };
        if super::overlay::read::<IndexRow>(value).epoch != epoch {
            remove(state, session);
        }
        next = successor(&session);
    }
    match next {
        Some(next) if rows.len() == limit => state.put(Key::Meta(MetaKey::Sweep), &SweepRow(next)),
        Some(_) | None => state.delete(Key::Meta(MetaKey::Sweep)),
    }
    rows.len()
}

/// The least key greater than `key`; none after the greatest.
fn successor(key: &SessionKey) -> Option<SessionKey> {
    let mut bytes = *key.as_bytes();
    for byte in bytes.iter_mut().rev() {
        let (next, carried) = byte.overflowing_add(1);
        *byte = next;
        if !carried {
            return Some(SessionKey::from_bytes(bytes));
        }
    }
    None
}

/// Not-before marks whose window is over: first the sessions they made dead, then the mark.
fn marks(state: &mut Overlay<'_>, clock: Timestamp, limit: usize) -> usize {
    let mut done = 0;
    for key in state.keys(&due_before(RowKind::NotBeforeDue, clock), limit) {
        let Key::NotBeforeDue(due, subject) = key else { continue };
        if done >= limit {
            break;
        }
        done += sweep_subject(state, &subject, limit - done);
        if done < limit {
            state.delete(Key::NotBefore(subject));
            state.delete(Key::NotBeforeDue(due, subject));
            done += 1;
        }
    }
    done
}

fn sweep_subject(state: &mut Overlay<'_>, subject: &SubjectKey, limit: usize) -> usize {
    let Some(mark) = state.row::<NotBeforeRow>(&not_before_key(subject)) else {
        return 0;
    };
    let range = subject_before(subject, mark.index);
    let sessions: Vec<_> = state.keys(&range, limit).iter().filter_map(indexed_session).collect();
    for key in &sessions {
        remove(state, *key);
    }
    sessions.len()
}

/// Results, attempts and tombstones whose window is over.
fn remembered(state: &mut Overlay<'_>, kind: RowKind, clock: Timestamp, limit: usize) -> usize {
    let keys = state.keys(&due_before(kind, clock), limit);
    for key in &keys {
        state.delete(*key);
        if let Some(row) = remembered_row(key) {
            state.delete(row);
        }
    }
    keys.len()
}

fn remembered_row(due: &Key) -> Option<Key> {
    match due {
        Key::ResultDue(_, process, sequence) => Some(Key::Result(*process, *sequence)),
        Key::AttemptDue(_, attempt) => Some(Key::Attempt(*attempt)),
        Key::TombstoneDue(_, session) => Some(Key::Tombstone(*session)),
        Key::Meta(_)
        | Key::Index(_)
        | Key::Body(_)
        | Key::ByExpiry(..)
        | Key::BySubject(..)
        | Key::BySid(..)
        | Key::SessionCount(_)
        | Key::Attempt(_)
        | Key::Result(..)
        | Key::Tombstone(_)
        | Key::NotBefore(_)
        | Key::NotBeforeDue(..) => None,
    }
}
