//! The log lines about people: logins, denials with their reason, sign-outs. Never a token, ticket,
//! code or state.

use actix_web::HttpRequest;
use conclave_proto::forwarded::{Endpoint, original_request};
use conclave_proto::policy::DenyReason;
use conclave_proto::session::Identity;
use tracing::{debug, info, warn};

use crate::http::Service;
use crate::http::extract::{Headers, InvalidInput, header_text, own, peer};
use crate::http::lookup::{CannotKnow, NoSession};
use crate::http::problem::Problem;
use crate::oidc::BearerError;

/// The target of all these lines; `auth_logging=false` silences it.
pub const TARGET: &str = "conclave::audit";

/// Longest request id taken over into the log.
const MAX_REQUEST_ID: usize = 64;

/// Who asked for what, as far as the gateway's headers are to be believed.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Address of the client; `-` if unknown.
    pub client: String,
    /// The host that was asked for.
    pub host: String,
    /// The path, without the query, which may hold secrets.
    pub path: String,
    /// `X-Request-ID` or what `request_id_header` names.
    pub request_id: String,
}

impl Asker {
    /// Reads it from a request. Names a gateway whose headers are not the configured ones, once.
    pub fn of(request: &HttpRequest, service: &Service, endpoint: Endpoint) -> Self {
        let headers = Headers(request.headers());
        let found = original_request(service.gateway(), &peer(request), endpoint, own(request), &headers);
        if let Some(notice) = found.notice {
            service.notice_once(&notice);
        }
        let original = found.request;
        let request_id = header_text(request, &service.config.http.request_id_header).unwrap_or("-");
        Self {
            client: original.client.map_or_else(|| "-".to_owned(), |address| address.to_string()),
            host: original.host.unwrap_or("-").to_owned(),
            path: original.uri.map_or("-", path_of).to_owned(),
            request_id: request_id.chars().take(MAX_REQUEST_ID).collect(),
        }
    }
}

fn path_of(uri: &str) -> &str {
    uri.split(['?', '#']).next().unwrap_or("-")
}

/// A check answered 401.
pub fn check_denied(asker: &Asker, why: NoSession) {
    let Asker { client, host, path, request_id } = asker;
    info!(target: TARGET, client, host, path, request_id, reason = %why, "check refused: no session");
}

/// An `Authorization` header names nobody.
pub fn token_refused(asker: &Asker, why: &BearerError) {
    let Asker { client, host, path, request_id } = asker;
    info!(target: TARGET, client, host, path, request_id, reason = %why, "token not accepted");
}

/// A local user's password was wrong, or nobody has that name.
pub fn password_refused(asker: &Asker) {
    let Asker { client, host, request_id, .. } = asker;
    info!(target: TARGET, client, host, request_id, "sign-in refused: wrong name or password");
}

/// A check answered 403.
pub fn check_forbidden(asker: &Asker, who: Option<&Identity>, reason: &DenyReason) {
    let Asker { client, host, path, request_id } = asker;
    let (user, email) = who.map_or(("-", "-"), |who| (&*who.user, &*who.email));
    info!(target: TARGET, client, host, path, request_id, user, email, %reason, "check refused: forbidden");
}

/// A check answered 503.
pub fn check_unknown(asker: &Asker, why: CannotKnow) {
    let Asker { client, host, path, request_id } = asker;
    warn!(target: TARGET, client, host, path, request_id, reason = %why, "check not answered");
}

/// A request refused before anything was done with it.
pub fn bad_input(asker: &Asker, why: InvalidInput) {
    let Asker { client, host, path, request_id } = asker;
    info!(target: TARGET, client, host, path, request_id, reason = %why, "request refused");
}

/// A login began.
pub fn login_started(asker: &Asker) {
    let Asker { client, host, request_id, .. } = asker;
    debug!(target: TARGET, client, host, request_id, "login started");
}

/// A login succeeded and is committed.
pub fn logged_in(asker: &Asker, who: &Identity, provider: &str) {
    let Asker { client, host, request_id, .. } = asker;
    let (user, email, groups) = (&who.user, &who.email, who.groups.len());
    info!(target: TARGET, client, host, request_id, user, email, groups, provider, "logged in");
}

/// A login, sign-in page or sign-out ended on an error page.
pub fn failed(asker: &Asker, what: &'static str, problem: &Problem) {
    let Asker { client, host, request_id, .. } = asker;
    let reason = problem.reason();
    if problem.is_ours() {
        warn!(target: TARGET, client, host, request_id, reason, "{what} failed");
    } else {
        info!(target: TARGET, client, host, request_id, reason, "{what} failed");
    }
}

/// A sign-out is committed; `sessions` of them ended.
pub fn signed_out(asker: &Asker, sessions: usize) {
    let Asker { client, host, request_id, .. } = asker;
    info!(target: TARGET, client, host, request_id, sessions, "signed out");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_stay_out_of_the_log() {
        assert_eq!(path_of("/a/b?code=secret#x"), "/a/b");
        assert_eq!(path_of("/a#frag"), "/a");
    }
}
