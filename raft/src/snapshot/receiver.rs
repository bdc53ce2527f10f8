//! Takes in a snapshot chunk by chunk: rows go into a fresh tree, within the bound on unsynced
//! bytes, and the bytes into a file, so that this replica can send the snapshot on.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use conclave_proto::keyspace;
use conclave_proto::wire::Versioned;

use super::format::{BadSnapshot, Parser, Part};
use super::{SnapshotError, SnapshotFile, SnapshotSource, Snapshots};
use crate::cleaner::CleanerHandle;
use crate::fatal::OrEnd;
use crate::limits::{MAX_ROW_BYTES, ROW_OVERHEAD_BYTES, WRITE_STEP_BYTES};
use crate::point_in_time::Generation;
use crate::rows::{APPLIED_KEY, Applied, StateChecksum, state_tree_name};
use crate::types::RaftSnapshotMeta;

/// A snapshot that lies whole and durable in a fresh tree.
pub struct ReceivedSnapshot {
    landing: Landing,
    pub(crate) applied: Applied,
    pub(crate) meta: RaftSnapshotMeta,
}

/// Where a snapshot comes to lie until it is installed; dropping it gives the tree up.
struct Landing {
    generation: Arc<Generation>,
    file: PathBuf,
    cleaner: CleanerHandle,
    kept: std::sync::atomic::AtomicBool,
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !*self.kept.get_mut() {
            self.cleaner.discard(Arc::clone(&self.generation));
            // Left-over files go at the next start too.
            let _ = fs::remove_file(&self.file);
        }
    }
}

impl ReceivedSnapshot {
    pub(crate) fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.landing.generation)
    }

    /// The tree is the state from now on, and the file the current snapshot.
    pub(crate) fn keep(&self, snapshots: &Snapshots) -> std::io::Result<()> {
        self.landing.kept.store(true, std::sync::atomic::Ordering::Relaxed);
        let file = SnapshotFile::written(File::open(&self.landing.file)?, self.meta.clone())?;
        snapshots.make_current(&self.landing.file, file).map(drop)
    }
}

/// Receives one snapshot.
pub struct SnapshotReceiver {
    snapshots: Arc<Snapshots>,
    landing: Landing,
    file: File,
    parser: Parser,
    meta: Option<RaftSnapshotMeta>,
    last_key: Vec<u8>,
    checksum: StateChecksum,
    ended: bool,
    received: u64,
}

impl SnapshotReceiver {
    pub(super) fn begin(snapshots: Arc<Snapshots>) -> Result<Self, SnapshotError> {
        let number = snapshots.take_generation();
        let path = snapshots.dir.join(format!("incoming-{number}"));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        let tree = snapshots.db.open_tree(state_tree_name(number)).or_end("making a tree for a snapshot");
        let landing = Landing {
            generation: Arc::new(Generation { number, tree }),
            file: path,
            cleaner: snapshots.cleaner.clone(),
            kept: false.into(),
        };
        Ok(Self {
            snapshots,
            landing,
            file,
            parser: Parser::default(),
            meta: None,
            last_key: Vec::new(),
            checksum: StateChecksum::default(),
            ended: false,
            received: 0,
        })
    }

    /// Bytes taken so far: where the next chunk must begin.
    pub fn offset(&self) -> u64 {
        self.received
    }

    /// Takes the next bytes; any cut into chunks will do. After an error the receiver is of no use.
    pub async fn write_chunk(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.file.write_all(bytes)?;
        self.received += bytes.len() as u64;
        self.parser.push(bytes);
        while let Some(part) = self.parser.next_part()? {
            match part {
                Part::Head(meta) if self.meta.is_none() && !self.ended => self.meta = Some(*meta),
                Part::Rows(rows) if self.meta.is_some() && !self.ended => self.write_rows(rows).await?,
                Part::End(checksum) if self.meta.is_some() && !self.ended => self.end(checksum)?,
                Part::Head(_) | Part::Rows(_) | Part::End(_) => return Err(BadSnapshot::Malformed.into()),
            }
        }
        Ok(())
    }

    fn end(&mut self, checksum: StateChecksum) -> Result<(), BadSnapshot> {
        if checksum != self.checksum {
            return Err(BadSnapshot::Checksum);
        }
        self.ended = true;
        Ok(())
    }

    async fn write_rows(&mut self, rows: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), SnapshotError> {
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let mut batch = sled::Batch::default();
            let mut bytes = 0;
            while let Some((key, value)) = rows.next_if(|_| bytes < WRITE_STEP_BYTES) {
                self.check_row(&key, &value)?;
                bytes += ROW_OVERHEAD_BYTES + key.len() + value.len();
                self.checksum.add(&key, &value);
                self.last_key.clone_from(&key);
                batch.insert(key, value);
            }
            self.write_batch(batch, bytes).await;
        }
        Ok(())
    }

    fn check_row(&self, key: &[u8], value: &[u8]) -> Result<(), BadSnapshot> {
        if key.len() + value.len() > MAX_ROW_BYTES {
            return Err(BadSnapshot::TooLarge);
        }
        if key <= self.last_key.as_slice() {
            return Err(BadSnapshot::Malformed);
        }
        keyspace::classify(key).map(drop).ok_or(BadSnapshot::UnknownRow)
    }

    async fn write_batch(&self, batch: sled::Batch, bytes: usize) {
        let room = self.snapshots.flusher.room(bytes).await;
        self.landing.generation.tree.apply_batch(batch).or_end("receiving a snapshot");
        drop(room);
    }

    /// What is received, once it has begun.
    pub fn meta(&self) -> Option<&RaftSnapshotMeta> {
        self.meta.as_ref()
    }

    /// Makes everything durable; what is left for the installation is to switch.
    pub async fn finish(self, announced: &RaftSnapshotMeta) -> Result<SnapshotSource, SnapshotError> {
        if !self.ended || !self.parser.is_empty() {
            return Err(BadSnapshot::CutShort.into());
        }
        let meta = self.meta.clone().filter(|meta| meta == announced).ok_or(BadSnapshot::OtherMeta)?;
        let applied =
            Applied { last: meta.last_log_id, membership: meta.last_membership.clone(), checksum: self.checksum };
        let record = applied.to_bytes();
        let bytes = record.len() + ROW_OVERHEAD_BYTES;
        let mut batch = sled::Batch::default();
        batch.insert(APPLIED_KEY, record);
        self.write_batch(batch, bytes).await;
        self.snapshots.flusher.sync().await?;
        let file = self.file;
        tokio::task::spawn_blocking(move || file.sync_all()).await.map_err(std::io::Error::other)??;
        Ok(SnapshotSource::Received(Arc::new(ReceivedSnapshot { landing: self.landing, applied, meta })))
    }
}
