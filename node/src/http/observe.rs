//! What every request leaves behind: counters, and a line in the log.

use actix_web::dev::{ServiceRequest, ServiceResponse};
use tokio::time::Instant;

use super::Service;
use crate::metrics::UnderWay;

/// A request that is being answered.
pub(super) struct Seen {
    begun: Instant,
    /// None for ping and ready, which are not counted.
    counted: Option<UnderWay>,
}

/// A request came.
pub(super) fn begin(request: &ServiceRequest, service: &Service) -> Seen {
    let counted = (!service.is_health_path(request.path())).then(|| service.metrics.requests.begin());
    Seen { begun: Instant::now(), counted }
}

/// It was answered.
pub(super) fn answered(seen: Seen, response: &ServiceResponse, service: &Service) {
    let took = seen.begun.elapsed();
    if seen.counted.is_some() {
        service.metrics.requests.answered(response.request().method(), response.status(), took);
    }
    if let Some(log) = &service.request_log {
        log.answered(service, response, took);
    }
}
