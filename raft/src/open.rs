//! Opens the store of a data directory: new, or proven whole; anything else is set aside and named.

mod assemble;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use conclave_proto::id::NodeId;
use conclave_proto::time::Entropy;
use conclave_proto::wire::Versioned;
use tokio::sync::watch;

use crate::cleaner::CleanerHandle;
use crate::disk::{DiskProbe, DiskSpace, RealDisk, sync_dir};
use crate::flusher::{Flusher, OnFlush};
use crate::index::SessionIndex;
use crate::keeper::KeeperHandle;
use crate::layout::{Layout, open_sled};
use crate::limits::DEFAULT_CACHE_BYTES;
use crate::log_store::LogStore;
use crate::marker::{BadMarker, Marker};
use crate::meta::MetaHandle;
use crate::reserve::Reserve;
use crate::rows::{APPLIED_KEY, Applied, LOG_TREE, META_TREE, MetaKey, encode_meta, state_tree_name};
use crate::snapshot::SnapshotInbox;
use crate::state::StateHandle;
use crate::state_machine::StateMachine;
use crate::verify::{EXIT_CANNOT_LOOK, EXIT_NOT_WHOLE, NotWhole, Verdict, VerifyReport};

/// Who proves an existing store whole before this process opens it.
#[derive(Clone, Debug)]
pub enum Verify {
    /// A process of its own, `BIN verify-store DIR`: sled may panic on a damaged store.
    Child(PathBuf),
    /// This process, for tests.
    InProcess,
}

/// How to open a store.
#[derive(Clone)]
pub struct StorageOptions {
    /// The data directory.
    pub dir: PathBuf,
    /// sled's page cache in bytes.
    pub cache_bytes: u64,
    /// Who proves the store whole.
    pub verifier: Verify,
    /// The disk.
    pub disk: Arc<dyn DiskProbe>,
    /// Told about every flush and sync.
    pub on_flush: Option<OnFlush>,
}

impl StorageOptions {
    /// The real disk and the default cache.
    pub fn new(dir: PathBuf, verifier: Verify) -> Self {
        Self { dir, cache_bytes: DEFAULT_CACHE_BYTES, verifier, disk: Arc::new(RealDisk), on_flush: None }
    }
}

/// An open store, in the parts that openraft and the cluster code take.
pub struct Storage {
    /// Minted with the disk.
    pub node_id: NodeId,
    /// For openraft.
    pub log: LogStore,
    /// For openraft.
    pub machine: StateMachine,
    /// Every live session, in memory.
    pub index: Arc<SessionIndex>,
    /// Reads of the state.
    pub state: StateHandle,
    /// What is durable, and how long it takes.
    pub flusher: Flusher,
    /// This disk's own values.
    pub meta: MetaHandle,
    /// Where snapshots come in.
    pub inbox: SnapshotInbox,
    /// Whether there is room to go on writing.
    pub space: watch::Receiver<DiskSpace>,
    /// Keeps the store's threads running and the directory locked; drop it last.
    pub guard: StorageGuard,
}

/// Why a store was not opened. The process stays up, unready, and says so.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses the data directory.
    #[error("{dir} is in use by another process", dir = .0.display())]
    Locked(PathBuf),
    /// The data directory cannot be made or written.
    #[error("cannot write {dir}: {error}", dir = .dir.display())]
    NotWritable {
        /// Which.
        dir: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The marker says that this disk was in use, but the store is gone.
    #[error("the store of node {node_id} is gone, but its marker is there: this disk was emptied")]
    EmptiedStore {
        /// Whose store it was.
        node_id: u64,
    },
    /// The store is not proven whole. It was set aside.
    #[error("the store is not proven whole: {why}{}", aside(.set_aside_to.as_deref()))]
    NotWhole {
        /// What is wrong.
        why: String,
        /// Where it lies.
        set_aside_to: Option<PathBuf>,
    },
    /// The store could not be looked at; it stays as it is.
    #[error("cannot verify the store: {0}")]
    Verifier(String),
}

fn aside(to: Option<&Path>) -> String {
    to.map_or_else(String::new, |to| format!("; it was set aside to {}", to.display()))
}

