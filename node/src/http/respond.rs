//! From outcome to HTTP answer: the only place that builds responses and their security headers.

use std::borrow::Cow;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use conclave_proto::cookie::SetCookie;
use conclave_proto::forwarded::Endpoint;
use conclave_proto::redirect::{LocalUri, ReturnTo};

use super::backend_logout::ID_TOKEN_PLACEHOLDER;
use super::pages::{self, ErrorPage};
use super::problem::{Problem, Shown};
use super::site::Site;
use super::{Service, Worker};
use crate::audit::{self, Asker};
use crate::opened::Opened;

static ACCEL_EXPIRES: HeaderName = HeaderName::from_static("x-accel-expires");
static REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

/// How soon a client may try again after a 503: about one election.
const RETRY_AFTER_SECONDS: &str = "2";

/// What `/auth` may say; nginx turns any other status into a 500 page on every site.
pub enum AuthAnswer<'a> {
    /// Let through, with what is known about the session.
    Allow(Option<&'a Opened>),
    /// Known not to have a session: 401.
    SignIn,
    /// Known, but refused by a rule: 403.
    Forbid,
    /// It cannot be known whether there is a session: 503.
    Unavailable,
}

/// The answer of `/auth`. It carries no cache headers, so that the gateway may cache it.
pub fn auth(answer: AuthAnswer<'_>, worker: &Worker) -> HttpResponse {
    match answer {
        AuthAnswer::Allow(session) => {
            let mut response = HttpResponse::new(worker.service.site.ok_status());
            add_session(&mut response, session, worker);
            response
        }
        AuthAnswer::SignIn => text(StatusCode::UNAUTHORIZED, "Unauthorized\n"),
        AuthAnswer::Forbid => text(StatusCode::FORBIDDEN, "Forbidden\n"),
        AuthAnswer::Unavailable => unavailable(),
    }
}

/// Puts what is known about a session on an answer that lets it through, as far as this listener may tell it; where a
/// rule opens without a session, headers without an identity.
pub fn add_session(response: &mut HttpResponse, session: Option<&Opened>, worker: &Worker) {
    let (service, arrival) = (&worker.service, worker.arrival());
    if session.is_some_and(|session| session.headers.withheld_at(arrival)) {
        service.notice_withheld();
    }
    let headers = response.headers_mut();
    for (name, value) in session.map_or(service.site.headers_of_nobody(), |session| session.headers.at(arrival)) {
        headers.insert(name.clone(), value.clone());
    }
}

fn unavailable() -> HttpResponse {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    response
}

/// A short answer in plain text.
pub fn text(status: StatusCode, body: &'static str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .body(body)
}

/// An answer under the prefix, other than of `/auth`: never to be cached.
pub fn uncached(status: StatusCode) -> HttpResponseBuilder {
    let mut builder = HttpResponse::build(status);
    let no_cache = HeaderValue::from_static("no-cache, no-store, must-revalidate, max-age=0");
    builder
        .insert_header((header::CACHE_CONTROL, no_cache))
        .insert_header((header::EXPIRES, HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 UTC")))
        .insert_header((ACCEL_EXPIRES.clone(), HeaderValue::from_static("0")))
        .insert_header((REFERRER_POLICY.clone(), HeaderValue::from_static("no-referrer")));
    builder
}

/// [`text`] that is never cached.
pub fn uncached_text(status: StatusCode, body: &'static str) -> HttpResponse {
    uncached(status)
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .body(body)
}

/// An HTML page.
pub fn page_response(status: StatusCode, html: String, cookies: &[SetCookie]) -> HttpResponse {
    let mut builder = uncached(status);
    add_cookies(&mut builder, cookies);
    as_page(builder, pages::content_security_policy(None), html)
}

/// A page whose form is posted back here. Its policy lets the configured picture in, and its own POST carries an
/// `Origin` by which it is known, which `no-referrer` would make `null`.
pub fn form_page(site: &Site, status: StatusCode, html: String, cookies: &[SetCookie]) -> HttpResponse {
    let mut builder = uncached(status);
    builder.insert_header((REFERRER_POLICY.clone(), HeaderValue::from_static("same-origin")));
    add_cookies(&mut builder, cookies);
    as_page(builder, pages::content_security_policy(site.config().logo.as_ref()), html)
}

fn as_page(mut builder: HttpResponseBuilder, policy: Cow<'static, str>, html: String) -> HttpResponse {
    builder
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .insert_header((header::CONTENT_SECURITY_POLICY, &*policy))
        .body(html)
}

/// What a `static://` upstream answers.
pub fn fixed(status: u16) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return HttpResponse::new(status);
    }
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    HttpResponse::build(status).insert_header((header::CONTENT_TYPE, kind)).body("Authenticated")
}

/// The answer for programs: the status says it all.
pub fn json_error(status: StatusCode) -> HttpResponse {
    let kind = HeaderValue::from_static("application/json");
    let mut response = HttpResponse::build(status).insert_header((header::CONTENT_TYPE, kind)).body("{}");
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    response
}

