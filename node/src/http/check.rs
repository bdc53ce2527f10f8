//! From a request's standing to the verdict: what `/auth` and `/userinfo` share.

use actix_web::HttpRequest;
use conclave_proto::forwarded::{Endpoint, OpeningFacts, OriginalRequest, original_request};
use conclave_proto::policy::{Decision, DenyReason, QueryConstraints, decide};

use super::Worker;
use super::extract::{Headers, own, peer};
use super::lookup::{CannotKnow, NoSession, Standing};
use crate::opened::Opened;

/// The answer to a check, with its reason.
pub enum Verdict<'s> {
    /// Let through; without a session where a rule opens.
    Allow(Option<&'s Opened>),
    /// Nobody is logged in.
    SignIn(NoSession),
    /// It cannot be known whether somebody is.
    Unknown(CannotKnow),
    /// A rule refuses.
    Forbid(Option<&'s Opened>, DenyReason),
}

/// What is known of the original request where no rule asks for it.
const UNREAD: OriginalRequest<'static> = OriginalRequest {
    method: None,
    scheme: None,
    host: None,
    uri: None,
    client: None,
    opening: OpeningFacts { method: None, uri: None, client: None },
};

/// Judges a request. Rules that need no session go on while it cannot be known who asks.
pub fn judge<'s>(
    request: &HttpRequest,
    worker: &Worker,
    endpoint: Endpoint,
    constraints: &QueryConstraints,
    standing: &'s Standing,
) -> Verdict<'s> {
    let session = match standing {
        Standing::Refused => return Verdict::Forbid(None, DenyReason::Credentials),
        Standing::Live(opened) => Some(&**opened),
        Standing::Nobody(_) | Standing::Unknown(_) => None,
    };
    let policy = worker.policy();
    let who = session.map(Opened::known);
    let headers = Headers(request.headers());
    let original = if policy.opening.any() {
        let (service, source) = (&worker.service, peer(request));
        let found = original_request(service.gateway(), &source, endpoint, own(request), &headers);
        service.gateways.believed(source, endpoint, found, &service.metrics)
    } else {
        UNREAD
    };
    match (decide(&policy, &original, constraints, who), standing) {
        (Decision::Allow | Decision::AllowWithoutSession, _) => Verdict::Allow(session),
        (Decision::Forbid(reason), _) => Verdict::Forbid(session, reason),
        (Decision::SignIn, Standing::Unknown(why)) => Verdict::Unknown(*why),
        (Decision::SignIn, Standing::Nobody(why)) => Verdict::SignIn(*why),
        // decide() says SignIn only where nobody is named.
        (Decision::SignIn, Standing::Live(_) | Standing::Refused) => Verdict::SignIn(NoSession::Ended),
    }
}
