//! The reserve: a file of real blocks that a start on a full disk gives up, so that the store can be
//! opened, dead sessions removed and the log cut. Marks on free space count what is free beyond it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{DiskProbe, sync_dir};
use crate::layout::Layout;
use crate::limits::{FULL_DISK_BYTES, NOT_NEARLY_FULL_BYTES, RESERVE_BYTES};
use crate::snapshot::{BUILDING, CURRENT};

/// The reserve of one data directory.
pub(crate) struct Reserve {
    dir: PathBuf,
    path: PathBuf,
    snapshots: PathBuf,
    disk: Arc<dyn DiskProbe>,
}

impl Reserve {
    pub(crate) fn new(layout: &Layout, disk: Arc<dyn DiskProbe>) -> Self {
        Self { dir: layout.root().to_path_buf(), path: layout.reserve(), snapshots: layout.snapshots(), disk }
    }

    /// Before the store is opened: gives the reserve up if the disk is full. Whether it did.
    pub(crate) fn release_if_full(&self) -> io::Result<bool> {
        if !self.path.exists() || self.disk.free_bytes(&self.dir)? >= FULL_DISK_BYTES {
            return Ok(false);
        }
        release(&self.path)
    }

    /// Bytes free beyond the reserve, as soon as no snapshot is being built. Makes the reserve where it is missing and there is room.
    pub(crate) fn look(&self) -> io::Result<u64> {
        let free = self.disk.free_bytes(&self.dir)? + self.given_back();
        if self.path.exists() {
            return Ok(free);
        }
        let beyond = free.saturating_sub(RESERVE_BYTES);
        if beyond >= NOT_NEARLY_FULL_BYTES {
            self.make()?;
        }
        Ok(beyond)
    }

    /// While a snapshot is being built, two lie there: one of them is about to go, and what comes and
    /// goes must not move a mark.
    fn given_back(&self) -> u64 {
        let bytes = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        bytes(&self.snapshots.join(BUILDING)).min(bytes(&self.snapshots.join(CURRENT)))
    }

    /// Under another name until its blocks are there: a half-made one would be counted as whole.
    fn make(&self) -> io::Result<()> {
        let making = self.path.with_extension("new");
        let made = File::create(&making).and_then(|file| {
            self.disk.allocate(&file, RESERVE_BYTES)?;
            file.sync_all()
        });
        if let Err(error) = made {
            // What was allocated of it must not stay taken.
            let _ = fs::remove_file(&making);
            return Err(error);
        }
        fs::rename(&making, &self.path)?;
        sync_dir(&self.dir)
    }
}

/// Gives up the reserve of the data directory `dir`, whose disk is full: for what has to be written
/// there before the store is opened. Whether there was one.
pub fn release_reserve(dir: &Path) -> io::Result<bool> {
    release(&Layout::new(dir).reserve())
}

fn release(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => {
            tracing::warn!(
                bytes = RESERVE_BYTES,
                "the disk is full: the reserve was given up so that this replica can start and clean up; make room on \
                 the volume, and the reserve is made again"
            );
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct SetDisk(AtomicU64);

    impl DiskProbe for SetDisk {
        fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
            Ok(self.0.load(Ordering::SeqCst))
        }
    }

    fn blocks(path: &Path) -> u64 {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).map_or(0, |found| found.blocks() * 512)
    }

    #[test]
    fn the_reserve_has_real_blocks_and_is_given_up_only_on_a_full_disk() {
        let dir = tempfile::tempdir().expect("tempdir");
        let disk = Arc::new(SetDisk(AtomicU64::new(RESERVE_BYTES + NOT_NEARLY_FULL_BYTES - 1)));
        let free = |bytes| disk.0.store(bytes, Ordering::SeqCst);
        let layout = Layout::new(dir.path());
        let reserve = Reserve::new(&layout, Arc::clone(&disk) as Arc<dyn DiskProbe>);

        assert_eq!(
            reserve.look().expect("looked"),
            NOT_NEARLY_FULL_BYTES - 1,
            "what the reserve would take does not count"
        );
        assert!(!layout.reserve().exists(), "it would leave too little");
        free(RESERVE_BYTES + NOT_NEARLY_FULL_BYTES);
        reserve.look().expect("looked");
        assert!(blocks(&layout.reserve()) >= RESERVE_BYTES, "{} bytes", blocks(&layout.reserve()));
        free(FULL_DISK_BYTES);
        assert!(!reserve.release_if_full().expect("looked"));
        assert_eq!(reserve.look().expect("looked"), FULL_DISK_BYTES);
        free(0);
        assert!(reserve.release_if_full().expect("looked"));
        assert!(!layout.reserve().exists());
        free(RESERVE_BYTES);
        assert_eq!(reserve.look().expect("looked"), 0, "given up, it is still owed");
        assert!(!reserve.release_if_full().expect("there is none left"));
        free(RESERVE_BYTES + NOT_NEARLY_FULL_BYTES);
        reserve.look().expect("looked");
        assert!(layout.reserve().exists(), "made again once there is room");
    }
}
