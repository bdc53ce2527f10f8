//! One line per HTTP request, as oauth2-proxy writes it, without the secrets in its URI.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::Version;
use actix_web::http::header::{self, HeaderName};
use conclave_proto::forwarded::{Gateway, OriginalRequest, original_request};
use conclave_proto::logline::{Field, Template, Values, clipped, push_quoted, push_word, redacted};
use conclave_proto::time::Timestamp;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use tracing::Level;

use super::extract::{Headers, endpoint, own, peer};
use super::{Service, request_id};
use crate::config::{Config, LogFormat};
use crate::telemetry::{self, Lines, stamp};

/// What an allowed answer names its user in.
static GAP_AUTH: HeaderName = HeaderName::from_static("gap-auth");

/// Room for a usual line.
const USUAL_LENGTH: usize = 320;

/// Writes request lines.
pub(crate) struct RequestLog {
    form: Form,
    lines: Lines,
    local_time: bool,
    silent: Vec<String>,
    reads_original: bool,
}

enum Form {
    Text(Template),
    Json,
}

impl RequestLog {
    /// None where `request_logging` or the level switches request lines off.
    pub fn of(config: &Config, lines: &Lines) -> Option<Self> {
        let enabled = tracing::enabled!(target: telemetry::REQUESTS, Level::INFO);
        (config.logging.requests && enabled).then(|| Self::new(config, lines))
    }

    fn new(config: &Config, lines: &Lines) -> Self {
        let logging = &config.logging;
        let mut silent = logging.exclude_paths.clone();
        if logging.silence_ping {
            silent.extend(config.health.paths().map(str::to_owned));
        }
        let (form, reads_original) = match logging.format {
            LogFormat::Text => {
                let form = logging.forms.request.clone();
                let reads = form.uses(Field::Client) || form.uses(Field::Host);
                (Form::Text(form), reads)
            }
            LogFormat::Json => (Form::Json, true),
        };
        Self { form, lines: lines.clone(), local_time: logging.local_time, silent, reads_original }
    }

    /// Logs an answered request.
    pub fn answered(&self, service: &Service, response: &ServiceResponse, took: Duration) {
        if self.is_silent(response.request().path()) {
            return;
        }
        let mut line = String::with_capacity(USUAL_LENGTH);
        self.write(service, response, took, &mut line);
        line.push('\n');
        self.lines.offer(line);
    }

    fn is_silent(&self, path: &str) -> bool {
        if self.silent.is_empty() {
            return false;
        }
        let path = if path.contains('%') { percent_decode_str(path).decode_utf8_lossy() } else { Cow::Borrowed(path) };
        self.silent.iter().any(|silent| *silent == *path)
    }

    fn write(&self, service: &Service, response: &ServiceResponse, took: Duration, line: &mut String) {
        let request = response.request();
        let headers = Headers(request.headers());
        let original = self.reads_original.then(|| {
            let endpoint = endpoint(request, service.site.prefix());
            original_request(service.gateway(), &peer(request), endpoint, own(request), &headers).request
        });
        let told =
            Told { service, request, response, original, took, now: service.clock.now(), local: self.local_time };
        match &self.form {
            Form::Text(form) => form.render(&told, line),
            Form::Json => told.json(line),
        }
    }
}

/// The client as the log names it. Without anything in front there is a port to name as well, as in
/// oauth2-proxy's text lines.
pub fn client(request: &HttpRequest, service: &Service, original: Option<&OriginalRequest<'_>>, out: &mut String) {
    let gateway = service.gateway();
    let direct = gateway.gateway == Gateway::None && !gateway.reverse_proxy;
    let written = match (direct, request.peer_addr(), original.and_then(|original| original.client)) {
        (true, Some(address), _) => write!(out, "{address}"),
        (_, _, Some(client)) => write!(out, "{client}"),
        (_, _, None) => out.write_str("-"),
    };
    // A text takes whatever is written to it.
    let _ = written;
}

