//! What the store asks of the disk besides sled: syncs, directory syncs, replaced files, free space.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use conclave_proto::wire::DiskRoom;

use crate::limits::{LOW_DISK_BYTES, NEARLY_FULL_BYTES, NOT_NEARLY_FULL_BYTES, ROOMY_DISK_BYTES};

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

    /// Gives `file` so many bytes of real blocks.
    fn allocate(&self, file: &File, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_out(file, bytes),
            done => Ok(done?),
        }
    }

    /// Called after each sync with the bytes of rows that were not yet synced when it began, those
    /// of writers at work included.
    fn synced(&self, _unsynced_bytes: usize) {}
}

/// For file systems that cannot allocate: bytes that do not compress to nothing.
fn write_out(mut file: &File, bytes: u64) -> io::Result<()> {
    const STEP: usize = 64 * 1024;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut left = bytes;
    while left > 0 {
        let step: Vec<u8> = std::iter::repeat_with(|| {
            // xorshift64: noise enough for any compression.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .take(STEP / 8)
        .flatten()
        .collect();
        let len = usize::try_from(left).unwrap_or(STEP).min(STEP);
        file.write_all(&step[..len])?;
        left -= len as u64;
    }
    Ok(())
}

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl DiskProbe for RealDisk {}

/// How much room there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskSpace {
    /// What it is enough for.
    pub room: DiskRoom,
    /// Bytes free beyond the reserve, when last looked.
    pub free_bytes: u64,
}

impl DiskSpace {
    /// The state after a look at `free_bytes`, with hysteresis.
    #[must_use]
    pub fn after(self, free_bytes: u64) -> Self {
        let was = |room| self.room >= room;
        let nearly_full = if was(DiskRoom::NearlyFull) { NOT_NEARLY_FULL_BYTES } else { NEARLY_FULL_BYTES };
        let low = if was(DiskRoom::Low) { ROOMY_DISK_BYTES } else { LOW_DISK_BYTES };
        let room = if free_bytes < nearly_full {
            DiskRoom::NearlyFull
        } else if free_bytes < low {
            DiskRoom::Low
        } else {
            DiskRoom::Enough
        };
        Self { room, free_bytes }
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
    use crate::limits::RESERVE_BYTES;

    #[test]
    fn space_does_not_flap() {
        let roomy = DiskSpace::default();
        let room = |space: DiskSpace, free| space.after(free).room;
        let low = roomy.after(LOW_DISK_BYTES - 1);
        assert_eq!(low.room, DiskRoom::Low);
        assert_eq!(room(low, LOW_DISK_BYTES + 1), DiskRoom::Low);
        assert_eq!(room(low, ROOMY_DISK_BYTES), DiskRoom::Enough);
        assert_eq!(room(roomy, LOW_DISK_BYTES), DiskRoom::Enough);

        let full = roomy.after(NEARLY_FULL_BYTES - 1);
        assert_eq!(full.room, DiskRoom::NearlyFull);
        assert_eq!(room(full, NEARLY_FULL_BYTES + 1), DiskRoom::NearlyFull);
        assert_eq!(room(full, NOT_NEARLY_FULL_BYTES), DiskRoom::Low);
        assert_eq!(room(low, NEARLY_FULL_BYTES), DiskRoom::Low);
    }

    #[test]
    fn a_file_without_allocation_is_written_out() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = File::create(dir.path().join("reserve")).expect("made");
        write_out(&file, RESERVE_BYTES + 5).expect("written");
        assert_eq!(file.metadata().expect("there").len(), RESERVE_BYTES + 5);
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
