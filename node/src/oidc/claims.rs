//! From claims to an identity, by oauth2-proxy's rules: the ID token first, userinfo for what it
//! lacks; dotted paths; everything becomes text.

#[cfg(test)]
mod tests;

use conclave_proto::session::Identity;
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::config::ProviderConfig;

/// The claim whose verification `email_verified` speaks of.
const EMAIL: &str = "email";
const EMAIL_VERIFIED: &str = "email_verified";
const PREFERRED_USERNAME: &str = "preferred_username";

/// Why claims do not make an identity.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidClaims {
    /// Everyone needs an address.
    #[error(
        "neither the ID token nor userinfo has the claim {claim:?}: add the scope that brings it, or name another \
         claim with oidc_email_claim"
    )]
    NoEmail {
        /// The configured claim.
        claim: String,
    },
    /// The provider does not vouch for the address.
    #[error(
        "the provider says that the e-mail address is not verified: verify it there, or set \
         insecure_oidc_allow_unverified_email"
    )]
    EmailNotVerified,
    /// A claim of another type than the standard one.
    #[error("email, email_verified, preferred_username or groups has another type than it must have")]
    Types,
}

/// The sources of claims, in order.
pub(super) struct Sources<'a> {
    pub(super) id_token: &'a Map<String, Value>,
    pub(super) userinfo: Option<&'a Map<String, Value>>,
}

impl Sources<'_> {
    /// A claim by its name or dotted path; null is as good as absent.
    fn find(&self, claim: &str) -> Option<&Value> {
        lookup(self.id_token, claim).or_else(|| lookup(self.userinfo?, claim))
    }
}

/// Whether userinfo could add something that the configuration wants.
pub(super) fn wants_userinfo(id_token: &Map<String, Value>, config: &ProviderConfig) -> bool {
    let rules = &config.claims;
    let mut wanted = vec![rules.email.as_str(), rules.groups.as_str(), PREFERRED_USERNAME];
    if checks_verified(config) {
        wanted.push(EMAIL_VERIFIED);
    }
    wanted.extend(rules.additional.iter().map(String::as_str));
    wanted.into_iter().any(|claim| lookup(id_token, claim).is_none())
}

/// The identity that the claims make.
pub(super) fn identity(
    subject: &str,
    sources: &Sources<'_>,
    config: &ProviderConfig,
) -> Result<Identity, InvalidClaims> {
    let email = sources.find(&config.claims.email).map(as_text).unwrap_or_default();
    if email.is_empty() {
        return Err(InvalidClaims::NoEmail { claim: config.claims.email.clone() });
    }
    with_email(email, subject, sources, config)
}

/// The identity that a token's claims make, by the same rules; one that names no address, as those of
/// machines do, has its subject in the address's place.
pub(super) fn bearer_identity(
    subject: &str,
    claims: &Map<String, Value>,
    config: &ProviderConfig,
) -> Result<Identity, InvalidClaims> {
    let sources = Sources { id_token: claims, userinfo: None };
    let email = sources.find(&config.claims.email).map(as_text).filter(|email| !email.is_empty());
    with_email(email.unwrap_or_else(|| subject.to_owned()), subject, &sources, config)
}

/// The identity that the claims of another issuer make: there the claims are the standard ones, and
/// each has the type it must have.
pub(super) fn standard_identity(subject: &str, claims: &Map<String, Value>) -> Result<Identity, InvalidClaims> {
    let standard: Standard = serde_json::from_value(Value::Object(claims.clone())).map_err(|_| InvalidClaims::Types)?;
    if standard.email_verified == Some(false) {
        return Err(InvalidClaims::EmailNotVerified);
    }
    Ok(Identity {
        user: subject.to_owned(),
        email: standard.email.filter(|email| !email.is_empty()).unwrap_or_else(|| subject.to_owned()),
        groups_claimed: standard.groups.is_some(),
        groups: standard.groups.unwrap_or_default(),
        preferred_username: standard.preferred_username.unwrap_or_default(),
    })
}

/// The claims of a token of another issuer.
#[derive(Deserialize)]
struct Standard {
    email: Option<String>,
    email_verified: Option<bool>,
    preferred_username: Option<String>,
    groups: Option<Vec<String>>,
}

fn with_email(
    email: String,
    subject: &str,
    sources: &Sources<'_>,
    config: &ProviderConfig,
) -> Result<Identity, InvalidClaims> {
    if checks_verified(config) && !sources.find(EMAIL_VERIFIED).is_none_or(says_yes) {
        return Err(InvalidClaims::EmailNotVerified);
    }
    let groups = sources.find(&config.claims.groups);
    Ok(Identity {
        user: subject.to_owned(),
        email,
        groups: groups.map(as_list).unwrap_or_default(),
        preferred_username: sources.find(PREFERRED_USERNAME).map(as_text).unwrap_or_default(),
        groups_claimed: groups.is_some(),
    })
}

/// The further claims that were asked for, those that are there, as JSON.
pub(super) fn additional(sources: &Sources<'_>, names: &[String]) -> Vec<(String, String)> {
    names.iter().filter_map(|name| Some((name.clone(), sources.find(name)?.to_string()))).collect()
}

/// `email_verified` says something about `email` only.
fn checks_verified(config: &ProviderConfig) -> bool {
    config.claims.email == EMAIL && !config.verification.allow_unverified_email
}

/// Some providers send booleans as text. What is neither is not a yes.
fn says_yes(value: &Value) -> bool {
    match value {
        Value::Bool(verified) => *verified,
        Value::String(text) => text.eq_ignore_ascii_case("true") || text == "1",
        Value::Number(number) => number.as_u64() == Some(1),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// The claim of exactly that name, else by dotted path through objects.
fn lookup<'a>(claims: &'a Map<String, Value>, claim: &str) -> Option<&'a Value> {
    let found = claims.get(claim).or_else(|| {
        let (first, rest) = claim.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
    });
    found.filter(|value| !value.is_null())
}

/// Scalars as they read, everything else as JSON.
fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The values that a claim has in a header: a single value is a list of one.
pub(crate) fn as_list(value: &Value) -> Vec<String> {
    value.as_array().map_or_else(
        || vec![as_text(value)],
        |values| values.iter().filter(|value| !value.is_null()).map(as_text).collect(),
    )
}
