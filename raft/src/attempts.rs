//! Login attempts that wait at this replica: the first caller of an attempt asks the leader, a few
//! others wait for what it hears, and the rest are turned away at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use conclave_proto::forwarded::visitor;
use conclave_proto::id::AttemptId;
use conclave_proto::wire::AttemptOutcome;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::claims::MAX_CLAIMS_PER_VISITOR;
use crate::error::ClaimError;
use crate::lanes::{Lane, Slots};

/// Callers that wait for one attempt at this replica: a browser sends one callback, or a few where a
/// person is impatient or a gateway repeats it.
pub(crate) const MAX_WAITING: usize = 8;

/// Attempts under way at this replica. With all who may wait for them that is 36,000 requests of a few
/// KiB, more than its listeners take.
const MAX_ATTEMPTS: usize = 4 * 1024;

/// What those who wait get to hear; none as long as nothing is known.
type News = Option<Result<AttemptOutcome, ClaimError>>;

/// Attempts under way at this replica.
#[derive(Default)]
pub(crate) struct Attempts {
    table: Mutex<Table>,
    /// This replica's questions to itself, while it leads.
    own: Slots,
}

#[derive(Default)]
struct Table {
    rooms: HashMap<AttemptId, Room>,
    visitors: HashMap<IpAddr, usize>,
}

/// Where the callers of one attempt wait.
struct Room {
    news: watch::Receiver<News>,
    waiting: Arc<AtomicUsize>,
}

/// How a caller came in.
pub(crate) enum Entered {
    /// First: this caller asks the leader.
    First(Key),
    /// Behind another that asks, or that redeems the code here.
    Behind(Seat),
}

/// Held by the caller that asks, and then by the one that redeems. While it lives every other caller
/// of the attempt waits behind it; when it is dropped without news the next one takes its place.
pub(crate) struct Key {
    attempts: Arc<Attempts>,
    attempt: AttemptId,
    visitor: Option<IpAddr>,
    news: watch::Sender<News>,
    seat: Option<Waiting>,
}

/// The place of a caller that waits.
pub(crate) struct Seat {
    news: watch::Receiver<News>,
    _waiting: Waiting,
}

