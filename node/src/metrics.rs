//! Prometheus metrics. Whatever a hot path counts is resolved at the start: no look-up by label there.

use std::time::Duration;

use conclave_proto::id::ProviderId;
use conclave_proto::policy::DenyReason;
use conclave_raft::{DiskRoom, Role, Status, StoreObserver};
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    TextEncoder,
};

use crate::http::lookup::{CannotKnow, NoSession};
use crate::oidc::{CallObserver, ProviderCall};

pub mod docs;
mod family;
mod requests;

pub use family::Described;
use family::Family;
pub use requests::{RequestMetrics, UnderWay};

/// Buckets of a flush: a fast disk takes 0.3 ms, a slow one tens of them.
const FLUSH_BUCKETS: [f64; 9] = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.03, 0.1, 1.0];

/// Buckets of a provider call, up to its time-out.
const CALL_BUCKETS: [f64; 8] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 5.0, 10.0];

/// Buckets of commands in one log entry, up to the most.
const BATCH_BUCKETS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// Buckets of bytes in one log entry, up to the most.
const BYTE_BUCKETS: [f64; 6] = [1024.0, 4096.0, 16384.0, 32768.0, 65536.0, 122_880.0];

/// What input can be malformed in, for `conclave_malformed_input_total`.
const KINDS: [&str; 9] = ["cookie", "login_cookie", "state", "code", "headers", "uri", "body", "parameters", "peer"];

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    described: Vec<Described>,
    /// HTTP requests, whatever for.
    pub requests: RequestMetrics,
    denied: Vec<(&'static str, IntCounter)>,
    /// Log lines that did not fit into the queue.
    pub lines_dropped: IntCounter,
    /// Checks let through.
    pub auth_allowed: IntCounter,
    /// Checks answered 401.
    pub auth_sign_in: IntCounter,
    /// Checks answered 403.
    pub auth_forbidden: IntCounter,
    /// Checks answered 503.
    pub auth_unavailable: IntCounter,
    /// Browsers sent to the provider.
    pub logins_started: IntCounter,
    /// Sessions committed.
    pub logins_succeeded: IntCounter,
    /// Callbacks that ended on an error page.
    pub logins_failed: IntCounter,
    /// Logins that the leader took no session for, as disks are nearly full.
    pub logins_without_room: IntCounter,
    /// Sign-outs committed.
    pub sign_outs: IntCounter,
    malformed: IntCounterVec,
    peer_refused: IntCounterVec,
    calls: IntCounterVec,
    call_seconds: HistogramVec,
    failed_open: IntCounter,
    certificates: IntCounterVec,
    doubtful: IntCounterVec,
    flush_seconds: Histogram,
    batch_commands: Histogram,
    batch_bytes: Histogram,
    gauges: Gauges,
}

/// What the process says of itself.
pub struct Seen<'s> {
    /// Whether it is ready.
    pub ready: bool,
    /// Bytes of opened sessions.
    pub opened_bytes: usize,
    /// The provider.
    pub provider: &'s ProviderId,
    /// Whether logins can be begun with it.
    pub provider_ready: bool,
    /// Gateways for whose checks no rule opens.
    pub closed_gateways: usize,
    /// Bytes free below the data directory, if that can be told.
    pub disk_free: Option<u64>,
}

/// One handle for each reason there is.
fn denials(family: &Family) -> Vec<(&'static str, IntCounter)> {
    let help = "Checks on /auth not let through, by reason: of 401, 403 and 503.";
    let denied = family.counters("conclave_auth_denied_total", help, &["reason"]);
    let codes = NoSession::CODES.iter().chain(&DenyReason::CODES).chain(&CannotKnow::CODES).chain(&["bad_input"]);
    codes.map(|code| (*code, denied.with_label_values(&[code]))).collect()
}

