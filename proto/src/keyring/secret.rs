//! Cookie secrets as operators give them: oauth2-proxy's decoding, and which ones peers refuse.

use std::fmt;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use ring::digest;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::crypto::{Key256, derive};
use crate::id::{ClusterId, KeyId};

/// Salt of everything derived from a cookie secret.
const SALT: &[u8] = b"conclave cookie secret/1";

/// What oauth2-proxy takes: the three AES key lengths.
const LENGTHS: [usize; 3] = [16, 24, 32];

/// Fewest bytes of a secret that also guards the peer port: 128 bits.
const MIN_PEER_BYTES: usize = 16;

/// Bytes of a secret for the peer port without a warning. Shorter ones are mostly typed, and a peer's
/// certificate lets anyone who reaches the port try guesses elsewhere.
const GOOD_PEER_BYTES: usize = 32;

/// Fewest different characters of a long secret without a warning. Of 43 random base64 characters about 31 differ,
/// and fewer than 17 in one secret of many billions.
const MIN_VARIETY: usize = 17;

/// Go's `base64.RawURLEncoding`: no padding, and stray bits in the last character do not matter.
const GO_RAW_URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Secrets printed in oauth2-proxy's documentation, samples and charts, and their usual stand-ins:
/// anyone can try them. Compared without case and surrounding white space.
const PUBLISHED: &[&str] = &[
    "OQINaROshtE9TcZkNAm-5Zs2Pv3xaWytBmc5W7sPX7w=",
    "0123456789abcdef",
    "0123456789abcdef0123456789abcdef",
    "1234567890123456",
    "12345678901234567890123456789012",
    "abcdefghijklmnop",
    "abcdefghijklmnopqrstuvwxyz012345",
    "secretsecretsecret",
    "secretsecretsecretsecret",
    "changemechangeme",
    "changemechangemechangemechangeme",
    "passwordpassword",
];

/// Why a cookie secret was refused. Never carries the secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "must be 16, 24 or 32 bytes, raw or as URL-safe base64, but is {bytes} bytes; make one with \
     `openssl rand -base64 32 | tr -- '+/' '-_'`"
)]
pub struct InvalidCookieSecret {
    /// Length of what was given, decoded where it decodes.
    pub bytes: usize,
}

/// Why a cookie secret cannot guard the port between replicas.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WeakCookieSecret {
    /// Few enough to guess.
    #[error("has fewer than {MIN_PEER_BYTES} bytes when decoded, which is too few to guard the peer port")]
    Short,
    /// One byte over and over.
    #[error("repeats one byte, which cannot guard the peer port")]
    Repeated,
    /// Anyone can look it up.
    #[error("is a published placeholder, which cannot guard the peer port")]
    Placeholder,
}

/// What is accepted but should be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SecretWarning {
    /// Fewer than 32 bytes, as typed secrets mostly are.
    #[error(
        "has {bytes} bytes when decoded: between replicas it also makes the peer certificates, against which guesses \
         can be tried; use {GOOD_PEER_BYTES} random bytes, as `openssl rand -base64 32 | tr -- '+/' '-_'` makes them"
    )]
    Short {
        /// Length when decoded.
        bytes: usize,
    },
    /// As words, patterns and hexadecimal digits are.
    #[error(
        "holds less than its length promises (few different characters, or digits or letters of one case alone), and \
         guesses can be tried against the peer certificates; use {GOOD_PEER_BYTES} random bytes, as \
         `openssl rand -base64 32 | tr -- '+/' '-_'` makes them"
    )]
    LowVariety,
}

/// One cookie secret. Wiped on drop, never printed.
#[derive(Clone)]
pub struct CookieSecret {
    literal: Zeroizing<String>,
    bytes: Zeroizing<Vec<u8>>,
}

