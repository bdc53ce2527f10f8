//! The two envelopes of a session. The label is sealed under the cluster key; the body under a key
//! that needs the ticket as well, so that only a request that brings the cookie can open it.
//!
//! Layout of both: version 1, nonce 12, AES-256-GCM ciphertext with tag. The content is encoded by
//! `wire` under the same version; a body is deflated first.

mod biggest;
#[cfg(test)]
mod tests;

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::crypto::{AeadKey, NONCE_LEN, take};
use crate::id::{Generation, SessionKey};
use crate::keyring::ClusterKey;
use crate::session::{MAX_SEALED_BODY, MAX_SEALED_LABEL, SessionBody, SessionLabel};
use crate::ticket::Ticket;
use crate::wire;

const LABEL_VERSION: u8 = 1;
const BODY_VERSION: u8 = 1;
const LABEL_PURPOSE: &[u8] = b"session label/1";
const BODY_PURPOSE: &[u8] = b"session body/1";

/// Largest body before compression: bounds what decompression may yield. Ten times the sealed limit
/// is more than tokens ever compress.
pub const MAX_PLAIN_BODY: usize = 1024 * 1024;

/// Longest name, e-mail or user name in a label, in bytes: beyond the 255 that OpenID Connect allows
/// a subject. Labels are for people to read, so a longer one is cut.
const MAX_LABEL_TEXT: usize = 400;

/// Longest User-Agent kept.
const MAX_USER_AGENT: usize = 256;

/// Longest client address kept: an IPv6 address with its zone.
const MAX_ADDRESS: usize = 64;

/// Why something could not be sealed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// Over the limit. The names are the provider's; they carry no values.
    #[error("is {bytes} bytes, over the limit of {limit}; the biggest parts are {}", biggest::list(.biggest))]
    TooLarge {
        /// Size that was reached: sealed, or before compression where already that is too much.
        bytes: usize,
        /// The limit it broke.
        limit: usize,
        /// Name and size in bytes of the biggest claims and tokens, biggest first.
        biggest: Vec<(String, usize)>,
    },
}

/// Why an envelope did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenSealError {
    /// Written by another version of this program.
    #[error("is of another version")]
    Version,
    /// Not an envelope.
    #[error("is not an envelope")]
    Malformed,
    /// Another ticket, session, generation or cluster, or damaged.
    #[error("does not open with this ticket")]
    NotAuthentic,
    /// It opened, but its content cannot be read or is over the limit.
    #[error("holds no readable content")]
    Content,
}

/// Seals a label for the session `key`, over-long texts cut. `nonce` must be fresh random bytes.
pub fn seal_label(
    cluster: &ClusterKey,
    key: &SessionKey,
    label: &SessionLabel,
    nonce: [u8; NONCE_LEN],
) -> Result<Vec<u8>, SealError> {
    let plain = Zeroizing::new(wire::encode(LABEL_VERSION, &cut_label(label)));
    let aad = [LABEL_PURPOSE, key.as_bytes()].concat();
    let sealed = seal(&cluster.label_key(key), LABEL_VERSION, nonce, &aad, &plain);
    if sealed.len() > MAX_SEALED_LABEL {
        return Err(SealError::TooLarge { bytes: sealed.len(), limit: MAX_SEALED_LABEL, biggest: Vec::new() });
    }
    Ok(sealed)
}

/// Opens what [`seal_label`] made for the same session.
pub fn open_label(cluster: &ClusterKey, key: &SessionKey, sealed: &[u8]) -> Result<SessionLabel, OpenSealError> {
    let aad = [LABEL_PURPOSE, key.as_bytes()].concat();
    let plain = open(&cluster.label_key(key), LABEL_VERSION, &aad, sealed, MAX_SEALED_LABEL)?;
    wire::decode(LABEL_VERSION, &plain, MAX_SEALED_LABEL).map_err(|_| OpenSealError::Content)
}

