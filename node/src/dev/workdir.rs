//! The directory that holds the replicas' data for as long as the demonstration runs.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// A fresh directory that only this user can enter; removed with its content at the end.
#[derive(Debug)]
pub(super) struct Workdir(PathBuf);

impl Workdir {
    pub(super) fn make(name: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("conclave-dev-{name}"));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            super::complain(&format!("conclave dev: {} stays behind: {error}", self.0.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_behind_and_nobody_elses_directory_is_taken() {
        let made = Workdir::make("test-of-the-workdir").unwrap();
        let path = made.path().to_owned();
        std::fs::write(path.join("file"), "x").unwrap();
        assert!(Workdir::make("test-of-the-workdir").is_err(), "exists already");
        drop(made);
        assert!(!path.exists());
    }
}