/// Both reasons, from the start on: an alert needs the zero.
fn doubtful(family: &Family) -> IntCounterVec {
    let help = "Checks that the configured kind of gateway does not send, for which no rule opened.";
    let doubtful = family.counters("conclave_doubtful_checks_total", help, &["reason"]);
    for reason in ["foreign_header", "missing_header"] {
        doubtful.with_label_values(&[reason]);
    }
    doubtful
}

/// What is read from the store when somebody looks.
struct Gauges {
    role: IntGaugeVec,
    term: IntGauge,
    applied: IntGauge,
    last_log: IntGauge,
    committed: IntGauge,
    freshness: Gauge,
    lag: IntGaugeVec,
    reachable: IntGaugeVec,
    round_trip: GaugeVec,
    sessions: IntGauge,
    ready: IntGauge,
    temporary: IntGauge,
    opened: IntGauge,
    provider_ready: IntGaugeVec,
    disk_free: IntGauge,
    closed_gateways: IntGauge,
    nearly_full: IntGauge,
    clock_deviation: Gauge,
}

impl Metrics {
    /// All families, registered.
    pub fn new() -> Self {
        let family = Family::default();
        let build = family.gauges("conclave_build_info", "1; the label says which version runs.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let checks = family.counters("conclave_auth_checks_total", "Checks on /auth by result.", &["result"]);
        let logins = family.counters("conclave_logins_total", "Logins by how far they came.", &["result"]);
        let malformed =
            family.counters("conclave_malformed_input_total", "Input that could not be what it should be.", &["kind"]);
        for kind in KINDS {
            malformed.with_label_values(&[kind]);
        }
        let calls = family.counters(
            "conclave_provider_calls_total",
            "Calls to identity providers.",
            &["provider", "call", "result"],
        );
        let call_seconds = family.histograms(
            "conclave_provider_call_seconds",
            "How long calls to identity providers took, in seconds.",
            &["provider", "call"],
            &CALL_BUCKETS,
        );
        Self {
            auth_allowed: checks.with_label_values(&["allowed"]),
            auth_sign_in: checks.with_label_values(&["sign_in"]),
            auth_forbidden: checks.with_label_values(&["forbidden"]),
            auth_unavailable: checks.with_label_values(&["unavailable"]),
            logins_started: logins.with_label_values(&["started"]),
            logins_succeeded: logins.with_label_values(&["succeeded"]),
            logins_failed: logins.with_label_values(&["failed"]),
            logins_without_room: family.counter(
                "conclave_logins_without_room_total",
                "Logins refused by the leader, as the storage is nearly full.",
            ),
            sign_outs: family.counter("conclave_sign_outs_total", "Sign-outs committed."),
            malformed,
            peer_refused: family.counters("conclave_peer_refused_total", "Peer messages refused.", &["why"]),
            calls,
            call_seconds,
            failed_open: family
                .counter("conclave_failed_open_total", "Checks let through past max_staleness by fail_open_max."),
            flush_seconds: family.histogram("conclave_flush_seconds", "Flush and sync of the store.", &FLUSH_BUCKETS),
            batch_commands: family.histogram("conclave_batch_commands", "Commands in one entry.", &BATCH_BUCKETS),
            batch_bytes: family.histogram("conclave_batch_bytes", "Bytes in one entry.", &BYTE_BUCKETS),
            requests: RequestMetrics::new(&family),
            denied: denials(&family),
            lines_dropped: family.counter("conclave_log_lines_dropped_total", "Log lines lost, as whoever reads the log is too slow."),
            certificates: family.counters("conclave_tls_reloads_total", "Changed certificate files that were taken over (ok) or not (failed), by the option that names the certificate.", &["option", "result"]),
            doubtful: doubtful(&family),
            gauges: Gauges::new(&family),
            described: family.described(),
            registry: family.registry,
        }
    }

    /// Counts input that could not be what it should be.
    pub fn bad_input(&self, kind: &'static str) {
        self.malformed.with_label_values(&[kind]).inc();
    }

    /// Whether the store lies where a restart ends all sessions.
    pub fn set_temporary(&self, temporary: bool) {
        self.gauges.temporary.set(temporary.into());
    }

    /// Takes over what the store says of itself.
    pub fn observe_store(&self, status: &Status) {
        self.gauges.observe(status);
    }

    /// Takes over what the process says of itself.
    pub fn observe_process(&self, seen: &Seen<'_>) {
        let gauges = &self.gauges;
        gauges.ready.set(seen.ready.into());
        gauges.opened.set(signed(seen.opened_bytes));
        gauges.provider_ready.with_label_values(&[seen.provider.as_str()]).set(seen.provider_ready.into());
        gauges.closed_gateways.set(signed(seen.closed_gateways));
        gauges.disk_free.set(seen.disk_free.map_or(-1, signed));
    }

    /// Counts a check that was refused, or could not be answered, by its reason.
    pub fn denied(&self, reason: &'static str) {
        if let Some((_, counter)) = self.denied.iter().find(|(name, _)| *name == reason) {
            counter.inc();
        }
    }

    /// Counts a check for which no rule opens, as the configured kind of gateway does not send such.
    pub fn doubtful_check(&self, reason: &'static str) {
        self.doubtful.with_label_values(&[reason]).inc();
    }

    /// Counts changed certificate files.
    pub fn certificates_changed(&self, option: &'static str, taken: bool) {
        self.certificates.with_label_values(&[option, if taken { "ok" } else { "failed" }]).inc();
    }

    /// What every family is.
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics could not be rendered whole");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Gauges {
    fn new(family: &Family) -> Self {
        Self {
            role: family.gauges("conclave_raft_role", "1 for the role that this replica has.", &["role"]),
            term: family.gauge("conclave_raft_term", "Raft's term."),
            applied: family.gauge("conclave_raft_applied_index", "The last entry applied."),
            last_log: family.gauge("conclave_raft_last_log_index", "The last entry in the log."),
            committed: family.gauge("conclave_raft_committed_index", "The last entry known to be committed."),
            freshness: family.float(
                "conclave_freshness_age_seconds",
                "Age of what this replica knows; NaN before it reached a leader.",
            ),
            lag: family.gauges("conclave_raft_member_lag", "Entries a member is behind, on the leader.", &["member"]),
            reachable: family.gauges("conclave_peer_reachable", "Whether a member answers.", &["member"]),
            round_trip: family.floats(
                "conclave_peer_round_trip_seconds",
                "Time of a question and its answer.",
                &["member"],
            ),
            sessions: family.gauge("conclave_sessions", "Live sessions."),
            ready: family.gauge("conclave_ready", "Whether this replica is ready."),
            temporary: family.gauge(
                "conclave_store_temporary",
                "1 if the store is in a temporary directory: a restart ends all sessions.",
            ),
            opened: family.gauge("conclave_opened_sessions_bytes", "Bytes of the cache of opened sessions."),
            provider_ready: family.gauges(
                "conclave_provider_ready",
                "1 while logins can be begun with a provider: its metadata and keys are known.",
                &["provider"],
            ),
            disk_free: family.gauge("conclave_disk_free_bytes", "Bytes free on the disk of data_dir; -1 if unknown."),
            closed_gateways: family.gauge(
                "conclave_closed_gateways",
                "Gateways for whose checks no rule opens on this replica: they sent one at auth_address without a header that the configured kind always sets.",
            ),
            nearly_full: family
                .gauge("conclave_storage_nearly_full", "1 while this replica's disk has no room for further sessions."),
            clock_deviation: family.float(
                "conclave_clock_deviation_seconds",
                "How far this replica's clock is ahead of the members' median; NaN if unknown.",
            ),
        }
    }

    fn observe(&self, status: &Status) {
        for role in [Role::Learner, Role::Follower, Role::Candidate, Role::Leader, Role::Stopped] {
            self.role.with_label_values(&[role.as_str()]).set((role == status.role).into());
        }
        self.term.set(signed(status.term));
        self.applied.set(signed(status.applied.get()));
        self.last_log.set(signed(status.last_log.get()));
        self.committed.set(signed(status.committed.get()));
        self.sessions.set(signed(status.sessions));
        self.nearly_full.set((status.disk_room == DiskRoom::NearlyFull).into());
        self.clock_deviation.set(status.clock_deviation_ms.map_or(f64::NAN, |millis| millis as f64 / 1000.0));
        self.freshness.set(status.fresh_age.map_or(f64::NAN, |age| age.as_duration().as_secs_f64()));
        // Members come and go, and only a leader knows how far they are.
        self.lag.reset();
        self.reachable.reset();
        self.round_trip.reset();
        for member in &status.members {
            let name = member.name.as_str();
            self.reachable.with_label_values(&[name]).set(member.reachable.into());
            if let Some(lag) = member.lag {
                self.lag.with_label_values(&[name]).set(signed(lag));
            }
            if let Some(round_trip) = member.round_trip {
                self.round_trip.with_label_values(&[name]).set(round_trip.as_duration().as_secs_f64());
            }
        }
    }
}

/// Prometheus' integers are signed; nothing here comes near the limit.
fn signed<N: TryInto<i64>>(number: N) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

impl StoreObserver for Metrics {
    fn flushed(&self, took: Duration) {
        self.flush_seconds.observe(took.as_secs_f64());
    }

