//! `/oauth2/start`: begins a login. Everything about it goes into a sealed cookie of the browser, so
//! an anonymous request writes nothing to the cluster.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use conclave_proto::cookie::cookies_named;
use conclave_proto::forwarded::Endpoint;
use conclave_proto::login::{LOGIN_ENTROPY, LoginAttempt, surplus_login_cookies};
use conclave_proto::redirect::ReturnTo;

use super::Worker;
use super::extract::{Headers, Parameters, Visit, cookie_line};
use super::problem::Problem;
use super::respond::{self, Destination};
use crate::audit::{self, Asker};

/// How long a browser waits for a provider that has not been reached since the start.
const PROVIDER_PATIENCE: Duration = Duration::from_secs(5);

/// Answers 302 to the provider, 401 to what shows no page, or a page that says what is wrong.
pub async fn start(request: HttpRequest, payload: web::Payload, worker: web::Data<Worker>) -> HttpResponse {
    let service = &worker.service;
    let headers = Headers(request.headers());
    let visit = Visit::read(&request, &headers, service.gateway());
    if !service.site.cause(&visit).shows_page() {
        return refuse_background();
    }
    let parameters = match Parameters::read_leniently(&request, payload).await {
        Ok(parameters) => parameters,
        Err(invalid) => return respond::failure(&request, &worker, "login start", &invalid.into(), "/"),
    };
    let target = service.site.target(&visit, parameters.first("rd"), service.gateway());
    begin_asked(&request, &worker, &visit, &target, &asked(&request))
        .await
        .unwrap_or_else(|problem| respond::failure(&request, &worker, "login start", &problem, target.as_str()))
}

/// The answer to what shows no page: no login cookie, of which each would push out another tab's, and no redirect
/// that a script could follow.
pub fn refuse_background() -> HttpResponse {
    respond::uncached_text(StatusCode::UNAUTHORIZED, "Unauthorized\n")
}

/// What the query of a login's start asks of the provider's parameters.
pub fn asked(request: &HttpRequest) -> Vec<(String, String)> {
    let pairs = url::form_urlencoded::parse(request.query_string().as_bytes());
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Sends the browser to the provider. `asked` is empty where no login was asked for: an application's
/// own query says nothing to a provider.
pub async fn begin_asked(
    request: &HttpRequest,
    worker: &Worker,
    visit: &Visit<'_>,
    target: &ReturnTo,
    asked: &[(String, String)],
) -> Result<HttpResponse, Problem> {
    let (service, site) = (&worker.service, &worker.service.site);
    if !service.provider.ready() {
        let provider = Arc::clone(&service.provider);
        service.run(async move { provider.prepare(PROVIDER_PATIENCE).await }).await?;
    }
    let ring = worker.keyring();
    let ring = ring.as_deref().ok_or_else(|| service.not_ready())?;
    let (mut entropy, mut nonce) = ([0; LOGIN_ENTROPY], [0; 12]);
    service.entropy.fill(&mut entropy);
    service.entropy.fill(&mut nonce);
    let now = service.clock.now();
    let attempt = LoginAttempt::begin(entropy, now, site.provider().clone(), site.id().clone(), target.as_str());
    let url = service.provider.authorize_url(&attempt, &site.redirect_uri(visit), asked)?;

    let name = LoginAttempt::cookie_name(site.cookie_name(), attempt.state());
    let value = attempt.seal(ring, &name, nonce);
    let sent = cookie_line(request);
    let surplus = surplus_login_cookies(&sent, site.cookie_name(), name.len() + value.len(), site.login_limits());
    let mut cookies: Vec<_> = surplus.iter().map(|old| site.clear_login(old, visit.host())).collect();
    cookies.push(site.login_cookie(&name, &value, visit.host()));
    if cookies_named(&sent, site.cookie_name(), 2).nth(1).is_some() {
        // Several of the name would go on contradicting each other after the login.
        cookies.extend(site.clear_session(visit.host(), &sent));
    }
    service.metrics.logins_started.inc();
    audit::login_started(&Asker::of(request, service, Endpoint::Browser));
    Ok(respond::redirect(request, Destination::Provider(&url), &cookies))
}
