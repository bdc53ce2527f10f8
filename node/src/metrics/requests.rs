//! oauth2-proxy's own three metrics, about HTTP requests. All handles are there from the start.

use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::family::Family;

/// Go's default buckets, in seconds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Statuses that this service answers; others, which upstreams may send, are looked up by label.
const STATUSES: [u16; 22] =
    [101, 200, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 413, 414, 431, 500, 502, 503];

/// Methods by their label; the last stands for every other.
const METHODS: [&str; 9] = ["get", "head", "post", "put", "delete", "options", "connect", "patch", "unknown"];

/// Counters of requests.
pub struct RequestMetrics {
    by_status: Vec<(u16, IntCounter)>,
    total: IntCounterVec,
    in_flight: IntGauge,
    seconds: Vec<Histogram>,
}

impl RequestMetrics {
    pub(super) fn new(family: &Family) -> Self {
        let total = family.counters(
            "oauth2_proxy_requests_total",
            "HTTP requests by status, without ping and ready.",
            &["code"],
        );
        let seconds = family.histograms(
            "oauth2_proxy_response_duration_seconds",
            "Time to answer, in seconds, by method in lower case.",
            &["method"],
            &BUCKETS,
        );
        Self {
            by_status: STATUSES.map(|status| (status, total.with_label_values(&[&status.to_string()]))).to_vec(),
            total,
            in_flight: family.gauge("oauth2_proxy_requests_in_flight", "HTTP requests being answered."),
            seconds: METHODS.map(|method| seconds.with_label_values(&[method])).to_vec(),
        }
    }

    /// A request came; it counts as under way until the guard goes.
    pub fn begin(&self) -> UnderWay {
        self.in_flight.inc();
        UnderWay(self.in_flight.clone())
    }

    /// It was answered.
    pub fn answered(&self, method: &Method, status: StatusCode, took: Duration) {
        let status = status.as_u16();
        match self.by_status.binary_search_by_key(&status, |(status, _)| *status) {
            Ok(at) => self.by_status[at].1.inc(),
            Err(_) => self.total.with_label_values(&[&status.to_string()]).inc(),
        }
        self.seconds[label(method)].observe(took.as_secs_f64());
    }
}

/// A request under way. Dropped with it, even when the client hangs up.
pub struct UnderWay(IntGauge);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn label(method: &Method) -> usize {
    METHODS.iter().position(|name| name.eq_ignore_ascii_case(method.as_str())).unwrap_or(METHODS.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_has_its_place() {
        assert!(STATUSES.is_sorted());
        assert_eq!(METHODS[label(&Method::GET)], "get");
        assert_eq!(METHODS[label(&Method::TRACE)], "unknown");
    }
}
