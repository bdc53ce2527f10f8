//! Answers whether a session lives, from memory alone, and asks the leader where memory cannot know.

use std::sync::Arc;
use std::time::Duration;

use conclave_proto::id::{LogIndex, SessionKey};
use conclave_proto::session::{BodyRow, IndexRow, LONGEST_LIFETIME};
use conclave_proto::ticket::Ticket;
use conclave_proto::time::Timestamp;

use crate::error::ReadError;
use crate::find::is_cut_off;
use crate::freshness::{Age, Freshness};
use crate::identity::Identity;
use crate::index::SessionIndex;
use crate::miss::Misses;
use crate::state::StateHandle;

/// What memory says of a ticket.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The session lives.
    Live(Arc<IndexRow>),
    /// There is no such session, for certain: 401.
    Gone,
    /// The session may be newer than what is applied here: ask.
    Behind,
    /// Nobody can know here: 503.
    Stale,
}

/// Reads sessions. Cheap to clone; `find` takes no lock, does no IO and never waits.
#[derive(Clone)]
pub struct SessionReader {
    inner: Arc<Inner>,
}

struct Inner {
    index: Arc<SessionIndex>,
    state: StateHandle,
    freshness: Arc<Freshness>,
    identity: Arc<Identity>,
    misses: Misses,
}

impl Inner {
    /// The session's row; where there is none, also an entry up to which that is certain. The entry
    /// is read before the second look: what is applied between a look and the reading of the entry
    /// would pass for something that was looked for and not found.
    fn look_up(&self, key: &SessionKey) -> (Option<Arc<IndexRow>>, Option<LogIndex>) {
        if let Some(row) = self.index.get(key, Arc::clone) {
            return (Some(row), None);
        }
        let applied = self.index.applied();
        (self.index.get(key, Arc::clone), Some(applied))
    }
}

impl SessionReader {
    pub(crate) fn new(
        index: Arc<SessionIndex>,
        state: StateHandle,
        freshness: Arc<Freshness>,
        identity: Arc<Identity>,
        misses: Misses,
    ) -> Self {
        Self { inner: Arc::new(Inner { index, state, freshness, identity, misses }) }
    }

    /// Looks the ticket's session up. The age of this replica's knowledge is checked after the
    /// look-up: a process that slept between the two must not answer from before its sleep.
    pub fn find(&self, ticket: &Ticket) -> Lookup {
        let inner = &*self.inner;
        let key = ticket.key();
        let (row, applied) = inner.look_up(&key);
        let revoked = row.as_ref().is_some_and(|row| is_cut_off(&inner.index, row));
        let epoch = inner.identity.epoch();
        let (now, failed_open) = match inner.freshness.age() {
            Age::Fresh(now) => (now, false),
            Age::Open(now) => (now, true),
            Age::Stale => return Lookup::Stale,
        };
        match row {
            Some(row) if row.epoch == ticket.epoch && row.epoch == epoch && row.lives(now) && !revoked => {
                if failed_open {
                    inner.freshness.note_failed_open();
                }
                Lookup::Live(row)
            }
            Some(_) => Lookup::Gone,
            None if failed_open => Lookup::Stale,
            None if ticket.epoch < epoch || inner.index.is_tombstoned(&key) => Lookup::Gone,
            None if ticket.issued_at.saturating_add(LONGEST_LIFETIME) < now => Lookup::Gone,
            None if ticket.epoch == epoch && applied >= Some(ticket.index) => Lookup::Gone,
            None => Lookup::Behind,
        }
    }

    /// Finds out about a session that memory does not know: waits a moment for its entry, then asks
    /// the leader, who confirms with a quorum that it leads. `None` is a certain no.
    pub async fn ask(&self, ticket: &Ticket) -> Result<Option<(IndexRow, BodyRow)>, ReadError> {
        let inner = &*self.inner;
        inner.misses.wait_for(&inner.index, ticket.index).await;
        match self.find(ticket) {
            Lookup::Live(row) => {
                // Known by now; a body that is gone again was revoked in between.
                Ok(inner.state.body(&ticket.key()).map(|body| ((*row).clone(), body)))
            }
            Lookup::Gone => Ok(None),
            Lookup::Stale => Err(ReadError::Stale),
            Lookup::Behind => inner.misses.ask(ticket.key(), ticket.index).await,
        }
    }

    /// Waits until an entry is applied here, for at most `limit`; says whether it is.
    pub async fn wait_applied(&self, entry: LogIndex, limit: Duration) -> bool {
        let mut applied = self.inner.index.watch_applied();
        let reached = applied.wait_for(|applied| *applied >= entry);
        tokio::time::timeout(limit, reached).await.is_ok_and(|reached| reached.is_ok())
    }

    /// The sealed row of a session, read from the store.
    pub fn body(&self, key: &SessionKey) -> Option<BodyRow> {
        self.inner.state.body(key)
    }

    /// The cluster's time, while this replica's knowledge is fresh.
    pub fn now(&self) -> Option<Timestamp> {
        match self.inner.freshness.age() {
            Age::Fresh(now) | Age::Open(now) => Some(now),
            Age::Stale => None,
        }
    }
}
