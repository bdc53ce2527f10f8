//! What is kept of a login: the clear index row, the two sealed envelopes and what they hold.

use serde::{Deserialize, Serialize};

use crate::htpasswd::LineDigest;
use crate::id::{AttemptId, Epoch, Generation, LogIndex, MAX_NAME_LEN, ProviderId, SidKey, SiteId, SubjectKey};
use crate::time::{Timestamp, Ttl};
use crate::wire::{MAX_ROW, Versioned};

/// Who a provider says a person is, after the claim rules were applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `sub` for OpenID Connect.
    pub user: String,
    /// The e-mail claim; empty if the provider sent none.
    pub email: String,
    /// The groups claim, in the provider's order.
    pub groups: Vec<String>,
    /// `preferred_username`; empty if absent.
    pub preferred_username: String,
    /// Whether the provider sent a groups claim at all: tells "in no group" from "not asked for".
    pub groups_claimed: bool,
}

/// The sealed body: only a request that brings the ticket can open it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionBody {
    /// Who this is.
    pub identity: Identity,
    /// The provider's issuer: a session of an issuer that is no longer configured is refused.
    pub issuer: String,
    /// The ID token as received; empty where none was.
    pub id_token: String,
    /// The access token; empty unless the configuration uses it.
    pub access_token: String,
    /// The refresh token; empty unless the configuration uses it.
    pub refresh_token: String,
    /// When the access token ends by the provider's word.
    pub token_expires_at: Option<Timestamp>,
    /// Further claims that the configuration asks to hand on: name, and value as JSON.
    pub additional_claims: Vec<(String, String)>,
    /// Of a local user, the line that let the user in: the session counts while that line stands.
    pub local_line: Option<LineDigest>,
}

impl std::fmt::Debug for SessionBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionBody(***)")
    }
}

/// The sealed label: who, since when, from where, which browser. Serves lists of sessions and the
/// audit; sealed under the cluster key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLabel {
    /// `sub`.
    pub user: String,
    /// E-mail; may be empty.
    pub email: String,
    /// Preferred user name; may be empty.
    pub preferred_username: String,
    /// Address of the browser that logged in, as the trusted gateway gave it.
    pub client_address: String,
    /// The browser's User-Agent, at most 256 bytes.
    pub user_agent: String,
}

impl std::fmt::Debug for SessionLabel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionLabel(***)")
    }
}

/// The clear row of one session, at most [`MAX_INDEX_ROW`] bytes encoded; every replica holds all
/// of them in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRow {
    /// Which provider vouched.
    pub provider: ProviderId,
    /// For which site.
    pub site: SiteId,
    /// The leader's stamp at creation.
    pub created_at: Timestamp,
    /// The session is dead from this instant on.
    pub expires_at: Timestamp,
    /// Version of the body.
    pub generation: Generation,
    /// Finds all sessions of one person.
    pub subject: SubjectKey,
    /// Finds the session of a provider's session, where the provider names one.
    pub sid: Option<SidKey>,
    /// The login attempt that made it.
    pub attempt: AttemptId,
    /// The log entry that made it.
    pub created_index: LogIndex,
    /// The epoch that made it: the session is dead in every other one, though its rows may stand
    /// until they are swept.
    pub epoch: Epoch,
}

/// Longest encoded [`IndexRow`] in bytes: every replica holds all of them in memory.
pub const MAX_INDEX_ROW: usize = 300;

/// The longest row that can be encoded: version, two names with their lengths, three times and
/// numbers of 8 bytes, two of 4, and the keys.
const LONGEST_INDEX_ROW: usize =
    1 + 2 * (8 + MAX_NAME_LEN) + 3 * 8 + 2 * 4 + SubjectKey::LEN + (1 + SidKey::LEN) + AttemptId::LEN;
const _: () = assert!(LONGEST_INDEX_ROW <= MAX_INDEX_ROW);

impl IndexRow {
    /// Whether the session still lives at the cluster's time `now`. Epoch and not-before index are
    /// the caller's to hold against it.
    pub fn lives(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

impl Versioned for IndexRow {
    const VERSION: u8 = 1;
    const LIMIT: usize = MAX_INDEX_ROW;
}

/// The sealed row of one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyRow {
    /// Sealed [`SessionLabel`].
    #[serde(with = "serde_bytes")]
    pub label: Vec<u8>,
    /// Sealed [`SessionBody`].
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

impl Versioned for BodyRow {
    const VERSION: u8 = 1;
    const LIMIT: usize = MAX_ROW;
}

/// Largest sealed body in bytes. With its label and the row's frame it stays under the store's
/// 128 KiB row and the log's 120 KiB entry.
pub const MAX_SEALED_BODY: usize = 112 * 1024;

/// Largest sealed label in bytes.
pub const MAX_SEALED_LABEL: usize = 2 * 1024;

const _: () = assert!(1 + 2 * 8 + MAX_SEALED_LABEL + MAX_SEALED_BODY <= MAX_ROW);

/// The longest lifetime of a session when `cookie_expire` is 0 (no `Max-Age`): a store that keeps
/// sessions for ever would grow for ever.
pub const LONGEST_LIFETIME: Ttl = Ttl::from_secs(400 * 24 * 3600);

#[cfg(test)]
mod tests;
