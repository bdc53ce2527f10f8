//! The log and the vote: openraft's `RaftLogStorage` on sled.
//!
//! - No append callback and no `save_vote` returns before the flusher has synced.
//! - The log has no holes: it is cut from its tail backwards, and from its head only after
//!   `purged` says so and the state is durable up to there.
//! - The marker is lowered before the log is cut at its tail.

use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader, StorageIOError};
use parking_lot::Mutex;

use crate::cleaner::CleanerHandle;
use crate::fatal::OrEnd;
use crate::flusher::{Closed, Flusher, Position};
use crate::limits::{MAX_LOG_READ_BYTES, MAX_ROW_BYTES, ROW_OVERHEAD_BYTES, WRITE_STEP_BYTES};
use crate::marker::MarkerFile;
use crate::rows::{MetaKey, decode_entry, encode_entry, encode_meta, log_key};
use crate::types::{RaftEntry, RaftLogId, RaftStorageError, RaftVote, TypeConfig};

/// openraft's log storage; cheap to clone.
#[derive(Clone)]
pub struct LogStore(Arc<LogTree>);

/// What the log store and the cleaner share.
pub(crate) struct LogTree {
    pub(crate) tree: sled::Tree,
    pub(crate) meta: sled::Tree,
    pub(crate) flusher: Flusher,
    ends: Mutex<Ends>,
    /// What `purged` says on the disk.
    stored_purged: Mutex<Option<RaftLogId>>,
    appended: AtomicU64,
    /// Bytes of the rows that lie in the tree.
    stored: AtomicU64,
}

/// What `open` found.
pub(crate) struct FoundLog {
    pub(crate) last: Option<RaftLogId>,
    pub(crate) purged: Option<RaftLogId>,
    pub(crate) vote: Option<RaftVote>,
    /// Of all rows in the tree, as [`log_row_bytes`] counts.
    pub(crate) bytes: u64,
}

struct Ends {
    last: Option<RaftLogId>,
    purged: Option<RaftLogId>,
    vote: Option<RaftVote>,
    /// A snapshot beyond the log's end is being installed: the log may only grow from there once
    /// the state is durable, or a crash would leave a hole.
    gap_until: Option<RaftLogId>,
    truncations: u64,
    marker: Arc<MarkerFile>,
    cleaner: CleanerHandle,
}

impl LogTree {
    pub(crate) fn new(
        tree: sled::Tree,
        meta: sled::Tree,
        flusher: Flusher,
        found: &FoundLog,
        marker: Arc<MarkerFile>,
        cleaner: CleanerHandle,
    ) -> Self {
        let ends = Ends {
            last: found.last.max(found.purged),
            purged: found.purged,
            vote: found.vote,
            gap_until: None,
            truncations: 0,
            marker,
            cleaner,
        };
        let stored_purged = Mutex::new(found.purged);
        let (appended, stored) = (AtomicU64::new(0), AtomicU64::new(found.bytes));
        Self { tree, meta, flusher, ends: Mutex::new(ends), stored_purged, appended, stored }
    }

    /// Writes `purged`; the state must be durable up to there.
    pub(crate) fn store_purged(&self, upto: RaftLogId) {
        let mut stored = self.stored_purged.lock();
        if *stored >= Some(upto) {
            return;
        }
        let row = encode_meta(&upto);
        let room = self.flusher.room_blocking(row.len() + ROW_OVERHEAD_BYTES);
        self.meta.insert(MetaKey::Purged.bytes(), row).or_end("storing what was purged");
        drop(room);
        *stored = Some(upto);
    }

    /// Removes at most `limit` rows up to `upto` from the head; returns how many.
    pub(crate) fn remove_head(&self, upto: RaftLogId, limit: usize) -> usize {
        let keys = self.tree.range(..=log_key(upto.index)).keys().take(limit);
        let keys: Vec<_> = keys.map(|key| key.or_end("purging the log")).collect();
        self.remove_rows(keys.iter());
        keys.len()
    }

    fn remove_rows<'k>(&self, keys: impl Iterator<Item = &'k sled::IVec>) {
        for key in keys {
            let removed = remove_row(&self.tree, key, &self.flusher);
            self.stored.fetch_sub(removed as u64, Ordering::Relaxed);
        }
    }
}

