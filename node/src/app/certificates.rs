//! The certificate of an HTTPS listener, which follows its files.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::{Config, PemSource, TlsConfig, cipher_suite_name};

/// Why a certificate cannot be served.
#[derive(Debug, Error)]
#[error("cannot serve TLS with {file}: {why}")]
pub struct InvalidCertificate {
    /// Which file.
    file: String,
    /// What is wrong.
    why: String,
}

/// Those of all listeners.
pub struct Certificates {
    /// Of the service.
    pub public: Option<Arc<Certificate>>,
    /// Of `metrics_secure_address`.
    pub metrics: Option<Arc<Certificate>>,
}

impl Certificates {
    /// Reads what the configuration names.
    pub fn load(config: &Config) -> Result<Self, InvalidCertificate> {
        let load = |option, tls: Option<&TlsConfig>| tls.map(|tls| Certificate::load(option, tls)).transpose();
        Ok(Self {
            public: load("tls_cert_file", config.http.tls.as_ref())?,
            metrics: load("metrics_tls_cert_file", config.metrics_tls.as_ref())?,
        })
    }

    /// Each of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.public.iter().chain(&self.metrics)
    }
}

/// A certificate in use: each handshake takes the one that counts at that moment.
pub struct Certificate {
    option: &'static str,
    config: TlsConfig,
    crypto: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    fn load(option: &'static str, config: &TlsConfig) -> Result<Arc<Self>, InvalidCertificate> {
        let mut crypto = rustls::crypto::ring::default_provider();
        crypto.cipher_suites.retain(|suite| serves(config, *suite));
        let (chain, key) = (read(&config.certificate)?, read(&config.key)?);
        let current = RwLock::new(certified(config, &chain, &key, &crypto)?);
        Ok(Arc::new(Self { option, config: config.clone(), crypto: Arc::new(crypto), current }))
    }

    /// The option that names it.
    pub fn option(&self) -> &'static str {
        self.option
    }

    /// The files of chain and key, in this order; none where the configuration itself holds them.
    pub fn files(&self) -> Option<[PathBuf; 2]> {
        match (&self.config.certificate, &self.config.key) {
            (PemSource::File(chain), PemSource::File(key)) => Some([chain.clone(), key.clone()]),
            (PemSource::Given(_), _) | (_, PemSource::Given(_)) => None,
        }
    }

    /// Takes another chain and key into use for the handshakes to come; says whether the chain is another one. What
    /// cannot be served changes nothing.
    pub fn replace(&self, chain: &str, key: &str) -> Result<bool, InvalidCertificate> {
        let fresh = certified(&self.config, chain.as_bytes(), key.as_bytes(), &self.crypto)?;
        let mut current = self.current.write();
        let changed = current.cert != fresh.cert;
        *current = fresh;
        Ok(changed)
    }

    /// What a listener needs.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, InvalidCertificate> {
        let versions: &[&rustls::SupportedProtocolVersion] =
            if self.config.only_tls13 { &[&rustls::version::TLS13] } else { rustls::ALL_VERSIONS };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.crypto)).with_protocol_versions(versions);
        let builder = builder.map_err(|error| wrong(&self.config.certificate, error))?;
        Ok(builder.with_no_client_auth().with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read()))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("option", &self.option).finish_non_exhaustive()
    }
}

/// As in Go, the list is about TLS 1.2 alone: the suites of TLS 1.3 are always on.
fn serves(config: &TlsConfig, suite: rustls::SupportedCipherSuite) -> bool {
    let listed = || config.cipher_suites.iter().any(|name| *name == cipher_suite_name(suite.suite()));
    suite.tls13().is_some() || config.cipher_suites.is_empty() || listed()
}

fn wrong(source: &PemSource, why: impl fmt::Display) -> InvalidCertificate {
    InvalidCertificate { file: source.to_string(), why: why.to_string() }
}

fn certified(
    config: &TlsConfig,
    chain: &[u8],
    key: &[u8],
    crypto: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, InvalidCertificate> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| wrong(&config.certificate, error))?;
    if chain.is_empty() {
        return Err(wrong(&config.certificate, "it holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| wrong(&config.key, error))?;
    let certified = CertifiedKey::from_der(chain, key, crypto);
    certified.map(Arc::new).map_err(|error| wrong(&config.certificate, error))
}

/// The bytes of a source; wiped when dropped, as they may be a key.
fn read(source: &PemSource) -> Result<Zeroizing<Vec<u8>>, InvalidCertificate> {
    match source {
        PemSource::Given(text) => Ok(Zeroizing::new(text.expose().clone().into_bytes())),
        PemSource::File(path) => std::fs::read(path).map(Zeroizing::new).map_err(|error| wrong(source, error)),
    }
}
