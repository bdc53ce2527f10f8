//! The HTTP client for calls to providers: rustls over ring, the system's or the configured roots,
//! no redirects.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use thiserror::Error;
use tracing::warn;

use super::call::CALL_TIMEOUT;
use crate::config::ProviderConfig;

/// Longest a connection may take to open: a dead address should not use up a login's patience.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Idle connections kept per provider: logins come in bursts of few.
const MAX_IDLE: usize = 8;

/// Why no client could be made.
#[derive(Debug, Error)]
pub enum HttpClientError {
    /// A CA file.
    #[error("provider_ca_files: cannot read certificates from {}: {cause}", path.display())]
    CaFile {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: rustls_pki_types::pem::Error,
    },
    /// A CA file without a certificate in it.
    #[error("provider_ca_files: {} holds no usable certificate", path.display())]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// The TLS library refused its settings.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP library refused its settings.
    #[error("cannot set up the HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}

/// A client for calls to that provider. Redirects are off: an endpoint that moves says so in its
/// metadata, and a redirected token request would hand the code to whoever it names.
pub fn http_client(config: &ProviderConfig) -> Result<reqwest::Client, HttpClientError> {
    let client = reqwest::Client::builder()
        .use_preconfigured_tls(tls(config)?)
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE)
        .user_agent(concat!("conclave/", env!("CARGO_PKG_VERSION")))
        .build()?;
    Ok(client)
}

fn tls(config: &ProviderConfig) -> Result<ClientConfig, HttpClientError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    if config.insecure_skip_tls_verify {
        warn!(provider = %config.id, "ssl_insecure_skip_verify: anyone on the way can pose as the provider");
        let anyone = Arc::new(Anyone(provider));
        return Ok(builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth());
    }
    Ok(builder.with_root_certificates(roots(config)?).with_no_client_auth())
}

fn roots(config: &ProviderConfig) -> Result<RootCertStore, HttpClientError> {
    let mut roots = RootCertStore::empty();
    if config.ca_files.is_empty() || config.use_system_trust_store {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    for path in &config.ca_files {
        let failed = |cause| HttpClientError::CaFile { path: path.clone(), cause };
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(failed)?.collect();
        let (added, _) = roots.add_parsable_certificates(certificates.map_err(failed)?);
        if added == 0 {
            return Err(HttpClientError::NoCertificate { path: path.clone() });
        }
    }
    if roots.is_empty() && config.issuer_url.starts_with("https:") {
        warn!(provider = %config.id, "no CA certificates found: install ca-certificates or set provider_ca_files");
    }
    Ok(roots)
}

/// Takes every certificate, for `ssl_insecure_skip_verify`.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
