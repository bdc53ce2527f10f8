//! `/oauth2/sign_out`: ends the session in the whole cluster, then takes the cookie away.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use conclave_proto::command::{Command, Revoke};
use conclave_proto::forwarded::Endpoint;
use conclave_proto::policy::QueryConstraints;
use conclave_proto::ticket::Ticket;
use conclave_raft::Lookup;

use super::backend_logout::ID_TOKEN_PLACEHOLDER;
use super::chain::{self, Found};
use super::check::{Verdict, judge};
use super::extract::{Headers, Parameters, Visit, cookie_line};
use super::lookup::Standing;
use super::problem::Problem;
use super::respond::{self, Destination};
use super::{COMMIT_DEADLINE, Worker, lookup};
use crate::audit::{self, Asker};

/// How long an acknowledgement waits until this replica itself has applied the end. One that is cut
/// off from the leader acknowledges all the same: the cluster has committed it.
const OWN_LAG_LIMIT: Duration = Duration::from_secs(1);

/// Answers 302 once the end is committed; 503 and the cookie stays where it cannot be.
pub async fn sign_out(request: HttpRequest, payload: web::Payload, worker: web::Data<Worker>) -> HttpResponse {
    let service = &worker.service;
    let standing = match chain::find(&request, &worker) {
        Found::Settled(standing) => standing,
        Found::Later(standing) => standing.await,
    };
    if matches!(standing, Standing::Refused) {
        return respond::uncached_text(StatusCode::FORBIDDEN, "Forbidden\n");
    }
    let parameters = match Parameters::read(&request, payload).await {
        Ok(parameters) => parameters,
        Err(invalid) => return respond::failure(&request, &worker, "sign-out", &Problem::Unparsable(invalid), "/"),
    };
    let headers = Headers(request.headers());
    let visit = Visit::read(&request, &headers, service.gateway());
    let target = visit.target(parameters.first("rd"), service.gateway(), service.site.hosts(), service.site.prefix());
    let id_token = id_token(&request, &worker, &standing, target.as_str());
    // As in oauth2-proxy: who may not pass now has no token to name. The provider is told all the same.
    let passes = judge(&request, &worker, Endpoint::Browser, &QueryConstraints::default(), &standing);
    let named = id_token.as_deref().filter(|_| matches!(passes, Verdict::Allow(_)));
    match end_sessions(&request, &worker).await {
        Ok(()) => {
            tell_provider(&worker, id_token.as_deref()).await;
            let cookies = service.site.clear_session(visit.host(), &cookie_line(&request));
            let id_token = named;
            respond::redirect(&request, Destination::SignedOut { target: &target, id_token }, &cookies)
        }
        Err(problem) => respond::failure(&request, &worker, "sign-out", &problem, target.as_str()),
    }
}

/// The ID token of whoever asks where the target or the provider wants it: the bearer's own, or the
/// session's; none without either.
fn id_token(request: &HttpRequest, worker: &Worker, standing: &Standing, target: &str) -> Option<String> {
    if !target.contains(ID_TOKEN_PLACEHOLDER) && worker.service.backend_logout.is_none() {
        return None;
    }
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
    let tickets = lookup::tickets(worker, &cookie_line(request))?;
    let mut ended = 0;
    for ticket in tickets {
        if certainly_gone(worker, &ticket) {
            continue;
        }
        let key = ticket.key();
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

fn certainly_gone(worker: &Worker, ticket: &Ticket) -> bool {
    worker.reader().is_some_and(|reader| matches!(reader.find(ticket), Lookup::Gone))
}