/// Counts one caller that waits, until it is dropped.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    /// None if enough wait already. Called under the table's lock: no other caller adds meanwhile.
    fn join(count: &Arc<AtomicUsize>) -> Option<Self> {
        if count.load(Ordering::Acquire) >= MAX_WAITING {
            return None;
        }
        count.fetch_add(1, Ordering::AcqRel);
        Some(Self(Arc::clone(count)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Attempts {
    /// A slot for a claim of this replica at itself; none while its lane is full.
    pub(crate) fn own_slot(&self) -> Option<OwnedSemaphorePermit> {
        self.own.take(Lane::Claims)
    }

    /// Comes in, or is turned away because too many wait for this attempt, or too many attempts are
    /// under way here, of this client or of all.
    pub(crate) fn enter(self: &Arc<Self>, attempt: AttemptId, client: Option<IpAddr>) -> Result<Entered, ClaimError> {
        let mut table = self.table.lock();
        if let Some(room) = table.rooms.get(&attempt) {
            let waiting = Waiting::join(&room.waiting).ok_or(ClaimError::Busy)?;
            return Ok(Entered::Behind(Seat { news: room.news.clone(), _waiting: waiting }));
        }
        let visitor = client.map(visitor);
        let of_visitor = visitor.and_then(|visitor| table.visitors.get(&visitor)).copied().unwrap_or(0);
        if table.rooms.len() >= MAX_ATTEMPTS || of_visitor >= MAX_CLAIMS_PER_VISITOR {
            return Err(ClaimError::Busy);
        }
        if let Some(visitor) = visitor {
            table.visitors.insert(visitor, of_visitor + 1);
        }
        let (news, heard) = watch::channel(None);
        let waiting = Arc::default();
        let seat = Waiting::join(&waiting);
        table.rooms.insert(attempt, Room { news: heard, waiting });
        Ok(Entered::First(Key { attempts: Arc::clone(self), attempt, visitor, news, seat }))
    }
}

impl Key {
    /// This caller redeems the code now: it waits no longer.
    pub(crate) fn stop_waiting(&mut self) {
        self.seat = None;
    }

    /// Tells all who wait, and those who come until the key is dropped.
    pub(crate) fn publish(&self, news: Result<AttemptOutcome, ClaimError>) {
        self.news.send_replace(Some(news));
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let mut table = self.attempts.table.lock();
        table.rooms.remove(&self.attempt);
        let Some(visitor) = self.visitor else {
            return;
        };
        if let Some(count) = table.visitors.get_mut(&visitor) {
            *count -= 1;
            if *count == 0 {
                table.visitors.remove(&visitor);
            }
        }
    }
}

impl Seat {
    /// Waits for the news; none if the caller in front went away without any.
    pub(crate) async fn news(mut self) -> Option<Result<AttemptOutcome, ClaimError>> {
        self.news.wait_for(Option::is_some).await.ok()?.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: usize) -> AttemptId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        AttemptId::from_bytes(bytes)
    }

    fn first(entered: Result<Entered, ClaimError>) -> Key {
        match entered {
            Ok(Entered::First(key)) => key,
            Ok(Entered::Behind(_)) => panic!("somebody is in front"),
            Err(error) => panic!("turned away: {error}"),
        }
    }

    fn behind(entered: Result<Entered, ClaimError>) -> Option<Seat> {
        match entered {
            Ok(Entered::First(_)) => panic!("nobody is in front"),
            Ok(Entered::Behind(seat)) => Some(seat),
            Err(error) => {
                assert_eq!(error, ClaimError::Busy);
                None
            }
        }
    }

    #[tokio::test]
    async fn p4_eight_wait_and_the_rest_are_turned_away_at_once() {
        let attempts = Arc::new(Attempts::default());
        let mut key = first(attempts.enter(attempt(1), None));
        let mut seats: Vec<Seat> = std::iter::from_fn(|| behind(attempts.enter(attempt(1), None))).collect();
        assert_eq!(seats.len(), MAX_WAITING - 1, "who asks waits too");
        key.stop_waiting();
        seats.extend(behind(attempts.enter(attempt(1), None)));
        assert_eq!(seats.len(), MAX_WAITING, "who redeems does not");
        assert!(behind(attempts.enter(attempt(1), None)).is_none());
        seats.pop();
        seats.extend(behind(attempts.enter(attempt(1), None)));
        assert_eq!(seats.len(), MAX_WAITING, "a place that was left is free");
        let _other = first(attempts.enter(attempt(2), None));
        key.publish(Ok(AttemptOutcome::Session));
        for seat in seats {
            assert_eq!(seat.news().await, Some(Ok(AttemptOutcome::Session)));
        }
        let late = behind(attempts.enter(attempt(1), None)).expect("room again");
        assert_eq!(late.news().await, Some(Ok(AttemptOutcome::Session)), "until the leader knows");
        drop(key);
        drop(first(attempts.enter(attempt(1), None)));
    }

    #[tokio::test]
    async fn p4_one_question_whoever_waits_takes_the_place_of_one_who_leaves() {
        let attempts = Arc::new(Attempts::default());
        let key = first(attempts.enter(attempt(1), None));
        let seat = behind(attempts.enter(attempt(1), None)).expect("room");
        drop(key);
        assert_eq!(seat.news().await, None);
        drop(first(attempts.enter(attempt(1), None)));
    }

    #[test]
    fn one_visitor_does_not_take_all_places_and_leaves_nothing_behind() {
        let attempts = Arc::new(Attempts::default());
        let client = |last| Some(IpAddr::from([192, 0, 2, last]));
        let enter = |number, last| attempts.enter(attempt(number), client(last));
        let keys: Vec<Key> = (0..MAX_CLAIMS_PER_VISITOR).map(|number| first(enter(number, 1))).collect();
        assert!(behind(enter(MAX_CLAIMS_PER_VISITOR, 1)).is_none());
        drop(first(enter(MAX_CLAIMS_PER_VISITOR, 2)));
        drop(keys);
        let table = attempts.table.lock();
        assert!(table.rooms.is_empty() && table.visitors.is_empty());
    }
}
