//! Mutual TLS 1.3 between replicas with certificates that nobody has to set up.

mod mint;

use std::sync::Arc;

use conclave_proto::id::PeerName;
use conclave_proto::keyring::CookieSecret;
use conclave_proto::time::{Clock, Timestamp, Ttl};
use parking_lot::RwLock;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme};
use thiserror::Error;

pub(crate) use mint::synthetic_name;
use mint::{Authority, LEAF_SLACK};

/// A leaf is replaced, and every connection made with it closed, well within its validity.
pub(crate) const LEAF_RENEWAL: Ttl = Ttl::from_millis(LEAF_SLACK.as_millis() / 4);

/// Why the transport could not be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A certificate could not be minted.
    #[error("a peer certificate could not be minted: {0}")]
    Mint(rcgen::Error),
    /// TLS refused the material.
    #[error("the peer TLS configuration was refused: {0}")]
    Config(#[from] rustls::Error),
    /// The roots make no verifier.
    #[error("the peer certificate verifier was refused: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The HTTP client refused the configuration.
    #[error("the peer client could not be built: {0}")]
    Client(String),
}

/// This replica's certificates and both TLS configurations.
pub(crate) struct PeerTls {
    name: PeerName,
    active: Authority,
    clock: Arc<dyn Clock>,
    slot: Arc<LeafSlot>,
    server: Arc<ServerConfig>,
    client: ClientConfig,
}

impl PeerTls {
    /// Trusts the authority of every secret of the ring and mints under the active one, the first.
    pub(crate) fn new(name: &PeerName, secrets: &[CookieSecret], clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let authorities = secrets.iter().map(Authority::derive).collect::<Result<Vec<_>, _>>()?;
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots.add(authority.certificate().clone())?;
        }
        let roots = Arc::new(roots);
        let Some(active) = authorities.into_iter().next() else {
            return Err(TlsError::Config(rustls::Error::General("no cookie secret".to_owned())));
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let slot = Arc::new(LeafSlot::new(certified(&active, name, clock.now(), &provider)?));
        let server = server_config(&provider, &roots, &slot, &clock)?;
        let client = client_config(&provider, &roots, &slot, &clock)?;
        Ok(Self { name: name.clone(), active, clock, slot, server: Arc::new(server), client })
    }

    /// For the peer listener.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// For connections to peers.
    pub(crate) fn client(&self) -> ClientConfig {
        self.client.clone()
    }

    /// The DER of the current leaf.
    pub(crate) fn leaf(&self) -> Vec<u8> {
        self.slot.get().cert.first().map(|leaf| leaf.to_vec()).unwrap_or_default()
    }

    /// Replaces the leaf; running listeners and clients use the new one for their next connection.
    pub(crate) fn renew(&self) -> Result<(), TlsError> {
        let provider = rustls::crypto::ring::default_provider();
        let fresh = certified(&self.active, &self.name, self.clock.now(), &provider)?;
        self.slot.put(fresh);
        Ok(())
    }
}

/// Whether a client certificate, already verified by the handshake, is that of this peer.
pub(crate) fn certificate_names(certificate: &[u8], peer: &PeerName) -> bool {
    let der = CertificateDer::from(certificate);
    let Ok(leaf) = webpki::EndEntityCert::try_from(&der) else {
        return false;
    };
    let mut names = leaf.valid_dns_names();
    // Exactly one name: a certificate for two peers would let one pass for the other.
    names.next() == Some(synthetic_name(peer).as_str()) && names.next().is_none()
}

fn certified(
    authority: &Authority,
    name: &PeerName,
    now: Timestamp,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let leaf = authority.mint_leaf(name, now)?;
    Ok(Arc::new(CertifiedKey::from_der(vec![leaf.certificate], leaf.key, provider)?))
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    slot: &Arc<LeafSlot>,
    clock: &Arc<dyn Clock>,
) -> Result<ServerConfig, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider)).build()?;
    let time: Arc<dyn TimeProvider> = Arc::new(ClockTime(Arc::clone(clock)));
    let mut config = ServerConfig::builder_with_details(Arc::clone(provider), time)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(slot) as Arc<dyn ResolvesServerCert>);
    // A resumed connection would outlive its client's certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    slot: &Arc<LeafSlot>,
    clock: &Arc<dyn Clock>,
) -> Result<ClientConfig, TlsError> {
    let time: Arc<dyn TimeProvider> = Arc::new(ClockTime(Arc::clone(clock)));
    let mut config = ClientConfig::builder_with_details(Arc::clone(provider), time)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(Arc::clone(roots))
        .with_client_cert_resolver(Arc::clone(slot) as Arc<dyn ResolvesClientCert>);
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Holds the current leaf for both ends, so that renewing needs no restart.
#[derive(Debug)]
struct LeafSlot(RwLock<Arc<CertifiedKey>>);

impl LeafSlot {
    fn new(key: Arc<CertifiedKey>) -> Self {
        Self(RwLock::new(key))
    }

    fn put(&self, key: Arc<CertifiedKey>) {
        *self.0.write() = key;
    }

    fn get(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read())
    }
}

