//! What happens when memory does not know a session: a short wait, then one question to the leader.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use conclave_proto::id::{LogIndex, SessionKey};
use conclave_proto::session::{BodyRow, IndexRow};
use conclave_proto::time::Boottime;
use conclave_proto::wire::{FindSession, FoundSession, FrameKind, Versioned};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;

use crate::config::Timeouts;
use crate::error::ReadError;
use crate::find::find_after_round;
use crate::freshness::Freshness;
use crate::index::SessionIndex;
use crate::lanes::MAX_ASKED;
use crate::leader::{Leader, LeaderView};
use crate::rounds::Rounds;
use crate::state::StateHandle;
use crate::transport::Transport;

/// How long a replica waits for a ticket's own entry before it asks: replication takes less.
const WAIT_FOR_ENTRY: Duration = Duration::from_millis(100);

/// Pause between two tries while the leader changes.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

/// Longest election times that a question outlasts: the lease, the timeout, and one election lost.
const ELECTIONS: u32 = 4;

/// Questions a second that this replica may ask. Only holders of an authentic ticket newer than
/// what is applied here get this far.
const QUESTIONS_PER_SECOND: f64 = 500.0;

type Found = Option<(IndexRow, BodyRow)>;
type Question = Shared<BoxFuture<'static, Result<Arc<Found>, ReadError>>>;

/// Asks the leader for sessions; at most one question for each session at a time.
#[derive(Clone)]
pub(crate) struct Misses {
    inner: Arc<Inner>,
}

struct Inner {
    leaders: LeaderView,
    transport: Arc<Transport>,
    rounds: Rounds,
    state: StateHandle,
    index: Arc<SessionIndex>,
    freshness: Arc<Freshness>,
    try_limit: Duration,
    limit: Duration,
    asked: Mutex<HashMap<SessionKey, Question>>,
    bucket: Mutex<Bucket>,
}

impl Misses {
    pub(crate) fn new(
        leaders: LeaderView,
        transport: Arc<Transport>,
        rounds: Rounds,
        state: StateHandle,
        index: Arc<SessionIndex>,
        freshness: Arc<Freshness>,
        timeouts: &Timeouts,
    ) -> Self {
        // Within B: who joins a question gets the answer to a round that began at most so long ago.
        let try_limit = timeouts.question().as_duration().min(freshness.bound().as_duration());
        // The holder of a ticket that was just issued should find out, even if the leader dies now.
        let limit = try_limit + timeouts.election_max.as_duration() * ELECTIONS;
        let bucket = Mutex::new(Bucket::full(freshness.clock().boottime()));
        let asked = Mutex::default();
        Self {
            inner: Arc::new(Inner {
                leaders,
                transport,
                rounds,
                state,
                index,
                freshness,
                try_limit,
                limit,
                asked,
                bucket,
            }),
        }
    }

    /// Waits a moment for an entry to be applied here.
    pub(crate) async fn wait_for(&self, index: &SessionIndex, entry: LogIndex) {
        let mut applied = index.watch_applied();
        let _ = tokio::time::timeout(WAIT_FOR_ENTRY, applied.wait_for(|applied| *applied >= entry)).await;
    }

    /// Asks for one session, or joins who asks for it already.
    pub(crate) async fn ask(&self, key: SessionKey, created_index: LogIndex) -> Result<Found, ReadError> {
        let question = self.question(key, created_index)?;
        question.await.map(|found| (*found).clone())
    }

    fn question(&self, key: SessionKey, created_index: LogIndex) -> Result<Question, ReadError> {
        let mut asked = self.inner.asked.lock();
        if let Some(question) = asked.get(&key) {
            return Ok(question.clone());
        }
        let now = self.inner.freshness.clock().boottime();
        if asked.len() >= MAX_ASKED || !self.inner.bucket.lock().take(now) {
            return Err(ReadError::Busy);
        }
        let inner = Arc::clone(&self.inner);
        // Spawned: the question serves everyone who joined, whoever asked first.
        let work = tokio::spawn(async move {
            let found = inner.find(key, created_index).await;
            inner.asked.lock().remove(&key);
            found
        });
        let answer = async move { work.await.unwrap_or(Err(ReadError::Unavailable)).map(Arc::new) };
        let question = answer.boxed().shared();
        asked.insert(key, question.clone());
        Ok(question)
    }
}

impl Inner {
    async fn find(&self, key: SessionKey, created_index: LogIndex) -> Result<Found, ReadError> {
        let deadline = tokio::time::timeout(self.limit, async {
            loop {
                let seen = self.leaders.now();
                if let Some(found) = self.try_once(seen, key, created_index).await {
                    return found;
                }
                self.leaders.clone().news_since(seen, RETRY_PAUSE).await;
            }
        });
        deadline.await.map_err(|_elapsed| ReadError::Unavailable)
    }

    /// None if whoever was asked does not lead or did not answer.
    async fn try_once(&self, leader: Leader, key: SessionKey, created_index: LogIndex) -> Option<Found> {
        match leader {
            Leader::Me => {
                let finding = find_after_round(&self.rounds, &self.index, &self.state, key);
                let found = tokio::time::timeout(self.try_limit, finding).await.ok()?.ok()?;
                Some(found.rows)
            }
            Leader::Other(_) => {
                let leader = self.leaders.peer()?;
                let question = FindSession { key, created_index }.to_bytes();
                let asked = self.transport.ask(&leader, FrameKind::FindSession, question, self.try_limit).await;
                let found = FoundSession::from_bytes(&asked.ok()?).ok()?;
                Some(found.rows.filter(|(row, _)| row.lives(found.leader_time)))
            }
            Leader::Nobody | Leader::Stopped => None,
        }
    }
}

/// Counts questions by time: so many a second, and as many at once after a quiet second.
struct Bucket {
    tokens: f64,
    since: Boottime,
}

impl Bucket {
    fn full(now: Boottime) -> Self {
        Self { tokens: QUESTIONS_PER_SECOND, since: now }
    }

    fn take(&mut self, now: Boottime) -> bool {
        let passed = now.since(self.since).as_duration().as_secs_f64();
        self.since = now;
        self.tokens = (self.tokens + passed * QUESTIONS_PER_SECOND).min(QUESTIONS_PER_SECOND);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_limited_by_time() {
        let mut bucket = Bucket::full(Boottime::from_millis(0));
        let at_once = (0..10_000).take_while(|_| bucket.take(Boottime::from_millis(0))).count();
        assert_eq!(at_once, 500);
        assert!(!bucket.take(Boottime::from_millis(1)), "half a question");
        assert!(bucket.take(Boottime::from_millis(3)), "one and a half");
        assert!(!bucket.take(Boottime::from_millis(3)));
    }
}