/// Seals a body, compressed, for the ticket's session. `nonce` must be fresh random bytes.
pub fn seal_body(
    cluster: &ClusterKey,
    ticket: &Ticket,
    generation: Generation,
    body: &SessionBody,
    nonce: [u8; NONCE_LEN],
) -> Result<Vec<u8>, SealError> {
    let too_large = |bytes, limit| Err(SealError::TooLarge { bytes, limit, biggest: biggest::parts(body) });
    let plain = Zeroizing::new(wire::encode(BODY_VERSION, body));
    if plain.len() > MAX_PLAIN_BODY {
        return too_large(plain.len(), MAX_PLAIN_BODY);
    }
    let key = ticket.key();
    let aead = cluster.body_key(&key, ticket.secret.as_bytes());
    let sealed = seal(&aead, BODY_VERSION, nonce, &body_aad(&key, generation), &deflate(&plain));
    if sealed.len() > MAX_SEALED_BODY {
        return too_large(sealed.len(), MAX_SEALED_BODY);
    }
    Ok(sealed)
}

/// Opens what [`seal_body`] made for the same ticket and generation.
pub fn open_body(
    cluster: &ClusterKey,
    ticket: &Ticket,
    generation: Generation,
    sealed: &[u8],
) -> Result<SessionBody, OpenSealError> {
    let key = ticket.key();
    let aead = cluster.body_key(&key, ticket.secret.as_bytes());
    let packed = open(&aead, BODY_VERSION, &body_aad(&key, generation), sealed, MAX_SEALED_BODY)?;
    let plain = inflate(&packed).ok_or(OpenSealError::Content)?;
    wire::decode(BODY_VERSION, &plain, MAX_PLAIN_BODY).map_err(|_| OpenSealError::Content)
}

fn body_aad(key: &SessionKey, generation: Generation) -> Vec<u8> {
    [BODY_PURPOSE, key.as_bytes(), &[BODY_VERSION], &generation.get().to_be_bytes()].concat()
}

fn seal(aead: &AeadKey, version: u8, nonce: [u8; NONCE_LEN], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut sealed = vec![version];
    sealed.extend_from_slice(&nonce);
    aead.seal_into(&mut sealed, nonce, aad, plain);
    sealed
}

fn open(
    aead: &AeadKey,
    version: u8,
    aad: &[u8],
    sealed: &[u8],
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, OpenSealError> {
    if sealed.len() > limit {
        return Err(OpenSealError::Malformed);
    }
    let mut rest = sealed;
    let [found] = take(&mut rest).ok_or(OpenSealError::Malformed)?;
    if found != version {
        return Err(OpenSealError::Version);
    }
    let nonce = take(&mut rest).ok_or(OpenSealError::Malformed)?;
    aead.open(nonce, aad, rest).ok_or(OpenSealError::NotAuthentic)
}

fn deflate(plain: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(plain.len() / 2), Compression::fast());
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    Zeroizing::new(written.expect("writing into memory does not fail"))
}

/// Unpacks at most [`MAX_PLAIN_BODY`] bytes; more, or a broken stream, is nothing.
fn inflate(packed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(packed.len().saturating_mul(2).min(MAX_PLAIN_BODY)));
    let mut bounded = DeflateDecoder::new(packed).take(MAX_PLAIN_BODY as u64 + 1);
    bounded.read_to_end(&mut plain).ok()?;
    (plain.len() <= MAX_PLAIN_BODY).then_some(plain)
}

fn cut_label(label: &SessionLabel) -> SessionLabel {
    SessionLabel {
        user: cut(&label.user, MAX_LABEL_TEXT),
        email: cut(&label.email, MAX_LABEL_TEXT),
        preferred_username: cut(&label.preferred_username, MAX_LABEL_TEXT),
        client_address: cut(&label.client_address, MAX_ADDRESS),
        user_agent: cut(&label.user_agent, MAX_USER_AGENT),
    }
}

fn cut(text: &str, limit: usize) -> String {
    text[..text.floor_char_boundary(limit)].to_owned()
}
