//! Peers, cookie secrets, the store's place and times.

use std::net::SocketAddr;
use std::path::Path;

use conclave_proto::id::PeerName;
use conclave_proto::keyring::CookieSecret;
use conclave_proto::time::Ttl;

use super::{Findings, Settings, span};
use crate::config::{ClusterConfig, DataDir, TimeoutPreset};

/// The name of a cluster of one, which nobody ever dials.
const ALONE: &str = "localhost";

/// Shorter, and a few lost packets make a replica refuse; longer, and a sign-out means little.
const STALENESS: (Ttl, Ttl) = (Ttl::from_millis(500), Ttl::from_secs(3600));

/// Longest addition to the staleness: it weakens every sign-out by as much.
const MAX_FAIL_OPEN: Ttl = Ttl::from_secs(24 * 3600);

/// Log bytes between snapshots: fewer makes building them the main work, more makes a restart slow.
const SNAPSHOT_BYTES: std::ops::RangeInclusive<i64> = 64 * 1024..=16 * 1024 * 1024 * 1024;

/// Longest time between snapshots.
const MAX_SNAPSHOT_INTERVAL: Ttl = Ttl::from_secs(24 * 3600);

/// Everything about the cluster.
pub(super) fn cluster(settings: &Settings, findings: &mut Findings) -> Option<ClusterConfig> {
    let peers = peers(settings, findings);
    let self_name = peers.as_deref().and_then(|peers| self_name(peers, settings, findings));
    let secrets = secrets(settings, findings);
    if let (Some(peers), Some(secrets)) = (&peers, &secrets) {
        check_secrets_for_peers(peers, secrets, findings);
    }
    let peer_address = peer_address(peers.as_deref(), settings, findings);
    let data_dir = settings.some_path("data_dir");
    if data_dir.is_none() {
        findings.problem("data_dir", "is empty: give the directory of the store");
    }
    let timeouts = timeouts(settings, findings);
    let max_staleness = span("max_staleness", STALENESS.0, STALENESS.1, settings, findings);
    let fail_open_max = span("fail_open_max", Ttl::ZERO, MAX_FAIL_OPEN, settings, findings);
    let snapshot_min_interval = span("snapshot_min_interval", Ttl::ZERO, MAX_SNAPSHOT_INTERVAL, settings, findings);
    let bytes = settings.int("snapshot_log_bytes");
    if !SNAPSHOT_BYTES.contains(&bytes) {
        let (from, to) = (SNAPSHOT_BYTES.start(), SNAPSHOT_BYTES.end());
        findings.problem("snapshot_log_bytes", format!("must lie between {from} and {to}"));
    }
    let per_person = u32::try_from(settings.int("sessions_per_person"));
    if per_person.is_err() {
        findings.problem("sessions_per_person", format!("must lie between 0 (no limit) and {}", u32::MAX));
    }
    Some(ClusterConfig {
        self_name: self_name?,
        peers: peers?,
        peer_address: peer_address?,
        data_dir: DataDir::Kept(data_dir?),
        secrets: secrets?,
        timeouts: timeouts?,
        max_staleness: max_staleness?,
        fail_open_max: fail_open_max?,
        sessions_per_person: per_person.ok()?,
        snapshot_log_bytes: u64::try_from(bytes).ok()?,
        snapshot_min_interval: snapshot_min_interval?,
    })
}

fn peers(settings: &Settings, findings: &mut Findings) -> Option<Vec<PeerName>> {
    let mut names = Vec::new();
    for raw in settings.items("peers") {
        match PeerName::parse(raw.trim()) {
            Ok(name) if names.contains(&name) => findings.problem("peers", format!("{name} stands there twice")),
            Ok(name) => names.push(name),
            Err(error) => findings.problem("peers", format!("{raw:?} {error}")),
        }
    }
    (names.len() == settings.items("peers").len()).then_some(names)
}

