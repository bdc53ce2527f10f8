//! What checks have shown about the gateways that send them: which sources open nothing, and what the log says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use conclave_proto::forwarded::{
    CLOSED_FOR, ClosedSources, Doubt, Endpoint, Extracted, GatewayNotice, OpeningFacts, OriginalRequest, PeerAddress,
};
use conclave_proto::time::Clock;
use parking_lot::Mutex;

use crate::metrics::Metrics;

/// How long after a line about doubtful checks the next one comes: a visitor can cause them at will.
const QUIET_MILLIS: u64 = 60 * 60 * 1000;

/// The gateways of one replica, as their checks show them.
pub struct GatewayWatch {
    clock: Arc<dyn Clock>,
    /// Milliseconds since boot until which a source may be closed: past it, a check takes no lock.
    until: AtomicU64,
    closed: Mutex<ClosedSources>,
    foreign: Line,
    missing: Line,
}

impl GatewayWatch {
    /// Nothing seen so far.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            until: AtomicU64::new(0),
            closed: Mutex::new(ClosedSources::default()),
            foreign: Line::default(),
            missing: Line::default(),
        }
    }

    /// What rules may believe of a check: nothing, if its source is known not to be the configured kind of gateway.
    pub fn believed<'r>(
        &self,
        source: PeerAddress,
        endpoint: Endpoint,
        found: Extracted<'r>,
        metrics: &Metrics,
    ) -> OriginalRequest<'r> {
        if let Some(notice) = found.notice {
            self.doubt(source, &notice, metrics);
        }
        let mut request = found.request;
        if endpoint.asks() && self.is_closed(source) {
            request.opening = OpeningFacts::default();
        }
        request
    }

    /// Counts a doubtful check and says so, at most once an hour for each kind of doubt; a source that closes by it
    /// is said at once.
    pub fn doubt(&self, source: PeerAddress, notice: &GatewayNotice, metrics: &Metrics) {
        let (line, reason) = match notice.doubt {
            Doubt::Foreign(_) => (&self.foreign, "foreign_header"),
            Doubt::Missing(_) | Doubt::Empty(_) => (&self.missing, "missing_header"),
        };
        metrics.doubtful_check(reason);
        if notice.is_evidence() {
            self.close(source, notice);
        } else if let Some(checks) = line.due(self.clock.boottime().as_millis()) {
            tracing::warn!(checks, "{notice}");
        }
    }

    /// Sources for which no rule opens, as text.
    pub fn closed(&self) -> Vec<String> {
        let now = self.clock.boottime();
        let mut closed: Vec<String> = self.closed.lock().closed(now).map(named).collect();
        closed.sort();
        closed
    }

    fn close(&self, source: PeerAddress, notice: &GatewayNotice) {
        let now = self.clock.boottime();
        let mut table = self.closed.lock();
        let was_open = table.close(source, now);
        self.until.store(now.as_millis() + CLOSED_FOR.as_millis(), Ordering::Relaxed);
        drop(table);
        if was_open {
            tracing::warn!(source = named(source), "{notice}");
        }
    }

    fn is_closed(&self, source: PeerAddress) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return false;
        }
        let now = self.clock.boottime();
        now.as_millis() < until && self.closed.lock().is_closed(source, now)
    }
}

fn named(source: PeerAddress) -> String {
    match source {
        PeerAddress::Ip(address) => address.to_string(),
        PeerAddress::Unix => "unix socket".to_owned(),
    }
}

/// A line of the log that comes at most once in [`QUIET_MILLIS`], with how often it was due since.
#[derive(Default)]
struct Line {
    /// From when on it may come.
    next: AtomicU64,
    waiting: AtomicU64,
}

impl Line {
    /// How many doubtful checks a line now stands for, if one may come.
    fn due(&self, now: u64) -> Option<u64> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        let next = self.next.load(Ordering::Relaxed);
        if now < next {
            return None;
        }
        // Of several threads one writes it.
        self.next.compare_exchange(next, now + QUIET_MILLIS, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        self.waiting.fetch_sub(waiting, Ordering::Relaxed);
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use conclave_proto::forwarded::{Arrival, Gateway};

    use super::*;
    use crate::clock::SystemClock;

    const GATEWAY: PeerAddress = PeerAddress::Ip(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)));
    const ANOTHER: PeerAddress = PeerAddress::Ip(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 8)));

    fn check(doubt: Option<(Arrival, Doubt)>) -> Extracted<'static> {
        let opening = OpeningFacts { method: Some("GET"), uri: None, client: None };
        let request =
            OriginalRequest { method: Some("GET"), scheme: None, host: None, uri: None, client: None, opening };
        let notice = doubt.map(|(arrival, doubt)| GatewayNotice { configured: Gateway::Nginx, arrival, doubt });
        Extracted { request, notice }
    }

    #[test]
    fn evidence_closes_its_source_alone_and_says_so() {
        let (watch, metrics) = (GatewayWatch::new(Arc::new(SystemClock)), Metrics::new());
        let opens =
            |source, endpoint, found| watch.believed(source, endpoint, found, &metrics).opening.method.is_some();
        let lacking = |arrival| check(Some((arrival, Doubt::Missing("X-Original-URL"))));
        opens(GATEWAY, Endpoint::Auth, lacking(Arrival::Shared));
        assert!(watch.closed().is_empty(), "a visitor can send the same");
        opens(GATEWAY, Endpoint::Auth, check(Some((Arrival::GatewaysOnly, Doubt::Foreign("X-Forwarded-Uri")))));
        assert!(watch.closed().is_empty(), "and this through the right gateway");
        assert!(opens(GATEWAY, Endpoint::Auth, check(None)));
        opens(GATEWAY, Endpoint::Auth, lacking(Arrival::GatewaysOnly));
        assert_eq!(watch.closed(), ["10.0.0.7"]);
        assert!(!opens(GATEWAY, Endpoint::Auth, check(None)));
        assert!(opens(GATEWAY, Endpoint::Proxied, check(None)), "its own URL is the one that counts");
        assert!(opens(ANOTHER, Endpoint::Auth, check(None)));
        let text = metrics.render();
        assert!(text.contains("conclave_doubtful_checks_total{reason=\"missing_header\"} 2"), "{text}");
    }

    #[test]
    fn a_line_comes_once_an_hour_and_counts() {
        let line = Line::default();
        assert_eq!(line.due(5), Some(1));
        assert!((0..1000).all(|_| line.due(QUIET_MILLIS).is_none()));
        assert_eq!(line.due(QUIET_MILLIS + 5), Some(1001));
        assert_eq!(line.due(QUIET_MILLIS + 6), None);
    }
}
