//! `/oauth2/callback`: the provider sends the browser back. State is compared before the code is
//! redeemed; the code is redeemed once in the whole cluster.

use actix_web::{HttpRequest, HttpResponse, web};
use conclave_proto::cookie::{MAX_COOKIES_TRIED, SetCookie, cookies_named};
use conclave_proto::forwarded::Endpoint;
use conclave_proto::login::{InvalidLogin, LoginAttempt};

use super::extract::{Headers, Parameters, Visit, cookie_line, header_text};
use super::problem::Problem;
use super::redeem::{Login, Redeemed, redeem};
use super::respond::{self, Destination};
use super::{Worker, sign_out};
use crate::audit::Asker;

/// Longest `error` and `error_description` shown: a page is no place for an essay.
const MAX_SHOWN: usize = 300;

/// Longest code taken: providers send up to about 2 KiB.
const MAX_CODE: usize = 8 * 1024;

/// Answers 302 to the target that was sealed at the start, or a page that says what went wrong.
pub async fn callback(request: HttpRequest, payload: web::Payload, worker: web::Data<Worker>) -> HttpResponse {
    let service = &worker.service;
    let parameters = match Parameters::read(&request, payload).await {
        Ok(parameters) => parameters,
        Err(invalid) => return respond::failure(&request, &worker, "login", &Problem::Unparsable(invalid), "/"),
    };
    let headers = Headers(request.headers());
    let visit = Visit::read(&request, &headers, service.gateway());
    let back = service.site.target(&visit, parameters.first("rd"), service.gateway());
    match complete(&request, &worker, &visit, &parameters).await {
        Ok(response) => response,
        Err(Failed { problem, cookies }) => {
            service.metrics.logins_failed.inc();
            respond::failure_with(&request, &worker, "login", &problem, back.as_str(), &cookies)
        }
    }
}

/// A problem, and the login cookie to clear where the attempt is spent.
struct Failed {
    problem: Problem,
    cookies: Vec<SetCookie>,
}

impl<P: Into<Problem>> From<P> for Failed {
    fn from(problem: P) -> Self {
        Self { problem: problem.into(), cookies: Vec::new() }
    }
}

async fn complete(
    request: &HttpRequest,
    worker: &Worker,
    visit: &Visit<'_>,
    parameters: &Parameters,
) -> Result<HttpResponse, Failed> {
    let (service, site) = (&worker.service, &worker.service.site);
    let answer = Answer::read(parameters)?;
    let found = match answer.state {
        Some(state) => find_attempt(request, worker, state),
        None => Err(Problem::Incomplete("state")),
    };
    if let Some(code) = answer.error {
        found.map_err(without_login)?;
        service.provider.check_iss(answer.iss).map_err(|_| Problem::Issuer)?;
        let description = answer.description.map(shorten);
        return Err(Problem::RefusedByProvider { code: shorten(code), description }.into());
    }
    let (name, attempt) = found?;
    service.provider.check_iss(answer.iss).map_err(|_| Problem::Issuer)?;
    let code = answer.code.filter(|code| code.len() <= MAX_CODE).ok_or(Problem::Incomplete("code"))?;

    let target = site.kept_target(visit, &attempt.target);
    let clear = site.clear_login(&name, visit.host());
    let login = Login {
        attempt,
        code: code.to_owned(),
        redirect_uri: site.redirect_uri(visit),
        client: visit.original.client,
        user_agent: header_text(request, "user-agent").unwrap_or("").to_owned(),
        asker: Asker::of(request, service, Endpoint::Browser),
        replaces: sign_out::brought(request, worker)?,
    };
    let redeemed = service.run(redeem(std::sync::Arc::clone(service), login)).await?;
    match redeemed {
        Ok(Redeemed::Session(ticket)) => {
            let mut cookies = vec![clear, site.session_cookie(&ticket, visit.host())];
            cookies.extend(site.clear_signed_pieces(visit.host(), &cookie_line(request)));
            Ok(respond::redirect(request, Destination::Return(&target), &cookies))
        }
        // Another request of the same answer made the session, and its cookie went with that one.
        Ok(Redeemed::Elsewhere) => Ok(respond::redirect(request, Destination::Return(&target), &[])),
        Err(problem) => {
            let cookies = if problem.clears_the_attempt() { vec![clear] } else { Vec::new() };
            Err(Failed { problem, cookies })
        }
    }
}

/// The parameters of the provider's answer; each may come once.
struct Answer<'p> {
    state: Option<&'p str>,
    code: Option<&'p str>,
    iss: Option<&'p str>,
    error: Option<&'p str>,
    description: Option<&'p str>,
}

impl<'p> Answer<'p> {
    fn read(parameters: &'p Parameters) -> Result<Self, Problem> {
        Ok(Self {
            state: parameters.once("state")?,
            code: parameters.once("code")?,
            iss: parameters.once("iss")?,
            error: parameters.once("error")?,
            description: parameters.once("error_description")?,
        })
    }
}

/// The login attempt of this browser that `state` belongs to, and its cookie's name.
fn find_attempt(request: &HttpRequest, worker: &Worker, state: &str) -> Result<(String, LoginAttempt), Problem> {
    let (service, site) = (&worker.service, &worker.service.site);
    let ring = worker.keyring();
    let ring = ring.as_deref().ok_or_else(|| service.not_ready())?;
    let name = LoginAttempt::cookie_name(site.cookie_name(), state);
    let (now, lifetime) = (service.clock.now(), site.login_lifetime());
    let mut why = if LoginAttempt::could_be_state(state) {
        "no login cookie for this state"
    } else {
        "the state is not one of ours: did the login begin at an oauth2-proxy?"
    };
    for value in cookies_named(&cookie_line(request), &name, MAX_COOKIES_TRIED) {
        match LoginAttempt::open(value, ring, &name, now, lifetime) {
            Ok(attempt) if !attempt.matches_state(state) => why = "state mismatch",
            Ok(attempt) if attempt.site != *site.id() || attempt.provider != *site.provider() => {
                why = "login cookie of another site or provider";
            }
            Ok(attempt) => return Ok((name.clone(), attempt)),
            Err(invalid) => {
                service.metrics.bad_input("login_cookie");
                why = unusable(invalid);
            }
        }
    }
    Err(Problem::NoLoginCookie { why })
}

/// An error that belongs to no login of this browser. Where it cannot be known whether one does, that is the problem.
fn without_login(problem: Problem) -> Problem {
    if let Problem::NoLoginCookie { why } = problem {
        return Problem::RefusedWithoutLogin { why };
    }
    if let Problem::Incomplete(_) = problem {
        return Problem::RefusedWithoutLogin { why: "the answer names an error and no state" };
    }
    problem
}

fn unusable(invalid: InvalidLogin) -> &'static str {
    match invalid {
        InvalidLogin::Malformed => "login cookie is malformed",
        InvalidLogin::Version => "login cookie of another version of this program",
        InvalidLogin::UnknownKey => {
            "login cookie sealed with a key that is not in the ring: was cookie_secret changed?"
        }
        InvalidLogin::NotAuthentic => "login cookie does not open",
        InvalidLogin::Expired => "login took too long: the login cookie has expired",
    }
}

fn shorten(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_SHOWN).collect()
}
