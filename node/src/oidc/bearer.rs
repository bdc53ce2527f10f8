//! Tokens that callers bring along by themselves: who signed them, and whom they name.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conclave_proto::id::ProviderId;
use conclave_proto::session::Identity;
use conclave_proto::time::Clock;
use thiserror::Error;

use super::claims::{self, InvalidClaims};
use super::discovery::{Discovery, DiscoveryError};
use super::verify::{self, Expectations, InvalidIdToken, Purpose, VerifiedClaims};
use crate::config::ProviderConfig;

/// How long a caller waits for keys that this replica lacks: a gateway waits with it.
pub const KEYS_PATIENCE: Duration = Duration::from_secs(3);

/// Why a token names nobody.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BearerError {
    /// None of the issuers that are asked says that it is its own.
    #[error("the token is from no configured issuer (oidc_issuer_url, extra_jwt_issuers)")]
    Issuer,
    /// The issuer's keys were never had.
    #[error("the keys of the token's issuer are not known yet")]
    NotReady,
    /// The token itself.
    #[error("the token {0}")]
    Token(#[from] InvalidIdToken),
    /// What it says of a person.
    #[error("the token's claims: {0}")]
    Claims(#[from] InvalidClaims),
}

impl BearerError {
    /// Whether fetching the issuer's keys might change it.
    pub fn may_need_newer_keys(&self) -> bool {
        match self {
            Self::NotReady => true,
            Self::Token(invalid) => invalid.may_need_newer_keys(),
            Self::Issuer | Self::Claims(_) => false,
        }
    }
}

/// What a token says that a caller brought along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenClaims {
    /// Whom it names.
    pub identity: Identity,
    /// Further claims that the configuration asks for: name, and value as JSON.
    pub additional: Vec<(String, String)>,
}

/// Whoever signs tokens that are taken as they are. Debug and errors carry no token.
#[async_trait]
pub trait TokenIssuer: Send + Sync {
    /// Its name; of an extra issuer, made from its URL.
    fn id(&self) -> &ProviderId;

    /// Whom a token names, by the keys known here. No IO.
    fn bearer(&self, token: &str) -> Result<TokenClaims, BearerError>;

    /// [`TokenIssuer::bearer`] after one attempt at newer keys, which all callers share and which is
    /// not made again for a while, whatever they bring.
    async fn bearer_anew(&self, token: &str) -> Result<TokenClaims, BearerError>;

    /// Fetches endpoints and keys anew. What was known stays in use if that fails. To be called
    /// again after [`super::refresh_delay`].
    async fn refresh_metadata(&self) -> Result<(), Arc<DiscoveryError>>;
}

/// The claims of a token of this issuer, by the keys known here.
pub(super) fn verified(
    token: &str,
    config: &ProviderConfig,
    discovery: &Discovery,
    clock: &dyn Clock,
) -> Result<VerifiedClaims, BearerError> {
    let rules = &config.verification;
    // Before the keys: a token of somebody else must not cause a fetch here.
    if !rules.skip_issuer && verify::unverified_issuer(token)? != config.issuer_url {
        return Err(BearerError::Issuer);
    }
    let snapshot = discovery.current().ok_or(BearerError::NotReady)?;
    let expected = Expectations {
        issuer: (!rules.skip_issuer).then_some(snapshot.metadata.issuer.as_str()),
        client_id: &config.client_id,
        extra_audiences: &rules.extra_audiences,
        audience_claims: &config.claims.audience,
        algs: &snapshot.metadata.algs,
        purpose: Purpose::Bearer,
        now: clock.now(),
    };
    Ok(verify::verify(token, &snapshot.keys, &expected)?)
}

/// An issuer of `extra_jwt_issuers`: its tokens count, but nobody logs in there.
pub(super) struct ExtraIssuer {
    config: Arc<ProviderConfig>,
    discovery: Discovery,
    clock: Arc<dyn Clock>,
}

impl ExtraIssuer {
    pub(super) fn new(config: Arc<ProviderConfig>, discovery: Discovery, clock: Arc<dyn Clock>) -> Self {
        Self { config, discovery, clock }
    }
}

#[async_trait]
impl TokenIssuer for ExtraIssuer {
    fn id(&self) -> &ProviderId {
        &self.config.id
    }

    fn bearer(&self, token: &str) -> Result<TokenClaims, BearerError> {
        let claims = verified(token, &self.config, &self.discovery, &*self.clock)?;
        let identity = claims::standard_identity(&claims.subject, &claims.all)?;
        Ok(TokenClaims { identity, additional: Vec::new() })
    }

    async fn bearer_anew(&self, token: &str) -> Result<TokenClaims, BearerError> {
        self.discovery.seek_keys().await;
        self.bearer(token)
    }

    async fn refresh_metadata(&self) -> Result<(), Arc<DiscoveryError>> {
        self.discovery.refresh().await
    }
}