impl CookieSecret {
    /// Takes a secret as oauth2-proxy does: trailing `=` off, URL-safe base64 if that gives 16, 24 or
    /// 32 bytes, else the literal bytes. White space around it (the newline of a file) does not
    /// count, except where the literal has a valid length only with it.
    pub fn parse(literal: &str) -> Result<Self, InvalidCookieSecret> {
        let trimmed = literal.trim();
        let bytes = decode(trimmed);
        let fits = LENGTHS.contains(&bytes.len()) || LENGTHS.contains(&literal.len());
        if !fits || bytes.is_empty() {
            return Err(InvalidCookieSecret { bytes: bytes.len() });
        }
        Ok(Self { literal: Zeroizing::new(literal.to_owned()), bytes })
    }

    /// Whether this secret may guard the peer port, from which every session could be taken.
    pub fn check_for_peers(&self) -> Result<Vec<SecretWarning>, WeakCookieSecret> {
        let trimmed = self.literal.trim();
        if self.bytes.len() < MIN_PEER_BYTES {
            return Err(WeakCookieSecret::Short);
        }
        let repeats = |bytes: &[u8]| bytes.windows(2).all(|pair| pair[0] == pair[1]);
        if repeats(&self.bytes) || repeats(trimmed.as_bytes()) {
            return Err(WeakCookieSecret::Repeated);
        }
        let published = |known: &&str| known.eq_ignore_ascii_case(trimmed) || decode(known).as_slice() == &**self.bytes;
        if PUBLISHED.iter().any(published) {
            return Err(WeakCookieSecret::Placeholder);
        }
        let mut warnings = Vec::new();
        if self.bytes.len() < GOOD_PEER_BYTES {
            warnings.push(SecretWarning::Short { bytes: self.bytes.len() });
        }
        if has_low_variety(trimmed.trim_end_matches('=')) {
            warnings.push(SecretWarning::LowVariety);
        }
        Ok(warnings)
    }

    /// Names this secret in one cluster. Login cookies and tickets show it to their browsers, so the cluster's random id,
    /// which no visitor sees, goes into it: without that id no guess of the secret can be tried against it.
    pub fn key_id(&self, cluster: ClusterId) -> KeyId {
        let id = self.derive("key id/2", &[cluster.as_bytes()]);
        KeyId::from_bytes([id[0], id[1], id[2], id[3]])
    }

    /// The secret as configured.
    pub fn literal(&self) -> &str {
        &self.literal
    }

    /// The decoded bytes of the trimmed secret: what every key is derived from.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Seed of the Ed25519 certificate authority for the peer port; equal on every replica that
    /// holds this secret.
    pub fn peer_ca_seed(&self) -> [u8; 32] {
        *self.derive("peer ca/1", &[])
    }

    /// A key for one purpose.
    pub(crate) fn derive(&self, purpose: &str, context: &[&[u8]]) -> Key256 {
        derive(SALT, &self.bytes, purpose, context)
    }
}

impl fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieSecret(***)")
    }
}

/// Decodes as oauth2-proxy does. Go's decoder skips line breaks wherever they stand.
fn decode(secret: &str) -> Zeroizing<Vec<u8>> {
    let encoded: Zeroizing<String> =
        Zeroizing::new(secret.trim_end_matches('=').chars().filter(|c| !matches!(c, '\r' | '\n')).collect());
    let decoded = GO_RAW_URL.decode(encoded.as_bytes()).map(Zeroizing::new);
    match decoded {
        Ok(bytes) if LENGTHS.contains(&bytes.len()) => bytes,
        Ok(_) | Err(_) => Zeroizing::new(secret.as_bytes().to_vec()),
    }
}

/// Whether a text looks typed rather than drawn: at most half of its characters differ (of a long one, fewer than
/// [`MIN_VARIETY`]), or all of them are of one small alphabet.
fn has_low_variety(text: &str) -> bool {
    let mut seen = [false; 256];
    text.bytes().for_each(|byte| seen[usize::from(byte)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    let alphabets: [fn(&u8) -> bool; 4] =
        [u8::is_ascii_digit, u8::is_ascii_hexdigit, u8::is_ascii_lowercase, u8::is_ascii_uppercase];
    different < MIN_VARIETY.min(text.len() / 2 + 1) || alphabets.iter().any(|of| text.bytes().all(|byte| of(&byte)))
}

/// SHA-256, for names that are derived from public values.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}
