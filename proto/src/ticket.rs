//! The session cookie's value: a ticket that names a session and opens its body. It never changes
//! while the session lives.
//!
//! Layout, big-endian, then base64url without padding (140 characters):
//! version 1, key id 4, epoch 4, issued at (ms) 8, session id 16, secret 32, commit index 8,
//! HMAC-SHA256 32. The MAC covers the purpose, the cookie's name and every byte before it.

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::cookie::{MAX_COOKIES_TRIED, cookies_named};
use crate::crypto::take;
use crate::id::{Epoch, KeyId, LogIndex, SessionId, SessionKey};
use crate::keyring::{Keyring, TicketKey, sha256};
use crate::oauth2_proxy::has_signed_form;
use crate::time::Timestamp;

const VERSION: u8 = 1;
const PURPOSE: &[u8] = b"ticket/1";
const SECRET_LEN: usize = 32;
const MAC_LEN: usize = 32;
const SIGNED_LEN: usize = 1 + KeyId::LEN + 4 + 8 + SessionId::LEN + SECRET_LEN + 8;
const RAW_LEN: usize = SIGNED_LEN + MAC_LEN;

/// Length of a cookie value in characters.
pub const TICKET_LEN: usize = RAW_LEN / 3 * 4;

// A multiple of three bytes has exactly one base64 form, so a ticket has one spelling only.
const _: () = assert!(RAW_LEN.is_multiple_of(3) && TICKET_LEN <= 256);

/// Random bytes that [`Ticket::mint`] takes: id and secret.
pub const TICKET_ENTROPY: usize = SessionId::LEN + SECRET_LEN;

/// Why a cookie value is no ticket of this cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidTicket {
    /// Another shape altogether: to be treated as no cookie.
    #[error("is not one of our tickets")]
    NotOurs,
    /// As oauth2-proxy signs its cookies; told apart for the log only, and no cookie either.
    #[error("is a cookie of oauth2-proxy")]
    Oauth2Proxy,
    /// A ticket of another version of this program.
    #[error("is a ticket of another version")]
    Version,
    /// Made under a key that is not in the ring.
    #[error("was made under a key that is not in the ring")]
    UnknownKey,
    /// Forged, damaged, or made for another cookie name or cluster.
    #[error("does not carry a valid signature")]
    BadMac,
}

/// The secret half of a ticket: with the cluster key it opens the session's body. Wiped on drop,
/// never printed, compared in constant time.
#[derive(Clone)]
pub struct TicketSecret(Zeroizing<[u8; SECRET_LEN]>);

impl TicketSecret {
    pub(crate) fn as_bytes(&self) -> &[u8; SECRET_LEN] {
        &self.0
    }
}

impl PartialEq for TicketSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(other.0.as_ref()).into()
    }
}

impl Eq for TicketSecret {}

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSecret(***)")
    }
}

/// What a browser holds of its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The epoch it was minted in; void in any other.
    pub epoch: Epoch,
    /// When it was minted, by the minting replica's clock.
    pub issued_at: Timestamp,
    /// Names the session.
    pub id: SessionId,
    /// Opens its body.
    pub secret: TicketSecret,
    /// The log entry that created the session: a replica behind it cannot say that there is none.
    pub index: LogIndex,
}

impl Ticket {
    /// A new ticket from unpredictable bytes. Its index is 0 until the session is committed.
    pub fn mint(entropy: [u8; TICKET_ENTROPY], epoch: Epoch, issued_at: Timestamp) -> Self {
        let entropy = Zeroizing::new(entropy);
        let mut id = [0; SessionId::LEN];
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        id.copy_from_slice(&entropy[..SessionId::LEN]);
        secret.copy_from_slice(&entropy[SessionId::LEN..]);
        Self { epoch, issued_at, id: SessionId::from_bytes(id), secret: TicketSecret(secret), index: LogIndex::new(0) }
    }

    /// The same ticket with the index of the entry that created its session.
    #[must_use]
    pub fn with_index(self, index: LogIndex) -> Self {
        Self { index, ..self }
    }

    /// The name the session is stored under: SHA-256 of the id.
    pub fn key(&self) -> SessionKey {
        SessionKey::from_bytes(sha256(self.id.as_bytes()))
    }

