//! Builds a snapshot file from a point-in-time view, with bounded memory, while apply goes on.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::{RaftSnapshotBuilder, StorageIOError};

use super::format::{BLOCK_BYTES, encode_end, encode_head, encode_rows};
use super::{BUILDING, SnapshotFile, SnapshotSource, Snapshots};
use crate::point_in_time::PointInTime;
use crate::rows::{Applied, StateChecksum};
use crate::types::{RaftSnapshot, RaftSnapshotMeta, RaftStorageError, TypeConfig};

/// How long to wait before the next attempt when the file cannot be written: an error would end
/// Raft on this replica, and a disk without room for a snapshot may get some.
const RETRY: Duration = Duration::from_secs(30);

/// openraft's snapshot builder. Its view begins when it is made.
pub struct SnapshotBuilder {
    snapshots: Arc<Snapshots>,
    view: Option<PointInTime>,
}

impl SnapshotBuilder {
    /// Call it between two entries: on the state machine's task.
    pub(crate) fn begin(snapshots: Arc<Snapshots>) -> Self {
        let view = snapshots.state.point_in_time();
        Self { snapshots, view: Some(view) }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    async fn build_snapshot(&mut self) -> Result<RaftSnapshot, RaftStorageError> {
        loop {
            let snapshots = Arc::clone(&self.snapshots);
            let view = self.view.take().unwrap_or_else(|| snapshots.state.point_in_time());
            let built = tokio::task::spawn_blocking(move || build(&snapshots, view)).await;
            match built.map_err(|panic| StorageIOError::write_snapshot(None, openraft::AnyError::new(&panic)))? {
                Ok(file) => {
                    let meta = file.meta().clone();
                    return Ok(RaftSnapshot { meta, snapshot: Box::new(SnapshotSource::Built(file)) });
                }
                Err(error) => {
                    // On a full disk every block of the unfinished file is missed.
                    let _ = std::fs::remove_file(self.snapshots.dir.join(BUILDING));
                    tracing::error!(%error, "cannot write a snapshot; trying again later");
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

fn build(snapshots: &Snapshots, mut view: PointInTime) -> io::Result<Arc<SnapshotFile>> {
    let meta = meta_of(&view.applied, snapshots.built.fetch_add(1, Ordering::Relaxed));
    let path = snapshots.dir.join(BUILDING);
    let mut out = BufWriter::new(File::options().read(true).write(true).create(true).truncate(true).open(&path)?);
    out.write_all(&encode_head(&meta))?;
    let mut checksum = StateChecksum::default();
    while let Some(rows) = view.next_rows(BLOCK_BYTES) {
        rows.iter().for_each(|(key, value)| checksum.add(key, value));
        for block in blocks(&rows) {
            out.write_all(&encode_rows(block))?;
        }
    }
    debug_assert_eq!(checksum, view.applied.checksum, "a view shows the rows of its entry");
    if checksum != view.applied.checksum {
        return Err(io::Error::other("the rows do not match the state's checksum"));
    }
    out.write_all(&encode_end(checksum))?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    // A snapshot must not outlive the state it was taken of: after a power cut openraft would hold
    // a snapshot of entries that were not applied.
    snapshots.flusher.sync_blocking().map_err(io::Error::other)?;
    snapshots.make_current(&path, SnapshotFile::written(file, meta)?)
}

/// Cuts rows into blocks: what was saved for the view comes in addition to what was asked for.
fn blocks(rows: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = &[(Vec<u8>, Vec<u8>)]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let mut fits = |(key, value): &(Vec<u8>, Vec<u8>)| {
            bytes += key.len() + value.len() + 8;
            bytes <= 2 * BLOCK_BYTES
        };
        let count = rest.iter().take_while(|row| fits(row)).count().max(1).min(rest.len());
        let (block, left) = rest.split_at(count);
        rest = left;
        (!block.is_empty()).then_some(block)
    })
}

fn meta_of(applied: &Applied, number: u64) -> RaftSnapshotMeta {
    let index = applied.last.map_or(0, |last| last.index);
    let snapshot_id = format!("{index}-{:016x}-{number}", applied.checksum.sum);
    RaftSnapshotMeta { last_log_id: applied.last, last_membership: applied.membership.clone(), snapshot_id }
}
