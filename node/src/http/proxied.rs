//! Requests outside the prefix: whoever may pass is handed on to the upstream of the path, and who
//! is nobody is asked to sign in. Never touches the session cookie.

use actix_web::http::header;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use conclave_proto::forwarded::{Endpoint, original_request};
use conclave_proto::policy::{DenyReason, QueryConstraints};
use conclave_proto::redirect::{LocalUri, ReturnTo};
use conclave_proto::upstream::{Route, Target};

use super::chain::{self, Found};
use super::check::{Verdict, judge};
use super::extract::{Headers, Parameters, Visit, check_limits, own, peer};
use super::problem::Problem;
use super::respond::{self, Destination};
use super::{Worker, sign_in, start};
use crate::audit::{self, Asker};
use crate::opened::Opened;

/// What this endpoint is called in the log.
const WHAT: &str = "request";

/// Answers as the upstream does, or with a page, a redirect or JSON that says what is missing.
pub async fn proxied(request: HttpRequest, worker: web::Data<Worker>) -> HttpResponse {
    if let Err(invalid) = check_limits(&request) {
        return respond::failure(&request, &worker, WHAT, &invalid.into(), "/");
    }
    if request.method() == Method::CONNECT {
        // It asks for a tunnel, and names no path that could be cleaned.
        return respond::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    }
    let uri = request.uri();
    if let Some(clean) = LocalUri::cleaned(uri.path(), uri.query()) {
        return respond::moved(&request, Destination::Clean(&clean));
    }
    let Ok(route) = worker.service.site.config().upstreams.route(uri.path(), uri.query()) else {
        return respond::text(StatusCode::BAD_REQUEST, "Bad Request\n");
    };
    // A static upstream serves as a check for gateways too, so that there their headers count.
    let endpoint = match route {
        Route::To(Target::Static(_)) => Endpoint::Static,
        Route::To(Target::Http | Target::Unix | Target::File)
        | Route::Unclean(_)
        | Route::NoSlash(_)
        | Route::Nothing => Endpoint::Proxied,
    };
    let standing = match chain::find(&request, &worker) {
        Found::Settled(standing) => standing,
        Found::Later(standing) => standing.await,
    };
    let constraints = QueryConstraints::parse_proxied(request.query_string());
    let asker = || Asker::of(&request, &worker.service, endpoint);
    match judge(&request, &worker, endpoint, &constraints, &standing) {
        Verdict::Allow(session) => hand_on(&request, &worker, &route, session),
        Verdict::SignIn(why) => {
            audit::check_denied(&asker(), why);
            ask_to_sign_in(&request, &worker, endpoint).await
        }
        Verdict::Unknown(why) => {
            audit::check_unknown(&asker(), why);
            if wants_json(&request, &worker, endpoint) {
                return respond::json_error(StatusCode::SERVICE_UNAVAILABLE);
            }
            respond::problem_page(&worker, &why.into(), own_target(&request, &worker, endpoint).as_str())
        }
        Verdict::Forbid(session, reason) => {
            audit::check_forbidden(&asker(), session.map(|opened| &opened.identity), &reason);
            refuse(&request, &worker, endpoint, reason)
        }
    }
}

/// The upstream's answer, with what is known about the session.
fn hand_on(request: &HttpRequest, worker: &Worker, route: &Route, session: Option<&Opened>) -> HttpResponse {
    let mut response = match route {
        Route::To(Target::Static(status)) => respond::fixed(*status),
        Route::To(target @ (Target::Http | Target::Unix | Target::File)) => {
            respond::not_served(&worker.service, target.scheme())
        }
        Route::Unclean(clean) => respond::moved(request, Destination::Clean(clean)),
        Route::NoSlash(slashed) => respond::moved(request, Destination::Slashed(slashed)),
        Route::Nothing => respond::text(StatusCode::NOT_FOUND, "404 page not found\n"),
    };
    respond::add_session(&mut response, session, worker);
    response
}

/// JSON for programs, otherwise the sign-in page or the provider itself.
async fn ask_to_sign_in(request: &HttpRequest, worker: &Worker, endpoint: Endpoint) -> HttpResponse {
    if wants_json(request, worker, endpoint) {
        return respond::json_error(StatusCode::UNAUTHORIZED);
    }
    let service = &worker.service;
    let skip_page = service.site.config().skip_provider_button;
    let headers = Headers(request.headers());
    let visit = Visit::read_at(endpoint, request, &headers, service.gateway());
    if skip_page && !service.site.cause(&visit).shows_page() {
        return start::refuse_background();
    }
    // A posted form is the application's: only the query may name a target.
    let parameters = Parameters::of_query(request);
    let target = service.site.target(&visit, parameters.first("rd"), service.gateway());
    if !skip_page {
        let html = sign_in::render(worker, &target);
        return respond::form_page(&service.site, StatusCode::FORBIDDEN, html, &[]);
    }
    start::begin_asked(request, worker, &visit, &target, &[])
        .await
        .unwrap_or_else(|problem| respond::failure(request, worker, WHAT, &problem, target.as_str()))
}

/// Whether a program asks, which can do nothing with a page.
fn wants_json(request: &HttpRequest, worker: &Worker, endpoint: Endpoint) -> bool {
    let config = worker.service.site.config();
    if config.force_json_errors || accepts_json(request) {
        return true;
    }
    if config.api_routes.is_empty() {
        return false;
    }
    let (own, headers) = (own(request), Headers(request.headers()));
    let found = original_request(worker.service.gateway(), &peer(request), endpoint, own, &headers);
    let uri = found.request.uri.unwrap_or(own.uri);
    config.api_routes.iter().any(|pattern| pattern.matches(uri.as_bytes()))
}

/// Whether `Accept` names JSON itself: with parameters, in capitals or by a wildcard it does not, as
/// in oauth2-proxy.
fn accepts_json(request: &HttpRequest) -> bool {
    let values = request.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|kind| kind.trim() == "application/json")
}

/// 403: a constraint of the query is the gateway's affair and gets plain text; a rule of the site
/// gets a page that names it.
fn refuse(request: &HttpRequest, worker: &Worker, endpoint: Endpoint, reason: DenyReason) -> HttpResponse {
    match reason {
        DenyReason::QueryGroup { .. }
        | DenyReason::QueryEmail
        | DenyReason::QueryEmailDomain
        | DenyReason::Credentials
        | DenyReason::UnreadableConstraint(_) => respond::text(StatusCode::FORBIDDEN, "Forbidden\n"),
        DenyReason::NoEmail | DenyReason::Email { .. } | DenyReason::Group { .. } => {
            if worker.service.site.config().force_json_errors {
                return respond::json_error(StatusCode::FORBIDDEN);
            }
            let target = own_target(request, worker, endpoint);
            respond::problem_page(worker, &Problem::NotAllowed(reason), target.as_str())
        }
    }
}

/// Where "go back" leads: to the page that was asked for.
fn own_target(request: &HttpRequest, worker: &Worker, endpoint: Endpoint) -> ReturnTo {
    let service = &worker.service;
    let headers = Headers(request.headers());
    let visit = Visit::read_at(endpoint, request, &headers, service.gateway());
    service.site.target(&visit, None, service.gateway())
}
