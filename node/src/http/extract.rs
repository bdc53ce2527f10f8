//! Untrusted input becomes a type: limits, parameters, who asked and for what.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::ErrorKind;

use actix_web::dev::RequestHead;
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{Method, Uri};
use actix_web::{HttpRequest, web};
use conclave_proto::fetch_metadata::Cause;
use conclave_proto::forwarded::{
    Arrival, Endpoint, GatewayConfig, HeaderView, OriginalRequest, OwnRequest, PeerAddress, default_targets,
    original_request,
};
use conclave_proto::redirect::{ReturnTo, Targets};
use percent_encoding::percent_decode_str;
use thiserror::Error;

use super::whole_request::{ARRIVES_WITHIN, HEAD_WITHIN};

/// Largest request head taken: what nginx takes by default, four buffers of 8 KiB.
pub const MAX_HEADER_BLOCK: usize = 32 * 1024;

/// Longest request URI: what nginx takes by default.
pub const MAX_URI: usize = 8 * 1024;

/// Largest body: only login callbacks by form post have one, with a code and a state.
pub const MAX_BODY: usize = 64 * 1024;

/// Most parameters looked at: a callback has about six.
const MAX_PARAMETERS: usize = 64;

/// Input that is refused before anything is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidInput {
    /// More than [`MAX_HEADER_BLOCK`].
    #[error("the request's headers are over {MAX_HEADER_BLOCK} bytes")]
    HeadersTooLarge,
    /// More than [`MAX_URI`].
    #[error("the request's URI is over {MAX_URI} bytes")]
    UriTooLong,
    /// More than [`MAX_BODY`].
    #[error("the request's body is over {MAX_BODY} bytes")]
    BodyTooLarge,
    /// The body was not there in time.
    #[error("the request's body did not arrive within {} seconds", (ARRIVES_WITHIN - HEAD_WITHIN).as_secs())]
    BodyTooSlow,
    /// The body broke off.
    #[error("the request's body could not be read")]
    Body,
    /// A broken percent escape, a semicolon, text that is not UTF-8, or too many parameters.
    #[error("the request's parameters cannot be read")]
    Parameters,
    /// A parameter that may come once came twice.
    #[error("the parameter {0} is given more than once")]
    Duplicate(&'static str),
}

impl InvalidInput {
    /// A short stable name, for metrics.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::HeadersTooLarge => "headers",
            Self::UriTooLong => "uri",
            Self::BodyTooLarge | Self::BodyTooSlow | Self::Body => "body",
            Self::Parameters | Self::Duplicate(_) => "parameters",
        }
    }
}

/// Which endpoint a path below the prefix or beside it is, where only the check is apart from the rest.
pub fn endpoint(request: &HttpRequest, prefix: &str) -> Endpoint {
    let is_check = request.path().strip_prefix(prefix) == Some("/auth");
    if is_check { Endpoint::Auth } else { Endpoint::Browser }
}

/// Whether head and URI keep the limits.
pub fn check_limits(request: &HttpRequest) -> Result<(), InvalidInput> {
    let head: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if head > MAX_HEADER_BLOCK {
        return Err(InvalidInput::HeadersTooLarge);
    }
    let uri = request.uri().path_and_query().map_or(0, |uri| uri.as_str().len());
    if uri > MAX_URI { Err(InvalidInput::UriTooLong) } else { Ok(()) }
}

/// A request's headers as the rules read them.
#[derive(Clone, Copy)]
pub struct Headers<'r>(pub &'r HeaderMap);

impl HeaderView for Headers<'_> {
    fn each<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        for value in self.0.get_all(name) {
            visit(value.as_bytes());
        }
    }
}

/// `;` becomes `&` in the query, as in oauth2-proxy for all that comes after: parameters, return
/// targets and what is handed on. A form in a body is not touched.
pub fn part_at_semicolons(head: &mut RequestHead) {
    let Some(query) = head.uri.query().filter(|query| query.contains(';')) else { return };
    let whole = format!("{}?{}", head.uri.path(), query.replace(';', "&"));
    let mut parts = head.uri.clone().into_parts();
    // It was a URI before, and `&` stands wherever `;` may.
    parts.path_and_query = whole.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        head.uri = uri;
    }
}

