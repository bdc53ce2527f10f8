//! The log lines about people: logins, denials with their reason, sign-outs. Never a token, ticket,
//! code or state.

use actix_web::HttpRequest;
use conclave_proto::forwarded::{Doubt, Endpoint, original_request};
use conclave_proto::logline::clipped;
use conclave_proto::policy::DenyReason;
use conclave_proto::session::Identity;
use tracing::{debug, info, warn};

use crate::config::LogFormat;
use crate::http::Service;
use crate::http::extract::{Headers, InvalidInput, own, peer};
use crate::http::lookup::{CannotKnow, NoSession};
use crate::http::problem::Problem;
use crate::http::{request_id, request_log};
use crate::inject::LeftOut;
use crate::oidc::BearerError;

/// The target of all these lines; `auth_logging=false` silences it.
pub const TARGET: &str = "conclave::audit";

/// The target of checks refused for want of a cookie: everybody's first visit, so no matter of authentication,
/// and not silenced with it. oauth2-proxy has them in its standard log as well.
const CHECKS: &str = "conclave::check";

/// oauth2-proxy's words for what came of an attempt.
const SUCCESS: &str = "AuthSuccess";
const FAILURE: &str = "AuthFailure";
const ERROR: &str = "AuthError";

/// Who asked for what, as far as the gateway's headers are to be believed. Texts from outside are cut at
/// [`MAX_VALUE`](conclave_proto::logline::MAX_VALUE) bytes.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Address of the client; `-` if unknown.
    pub client: String,
    /// The host that was asked for.
    pub host: String,
    /// The path, without the query, which may hold secrets.
    pub path: String,
    /// The gateway's, or a random one.
    pub request_id: String,
    /// HTTP method.
    pub method: String,
    /// HTTP version.
    pub protocol: &'static str,
    /// The client's name for itself.
    pub user_agent: String,
}

impl Asker {
    /// Reads it from a request. Where rules open, the check itself has named a gateway that is not the configured
    /// one; where none does, it is named here, since hosts and addresses in the log come from its headers too.
    pub fn of(request: &HttpRequest, service: &Service, endpoint: Endpoint) -> Self {
        let headers = Headers(request.headers());
        let found = original_request(service.gateway(), &peer(request), endpoint, own(request), &headers);
        let source = peer(request);
        let foreign = found.notice.filter(|notice| matches!(notice.doubt, Doubt::Foreign(_)));
        if let Some(notice) = foreign.filter(|_| !service.site.config().policy.opening.any()) {
            service.gateways.doubt(source, &notice, &service.metrics);
        }
        let original = found.request;
        let mut client = String::new();
        match (service.config.logging.format, original.client) {
            (LogFormat::Text, _) => request_log::client(request, service, Some(&original), &mut client),
            (LogFormat::Json, Some(address)) => client = address.to_string(),
            (LogFormat::Json, None) => client.push('-'),
        }
        Self {
            client,
            host: clipped(original.host.unwrap_or("-")).into_owned(),
            path: clipped(original.uri.map_or("-", path_of)).into_owned(),
            request_id: request_id::of(request, service).into_owned(),
            method: clipped(request.method().as_str()).into_owned(),
            protocol: request_log::protocol(request),
            user_agent: clipped(request_log::user_agent(request)).into_owned(),
        }
    }
}

/// A reason, which may quote what somebody sent.
fn said(reason: &impl ToString) -> String {
    clipped(&reason.to_string()).into_owned()
}

fn path_of(uri: &str) -> &str {
    uri.split(['?', '#']).next().unwrap_or("-")
}

/// One line about somebody who asks, with the fields that all these lines have.
macro_rules! say {
    ($level:ident, $asker:expr, $status:expr, $($rest:tt)+) => {{
        let Asker { client, host, path, request_id, method, protocol, user_agent } = $asker;
        $level!(target: TARGET, status = $status, client, host, path, request_id, method, protocol, user_agent, $($rest)+)
    }};
}

/// A check answered 401.
pub fn check_denied(asker: &Asker, why: NoSession) {
    if why == NoSession::NoCookie {
        let Asker { client, host, path, request_id, .. } = asker;
        info!(target: CHECKS, client, host, path, request_id, reason = %why, "check refused: no session");
        return;
    }
    say!(info, asker, FAILURE, reason = %why, "check refused: no session");
}

/// An `Authorization` header names nobody.
pub fn token_refused(asker: &Asker, why: &BearerError) {
    say!(info, asker, FAILURE, reason = said(why), "token not accepted");
}

/// A local user's password was wrong, or nobody has that name.
pub fn password_refused(asker: &Asker) {
    say!(info, asker, FAILURE, "sign-in refused: wrong name or password");
}

/// A check answered 403.
pub fn check_forbidden(asker: &Asker, who: Option<&Identity>, reason: &DenyReason) {
    let (user, email) = who.map_or(("-", "-"), |who| (&*who.user, &*who.email));
    let (user, email, reason) = (&*clipped(user), &*clipped(email), said(reason));
    say!(info, asker, FAILURE, user, email, reason, "check refused: forbidden");
}

/// A check answered 503.
pub fn check_unknown(asker: &Asker, why: CannotKnow) {
    say!(warn, asker, ERROR, reason = %why, "check not answered");
}

/// A request refused before anything was done with it.
pub fn bad_input(asker: &Asker, why: InvalidInput) {
    say!(info, asker, FAILURE, reason = %why, "request refused");
}

/// A login began.
pub fn login_started(asker: &Asker) {
    say!(debug, asker, "-", "login started");
}

/// A login succeeded and is committed.
pub fn logged_in(asker: &Asker, who: &Identity, provider: &str) {
    let (user, email, groups) = (&*clipped(&who.user), &*clipped(&who.email), who.groups.len());
    say!(info, asker, SUCCESS, user, email, groups, provider, "logged in");
}

/// A login goes on, and headers lack values of a claim.
pub fn values_left_out(asker: &Asker, left_out: &LeftOut) {
    let LeftOut { claim, values } = left_out;
    say!(
        warn,
        asker,
        "-",
        claim,
        values,
        "headers lack values of a claim: they cannot stand there as they are (list_separator_in_values)"
    );
}

/// A login, sign-in page or sign-out ended on an error page.
pub fn failed(asker: &Asker, what: &'static str, problem: &Problem) {
    let reason = said(&problem.reason());
    if problem.is_ours() {
        say!(warn, asker, ERROR, reason, "{what} failed");
    } else {
        say!(info, asker, FAILURE, reason, "{what} failed");
    }
}

/// A sign-out is committed; `sessions` of them ended.
pub fn signed_out(asker: &Asker, sessions: usize) {
    say!(info, asker, SUCCESS, sessions, "signed out");
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
