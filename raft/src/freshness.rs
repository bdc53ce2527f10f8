//! How old this replica's knowledge may be, and the cluster's time that goes with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use conclave_proto::id::LogIndex;
use conclave_proto::time::{Boottime, Clock, Timestamp, Ttl};
use tokio::sync::watch;

use crate::observer::StoreObserver;

/// How old knowledge is at the moment of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// Within `max_staleness`; the cluster's time is at least this.
    Fresh(Timestamp),
    /// Past it, within `fail_open_max`.
    Open(Timestamp),
    /// Too old, or nothing was ever known.
    Stale,
}

/// One confirmed round: everything acknowledged before `noted` is applied here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// Read before the question was asked.
    pub(crate) noted: Boottime,
    /// The leader's time when it answered.
    pub(crate) leader_time: Timestamp,
    /// The leader's read index.
    pub(crate) index: LogIndex,
}

/// The last confirmed round, readable without a lock from every worker.
pub(crate) struct Freshness {
    clock: Arc<dyn Clock>,
    observer: Arc<dyn StoreObserver>,
    bound: Ttl,
    open_bound: Ttl,
    cell: RoundCell,
    confirmed: watch::Sender<u64>,
}

impl Freshness {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        observer: Arc<dyn StoreObserver>,
        max_staleness: Ttl,
        fail_open_max: Ttl,
    ) -> Self {
        Self {
            clock,
            observer,
            bound: max_staleness,
            open_bound: max_staleness.saturating_add(fail_open_max),
            cell: RoundCell::default(),
            confirmed: watch::Sender::new(0),
        }
    }

    /// Takes the result of a round. A round that was noted before the one held is dropped: rounds
    /// may end out of order, and knowledge must not grow older.
    pub(crate) fn confirm(&self, round: Round) {
        self.cell.put(round);
        self.confirmed.send_modify(|rounds| *rounds += 1);
    }

    /// Counts confirmed rounds, so that one can wait for the next.
    pub(crate) fn confirmed(&self) -> watch::Receiver<u64> {
        self.confirmed.subscribe()
    }

    /// How old the knowledge is now. The clock is read here, after whatever the caller looked up.
    pub(crate) fn age(&self) -> Age {
        let Some(round) = self.cell.get() else {
            return Age::Stale;
        };
        let passed = self.clock.boottime().since(round.noted);
        // The leader read its clock after `noted`, so this never lies behind the leader's time.
        let now = round.leader_time.saturating_add(passed);
        if passed <= self.bound {
            Age::Fresh(now)
        } else if passed <= self.open_bound {
            Age::Open(now)
        } else {
            Age::Stale
        }
    }

    /// The time since the last confirmed round was noted.
    pub(crate) fn passed(&self) -> Option<Ttl> {
        let round = self.cell.get()?;
        Some(self.clock.boottime().since(round.noted))
    }

    /// The last confirmed round.
    pub(crate) fn last(&self) -> Option<Round> {
        self.cell.get()
    }

    /// The cluster's time as far as it was ever known, however long ago: what goes on a tag.
    pub(crate) fn known_time(&self) -> Option<Timestamp> {
        let round = self.cell.get()?;
        Some(round.leader_time.saturating_add(self.clock.boottime().since(round.noted)))
    }

    /// Counts a check that was let through past the bound.
    pub(crate) fn note_failed_open(&self) {
        self.observer.failed_open();
        tracing::warn!(
            age_ms = self.passed().map_or(0, Ttl::as_millis),
            "let a session through past max_staleness because fail_open_max allows it"
        );
    }

    /// The clock that ages are told by.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// B.
    pub(crate) fn bound(&self) -> Ttl {
        self.bound
    }
}

/// A [`Round`] under a sequence lock: readers never wait for the one writer, and never see halves
/// of two rounds.
#[derive(Default)]
struct RoundCell {
    writer: parking_lot::Mutex<()>,
    // Odd while a write is under way; zero while nothing was ever written.
    sequence: AtomicU64,
    noted: AtomicU64,
    leader_time: AtomicU64,
    index: AtomicU64,
}