/// The other end of the connection; none is known on a Unix socket.
pub fn peer(request: &HttpRequest) -> PeerAddress {
    request.peer_addr().map_or(PeerAddress::Unix, |address| PeerAddress::Ip(address.ip()))
}

/// The kind of listener that a request came in at: one whose application does not say is open to all.
pub fn arrival(request: &HttpRequest) -> Arrival {
    request.app_data::<Arrival>().copied().unwrap_or_default()
}

/// The request as it came in.
pub fn own(request: &HttpRequest) -> OwnRequest<'_> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    OwnRequest {
        arrival: arrival(request),
        method: request.method().as_str(),
        scheme: if request.app_config().secure() { "https" } else { "http" },
        host: host.or_else(|| request.uri().host()).unwrap_or(""),
        uri: request.uri().path_and_query().map_or("/", |uri| uri.as_str()),
    }
}

/// One visit of a browser: what it asked for, as far as the gateway's headers are to be believed.
pub struct Visit<'r> {
    /// What the original request was.
    pub original: OriginalRequest<'r>,
    peer: PeerAddress,
    endpoint: Endpoint,
    own: OwnRequest<'r>,
    headers: &'r Headers<'r>,
}

impl<'r> Visit<'r> {
    /// Reads a request to a page of ours.
    pub fn read(request: &'r HttpRequest, headers: &'r Headers<'r>, gateway: &GatewayConfig) -> Self {
        Self::read_at(Endpoint::Browser, request, headers, gateway)
    }

    /// Reads a request that a browser made at this kind of endpoint, or that a gateway asks about there.
    pub fn read_at(
        endpoint: Endpoint,
        request: &'r HttpRequest,
        headers: &'r Headers<'r>,
        gateway: &GatewayConfig,
    ) -> Self {
        let (peer, own) = (peer(request), own(request));
        let original = original_request(gateway, &peer, endpoint, own, headers).request;
        Self { original, peer, endpoint, own, headers }
    }

    /// Host with port as the browser named it; empty if it named none.
    pub fn host(&self) -> &'r str {
        self.original.host.unwrap_or("")
    }

    /// The client's address for the log.
    pub fn client(&self) -> String {
        self.original.client.map_or_else(|| "-".to_owned(), |address| address.to_string())
    }

    /// Who caused the request, where browsers know this service by these hosts.
    pub fn cause(&self, own_hosts: &[&str]) -> Cause {
        Cause::of(self.own.method, self.headers, own_hosts)
    }

    /// Where the browser goes afterwards: the first valid one of `rd`, `X-Auth-Request-Redirect`, the
    /// forwarded URL and the own one; `/` if none is.
    pub fn target(&self, named: Option<&str>, gateway: &GatewayConfig, targets: &Targets<'_>) -> ReturnTo {
        let header =
            self.headers.0.get("x-auth-request-redirect").and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        let defaults = default_targets(gateway, &self.peer, self.endpoint, self.own, self.headers, targets.prefix);
        let candidates = named.into_iter().chain(header).chain(defaults.iter().map(String::as_str));
        ReturnTo::first_of(candidates, targets)
    }
}

/// A header's text, if it is there once and readable.
pub fn header_text<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// All that the `Cookie` header holds, as one line. Another application's cookie may hold bytes that
/// are no text: they are replaced, and do not take ours away.
pub fn cookie_line(request: &HttpRequest) -> Cow<'_, str> {
    let mut lines = request.headers().get_all(header::COOKIE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let first = lines.next().unwrap_or_default();
    lines.fold(first, |line, more| Cow::Owned(format!("{line}; {more}")))
}