/// Removes one row and returns its bytes, its key's included; 0 if there was none. sled writes the
/// rest of its leaf anew, so it counts with its size.
pub(crate) fn remove_row(tree: &sled::Tree, key: &[u8], flusher: &Flusher) -> usize {
    let mut room = flusher.room_blocking(MAX_ROW_BYTES);
    let old = tree.remove(key).or_end("removing a row");
    let bytes = old.map_or(0, |old| key.len() + old.len());
    room.shrink_to(ROW_OVERHEAD_BYTES + bytes.max(key.len()));
    bytes
}

/// What a row of the log counts.
pub(crate) fn log_row_bytes(key: &[u8], row: &[u8]) -> u64 {
    (key.len() + row.len()) as u64
}

impl LogStore {
    pub(crate) fn new(tree: Arc<LogTree>) -> Self {
        Self(tree)
    }

    /// Bytes of entries appended since the process began.
    pub fn appended_bytes(&self) -> u64 {
        self.0.appended.load(Ordering::Relaxed)
    }

    /// Bytes of the log as it lies in the store, what was purged but not yet removed included.
    pub fn stored_bytes(&self) -> u64 {
        self.0.stored.load(Ordering::Relaxed)
    }

    /// The last entry of the log; 0 if there is none.
    pub fn last_index(&self) -> u64 {
        self.0.ends.lock().last.map_or(0, |last| last.index)
    }

    /// The vote as stored.
    pub fn vote(&self) -> Option<RaftVote> {
        self.0.ends.lock().vote
    }

    /// Rows that lie in the tree, purged ones included.
    #[cfg(test)]
    pub(crate) fn stored_rows(&self) -> usize {
        self.0.tree.len()
    }

    /// What `purged` says on the disk.
    #[cfg(test)]
    pub(crate) fn stored_purged(&self) -> Option<RaftLogId> {
        *self.0.stored_purged.lock()
    }

    /// Whether this disk never took part: no vote, no entry, no snapshot.
    pub fn is_pristine(&self) -> bool {
        let ends = self.0.ends.lock();
        ends.vote.is_none() && ends.last.is_none()
    }

    /// After a snapshot that reaches beyond the log's end: waits until the state is durable there.
    async fn close_gap(&self) -> Result<(), Closed> {
        let Some(gap) = self.0.ends.lock().gap_until else { return Ok(()) };
        let reached = move |position: &Position| position.applied >= Some(gap);
        self.0.flusher.durable().wait_for(reached).await.map_err(|_| Closed)?;
        self.0.store_purged(gap);
        self.0.ends.lock().gap_until.take_if(|waited| *waited <= gap);
        Ok(())
    }

    async fn write(&self, rows: Vec<(u64, Vec<u8>)>) {
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let mut batch = sled::Batch::default();
            let mut bytes = 0;
            let mut stored = 0;
            while let Some((index, row)) = rows.next_if(|(_, row)| bytes == 0 || bytes + row.len() <= WRITE_STEP_BYTES)
            {
                bytes += row.len() + ROW_OVERHEAD_BYTES;
                stored += log_row_bytes(&log_key(index), &row);
                batch.insert(&log_key(index), row);
            }
            let room = self.0.flusher.room(bytes).await;
            self.0.tree.apply_batch(batch).or_end("appending to the log");
            drop(room);
            self.0.appended.fetch_add(bytes as u64, Ordering::Relaxed);
            self.0.stored.fetch_add(stored, Ordering::Relaxed);
        }
    }

    fn read(&self, from: u64, to: Bound<u64>, most_bytes: usize) -> Vec<RaftEntry> {
        let purged = self.0.ends.lock().purged;
        let from = from.max(purged.map_or(0, |purged| purged.index + 1));
        let to = match to {
            Bound::Included(to) => Bound::Included(log_key(to)),
            Bound::Excluded(to) if to <= from => return Vec::new(),
            Bound::Excluded(to) => Bound::Excluded(log_key(to)),
            Bound::Unbounded => Bound::Unbounded,
        };
        let mut entries = Vec::new();
        let mut bytes = 0;
        for row in self.0.tree.range((Bound::Included(log_key(from)), to)) {
            let (key, row) = row.or_end("reading the log");
            bytes += row.len();
            if bytes > most_bytes && !entries.is_empty() {
                break;
            }
            entries.push(decode_entry(&key, &row).or_end("reading the log"));
        }
        entries
    }
}

/// Encoded entries with their indexes.
type LogRows = Vec<(u64, Vec<u8>)>;

