//! The token request (RFC 6749 4.1.3, RFC 7636 4.5): a code becomes tokens.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use conclave_proto::time::{Timestamp, Ttl};
use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use url::form_urlencoded::byte_serialize;

use super::call::{CallError, Caller, ProviderCall, Reply};
use super::error::shown;
use super::metadata::{Metadata, TokenAuth};
use crate::config::{Secret, SecretUnreadable};

/// Why a code brought no tokens.
#[derive(Debug, Error)]
pub enum TokenError {
    /// No answer. Whether the code was used is not known.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The client secret's file.
    #[error(transparent)]
    Secret(#[from] SecretUnreadable),
    /// Nothing says where.
    #[error("no token endpoint is known: give redeem_url beside skip_oidc_discovery")]
    NoEndpoint,
    /// The provider does not know this client.
    #[error("the provider refuses this client ({status}): check client_id and client_secret{}", words(.description))]
    Client {
        /// What it answered.
        status: StatusCode,
        /// Its words.
        description: String,
    },
    /// The code is used up, too old, or was issued for something else.
    #[error("the provider does not take the code (invalid_grant): it was used before, is too old, or redirect_url \
             differs{}", words(.description))]
    Grant {
        /// Its words.
        description: String,
    },
    /// Any other refusal.
    #[error("the provider answered {status} {code:?}{}", words(.description))]
    Refused {
        /// What it answered.
        status: StatusCode,
        /// Its `error`, empty if it sent none.
        code: String,
        /// Its words.
        description: String,
    },
    /// A redirect, which would take the code elsewhere.
    #[error("the token endpoint answered with a redirect ({0}), which is not followed: check redeem_url")]
    Redirect(StatusCode),
    /// A success without the members of a token response.
    #[error("token endpoint returned an invalid response")]
    Malformed,
    /// A success without an ID token.
    #[error("the answer has no ID token: is `openid` among the scopes?")]
    NoIdToken,
}

impl TokenError {
    /// Whether trying again later may help.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::Call(_) | Self::Secret(_) => true,
            Self::Refused { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::NoEndpoint
            | Self::Client { .. }
            | Self::Grant { .. }
            | Self::Redirect(_)
            | Self::Malformed
            | Self::NoIdToken => false,
        }
    }
}

/// What the code is redeemed with.
pub(super) struct TokenRequest<'a> {
    pub(super) code: &'a str,
    pub(super) redirect_uri: &'a str,
    /// The PKCE verifier, where a challenge was sent.
    pub(super) verifier: Option<&'a str>,
    pub(super) client_id: &'a str,
    pub(super) client_secret: Option<Secret<String>>,
}

/// What came for it, not verified yet.
pub(super) struct Tokens {
    pub(super) id_token: String,
    pub(super) access_token: Option<String>,
    pub(super) refresh_token: Option<String>,
    pub(super) expires_at: Option<Timestamp>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(***)")
    }
}

/// Remembers, for a provider that does not say, that it wants the secret in the body: so a code is
/// sent twice at most once in a process's life.
#[derive(Default)]
pub(super) struct LearntAuth(AtomicBool);

/// Redeems a code. It is sent a second time only where the provider does not say how clients prove
/// themselves and refused the client, which uses up no code.
pub(super) async fn redeem(
    caller: &Caller,
    metadata: &Metadata,
    learnt: &LearntAuth,
    request: &TokenRequest<'_>,
    now: Timestamp,
) -> Result<Tokens, TokenError> {
    let in_body = match metadata.token_auth {
        TokenAuth::Basic => false,
        TokenAuth::Body => true,
        TokenAuth::Unstated => learnt.0.load(Ordering::Relaxed),
    };
    let endpoint = metadata.token.as_ref().ok_or(TokenError::NoEndpoint)?.as_str();
    let first = send(caller, endpoint, request, in_body, now).await;
    let unsure = metadata.token_auth == TokenAuth::Unstated && request.client_secret.is_some();
    if !unsure || !matches!(first, Err(TokenError::Client { .. })) {
        return first;
    }
    let second = send(caller, endpoint, request, !in_body, now).await;
    if second.is_ok() {
        learnt.0.store(!in_body, Ordering::Relaxed);
    }
    second
}

async fn send(
    caller: &Caller,
    url: &str,
    request: &TokenRequest<'_>,
    in_body: bool,
    now: Timestamp,
) -> Result<Tokens, TokenError> {
    let mut form =
        vec![("grant_type", "authorization_code"), ("code", request.code), ("redirect_uri", request.redirect_uri)];
    form.extend(request.verifier.map(|verifier| ("code_verifier", verifier)));
    let mut post = caller.http().post(url).header(ACCEPT, "application/json");
    match &request.client_secret {
        Some(secret) if in_body => {
            form.extend([("client_id", request.client_id), ("client_secret", secret.expose().as_str())]);
        }
        // RFC 6749 2.3.1: both are form-encoded before they become user name and password.
        Some(secret) => post = post.basic_auth(encoded(request.client_id), Some(encoded(secret.expose()))),
        None => form.push(("client_id", request.client_id)),
    }
    let reply = caller.send(ProviderCall::Token, post.form(&form), url).await?;
    if reply.status == StatusCode::OK { tokens(&reply, now) } else { Err(refusal(&reply, request.code)) }
}

#[derive(Deserialize)]
struct Answer {
    id_token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<Value>,
}

fn tokens(reply: &Reply, now: Timestamp) -> Result<Tokens, TokenError> {
    let answer: Answer = serde_json::from_slice(&reply.body).map_err(|_| TokenError::Malformed)?;
    let given = |token: Option<String>| token.filter(|token| !token.is_empty());
    Ok(Tokens {
        id_token: given(answer.id_token).ok_or(TokenError::NoIdToken)?,
        access_token: given(answer.access_token),
        refresh_token: given(answer.refresh_token),
        expires_at: answer.expires_in.as_ref().and_then(seconds).map(|seconds| now.saturating_add(seconds)),
    })
}

/// Some providers send the number as text. What is neither is as good as absent: nothing is
/// verified by it.
fn seconds(value: &Value) -> Option<Ttl> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).map(Ttl::from_secs)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: String,
    error_description: String,
}

fn refusal(reply: &Reply, code: &str) -> TokenError {
    let status = reply.status;
    if status.is_redirection() {
        return TokenError::Redirect(status);
    }
    let said: Refusal = serde_json::from_slice(&reply.body).unwrap_or_default();
    let description = shown(&said.error_description.replace(code, "***"));
    match said.error.as_str() {
        "invalid_grant" => TokenError::Grant { description },
        "invalid_client" | "unauthorized_client" => TokenError::Client { status, description },
        "" if status == StatusCode::UNAUTHORIZED => TokenError::Client { status, description },
        other => TokenError::Refused { status, code: shown(&other.replace(code, "***")), description },
    }
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

fn words(description: &str) -> String {
    if description.is_empty() { String::new() } else { format!(" (it says: {description})") }
}