/// The parameters of a request: those of a posted form, then those of the query.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl std::fmt::Debug for Parameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Parameters {
    /// Reads query and, of a posted form, body.
    pub async fn read(request: &HttpRequest, payload: web::Payload) -> Result<Self, InvalidInput> {
        check_limits(request)?;
        let mut all = Vec::new();
        if has_form(request) {
            let body = whole_body(payload).await?;
            let text = std::str::from_utf8(&body).map_err(|_| InvalidInput::Parameters)?;
            parse_into(text, &mut all)?;
        }
        parse_into(request.query_string(), &mut all)?;
        Ok(Self(all))
    }

    /// The same for pages that need no parameter: what cannot be decoded stays as it stands, and what is too
    /// much is left out.
    pub async fn read_leniently(request: &HttpRequest, payload: web::Payload) -> Result<Self, InvalidInput> {
        check_limits(request)?;
        let mut all = Vec::new();
        if has_form(request) {
            let body = whole_body(payload).await?;
            parse_leniently_into(&as_text(&body), &mut all);
        }
        parse_leniently_into(request.query_string(), &mut all);
        Ok(Self(all))
    }

    /// Reads the query alone, as leniently.
    pub fn of_query(request: &HttpRequest) -> Self {
        let mut all = Vec::new();
        parse_leniently_into(request.query_string(), &mut all);
        Self(all)
    }

    /// The first value of that name.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that may come once; an empty one counts as absent.
    pub fn once(&self, name: &'static str) -> Result<Option<&str>, InvalidInput> {
        let mut values = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(InvalidInput::Duplicate(name));
        }
        Ok(first.filter(|value| !value.is_empty()))
    }
}

async fn whole_body(payload: web::Payload) -> Result<web::Bytes, InvalidInput> {
    let body = payload.to_bytes_limited(MAX_BODY).await.map_err(|_| InvalidInput::BodyTooLarge)?;
    body.map_err(|error| match error.as_error::<PayloadError>() {
        Some(PayloadError::Io(error)) if error.kind() == ErrorKind::TimedOut => InvalidInput::BodyTooSlow,
        Some(_) | None => InvalidInput::Body,
    })
}

fn has_form(request: &HttpRequest) -> bool {
    let posts = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    let kind = header_text(request, "content-type").unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    posts && kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// As strict as Go's parser: what two parsers may read differently is refused, not guessed.
fn parse_into(text: &str, all: &mut Vec<(String, String)>) -> Result<(), InvalidInput> {
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if pair.contains(';') || all.len() >= MAX_PARAMETERS {
            return Err(InvalidInput::Parameters);
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        all.push((decode(name)?, decode(value)?));
    }
    Ok(())
}

fn decode(text: &str) -> Result<String, InvalidInput> {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let sound = (0..bytes.len()).all(|at| bytes[at] != b'%' || (hex(at + 1) && hex(at + 2)));
    if !sound {
        return Err(InvalidInput::Parameters);
    }
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().map(Into::into).map_err(|_| InvalidInput::Parameters)
}

/// As browsers read it: a semicolon is a letter, and a `%` that begins no escape is one itself.
fn parse_leniently_into(text: &str, all: &mut Vec<(String, String)>) {
    for pair in text.split('&').filter(|pair| !pair.is_empty()).take(MAX_PARAMETERS.saturating_sub(all.len())) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        all.push((decode_leniently(name), decode_leniently(value)));
    }
}

fn decode_leniently(text: &str) -> String {
    let spaced = text.replace('+', " ");
    let bytes: Vec<u8> = percent_decode_str(&spaced).collect();
    as_text(&bytes)
}

