//! The leader's quorum rounds: one at a time, shared by the questions that came before it began.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use conclave_proto::id::{LogIndex, NodeId};
use conclave_proto::time::{Clock, Timestamp};
use conclave_proto::wire::ReadIndexAnswer;
use tokio::sync::{mpsc, oneshot};

use crate::lanes::{Lane, MAX_ASKED};
use crate::leader::Raft;
use crate::log_store::LogStore;
use crate::state::StateHandle;

/// Questions that may wait for the next round. Each replica asks one for its freshness at a time;
/// the rest are look-ups of sessions, which are limited at their source.
const MAX_WAITING: usize = 1024;

/// Replicas besides this one for which [`MAX_WAITING`] is reckoned: far more than anyone should run.
const MOST_OTHERS: usize = 8;

const _: () = {
    let of_a_peer = Lane::Freshness.slots() + Lane::LookUps.slots();
    // Its own freshness, founding, look-ups and claims.
    let own = 2 + MAX_ASKED + Lane::Claims.slots();
    assert!(MOST_OTHERS * of_a_peer + own <= MAX_WAITING, "no class of questions keeps freshness out");
};

/// Why a round confirmed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoundError {
    /// This replica does not lead.
    NotLeading,
    /// No quorum answered in time.
    NoQuorum,
    /// Too many questions wait.
    Busy,
}

/// A leadership that a restart interrupts and openraft takes up again in the same term, without an
/// election. Its read index then begins at the applied entry, although later ones in its log may have
/// been committed and acknowledged before the restart: a read must wait for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resumed {
    term: u64,
    last_log: u64,
}

impl Resumed {
    /// What the disk says before the core starts on it.
    pub(crate) fn of(log: &LogStore, me: NodeId) -> Option<Self> {
        let vote = log.vote().filter(|vote| vote.committed && vote.leader_id.node_id == me.get())?;
        Some(Self { term: vote.leader_id.term, last_log: log.last_index() })
    }

    /// The index to wait for in a round that began in that term.
    fn floor(resumed: Option<Self>, term: u64) -> u64 {
        resumed.filter(|resumed| resumed.term == term).map_or(0, |resumed| resumed.last_log)
    }
}

type Asker = oneshot::Sender<Result<ReadIndexAnswer, RoundError>>;

/// Asks for rounds.
#[derive(Clone)]
pub(crate) struct Rounds {
    questions: mpsc::Sender<Asker>,
}

impl Rounds {
    /// Starts the one task that runs rounds.
    pub(crate) fn start(
        raft: Raft,
        state: StateHandle,
        clock: Arc<dyn Clock>,
        limit: Duration,
        resumed: Option<Resumed>,
    ) -> Self {
        let round = move || {
            let (raft, state, clock) = (raft.clone(), state.clone(), Arc::clone(&clock));
            async move { confirm(&raft, &state, &*clock, limit, resumed).await }
        };
        Self::with(round)
    }

    fn with<F, R>(round: F) -> Self
    where
        F: Fn() -> R + Send + 'static,
        R: Future<Output = Result<ReadIndexAnswer, RoundError>> + Send + 'static,
    {
        let (questions, inbox) = mpsc::channel(MAX_WAITING);
        tokio::spawn(run(inbox, round));
        Self { questions }
    }

    /// A round that begins after this call.
    pub(crate) async fn ask(&self) -> Result<ReadIndexAnswer, RoundError> {
        let (asker, answer) = oneshot::channel();
        self.questions.try_send(asker).map_err(|_| RoundError::Busy)?;
        answer.await.unwrap_or(Err(RoundError::NotLeading))
    }
}

async fn run<F, R>(mut inbox: mpsc::Receiver<Asker>, round: F)
where
    F: Fn() -> R,
    R: Future<Output = Result<ReadIndexAnswer, RoundError>>,
{
    while let Some(first) = inbox.recv().await {
        // Only those that are here by now: a later question must not get an earlier answer.
        let mut askers = vec![first];
        while let Ok(next) = inbox.try_recv() {
            askers.push(next);
        }
        let answer = round().await;
        for asker in askers {
            // An asker that gave up needs no answer.
            let _ = asker.send(answer);
        }
    }
}

async fn confirm(
    raft: &Raft,
    state: &StateHandle,
    clock: &dyn Clock,
    limit: Duration,
    resumed: Option<Resumed>,
) -> Result<ReadIndexAnswer, RoundError> {
    let leader_time = leader_time(state, clock);
    // Before the round: a later term would begin with an entry of its own.
    let floor = Resumed::floor(resumed, raft.metrics().borrow().current_term);
    let asked = tokio::time::timeout(limit, raft.get_read_log_id()).await;
    let (read, _applied) = match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            let forward = error.forward_to_leader::<crate::types::Member>().is_some();
            return Err(if forward { RoundError::NotLeading } else { RoundError::NoQuorum });
        }
        Err(_elapsed) => return Err(RoundError::NoQuorum),
    };
    let index = read.map_or(0, |id| id.index).max(floor);
    let term = raft.metrics().borrow().current_term;
    Ok(ReadIndexAnswer { index: LogIndex::new(index), term, leader_time })
}

/// This replica's clock, and never earlier than the last stamp in the log.
pub(crate) fn leader_time(state: &StateHandle, clock: &dyn Clock) -> Timestamp {
    clock.now().max(state.clock())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn answer(term: u64) -> ReadIndexAnswer {
        ReadIndexAnswer { index: LogIndex::new(1), term, leader_time: Timestamp::ZERO }
    }

    #[test]
    fn only_a_resumed_term_has_a_floor() {
        let resumed = Some(Resumed { term: 3, last_log: 14 });
        assert_eq!([2, 3, 4].map(|term| Resumed::floor(resumed, term)), [0, 14, 0]);
        assert_eq!(Resumed::floor(None, 3), 0);
    }

    #[tokio::test]
    async fn a_question_asked_during_a_round_waits_for_the_next() {
        let (begun, mut begins) = mpsc::unbounded_channel();
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let count = Arc::new(AtomicU64::new(0));
        let rounds = {
            let (gate, count) = (Arc::clone(&gate), Arc::clone(&count));
            Rounds::with(move || {
                let (gate, begun) = (Arc::clone(&gate), begun.clone());
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                async move {
                    begun.send(number).expect("the test listens");
                    gate.acquire().await.expect("open").forget();
                    Ok(answer(number))
                }
            })
        };
        let ask = |rounds: &Rounds| {
            let rounds = rounds.clone();
            tokio::spawn(async move { rounds.ask().await })
        };
        let first = ask(&rounds);
        assert_eq!(begins.recv().await, Some(1));

        let late = [ask(&rounds), ask(&rounds)];
        // Both questions lie in the queue before the first round may end.
        while rounds.questions.capacity() > MAX_WAITING - 2 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(2);

        assert_eq!(first.await.expect("ran"), Ok(answer(1)));
        for question in late {
            assert_eq!(question.await.expect("ran"), Ok(answer(2)), "a later round, and one for both");
        }
    }
}
