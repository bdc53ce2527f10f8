//! Turns single writes into batches: whatever is queued when a slot is free goes at once.
//!
//! openraft 0.9 flushes once per entry, so a batch is what makes many writes fast. One queue serves
//! a replica whatever it is: at the leader a batch becomes an entry, at a follower a forwarded
//! message. The commands keep their tags through every retry, so a retry is safe.

use std::sync::Arc;
use std::time::Duration;

use conclave_proto::command::{MAX_BATCH_BYTES, MAX_BATCH_COMMANDS, Tagged};
use conclave_proto::wire::{Written, encoded_len};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::error::WriteError;

/// Batches under way at once: enough to overlap one flush with the next round trip.
const MAX_IN_FLIGHT: usize = 4;

/// Commands that may wait: a second's worth at the measured rate of small ones.
const MAX_QUEUED: usize = 8 * 1024;

/// Bytes of commands that may wait or be under way, so that large logins cannot fill the memory.
const MAX_QUEUED_BYTES: usize = 32 * 1024 * 1024;

/// What a submitted command comes back with.
pub(crate) type Reply = Result<Written, Failed>;

/// Why a command came back without a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It came from another replica, and this one does not lead: its sender knows where to go.
    NotLeading,
    /// The replica cannot take it, now or ever.
    Refused(WriteError),
}

/// One command on its way.
pub(crate) struct Pending {
    /// What to write.
    pub(crate) tagged: Tagged,
    /// It was forwarded to this replica: it is proposed here or given back, never sent on.
    pub(crate) forwarded: bool,
    reply: oneshot::Sender<Reply>,
    _bytes: OwnedSemaphorePermit,
}

impl Pending {
    /// Whether anyone still waits for the result.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    /// Tells the result.
    pub(crate) fn finish(self, reply: Reply) {
        // Whoever gave up needs none.
        let _ = self.reply.send(reply);
    }
}

/// Ends when nobody waits for any of them any more.
pub(crate) async fn all_abandoned(batch: &mut [Pending]) {
    futures::future::join_all(batch.iter_mut().map(|pending| pending.reply.closed())).await;
}

/// Carries one batch to its end; every [`Pending`] is finished or dropped by it.
pub(crate) trait Deliver: Send + Sync + 'static {
    /// Delivers in order.
    fn deliver(&self, batch: Vec<Pending>) -> impl Future<Output = ()> + Send;
}

/// The queue's entrance.
#[derive(Clone)]
pub(crate) struct Batcher {
    queue: mpsc::Sender<(usize, Pending)>,
    bytes: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    paused: Arc<watch::Sender<bool>>,
}

impl Batcher {
    /// Starts the one task that forms batches.
    pub(crate) fn start<D: Deliver>(deliver: Arc<D>) -> Self {
        let (queue, inbox) = mpsc::channel(MAX_QUEUED);
        let paused = Arc::new(watch::Sender::new(false));
        let slots = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
        tokio::spawn(run(inbox, paused.subscribe(), Arc::clone(&slots), deliver));
        Self { queue, bytes: Arc::new(Semaphore::new(MAX_QUEUED_BYTES)), slots, paused }
    }

    /// Queues one command; its result comes through the receiver. Dropping that withdraws it,
    /// unless it is under way already.
    pub(crate) fn submit(&self, tagged: Tagged, forwarded: bool) -> Result<oneshot::Receiver<Reply>, WriteError> {
        let len = encoded_len(&tagged);
        if len > MAX_BATCH_BYTES {
            return Err(WriteError::TooLarge);
        }
        let weight = u32::try_from(len).map_err(|_| WriteError::TooLarge)?;
        let permit = Arc::clone(&self.bytes).try_acquire_many_owned(weight).map_err(|_| WriteError::Busy)?;
        let (reply, result) = oneshot::channel();
        let pending = Pending { tagged, forwarded, reply, _bytes: permit };
        self.queue.try_send((len, pending)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => WriteError::Busy,
            mpsc::error::TrySendError::Closed(_) => WriteError::Stopping,
        })?;
        Ok(result)
    }

    /// Holds new batches back, while the leadership is handed over, and waits for those under way.
    pub(crate) async fn pause(&self, limit: Duration) {
        self.paused.send_replace(true);
        let all = u32::try_from(MAX_IN_FLIGHT).expect("a handful");
        // Whatever is still under way after the limit waits for a quorum that is not there.
        let _ = tokio::time::timeout(limit, self.slots.acquire_many(all)).await;
    }

    /// Lets them go again.
    pub(crate) fn resume(&self) {
        self.paused.send_replace(false);
    }
}

