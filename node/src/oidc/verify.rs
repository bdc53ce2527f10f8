//! Verifies an ID token (OpenID Connect Core 3.1.3.7). Pure: keys, time and expectations are
//! arguments. Claims stay JSON, because the configuration names the ones it wants; openidconnect's
//! typed claims would refuse a login over an odd optional one.

#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conclave_proto::time::{Timestamp, Ttl};
use serde::Deserialize;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::error::shown;
use super::jwks::{Keys, SigningAlg, SigningKey, Unproven};

/// Longest subject, by OpenID Connect Core 2.
const MAX_SUBJECT: usize = 255;

/// How far ahead of ours the provider's clock may be for `iat` and `nbf`. `exp` has no leeway.
const CLOCK_TOLERANCE: Ttl = Ttl::from_secs(300);

/// Longest JOSE header read: an algorithm, a key id, perhaps a certificate chain that is ignored.
const MAX_HEADER: usize = 16 * 1024;

/// Why an ID token was refused. Reads as the end of "the ID token ...".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidIdToken {
    /// Not a signed JWT in compact form.
    #[error("is no signed JWT")]
    Malformed,
    /// Encrypted.
    #[error("is encrypted, which is not supported: turn ID token encryption off at the provider")]
    Encrypted,
    /// A token made for something else.
    #[error("is of the type {0:?}, not an ID token")]
    Type(String),
    /// A security event token (RFC 8417), such as the logout token of a back channel.
    #[error("is a security event or logout token (events), which names nobody")]
    SecurityEvent,
    /// Header extensions that must be understood.
    #[error("has critical header fields that are not understood")]
    Critical,
    /// An algorithm off the list; `none` and HS256 always are.
    #[error("is signed with {found:?}, but only {accepted} is accepted (oidc_enabled_signing_algs)")]
    Algorithm {
        /// What its header says.
        found: String,
        /// The accepted ones.
        accepted: String,
    },
    /// The provider's keys do not hold the one it names.
    #[error("is signed with the key {0:?}, which the provider does not publish")]
    UnknownKey(String),
    /// The signature does not fit.
    #[error("has a signature that no key of the provider made")]
    Signature,
    /// A claim is missing or has another JSON type than it must have.
    #[error("has no valid {0} claim")]
    Claim(&'static str),
    /// Another issuer.
    #[error("is from the issuer {found:?}, not the configured one")]
    Issuer {
        /// What it says.
        found: String,
    },
    /// Not for this client.
    #[error("is not for this client: {claim} is {found} (client_id, oidc_extra_audiences, oidc_audience_claims)")]
    Audience {
        /// The claim that was looked at.
        claim: String,
        /// Its value.
        found: String,
    },
    /// None of the configured audience claims is there.
    #[error("has none of the claims {0} (oidc_audience_claims)")]
    NoAudience(String),
    /// Another client asked for it.
    #[error("was asked for by the client {0:?} (azp)")]
    AuthorizedParty(String),
    /// Too old.
    #[error("expired {0} s ago: check the clocks of this machine and the provider")]
    Expired(u64),
    /// Not valid yet.
    #[error("is from {0} s in the future: check the clocks of this machine and the provider")]
    Future(u64),
    /// Not an answer to this login.
    #[error("does not carry this login's nonce")]
    Nonce,
    /// Not issued together with the access token.
    #[error("does not belong to the access token it came with (at_hash)")]
    AccessToken,
}

impl InvalidIdToken {
    /// Whether newer keys of the provider might make it valid.
    pub(super) fn may_need_newer_keys(&self) -> bool {
        matches!(self, Self::UnknownKey(_) | Self::Signature)
    }
}

/// What an ID token must say.
pub(super) struct Expectations<'a> {
    /// The exact issuer; none where `insecure_oidc_skip_issuer_verification` was asked for.
    pub(super) issuer: Option<&'a str>,
    pub(super) client_id: &'a str,
    pub(super) extra_audiences: &'a [String],
    /// The first one present counts.
    pub(super) audience_claims: &'a [String],
    pub(super) algs: &'a [(String, SigningAlg)],
    pub(super) purpose: Purpose<'a>,
    pub(super) now: Timestamp,
}

/// What a token is verified for.
#[derive(Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// It is the answer to a login of this client.
    Login {
        /// The nonce of the login; none where `insecure_oidc_skip_nonce` was asked for.
        nonce: Option<&'a str>,
        /// What came with it, for `at_hash`.
        access_token: Option<&'a str>,
    },
    /// A caller brings it along. Which client asked for it does not matter, nor when; and it may be
    /// an access token in JWT form (RFC 9068).
    Bearer,
}

