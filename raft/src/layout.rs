//! Where things lie in the data directory, and how sled is opened.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::sync_dir;
use crate::limits::SEGMENT_BYTES;

/// The names below one data directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Held locked by the process that uses the directory.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Says that this disk was in use, outside sled.
    pub(crate) fn marker(&self) -> PathBuf {
        self.root.join("marker")
    }

    /// Room for a start on a full disk.
    pub(crate) fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    /// sled's directory.
    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// sled's log file: all rows of all trees.
    pub(crate) fn store_db(&self) -> PathBuf {
        self.store().join("db")
    }

    /// sled's directory for items that it never syncs.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.store().join("blobs")
    }

    /// A store that was not proven whole.
    pub(crate) fn set_aside(&self) -> PathBuf {
        self.root.join("store.set-aside")
    }

    /// Raft snapshots.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// Makes the directories, durably.
    pub(crate) fn create(&self) -> io::Result<()> {
        fs::create_dir_all(self.snapshots())?;
        sync_dir(&self.root)?;
        match self.root.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
            _ => Ok(()),
        }
    }

    /// Makes a fresh store durable: the bytes of its files and their names.
    pub(crate) fn sync_new_store(store: &Path) -> io::Result<()> {
        for entry in fs::read_dir(store)? {
            let path = entry?.path();
            if path.is_file() {
                File::open(&path)?.sync_all()?;
            } else {
                sync_dir(&path)?;
            }
        }
        sync_dir(store)
    }
}

/// Opens sled with the settings that the durability of every row rests on.
pub(crate) fn open_sled(store: &Path, cache_bytes: u64) -> sled::Result<sled::Db> {
    sled::Config::new().path(store).segment_size(SEGMENT_BYTES).cache_capacity(cache_bytes).flush_every_ms(None).open()
}
