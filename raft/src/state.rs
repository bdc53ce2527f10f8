//! The replicated state on this disk: one sled tree, its single writer, and the handle to read it.

use std::sync::Arc;

use conclave_proto::id::{AttemptId, LogIndex, SessionKey};
use conclave_proto::keyspace::{AttemptRow, FoundedState, attempt_key, body_row_key};
use conclave_proto::session::BodyRow;
use conclave_proto::time::Timestamp;
use conclave_proto::transition::{self, Change, Changes, StateHasher, StateView};
use conclave_proto::wire::Versioned;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::fatal::{OrEnd, store_failed};
use crate::flusher::Flusher;
use crate::index::{INDEXED_KINDS, SessionIndex};
use crate::limits::{MAX_UNSYNCED_BYTES, ROW_OVERHEAD_BYTES};
use crate::point_in_time::{Generation, PointInTime, Views};
use crate::rows::{APPLIED_KEY, Applied, MetaKey, encode_meta};
use crate::types::RaftLogId;

/// Whether entries are still applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyHealth {
    /// They are.
    Running,
    /// An entry holds what this program does not understand: the state stays before it and the
    /// replica must not be ready. A newer program goes on from there.
    Stopped {
        /// The entry.
        at: LogIndex,
        /// Why it was not understood.
        why: String,
    },
}

pub(crate) struct State {
    pub(crate) index: Arc<SessionIndex>,
    pub(crate) health: watch::Sender<ApplyHealth>,
    flusher: Flusher,
    meta: sled::Tree,
    current: RwLock<Arc<Generation>>,
    /// Held while an entry is written or a view begins: what a view sees is one entry's state.
    writing: Mutex<Applied>,
    views: Views,
}

/// Reads one generation of the state for `apply` and for questions.
pub(crate) struct TreeView<'g>(pub(crate) &'g Generation);

impl StateView for TreeView<'_> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.tree.get(key).or_end("reading the state").map(|value| value.to_vec())
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        if from >= to {
            return Vec::new();
        }
        let rows = self.0.tree.range(from..to).take(limit);
        rows.map(|row| row.or_end("reading the state")).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }
}

impl State {
    /// Takes over what `open` found; the index is filled from it.
    pub(crate) fn new(flusher: Flusher, meta: sled::Tree, generation: Generation, applied: Applied) -> Self {
        let state = Self {
            index: Arc::default(),
            health: watch::Sender::new(ApplyHealth::Running),
            flusher,
            meta,
            current: RwLock::new(Arc::new(generation)),
            writing: Mutex::new(applied),
            views: Views::default(),
        };
        state.rebuild_index(&state.generation());
        state.publish(&state.writing.lock());
        state
    }

    pub(crate) fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.current.read())
    }

    /// What the state says of itself.
    pub(crate) fn applied(&self) -> Applied {
        self.writing.lock().clone()
    }

    /// Begins a view of the state as it is now.
    pub(crate) fn point_in_time(&self) -> PointInTime {
        let applied = self.writing.lock();
        self.views.begin(self.generation(), applied.clone())
    }

    /// Writes one entry's changes with what the entry makes of the applied record, as one sled
    /// batch; then the index shows them. Blocks while too much is unsynced.
    pub(crate) fn write(&self, changes: &Changes, next: impl FnOnce(&mut Applied)) {
        let generation = self.generation();
        let mut applied = self.writing.lock();
        let mut after = applied.clone();
        next(&mut after);

        let old_rows = read_old_rows(&generation, changes);
        self.views.save(generation.number, old_rows.iter().map(|(key, old)| (*key, old.as_deref())));
        let mut batch = sled::Batch::default();
        let mut bytes = 0;
        for (change, (key, old)) in changes.as_slice().iter().zip(&old_rows) {
            let old = old.as_deref();
            if let Some(old) = old {
                after.checksum.remove(key, old);
            }
            bytes += ROW_OVERHEAD_BYTES + key.len();
            match change {
                Change::Put { key, value } => {
                    after.checksum.add(key, value);
                    bytes += value.len();
                    batch.insert(key.as_slice(), value.as_slice());
                }
                Change::Delete { key } => {
                    // sled writes what is left of the leaf anew.
                    bytes += old.map_or(0, <[u8]>::len);
                    batch.remove(key.as_slice());
                }
            }
        }
        let record = after.to_bytes();
        bytes += ROW_OVERHEAD_BYTES + record.len();
        batch.insert(APPLIED_KEY, record);

        // An entry that removes very much is let in alone.
        let room = self.flusher.room_blocking(bytes.min(MAX_UNSYNCED_BYTES));
        generation.tree.apply_batch(batch).or_end("writing the state");
        self.flusher.note(|position| position.applied = after.last);
        drop(room);
        self.index.follow(changes.as_slice()).or_end("reading a row just written");
        self.publish(&after);
        *applied = after;
    }

    /// Makes `generation`, which is durable, the state. Returns the one it replaces.
    pub(crate) fn switch(&self, generation: Arc<Generation>, applied: Applied) -> Arc<Generation> {
        let mut writing = self.writing.lock();
        let row = encode_meta(&generation.number);
        let room = self.flusher.room_blocking(row.len() + ROW_OVERHEAD_BYTES);
        self.meta.insert(MetaKey::State.bytes(), row).or_end("switching the state");
        self.flusher.note(|position| position.applied = applied.last);
        drop(room);
        self.flusher.sync_blocking().or_end("switching the state");
        let old = std::mem::replace(&mut *self.current.write(), Arc::clone(&generation));
        self.rebuild_index(&generation);
        self.publish(&applied);
        *writing = applied;
        old
    }

    fn rebuild_index(&self, generation: &Generation) {
        let rows = INDEXED_KINDS.into_iter().flat_map(|kind| {
            let (from, to) = kind.range();
            generation.tree.range(from..to)
        });
        let rows = rows.map(|row| row.map(|(key, value)| (key.to_vec(), value.to_vec())).or_end("reading the index"));
        self.index
            .replace(rows.map(Ok))
            .unwrap_or_else(|error: conclave_proto::wire::WireError| store_failed("rebuilding the index", &error));
    }

    fn publish(&self, applied: &Applied) {
        self.index.publish(LogIndex::new(applied.last.map_or(0, |last| last.index)));
    }
}