impl Expectations<'_> {
    fn is_audience(&self, audience: &str) -> bool {
        audience == self.client_id || self.extra_audiences.iter().any(|extra| extra == audience)
    }
}

/// The claims of a verified ID token.
#[derive(Clone, PartialEq)]
pub(super) struct VerifiedClaims {
    /// `iss`.
    pub(super) issuer: String,
    /// `sub`, 1 to 255 bytes.
    pub(super) subject: String,
    /// Everything, as sent.
    pub(super) all: Map<String, Value>,
}

impl fmt::Debug for VerifiedClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedClaims(***)")
    }
}

/// Of a JOSE header only these are looked at; `jku`, `jwk` and `x5u` never are.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    enc: Option<Value>,
    crit: Option<Value>,
}

/// Checks signature and claims.
pub(super) fn verify(token: &str, keys: &Keys, expected: &Expectations<'_>) -> Result<VerifiedClaims, InvalidIdToken> {
    let (key, claims) = signed_as(token, keys, expected.algs, expected.purpose)?;
    // Its `typ` may be missing (OpenID Connect Back-Channel Logout 1.0, 2.4); this claim never is.
    if claims.get("events").is_some_and(Value::is_object) {
        return Err(InvalidIdToken::SecurityEvent);
    }
    let issuer = match (text(&claims, "iss"), expected.issuer, expected.purpose) {
        (Ok(issuer), Some(expected), _) if expected != issuer => {
            return Err(InvalidIdToken::Issuer { found: shown(issuer) });
        }
        (Ok(issuer), Some(_) | None, _) => issuer,
        (Err(_), None, Purpose::Bearer) => "",
        (Err(missing), Some(_) | None, Purpose::Login { .. } | Purpose::Bearer) => return Err(missing),
    };
    check_audience(&claims, expected)?;
    match expected.purpose {
        Purpose::Login { nonce, access_token } => {
            check_party(&claims, expected)?;
            time(&claims, "iat")?.ok_or(InvalidIdToken::Claim("iat"))?;
            check_nonce(&claims, nonce)?;
            check_access_token(&claims, &key, access_token)?;
        }
        Purpose::Bearer => {}
    }
    check_times(&claims, expected)?;
    let subject = text(&claims, "sub")?;
    if subject.is_empty() || subject.len() > MAX_SUBJECT {
        return Err(InvalidIdToken::Claim("sub"));
    }
    Ok(VerifiedClaims { issuer: issuer.to_owned(), subject: subject.to_owned(), all: claims })
}

/// The payload of a JWT that a key of the provider signed with an accepted algorithm.
pub(super) fn signed<'k>(
    token: &str,
    keys: &'k Keys,
    algs: &[(String, SigningAlg)],
) -> Result<(SigningKey<'k>, Map<String, Value>), InvalidIdToken> {
    signed_as(token, keys, algs, Purpose::Login { nonce: None, access_token: None })
}

/// The issuer that a token names, not verified: it says whom to ask for keys, and nothing else.
pub(super) fn unverified_issuer(token: &str) -> Result<String, InvalidIdToken> {
    let payload = token.split('.').nth(1).ok_or(InvalidIdToken::Malformed)?;
    let claims: Map<String, Value> = json(payload)?;
    Ok(text(&claims, "iss")?.to_owned())
}

fn signed_as<'k>(
    token: &str,
    keys: &'k Keys,
    algs: &[(String, SigningAlg)],
    purpose: Purpose<'_>,
) -> Result<(SigningKey<'k>, Map<String, Value>), InvalidIdToken> {
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(InvalidIdToken::Malformed);
    };
    if header.len() > MAX_HEADER {
        return Err(InvalidIdToken::Malformed);
    }
    let read: Header = json(header)?;
    if read.enc.is_some() || parts.next().is_some() {
        return Err(InvalidIdToken::Encrypted);
    }
    let alg = check_header(&read, algs, purpose)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| InvalidIdToken::Malformed)?;
    let message = &token[..header.len() + 1 + payload.len()];
    let key =
        keys.verify(alg, read.kid.as_deref(), message.as_bytes(), &signature).map_err(|unproven| match unproven {
            Unproven::UnknownKey => InvalidIdToken::UnknownKey(shown(read.kid.as_deref().unwrap_or("(unnamed)"))),
            Unproven::BadSignature => InvalidIdToken::Signature,
        })?;
    Ok((key, json(payload)?))
}