    /// The cookie's value, authenticated under the ring's active key.
    pub fn encode(&self, ring: &Keyring, cookie_name: &str) -> String {
        let mut raw = Zeroizing::new(Vec::with_capacity(RAW_LEN));
        raw.push(VERSION);
        raw.extend_from_slice(ring.active().as_bytes());
        raw.extend_from_slice(&self.epoch.get().to_be_bytes());
        raw.extend_from_slice(&self.issued_at.as_millis().to_be_bytes());
        raw.extend_from_slice(self.id.as_bytes());
        raw.extend_from_slice(self.secret.as_bytes());
        raw.extend_from_slice(&self.index.get().to_be_bytes());
        let tag = mac(ring.active_ticket_key(), cookie_name, &raw);
        raw.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(&*raw)
    }

    /// Authenticates and reads a cookie's value. Allocates nothing.
    pub fn decode(value: &str, ring: &Keyring, cookie_name: &str) -> Result<Self, InvalidTicket> {
        if value.len() != TICKET_LEN {
            return Err(not_ours(value));
        }
        let mut raw = Zeroizing::new([0_u8; RAW_LEN]);
        match URL_SAFE_NO_PAD.decode_slice(value, raw.as_mut()) {
            Ok(RAW_LEN) => {}
            Ok(_) | Err(_) => return Err(not_ours(value)),
        }
        if raw[0] != VERSION {
            return Err(InvalidTicket::Version);
        }
        let (signed, tag) = raw.split_at(SIGNED_LEN);
        let mut rest = &signed[1..];
        let id = take(&mut rest).map(KeyId::from_bytes).ok_or(InvalidTicket::NotOurs)?;
        let key = ring.ticket_key(id).ok_or(InvalidTicket::UnknownKey)?;
        let expected = mac(key, cookie_name, signed);
        if !bool::from(expected.as_ref().ct_eq(tag)) {
            return Err(InvalidTicket::BadMac);
        }
        Self::read(rest).ok_or(InvalidTicket::NotOurs)
    }

    /// The authenticated fields after the key id.
    fn read(mut rest: &[u8]) -> Option<Self> {
        let rest = &mut rest;
        Some(Self {
            epoch: Epoch::new(u32::from_be_bytes(take(rest)?)),
            issued_at: Timestamp::from_millis(u64::from_be_bytes(take(rest)?)),
            id: SessionId::from_bytes(take(rest)?),
            secret: TicketSecret(Zeroizing::new(take(rest)?)),
            index: LogIndex::new(u64::from_be_bytes(take(rest)?)),
        })
    }
}

/// Whether a cookie's value may be a ticket by its looks. Only such a value is worth a MAC.
pub fn has_ticket_shape(value: &str) -> bool {
    value.len() == TICKET_LEN && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The values of one cookie name that are looked at: at most [`MAX_COOKIES_TRIED`] of a ticket's shape, wherever they
/// stand in the header, so that no other values push one out; and as many others, for the log to say whose they are.
pub fn values_tried<'h>(header: &'h str, name: &str) -> impl Iterator<Item = &'h str> {
    let (mut tickets, mut others) = (0, 0);
    cookies_named(header, name, usize::MAX).filter(move |value| {
        let seen = if has_ticket_shape(value) { &mut tickets } else { &mut others };
        *seen += 1;
        *seen <= MAX_COOKIES_TRIED
    })
}

/// Whose a value of another shape is, as far as that shows.
fn not_ours(value: &str) -> InvalidTicket {
    if has_signed_form(value) { InvalidTicket::Oauth2Proxy } else { InvalidTicket::NotOurs }
}

/// The MAC of one ticket. The name's length stands before it, so that no name and bytes can pose as
/// another name and other bytes.
fn mac(key: &TicketKey, cookie_name: &str, signed: &[u8]) -> hmac::Tag {
    let mut mac = key.mac();
    mac.update(PURPOSE);
    mac.update(&(cookie_name.len() as u16).to_be_bytes());
    mac.update(cookie_name.as_bytes());
    mac.update(signed);
    mac.sign()
}