type OldRow<'c> = (&'c [u8], Option<sled::IVec>);

fn read_old_rows<'c>(generation: &Generation, changes: &'c Changes) -> Vec<OldRow<'c>> {
    let old = |key| generation.tree.get(key).or_end("reading the state");
    changes.as_slice().iter().map(|change| (change.key(), old(change.key()))).collect()
}

/// Reads the state; cheap to clone. Single rows are read from sled as they are now.
#[derive(Clone)]
pub struct StateHandle(pub(crate) Arc<State>);

/// Bytes of rows that a full reading of the state takes at a time.
const HASH_STEP_BYTES: usize = 512 * 1024;

impl StateHandle {
    /// The sealed row of a session.
    pub fn body(&self, session: &SessionKey) -> Option<BodyRow> {
        self.row(&body_row_key(session))
    }

    /// The session that a login attempt made, which may have ended since.
    pub fn attempt(&self, attempt: &AttemptId) -> Option<SessionKey> {
        self.row::<AttemptRow>(&attempt_key(attempt)).map(|row| row.session)
    }

    /// What the cluster knows of itself.
    pub fn founded(&self) -> Option<FoundedState> {
        transition::founded(&TreeView(&self.0.generation()))
    }

    /// The state's own time: the latest stamp.
    pub fn clock(&self) -> Timestamp {
        transition::clock(&TreeView(&self.0.generation()))
    }

    /// Whether the session was revoked within the retry window.
    pub fn tombstone(&self, session: &SessionKey) -> bool {
        self.0.index.is_tombstoned(session)
    }

    /// The last applied entry; 0 if there is none.
    pub fn applied(&self) -> LogIndex {
        self.0.index.applied()
    }

    /// The last applied entry with its term. Waits for an entry that is being written.
    pub fn applied_log_id(&self) -> Option<RaftLogId> {
        self.0.applied().last
    }

    /// Whether entries are still applied.
    pub fn health(&self) -> watch::Receiver<ApplyHealth> {
        self.0.health.subscribe()
    }

    /// The SHA-256 of all rows at one entry, and that entry. Reads the whole state: call it off the
    /// async threads.
    pub fn state_hash(&self) -> (LogIndex, [u8; 32]) {
        let mut view = self.0.point_in_time();
        let mut hasher = StateHasher::default();
        while let Some(rows) = view.next_rows(HASH_STEP_BYTES) {
            rows.iter().for_each(|(key, value)| hasher.row(key, value));
        }
        (LogIndex::new(view.applied.last.map_or(0, |last| last.index)), hasher.finish())
    }

    fn row<T: Versioned>(&self, key: &[u8]) -> Option<T> {
        let bytes = TreeView(&self.0.generation()).get(key)?;
        Some(T::from_bytes(&bytes).or_end("reading a row of the state"))
    }
}