    fn proposed(&self, commands: usize, bytes: usize) {
        self.batch_commands.observe(commands as f64);
        self.batch_bytes.observe(bytes as f64);
    }

    fn failed_open(&self) {
        self.failed_open.inc();
    }

    fn peer_refused(&self, why: &'static str) {
        self.peer_refused.with_label_values(&[why]).inc();
        if matches!(why, "malformed" | "too_large") {
            self.bad_input("peer");
        }
    }
}

impl CallObserver for Metrics {
    fn called(&self, provider: &ProviderId, call: ProviderCall, ok: bool, took: Duration) {
        let result = if ok { "ok" } else { "failed" };
        self.calls.with_label_values(&[provider.as_str(), call.as_str(), result]).inc();
        self.call_seconds.with_label_values(&[provider.as_str(), call.as_str()]).observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered() {
        let metrics = Metrics::new();
        metrics.auth_allowed.inc();
        metrics.bad_input("cookie");
        StoreObserver::proposed(&metrics, 3, 2048);
        metrics.called(&ProviderId::default(), ProviderCall::Token, false, Duration::from_millis(20));
        let text = metrics.render();
        for line in [
            "conclave_auth_checks_total{result=\"allowed\"} 1",
            "conclave_auth_checks_total{result=\"unavailable\"} 0",
            "conclave_malformed_input_total{kind=\"cookie\"} 1",
            "conclave_malformed_input_total{kind=\"state\"} 0",
            "conclave_batch_commands_sum 3",
            "conclave_provider_calls_total{call=\"token\",provider=\"default\",result=\"failed\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    /// A reason without a counter would be counted nowhere.
    #[test]
    fn every_reason_not_to_know_is_counted() {
        let every = [
            CannotKnow::NotReady,
            CannotKnow::Stale,
            CannotKnow::NoQuorum,
            CannotKnow::Version,
            CannotKnow::NoKeys,
            CannotKnow::TooBusy,
            CannotKnow::NoBody,
        ];
        let metrics = Metrics::new();
        for why in every {
            metrics.denied(why.code());
        }
        let text = metrics.render();
        for why in every {
            let line = format!("conclave_auth_denied_total{{reason=\"{}\"}} 1", why.code());
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        assert_eq!(every.map(CannotKnow::code), CannotKnow::CODES);
    }
}
