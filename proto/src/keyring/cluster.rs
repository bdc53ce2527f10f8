//! The cluster key: minted at founding, kept wrapped under each cookie secret, and the root of every
//! index key, label and body, so that rotating a cookie secret changes none of them.

use std::fmt;

use ring::hmac;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::command::KeyEnvelope;
use crate::crypto::{AeadKey, KEY_LEN, Key256, NONCE_LEN, derive, take};
use crate::id::{ClusterId, SessionKey, SidKey, SubjectKey};

use super::secret::CookieSecret;

/// Salt of everything derived from the cluster key.
const SALT: &[u8] = b"conclave cluster key/1";

/// Version of the envelope: version, nonce, ciphertext with tag.
const ENVELOPE_VERSION: u8 = 1;

/// Label of the envelope's key and of its authenticated data.
const ENVELOPE_PURPOSE: &str = "cluster key envelope/1";

/// Why an envelope did not give the cluster key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnwrapError {
    /// It was made under another secret.
    #[error("was sealed under another cookie secret")]
    OtherSecret,
    /// Not an envelope of this version.
    #[error("is no key envelope of version {ENVELOPE_VERSION}")]
    Malformed,
    /// Secret, cluster or bytes differ.
    #[error("does not open: the cookie secret or the cluster is another, or it was damaged")]
    NotAuthentic,
}

/// 256 random bits that the whole cluster shares. Wiped on drop, never printed.
#[derive(Clone)]
pub struct ClusterKey(Key256);

impl ClusterKey {
    /// A new key from 256 unpredictable bits.
    pub fn mint(entropy: [u8; KEY_LEN]) -> Self {
        Self(Zeroizing::new(entropy))
    }

    /// Seals the key under one secret. `nonce` must be fresh random bytes.
    pub fn wrap(&self, secret: &CookieSecret, cluster: ClusterId, nonce: [u8; NONCE_LEN]) -> KeyEnvelope {
        let mut sealed = vec![ENVELOPE_VERSION];
        sealed.extend_from_slice(&nonce);
        envelope_key(secret, cluster).seal_into(&mut sealed, nonce, &envelope_aad(secret, cluster), self.0.as_ref());
        KeyEnvelope { key_id: secret.key_id(cluster), sealed }
    }

    /// Opens an envelope made by [`ClusterKey::wrap`].
    pub fn unwrap(envelope: &KeyEnvelope, secret: &CookieSecret, cluster: ClusterId) -> Result<Self, UnwrapError> {
        if envelope.key_id != secret.key_id(cluster) {
            return Err(UnwrapError::OtherSecret);
        }
        let mut rest = envelope.sealed.as_slice();
        if take::<1>(&mut rest) != Some([ENVELOPE_VERSION]) {
            return Err(UnwrapError::Malformed);
        }
        let nonce = take(&mut rest).ok_or(UnwrapError::Malformed)?;
        let opened = envelope_key(secret, cluster)
            .open(nonce, &envelope_aad(secret, cluster), rest)
            .ok_or(UnwrapError::NotAuthentic)?;
        let key = <[u8; KEY_LEN]>::try_from(opened.as_slice()).map_err(|_| UnwrapError::Malformed)?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// Finds all sessions of one person at one client of one issuer.
    pub fn subject_key(&self, issuer: &str, client_id: &str, subject: &str) -> SubjectKey {
        SubjectKey::from_bytes(self.name("subject index/1", &[issuer, client_id, subject]))
    }

    /// Finds the session that belongs to a provider's session.
    pub fn sid_key(&self, issuer: &str, client_id: &str, sid: &str) -> SidKey {
        SidKey::from_bytes(self.name("sid index/1", &[issuer, client_id, sid]))
    }

    /// The key of one session's label.
    pub(crate) fn label_key(&self, session: &SessionKey) -> AeadKey {
        AeadKey::new(&self.derive("session label/1", session.as_bytes()))
    }

    /// The key of one session's body: needs the ticket's secret and the cluster key.
    pub(crate) fn body_key(&self, session: &SessionKey, ticket_secret: &[u8]) -> AeadKey {
        let salt = self.derive("session body salt/1", &[]);
        AeadKey::new(&derive(salt.as_ref(), ticket_secret, "session body/1", &[session.as_bytes()]))
    }

    fn derive(&self, purpose: &str, context: &[u8]) -> Key256 {
        derive(SALT, self.0.as_ref(), purpose, &[context])
    }

    /// HMAC over the parts, each preceded by its length so that no two lists give the same bytes.
    fn name(&self, purpose: &str, parts: &[&str]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.derive(purpose, &[]).as_ref());
        let mut mac = hmac::Context::with_key(&key);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        let mut name = [0; 32];
        name.copy_from_slice(mac.sign().as_ref());
        name
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(***)")
    }
}

fn envelope_key(secret: &CookieSecret, cluster: ClusterId) -> AeadKey {
    AeadKey::new(&secret.derive(ENVELOPE_PURPOSE, &[cluster.as_bytes()]))
}

fn envelope_aad(secret: &CookieSecret, cluster: ClusterId) -> Vec<u8> {
    [ENVELOPE_PURPOSE.as_bytes(), cluster.as_bytes(), secret.key_id(cluster).as_bytes()].concat()
}
