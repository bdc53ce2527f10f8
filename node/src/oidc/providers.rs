//! Which implementation serves which kind of provider.

mod oidc;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use conclave_proto::time::Clock;
use thiserror::Error;

use super::bearer::ExtraIssuer;
use super::call::{CallObserver, Caller};
use super::discovery::Discovery;
use super::jwks::{InvalidKeys, Keys};
use super::kept::KeptFile;
use super::{Provider, TokenIssuer};
use crate::config::{ProviderConfig, ProviderKind};

/// Why a configured provider cannot be served.
#[derive(Debug, Error)]
pub enum BuildError {
    /// A key file cannot be read.
    #[error("oidc_public_key_files: cannot read {}: {cause}", path.display())]
    KeyFile {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A key file is no public key.
    #[error("oidc_public_key_files: {} {why}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// Why.
        why: InvalidKeys,
    },
    /// A kind without an implementation.
    #[error("provider {0:?} is not served yet: use oidc, and name the groups claim with oidc_groups_claim")]
    Kind(ProviderKind),
}

/// Makes a provider. It does no call: `cache_dir` may hold what an earlier run knew, and
/// [`Provider::refresh_metadata`] fetches the rest.
pub fn build(
    config: &ProviderConfig,
    http: reqwest::Client,
    cache_dir: &Path,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn CallObserver>,
) -> Result<Arc<dyn Provider>, BuildError> {
    match config.kind {
        ProviderKind::Oidc => {}
        ProviderKind::KeycloakOidc => return Err(BuildError::Kind(config.kind)),
    }
    let config = Arc::new(config.clone());
    let caller = Caller::new(config.id.clone(), http, observer);
    let kept = KeptFile::of(&config, cache_dir);
    let keys = static_keys(&config.endpoints.public_key_files)?;
    let discovery = Discovery::new(Arc::clone(&config), caller.clone(), Arc::clone(&clock), kept, keys);
    Ok(Arc::new(oidc::OidcProvider::new(config, caller, clock, discovery)))
}

/// Makes an issuer of `extra_jwt_issuers`. It does no call either.
pub fn extra_issuer(
    config: &ProviderConfig,
    http: reqwest::Client,
    cache_dir: &Path,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn CallObserver>,
) -> Arc<dyn TokenIssuer> {
    let config = Arc::new(config.clone());
    let caller = Caller::new(config.id.clone(), http, observer);
    let kept = KeptFile::of(&config, cache_dir);
    let discovery = Discovery::new(Arc::clone(&config), caller, Arc::clone(&clock), kept, None);
    Arc::new(ExtraIssuer::new(config, discovery, clock))
}

fn static_keys(files: &[PathBuf]) -> Result<Option<Keys>, BuildError> {
    let mut keys: Option<Keys> = None;
    for path in files {
        let pem = std::fs::read(path).map_err(|cause| BuildError::KeyFile { path: path.clone(), cause })?;
        let read = Keys::from_pem(&pem).map_err(|why| BuildError::Key { path: path.clone(), why })?;
        keys = Some(keys.map_or_else(|| read.clone(), |known| known.with(&read)));
    }
    Ok(keys)
}
