//! Every key of the cluster: those of the cookie secrets (tickets, login cookies, peers) and the
//! cluster key with all that derives from it.

mod cluster;
mod secret;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use ring::hmac;
use thiserror::Error;

use crate::command::KeyEnvelope;
use crate::crypto::AeadKey;
use crate::id::{ClusterId, Epoch, KeyId};

pub use cluster::{ClusterKey, UnwrapError};
pub use secret::{CookieSecret, InvalidCookieSecret, SecretWarning, WeakCookieSecret};

pub(crate) use secret::sha256;

/// None of the cookie secrets given opens the cluster key: without it no session can be found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "no cookie secret given opens the cluster key: give the earlier one as cookie_secret_previous, or end all \
     sessions with `conclave cluster rekey --end-all-sessions`"
)]
pub struct NoEnvelopeOpens;

/// Authenticates tickets. Derived from one cookie secret and the cluster id.
pub struct TicketKey(hmac::Key);

impl TicketKey {
    fn new(secret: &CookieSecret, cluster: ClusterId) -> Self {
        let key = secret.derive("ticket/1", &[cluster.as_bytes()]);
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()))
    }

    /// A MAC in progress.
    pub(crate) fn mac(&self) -> hmac::Context {
        hmac::Context::with_key(&self.0)
    }
}

/// Seals login cookies. Derived from one cookie secret and the cluster id.
pub struct LoginKey(AeadKey);

impl LoginKey {
    fn new(secret: &CookieSecret, cluster: ClusterId) -> Self {
        Self(AeadKey::new(&secret.derive("login cookie/1", &[cluster.as_bytes()])))
    }

    /// The AEAD itself.
    pub(crate) fn aead(&self) -> &AeadKey {
        &self.0
    }
}

struct RingKey {
    id: KeyId,
    ticket: TicketKey,
    login: LoginKey,
}

/// All keys of one epoch, computed once: looking one up derives nothing.
pub struct Keyring {
    keys: Vec<RingKey>,
    active: KeyId,
    cluster: ClusterId,
    cluster_key: ClusterKey,
    epoch: Epoch,
}

impl Keyring {
    /// Opens the cluster key with the first secret that can.
    ///
    /// `secrets` has the configured active one first. Cookies are minted under the first secret whose
    /// envelope opens: an envelope enters the state only once every member holds its secret, so a
    /// secret that is not everywhere yet verifies here but mints nothing.
    pub fn open(
        secrets: &[CookieSecret],
        envelopes: &[KeyEnvelope],
        cluster: ClusterId,
        epoch: Epoch,
    ) -> Result<Self, NoEnvelopeOpens> {
        let opened = secrets.iter().find_map(|secret| {
            let key = envelopes.iter().find_map(|envelope| ClusterKey::unwrap(envelope, secret, cluster).ok())?;
            Some((secret.key_id(cluster), key))
        });
        let Some((active, cluster_key)) = opened else {
            return Err(NoEnvelopeOpens);
        };
        let mut keys: Vec<RingKey> = Vec::with_capacity(secrets.len());
        for secret in secrets {
            let id = secret.key_id(cluster);
            if keys.iter().all(|key| key.id != id) {
                keys.push(RingKey {
                    id,
                    ticket: TicketKey::new(secret, cluster),
                    login: LoginKey::new(secret, cluster),
                });
            }
        }
        Ok(Self { keys, active, cluster, cluster_key, epoch })
    }

    /// The epoch these keys belong to.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The cluster these keys belong to.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Root of index keys, labels and bodies.
    pub fn cluster_key(&self) -> &ClusterKey {
        &self.cluster_key
    }

    /// The key that mints.
    pub fn active(&self) -> KeyId {
        self.active
    }

    /// The ids of all keys, in the order of the secrets given.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.iter().map(|key| key.id)
    }

    /// Authenticates tickets of that key.
    pub fn ticket_key(&self, id: KeyId) -> Option<&TicketKey> {
        self.find(id).map(|key| &key.ticket)
    }

    /// Opens login cookies of that key.
    pub fn login_key(&self, id: KeyId) -> Option<&LoginKey> {
        self.find(id).map(|key| &key.login)
    }

    fn find(&self, id: KeyId) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    pub(crate) fn active_ticket_key(&self) -> &TicketKey {
        self.ticket_key(self.active).expect("open() puts the active key into the ring")
    }

    pub(crate) fn active_login_key(&self) -> &LoginKey {
        self.login_key(self.active).expect("open() puts the active key into the ring")
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("active", &self.active).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}
