//! What the store asks of the disk besides sled: syncs, directory syncs, replaced files, free space.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::limits::{LOW_DISK_BYTES, ROOMY_DISK_BYTES};

/// The disk as the store sees it; tests put a slower or fuller one in its place.
pub trait DiskProbe: Send + Sync + 'static {
    /// Makes everything written to sled's log file durable.
    fn sync(&self, db: &File) -> io::Result<()> {
        db.sync_data()
    }

    /// Bytes that this process may still write below `dir`.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Called after each sync with the bytes of rows that were not yet synced when it began, those
    /// of writers at work included.
    fn synced(&self, _unsynced_bytes: usize) {}
}

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl DiskProbe for RealDisk {}

/// Whether there is room to go on writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskSpace {
    /// Enough.
    Roomy,
    /// Under the low mark: hand over and go unready before sled meets a full disk.
    Low {
        /// What was left when last looked.
        free_bytes: u64,
    },
}

impl DiskSpace {
    /// The state after a look at `free_bytes`, with hysteresis.
    #[must_use]
    pub fn after(self, free_bytes: u64) -> Self {
        let mark = match self {
            Self::Roomy => LOW_DISK_BYTES,
            Self::Low { .. } => ROOMY_DISK_BYTES,
        };
        if free_bytes < mark { Self::Low { free_bytes } } else { Self::Roomy }
    }
}

/// Makes a directory's entries durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces `path` durably: after a power cut it holds either the old bytes or the new ones.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_dir(path.parent().unwrap_or_else(|| Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_does_not_flap() {
        let low = DiskSpace::Roomy.after(LOW_DISK_BYTES - 1);
        assert!(matches!(low, DiskSpace::Low { .. }));
        assert!(matches!(low.after(LOW_DISK_BYTES + 1), DiskSpace::Low { .. }));
        assert_eq!(low.after(ROOMY_DISK_BYTES), DiskSpace::Roomy);
        assert_eq!(DiskSpace::Roomy.after(LOW_DISK_BYTES), DiskSpace::Roomy);
    }

    #[test]
    fn a_replaced_file_holds_the_new_bytes() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("marker");
        replace_file(&path, b"one").expect("first");
        replace_file(&path, b"two").expect("second");
        assert_eq!(fs::read(&path).expect("read"), b"two");
        assert_eq!(fs::read_dir(dir.path()).expect("dir").count(), 1);
    }
}
