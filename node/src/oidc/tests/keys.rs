//! Signs tokens with keys that exist for these tests only, by ring, not by the code under test.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde_json::{Value, json};

use super::super::spki;

/// One of the test keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestKey {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl TestKey {
    pub const ALL: [Self; 4] = [Self::Rsa, Self::P256, Self::P384, Self::Ed25519];

    pub fn public_pem(self) -> &'static str {
        match self {
            Self::Rsa => include_str!("../testdata/rsa.pub.pem"),
            Self::P256 => include_str!("../testdata/p256.pub.pem"),
            Self::P384 => include_str!("../testdata/p384.pub.pem"),
            Self::Ed25519 => include_str!("../testdata/ed25519.pub.pem"),
        }
    }

    fn private(self) -> PrivatePkcs8KeyDer<'static> {
        let pem = match self {
            Self::Rsa => include_str!("../testdata/rsa.pem"),
            Self::P256 => include_str!("../testdata/p256.pem"),
            Self::P384 => include_str!("../testdata/p384.pem"),
            Self::Ed25519 => include_str!("../testdata/ed25519.pem"),
        };
        PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).expect("PKCS#8")
    }

    /// The algorithm it signs with by default.
    pub fn alg(self) -> &'static str {
        match self {
            Self::Rsa => "RS256",
            Self::P256 => "ES256",
            Self::P384 => "ES384",
            Self::Ed25519 => "EdDSA",
        }
    }

    /// Its public half as a JWK.
    pub fn jwk(self, kid: Option<&str>) -> Value {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(self.public_pem().as_bytes()).expect("PEM");
        let mut jwk = serde_json::to_value(spki::key(&der).expect("a known kind")).expect("JSON");
        if let Some(kid) = kid {
            jwk["kid"] = json!(kid);
        }
        jwk
    }

    /// A signature as JWS has it.
    pub fn sign(self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let der = self.private();
        let der = der.secret_pkcs8_der();
        let ecdsa = |kind| {
            let pair = EcdsaKeyPair::from_pkcs8(kind, der, &random).expect("key");
            pair.sign(&random, message).expect("signs").as_ref().to_vec()
        };
        match self {
            Self::Rsa => {
                let padding: &dyn RsaEncoding = match alg {
                    "PS256" => &RSA_PSS_SHA256,
                    "RS384" => &RSA_PKCS1_SHA384,
                    _ => &RSA_PKCS1_SHA256,
                };
                let pair = RsaKeyPair::from_pkcs8(der).expect("key");
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, message, &mut signature).expect("signs");
                signature
            }
            Self::P256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Self::P384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Self::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).expect("key");
                pair.sign(message).as_ref().to_vec()
            }
        }
    }

    /// A JWT with exactly that header.
    pub fn jwt(self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let alg = header["alg"].as_str().unwrap_or_default();
        let signature = self.sign(alg, message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A JWT as providers make them.
    pub fn token(self, kid: Option<&str>, claims: &Value) -> String {
        let mut header = json!({ "alg": self.alg(), "typ": "JWT" });
        if let Some(kid) = kid {
            header["kid"] = json!(kid);
        }
        self.jwt(&header, claims)
    }
}

/// Header and payload of a JWT.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// A key set document.
pub fn key_set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}