fn self_name(peers: &[PeerName], settings: &Settings, findings: &mut Findings) -> Option<PeerName> {
    let raw = settings.text("self").trim();
    if peers.is_empty() {
        let raw = if raw.is_empty() { ALONE } else { raw };
        return findings.take("self", PeerName::parse(raw));
    }
    if raw.is_empty() {
        findings.problem("self", "is missing: with `peers`, give this replica's own name among them");
        return None;
    }
    let name = findings.take("self", PeerName::parse(raw))?;
    if !peers.contains(&name) {
        let names: Vec<&str> = peers.iter().map(PeerName::as_str).collect();
        findings.problem("self", format!("{name} is none of the peers {}", names.join(", ")));
        return None;
    }
    Some(name)
}

fn peer_address(peers: Option<&[PeerName]>, settings: &Settings, findings: &mut Findings) -> Option<SocketAddr> {
    let raw = settings.text("peer_address");
    let Ok(address) = raw.strip_prefix(':').map_or_else(|| raw.parse(), |port| format!("[::]:{port}").parse()) else {
        findings.problem("peer_address", "is not IP:PORT, such as 0.0.0.0:4181");
        return None;
    };
    let address: SocketAddr = address;
    let local = |name: &PeerName| matches!(name.host(), "localhost") || name.host().starts_with("127.");
    if address.ip().is_loopback() && peers.is_some_and(|peers| peers.iter().any(|name| !local(name))) {
        let text =
            format!("{address} is reached from this machine only; peers elsewhere need 0.0.0.0:{}", address.port());
        findings.warning("peer_address", text);
    }
    Some(address)
}

/// The ring, active secret first.
fn secrets(settings: &Settings, findings: &mut Findings) -> Option<Vec<CookieSecret>> {
    let active = match (settings.text("cookie_secret"), settings.some_path("cookie_secret_file")) {
        ("", None) => {
            findings.problem(
                "cookie_secret",
                "is missing, and so is `cookie_secret_file`: make one with `openssl rand -base64 32 | tr -- '+/' '-_'`",
            );
            None
        }
        ("", Some(path)) => read_secret("cookie_secret_file", &path, findings)
            .and_then(|text| findings.take("cookie_secret", CookieSecret::parse(&text))),
        (literal, _) if literal.trim_matches([' ', '\t']) != literal => {
            findings.problem("cookie_secret", "has spaces around it: they may belong to it or not; take them away");
            None
        }
        (literal, _) => findings.take("cookie_secret", CookieSecret::parse(literal)),
    };
    let mut ring = vec![active];
    for literal in settings.items("cookie_secret_previous") {
        ring.push(findings.take("cookie_secret_previous", CookieSecret::parse(&literal)));
    }
    ring.into_iter().collect()
}

fn read_secret(name: &str, path: &Path, findings: &mut Findings) -> Option<String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    findings.take(name, text)
}

/// Who knows a secret of the ring can join the cluster, so none may be guessed.
fn check_secrets_for_peers(peers: &[PeerName], secrets: &[CookieSecret], findings: &mut Findings) {
    if peers.is_empty() {
        return;
    }
    for (position, secret) in secrets.iter().enumerate() {
        let name = if position == 0 { "cookie_secret" } else { "cookie_secret_previous" };
        match secret.check_for_peers() {
            Ok(warnings) => warnings.iter().for_each(|warning| findings.warning(name, warning.to_string())),
            Err(error) => {
                findings
                    .problem(name, format!("{error}; make a new one with `openssl rand -base64 32 | tr -- '+/' '-_'`"));
            }
        }
    }
}

fn timeouts(settings: &Settings, findings: &mut Findings) -> Option<TimeoutPreset> {
    match settings.text("raft_timeouts") {
        "lan" | "" => Some(TimeoutPreset::Lan),
        "wide-area" => Some(TimeoutPreset::WideArea),
        _ => {
            findings.problem("raft_timeouts", "must be lan or wide-area");
            None
        }
    }
}
