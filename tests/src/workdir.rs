//! A scenario's own directory under `target/scenarios/`: logs stay there for whoever looks into a failure.

use std::path::{Path, PathBuf};

/// A fresh, empty directory.
#[derive(Clone, Debug)]
pub struct WorkDir(PathBuf);

impl WorkDir {
    /// Empties and makes `target/scenarios/NAME`.
    pub fn fresh(name: &str) -> Self {
        let path = crate::target_dir().join("scenarios").join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).expect("the last run's directory can be removed");
        }
        std::fs::create_dir_all(&path).expect("the target directory can be written");
        Self(path)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A subdirectory, made if missing.
    pub fn sub(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        std::fs::create_dir_all(&path).expect("the target directory can be written");
        path
    }
}
