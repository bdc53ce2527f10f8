//! Raft snapshots: built to a file as a point in time, received chunk by chunk into a fresh tree.

mod builder;
mod file;
mod format;
mod receiver;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

use parking_lot::Mutex;

use crate::cleaner::CleanerHandle;
use crate::disk::sync_dir;
use crate::flusher::Flusher;
use crate::state::State;
use crate::types::RaftLogId;

pub use builder::SnapshotBuilder;
pub use file::SnapshotFile;
pub use format::BadSnapshot;
pub use receiver::{ReceivedSnapshot, SnapshotReceiver};

/// What openraft hands around as a snapshot's data.
#[derive(Clone)]
pub enum SnapshotSource {
    /// A file of this replica, to be read and sent.
    Built(Arc<SnapshotFile>),
    /// Rows that came in and lie durable in a fresh tree: installing only switches to it.
    Received(Arc<ReceivedSnapshot>),
    /// Nothing yet; chunks go to [`SnapshotInbox::receive`].
    Empty,
}

impl std::fmt::Debug for SnapshotSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Built(_) => "SnapshotSource::Built",
            Self::Received(_) => "SnapshotSource::Received",
            Self::Empty => "SnapshotSource::Empty",
        })
    }
}

pub(crate) const CURRENT: &str = "current";
pub(crate) const BUILDING: &str = "building";

/// The snapshot files of this replica and the trees that incoming ones fill.
pub(crate) struct Snapshots {
    dir: PathBuf,
    db: sled::Db,
    pub(crate) state: Arc<State>,
    flusher: Flusher,
    cleaner: CleanerHandle,
    current: Mutex<Option<Arc<SnapshotFile>>>,
    next_generation: AtomicU64,
    built: AtomicU64,
}

impl Snapshots {
    /// Keeps a whole `current` file that fits the log and the state, and removes what was left half
    /// done.
    pub(crate) fn open(
        dir: PathBuf,
        db: sled::Db,
        state: Arc<State>,
        flusher: Flusher,
        cleaner: CleanerHandle,
        (useful, next_generation): (Useful, u64),
    ) -> io::Result<Self> {
        let current = open_current(&dir, &useful)?;
        Ok(Self {
            dir,
            db,
            state,
            flusher,
            cleaner,
            current: Mutex::new(current.map(Arc::new)),
            next_generation: AtomicU64::new(next_generation),
            built: AtomicU64::new(0),
        })
    }

    pub(crate) fn current(&self) -> Option<Arc<SnapshotFile>> {
        self.current.lock().clone()
    }

    /// Makes the finished file at `path` the current one, durably.
    fn make_current(&self, path: &Path, file: SnapshotFile) -> io::Result<Arc<SnapshotFile>> {
        let mut current = self.current.lock();
        fs::rename(path, self.dir.join(CURRENT))?;
        sync_dir(&self.dir)?;
        let file = Arc::new(file);
        *current = Some(Arc::clone(&file));
        Ok(file)
    }

    fn take_generation(&self) -> u64 {
        self.next_generation.fetch_add(1, Ordering::Relaxed)
    }
}

/// Which snapshots go with what else lies on the disk.
pub(crate) struct Useful {
    /// The log begins after this entry: an older snapshot would lead nobody to the log.
    pub(crate) from: Option<RaftLogId>,
    /// The state ends with this entry.
    pub(crate) upto: Option<RaftLogId>,
}

impl Useful {
    fn includes(&self, file: &SnapshotFile) -> bool {
        let last = file.meta().last_log_id;
        self.from <= last && last <= self.upto
    }
}

fn open_current(dir: &Path, useful: &Useful) -> io::Result<Option<SnapshotFile>> {
    let keep: HashSet<PathBuf> = [dir.join(CURRENT)].into();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !keep.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    let path = dir.join(CURRENT);
    if !path.exists() {
        return Ok(None);
    }
    match SnapshotFile::open(&path) {
        Ok(file) if useful.includes(&file) => Ok(Some(file)),
        Ok(_) => {
            // A crash came between two steps of an installation.
            fs::remove_file(&path)?;
            Ok(None)
        }
        Err(error) => {
            // Only a copy of the state: openraft has another built.
            tracing::warn!(%error, "removing a damaged snapshot file");
            fs::remove_file(&path)?;
            Ok(None)
        }
    }
}

/// Where snapshots of other replicas come in; cheap to clone.
#[derive(Clone)]
pub struct SnapshotInbox(pub(crate) Arc<Snapshots>);

impl SnapshotInbox {
    /// Begins to receive one. Dropping the receiver gives it up; its rows are cleaned up later.
    pub fn receive(&self) -> Result<SnapshotReceiver, SnapshotError> {
        SnapshotReceiver::begin(Arc::clone(&self.0))
    }
}

/// Why a snapshot was not taken in. Nothing of the replica's own state has changed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes are no whole snapshot.
    #[error("the snapshot {0}")]
    Bad(#[from] BadSnapshot),
    /// The file beside the tree could not be written.
    #[error("cannot write the snapshot's file: {0}")]
    Io(#[from] io::Error),
    /// The store was closed meanwhile.
    #[error(transparent)]
    Closed(#[from] crate::flusher::Closed),
}
