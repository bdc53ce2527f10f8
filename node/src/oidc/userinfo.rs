//! Asks the userinfo endpoint for claims that the ID token lacks.

use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use serde_json::{Map, Value};
use thiserror::Error;

use super::call::{CallError, Caller, ProviderCall};
use super::discovery::Snapshot;
use super::verify::{InvalidIdToken, signed};

/// Why userinfo gave no claims.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UserinfoError {
    /// No answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// An answer that is no success.
    #[error("answered {0}: set skip_claims_from_profile_url if the ID token has every claim that is needed")]
    Status(StatusCode),
    /// Not a JSON object.
    #[error("the answer is no JSON object")]
    Malformed,
    /// A signed answer whose signature does not hold.
    #[error("the signed answer {0}")]
    Signature(InvalidIdToken),
    /// Claims of somebody else (OpenID Connect Core 5.3.2).
    #[error("the answer is about another person than the ID token (sub)")]
    Subject,
}

impl UserinfoError {
    /// Whether trying again later may help.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::Call(_) => true,
            Self::Status(status) => status.is_server_error(),
            Self::Malformed | Self::Signature(_) | Self::Subject => false,
        }
    }
}

/// The claims about `subject`, the one of the ID token.
pub(super) async fn fetch(
    caller: &Caller,
    snapshot: &Snapshot,
    url: &str,
    access_token: &str,
    subject: &str,
) -> Result<Map<String, Value>, UserinfoError> {
    let request = caller.http().get(url).bearer_auth(access_token).header(ACCEPT, "application/json, application/jwt");
    let reply = caller.send(ProviderCall::Userinfo, request, url).await?;
    if reply.status != StatusCode::OK {
        return Err(UserinfoError::Status(reply.status));
    }
    let claims: Map<String, Value> = if reply.content_type.starts_with("application/jwt") {
        let token = std::str::from_utf8(&reply.body).map_err(|_| UserinfoError::Malformed)?;
        let (_, claims) =
            signed(token.trim(), &snapshot.keys, &snapshot.metadata.algs).map_err(UserinfoError::Signature)?;
        claims
    } else {
        serde_json::from_slice(&reply.body).map_err(|_| UserinfoError::Malformed)?
    };
    if claims.get("sub").and_then(Value::as_str) != Some(subject) {
        return Err(UserinfoError::Subject);
    }
    Ok(claims)
}
