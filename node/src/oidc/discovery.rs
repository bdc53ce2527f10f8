//! Finds a provider's endpoints and keys and keeps them fresh. One fetch at a time, shared by all
//! who wait; what was known stays in use while the provider is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use conclave_proto::time::{Boottime, Clock, Ttl};
use parking_lot::Mutex;
use reqwest::StatusCode;
use thiserror::Error;
use tokio::sync::watch;
use tracing::{info, warn};

use super::call::{CallError, Caller, ProviderCall};
use super::jwks::{InvalidKeys, Keys};
use super::kept::{Documents, KeptFile};
use super::metadata::{InvalidMetadata, Metadata};
use crate::config::ProviderConfig;

/// How long what was fetched counts as fresh: keys rotate over days, and unknown ones are fetched
/// when they turn up.
const REFRESH_INTERVAL: Duration = Duration::from_secs(3600);

/// First pause after a failure; doubled up to [`MAX_RETRY`].
const MIN_RETRY: Duration = Duration::from_secs(1);

/// Longest pause after failures: how late a provider that came back may be noticed.
const MAX_RETRY: Duration = Duration::from_secs(30);

/// Shortest time between two fetches of keys on behalf of tokens that name an unknown one: forged
/// tokens must not turn into calls to the provider.
const UNKNOWN_KEY_INTERVAL: Ttl = Ttl::from_secs(30);

/// Shortest time between two attempts that logins ask for while nothing is known.
const DEMAND_INTERVAL: Ttl = Ttl::from_secs(1);

/// How long to wait before the next refresh, after so many failures in a row.
pub fn refresh_delay(failures: u32) -> Duration {
    match failures {
        0 => REFRESH_INTERVAL,
        _ => MIN_RETRY.saturating_mul(2_u32.saturating_pow((failures - 1).min(16))).min(MAX_RETRY),
    }
}

/// Why a provider's endpoints and keys could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DiscoveryError {
    /// No answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// An answer that is no success; redirects are not followed.
    #[error("{url} answered {status}{}", if status.is_redirection() { ", a redirect, which is not followed" } else { "" })]
    Status {
        /// The endpoint.
        url: String,
        /// What it answered.
        status: StatusCode,
    },
    /// The metadata.
    #[error("the metadata at {url} {why}")]
    Metadata {
        /// The document.
        url: String,
        /// Why.
        why: InvalidMetadata,
    },
    /// The options that stand in for metadata.
    #[error("with skip_oidc_discovery the configuration {0}")]
    Configured(InvalidMetadata),
    /// The keys.
    #[error("the key set at {url} {why}")]
    Keys {
        /// The document.
        url: String,
        /// Why.
        why: InvalidKeys,
    },
}

/// Endpoints and keys that belong together.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) metadata: Metadata,
    pub(super) keys: Keys,
    documents: Documents,
}

/// The state of one provider.
pub(super) struct Discovery {
    config: Arc<ProviderConfig>,
    caller: Caller,
    clock: Arc<dyn Clock>,
    kept: KeptFile,
    static_keys: Option<Keys>,
    current: watch::Sender<Option<Arc<Snapshot>>>,
    flight: tokio::sync::Mutex<()>,
    rounds: AtomicU64,
    last_failure: Mutex<Option<Arc<DiscoveryError>>>,
    last_attempt: Mutex<Option<Boottime>>,
    last_unknown_key: Mutex<Option<Boottime>>,
}

