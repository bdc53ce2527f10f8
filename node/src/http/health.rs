//! `/ping`, `/ready` and `/robots.txt`.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, web};

use super::{Service, Worker};

/// Liveness: the process answers. Depends on nothing else.
pub async fn ping() -> HttpResponse {
    plain(StatusCode::OK, "OK".to_owned())
}

/// Readiness, with the reasons against it.
pub async fn ready(worker: web::Data<Worker>) -> HttpResponse {
    readiness(&worker.service)
}

/// 200, or 503 with every reason.
pub fn readiness(service: &Service) -> HttpResponse {
    match service.unready_reasons().as_slice() {
        [] => plain(StatusCode::OK, "OK".to_owned()),
        reasons => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", reasons.join("; "))),
    }
}

/// Keeps crawlers out.
pub async fn robots() -> HttpResponse {
    plain(StatusCode::OK, "User-agent: *\nDisallow: /\n".to_owned())
}

/// Plain text without the headers of an error.
pub fn plain(status: StatusCode, body: String) -> HttpResponse {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    HttpResponse::build(status).insert_header((header::CONTENT_TYPE, kind)).body(body)
}