fn check_header<'a>(
    header: &Header,
    algs: &'a [(String, SigningAlg)],
    purpose: Purpose<'_>,
) -> Result<&'a SigningAlg, InvalidIdToken> {
    if header.crit.is_some() {
        return Err(InvalidIdToken::Critical);
    }
    // `at+jwt`, `logout+jwt` and their like say that this is no ID token (RFC 8725, 3.11).
    let special = header.typ.as_deref().filter(|typ| typ.to_ascii_lowercase().ends_with("+jwt"));
    let is_access_token = |typ: &&str| matches!(typ.to_ascii_lowercase().as_str(), "at+jwt" | "application/at+jwt");
    let taken = special.as_ref().is_some_and(is_access_token) && matches!(purpose, Purpose::Bearer);
    if let Some(typ) = special.filter(|_| !taken) {
        return Err(InvalidIdToken::Type(shown(typ)));
    }
    let accepted = algs.iter().find(|(name, _)| *name == header.alg);
    accepted.map(|(_, alg)| alg).ok_or_else(|| InvalidIdToken::Algorithm {
        found: shown(&header.alg),
        accepted: algs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
    })
}

fn check_audience(claims: &Map<String, Value>, expected: &Expectations<'_>) -> Result<(), InvalidIdToken> {
    let known = |audience: &str| expected.is_audience(audience);
    let named = expected.audience_claims.iter().find_map(|claim| Some((claim, claims.get(claim)?)));
    let Some((claim, value)) = named else {
        return Err(InvalidIdToken::NoAudience(expected.audience_claims.join(", ")));
    };
    let fits = match value {
        Value::String(audience) => known(audience),
        Value::Array(audiences) => audiences.iter().filter_map(Value::as_str).any(known),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    if !fits {
        return Err(InvalidIdToken::Audience { claim: claim.clone(), found: shown(&value.to_string()) });
    }
    Ok(())
}

fn check_party(claims: &Map<String, Value>, expected: &Expectations<'_>) -> Result<(), InvalidIdToken> {
    match claims.get("azp") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(party)) if expected.is_audience(party) => Ok(()),
        Some(other) => Err(InvalidIdToken::AuthorizedParty(shown(&other.to_string()))),
    }
}

fn check_times(claims: &Map<String, Value>, expected: &Expectations<'_>) -> Result<(), InvalidIdToken> {
    let now = expected.now;
    let expires = time(claims, "exp")?.ok_or(InvalidIdToken::Claim("exp"))?;
    if now >= expires {
        return Err(InvalidIdToken::Expired(now.since(expires).as_secs()));
    }
    let issued = time(claims, "iat")?.filter(|_| matches!(expected.purpose, Purpose::Login { .. }));
    let begins = issued.max(time(claims, "nbf")?);
    match begins.map(|begins| begins.since(now)) {
        Some(ahead) if ahead > CLOCK_TOLERANCE => Err(InvalidIdToken::Future(ahead.as_secs())),
        Some(_) | None => Ok(()),
    }
}

fn check_nonce(claims: &Map<String, Value>, expected: Option<&str>) -> Result<(), InvalidIdToken> {
    let Some(expected) = expected else { return Ok(()) };
    let found = claims.get("nonce").and_then(Value::as_str).ok_or(InvalidIdToken::Nonce)?;
    if bool::from(found.as_bytes().ct_eq(expected.as_bytes())) { Ok(()) } else { Err(InvalidIdToken::Nonce) }
}

fn check_access_token(
    claims: &Map<String, Value>,
    key: &SigningKey<'_>,
    access_token: Option<&str>,
) -> Result<(), InvalidIdToken> {
    let (Some(found), Some(access_token)) = (claims.get("at_hash"), access_token) else { return Ok(()) };
    let found = found.as_str().and_then(|hash| URL_SAFE_NO_PAD.decode(hash).ok());
    let expected = key.token_hash(access_token);
    match (found, expected) {
        (Some(found), Some(expected)) if bool::from(found.ct_eq(&expected)) => Ok(()),
        (Some(_) | None, Some(_) | None) => Err(InvalidIdToken::AccessToken),
    }
}

fn text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, InvalidIdToken> {
    claims.get(name).and_then(Value::as_str).ok_or(InvalidIdToken::Claim(name))
}

/// A NumericDate. One of another type is an error, never as good as absent.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, InvalidIdToken> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0).ok_or(InvalidIdToken::Claim(name))?;
    // The cast stops at the ends of u64.
    Ok(Some(Timestamp::from_secs(seconds as u64)))
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, InvalidIdToken> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidIdToken::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| InvalidIdToken::Malformed)
}
