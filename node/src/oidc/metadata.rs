//! What a provider says of itself (OpenID Connect Discovery 1.0, RFC 8414), reduced to what a login
//! needs and checked. Unlike openidconnect's own type it takes documents that lack fields which
//! nobody here reads.

use serde::Deserialize;
use thiserror::Error;
use url::Url;

use super::error::shown;
use super::jwks::{SIGNING_ALGS, SigningAlg};
use crate::config::{PkceMode, ProviderConfig};

/// Why a provider's metadata cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidMetadata {
    /// Not JSON of the expected shape.
    #[error("is no OpenID provider metadata: {0}")]
    Malformed(String),
    /// Names another issuer.
    #[error("names the issuer {found:?}: set oidc_issuer_url to exactly that, or check the URL")]
    Issuer {
        /// What it names.
        found: String,
    },
    /// An endpoint is missing.
    #[error("has no {field}, and {option} is not set")]
    Missing {
        /// The metadata's field.
        field: &'static str,
        /// The option that could give it.
        option: &'static str,
    },
    /// An endpoint that is no http or https URL.
    #[error("has a {field} that is no http or https URL: {found:?}")]
    Endpoint {
        /// The metadata's field.
        field: &'static str,
        /// What it says.
        found: String,
    },
    /// An endpoint in the clear, of an issuer that is not.
    #[error(
        "belongs to an https issuer and has a {field} that is not https: {found:?}; codes, tokens and the client's \
         secret would travel in the clear: have the provider name https endpoints (behind a proxy it has to know its own \
         URL), or give them yourself with skip_oidc_discovery"
    )]
    Unencrypted {
        /// The metadata's field.
        field: &'static str,
        /// What it says.
        found: String,
    },
    /// Nothing in common.
    #[error(
        "signs ID tokens with {offered} only, of which none is accepted: change the provider, or \
         oidc_enabled_signing_algs (possible: {})", SIGNING_ALGS.join(", ")
    )]
    Algorithms {
        /// What the provider offers.
        offered: String,
    },
}

/// How this client proves itself at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenAuth {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Body,
    /// The provider does not say: the specification's default is Basic, but not all follow it.
    Unstated,
}

/// The method of a PKCE challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// SHA-256 of the verifier.
    S256,
    /// The verifier itself, for a provider that knows nothing else.
    Plain,
}

/// What a login needs to know of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization: Url,
    /// None where discovery is skipped and nobody gave it: tokens that come along can still be verified.
    pub(super) token: Option<Url>,
    pub(super) userinfo: Option<Url>,
    pub(super) jwks: Option<Url>,
    /// Where browsers end the provider's own session; one that is no URL is none, since no login needs it.
    pub(super) end_session: Option<Url>,
    pub(super) algs: Vec<(String, SigningAlg)>,
    pub(super) token_auth: TokenAuth,
    pub(super) sends_iss: bool,
    challenge_methods: Option<Vec<String>>,
}

/// The fields read. Everything else in the document is ignored.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    jwks_uri: Option<String>,
    end_session_endpoint: Option<String>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: bool,
}

impl Document {
    /// Holds every endpoint of an https issuer to https. An issuer over plain http, as on loopback, may name either.
    fn check_encrypted(&self, issuer_url: &str) -> Result<(), InvalidMetadata> {
        let is_of = |text: &str, scheme: &str| Url::parse(text).is_ok_and(|url| url.scheme() == scheme);
        if !is_of(issuer_url, "https") {
            return Ok(());
        }
        let endpoints = [
            ("authorization_endpoint", &self.authorization_endpoint),
            ("token_endpoint", &self.token_endpoint),
            ("userinfo_endpoint", &self.userinfo_endpoint),
            ("jwks_uri", &self.jwks_uri),
            ("end_session_endpoint", &self.end_session_endpoint),
        ];
        let plain = endpoints
            .into_iter()
            .find_map(|(field, url)| Some((field, url.as_deref()?)).filter(|(_, url)| is_of(url, "http")));
        match plain {
            Some((field, found)) => Err(InvalidMetadata::Unencrypted { field, found: shown(found) }),
            None => Ok(()),
        }
    }
}

impl Metadata {
    /// Reads a discovery document. What it says wins over endpoints given by hand.
    pub(super) fn parse(json: &[u8], config: &ProviderConfig) -> Result<Self, InvalidMetadata> {
        let document: Document =
            serde_json::from_slice(json).map_err(|error| InvalidMetadata::Malformed(error.to_string()))?;
        if document.issuer != config.issuer_url && !config.verification.skip_issuer {
            return Err(InvalidMetadata::Issuer { found: shown(&document.issuer) });
        }
        document.check_encrypted(&config.issuer_url)?;
        Self::check(document, config)
    }

