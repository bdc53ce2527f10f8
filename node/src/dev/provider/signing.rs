//! The key that signs ID tokens: ES256, drawn at each start.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::ProviderError;

/// A P-256 key and its name.
pub(super) struct SigningKey {
    pair: EcdsaKeyPair,
    kid: String,
    random: SystemRandom,
}

impl SigningKey {
    pub(super) fn draw() -> Result<Self, ProviderError> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| ProviderError::Key)?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).map_err(|_| ProviderError::Key)?;
        Ok(Self { pair, kid: crate::dev::random_token(), random })
    }

    /// The public half, as RFC 7517 writes it.
    pub(super) fn public_jwk(&self) -> Value {
        // An uncompressed point: a byte 4, then 32 bytes for each coordinate.
        let point = self.pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }

    /// A signed token in compact form.
    pub(super) fn sign(&self, claims: &Value) -> Result<String, ProviderError> {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.kid });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.pair.sign(&self.random, signed.as_bytes()).map_err(|_| ProviderError::Key)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