impl Discovery {
    /// Starts from what an earlier run kept. `static_keys` stand in for a key set.
    pub(super) fn new(
        config: Arc<ProviderConfig>,
        caller: Caller,
        clock: Arc<dyn Clock>,
        kept: KeptFile,
        static_keys: Option<Keys>,
    ) -> Self {
        let known = kept.read().and_then(|documents| snapshot(&config, static_keys.as_ref(), documents).ok());
        if known.is_some() {
            info!(provider = %config.id, "using the provider's metadata and keys of an earlier run until it answers");
        }
        Self {
            config,
            caller,
            clock,
            kept,
            static_keys,
            current: watch::Sender::new(known.map(Arc::new)),
            flight: tokio::sync::Mutex::new(()),
            rounds: AtomicU64::new(0),
            last_failure: Mutex::new(None),
            last_attempt: Mutex::new(None),
            last_unknown_key: Mutex::new(None),
        }
    }

    /// What is known.
    pub(super) fn current(&self) -> Option<Arc<Snapshot>> {
        self.current.borrow().clone()
    }

    /// Why the last attempt failed, if it did.
    pub(super) fn last_failure(&self) -> Option<Arc<DiscoveryError>> {
        self.last_failure.lock().clone()
    }

    /// Fetches endpoints and keys. Callers who come while a fetch runs share its outcome.
    pub(super) async fn refresh(&self) -> Result<(), Arc<DiscoveryError>> {
        let seen = self.rounds.load(Ordering::Acquire);
        let _flight = self.flight.lock().await;
        if self.rounds.load(Ordering::Acquire) != seen {
            return self.last_failure().map_or(Ok(()), Err);
        }
        let outcome = self.fetch().await.map_err(Arc::new);
        *self.last_attempt.lock() = Some(self.clock.boottime());
        *self.last_failure.lock() = outcome.as_ref().err().cloned();
        self.rounds.fetch_add(1, Ordering::Release);
        self.publish(outcome?).await;
        Ok(())
    }

    /// One attempt on behalf of a login, unless one failed a moment ago.
    pub(super) async fn demand(&self) {
        let now = self.clock.boottime();
        let recent = self.last_attempt.lock().is_some_and(|last| now.since(last) < DEMAND_INTERVAL);
        if self.current().is_none() && !recent {
            // The outcome is read from `current`; a failure is kept for whoever asks why.
            let _ = self.refresh().await;
        }
    }

    /// One attempt at keys that are not known yet, or newer ones, unless one was made a short while ago.
    pub(super) async fn seek_keys(&self) {
        match self.current() {
            None => self.demand().await,
            // Whoever asked reads the outcome from `current`.
            Some(used) => drop(self.newer_keys(&used).await),
        }
    }

    /// Keys that may hold one that `used` lacks: newer ones that came meanwhile, or fetched anew
    /// unless that was done a short while ago.
    pub(super) async fn newer_keys(&self, used: &Arc<Snapshot>) -> Option<Arc<Snapshot>> {
        let _flight = self.flight.lock().await;
        let current = self.current()?;
        if !Arc::ptr_eq(&current, used) {
            return Some(current);
        }
        let now = self.clock.boottime();
        {
            let mut last = self.last_unknown_key.lock();
            if last.is_some_and(|last| now.since(last) < UNKNOWN_KEY_INTERVAL) {
                return None;
            }
            *last = Some(now);
        }
        let url = current.metadata.jwks.as_ref().filter(|_| self.static_keys.is_none())?;
        match self.fetch_keys(url.as_str()).await {
            Ok((keys, text)) => {
                let documents = Documents { keys: Some(text), ..current.documents.clone() };
                let fresh = Snapshot { metadata: current.metadata.clone(), keys, documents };
                self.publish(fresh).await;
                self.current()
            }
            Err(error) => {
                warn!(provider = %self.config.id, %error, "cannot fetch the provider's keys");
                None
            }
        }
    }

