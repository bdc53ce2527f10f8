//! A container without a container engine: a root of its own, read-only, with the mounts of its manifest, as its user.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::process::run;

/// Lays the mounts, and becomes the program among them: ROOT USER:GROUP FSGROUP (SOURCE AT ro|rw)… -- PROGRAM ARGUMENTS….
const CONTAIN: &str = r#"set -e
root=$1 user=$2 group=$3
shift 3
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
while [ "$1" != -- ]; do
    mount --bind "$1" "$root$2"
    [ "$3" = rw ] || mount -o remount,bind,ro "$root$2"
    shift 3
done
shift
mount -o remount,bind,ro "$root"
exec chroot --userspec="$user" --groups="$group" "$root" "$@""#;

/// What a container runs.
#[derive(Clone, Debug)]
pub enum Program {
    /// A binary built for this machine, over the machine's libraries.
    Binary(PathBuf),
    /// The root file system of an image.
    Image(PathBuf),
}

/// Something that the container sees at a path of its own.
#[derive(Clone, Debug)]
pub struct Mount {
    /// File or directory outside.
    pub source: PathBuf,
    /// Absolute path inside.
    pub at: String,
    /// Whether it may be written.
    pub writable: bool,
}

impl Mount {
    /// One that can only be read.
    pub fn read_only(source: impl Into<PathBuf>, at: &str) -> Self {
        Self { source: source.into(), at: at.to_owned(), writable: false }
    }

    /// One that may be written, as far as its owner and mode allow.
    pub fn writable(source: impl Into<PathBuf>, at: &str) -> Self {
        Self { source: source.into(), at: at.to_owned(), writable: true }
    }
}

/// A container to start.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its root directory; missing mount points are made in it.
    pub root: PathBuf,
    /// What is mounted over it.
    pub mounts: Vec<Mount>,
    /// Numeric user and group.
    pub user: (u64, u64),
    /// The group that owns its volumes, if that is another one.
    pub fs_group: Option<u64>,
}

impl Container {
    /// One of that program, in a root that is made if it is not there.
    pub fn of(program: &Program, root: PathBuf) -> Result<Self, Failure> {
        match program {
            Program::Binary(binary) => Self::bare(root, binary),
            Program::Image(image) => {
                if !root.exists() {
                    std::fs::create_dir_all(root.parent().ok_or("a root stands in a directory")?)?;
                    run("cp", &["-a".as_ref(), image.as_os_str(), root.as_os_str()])?;
                }
                Ok(Self { root, mounts: Vec::new(), user: (2000, 2000), fs_group: None })
            }
        }
    }

    /// A root in which a program built for this machine runs: its libraries, and nothing else of the machine.
    fn bare(root: PathBuf, program: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(root.join("etc"))?;
        for (link, target) in [("lib", "usr/lib"), ("lib64", "usr/lib64")] {
            if std::fs::symlink_metadata(root.join(link)).is_err() {
                symlink(target, root.join(link))?;
            }
        }
        // Names come from the hosts file alone.
        std::fs::write(root.join("etc/nsswitch.conf"), "hosts: files\n")?;
        let mounts = vec![
            Mount::read_only("/usr", "/usr"),
            Mount::read_only(program, "/bin/conclave"),
            Mount::read_only(program, "/bin/oauth2-proxy"),
        ];
        Ok(Self { root, mounts, user: (2000, 2000), fs_group: None })
    }

    /// The command that becomes `program` in the container.
    pub fn command(&self, program: &[String]) -> Result<Vec<String>, Failure> {
        std::fs::create_dir_all(self.root.join("proc"))?;
        let mut command = ["unshare", "--mount", "sh", "-c", CONTAIN, "sh"].map(str::to_owned).to_vec();
        command.push(self.root.display().to_string());
        command.push(format!("{}:{}", self.user.0, self.user.1));
        command.push(self.fs_group.map(|group| group.to_string()).unwrap_or_default());
        for mount in &self.mounts {
            self.make_point(mount)?;
            let mode = if mount.writable { "rw" } else { "ro" };
            command.extend([mount.source.display().to_string(), mount.at.clone(), mode.to_owned()]);
        }
        command.push("--".to_owned());
        command.extend_from_slice(program);
        Ok(command)
    }

    fn make_point(&self, mount: &Mount) -> Result<(), Failure> {
        let point = self.root.join(mount.at.trim_start_matches('/'));
        if mount.source.is_dir() {
            return Ok(std::fs::create_dir_all(point)?);
        }
        std::fs::create_dir_all(point.parent().ok_or("a file stands in a directory")?)?;
        if !point.exists() {
            std::fs::write(point, "")?;
        }
        Ok(())
    }
}

/// What a kubelet does to a volume for `fsGroup`: the group owns it and may write.
pub fn own_by_group(volume: &Path, group: u64) -> Result<(), Failure> {
    run("chgrp", &["-R".as_ref(), group.to_string().as_ref(), volume.as_os_str()])?;
    Ok(std::fs::set_permissions(volume, PermissionsExt::from_mode(0o2775))?)
}
