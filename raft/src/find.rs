//! The leader's side of a look-up: a quorum round, then the rows.

use conclave_proto::id::SessionKey;
use conclave_proto::session::IndexRow;
use conclave_proto::wire::FoundSession;

use crate::index::SessionIndex;
use crate::rounds::{RoundError, Rounds};
use crate::state::StateHandle;

/// Looks a session up after a round that began after this call. Whatever was acknowledged before
/// the question is in the answer.
pub(crate) async fn find_after_round(
    rounds: &Rounds,
    index: &SessionIndex,
    state: &StateHandle,
    key: SessionKey,
) -> Result<FoundSession, RoundError> {
    let round = rounds.ask().await?;
    let mut watch = index.watch_applied();
    let waited = watch.wait_for(|applied| *applied >= round.index).await;
    let applied = *waited.map_err(|_closed| RoundError::NotLeading)?;
    let row =
        index.get(&key, std::sync::Arc::clone).filter(|row| row.lives(round.leader_time) && !is_cut_off(index, row));
    let rows = row.and_then(|row| Some(((*row).clone(), state.body(&key)?)));
    Ok(FoundSession { rows, applied, leader_time: round.leader_time })
}

/// Whether a row that still stands belongs to a session that was revoked with all of its person's:
/// those rows go by and by. A session that was revoked alone has no row any more.
pub(crate) fn is_cut_off(index: &SessionIndex, row: &IndexRow) -> bool {
    index.not_before(&row.subject).is_some_and(|first| row.created_index < first)
}
