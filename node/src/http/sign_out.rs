//! `/oauth2/sign_out`: ends the session in the whole cluster, then takes the cookie away.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use conclave_proto::command::{Command, Revoke};
use conclave_proto::fetch_metadata::Cause;
use conclave_proto::forwarded::Endpoint;
use conclave_proto::id::SessionKey;
use conclave_proto::policy::QueryConstraints;
use conclave_proto::redirect::ReturnTo;
use conclave_proto::ticket::Ticket;
use conclave_raft::Lookup;

use super::chain::{self, Found};
use super::check::{Verdict, judge};
use super::extract::{Headers, Parameters, Visit, cookie_line};
use super::lookup::{CannotKnow, Standing};
use super::pages::SignOutPage;
use super::problem::Problem;
use super::respond::{self, Destination};
use super::{COMMIT_DEADLINE, Service, Worker, lookup};
use crate::audit::{self, Asker};

/// How long an acknowledgement waits until this replica itself has applied the end. One that is cut
/// off from the leader acknowledges all the same: the cluster has committed it.
const OWN_LAG_LIMIT: Duration = Duration::from_secs(1);

/// What a picture, a prefetch or a script's GET hears.
const ONLY_BY_PAGES: &str = "Signing out takes a navigation, or a POST by a script of this origin.\n";

/// Answers 302 once the end is committed; 503 and the cookie stays where it cannot be. A navigation that another site
/// caused gets a page to confirm, and what shows no page 403: neither changes anything.
pub async fn sign_out(request: HttpRequest, payload: web::Payload, worker: web::Data<Worker>) -> HttpResponse {
    let service = &worker.service;
    let headers = Headers(request.headers());
    let visit = Visit::read(&request, &headers, service.gateway());
    match service.site.cause(&visit) {
        Cause::Own | Cause::OwnScript | Cause::SameSite => {}
        Cause::Elsewhere => return ask_first(&request, payload, &worker, &visit).await,
        Cause::Background => return respond::uncached_text(StatusCode::FORBIDDEN, ONLY_BY_PAGES),
    }
    let standing = match chain::find(&request, &worker) {
        Found::Settled(standing) => standing,
        Found::Later(standing) => standing.await,
    };
    if matches!(standing, Standing::Refused) {
        return respond::uncached_text(StatusCode::FORBIDDEN, "Forbidden\n");
    }
    let id_token = id_token(&request, &worker, &standing);
    // As in oauth2-proxy: who may not pass now has no token to name. The provider is told all the same.
    let passes = judge(&request, &worker, Endpoint::Browser, &QueryConstraints::default(), &standing);
    let passes = matches!(passes, Verdict::Allow(_));
    // The session ends first: no parameter, however broken, keeps it alive.
    let ended = end_sessions(&request, &worker).await;
    let (target, unread) = match Parameters::read_leniently(&request, payload).await {
        Ok(read) => (service.site.target(&visit, read.first("rd"), service.gateway()), None),
        Err(invalid) => (ReturnTo::root(), Some(invalid)),
    };
    if let Err(problem) = ended {
        return respond::failure(&request, &worker, "sign-out", &problem, target.as_str());
    }
    tell_provider(&worker, id_token.as_deref()).await;
    let sent = cookie_line(&request);
    let mut cookies = service.site.clear_session(visit.host(), &sent);
    cookies.extend(service.site.clear_pieces(visit.host(), &sent));
    if let Some(invalid) = unread {
        return respond::failure_with(&request, &worker, "sign-out", &invalid.into(), "/", &cookies);
    }
    let id_token = id_token.as_deref().filter(|_| passes && is_the_providers(service, &target, &visit));
    respond::redirect(&request, Destination::SignedOut { target: &target, id_token }, &cookies)
}

/// Another site led the browser here. The person decides, and nothing has changed until then.
async fn ask_first(request: &HttpRequest, payload: web::Payload, worker: &Worker, visit: &Visit<'_>) -> HttpResponse {
    let (service, site) = (&worker.service, &worker.service.site);
    let parameters = match Parameters::read_leniently(request, payload).await {
        Ok(parameters) => parameters,
        Err(invalid) => return respond::failure(request, worker, "sign-out", &invalid.into(), "/"),
    };
    let target = site.target(visit, parameters.first("rd"), service.gateway());
    let page = SignOutPage { prefix: site.prefix(), target: target.as_str(), footer: site.config().footer.as_deref() };
    respond::form_page(site, StatusCode::OK, page.render(), &[])
}

/// Whether a target is at the provider: no other server gets a person's ID token.
fn is_the_providers(service: &Service, target: &ReturnTo, visit: &Visit<'_>) -> bool {
    let mut urls = service.provider.own_urls();
    urls.push(service.site.issuer().to_owned());
    urls.extend(service.site.config().backend_logout_url.clone());
    target.leads_to(&urls, &service.site.origin(visit))
}

/// The ID token of the asker: the bearer's own, or the session's; none without either.
fn id_token(request: &HttpRequest, worker: &Worker, standing: &Standing) -> Option<String> {
    if let Some(token) = chain::token_of(request, worker, standing) {
        return Some(token);
    }
    let tickets = lookup::tickets(worker, &cookie_line(request)).unwrap_or_default();
    tickets.iter().find_map(|ticket| lookup::body_of(worker, ticket)).map(|body| body.id_token)
}

/// Where a session ended and `backend_logout_url` is set. The call goes on when the browser hangs up.
async fn tell_provider(worker: &Worker, id_token: Option<&str>) {
    let (Some(backend), Some(id_token)) = (&worker.service.backend_logout, id_token) else { return };
    let (backend, id_token) = (backend.clone(), id_token.to_owned());
    if worker.service.run(async move { backend.tell(&id_token).await }).await.is_err() {
        tracing::warn!("backend_logout_url was not told: this replica is stopping");
    }
}

/// Commits the end of every session whose ticket the request brings. A cookie that is not ours is no
/// obstacle, and a session that has certainly ended is not ended again: a stolen dead ticket writes nothing.
pub async fn end_sessions(request: &HttpRequest, worker: &Worker) -> Result<(), Problem> {
    let service = &worker.service;
    let mut ended = 0;
    for key in brought(request, worker)? {
        let store = service.store().ok_or_else(|| service.not_ready())?.clone();
        // On the main runtime, so that a browser that hangs up does not take its sign-out back.
        let write = async move { store.write(Command::Revoke(Revoke::Session(key)), COMMIT_DEADLINE).await };
        let written = service.run(write).await??;
        if let Some(reader) = worker.reader() {
            // Who signed out here must not be let through here again, whatever the lag.
            reader.wait_applied(written.index, OWN_LAG_LIMIT).await;
        }
        service.opened.remove(&key);
        ended += 1;
    }
    if ended > 0 {
        service.metrics.sign_outs.inc();
        audit::signed_out(&Asker::of(request, service, Endpoint::Browser), ended);
    }
    Ok(())
}

/// The sessions whose cookies the request brings, but for those that have certainly ended.
pub fn brought(request: &HttpRequest, worker: &Worker) -> Result<Vec<SessionKey>, CannotKnow> {
    let tickets = lookup::tickets(worker, &cookie_line(request))?;
    Ok(tickets.iter().filter(|ticket| !certainly_gone(worker, ticket)).map(Ticket::key).collect())
}

fn certainly_gone(worker: &Worker, ticket: &Ticket) -> bool {
    worker.reader().is_some_and(|reader| matches!(reader.find(ticket), Lookup::Gone))
}
