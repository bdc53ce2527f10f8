//! The form of local users on the sign-in page: a name and a password become a session.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse};
use conclave_proto::authorization::BasicCredentials;
use conclave_proto::forwarded::Endpoint;
use conclave_proto::htpasswd::LineDigest;
use conclave_proto::id::{AttemptId, SessionKey};
use conclave_proto::policy::{Known, Voucher, login_allowed};
use conclave_proto::redirect::ReturnTo;
use zeroize::Zeroizing;

use super::extract::{Parameters, Visit, cookie_line, header_text};
use super::new_session::{self, Committed, NewSession};
use super::problem::Problem;
use super::respond::{self, Destination};
use super::{Service, Worker, sign_out};
use crate::audit::{self, Asker};
use crate::local_users::LOCAL_PROVIDER;

/// Longest browser name kept.
const MAX_USER_AGENT: usize = 256;

/// What a request to the sign-in page was, as far as local users are concerned.
pub enum Attempt {
    /// No posted form, or there are no local users.
    None,
    /// A form without a name.
    NoName,
    /// Nobody has that name and password.
    Wrong,
    /// A session was made.
    SignedIn(HttpResponse),
}

/// Tries the posted name and password.
pub async fn attempt(
    request: &HttpRequest,
    worker: &Worker,
    visit: &Visit<'_>,
    parameters: &Parameters,
    target: &ReturnTo,
) -> Result<Attempt, Problem> {
    let service = &worker.service;
    let Some(local) = service.local.as_ref().filter(|_| *request.method() == Method::POST) else {
        return Ok(Attempt::None);
    };
    let Some(user) = parameters.first("username").filter(|user| !user.is_empty()) else {
        return Ok(Attempt::NoName);
    };
    if !service.site.cause(visit).may_bring_password() {
        return Err(Problem::ForeignForm);
    }
    let asker = Asker::of(request, service, Endpoint::Browser);
    let password = parameters.first("password").unwrap_or("").as_bytes().to_vec();
    let credentials = BasicCredentials { user: user.to_owned(), password: Zeroizing::new(password) };
    let Some(line) = local.admits(credentials, visit.original.client, service.runtime()).await? else {
        audit::password_refused(&asker);
        return Ok(Attempt::Wrong);
    };
    let agent = header_text(request, "user-agent").unwrap_or("");
    let admitted = Admitted {
        user: user.to_owned(),
        line,
        client: visit.original.client,
        user_agent: agent.chars().take(MAX_USER_AGENT).collect(),
        asker,
        replaces: sign_out::brought(request, worker)?,
    };
    // On the main runtime: a login that was admitted is committed even if the browser hangs up.
    let cookie = service.run(make_session(Arc::clone(service), admitted)).await??;
    let mut cookies = vec![service.site.session_cookie(&cookie, visit.host())];
    cookies.extend(service.site.clear_signed_pieces(visit.host(), &cookie_line(request)));
    Ok(Attempt::SignedIn(respond::redirect(request, Destination::Return(target), &cookies)))
}

/// A local user whose password fits.
struct Admitted {
    user: String,
    line: LineDigest,
    client: Option<IpAddr>,
    user_agent: String,
    asker: Asker,
    replaces: Vec<SessionKey>,
}

async fn make_session(service: Arc<Service>, admitted: Admitted) -> Result<String, Problem> {
    let store = service.store().ok_or_else(|| service.not_ready())?;
    let local = service.local.as_ref().ok_or_else(|| service.not_ready())?;
    let body = local.session_body(&admitted.user, admitted.line, false);
    let known = Known { identity: &body.identity, voucher: Voucher::LocalFile(admitted.line) };
    login_allowed(&service.policy(), known).map_err(Problem::NotAllowed)?;
    let mut attempt = [0; 16];
    service.entropy.fill(&mut attempt);
    let new = NewSession {
        attempt: AttemptId::from_bytes(attempt),
        provider: &LOCAL_PROVIDER,
        client_id: "",
        subject: &admitted.user,
        sid: None,
        body,
        client: admitted.client,
        user_agent: &admitted.user_agent,
        asker: &admitted.asker,
        replaces: admitted.replaces,
    };
    match new_session::commit(&service, store, new).await? {
        Committed::Cookie(value) => Ok(value),
        // The attempt's id was drawn a moment ago: nobody else has it.
        Committed::Elsewhere => Err(Problem::AlreadyFailed),
    }
}
