//! Keeps other web sites out: a page elsewhere can make a browser talk to loopback, but cannot
//! change the `Host` and `Origin` that the browser sends.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};

/// On every answer: nothing foreign is loaded, nothing is framed, and forms lead to this machine
/// only (after a form, browsers check the redirects to replicas and app as well).
const ANSWER_HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
         form-action 'self' http://localhost:*; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Stricter ones make browsers send `Origin: null` with forms.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Why a request was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Foreign {
    Host,
    Origin,
}

/// Whether the request was meant for this server, at this port.
fn check(headers: &HeaderMap, port: u16) -> Result<(), Foreign> {
    let own = [format!("localhost:{port}"), format!("127.0.0.1:{port}")];
    let is_own = |value: &HeaderValue, prefix: &str| {
        let rest = value.to_str().ok().and_then(|text| text.strip_prefix(prefix));
        rest.is_some_and(|rest| own.iter().any(|name| name == rest))
    };
    let mut hosts = headers.get_all(header::HOST);
    if !hosts.next().is_some_and(|host| is_own(host, "")) || hosts.next().is_some() {
        return Err(Foreign::Host);
    }
    if headers.get_all(header::ORIGIN).all(|origin| is_own(origin, "http://")) { Ok(()) } else { Err(Foreign::Origin) }
}

/// Whether the request says that it comes from a page of this server: asked for where state changes.
pub(super) fn from_own_page(headers: &HeaderMap) -> bool {
    // Its value was checked with every request.
    headers.contains_key(header::ORIGIN)
}

/// Middleware: turns away what was not meant for `port`, and sets [`ANSWER_HEADERS`].
pub(super) async fn own_pages_only(
    port: u16,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut response = match check(request.headers(), port) {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(foreign) => {
            let text = match foreign {
                Foreign::Host => {
                    format!("This is a demonstration for this machine only: open http://localhost:{port}\n")
                }
                Foreign::Origin => "Other web sites cannot use this demonstration.\n".to_owned(),
            };
            request.into_response(HttpResponse::Forbidden().content_type("text/plain; charset=utf-8").body(text))
        }
    };
    for (name, value) in ANSWER_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(pairs: &[(HeaderName, &str)]) -> Result<(), Foreign> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        check(&headers, 4080)
    }

    #[test]
    fn only_own_names_pass() {
        assert_eq!(verdict(&[(header::HOST, "localhost:4080")]), Ok(()));
        assert_eq!(verdict(&[(header::HOST, "127.0.0.1:4080")]), Ok(()));
        for host in ["evil.test", "localhost", "localhost:4081", "localhost:4080.evil.test", "evil.test:4080", ""] {
            assert_eq!(verdict(&[(header::HOST, host)]), Err(Foreign::Host), "{host}");
        }
        assert_eq!(verdict(&[]), Err(Foreign::Host));
        let twice = [(header::HOST, "localhost:4080"), (header::HOST, "localhost:4080")];
        assert_eq!(verdict(&twice), Err(Foreign::Host));
    }

    #[test]
    fn only_own_pages_may_ask_across_origins() {
        let host = (header::HOST, "localhost:4080");
        assert_eq!(verdict(&[host.clone(), (header::ORIGIN, "http://localhost:4080")]), Ok(()));
        for origin in ["null", "https://localhost:4080", "http://localhost:4081", "http://evil.test", "localhost:4080"]
        {
            assert_eq!(verdict(&[host.clone(), (header::ORIGIN, origin)]), Err(Foreign::Origin), "{origin}");
        }
    }
}
