//! The peer listener's one endpoint: a frame in, a frame out, on a connection that mutual TLS let in.

use std::any::Any;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::http::StatusCode;
use actix_web::rt::net::TcpStream;
use actix_web::web::{self, PayloadConfig, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use conclave_raft::PeerService;

/// The leaf certificate that the peer proved to hold, as DER.
struct PeerCertificate(Vec<u8>);

/// Takes the peer's certificate from a new connection. A connection without one answers nothing.
pub fn note_certificate(connection: &dyn Any, data: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
    let (_, session) = stream.get_ref();
    if let Some(leaf) = session.peer_certificates().and_then(<[_]>::first) {
        data.insert(PeerCertificate(leaf.as_ref().to_vec()));
    }
}

/// Lays the one path.
pub fn configure(config: &mut ServiceConfig, service: PeerService) {
    config
        .app_data(web::Data::new(service))
        .app_data(PayloadConfig::new(PeerService::MAX_BODY))
        .service(web::resource(PeerService::PATH).route(web::post().to(serve)));
}

async fn serve(request: HttpRequest, body: web::Bytes, service: web::Data<PeerService>) -> HttpResponse {
    let Some(certificate) = request.conn_data::<PeerCertificate>() else {
        return HttpResponse::new(StatusCode::FORBIDDEN);
    };
    let answer = service.serve(&certificate.0, &body).await;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).content_type("application/octet-stream").body(answer.body)
}