async fn run<D: Deliver>(
    mut inbox: mpsc::Receiver<(usize, Pending)>,
    mut paused: watch::Receiver<bool>,
    slots: Arc<Semaphore>,
    deliver: Arc<D>,
) {
    let mut held = None;
    loop {
        let first = match held.take() {
            Some(first) => first,
            None => match inbox.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let Some(slot) = free_slot(&slots, &mut paused).await else {
            return;
        };
        let batch = gather(first, &mut inbox, &mut held);
        let deliver = Arc::clone(&deliver);
        tokio::spawn(async move {
            deliver.deliver(batch).await;
            drop(slot);
        });
    }
}

/// A slot that was taken while nothing was paused: whoever pauses and then takes all slots knows
/// that nothing is under way.
async fn free_slot(slots: &Arc<Semaphore>, paused: &mut watch::Receiver<bool>) -> Option<OwnedSemaphorePermit> {
    loop {
        paused.wait_for(|paused| !paused).await.ok()?;
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        if !*paused.borrow() {
            return Some(slot);
        }
    }
}

/// Takes what is queued, up to the limits of one entry, and never waits for more. The command that
/// no longer fits is held for the next batch.
fn gather(
    first: (usize, Pending),
    inbox: &mut mpsc::Receiver<(usize, Pending)>,
    held: &mut Option<(usize, Pending)>,
) -> Vec<Pending> {
    let (mut bytes, first) = first;
    let mut batch = vec![first];
    while batch.len() < MAX_BATCH_COMMANDS {
        let Ok((len, next)) = inbox.try_recv() else {
            break;
        };
        if !next.is_wanted() {
            continue;
        }
        if bytes + len > MAX_BATCH_BYTES {
            *held = Some((len, next));
            break;
        }
        bytes += len;
        batch.push(next);
    }
    batch
}

#[cfg(test)]
mod tests {
    use conclave_proto::command::{Command, Outcome, Tag};
    use conclave_proto::id::{LogIndex, ProcessId};
    use conclave_proto::time::Timestamp;
    use parking_lot::Mutex;

    use super::*;

    /// Records the sizes of batches and answers when let.
    struct Recorder {
        sizes: Mutex<Vec<usize>>,
        gate: Semaphore,
        begun: mpsc::UnboundedSender<()>,
    }

    impl Deliver for Recorder {
        async fn deliver(&self, batch: Vec<Pending>) {
            self.sizes.lock().push(batch.len());
            let _ = self.begun.send(());
            self.gate.acquire().await.expect("open").forget();
            for pending in batch {
                let index = LogIndex::new(pending.tagged.tag.sequence);
                pending.finish(Ok(Written { index, outcome: Outcome::Done }));
            }
        }
    }

    fn recorder() -> (Arc<Recorder>, mpsc::UnboundedReceiver<()>) {
        let (begun, begins) = mpsc::unbounded_channel();
        (Arc::new(Recorder { sizes: Mutex::default(), gate: Semaphore::new(0), begun }), begins)
    }

    fn tagged(sequence: u64) -> Tagged {
        let tag = Tag { process: ProcessId::from_bytes([1; 16]), sequence, known_time: Timestamp::ZERO };
        Tagged { tag, command: Command::ExpireUpTo { limit: 1 } }
    }

    #[tokio::test]
    async fn what_waits_while_all_slots_are_busy_goes_as_one_batch() {
        let (recorder, mut begins) = recorder();
        let batcher = Batcher::start(Arc::clone(&recorder));
        let mut results = Vec::new();
        for sequence in 0..4 {
            results.push(batcher.submit(tagged(sequence), false).expect("room"));
            begins.recv().await.expect("a batch began");
        }
        for sequence in 4..104 {
            results.push(batcher.submit(tagged(sequence), false).expect("room"));
        }
        recorder.gate.add_permits(100);
        for (sequence, result) in results.into_iter().enumerate() {
            let written = result.await.expect("answered").expect("written");
            assert_eq!(written.index.get(), sequence as u64, "each gets its own result");
        }
        assert_eq!(*recorder.sizes.lock(), vec![1, 1, 1, 1, 64, 36]);
    }

    #[tokio::test]
    async fn a_pause_holds_batches_back_and_loses_none() {
        let (recorder, mut begins) = recorder();
        recorder.gate.add_permits(10);
        let batcher = Batcher::start(Arc::clone(&recorder));
        batcher.pause(Duration::ZERO).await;
        let results: Vec<_> = (0..3).map(|n| batcher.submit(tagged(n), false).expect("room")).collect();
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert!(begins.try_recv().is_err(), "nothing goes while paused");
        batcher.resume();
        for result in results {
            result.await.expect("answered").expect("written");
        }
        assert_eq!(recorder.sizes.lock().iter().sum::<usize>(), 3);
    }

    #[tokio::test]
    async fn a_pause_waits_for_what_is_under_way() {
        let (recorder, mut begins) = recorder();
        let batcher = Batcher::start(Arc::clone(&recorder));
        let result = batcher.submit(tagged(0), false).expect("room");
        begins.recv().await.expect("a batch began");
        let pausing = {
            let batcher = batcher.clone();
            tokio::spawn(async move { batcher.pause(Duration::from_secs(60)).await })
        };
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert!(!pausing.is_finished(), "paused with a batch under way");
        recorder.gate.add_permits(1);
        result.await.expect("answered").expect("written");
        pausing.await.expect("paused");
    }

    #[tokio::test]
    async fn a_full_queue_says_so() {
        let (recorder, _begins) = recorder();
        let batcher = Batcher::start(recorder);
        let mut results = Vec::new();
        let refused = loop {
            match batcher.submit(tagged(0), false) {
                Ok(result) => results.push(result),
                Err(error) => break error,
            }
            assert!(results.len() < 3 * MAX_QUEUED, "the queue has no bound");
        };
        assert_eq!(refused, WriteError::Busy);
    }
}
