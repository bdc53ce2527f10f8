//! The last good metadata and keys of a provider, kept beside the data: a replica that restarts
//! while the provider is down still verifies and still sends browsers to the right place.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::ProviderConfig;

/// Version of the file.
const VERSION: u32 = 1;

/// Largest file read: two answers of a provider, as JSON strings.
const MAX_FILE: u64 = 5 * 1024 * 1024;

/// The documents as the provider sent them; they are parsed and checked again when read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Documents {
    /// The discovery document; none where discovery is skipped.
    pub(super) metadata: Option<String>,
    /// The key set; none where keys come from files.
    pub(super) keys: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Contents {
    version: u32,
    issuer: String,
    documents: Documents,
}

/// Where one provider's documents are kept.
#[derive(Clone, Debug)]
pub(super) struct KeptFile {
    path: PathBuf,
    issuer: String,
}

impl KeptFile {
    /// The file of that provider in `dir`. Ids may hold any character, so the name is their hash.
    pub(super) fn of(config: &ProviderConfig, dir: &Path) -> Self {
        let hash = ring::digest::digest(&ring::digest::SHA256, config.id.as_str().as_bytes());
        let name: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { path: dir.join(format!("provider-{name}.json")), issuer: config.issuer_url.clone() }
    }

    /// The documents, if the file is whole and belongs to the configured issuer.
    pub(super) fn read(&self) -> Option<Documents> {
        if fs::metadata(&self.path).ok()?.len() > MAX_FILE {
            return None;
        }
        let contents: Contents = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        (contents.version == VERSION && contents.issuer == self.issuer).then_some(contents.documents)
    }

    /// Replaces the file whole: written aside, synced, renamed.
    pub(super) fn write(&self, documents: Documents) -> io::Result<()> {
        let contents = Contents { version: VERSION, issuer: self.issuer.clone(), documents };
        let aside = self.path.with_extension("json.new");
        self.path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut file = fs::File::create(&aside)?;
        file.write_all(&serde_json::to_vec(&contents)?)?;
        file.sync_all()?;
        fs::rename(&aside, &self.path)
    }

    /// For the log.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
