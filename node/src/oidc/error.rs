//! What can go wrong between a browser's login and a verified identity. Each message is one log
//! line that tells an operator the cause, and what to do where that is known.

use std::sync::Arc;

use thiserror::Error;

use super::claims::InvalidClaims;
use super::discovery::DiscoveryError;
use super::exchange::TokenError;
use super::userinfo::UserinfoError;
use super::verify::InvalidIdToken;

/// Why no login can begin.
#[derive(Clone, Debug, Error)]
pub enum ProviderError {
    /// Discovery has not succeeded since the first start.
    #[error("the provider's endpoints are not known yet{}", cause(.0))]
    NotReady(Option<Arc<DiscoveryError>>),
}

/// Why the `iss` parameter of a callback was refused (RFC 9207): the answer of another provider may
/// have been slipped in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidIss {
    /// The provider always sends one, this answer has none.
    #[error("the callback has no iss parameter, which this provider always sends")]
    Missing,
    /// Another issuer's.
    #[error("the callback's iss parameter is {found:?}, not the configured issuer")]
    Other {
        /// What it says, cut.
        found: String,
    },
}

/// Why a code did not become an identity.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// Nothing is known of the provider.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// All calls together took too long.
    #[error("the provider's answers took too long altogether")]
    Deadline,
    /// The token endpoint.
    #[error("token request: {0}")]
    Token(#[from] TokenError),
    /// The ID token.
    #[error("the ID token {0}")]
    IdToken(#[from] InvalidIdToken),
    /// The userinfo endpoint.
    #[error("userinfo request: {0}")]
    Userinfo(#[from] UserinfoError),
    /// The claims do not make an identity.
    #[error("claims: {0}")]
    Claims(#[from] InvalidClaims),
}

impl ExchangeError {
    /// Whether the provider could not be reached or failed by itself, so that trying again later
    /// may help.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Provider(_) | Self::Deadline => true,
            Self::Token(error) => error.is_outage(),
            Self::Userinfo(error) => error.is_outage(),
            Self::IdToken(_) | Self::Claims(_) => false,
        }
    }

    /// Whether the code may have reached the provider: then it is spent.
    pub fn code_was_sent(&self) -> bool {
        match self {
            Self::Provider(_) | Self::Token(TokenError::Secret(_) | TokenError::NoEndpoint) => false,
            Self::Deadline | Self::Token(_) | Self::IdToken(_) | Self::Userinfo(_) | Self::Claims(_) => true,
        }
    }

    /// Whether what came back was refused by our rules: the login is not to be trusted.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::IdToken(_) | Self::Claims(_) => true,
            Self::Userinfo(error) => matches!(error, UserinfoError::Subject),
            Self::Provider(_) | Self::Deadline | Self::Token(_) => false,
        }
    }
}

fn cause(error: &Option<Arc<DiscoveryError>>) -> String {
    error.as_ref().map_or_else(String::new, |error| format!(": {error}"))
}

/// Foreign text for a log line: printable, at most 200 characters.
pub(super) fn shown(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(MAX_SHOWN).collect()
}

/// Most characters of foreign text in an error.
const MAX_SHOWN: usize = 200;
