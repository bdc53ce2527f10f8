//! Generic OpenID Connect: authorization code flow with PKCE, nonce and `iss`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conclave_proto::id::ProviderId;
use conclave_proto::login::{LoginAttempt, login_parameters};
use conclave_proto::time::Clock;
use serde_json::Value;
use tokio::time::timeout;
use url::form_urlencoded::Serializer;

use super::super::call::Caller;
use super::super::claims::{self, Sources};
use super::super::discovery::{Discovery, DiscoveryError, Snapshot};
use super::super::error::shown;
use super::super::exchange::{self, LearntAuth, TokenError, TokenRequest, Tokens};
use super::super::metadata::Challenge;
use super::super::verify::{self, Expectations, Purpose, VerifiedClaims};
use super::super::{
    BearerError, ExchangeError, InvalidIss, Provider, ProviderError, SessionClaims, TokenClaims, TokenIssuer, bearer,
    userinfo,
};
use crate::config::ProviderConfig;

/// One provider that speaks OpenID Connect.
pub(super) struct OidcProvider {
    config: Arc<ProviderConfig>,
    caller: Caller,
    clock: Arc<dyn Clock>,
    discovery: Discovery,
    learnt: LearntAuth,
}

impl OidcProvider {
    pub(super) fn new(
        config: Arc<ProviderConfig>,
        caller: Caller,
        clock: Arc<dyn Clock>,
        discovery: Discovery,
    ) -> Self {
        Self { config, caller, clock, discovery, learnt: LearntAuth::default() }
    }

    fn snapshot(&self) -> Result<Arc<Snapshot>, ProviderError> {
        self.discovery.current().ok_or_else(|| ProviderError::NotReady(self.discovery.last_failure()))
    }

    fn nonce<'a>(&self, attempt: &'a LoginAttempt) -> Option<&'a str> {
        (!self.config.verification.skip_nonce).then(|| attempt.nonce())
    }

    /// The parameters of the authorization request, by name.
    fn parameters(&self, snapshot: &Snapshot, attempt: &LoginAttempt, redirect_uri: &str) -> BTreeMap<String, String> {
        let config = &self.config;
        let mut given = vec![
            ("client_id", Some(config.client_id.clone())),
            ("redirect_uri", Some(redirect_uri.to_owned())),
            ("response_type", Some("code".to_owned())),
            ("scope", Some(config.scope.clone())),
            ("state", Some(attempt.state().to_owned())),
            ("nonce", self.nonce(attempt).map(str::to_owned)),
            ("response_mode", config.response_mode.clone()),
            ("resource", config.resource.clone()),
        ];
        match snapshot.metadata.challenge(config.pkce) {
            Some(Challenge::S256) => given.extend([
                ("code_challenge", Some(attempt.code_challenge())),
                ("code_challenge_method", Some("S256".to_owned())),
            ]),
            Some(Challenge::Plain) => given.extend([
                ("code_challenge", Some(attempt.verifier().to_owned())),
                ("code_challenge_method", Some("plain".to_owned())),
            ]),
            None => {}
        }
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    async fn redeem(
        &self,
        snapshot: &Snapshot,
        code: &str,
        attempt: &LoginAttempt,
        redirect_uri: &str,
    ) -> Result<Tokens, TokenError> {
        let challenged = snapshot.metadata.challenge(self.config.pkce).is_some();
        let request = TokenRequest {
            code,
            redirect_uri,
            verifier: challenged.then(|| attempt.verifier()),
            client_id: &self.config.client_id,
            client_secret: self.config.client_secret.as_ref().map(|secret| secret.read()).transpose()?,
        };
        exchange::redeem(&self.caller, &snapshot.metadata, &self.learnt, &request, self.clock.now()).await
    }

    /// Verifies, with newer keys if the known ones do not fit.
    async fn verify(
        &self,
        snapshot: &mut Arc<Snapshot>,
        tokens: &Tokens,
        attempt: &LoginAttempt,
    ) -> Result<VerifiedClaims, ExchangeError> {
        let first = self.verify_with(snapshot, tokens, attempt);
        let Err(error) = &first else { return Ok(first?) };
        if !error.may_need_newer_keys() {
            return Ok(first?);
        }
        let Some(newer) = self.discovery.newer_keys(snapshot).await else { return Ok(first?) };
        *snapshot = newer;
        Ok(self.verify_with(snapshot, tokens, attempt)?)
    }

    fn verify_with(
        &self,
        snapshot: &Snapshot,
        tokens: &Tokens,
        attempt: &LoginAttempt,
    ) -> Result<VerifiedClaims, verify::InvalidIdToken> {
        let rules = &self.config.verification;
        let expected = Expectations {
            issuer: (!rules.skip_issuer).then_some(snapshot.metadata.issuer.as_str()),
            client_id: &self.config.client_id,
            extra_audiences: &rules.extra_audiences,
            audience_claims: &self.config.claims.audience,
            algs: &snapshot.metadata.algs,
            purpose: Purpose::Login { nonce: self.nonce(attempt), access_token: tokens.access_token.as_deref() },
            now: self.clock.now(),
        };
        verify::verify(&tokens.id_token, &snapshot.keys, &expected)
    }

    async fn session(
        &self,
        code: &str,
        attempt: &LoginAttempt,
        redirect_uri: &str,
    ) -> Result<SessionClaims, ExchangeError> {
        let mut snapshot = self.snapshot()?;
        let tokens = self.redeem(&snapshot, code, attempt, redirect_uri).await?;
        let claims = self.verify(&mut snapshot, &tokens, attempt).await?;
        let userinfo = match (&snapshot.metadata.userinfo, &tokens.access_token) {
            (Some(url), Some(access_token))
                if !self.config.claims.skip_userinfo && claims::wants_userinfo(&claims.all, &self.config) =>
            {
                let fetched = userinfo::fetch(&self.caller, &snapshot, url.as_str(), access_token, &claims.subject);
                Some(fetched.await?)
            }
            (Some(_) | None, Some(_) | None) => None,
        };
        let sources = Sources { id_token: &claims.all, userinfo: userinfo.as_ref() };
        let identity = claims::identity(&claims.subject, &sources, &self.config)?;
        let additional = claims::additional(&sources, &self.config.claims.additional);
        Ok(SessionClaims {
            identity,
            sid: claims.all.get("sid").and_then(Value::as_str).filter(|sid| !sid.is_empty()).map(str::to_owned),
            subject: claims.subject,
            issuer: claims.issuer,
            id_token: tokens.id_token,
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            token_expires_at: tokens.expires_at,
            additional,
        })
    }
}