/// Rejects what would leave a hole; entries that were purged already are in the state and need no row.
fn encode_contiguous(
    (last, purged): (Option<RaftLogId>, Option<RaftLogId>),
    entries: impl Iterator<Item = RaftEntry>,
) -> Result<(Option<RaftLogId>, LogRows), RaftStorageError> {
    let mut end = last;
    let mut rows = Vec::new();
    for entry in entries.skip_while(|entry| purged.is_some_and(|purged| entry.log_id.index <= purged.index)) {
        let index = entry.log_id.index;
        let follows = end.is_none_or(|end| index == end.index + 1);
        let row = encode_entry(&entry);
        if !follows || row.len() > MAX_ROW_BYTES {
            let why = if follows { "an entry is too large" } else { "an entry would leave a hole in the log" };
            return Err(StorageIOError::write_log_entry(entry.log_id, anyerror(why)).into());
        }
        end = Some(entry.log_id);
        rows.push((index, row));
    }
    Ok((end, rows))
}

fn anyerror(why: &str) -> openraft::AnyError {
    openraft::AnyError::error(why)
}

/// For openraft: the store was closed under it.
pub(crate) fn closed_error(closed: Closed) -> RaftStorageError {
    StorageIOError::write(openraft::AnyError::new(&closed)).into()
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<RaftEntry>, RaftStorageError> {
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        Ok(self.read(from, range.end_bound().cloned(), usize::MAX))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<RaftEntry>, RaftStorageError> {
        Ok(self.read(start, Bound::Excluded(end), MAX_LOG_READ_BYTES))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, RaftStorageError> {
        let ends = self.0.ends.lock();
        Ok(LogState { last_purged_log_id: ends.purged, last_log_id: ends.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &RaftVote) -> Result<(), RaftStorageError> {
        let row = encode_meta(vote);
        let room = self.0.flusher.room(row.len() + ROW_OVERHEAD_BYTES).await;
        self.0.meta.insert(MetaKey::Vote.bytes(), row).or_end("saving the vote");
        self.0.ends.lock().vote = Some(*vote);
        self.0.flusher.note(|position| position.vote = Some(*vote));
        drop(room);
        self.0.flusher.sync().await.map_err(closed_error)
    }

    async fn read_vote(&mut self) -> Result<Option<RaftVote>, RaftStorageError> {
        Ok(self.vote())
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<TypeConfig>) -> Result<(), RaftStorageError>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.close_gap().await.map_err(closed_error)?;
        let ends = {
            let ends = self.0.ends.lock();
            (ends.last, ends.purged)
        };
        let (end, rows) = encode_contiguous(ends, entries.into_iter())?;
        self.write(rows).await;
        self.0.ends.lock().last = end;
        self.0.flusher.note(|position| position.last_log = end);
        self.0.flusher.when_durable(|result| callback.log_io_completed(result.map_err(std::io::Error::other)));
        Ok(())
    }

    async fn truncate(&mut self, log_id: RaftLogId) -> Result<(), RaftStorageError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.truncate_blocking(log_id.index)).await.or_end("cutting the log");
        self.0.flusher.sync().await.map_err(closed_error)
    }

    async fn purge(&mut self, log_id: RaftLogId) -> Result<(), RaftStorageError> {
        let mut ends = self.0.ends.lock();
        ends.purged = ends.purged.max(Some(log_id));
        if ends.last.is_none_or(|last| last.index < log_id.index) {
            ends.last = Some(log_id);
            ends.gap_until = Some(log_id);
        }
        ends.cleaner.purge(log_id);
        Ok(())
    }
}

impl LogStore {
    fn truncate_blocking(&self, since: u64) {
        let (marker, truncations, end) = {
            let mut ends = self.0.ends.lock();
            ends.truncations += 1;
            ends.last = self.last_before(since, ends.purged);
            (Arc::clone(&ends.marker), ends.truncations, ends.last)
        };
        self.0.flusher.note(|position| {
            position.truncations = truncations;
            position.last_log = end;
        });
        marker.lower(end, truncations);
        let keys: Vec<_> =
            self.0.tree.range(log_key(since)..).keys().map(|key| key.or_end("cutting the log")).collect();
        self.0.remove_rows(keys.iter().rev());
    }

    fn last_before(&self, since: u64, purged: Option<RaftLogId>) -> Option<RaftLogId> {
        let row = self.0.tree.range(..log_key(since)).next_back();
        let last = row
            .map(|row| row.or_end("reading the log"))
            .map(|(key, row)| decode_entry(&key, &row).or_end("reading the log").log_id);
        last.max(purged)
    }
}
