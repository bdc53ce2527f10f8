//! `GET /oauth2/auth`: the check that a gateway asks on each request. No await, no lock, no mailbox
//! and no store on the common path.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use conclave_proto::forwarded::Endpoint;
use conclave_proto::policy::QueryConstraints;

use super::Worker;
use super::chain::{self, Found};
use super::check::{Verdict, judge};
use super::extract::check_limits;
use super::lookup::Standing;
use super::respond::{self, AuthAnswer};
use crate::audit::{self, Asker};

/// Answers 202 (or 200), 401, 403 or 503, and nothing else.
pub async fn auth(request: HttpRequest, worker: web::Data<Worker>) -> HttpResponse {
    if let Err(invalid) = check_limits(&request) {
        worker.service.metrics.bad_input(invalid.kind());
        audit::bad_input(&Asker::of(&request, &worker.service, Endpoint::Auth), invalid);
        worker.service.metrics.auth_forbidden.inc();
        worker.service.metrics.denied("bad_input");
        return respond::auth(AuthAnswer::Forbid, &worker);
    }
    match chain::find(&request, &worker) {
        Found::Settled(standing) => answer(&request, &worker, &standing),
        Found::Later(standing) => answer(&request, &worker, &standing.await),
    }
}

/// What the gateways' listener says to every other path.
pub async fn nothing_else() -> HttpResponse {
    respond::text(StatusCode::NOT_FOUND, "Not Found: this listener answers the auth endpoint alone\n")
}

fn answer(request: &HttpRequest, worker: &Worker, standing: &Standing) -> HttpResponse {
    let service = &*worker.service;
    let constraints = match request.query_string() {
        "" => QueryConstraints::default(),
        query => QueryConstraints::parse(query),
    };
    let asker = || Asker::of(request, service, Endpoint::Auth);
    let answer = match judge(request, worker, Endpoint::Auth, &constraints, standing) {
        Verdict::Allow(session) => {
            service.metrics.auth_allowed.inc();
            AuthAnswer::Allow(session)
        }
        Verdict::SignIn(why) => {
            service.metrics.auth_sign_in.inc();
            service.metrics.denied(why.code());
            audit::check_denied(&asker(), why);
            AuthAnswer::SignIn
        }
        Verdict::Unknown(why) => {
            service.metrics.auth_unavailable.inc();
            service.metrics.denied(why.code());
            audit::check_unknown(&asker(), why);
            AuthAnswer::Unavailable
        }
        Verdict::Forbid(session, reason) => {
            service.metrics.auth_forbidden.inc();
            service.metrics.denied(reason.code());
            audit::check_forbidden(&asker(), session.map(|opened| &opened.identity), &reason);
            AuthAnswer::Forbid
        }
    };
    respond::auth(answer, worker)
}