/// What a `Location` may be made of.
pub enum Destination<'a> {
    /// A checked return target.
    Return(&'a ReturnTo),
    /// A checked return target in which `{id_token}` gives way to the token of the ended session, where it is the
    /// provider's.
    SignedOut {
        /// Where to.
        target: &'a ReturnTo,
        /// None without a session, as in oauth2-proxy, and for any other target: then the placeholder stays.
        id_token: Option<&'a str>,
    },
    /// The provider's authorization endpoint, as the provider built it.
    Provider(&'a str),
    /// The clean form of the path that was asked for.
    Clean(&'a LocalUri),
    /// The path that was asked for with a slash at its end.
    Slashed(&'a LocalUri),
    /// The address that was asked for, over https.
    Secure(&'a str),
}

impl Destination<'_> {
    fn location(&self) -> Cow<'_, str> {
        match self {
            Self::Return(target) => Cow::Borrowed(target.as_str()),
            Self::SignedOut { target, id_token: None } => Cow::Borrowed(target.as_str()),
            Self::SignedOut { target, id_token: Some(id_token) } => {
                // A token is base64url and dots; anything else is none and stays out of the header.
                let sound = id_token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
                let token = if sound { id_token } else { "" };
                Cow::Owned(target.as_str().replace(ID_TOKEN_PLACEHOLDER, token))
            }
            Self::Provider(url) | Self::Secure(url) => Cow::Borrowed(url),
            Self::Clean(uri) | Self::Slashed(uri) => Cow::Borrowed(uri.as_str()),
        }
    }
}

/// A 302.
pub fn redirect(request: &HttpRequest, to: Destination<'_>, cookies: &[SetCookie]) -> HttpResponse {
    let mut builder = uncached(StatusCode::FOUND);
    add_cookies(&mut builder, cookies);
    lead(request, builder, &to, "Found")
}

/// A 301: the address has another form.
pub fn moved(request: &HttpRequest, to: Destination<'_>) -> HttpResponse {
    lead(request, HttpResponse::build(StatusCode::MOVED_PERMANENTLY), &to, "Moved Permanently")
}

/// A 308: the same request again, elsewhere.
pub fn permanent(request: &HttpRequest, to: Destination<'_>) -> HttpResponse {
    lead(request, HttpResponse::build(StatusCode::PERMANENT_REDIRECT), &to, "Permanent Redirect")
}

/// With a line of HTML for whoever cannot follow it, where the method allows a body. A path that is
/// cleaned gets none, as in oauth2-proxy.
fn lead(
    request: &HttpRequest,
    mut builder: HttpResponseBuilder,
    to: &Destination<'_>,
    words: &'static str,
) -> HttpResponse {
    let location = to.location();
    builder.insert_header((header::LOCATION, &*location));
    let bodiless = matches!(to, Destination::Clean(_)) || !matches!(*request.method(), Method::GET | Method::HEAD);
    if bodiless {
        return builder.finish();
    }
    builder.insert_header((header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")));
    builder.body(format!("<a href=\"{}\">{words}</a>.\n", pages::escape(&location)))
}

fn add_cookies(builder: &mut HttpResponseBuilder, cookies: &[SetCookie]) {
    for cookie in cookies {
        builder.append_header((header::SET_COOKIE, cookie.header_value()));
    }
}

/// The answer where an upstream of that scheme would.
pub fn not_served(service: &Service, scheme: &str) -> HttpResponse {
    let page = ErrorPage {
        status: 501,
        title: "Not served",
        cause: &format!(
            "This address belongs to an {scheme}:// upstream, and requests are not handed on to those yet."
        ),
        advice: "Let the gateway ask this service (auth_request, forwardAuth) and send requests to the application itself.",
        back: None,
        prefix: None,
        footer: service.site.config().footer.as_deref(),
    };
    let builder = HttpResponse::build(StatusCode::NOT_IMPLEMENTED);
    as_page(builder, pages::content_security_policy(None), page.render())
}

/// Logs a problem and shows it.
pub fn failure(
    request: &HttpRequest,
    worker: &Worker,
    what: &'static str,
    problem: &Problem,
    back: &str,
) -> HttpResponse {
    failure_with(request, worker, what, problem, back, &[])
}

/// [`failure`] with cookies on the answer.
pub fn failure_with(
    request: &HttpRequest,
    worker: &Worker,
    what: &'static str,
    problem: &Problem,
    back: &str,
    cookies: &[SetCookie],
) -> HttpResponse {
    let service = &worker.service;
    audit::failed(&Asker::of(request, service, Endpoint::Browser), what, problem);
    if let Some(kind) = problem.malformed() {
        service.metrics.bad_input(kind);
    }
    let (status, html) = render_problem(service, problem, back);
    finish_problem(page_response(status, html, cookies))
}

/// The page about a problem that is logged already, outside the prefix.
pub fn problem_page(worker: &Worker, problem: &Problem, back: &str) -> HttpResponse {
    let (status, html) = render_problem(&worker.service, problem, back);
    finish_problem(as_page(HttpResponse::build(status), pages::content_security_policy(None), html))
}

fn render_problem(service: &Service, problem: &Problem, back: &str) -> (StatusCode, String) {
    let Shown { status, title, advice } = problem.shown();
    let (cause, reason) = (problem.to_string(), problem.reason());
    let debug = service.site.config().show_debug_on_error && cause != reason;
    let page = ErrorPage {
        status: status.as_u16(),
        title,
        cause: &if debug { format!("{cause}: {reason}") } else { cause },
        advice,
        back: Some(back),
        prefix: Some(service.site.prefix()),
        footer: service.site.config().footer.as_deref(),
    };
    (status, page.render())
}

fn finish_problem(mut response: HttpResponse) -> HttpResponse {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    response
}
