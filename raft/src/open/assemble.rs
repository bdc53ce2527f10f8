//! Puts the parts of an open store together and starts its threads.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conclave_proto::id::{ClusterId, NodeId};
use conclave_proto::wire::Versioned;
use tokio::sync::watch;

use super::{Found, OpenError, Storage, StorageGuard, StorageOptions, set_aside};
use crate::cleaner::CleanerHandle;
use crate::disk::DiskSpace;
use crate::flusher::{FlushTarget, Flusher, Position};
use crate::keeper::{Keeper, KeeperHandle};
use crate::layout::{Layout, open_sled};
use crate::log_store::{FoundLog, LogStore, LogTree};
use crate::marker::{Marker, MarkerFile};
use crate::meta::MetaHandle;
use crate::point_in_time::Generation;
use crate::reserve::Reserve;
use crate::rows::{APPLIED_KEY, Applied, LOG_TREE, META_TREE, MetaKey, generation_of_tree, read_meta, state_tree_name};
use crate::snapshot::{SnapshotInbox, Snapshots, Useful};
use crate::state::{State, StateHandle};
use crate::state_machine::StateMachine;
use crate::verify::{NotWhole, VerifyReport, hold_against_marker, verify_open};

/// How long the process that had the store open before may take to let go of it.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_RETRY: Duration = Duration::from_millis(20);

pub(super) fn assemble(
    options: &StorageOptions,
    layout: &Layout,
    lock: File,
    found: Found,
) -> Result<Storage, OpenError> {
    let (db, report) = match open_proven(options, layout, found) {
        Ok(proven) => proven,
        Err(error) if error.is_passing() => return Err(OpenError::Verifier(error.to_string())),
        Err(error) => return Err(set_aside(layout, &error)),
    };
    let not_writable = |error| OpenError::NotWritable { dir: options.dir.clone(), error };
    let trees = Trees::open(&db, &report).map_err(|error| not_writable(io::Error::other(error)))?;
    start(options, layout, lock, db, trees, &report).map_err(not_writable)
}

/// Opens sled and holds what it finds against the marker.
fn open_proven(options: &StorageOptions, layout: &Layout, found: Found) -> Result<(sled::Db, VerifyReport), NotWhole> {
    let db = open_patiently(options, layout)?;
    match found {
        Found::New { node_id } => {
            let report = verify_open(&db, layout)?;
            if report.node_id != node_id {
                return Err(NotWhole::OtherNode);
            }
            Ok((db, report))
        }
        Found::Used { marker, report } => {
            let report = report.map_or_else(|| verify_open(&db, layout), Ok)?;
            hold_against_marker(&report, marker.as_ref())?;
            Ok((db, report))
        }
    }
}

/// sled lets go of its lock a moment after the last handle is gone.
#[expect(clippy::disallowed_methods, reason = "a thread of its own waits, before anything else runs")]
fn open_patiently(options: &StorageOptions, layout: &Layout) -> Result<sled::Db, NotWhole> {
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        match open_sled(&layout.store(), options.cache_bytes).map_err(NotWhole::from) {
            Err(error) if error.is_lock() && Instant::now() < until => std::thread::sleep(LOCK_RETRY),
            result => return result,
        }
    }
}

struct Trees {
    log: sled::Tree,
    meta: sled::Tree,
    state: sled::Tree,
    applied: Applied,
    cluster: Option<ClusterId>,
    stale: Vec<Generation>,
    next_generation: u64,
}