/// Bytes that are no text become escapes: a URL of an older encoding goes on naming the same page.
fn as_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing into a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use actix_web::FromRequest;
    use actix_web::http::header::HeaderValue;
    use actix_web::test::TestRequest;

    use super::*;

    async fn parameters(request: TestRequest) -> Result<Parameters, InvalidInput> {
        let (request, mut payload) = request.to_http_parts();
        let payload = web::Payload::from_request(&request, &mut payload).await.expect("a payload");
        Parameters::read(&request, payload).await
    }

    #[actix_web::test]
    async fn form_and_query_are_read_together() {
        let form = TestRequest::post()
            .uri("/oauth2/callback?state=b&x=%2Fa%20b+c")
            .insert_header(("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"))
            .set_payload("state=a&code=1");
        let read = parameters(form).await.expect("sound");
        assert_eq!(read.first("state"), Some("a"));
        assert_eq!(read.first("x"), Some("/a b c"));
        assert_eq!(read.once("state"), Err(InvalidInput::Duplicate("state")));
        assert_eq!(read.once("code"), Ok(Some("1")));
        assert_eq!(read.once("iss"), Ok(None));
    }

    #[actix_web::test]
    async fn what_parsers_read_differently_is_refused() {
        for query in ["a=%zz", "a=%2", "a=1;b=2", "a=%ff"] {
            let uri = format!("/oauth2/start?{query}");
            assert_eq!(parameters(TestRequest::get().uri(&uri)).await, Err(InvalidInput::Parameters), "{query}");
        }
    }

    #[actix_web::test]
    async fn where_none_is_needed_parameters_are_read_as_browsers_write_them() {
        let read = async |request: TestRequest| {
            let (request, mut payload) = request.to_http_parts();
            let payload = web::Payload::from_request(&request, &mut payload).await.expect("a payload");
            Parameters::read_leniently(&request, payload).await.expect("within the limits")
        };
        for (query, rd) in [
            ("rd=/caf%E9?n=%e9", "/caf%E9?n=%E9"),
            ("rd=%zz%", "%zz%"),
            ("rd=/a;b=1", "/a;b=1"),
            ("x=%ff&rd=%2Fc%C3%BC+d", "/c\u{fc} d"),
            ("%ff=1&;&rd=/x&rd=/y", "/x"),
        ] {
            let seen = read(TestRequest::get().uri(&format!("/oauth2/start?{query}"))).await;
            assert_eq!(seen.first("rd"), Some(rd), "{query}");
        }
        let form = TestRequest::post()
            .insert_header(("Content-Type", "application/x-www-form-urlencoded"))
            .set_payload(&b"a;b&rd=/\xe9%zz"[..]);
        assert_eq!(read(form).await.first("rd"), Some("/%E9%zz"));
        let many = format!("/oauth2/start?{}rd=/x", "a&".repeat(MAX_PARAMETERS));
        assert_eq!(read(TestRequest::get().uri(&many)).await.first("rd"), None);
    }

    #[test]
    fn semicolons_part_queries_and_nothing_else() {
        let read = |uri: &str| {
            let mut request = TestRequest::get().uri(uri).to_srv_request();
            part_at_semicolons(request.head_mut());
            request.uri().to_string()
        };
        assert_eq!(read("/a;b?c;d=%3B;e"), "/a;b?c&d=%3B&e");
        assert_eq!(read("http://h.test/a;b?c;d"), "http://h.test/a;b?c&d");
        assert_eq!(read("/a;b"), "/a;b");
    }

    #[test]
    fn foreign_cookies_do_not_take_ours_away() {
        let request = TestRequest::get()
            .append_header((header::COOKIE, HeaderValue::from_bytes(b"x=\xff\xfe; ours=1").expect("obs-text")))
            .append_header((header::COOKIE, "more=2"))
            .to_http_request();
        let line = cookie_line(&request);
        let ours: Vec<_> = conclave_proto::cookie::cookies_named(&line, "ours", 8).collect();
        let more: Vec<_> = conclave_proto::cookie::cookies_named(&line, "more", 8).collect();
        assert_eq!((ours, more), (vec!["1"], vec!["2"]));
        let one = TestRequest::get().insert_header((header::COOKIE, "a=1")).to_http_request();
        assert!(matches!(cookie_line(&one), Cow::Borrowed("a=1")));
    }

    #[actix_web::test]
    async fn rustsec_2022_0055_limits_hold() {
        let long = format!("/oauth2/start?rd={}", "a".repeat(MAX_URI));
        assert_eq!(parameters(TestRequest::get().uri(&long)).await, Err(InvalidInput::UriTooLong));
        let wide = TestRequest::get().uri("/").insert_header(("x-long", "a".repeat(MAX_HEADER_BLOCK)));
        assert_eq!(parameters(wide).await, Err(InvalidInput::HeadersTooLarge));
        let fat = TestRequest::post()
            .insert_header(("Content-Type", "application/x-www-form-urlencoded"))
            .set_payload("a".repeat(MAX_BODY + 1));
        assert_eq!(parameters(fat).await, Err(InvalidInput::BodyTooLarge));
    }
}