/// Keeps the store's threads; dropping it makes everything durable and ends them.
pub struct StorageGuard {
    flusher: Flusher,
    cleaner: CleanerHandle,
    keeper: Arc<KeeperHandle>,
    threads: Vec<JoinHandle<()>>,
    _lock: File,
}

impl StorageGuard {
    pub(crate) fn new(
        flusher: Flusher,
        cleaner: CleanerHandle,
        keeper: Arc<KeeperHandle>,
        threads: Vec<JoinHandle<()>>,
        lock: File,
    ) -> Self {
        Self { flusher, cleaner, keeper, threads, _lock: lock }
    }

    /// Whether purged entries or replaced trees are still to be removed.
    pub fn is_cleaning(&self) -> bool {
        self.cleaner.has_work()
    }
}

impl Drop for StorageGuard {
    fn drop(&mut self) {
        // Nobody is left to tell if the store was closed already.
        let _ = self.flusher.sync_blocking();
        self.keeper.close();
        self.cleaner.close();
        self.flusher.close();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Opens the store, after proof that it is whole, or makes a new one on a disk that was never used.
pub async fn open(options: StorageOptions, entropy: &dyn Entropy) -> Result<Storage, OpenError> {
    let layout = Layout::new(&options.dir);
    let not_writable = |error| OpenError::NotWritable { dir: options.dir.clone(), error };
    fs::create_dir_all(layout.root()).map_err(not_writable)?;
    let lock = lock(&layout)?;
    Reserve::new(&layout, Arc::clone(&options.disk)).release_if_full().map_err(not_writable)?;
    layout.create().map_err(not_writable)?;
    let marker = match Marker::load(&layout.marker()) {
        Ok(marker) => marker,
        Err(BadMarker::Io(error)) => return Err(not_writable(error)),
        Err(error @ BadMarker::Damaged) => return Err(set_aside(&layout, &NotWhole::Marker(error.to_string()))),
    };
    if !layout.store_db().exists() {
        if let Some(marker) = marker {
            return Err(gone(&layout, &marker));
        }
        let node_id = mint_node_id(entropy);
        create(&layout, node_id, options.cache_bytes).map_err(not_writable)?;
        return assemble(options, layout, lock, Found::New { node_id }).await;
    }
    let report = match &options.verifier {
        Verify::Child(binary) => Some(verify_in_child(binary, &layout).await?),
        Verify::InProcess => None,
    };
    assemble(options, layout, lock, Found::Used { marker, report }).await
}

/// What lay on the disk.
#[expect(clippy::large_enum_variant, reason = "made once, at start")]
pub(crate) enum Found {
    /// Nothing; this store was just made.
    New { node_id: u64 },
    /// A store, verified already if there is a report.
    Used { marker: Option<Marker>, report: Option<VerifyReport> },
}

async fn assemble(options: StorageOptions, layout: Layout, lock: File, found: Found) -> Result<Storage, OpenError> {
    let parts = tokio::task::spawn_blocking(move || assemble::assemble(&options, &layout, lock, found));
    parts.await.map_err(|panic| OpenError::Verifier(panic.to_string()))?
}

fn lock(layout: &Layout) -> Result<File, OpenError> {
    let not_writable = |error| OpenError::NotWritable { dir: layout.root().to_path_buf(), error };
    let file = File::options().create(true).truncate(false).write(true).open(layout.lock()).map_err(not_writable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(layout.root().to_path_buf())),
        Err(TryLockError::Error(error)) => Err(not_writable(error)),
    }
}

/// 0 stands for "nobody" in logs and messages.
fn mint_node_id(entropy: &dyn Entropy) -> u64 {
    loop {
        let mut bytes = [0; 8];
        entropy.fill(&mut bytes);
        if bytes != [0; 8] {
            return u64::from_le_bytes(bytes);
        }
    }
}

/// Makes a store with a node id and an empty state, all of it durable, under a temporary name: a
/// half-made store never bears the real one.
fn create(layout: &Layout, node_id: u64, cache_bytes: u64) -> io::Result<()> {
    let making = layout.root().join("store.making");
    if making.exists() {
        fs::remove_dir_all(&making)?;
    }
    if layout.store().exists() {
        // Without `db` there was never a row in it.
        fs::remove_dir_all(layout.store())?;
    }
    {
        let db = open_sled(&making, cache_bytes).map_err(io::Error::other)?;
        let write = || -> sled::Result<()> {
            let meta = db.open_tree(META_TREE)?;
            meta.insert(MetaKey::Node.bytes(), encode_meta(&node_id))?;
            meta.insert(MetaKey::State.bytes(), encode_meta(&0_u64))?;
            db.open_tree(LOG_TREE)?;
            db.open_tree(state_tree_name(0))?.insert(APPLIED_KEY, Applied::default().to_bytes())?;
            db.flush().map(drop)
        };
        write().map_err(io::Error::other)?;
    }
    Layout::sync_new_store(&making)?;
    fs::rename(&making, layout.store())?;
    sync_dir(layout.root())
}

/// The store is gone although the marker is there: emptied, or set aside before.
fn gone(layout: &Layout, marker: &Marker) -> OpenError {
    match fs::read_to_string(layout.set_aside().join(WHY)) {
        Ok(why) => OpenError::NotWhole { why, set_aside_to: Some(layout.set_aside()) },
        Err(_) => OpenError::EmptiedStore { node_id: marker.node_id },
    }
}

/// Beside a store that was set aside: what was wrong with it.
const WHY: &str = "WHY";

/// Moves the store out of the way. There is one such copy: an older one makes room, and moving
/// needs none.
pub(crate) fn set_aside(layout: &Layout, why: &NotWhole) -> OpenError {
    let why = why.to_string();
    let moved = (|| {
        if layout.set_aside().exists() {
            fs::remove_dir_all(layout.set_aside())?;
        }
        fs::rename(layout.store(), layout.set_aside())?;
        fs::write(layout.set_aside().join(WHY), &why)?;
        sync_dir(&layout.set_aside())?;
        sync_dir(layout.root())
    })();
    if let Err(error) = &moved {
        tracing::error!(%error, "cannot set the store aside");
    }
    OpenError::NotWhole { why, set_aside_to: moved.is_ok().then(|| layout.set_aside()) }
}

/// A verification reads everything once: minutes for the largest stores on the slowest disks.
const VERIFY_PATIENCE: Duration = Duration::from_secs(15 * 60);

async fn verify_in_child(binary: &Path, layout: &Layout) -> Result<VerifyReport, OpenError> {
    let mut command = tokio::process::Command::new(binary);
    command.arg("verify-store").arg(layout.root()).kill_on_drop(true);
    let cannot = |what: String| OpenError::Verifier(what);
    let output = tokio::time::timeout(VERIFY_PATIENCE, command.output())
        .await
        .map_err(|_| cannot("it took too long".to_owned()))?
        .map_err(|error| cannot(format!("{}: {error}", binary.display())))?;
    let line = String::from_utf8_lossy(&output.stdout);
    let verdict = line.lines().last().and_then(|line| serde_json::from_str(line).ok());
    match (output.status.code(), verdict) {
        (Some(0), Some(Verdict::Whole(report))) => Ok(report),
        (Some(code), Some(Verdict::NotWhole(why))) if code == i32::from(EXIT_NOT_WHOLE) => {
            Err(set_aside(layout, &NotWhole::Reported(why)))
        }
        (Some(code), Some(Verdict::CannotLook(why))) if code == i32::from(EXIT_CANNOT_LOOK) => Err(cannot(why)),
        _ if broke_down(output.status) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().find(|line| !line.is_empty()).unwrap_or("it said nothing").to_owned();
            Err(set_aside(layout, &NotWhole::BrokeDown(said)))
        }
        _ => Err(cannot(format!("{} ended with {}", binary.display(), output.status))),
    }
}

/// A panic or an abort comes from the store; a kill comes from outside.
fn broke_down(status: std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    const PANIC: i32 = 101;
    const FAULTS: [i32; 4] = [4 /* ILL */, 6 /* ABRT */, 7 /* BUS */, 11 /* SEGV */];
    status.code() == Some(PANIC) || status.signal().is_some_and(|signal| FAULTS.contains(&signal))
}
