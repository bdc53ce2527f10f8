//! Somebody at the peer port who is no peer: with no certificate, a strange one, or a good one and a lie.
//!
//! The certificates are made here a second time from the documented recipe, so that a change of the
//! recipe shows itself as well.

use std::net::SocketAddr;
use std::sync::Arc;

use conclave_proto::id::PeerName;
use conclave_proto::keyring::CookieSecret;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ED25519, SanType, SerialNumber, date_time_ymd,
};
use ring::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::Failure;

/// Path of the peer endpoint.
const PATH: &str = "/peer";

/// What RFC 8410 puts before an Ed25519 seed.
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// What the intruder shows of itself.
#[derive(Clone, Copy, Debug)]
pub enum Shows<'a> {
    /// No certificate.
    Nothing,
    /// A leaf under an authority derived from that secret, in that peer's name.
    Leaf {
        /// The cookie secret.
        secret: &'a CookieSecret,
        /// The peer's name.
        name: &'a PeerName,
    },
    /// A leaf as no replica makes one.
    Odd(&'a OddLeaf<'a>),
}

/// When a leaf is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Now.
    Now,
    /// Until years ago.
    Past,
    /// In years.
    Future,
}

/// A leaf with one thing wrong or another.
#[derive(Clone, Debug)]
pub struct OddLeaf<'a> {
    /// The secret of the authority that signs it; none: it signs itself.
    pub signer: Option<&'a CookieSecret>,
    /// The peers whose names stand in it.
    pub names: Vec<&'a PeerName>,
    /// When it is valid.
    pub validity: Validity,
    /// Whether it is for servers alone.
    pub server_only: bool,
}

impl<'a> OddLeaf<'a> {
    /// As a replica's: under that secret, in that name, valid now, for clients.
    pub fn sound(secret: &'a CookieSecret, name: &'a PeerName) -> Self {
        Self { signer: Some(secret), names: vec![name], validity: Validity::Now, server_only: false }
    }
}

/// A client of the peer port.
#[derive(Debug)]
pub struct Intruder {
    client: reqwest::Client,
    url: String,
}

impl Intruder {
    /// Trusts the authority of `secret` and goes to the peer `target` at `address`.
    pub fn new(
        secret: &CookieSecret,
        target: &PeerName,
        address: SocketAddr,
        shows: Shows<'_>,
    ) -> Result<Self, Failure> {
        Self::speaking(&rustls::version::TLS13, secret, target, address, shows)
    }

    /// As [`Intruder::new`], by that version of TLS.
    pub fn speaking(
        version: &'static SupportedProtocolVersion,
        secret: &CookieSecret,
        target: &PeerName,
        address: SocketAddr,
        shows: Shows<'_>,
    ) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(authority(secret)?.0)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])?
            .with_root_certificates(roots);
        let config = match shows {
            Shows::Nothing => config.with_no_client_auth(),
            Shows::Leaf { secret, name } => {
                let (certificate, key) = leaf(&OddLeaf::sound(secret, name))?;
                config.with_client_auth_cert(vec![certificate], key.into())?
            }
            Shows::Odd(odd) => {
                let (certificate, key) = leaf(odd)?;
                config.with_client_auth_cert(vec![certificate], key.into())?
            }
        };
        let host = synthetic_name(target);
        let client = reqwest::Client::builder()
            .use_preconfigured_tls(config)
            .no_proxy()
            .resolve(&host, address)
            .timeout(std::time::Duration::from_secs(10))
            .build()?;
        Ok(Self { client, url: format!("https://{host}:{}{PATH}", address.port()) })
    }

    /// Posts bytes; an error is a connection that was refused or cut.
    pub async fn post(&self, body: Vec<u8>) -> Result<(u16, Vec<u8>), Failure> {
        let answer = self.client.post(&self.url).body(body).send().await?;
        Ok((answer.status().as_u16(), answer.bytes().await?.to_vec()))
    }
}

fn synthetic_name(peer: &PeerName) -> String {
    let hash = digest(&SHA256, peer.as_str().as_bytes());
    let hex: String = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("p{hex}.peer.conclave.internal")
}

fn authority(secret: &CookieSecret) -> Result<(CertificateDer<'static>, Issuer<'static, KeyPair>), Failure> {
    let mut pkcs8 = PKCS8_ED25519.to_vec();
    pkcs8.extend_from_slice(&secret.peer_ca_seed());
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8.as_slice()), &PKCS_ED25519)?;
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2200, 1, 1);
    params.serial_number = Some(SerialNumber::from_slice(&[1]));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Conclave peers");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.into(), Issuer::new(params, key)))
}

fn leaf(odd: &OddLeaf<'_>) -> Result<(CertificateDer<'static>, PrivatePkcs8KeyDer<'static>), Failure> {
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = match odd.validity {
        Validity::Now => (params.not_before, params.not_after),
        Validity::Past => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
        Validity::Future => (date_time_ymd(2150, 1, 1), date_time_ymd(2151, 1, 1)),
    };
    for name in &odd.names {
        params.subject_alt_names.push(SanType::DnsName(synthetic_name(name).as_str().try_into()?));
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let usage = if odd.server_only { ExtendedKeyUsagePurpose::ServerAuth } else { ExtendedKeyUsagePurpose::ClientAuth };
    params.extended_key_usages = vec![usage];
    let certificate = match odd.signer {
        Some(secret) => params.signed_by(&key, &authority(secret)?.1)?,
        None => params.self_signed(&key)?,
    };
    Ok((certificate.into(), PrivatePkcs8KeyDer::from(key.serialize_der())))
}
