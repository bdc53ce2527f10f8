//! Removes in the background, in bounded steps, what is no longer needed: purged log entries and
//! trees of state that a snapshot replaced.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::fatal::OrEnd;
use crate::flusher::Flusher;
use crate::limits::CLEAN_STEP_ROWS;
use crate::log_store::{LogTree, remove_row};
use crate::point_in_time::Generation;
use crate::rows::state_tree_name;
use crate::types::RaftLogId;

/// How often to look again whether the state became durable, or a replaced tree lost its readers.
const RETRY: Duration = Duration::from_millis(200);

#[derive(Default)]
struct Wanted {
    purge: Option<RaftLogId>,
    /// Replaced trees: one per snapshot that was installed or given up, so there are few.
    stale: Vec<Arc<Generation>>,
    closing: bool,
}

#[derive(Default)]
struct Shared {
    wanted: Mutex<Wanted>,
    wake: Condvar,
}

/// Tells the cleaner what to do.
#[derive(Clone, Default)]
pub(crate) struct CleanerHandle(Arc<Shared>);

impl CleanerHandle {
    /// Log entries up to there are no longer needed once the state is durable up to there.
    pub(crate) fn purge(&self, upto: RaftLogId) {
        let mut wanted = self.0.wanted.lock();
        wanted.purge = wanted.purge.max(Some(upto));
        self.0.wake.notify_one();
    }

    /// Nobody begins to read this tree any more.
    pub(crate) fn discard(&self, generation: Arc<Generation>) {
        self.0.wanted.lock().stale.push(generation);
        self.0.wake.notify_one();
    }

    /// Ends the thread after its current step.
    pub(crate) fn close(&self) {
        self.0.wanted.lock().closing = true;
        self.0.wake.notify_one();
    }

    /// Whether anything is still to be removed.
    pub(crate) fn has_work(&self) -> bool {
        let wanted = self.0.wanted.lock();
        wanted.purge.is_some() || !wanted.stale.is_empty()
    }

    /// Starts the thread.
    pub(crate) fn start(&self, db: sled::Db, log: Arc<LogTree>, flusher: Flusher) -> io::Result<JoinHandle<()>> {
        let cleaner = Cleaner { shared: Arc::clone(&self.0), db, log, flusher };
        std::thread::Builder::new().name("store-cleaner".to_owned()).spawn(move || cleaner.run())
    }
}

struct Cleaner {
    shared: Arc<Shared>,
    db: sled::Db,
    log: Arc<LogTree>,
    flusher: Flusher,
}

impl Cleaner {
    fn run(&self) {
        loop {
            let (purge, stale) = {
                let mut wanted = self.shared.wanted.lock();
                if wanted.purge.is_none() && wanted.stale.is_empty() && !wanted.closing {
                    self.shared.wake.wait(&mut wanted);
                }
                if wanted.closing {
                    return;
                }
                (wanted.purge, wanted.stale.first().map(|stale| (stale.number, Arc::strong_count(stale))))
            };
            let purged = purge.is_some_and(|upto| self.purge_step(upto));
            let cleaned = stale.is_some_and(|(number, holders)| holders == 1 && self.clean_step(number));
            if !purged && !cleaned {
                let mut wanted = self.shared.wanted.lock();
                if !wanted.closing && (wanted.purge.is_some() || !wanted.stale.is_empty()) {
                    self.shared.wake.wait_for(&mut wanted, RETRY);
                }
            }
        }
    }

    /// Returns whether it came on.
    fn purge_step(&self, upto: RaftLogId) -> bool {
        if self.flusher.durable().borrow().applied < Some(upto) {
            // The closing of the store ends the waiting; the next start goes on.
            let _ = self.flusher.sync_blocking();
            return self.flusher.durable().borrow().applied >= Some(upto);
        }
        self.log.store_purged(upto);
        if self.log.remove_head(upto, CLEAN_STEP_ROWS) < CLEAN_STEP_ROWS {
            self.shared.wanted.lock().purge.take_if(|purge| *purge <= upto);
        }
        true
    }

    fn clean_step(&self, number: u64) -> bool {
        let name = state_tree_name(number);
        let tree = self.db.open_tree(&name).or_end("opening a replaced tree");
        let keys = tree.iter().keys().take(CLEAN_STEP_ROWS);
        let keys: Vec<_> = keys.map(|key| key.or_end("cleaning a replaced tree")).collect();
        for key in &keys {
            remove_row(&tree, key, &self.flusher);
        }
        if keys.len() < CLEAN_STEP_ROWS {
            self.db.drop_tree(&name).or_end("dropping a replaced tree");
            self.shared.wanted.lock().stale.retain(|stale| stale.number != number);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::mpsc::{Receiver, SyncSender};

    use conclave_proto::time::Entropy;
    use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
    use openraft::{CommittedLeaderId, EntryPayload, LogId};

    use super::*;
    use crate::disk::DiskProbe;
    use crate::open::{StorageOptions, Verify, open};
    use crate::types::RaftEntry;

    struct Ones;

    impl Entropy for Ones {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(1);
        }
    }

    /// Each sync needs a permit once `held` is set.
    struct HeldDisk {
        held: Mutex<Option<(SyncSender<()>, Receiver<()>)>>,
    }

    impl DiskProbe for HeldDisk {
        fn sync(&self, db: &File) -> io::Result<()> {
            if let Some((begun, permit)) = &*self.held.lock() {
                // Once the test has ended, nobody holds anything up.
                let _ = begun.try_send(());
                let _ = permit.recv();
            }
            db.sync_data()
        }
    }

    fn blank(index: u64) -> RaftEntry {
        RaftEntry { log_id: LogId::new(CommittedLeaderId::new(1, 1), index), payload: EntryPayload::Blank }
    }

    /// The log is the only other place where the entries are.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_log_is_purged_only_up_to_the_durable_state() {
        let dir = tempfile::tempdir().expect("tempdir");
        let disk = Arc::new(HeldDisk { held: Mutex::new(None) });
        let mut options = StorageOptions::new(dir.path().to_path_buf(), Verify::InProcess);
        options.disk = Arc::clone(&disk) as Arc<dyn DiskProbe>;
        let mut storage = open(options, &Ones).await.expect("opens");
        storage.log.blocking_append((0..10).map(blank)).await.expect("append");

        let (begun_tx, begun) = std::sync::mpsc::sync_channel(64);
        let (permit, permit_rx) = std::sync::mpsc::sync_channel(64);
        *disk.held.lock() = Some((begun_tx, permit_rx));
        storage.machine.apply((0..10).map(blank)).await.expect("apply");
        storage.log.purge(blank(8).log_id).await.expect("purge");
        begun.recv_timeout(Duration::from_secs(20)).expect("the cleaner asks for a sync first");
        assert_eq!(storage.log.stored_rows(), 10);
        assert_eq!(storage.log.stored_purged(), None);

        (0..64).for_each(|_| permit.send(()).expect("room"));
        while storage.guard.is_cleaning() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(storage.log.stored_rows(), 1);
        assert_eq!(storage.log.stored_purged(), Some(blank(8).log_id));
        drop(permit);
        drop(begun);
        println!("purge waited for the state's sync: 1 of 1");
    }
}
