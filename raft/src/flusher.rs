//! Durability: the one thread that makes rows durable, and the bound on what is not durable yet.
//!
//! sled's `flush` is no fsync. The thread takes what waits, calls `flush`, syncs sled's log file,
//! and only then lets anyone go on. Writers of all trees ask for room first.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot, watch};

use crate::disk::DiskProbe;
use crate::fatal::{OrEnd, store_failed};
use crate::limits::MAX_UNSYNCED_BYTES;
use crate::types::{RaftLogId, RaftVote};

/// Rows that nobody waits for become durable after so long at the latest.
const IDLE_SYNC: Duration = Duration::from_millis(500);

/// How far the store had come, in the order of its writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The last log entry.
    pub last_log: Option<RaftLogId>,
    /// The vote.
    pub vote: Option<RaftVote>,
    /// The last entry applied to the state.
    pub applied: Option<RaftLogId>,
    /// Counts truncations of the log: a position from before one may name entries that are gone.
    pub truncations: u64,
}

/// What the flusher has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlushStats {
    /// Syncs.
    pub rounds: u64,
    /// The most bytes of rows that were ever not durable.
    pub most_unsynced: usize,
    /// How long the last flush and sync took.
    pub last_took: Duration,
}

/// Told about every flush and sync: how long both took together.
pub type OnFlush = Arc<dyn Fn(Duration) + Send + Sync>;

/// The store was closed before the rows became durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store was closed")]
pub struct Closed;

type Waiter = Box<dyn FnOnce(Result<(), Closed>) + Send>;

#[derive(Default)]
struct Inner {
    /// Bytes that writers were granted since the last sync that covers them.
    reserved: usize,
    /// The part of `reserved` whose writers are done.
    written: usize,
    /// One per append, vote, purge or snapshot at work: bounded by openraft, which has one of each.
    waiters: Vec<Waiter>,
    /// A writer waits for room.
    crowded: bool,
    closing: bool,
    closed: bool,
    position: Position,
    stats: FlushStats,
}

impl Inner {
    fn has_work(&self) -> bool {
        !self.waiters.is_empty() || (self.crowded && self.written > 0)
    }
}

struct Shared {
    inner: Mutex<Inner>,
    work: Condvar,
    room: Condvar,
    room_async: Notify,
    durable: watch::Sender<Position>,
}

/// A cheap handle on the flusher.
#[derive(Clone)]
pub struct Flusher(Arc<Shared>);

/// Room for the rows of one write; dropped when they are written.
pub(crate) struct Room {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Room {
    /// Gives back what was asked for but not written.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.bytes -= surplus;
        self.shared.inner.lock().reserved -= surplus;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut inner = self.shared.inner.lock();
        inner.written += self.bytes;
        if inner.has_work() {
            self.shared.work.notify_one();
        }
    }
}

/// What the flusher's thread works on.
pub(crate) struct FlushTarget {
    pub(crate) db: sled::Db,
    pub(crate) log_file: File,
    pub(crate) blobs: PathBuf,
    pub(crate) probe: Arc<dyn DiskProbe>,
    pub(crate) on_flush: Option<OnFlush>,
}

impl Flusher {
    /// Starts the thread. `position` is what is durable already.
    pub(crate) fn start(target: FlushTarget, position: Position) -> io::Result<(Self, JoinHandle<()>)> {
        let inner = Inner { position, ..Inner::default() };
        let shared = Arc::new(Shared {
            inner: Mutex::new(inner),
            work: Condvar::new(),
            room: Condvar::new(),
            room_async: Notify::new(),
            durable: watch::Sender::new(position),
        });
        let flusher = Self(shared);
        let thread = flusher.clone();
        let handle = std::thread::Builder::new().name("store-flusher".to_owned()).spawn(move || thread.run(&target))?;
        Ok((flusher, handle))
    }

    /// What is durable.
    pub fn durable(&self) -> watch::Receiver<Position> {
        self.0.durable.subscribe()
    }

    /// What was done so far.
    pub fn stats(&self) -> FlushStats {
        self.0.inner.lock().stats
    }

    /// Waits until `bytes` of rows may be written. A write that is larger than the whole bound is
    /// let in when nothing else is unsynced.
    pub(crate) async fn room(&self, bytes: usize) -> Room {
        loop {
            let freed = self.0.room_async.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(room) = self.try_room(&mut self.0.inner.lock(), bytes) {
                return room;
            }
            freed.await;
        }
    }