#[async_trait]
impl TokenIssuer for OidcProvider {
    fn id(&self) -> &ProviderId {
        &self.config.id
    }

    fn bearer(&self, token: &str) -> Result<TokenClaims, BearerError> {
        let claims = bearer::verified(token, &self.config, &self.discovery, &*self.clock)?;
        let identity = claims::bearer_identity(&claims.subject, &claims.all, &self.config)?;
        let sources = Sources { id_token: &claims.all, userinfo: None };
        Ok(TokenClaims { identity, additional: claims::additional(&sources, &self.config.claims.additional) })
    }

    async fn bearer_anew(&self, token: &str) -> Result<TokenClaims, BearerError> {
        self.discovery.seek_keys().await;
        self.bearer(token)
    }

    async fn refresh_metadata(&self) -> Result<(), Arc<DiscoveryError>> {
        self.discovery.refresh().await
    }
}

#[async_trait]
impl Provider for OidcProvider {
    fn ready(&self) -> bool {
        self.discovery.current().is_some()
    }

    async fn prepare(&self, patience: Duration) -> bool {
        if !self.ready() {
            // Whoever runs out of patience is told below; the others still wait.
            let _ = timeout(patience, self.discovery.demand()).await;
        }
        self.ready()
    }

    fn authorize_url(
        &self,
        attempt: &LoginAttempt,
        redirect_uri: &str,
        asked: &[(String, String)],
    ) -> Result<String, ProviderError> {
        let snapshot = self.snapshot()?;
        let given = self.parameters(&snapshot, attempt, redirect_uri);
        // The protocol's own parameters are nobody's choice.
        let mut chosen = login_parameters(&self.config.login_parameters, asked);
        chosen.retain(|(name, _)| !given.contains_key(*name));
        let owned = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut url = snapshot.metadata.authorization.clone();
        let replaced = |name: &str| given.contains_key(name) || chosen.iter().any(|(other, _)| *other == name);
        let kept = url.query_pairs().filter(|(name, _)| !replaced(name)).map(|(name, value)| owned(&name, &value));
        let mut pairs: Vec<(String, String)> = kept.collect();
        pairs.extend(chosen.iter().map(|(name, value)| owned(name, value)));
        pairs.extend(given);
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        url.set_query(Some(&Serializer::new(String::new()).extend_pairs(pairs).finish()));
        url.set_fragment(None);
        Ok(url.into())
    }

    fn check_iss(&self, iss: Option<&str>) -> Result<(), InvalidIss> {
        if self.config.verification.skip_issuer {
            return Ok(());
        }
        let snapshot = self.discovery.current();
        let sends_iss = snapshot.is_some_and(|snapshot| snapshot.metadata.sends_iss);
        match iss {
            Some(found) if found == self.config.issuer_url => Ok(()),
            Some(found) => Err(InvalidIss::Other { found: shown(found) }),
            None if sends_iss => Err(InvalidIss::Missing),
            None => Ok(()),
        }
    }

    fn own_urls(&self) -> Vec<String> {
        let Some(snapshot) = self.discovery.current() else {
            return self.config.endpoints.login_url.clone().into_iter().collect();
        };
        let metadata = &snapshot.metadata;
        [Some(&metadata.authorization), metadata.end_session.as_ref()]
            .into_iter()
            .flatten()
            .map(ToString::to_string)
            .collect()
    }

    async fn exchange(
        &self,
        code: &str,
        attempt: &LoginAttempt,
        redirect_uri: &str,
        deadline: Duration,
    ) -> Result<SessionClaims, ExchangeError> {
        let session = timeout(deadline, self.session(code, attempt, redirect_uri)).await;
        session.unwrap_or(Err(ExchangeError::Deadline))
    }
}
