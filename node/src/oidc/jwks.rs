//! A provider's signing keys, and the one list of algorithms an ID token may be signed with.

use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey, JsonWebKeyAlgorithm, SignatureVerificationError};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use thiserror::Error;

use super::spki;

/// Most keys tried for a token that names none: bounds the work that a forged token causes.
const MAX_TRIED: usize = 16;

/// An asymmetric signature algorithm. `none` and the HS family cannot be expressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SigningAlg(CoreJwsSigningAlgorithm);

/// Every algorithm that can be checked, by its JWA name.
pub(super) const SIGNING_ALGS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

impl SigningAlg {
    /// The algorithm of that JWA name, if it can be checked and proves anything.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let alg = match name {
            "RS256" => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            "RS384" => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
            "RS512" => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
            "PS256" => CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            "PS384" => CoreJwsSigningAlgorithm::RsaSsaPssSha384,
            "PS512" => CoreJwsSigningAlgorithm::RsaSsaPssSha512,
            "ES256" => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            "ES384" => CoreJwsSigningAlgorithm::EcdsaP384Sha384,
            "EdDSA" => CoreJwsSigningAlgorithm::EdDsa,
            _ => return None,
        };
        Some(Self(alg))
    }
}

/// Why a key set was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidKeys {
    /// Not a JSON Web Key Set.
    #[error("is no JSON Web Key Set: {0}")]
    Malformed(String),
    /// Nothing in it can check a signature.
    #[error("holds no key that can check a signature ({})", SIGNING_ALGS.join(", "))]
    NoUsableKey,
    /// Not a PEM file.
    #[error("is no PEM file: {0}")]
    Pem(String),
    /// No RSA, P-256, P-384 or Ed25519 public key in it.
    #[error("holds no RSA, P-256, P-384 or Ed25519 key as `BEGIN PUBLIC KEY`")]
    NoPublicKey,
}

/// Why no key vouches for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unproven {
    /// The key it names is not in the set.
    UnknownKey,
    /// No key that fits made this signature.
    BadSignature,
}

/// The public keys of one provider.
#[derive(Clone, Debug)]
pub(super) struct Keys(CoreJsonWebKeySet);

impl Keys {
    /// Reads a key set. Keys of unknown kinds are left out, as RFC 7517 asks.
    pub(super) fn parse(json: &[u8]) -> Result<Self, InvalidKeys> {
        let set: CoreJsonWebKeySet =
            serde_json::from_slice(json).map_err(|error| InvalidKeys::Malformed(error.to_string()))?;
        let usable = |key: &&CoreJsonWebKey| SIGNING_ALGS.iter().any(|name| fits(key, name));
        let keys: Vec<_> = set.keys().iter().filter(usable).cloned().collect();
        if keys.is_empty() {
            return Err(InvalidKeys::NoUsableKey);
        }
        Ok(Self(CoreJsonWebKeySet::new(keys)))
    }

    /// Reads the public keys of a PEM file. They have no id, so they are tried for every token.
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, InvalidKeys> {
        let read: Result<Vec<_>, _> = SubjectPublicKeyInfoDer::pem_slice_iter(pem).collect();
        let read = read.map_err(|error| InvalidKeys::Pem(error.to_string()))?;
        let keys: Option<Vec<_>> = read.iter().map(|der| spki::key(der)).collect();
        match keys {
            Some(keys) if !keys.is_empty() => Ok(Self(CoreJsonWebKeySet::new(keys))),
            Some(_) | None => Err(InvalidKeys::NoPublicKey),
        }
    }

    /// These keys and the others.
    pub(super) fn with(&self, others: &Self) -> Self {
        Self(CoreJsonWebKeySet::new(self.0.keys().iter().chain(others.0.keys()).cloned().collect()))
    }

    /// The key that signed `message`. With a `kid`, keys of that id (and keys without one) are
    /// tried; without, every key of the right kind.
    pub(super) fn verify(
        &self,
        alg: &SigningAlg,
        kid: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<SigningKey<'_>, Unproven> {
        let named = |key: &&CoreJsonWebKey| match (kid, key.key_id()) {
            (Some(wanted), Some(found)) => wanted == found.as_str(),
            (Some(_) | None, None) | (None, Some(_)) => true,
        };
        let mut unproven = Unproven::UnknownKey;
        for key in self.0.keys().iter().filter(named).take(MAX_TRIED) {
            match key.verify_signature(&alg.0, message, signature) {
                Ok(()) => return Ok(SigningKey { key, alg: alg.clone() }),
                Err(SignatureVerificationError::InvalidKey(_)) => {}
                Err(_) => unproven = Unproven::BadSignature,
            }
        }
        Err(unproven)
    }
}

/// A key that has proven a signature.
#[derive(Debug)]
pub(super) struct SigningKey<'a> {
    key: &'a CoreJsonWebKey,
    alg: SigningAlg,
}

impl SigningKey<'_> {
    /// The left half of the hash of `token` that `at_hash` carries; nothing if the algorithm has no
    /// hash for it, which is a failure of the check.
    pub(super) fn token_hash(&self, token: &str) -> Option<Vec<u8>> {
        let mut hash = self.key.hash_bytes(token.as_bytes(), &self.alg.0).ok()?;
        hash.truncate(hash.len() / 2);
        Some(hash)
    }
}

/// Whether a key may check signatures of that algorithm.
fn fits(key: &CoreJsonWebKey, name: &str) -> bool {
    let Some(SigningAlg(alg)) = SigningAlg::parse(name) else { return false };
    let declared = match key.signing_alg() {
        JsonWebKeyAlgorithm::Unspecified => true,
        JsonWebKeyAlgorithm::Algorithm(declared) => *declared == alg,
        JsonWebKeyAlgorithm::Unsupported => false,
    };
    // An empty signature is never valid; only an unfit key fails as a key.
    declared && !matches!(key.verify_signature(&alg, b"", b""), Err(SignatureVerificationError::InvalidKey(_)))
}