impl RoundCell {
    fn put(&self, round: Round) {
        let _one = self.writer.lock();
        let held = self.get();
        if held.is_some_and(|held| held.noted > round.noted) {
            return;
        }
        // The cluster's time never runs back, whatever a new leader's clock says.
        let floor = held.map_or(Timestamp::ZERO, |held| held.leader_time.saturating_add(round.noted.since(held.noted)));
        let leader_time = round.leader_time.max(floor);
        let before = self.sequence.fetch_add(1, Ordering::AcqRel);
        debug_assert!(before.is_multiple_of(2), "one writer at a time");
        fence(Ordering::SeqCst);
        self.noted.store(round.noted.as_millis(), Ordering::Relaxed);
        self.leader_time.store(leader_time.as_millis(), Ordering::Relaxed);
        self.index.store(round.index.get(), Ordering::Relaxed);
        self.sequence.fetch_add(1, Ordering::Release);
    }

    fn get(&self) -> Option<Round> {
        loop {
            let before = self.sequence.load(Ordering::Acquire);
            if before == 0 {
                return None;
            }
            if before.is_multiple_of(2) {
                let round = Round {
                    noted: Boottime::from_millis(self.noted.load(Ordering::Relaxed)),
                    leader_time: Timestamp::from_millis(self.leader_time.load(Ordering::Relaxed)),
                    index: LogIndex::new(self.index.load(Ordering::Relaxed)),
                };
                fence(Ordering::SeqCst);
                if self.sequence.load(Ordering::Acquire) == before {
                    return Some(round);
                }
            }
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::NoObserver;

    #[derive(Default)]
    struct SetClock(AtomicU64);

    impl Clock for SetClock {
        fn now(&self) -> Timestamp {
            Timestamp::ZERO
        }

        fn boottime(&self) -> Boottime {
            Boottime::from_millis(self.0.load(Ordering::SeqCst))
        }
    }

    fn round(noted: u64, leader_time: u64) -> Round {
        Round {
            noted: Boottime::from_millis(noted),
            leader_time: Timestamp::from_millis(leader_time),
            index: LogIndex::new(noted),
        }
    }

    fn freshness(open: u64) -> (Arc<SetClock>, Freshness) {
        let clock = Arc::new(SetClock::default());
        let bounds = (Ttl::from_millis(1000), Ttl::from_millis(open));
        let freshness = Freshness::new(Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(NoObserver), bounds.0, bounds.1);
        (clock, freshness)
    }

    #[test]
    fn knowledge_counts_from_before_the_question() {
        let (clock, freshness) = freshness(500);
        assert_eq!(freshness.age(), Age::Stale, "nothing is known yet");
        clock.0.store(10_000, Ordering::SeqCst);
        freshness.confirm(round(9_000, 77_000));
        assert_eq!(freshness.age(), Age::Fresh(Timestamp::from_millis(78_000)));
        clock.0.store(10_001, Ordering::SeqCst);
        assert_eq!(freshness.age(), Age::Open(Timestamp::from_millis(78_001)));
        clock.0.store(10_501, Ordering::SeqCst);
        assert_eq!(freshness.age(), Age::Stale);
    }

    #[test]
    fn knowledge_grows_no_older_and_time_never_runs_back() {
        let (clock, freshness) = freshness(0);
        clock.0.store(2_000, Ordering::SeqCst);
        freshness.confirm(round(2_000, 50_000));
        freshness.confirm(round(1_500, 90_000));
        assert_eq!(freshness.last(), Some(round(2_000, 50_000)), "a round that ended late is dropped");
        clock.0.store(2_100, Ordering::SeqCst);
        freshness.confirm(round(2_100, 10_000));
        assert_eq!(freshness.age(), Age::Fresh(Timestamp::from_millis(50_100)), "a new leader's clock is behind");
    }

    #[test]
    fn no_reader_sees_halves_of_two_rounds() {
        const READS: u64 = 20_000;
        let (cell, seen) = (RoundCell::default(), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while seen.load(Ordering::SeqCst) < READS {
                        if let Some(read) = cell.get() {
                            assert_eq!(read.noted.as_millis(), read.index.get());
                            assert_eq!(read.leader_time.as_millis(), 2 * read.index.get());
                            seen.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
            // Goes on until enough was read while it was written.
            (1..).take_while(|_| seen.load(Ordering::SeqCst) < READS).for_each(|n| cell.put(round(n, 2 * n)));
        });
    }
}