impl Trees {
    fn open(db: &sled::Db, report: &VerifyReport) -> Result<Self, NotWhole> {
        let meta = db.open_tree(META_TREE)?;
        let state = db.open_tree(state_tree_name(report.generation))?;
        let record = state.get(APPLIED_KEY)?.ok_or(NotWhole::Meta("applied"))?;
        let generations: Vec<_> = db.tree_names().iter().filter_map(|name| generation_of_tree(name)).collect();
        let stale = generations.iter().filter(|number| **number != report.generation);
        let stale = stale.map(|&number| db.open_tree(state_tree_name(number)).map(|tree| Generation { number, tree }));
        Ok(Self {
            log: db.open_tree(LOG_TREE)?,
            applied: Applied::from_bytes(&record).map_err(|_| NotWhole::Meta("applied"))?,
            cluster: read_meta(&meta, MetaKey::Cluster).map_err(|_| NotWhole::Meta("cluster"))?,
            stale: stale.collect::<Result<_, _>>()?,
            next_generation: generations.iter().max().map_or(1, |newest| newest + 1),
            meta,
            state,
        })
    }
}

fn start(
    options: &StorageOptions,
    layout: &Layout,
    lock: File,
    db: sled::Db,
    trees: Trees,
    report: &VerifyReport,
) -> io::Result<Storage> {
    // What recovery wrote must not count as unsynced rows of ours.
    let log_file = File::options().write(true).open(layout.store_db())?;
    db.flush().map_err(io::Error::other)?;
    options.disk.sync(&log_file)?;

    let position = Position { last_log: report.last_log, vote: report.vote, applied: report.applied, truncations: 0 };
    let mut marker = Marker::new(report.node_id);
    (marker.last_log, marker.vote) = (report.last_log, report.vote);
    let marker = Arc::new(MarkerFile::create(layout.marker(), marker)?);
    let target = FlushTarget {
        db: db.clone(),
        log_file,
        blobs: layout.blobs(),
        probe: Arc::clone(&options.disk),
        on_flush: options.on_flush.clone(),
    };
    let (flusher, flusher_thread) = Flusher::start(target, position)?;

    let cleaner = CleanerHandle::default();
    let found = FoundLog { last: report.last_log, purged: report.purged, vote: report.vote, bytes: report.log_bytes };
    let log_tree = Arc::new(LogTree::new(
        trees.log,
        trees.meta.clone(),
        flusher.clone(),
        &found,
        Arc::clone(&marker),
        cleaner.clone(),
    ));
    let generation = Generation { number: report.generation, tree: trees.state };
    let state = Arc::new(State::new(flusher.clone(), trees.meta.clone(), generation, trees.applied));
    let cleaner_thread = cleaner.start(db.clone(), Arc::clone(&log_tree), flusher.clone())?;
    trees.stale.into_iter().for_each(|stale| cleaner.discard(Arc::new(stale)));
    report.purged.into_iter().for_each(|purged| cleaner.purge(purged));

    let snapshots = Arc::new(Snapshots::open(
        layout.snapshots(),
        db,
        Arc::clone(&state),
        flusher.clone(),
        cleaner.clone(),
        (useful_snapshots(report), trees.next_generation),
    )?);
    let (space, space_watch) = watch::channel(DiskSpace::default());
    let keeper_handle = Arc::new(KeeperHandle::default());
    let keeper = Keeper {
        handle: Arc::clone(&keeper_handle),
        flusher: flusher.clone(),
        marker,
        reserve: Reserve::new(layout, Arc::clone(&options.disk)),
        space,
    };
    let threads = vec![keeper.start()?, cleaner_thread, flusher_thread];

    let node_id = NodeId::new(report.node_id);
    let log = LogStore::new(log_tree);
    Ok(Storage {
        node_id,
        meta: MetaHandle::new(trees.meta, flusher.clone(), log.clone(), node_id, trees.cluster),
        log,
        machine: StateMachine::new(Arc::clone(&state), Arc::clone(&snapshots), cleaner.clone()),
        index: Arc::clone(&state.index),
        state: StateHandle(state),
        inbox: SnapshotInbox(snapshots),
        space: space_watch,
        guard: StorageGuard::new(flusher.clone(), cleaner, keeper_handle, threads, lock),
        flusher,
    })
}

/// openraft purges the whole log at start where the state is ahead of it.
fn useful_snapshots(report: &VerifyReport) -> Useful {
    let ahead = report.applied > report.last_log;
    Useful { from: if ahead { report.applied } else { report.purged }, upto: report.applied }
}
