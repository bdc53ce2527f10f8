//! `force_https`: what came in the clear is sent to https.

use actix_web::dev::RequestHead;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use conclave_proto::forwarded::{Arrival, Endpoint, OwnRequest, PeerAddress, original_request, secure_url};
use conclave_proto::redirect::LocalUri;

use super::extract::{Headers, Visit};
use super::respond::{self, Destination};
use super::{Listener, Service, Worker};
use crate::config::ListenAddress;

/// Whether a request came without TLS as far as trusted headers say; without them it came as the
/// listener speaks. A path that is not clean is cleaned first.
pub fn came_in_the_clear(head: &RequestHead, listener: Listener, service: &Service) -> bool {
    let own = OwnRequest {
        arrival: Arrival::Shared,
        method: head.method.as_str(),
        scheme: listener.scheme(),
        host: "",
        uri: head.uri.path(),
    };
    let peer = head.peer_addr.map_or(PeerAddress::Unix, |address| PeerAddress::Ip(address.ip()));
    let headers = Headers(&head.headers);
    let found = original_request(service.gateway(), &peer, Endpoint::Browser, own, &headers);
    found.request.scheme != Some("https") && LocalUri::cleaned(head.uri.path(), None).is_none()
}

/// 308 to the same address over https.
pub async fn to_https(request: HttpRequest, worker: web::Data<Worker>) -> HttpResponse {
    let service = &worker.service;
    let headers = Headers(request.headers());
    let visit = Visit::read(&request, &headers, service.gateway());
    let port = service.config.http.tls.as_ref().and_then(|tls| match &tls.address {
        ListenAddress::Tcp { port, .. } => Some(*port),
        ListenAddress::Unix { .. } | ListenAddress::Fd(_) => None,
    });
    let uri = request.uri().path_and_query().map_or("/", |uri| uri.as_str());
    match secure_url(visit.host(), port, uri) {
        Some(url) => respond::permanent(&request, Destination::Secure(&url)),
        None => respond::text(StatusCode::BAD_REQUEST, "Bad Request\n"),
    }
}