    /// [`Flusher::room`] for threads.
    pub(crate) fn room_blocking(&self, bytes: usize) -> Room {
        let mut inner = self.0.inner.lock();
        loop {
            if let Some(room) = self.try_room(&mut inner, bytes) {
                return room;
            }
            self.0.room.wait(&mut inner);
        }
    }

    fn try_room(&self, inner: &mut MutexGuard<'_, Inner>, bytes: usize) -> Option<Room> {
        let fits = inner.reserved == 0 || inner.reserved + bytes <= MAX_UNSYNCED_BYTES;
        if !fits && !inner.closed {
            inner.crowded = true;
            self.0.work.notify_one();
            return None;
        }
        inner.reserved += bytes;
        inner.stats.most_unsynced = inner.stats.most_unsynced.max(inner.reserved);
        Some(Room { shared: Arc::clone(&self.0), bytes })
    }

    /// Records how far the store has come; call it after the write and before asking for a sync.
    pub(crate) fn note(&self, update: impl FnOnce(&mut Position)) {
        update(&mut self.0.inner.lock().position);
    }

    /// Calls back, on the flusher's thread, once all that was written before is durable.
    pub(crate) fn when_durable(&self, waiter: impl FnOnce(Result<(), Closed>) + Send + 'static) {
        let mut inner = self.0.inner.lock();
        if inner.closed {
            drop(inner);
            waiter(Err(Closed));
            return;
        }
        inner.waiters.push(Box::new(waiter));
        self.0.work.notify_one();
    }

    /// Waits until all that was written before is durable.
    pub(crate) async fn sync(&self) -> Result<(), Closed> {
        let (done, waiting) = oneshot::channel();
        self.when_durable(move |result| {
            // Nobody listens any more when the caller was cancelled.
            let _ = done.send(result);
        });
        waiting.await.unwrap_or(Err(Closed))
    }

    /// [`Flusher::sync`] for threads.
    pub(crate) fn sync_blocking(&self) -> Result<(), Closed> {
        let (done, waiting) = std::sync::mpsc::sync_channel(1);
        self.when_durable(move |result| {
            let _ = done.send(result);
        });
        waiting.recv().unwrap_or(Err(Closed))
    }

    /// Makes the thread finish what waits and end.
    pub(crate) fn close(&self) {
        self.0.inner.lock().closing = true;
        self.0.work.notify_one();
    }

    fn run(&self, target: &FlushTarget) {
        loop {
            let mut inner = self.0.inner.lock();
            if !inner.has_work() && !inner.closing {
                self.0.work.wait_for(&mut inner, IDLE_SYNC);
            }
            let idle = !inner.has_work() && inner.written == 0;
            if inner.closing && idle {
                inner.closed = true;
                drop(inner);
                self.wake_writers();
                return;
            }
            if !idle {
                self.round(inner, target);
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the length of one flush, for a metric")]
    fn round(&self, mut inner: MutexGuard<'_, Inner>, target: &FlushTarget) {
        let waiters = std::mem::take(&mut inner.waiters);
        let (covered, unsynced, position) = (inner.written, inner.reserved, inner.position);
        inner.crowded = false;
        drop(inner);

        let began = Instant::now();
        target.db.flush().or_end("flushing");
        target.probe.sync(&target.log_file).or_end("syncing");
        let took = began.elapsed();
        assert_no_blobs(&target.blobs);
        target.probe.synced(unsynced);

        let mut inner = self.0.inner.lock();
        inner.reserved -= covered;
        inner.written -= covered;
        inner.stats.rounds += 1;
        inner.stats.last_took = took;
        drop(inner);
        self.0.durable.send_replace(position);
        self.wake_writers();
        waiters.into_iter().for_each(|waiter| waiter(Ok(())));
        if let Some(observe) = &target.on_flush {
            observe(took);
        }
    }

    fn wake_writers(&self) {
        self.0.room.notify_all();
        self.0.room_async.notify_waiters();
    }
}

/// sled never syncs blob files, so a row that went into one is not durable whatever was synced.
fn assert_no_blobs(blobs: &Path) {
    match fs::read_dir(blobs).map(|mut entries| entries.next().is_some()) {
        Ok(false) => {}
        Ok(true) => store_failed("checking durability", &"sled wrote a blob file, which it never syncs"),
        Err(error) => store_failed("looking for blob files", &error),
    }
}