/// The protocol as the log names it.
pub fn protocol(request: &HttpRequest) -> &'static str {
    match request.version() {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// The client's name for itself.
pub fn user_agent(request: &HttpRequest) -> &str {
    request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("")
}

struct Told<'r> {
    service: &'r Service,
    request: &'r HttpRequest,
    response: &'r ServiceResponse,
    original: Option<OriginalRequest<'r>>,
    took: Duration,
    now: Timestamp,
    local: bool,
}

/// The same in JSON, by the names that the other JSON lines have.
#[derive(Serialize)]
struct JsonLine<'r> {
    timestamp: String,
    level: &'static str,
    message: &'static str,
    client: &'r str,
    request_id: &'r str,
    user: &'r str,
    host: &'r str,
    method: &'r str,
    uri: &'r str,
    protocol: &'static str,
    user_agent: &'r str,
    status_code: u16,
    size: u64,
    seconds: f64,
    target: &'static str,
}

impl Told<'_> {
    fn host(&self) -> &str {
        self.original.as_ref().and_then(|original| original.host).unwrap_or("-")
    }

    fn user(&self) -> Cow<'_, str> {
        self.response.headers().get(&GAP_AUTH).map_or(Cow::Borrowed("-"), |who| String::from_utf8_lossy(who.as_bytes()))
    }

    fn uri(&self) -> Cow<'_, str> {
        redacted(self.request.uri().path_and_query().map_or("/", |uri| uri.as_str()))
    }

    fn size(&self) -> u64 {
        match self.response.response().body().size() {
            BodySize::Sized(bytes) => bytes,
            BodySize::None | BodySize::Stream => 0,
        }
    }

    fn json(&self, out: &mut String) {
        let mut client_text = String::new();
        match self.original.as_ref().and_then(|original| original.client) {
            Some(client) => drop(write!(client_text, "{client}")),
            None => client_text.push('-'),
        }
        let (user, uri) = (self.user(), self.uri());
        let line = JsonLine {
            timestamp: stamp::json(self.now),
            level: "INFO",
            message: "request",
            client: &client_text,
            request_id: &request_id::of(self.request, self.service),
            user: &clipped(&user),
            host: &clipped(self.host()),
            method: &clipped(self.request.method().as_str()),
            uri: &clipped(&uri),
            protocol: protocol(self.request),
            user_agent: &clipped(user_agent(self.request)),
            status_code: self.response.status().as_u16(),
            size: self.size(),
            seconds: self.took.as_secs_f64(),
            target: telemetry::REQUESTS,
        };
        // Texts and numbers always serialize.
        out.push_str(&serde_json::to_string(&line).unwrap_or_default());
    }
}

impl Values for Told<'_> {
    fn append(&self, field: Field, out: &mut String) {
        match field {
            Field::Client => client(self.request, self.service, self.original.as_ref(), out),
            Field::Host => push_word(self.host(), out),
            Field::Protocol => out.push_str(protocol(self.request)),
            // A text takes whatever is written to it.
            Field::RequestDuration => drop(write!(out, "{:.3}", self.took.as_secs_f64())),
            Field::RequestId => push_word(&request_id::of(self.request, self.service), out),
            Field::RequestMethod => push_word(self.request.method().as_str(), out),
            Field::RequestUri => push_quoted(&self.uri(), out),
            Field::ResponseSize => drop(write!(out, "{}", self.size())),
            Field::StatusCode => drop(write!(out, "{}", self.response.status().as_u16())),
            Field::Timestamp => stamp::line(self.now, self.local, out),
            Field::Upstream => out.push('-'),
            Field::UserAgent => push_quoted(user_agent(self.request), out),
            Field::Username => push_word(&self.user(), out),
            // Of the other two kinds of lines.
            Field::File | Field::Message | Field::Status => {}
        }
    }
}