impl ResolvesServerCert for LeafSlot {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

impl ResolvesClientCert for LeafSlot {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Certificates are held against the same clock as everything else.
struct ClockTime(Arc<dyn Clock>);

impl std::fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClockTime")
    }
}

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.now().since(Timestamp::ZERO).as_duration()))
    }
}

#[cfg(test)]
mod tests {
    use conclave_proto::time::Boottime;
    use ring::digest::{SHA256, digest};

    use super::mint::AUTHORITY_NAME;
    use super::*;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(1_800_000_000)
        }

        fn boottime(&self) -> Boottime {
            Boottime::from_millis(0)
        }
    }

    fn secret(literal: &str) -> CookieSecret {
        CookieSecret::parse(literal).expect("long enough")
    }

    fn name(raw: &str) -> PeerName {
        PeerName::parse(raw).expect("valid")
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Another release must derive the same, byte for byte, or replicas of two releases do not talk.
    #[test]
    fn the_authority_of_a_secret_is_the_same_everywhere_and_for_ever() {
        let authority = Authority::derive(&secret("0123456789abcdef")).expect("derived");
        let again = Authority::derive(&secret("0123456789abcdef")).expect("derived");
        assert_eq!(authority.certificate(), again.certificate());
        let other = Authority::derive(&secret("fedcba9876543210")).expect("derived");
        assert_ne!(authority.certificate(), other.certificate());
        assert_eq!(hex(digest(&SHA256, authority.certificate()).as_ref()), GOLDEN_AUTHORITY);
    }

    const GOLDEN_AUTHORITY: &str = "2b29ac9d24606bf806dc32ddc52e11d572ddf70f3ecef8568eca787269beabba";

    /// A stranger sees the certificates; what they are called may depend on no secret.
    #[test]
    fn key_guess_no_certificate_names_its_secret() {
        let subject = |literal: &str| {
            let authority = Authority::derive(&secret(literal)).expect("derived");
            webpki::anchor_from_trusted_cert(authority.certificate()).expect("a root").subject.as_ref().to_vec()
        };
        assert_eq!(subject("0123456789abcdef"), subject("fedcba9876543210"));
        // An issuer and a subject stand in the leaf, and nothing else that could be a name.
        let leaf = PeerTls::new(&name("a.test:1"), &[secret("0123456789abcdef")], Arc::new(Noon)).expect("made").leaf();
        assert!(leaf.windows(AUTHORITY_NAME.len()).any(|part| part == AUTHORITY_NAME.as_bytes()));
    }

    #[test]
    fn a_leaf_names_one_peer_and_no_other() {
        let tls = PeerTls::new(&name("a.test:1"), &[secret("0123456789abcdef")], Arc::new(Noon)).expect("made");
        assert!(certificate_names(&tls.leaf(), &name("a.test:1")));
        assert!(!certificate_names(&tls.leaf(), &name("a.test:2")));
        assert!(!certificate_names(b"rubbish", &name("a.test:1")));
        let before = tls.leaf();
        tls.renew().expect("renewed");
        assert_ne!(before, tls.leaf(), "a fresh key each time");
        assert!(certificate_names(&tls.leaf(), &name("a.test:1")));
    }

    #[test]
    fn the_synthetic_name_does_not_change() {
        let synthetic = synthetic_name(&name("conclave-0.peers"));
        assert_eq!(synthetic, GOLDEN_NAME);
        assert!(synthetic.split('.').all(|label| label.len() <= 63));
    }

    /// The first 16 bytes of the SHA-256 of `conclave-0.peers:4181`.
    const GOLDEN_NAME: &str = "p2c25a43d6a4c5a452acacb977d7db360.peer.conclave.internal";
}
