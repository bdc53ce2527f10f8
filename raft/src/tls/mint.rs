//! Mints the certificate authority of each cookie secret and this replica's own leaf.

use conclave_proto::id::PeerName;
use conclave_proto::keyring::CookieSecret;
use conclave_proto::time::{Timestamp, Ttl};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SanType, SerialNumber, date_time_ymd,
};
use ring::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroize;

use super::TlsError;

/// A leaf's validity on both sides of its birth: replicas whose clocks differ by hours must still
/// be able to talk, if only to say so.
pub(crate) const LEAF_SLACK: Ttl = Ttl::from_secs(24 * 3600);

/// What PKCS#8 (RFC 8410) puts before the 32 bytes of an Ed25519 seed.
const PKCS8_ED25519_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The name of every authority. One that differed by secret would name the secret to anyone who reaches the port; which
/// authority signed a leaf shows by its signature alone.
pub(crate) const AUTHORITY_NAME: &str = "Conclave peers";

/// Parent of all synthetic names; `.internal` is reserved for private use and never resolves publicly.
const NAME_SUFFIX: &str = ".peer.conclave.internal";

/// The name a peer's certificate must carry: peers are told by host and port, several may share a
/// host, and a port cannot stand in a certificate.
pub(crate) fn synthetic_name(peer: &PeerName) -> String {
    let hash = digest(&SHA256, peer.as_str().as_bytes());
    let hex: String = hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("p{hex}{NAME_SUFFIX}")
}

/// The certificate authority that every replica holding one cookie secret derives alike.
pub(crate) struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Byte-identical on every replica: fixed key, serial and validity, and Ed25519 signs without chance.
    pub(crate) fn derive(secret: &CookieSecret) -> Result<Self, TlsError> {
        let mut pkcs8 = [0u8; 48];
        pkcs8[..16].copy_from_slice(&PKCS8_ED25519_PREFIX);
        let mut seed = secret.peer_ca_seed();
        pkcs8[16..].copy_from_slice(&seed);
        seed.zeroize();
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8.as_slice()), &PKCS_ED25519);
        pkcs8.zeroize();
        let key = key.map_err(TlsError::Mint)?;

        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2200, 1, 1);
        params.serial_number = Some(SerialNumber::from_slice(&[1]));
        params.distinguished_name = common_name(AUTHORITY_NAME);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).map_err(TlsError::Mint)?;
        Ok(Self { certificate: certificate.into(), issuer: Issuer::new(params, key) })
    }

    /// The authority's own certificate, the root of trust.
    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// A leaf with a fresh random key for this replica, good for both ends of a connection.
    pub(crate) fn mint_leaf(&self, peer: &PeerName, now: Timestamp) -> Result<Leaf, TlsError> {
        let name = synthetic_name(peer);
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(TlsError::Mint)?;
        let epoch = date_time_ymd(1970, 1, 1);
        let mut params = CertificateParams::default();
        params.not_before = epoch + now.saturating_sub(LEAF_SLACK).since(Timestamp::ZERO).as_duration();
        params.not_after = epoch + now.saturating_add(LEAF_SLACK).since(Timestamp::ZERO).as_duration();
        params.distinguished_name = common_name(&name);
        params.subject_alt_names = vec![SanType::DnsName(name.as_str().try_into().map_err(TlsError::Mint)?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).map_err(TlsError::Mint)?;
        Ok(Leaf { certificate: certificate.into(), key: PrivatePkcs8KeyDer::from(key.serialize_der()).into() })
    }
}

/// A certificate and its key.
pub(crate) struct Leaf {
    /// Signed by the authority of the active cookie secret.
    pub(crate) certificate: CertificateDer<'static>,
    /// Never leaves this process.
    pub(crate) key: PrivateKeyDer<'static>,
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