    /// Without discovery: everything stands in the configuration.
    pub(super) fn configured(config: &ProviderConfig) -> Result<Self, InvalidMetadata> {
        Self::check(Document { issuer: config.issuer_url.clone(), ..Document::default() }, config)
    }

    fn check(document: Document, config: &ProviderConfig) -> Result<Self, InvalidMetadata> {
        let given = &config.endpoints;
        let login = document.authorization_endpoint.as_ref().or(given.login_url.as_ref());
        let redeem = document.token_endpoint.as_ref().or(given.redeem_url.as_ref());
        let profile = document.userinfo_endpoint.as_ref().or(given.profile_url.as_ref());
        let jwks = document.jwks_uri.as_ref().or(given.jwks_url.as_ref());
        if jwks.is_none() && given.public_key_files.is_empty() {
            return Err(InvalidMetadata::Missing { field: "jwks_uri", option: "oidc_jwks_url" });
        }
        let missing = |field, option| InvalidMetadata::Missing { field, option };
        let login = login.ok_or_else(|| missing("authorization_endpoint", "login_url"))?;
        if redeem.is_none() && !given.skip_discovery {
            return Err(missing("token_endpoint", "redeem_url"));
        }
        Ok(Self {
            authorization: endpoint("authorization_endpoint", login)?,
            token: redeem.map(|url| endpoint("token_endpoint", url)).transpose()?,
            userinfo: profile.map(|url| endpoint("userinfo_endpoint", url)).transpose()?,
            jwks: jwks.map(|url| endpoint("jwks_uri", url)).transpose()?,
            end_session: document
                .end_session_endpoint
                .as_deref()
                .and_then(|url| endpoint("end_session_endpoint", url).ok()),
            algs: accepted_algs(document.id_token_signing_alg_values_supported, &config.verification.signing_algs)?,
            token_auth: token_auth(document.token_endpoint_auth_methods_supported.as_deref()),
            sends_iss: document.authorization_response_iss_parameter_supported,
            challenge_methods: document.code_challenge_methods_supported,
            issuer: document.issuer,
        })
    }

    /// The PKCE method of a login: S256 wherever the provider does not say that it lacks it.
    pub(super) fn challenge(&self, mode: PkceMode) -> Option<Challenge> {
        let Some(methods) = &self.challenge_methods else { return Some(Challenge::S256) };
        let offers = |wanted: &str| methods.iter().any(|method| method == wanted);
        match mode {
            PkceMode::S256 => Some(Challenge::S256),
            PkceMode::WhereAllowed | PkceMode::Plain if offers("S256") => Some(Challenge::S256),
            PkceMode::Plain => Some(Challenge::Plain),
            PkceMode::WhereAllowed => None,
        }
    }
}

fn endpoint(field: &'static str, text: &str) -> Result<Url, InvalidMetadata> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| InvalidMetadata::Endpoint { field, found: shown(text) })
}

/// What the provider offers and the configuration accepts; RS256, the specification's default,
/// where neither says anything. Symmetric algorithms and `none` are never in it.
fn accepted_algs(
    offered: Option<Vec<String>>,
    configured: &[String],
) -> Result<Vec<(String, SigningAlg)>, InvalidMetadata> {
    let offered = offered.unwrap_or_default();
    let names: Vec<&String> = match (offered.is_empty(), configured.is_empty()) {
        (true, true) => {
            return Ok(SigningAlg::parse("RS256").map(|alg| ("RS256".to_owned(), alg)).into_iter().collect());
        }
        (false, false) => configured.iter().filter(|name| offered.contains(name)).collect(),
        (true, false) => configured.iter().collect(),
        (false, true) => offered.iter().collect(),
    };
    let algs: Vec<_> =
        names.into_iter().filter_map(|name| SigningAlg::parse(name).map(|alg| (name.clone(), alg))).collect();
    if algs.is_empty() {
        return Err(InvalidMetadata::Algorithms { offered: shown(&offered.join(", ")) });
    }
    Ok(algs)
}

fn token_auth(methods: Option<&[String]>) -> TokenAuth {
    let Some(methods) = methods else { return TokenAuth::Unstated };
    let offers = |wanted: &str| methods.iter().any(|method| method == wanted);
    if offers("client_secret_post") && !offers("client_secret_basic") { TokenAuth::Body } else { TokenAuth::Basic }
}