    async fn fetch(&self) -> Result<Snapshot, DiscoveryError> {
        let (metadata, document) = if self.config.endpoints.skip_discovery {
            (Metadata::configured(&self.config).map_err(DiscoveryError::Configured)?, None)
        } else {
            let url = well_known(&self.config.issuer_url);
            match self.fetch_metadata(url).await {
                Err(error) if self.config.endpoints.keys_suffice && !self.has_metadata() => {
                    info!(provider = %self.config.id, %error, "no metadata: trying the usual place of the keys");
                    (Metadata::configured(&self.config).map_err(DiscoveryError::Configured)?, None)
                }
                fetched => fetched.map(|(metadata, document)| (metadata, Some(document)))?,
            }
        };
        let (keys, text) = match (&self.static_keys, &metadata.jwks) {
            (None, Some(url)) => {
                let (keys, text) = self.fetch_keys(url.as_str()).await?;
                (keys, Some(text))
            }
            (Some(keys), _) => (keys.clone(), None),
            (None, None) => {
                let why = InvalidMetadata::Missing { field: "jwks_uri", option: "oidc_jwks_url" };
                return Err(DiscoveryError::Configured(why));
            }
        };
        Ok(Snapshot { metadata, keys, documents: Documents { metadata: document, keys: text } })
    }

    fn has_metadata(&self) -> bool {
        self.current().is_some_and(|known| known.documents.metadata.is_some())
    }

    async fn fetch_metadata(&self, url: String) -> Result<(Metadata, String), DiscoveryError> {
        let document = self.fetch_text(ProviderCall::Discovery, &url).await?;
        let metadata = Metadata::parse(document.as_bytes(), &self.config);
        Ok((metadata.map_err(|why| DiscoveryError::Metadata { url, why })?, document))
    }

    async fn fetch_keys(&self, url: &str) -> Result<(Keys, String), DiscoveryError> {
        let text = self.fetch_text(ProviderCall::Keys, url).await?;
        let keys = Keys::parse(text.as_bytes());
        Ok((keys.map_err(|why| DiscoveryError::Keys { url: url.to_owned(), why })?, text))
    }

    async fn fetch_text(&self, call: ProviderCall, url: &str) -> Result<String, DiscoveryError> {
        let reply = self.caller.get(call, url).await?;
        if reply.status != StatusCode::OK {
            return Err(DiscoveryError::Status { url: url.to_owned(), status: reply.status });
        }
        String::from_utf8(reply.body).map_err(|_| {
            let why = InvalidMetadata::Malformed("not UTF-8".to_owned());
            DiscoveryError::Metadata { url: url.to_owned(), why }
        })
    }

    /// Takes a snapshot into use and keeps it for the next start. A file that cannot be written
    /// costs no login.
    async fn publish(&self, snapshot: Snapshot) {
        let documents = snapshot.documents.clone();
        self.current.send_replace(Some(Arc::new(snapshot)));
        let kept = self.kept.clone();
        let written = tokio::task::spawn_blocking(move || (kept.write(documents), kept)).await;
        if let Ok((Err(error), kept)) = written {
            let path = kept.path().display();
            warn!(provider = %self.config.id, %path, %error, "cannot keep the provider's metadata");
        }
    }
}

/// Rebuilds a snapshot from kept documents, with the checks of a fresh one.
fn snapshot(
    config: &ProviderConfig,
    static_keys: Option<&Keys>,
    documents: Documents,
) -> Result<Snapshot, DiscoveryError> {
    let url = || "the kept file".to_owned();
    let metadata = match (&documents.metadata, config.endpoints.skip_discovery) {
        (Some(document), false) => Metadata::parse(document.as_bytes(), config),
        (Some(_) | None, _) => Metadata::configured(config),
    };
    let metadata = metadata.map_err(|why| DiscoveryError::Metadata { url: url(), why })?;
    let keys = match (static_keys, &documents.keys) {
        (Some(keys), _) => Ok(keys.clone()),
        (None, Some(text)) => Keys::parse(text.as_bytes()),
        (None, None) => Err(InvalidKeys::NoUsableKey),
    };
    let keys = keys.map_err(|why| DiscoveryError::Keys { url: url(), why })?;
    Ok(Snapshot { metadata, keys, documents })
}

fn well_known(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}
