//! Disks whose power can be cut: ext4 on loop devices. Small volumes that fill up: in memory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::run;
use crate::workdir::WorkDir;
use crate::{Failure, repository, timing};

/// Room for a store with its 16 MiB segments and a snapshot; the image is sparse.
const SIZE: &str = "1500M";

/// The kernel gives a loop device back within this once nothing holds its file system.
const RELEASED_WITHIN: Duration = Duration::from_secs(20);

/// One disk, mounted. Dropping it unmounts it.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
    mounted: bool,
}

impl Disk {
    /// Makes, formats and mounts a disk. Needs root.
    pub fn make(dir: &WorkDir, name: &str) -> Result<Self, Failure> {
        Self::make_at(dir, name, dir.sub(&format!("{name}.mnt")))
    }

    /// As [`Disk::make`], at a place that exists.
    pub fn make_at(dir: &WorkDir, name: &str, mount: PathBuf) -> Result<Self, Failure> {
        let image = dir.join(&format!("{name}.img"));
        run("truncate", &["-s".as_ref(), SIZE.as_ref(), image.as_os_str()])?;
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), image.as_os_str()])?;
        let mut disk = Self { image, mount, mounted: false };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Mounts it, which replays its journal.
    ///
    /// Below it the place is mounted on itself and shared: a namespace that is made meanwhile, by anyone on this
    /// machine, copies the mount, and only from a shared one does an unmount reach the copy. A copy would keep the
    /// file system without power, and the next mount would be of that one.
    pub fn mount(&mut self) -> Result<(), Failure> {
        let place = self.mount.as_os_str();
        run("mount", &["--bind".as_ref(), place, place])?;
        run("mount", &["--make-shared".as_ref(), place])?;
        run("mount", &["-o".as_ref(), "loop".as_ref(), self.image.as_os_str(), self.mount.as_os_str()])?;
        self.mounted = true;
        Ok(())
    }

    /// Takes all room that is left, until the file that holds it is removed: its path.
    pub fn fill(&self) -> Result<PathBuf, Failure> {
        fill(&self.mount)
    }

    /// Stalls every write from here on, or lets them go on.
    pub fn freeze(&self, is_frozen: bool) -> Result<(), Failure> {
        run("fsfreeze", &[if is_frozen { "-f" } else { "-u" }, text(&self.mount)?]).map(drop)
    }

    /// Unmounts it and waits until no namespace holds it; the processes that used it must be dead.
    pub fn unmount(&mut self) -> Result<(), Failure> {
        run("umount", &[&self.mount])?;
        self.mounted = false;
        run("umount", &[&self.mount])?;
        let is_held = || {
            let devices = run("losetup", &["--noheadings".as_ref(), "-j".as_ref(), self.image.as_os_str()]);
            devices.map_or(true, |devices| !devices.trim().is_empty())
        };
        if timing::holds_within(RELEASED_WITHIN, || !is_held()) {
            return Ok(());
        }
        Err(format!("{} is still held by a mount namespace of another process", self.mount.display()).into())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            // A frozen one would keep whoever touches it.
            let _ = self.freeze(false);
            for _ in 0..2 {
                let _ = run("umount", &["-l".as_ref(), self.mount.as_os_str()]);
            }
        }
        let _ = std::fs::remove_file(&self.image);
    }
}

/// A small volume in memory. Dropping it unmounts it.
#[derive(Debug)]
pub struct Volume {
    mount: PathBuf,
}

impl Volume {
    /// Makes and mounts one of so many bytes. Needs root.
    pub fn make(dir: &WorkDir, name: &str, bytes: u64) -> Result<Self, Failure> {
        let mount = dir.sub(name);
        run("mount", &["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs", text(&mount)?])?;
        Ok(Self { mount })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Bytes in use and bytes free.
    pub fn space(&self) -> Result<(u64, u64), Failure> {
        let stat = rustix::fs::statvfs(&self.mount)?;
        Ok(((stat.f_blocks - stat.f_bfree) * stat.f_frsize, stat.f_bavail * stat.f_frsize))
    }

    /// As [`Disk::fill`].
    pub fn fill(&self) -> Result<PathBuf, Failure> {
        fill(&self.mount)
    }

    /// Takes room until so many bytes are left: the path of the file that holds it.
    pub fn leave(&self, bytes: u64) -> Result<PathBuf, Failure> {
        let filler = self.mount.join("filler");
        let taken = self.space()?.1.saturating_sub(bytes);
        run("fallocate", &["-l", &taken.to_string(), text(&filler)?])?;
        Ok(filler)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = run("umount", &["-l".as_ref(), self.mount.as_os_str()]);
    }
}

/// Takes all room that is left below `mount`.
fn fill(mount: &Path) -> Result<PathBuf, Failure> {
    let filler = mount.join("filler");
    // As much as there is: the first that fails has taken all.
    for size in ["64M", "1M", "64K", "4K"] {
        while run("fallocate", &["-o", &length(&filler).to_string(), "-l", size, text(&filler)?]).is_ok() {}
    }
    Ok(filler)
}

fn length(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |meta| meta.len())
}

fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| "a path is not UTF-8".into())
}

/// Cuts the power of all disks at once.
pub fn cut_power(disks: &[Disk]) -> Result<(), Failure> {
    let script = repository().join("tests/scripts/power_cut.py");
    let mut args = vec![script.as_os_str()];
    args.extend(disks.iter().map(|disk| disk.mount.as_os_str()));
    run("python3", &args).map(drop)
}

/// Unmounts what a killed earlier run left under `dir`.
pub fn clear_leftovers(dir: &Path) -> Result<(), Failure> {
    let mounts = std::fs::read_to_string("/proc/mounts")?;
    let stale = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|at| Path::new(at).starts_with(dir));
    for at in stale {
        run("umount", &["-l", at])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// The instrument itself: what was synced survives a cut, what was not is gone.
    #[test]
    fn a_power_cut_drops_what_was_not_synced() {
        let place = crate::target_dir().join("scenarios/disks");
        clear_leftovers(&place).expect("cleared");
        let dir = WorkDir::fresh("disks");
        let mut disks = [Disk::make(&dir, "one").expect("root, and a loop device")];
        let synced = disks[0].path().join("synced");
        let mut file = std::fs::File::create(&synced).expect("created");
        file.write_all(b"kept").expect("written");
        file.sync_all().expect("synced");
        file.write_all(b" and lost").expect("written");
        std::fs::write(disks[0].path().join("unsynced"), b"lost").expect("written");
        cut_power(&disks).expect("cut");
        assert!(file.sync_all().is_err(), "a disk without power takes no write");
        drop(file);
        disks[0].unmount().expect("unmounted");
        disks[0].mount().expect("mounted");
        assert_eq!(std::fs::read(&synced).expect("there"), b"kept");
        assert!(!disks[0].path().join("unsynced").exists());
    }
}
