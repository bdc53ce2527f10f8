//! From a request to who stands behind it: the one place that knows all kinds of credentials. A
//! bearer token comes first, then a local user's password, then the session cookie.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header;
use conclave_proto::authorization::{Authorization, BasicCredentials};
use conclave_proto::forwarded::{Endpoint, original_request};
use conclave_proto::policy::Voucher;
use conclave_proto::session::SessionBody;
use futures::future::LocalBoxFuture;
use tokio::time::timeout;

use super::Worker;
use super::extract::{Headers, cookie_line, endpoint, own, peer};
use super::lookup::{self, CannotKnow, Seen, Standing};
use crate::audit::{self, Asker};
use crate::inject::answer_headers;
use crate::oidc::{BearerError, KEYS_PATIENCE, TokenClaims, TokenIssuer};
use crate::opened::Opened;

/// What is known of a request at once.
pub enum Found<'r> {
    /// All of it.
    Settled(Standing),
    /// Somebody has to be asked, or a token or password checked. Boxed, so that the common path does
    /// not carry the cold one's future.
    Later(LocalBoxFuture<'r, Standing>),
}

/// Whose tokens count.
pub struct Bearer {
    /// The provider first, then the extra ones.
    pub issuers: Vec<Arc<dyn TokenIssuer>>,
    /// Whether a header that names nobody counts for nothing; otherwise it is refused.
    pub login_fallback: bool,
}

/// Who stands behind the request. A cookie session that memory knows settles without an await.
pub fn find<'r>(request: &'r HttpRequest, worker: &'r Worker) -> Found<'r> {
    if let Some(authorization) = authorization(request, worker) {
        return Found::Later(Box::pin(by_header(request, worker, authorization)));
    }
    match lookup::look(worker, &cookie_line(request)) {
        Seen::Settled(standing) => Found::Settled(standing),
        Seen::Ask(tally) => Found::Later(Box::pin(lookup::ask(worker, tally))),
    }
}

/// The request's header, where the configuration gives it a meaning. Of several the first counts.
fn authorization<'r>(request: &'r HttpRequest, worker: &Worker) -> Option<Authorization<'r>> {
    let service = &worker.service;
    if service.bearer.is_none() && service.local.is_none() {
        return None;
    }
    Authorization::parse(request.headers().get(header::AUTHORIZATION)?.as_bytes())
}

/// The bearer token that the request stands by; none where a password or a cookie is what counts.
pub fn token_of(request: &HttpRequest, worker: &Worker, standing: &Standing) -> Option<String> {
    let Standing::Live(opened) = standing else { return None };
    if !opened.is_for_one_request() || opened.voucher != Voucher::Provider {
        return None;
    }
    authorization(request, worker)?.token().map(|token| token.to_string())
}

async fn by_header(request: &HttpRequest, worker: &Worker, authorization: Authorization<'_>) -> Standing {
    let service = &worker.service;
    if let Some(bearer) = &service.bearer {
        match by_token(worker, bearer, &authorization).await {
            Ok(standing) => return standing,
            Err(error) => audit::token_refused(&Asker::of(request, service, Endpoint::Auth), &error),
        }
        if !bearer.login_fallback {
            return Standing::Refused;
        }
    }
    if let Authorization::Basic(credentials) = authorization
        && let Some(standing) = by_password(request, worker, credentials).await
    {
        return standing;
    }
    match lookup::look(worker, &cookie_line(request)) {
        Seen::Settled(standing) => standing,
        Seen::Ask(tally) => lookup::ask(worker, tally).await,
    }
}

async fn by_token(
    worker: &Worker,
    bearer: &Bearer,
    authorization: &Authorization<'_>,
) -> Result<Standing, BearerError> {
    let mut why = BearerError::Issuer;
    let Some(token) = authorization.token() else { return Err(why) };
    for issuer in &bearer.issuers {
        match ask_issuer(worker, issuer, &token).await {
            Ok(claims) => return Ok(for_one_request(worker, Voucher::Provider, token_body(claims, &token))),
            Err(BearerError::NotReady) => why = BearerError::NotReady,
            Err(BearerError::Issuer) => {}
            Err(error) => why = if why == BearerError::NotReady { why } else { error },
        }
    }
    match why {
        BearerError::NotReady => Ok(Standing::Unknown(CannotKnow::NoKeys)),
        BearerError::Issuer | BearerError::Token(_) | BearerError::Claims(_) => Err(why),
    }
}

/// Asks with the keys known here; with newer ones where those might help.
async fn ask_issuer(worker: &Worker, issuer: &Arc<dyn TokenIssuer>, token: &str) -> Result<TokenClaims, BearerError> {
    let known = issuer.bearer(token);
    match &known {
        Err(error) if error.may_need_newer_keys() => {}
        Ok(_) | Err(_) => return known,
    }
    let (issuer, token) = (Arc::clone(issuer), token.to_owned());
    // On the main runtime: a call to an issuer must not be driven by a thread that serves browsers.
    let anew = async move { timeout(KEYS_PATIENCE, issuer.bearer_anew(&token)).await };
    match worker.service.run(anew).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) | Err(_) => Err(BearerError::NotReady),
    }
}

fn token_body(claims: TokenClaims, token: &str) -> SessionBody {
    SessionBody {
        identity: claims.identity,
        issuer: String::new(),
        id_token: token.to_owned(),
        access_token: token.to_owned(),
        refresh_token: String::new(),
        token_expires_at: None,
        additional_claims: claims.additional,
        local_line: None,
    }
}

/// None where the credentials are not those of a local user.
async fn by_password(request: &HttpRequest, worker: &Worker, credentials: BasicCredentials) -> Option<Standing> {
    let service = &worker.service;
    let local = service.local.as_ref()?;
    let user = credentials.user.clone();
    match local.admits(credentials, client(request, worker), service.runtime()).await {
        Ok(Some(line)) => {
            Some(for_one_request(worker, Voucher::LocalFile(line), local.session_body(&user, line, true)))
        }
        Ok(None) => None,
        Err(_) => Some(Standing::Unknown(CannotKnow::TooBusy)),
    }
}

/// Whom the check of a password counts for. A check that a gateway asks for says so in the gateway's headers.
fn client(request: &HttpRequest, worker: &Worker) -> Option<IpAddr> {
    let headers = Headers(request.headers());
    let endpoint = endpoint(request, worker.service.site.prefix());
    original_request(worker.service.gateway(), &peer(request), endpoint, own(request), &headers).request.client
}

/// A session that lives as long as the request, and is stored nowhere.
fn for_one_request(worker: &Worker, voucher: Voucher, body: SessionBody) -> Standing {
    match answer_headers(worker.service.site.headers(), &body) {
        Ok(made) => {
            let headers = worker.service.made(made);
            let told = lookup::told(&worker.service.site, body.additional_claims);
            Standing::Live(Arc::new(Opened::for_one_request(body.identity, voucher, headers, told)))
        }
        Err(unfit) => Standing::Unfit(unfit),
    }
}
