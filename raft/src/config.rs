//! What the replicated store is told at start: names, secrets, places and times.

use std::path::PathBuf;
use std::sync::Arc;

use conclave_proto::id::PeerName;
use conclave_proto::keyring::CookieSecret;
use conclave_proto::time::Ttl;

use crate::disk::{DiskProbe, RealDisk};
use crate::limits::DEFAULT_CACHE_BYTES;
use crate::observer::{NoObserver, StoreObserver};
use crate::open::Verify;

/// The default bound on staleness, `max_staleness`.
pub const DEFAULT_MAX_STALENESS: Ttl = Ttl::from_secs(60);

/// Entries in one AppendEntries: with batched entries of at most 120 KiB the store's 1 MiB limit
/// binds first, so this only bounds the many small ones.
const MAX_PAYLOAD_ENTRIES: u64 = 64;

/// Entries kept behind a snapshot, so that a follower that was away briefly needs no snapshot.
const LOG_KEPT_BEHIND_SNAPSHOT: u64 = 256;

/// Entries purged in one step: a purge of ten thousand rows holds the store for 70 ms.
const PURGE_STEP: u64 = 64;

/// openraft's 200 ms is too short for a disk under load; the transport has its own deadline.
const INSTALL_SNAPSHOT_TIMEOUT_MS: u64 = 10_000;

/// Everything [`crate::ReplicatedStore::open`] needs.
#[derive(Clone)]
pub struct StoreConfig {
    /// Where log, state and marker live.
    pub data_dir: PathBuf,
    /// This replica's own name, one of `peers` where there are any.
    pub self_name: PeerName,
    /// All replicas, this one included; empty for a cluster of one.
    pub peers: Vec<PeerName>,
    /// The ring of cookie secrets, the active one first; never empty.
    pub secrets: Vec<CookieSecret>,
    /// Heartbeat and election times.
    pub timeouts: Timeouts,
    /// B: how old this replica's knowledge may be when it answers for a session.
    pub max_staleness: Ttl,
    /// Added to B for sessions that are known and not revoked; zero by default.
    pub fail_open_max: Ttl,
    /// When to build snapshots.
    pub snapshot: SnapshotLimits,
    /// How the store on disk is verified before it is opened.
    pub verifier: Verify,
    /// Page cache of the embedded store, in bytes.
    pub cache_bytes: u64,
    /// The disk; tests put a slower or fuller one in its place.
    pub disk: Arc<dyn DiskProbe>,
    /// Told of flushes, batches and the like; for metrics.
    pub observer: Arc<dyn StoreObserver>,
}

impl StoreConfig {
    /// A replica with the default times and bounds.
    pub fn new(data_dir: PathBuf, self_name: PeerName, peers: Vec<PeerName>, secrets: Vec<CookieSecret>) -> Self {
        Self {
            data_dir,
            self_name,
            peers,
            secrets,
            timeouts: Timeouts::lan(),
            max_staleness: DEFAULT_MAX_STALENESS,
            fail_open_max: Ttl::ZERO,
            snapshot: SnapshotLimits::default(),
            verifier: Verify::InProcess,
            cache_bytes: DEFAULT_CACHE_BYTES,
            disk: Arc::new(RealDisk),
            observer: Arc::new(NoObserver),
        }
    }

    /// Whether there are no other replicas.
    pub fn is_alone(&self) -> bool {
        self.others().next().is_none()
    }

    /// The other replicas.
    pub fn others(&self) -> impl Iterator<Item = &PeerName> {
        self.peers.iter().filter(|name| **name != self.self_name)
    }

    /// All replicas in order, this one included, each once.
    pub fn full_set(&self) -> Vec<PeerName> {
        let mut all = self.peers.clone();
        all.push(self.self_name.clone());
        all.sort();
        all.dedup();
        all
    }
}

impl std::fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreConfig")
            .field("data_dir", &self.data_dir)
            .field("self_name", &self.self_name)
            .field("peers", &self.peers)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// Raft's times. openraft cuts AppendEntries and the read-index round after one heartbeat and a
/// vote after the shortest election time, and forgets answers that come later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Must exceed the worst round trip between two replicas.
    pub heartbeat: Ttl,
    /// Shortest time without a leader before an election.
    pub election_min: Ttl,
    /// Longest such time; a killed leader is missed for this and one election time.
    pub election_max: Ttl,
}

impl Timeouts {
    /// Round trips of up to 150 ms: one site, or sites near each other.
    pub const fn lan() -> Self {
        Self {
            heartbeat: Ttl::from_millis(200),
            election_min: Ttl::from_millis(400),
            election_max: Ttl::from_millis(800),
        }
    }

    /// Measured good at 300 ms one way.
    pub const fn wide_area() -> Self {
        Self {
            heartbeat: Ttl::from_millis(700),
            election_min: Ttl::from_millis(1000),
            election_max: Ttl::from_millis(2000),
        }
    }

    /// How long a replica asks the leader and waits before it counts the question as lost: the
    /// question's own round trip and the leader's quorum round.
    pub(crate) fn question(&self) -> Ttl {
        Ttl::from_millis(self.heartbeat.as_millis().saturating_mul(4))
    }
}

/// When a snapshot is built: both must be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// Bytes appended to the log since the last one.
    pub log_bytes: u64,
    /// Time since the last one.
    pub min_interval: Ttl,
}

impl Default for SnapshotLimits {
    fn default() -> Self {
        Self { log_bytes: 64 * 1024 * 1024, min_interval: Ttl::from_secs(600) }
    }
}

/// openraft's configuration for these times.
pub(crate) fn raft_config(timeouts: &Timeouts) -> Result<Arc<openraft::Config>, openraft::ConfigError> {
    let config = openraft::Config {
        cluster_name: "conclave".to_owned(),
        heartbeat_interval: timeouts.heartbeat.as_millis(),
        election_timeout_min: timeouts.election_min.as_millis(),
        election_timeout_max: timeouts.election_max.as_millis(),
        install_snapshot_timeout: INSTALL_SNAPSHOT_TIMEOUT_MS,
        max_payload_entries: MAX_PAYLOAD_ENTRIES,
        snapshot_policy: openraft::SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: LOG_KEPT_BEHIND_SNAPSHOT,
        purge_batch_size: PURGE_STEP,
        ..openraft::Config::default()
    };
    config.validate().map(Arc::new)
}
