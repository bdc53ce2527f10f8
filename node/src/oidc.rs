//! Logging in at an OpenID provider: what the rest of the process asks of one. Behind the trait,
//! `oidc` is the only code that names openidconnect.

mod bearer;
mod call;
pub(crate) mod claims;
mod client;
mod discovery;
mod error;
mod exchange;
mod jwks;
mod kept;
mod metadata;
mod providers;
mod spki;
#[cfg(test)]
pub(crate) mod tests;
mod userinfo;
mod verify;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use conclave_proto::login::LoginAttempt;
use conclave_proto::session::Identity;
use conclave_proto::time::Timestamp;

pub use bearer::{BearerError, KEYS_PATIENCE, TokenClaims, TokenIssuer};
pub use call::{CallError, CallObserver, NoObserver, ProviderCall};
pub use claims::InvalidClaims;
pub use client::{HttpClientError, http_client};
pub use discovery::{DiscoveryError, refresh_delay};
pub use error::{ExchangeError, InvalidIss, ProviderError};
pub use exchange::TokenError;
pub use jwks::InvalidKeys;
pub use metadata::InvalidMetadata;
pub use providers::{BuildError, build, extra_issuer};
pub use userinfo::UserinfoError;
pub use verify::InvalidIdToken;

/// Whoever vouches for people.
///
/// Contract: nothing here blocks on the provider but the async methods, each of which ends within
/// its deadline or its own timeouts; errors and `Debug` carry no code, token, state or secret.
#[async_trait]
pub trait Provider: TokenIssuer {
    /// Whether its endpoints and keys are known, if only from an earlier run.
    fn ready(&self) -> bool;

    /// Makes [`Provider::ready`] true if it is not, by one attempt at discovery that all callers
    /// share. Says whether it is.
    async fn prepare(&self, patience: Duration) -> bool;

    /// Where to send the browser. `asked` are the names and values of the start's query, of which
    /// the configuration may let some through.
    fn authorize_url(
        &self,
        attempt: &LoginAttempt,
        redirect_uri: &str,
        asked: &[(String, String)],
    ) -> Result<String, ProviderError>;

    /// Holds the `iss` parameter of a callback against the issuer (RFC 9207). Comes before anything
    /// is redeemed, and for error answers too.
    fn check_iss(&self, iss: Option<&str>) -> Result<(), InvalidIss>;

    /// URLs at whose origins the provider itself is, besides its issuer: as far as they are known.
    fn own_urls(&self) -> Vec<String>;

    /// Redeems a code, once, and checks everything that comes back.
    async fn exchange(
        &self,
        code: &str,
        attempt: &LoginAttempt,
        redirect_uri: &str,
        deadline: Duration,
    ) -> Result<SessionClaims, ExchangeError>;
}

/// What a provider said about a person, all of it verified.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionClaims {
    /// Who it is, by the configured claim rules.
    pub identity: Identity,
    /// `sub` of the ID token: 1 to 255 bytes.
    pub subject: String,
    /// The provider's own session, where it names one (`sid`).
    pub sid: Option<String>,
    /// `iss` of the ID token.
    pub issuer: String,
    /// The ID token as received.
    pub id_token: String,
    /// The access token, if one came.
    pub access_token: Option<String>,
    /// The refresh token, if one came.
    pub refresh_token: Option<String>,
    /// When the access token ends, by the provider's word and this replica's clock.
    pub token_expires_at: Option<Timestamp>,
    /// Further claims that the configuration asks for, by name.
    pub additional: Vec<(String, String)>,
}

impl fmt::Debug for SessionClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionClaims(***)")
    }
}
