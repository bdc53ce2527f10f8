//! `/oauth2/userinfo`: who is logged in, as JSON. Never touches the cookie.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use conclave_proto::forwarded::Endpoint;
use conclave_proto::policy::QueryConstraints;
use serde::Serialize;
use serde_json::Value;

use super::Worker;
use super::chain::{self, Found};
use super::check::{Verdict, judge};
use super::extract::check_limits;
use super::respond;
use crate::audit::{self, Asker};
use crate::opened::Opened;

/// The answer's body, with oauth2-proxy's names.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserInfo<'s> {
    user: &'s str,
    email: &'s str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    groups: &'s [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    preferred_username: &'s str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    additional_claims: BTreeMap<&'s str, Value>,
}

/// Answers 200, 401, 403 or 503.
pub async fn userinfo(request: HttpRequest, worker: web::Data<Worker>) -> HttpResponse {
    if let Err(invalid) = check_limits(&request) {
        worker.service.metrics.bad_input(invalid.kind());
        return respond::uncached_text(StatusCode::FORBIDDEN, "Forbidden\n");
    }
    let standing = match chain::find(&request, &worker) {
        Found::Settled(standing) => standing,
        Found::Later(standing) => standing.await,
    };
    let asker = || Asker::of(&request, &worker.service, Endpoint::Browser);
    match judge(&request, &worker, Endpoint::Browser, &QueryConstraints::default(), &standing) {
        Verdict::Allow(session) => body(session),
        Verdict::SignIn(_) => respond::uncached_text(StatusCode::UNAUTHORIZED, "Unauthorized\n"),
        Verdict::Unknown(why) => {
            audit::check_unknown(&asker(), why);
            respond::uncached_text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n")
        }
        Verdict::Forbid(session, reason) => {
            audit::check_forbidden(&asker(), session.map(|opened| &opened.identity), &reason);
            respond::uncached_text(StatusCode::FORBIDDEN, "Forbidden\n")
        }
    }
}

fn parsed<'s>(name: &'s str, json: &str) -> Option<(&'s str, Value)> {
    Some((name, serde_json::from_str(json).ok()?))
}

fn body(session: Option<&Opened>) -> HttpResponse {
    let json = session.map(|opened| UserInfo {
        user: &opened.identity.user,
        email: &opened.identity.email,
        groups: &opened.identity.groups,
        preferred_username: &opened.identity.preferred_username,
        additional_claims: opened.claims.iter().filter_map(|(name, json)| parsed(name, json)).collect(),
    });
    let text = match json {
        Some(info) => serde_json::to_string(&info).unwrap_or_else(|_| "{}".to_owned()),
        None => "{}".to_owned(),
    };
    respond::uncached(StatusCode::OK).content_type("application/json").body(text + "\n")
}
