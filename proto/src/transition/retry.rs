//! Remembered results: a write that is sent again reports what its first entry did.

use super::overlay::Overlay;
use crate::command::{Outcome, RETRY_WINDOW, Tag};
use crate::keyspace::{Key, ResultRow};
use crate::time::Timestamp;

/// The outcome of the entry that carried this tag first.
pub(super) fn remembered(state: &Overlay<'_>, tag: &Tag) -> Option<Outcome> {
    state.row::<ResultRow>(&Key::Result(tag.process, tag.sequence).encode()).map(|row| row.outcome)
}

/// Whether the result of an earlier entry with this tag may have been forgotten.
pub(super) fn is_too_old(tag: &Tag, clock: Timestamp) -> bool {
    tag.known_time.saturating_add(RETRY_WINDOW) < clock
}

/// Remembers an outcome for as long as [`is_too_old`] lets its tag pass. A sender may know a later
/// time than this entry's stamp, from a leader whose clock went ahead; so the later one counts.
pub(super) fn remember(state: &mut Overlay<'_>, tag: &Tag, clock: Timestamp, outcome: &Outcome) {
    let due = clock.max(tag.known_time).saturating_add(RETRY_WINDOW);
    state.put(Key::Result(tag.process, tag.sequence), &ResultRow { outcome: outcome.clone() });
    state.mark(Key::ResultDue(due, tag.process, tag.sequence));
}
