//! A finished snapshot file: checked whole when it is opened, read by position while it is sent.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::SnapshotError;
use super::format::{BadSnapshot, Parser, Part};
use crate::rows::StateChecksum;
use crate::types::RaftSnapshotMeta;

/// A whole snapshot on this disk. It stays readable when a newer one takes its name.
pub struct SnapshotFile {
    file: File,
    len: u64,
    meta: RaftSnapshotMeta,
}

impl SnapshotFile {
    /// Wraps a file that was just written and synced.
    pub(crate) fn written(file: File, meta: RaftSnapshotMeta) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, len, meta })
    }

    /// Opens a file and reads it through once.
    pub(crate) fn open(path: &Path) -> Result<Self, SnapshotError> {
        let mut file = File::open(path)?;
        let meta = check(&mut file)?;
        Ok(Self::written(file, meta)?)
    }

    /// What it is a snapshot of.
    pub fn meta(&self) -> &RaftSnapshotMeta {
        &self.meta
    }

    /// Its bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Never: a snapshot has a head and an end.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// At most `limit` bytes from `offset`; empty at the end.
    pub async fn chunk(self: &Arc<Self>, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let file = Arc::clone(self);
        tokio::task::spawn_blocking(move || file.chunk_blocking(offset, limit)).await.map_err(io::Error::other)?
    }

    /// [`SnapshotFile::chunk`] for threads.
    pub(crate) fn chunk_blocking(&self, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut chunk = vec![0; left.min(limit)];
        self.file.read_exact_at(&mut chunk, offset)?;
        Ok(chunk)
    }
}

const READ_BYTES: usize = 256 * 1024;

fn check(file: &mut File) -> Result<RaftSnapshotMeta, SnapshotError> {
    let mut parser = Parser::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut meta = None;
    let mut seen = StateChecksum::default();
    let mut end = None;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        parser.push(&buffer[..read]);
        while let Some(part) = parser.next_part()? {
            match part {
                Part::Head(head) => meta = Some(*head),
                Part::Rows(rows) => rows.iter().for_each(|(key, value)| seen.add(key, value)),
                Part::End(checksum) => end = Some(checksum),
            }
        }
    }
    if !parser.is_empty() || end.is_none() {
        return Err(BadSnapshot::CutShort.into());
    }
    if end != Some(seen) {
        return Err(BadSnapshot::Checksum.into());
    }
    meta.ok_or(SnapshotError::Bad(BadSnapshot::Malformed))
}
