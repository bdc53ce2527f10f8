//! Starts, cuts, stops and restarts replicas, each with its own disk, clock and listener.

mod listener;
mod sources;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use conclave_proto::command::{Command, CreateSession, Outcome, Revoke};
use conclave_proto::id::{AttemptId, LogIndex, NodeId, PeerName, ProviderId, SessionKey, SiteId, SubjectKey};
use conclave_proto::keyring::CookieSecret;
use conclave_proto::ticket::{TICKET_ENTROPY, Ticket};
use conclave_proto::time::{Clock, Entropy, Timestamp, Ttl};
use conclave_raft::{Lookup, ReplicatedStore, SnapshotLimits, StoreConfig, Timeouts};
use parking_lot::Mutex;
use tempfile::TempDir;

pub use listener::{Listener, Net};
pub use sources::{Chance, TestClock};

/// Shorter than the defaults, so that a test meets several elections.
pub const TIMEOUTS: Timeouts = Timeouts {
    heartbeat: Ttl::from_millis(100),
    election_min: Ttl::from_millis(300),
    election_max: Ttl::from_millis(600),
};

/// B in these tests.
pub const BOUND: Ttl = Ttl::from_secs(3);

/// Longest wait for anything that should happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The cookie secret of every cluster that does not say otherwise.
pub const SECRET: &str = "a cookie secret of 32 bytes long";

/// How a cluster's replicas are configured.
#[derive(Clone)]
pub struct Plan {
    pub secrets: Vec<String>,
    pub fail_open_max: Ttl,
    pub snapshot: SnapshotLimits,
    pub timeouts: Timeouts,
    pub max_staleness: Ttl,
}

impl Default for Plan {
    fn default() -> Self {
        let snapshot = SnapshotLimits::default();
        let secrets = vec![SECRET.to_owned()];
        Self { secrets, fail_open_max: Ttl::ZERO, snapshot, timeouts: TIMEOUTS, max_staleness: BOUND }
    }
}

/// One replica: what outlives its process, and the process while it runs.
pub struct Replica {
    pub name: PeerName,
    pub clock: Arc<TestClock>,
    dir: TempDir,
    listener: Listener,
    plan: Plan,
    peers: Vec<PeerName>,
    store: Option<ReplicatedStore>,
}

/// Several replicas that know each other.
pub struct Cluster {
    pub replicas: Vec<Replica>,
    pub net: Arc<Net>,
}

impl Cluster {
    /// Listening, but no replica runs.
    pub async fn planned(count: usize, plan: Plan) -> Self {
        init_log();
        let net = Arc::new(Net::default());
        let mut listeners = Vec::new();
        for _ in 0..count {
            listeners.push(Listener::bind(Arc::clone(&net)).await);
        }
        let mut peers: Vec<PeerName> = listeners.iter().map(|listener| listener.name.clone()).collect();
        if count == 1 {
            peers.clear();
        }
        // The lowest name founds: tests count on its being the first.
        listeners.sort_by(|a, b| a.name.cmp(&b.name));
        let replica = |listener: Listener| Replica {
            name: listener.name.clone(),
            clock: Arc::new(TestClock::default()),
            dir: TempDir::new().expect("a directory"),
            listener,
            plan: plan.clone(),
            peers: peers.clone(),
            store: None,
        };
        Self { replicas: listeners.into_iter().map(replica).collect(), net }
    }

    /// Founded, with every replica ready.
    pub async fn ready(count: usize, plan: Plan) -> Self {
        let mut cluster = Self::planned(count, plan).await;
        for replica in &mut cluster.replicas {
            replica.start().await;
        }
        cluster.until_ready().await;
        cluster
    }

    /// Waits until all running replicas are ready.
    pub async fn until_ready(&self) {
        for replica in self.running() {
            until(&format!("{} is ready", replica.name), || replica.store().readiness().is_ready()).await;
        }
    }

    pub fn running(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|replica| replica.store.is_some())
    }

    /// Which running replica leads, by its own word and a quorum's.
    pub async fn leader(&self) -> usize {
        until("somebody leads", || self.leader_now().is_some()).await;
        self.leader_now().expect("just seen")
    }

    fn leader_now(&self) -> Option<usize> {
        let of_running = |replica: &Replica| replica.store.as_ref().and_then(|store| store.status().leader);
        let named: BTreeSet<PeerName> = self.running().filter_map(of_running).collect();
        let names_one = named.len() == 1 && self.running().all(|replica| of_running(replica).is_some());
        let leader = named.into_iter().next().filter(|_| names_one)?;
        self.replicas.iter().position(|replica| replica.name == leader && replica.store.is_some())
    }

    /// Two other replicas than that one.
    pub fn others(&self, not: usize) -> Vec<usize> {
        (0..self.replicas.len()).filter(|index| *index != not).collect()
    }

    /// Cuts a replica off from all others, both ways.
    pub fn cut_off(&self, index: usize) {
        for other in self.others(index) {
            self.net.cut(&self.replicas[index].name, &self.replicas[other].name);
        }
    }

    pub fn store(&self, index: usize) -> &ReplicatedStore {
        self.replicas[index].store()
    }

    /// Waits until all running replicas have the same state.
    pub async fn until_equal(&self) {
        let hashes = || self.running().map(|replica| replica.store().state_hash()).collect::<BTreeSet<_>>();
        until("all states are equal", || hashes().len() == 1).await;
    }
}

/// A store that runs on would lose its disk under its feet, which ends the process.
impl Drop for Cluster {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            for replica in &mut self.replicas {
                runtime.block_on(replica.stop());
            }
        });
    }
}

impl Replica {
    pub async fn start(&mut self) {
        self.start_with(|_| {}).await;
    }

    /// Starts it with changes to its configuration.
    pub async fn start_with(&mut self, adjust: impl FnOnce(&mut StoreConfig)) {
        let store = self.open(adjust).await.expect("the store opens");
        self.listener.serve(&store);
        store.run();
        self.store = Some(store);
    }

    pub async fn open(
        &self,
        adjust: impl FnOnce(&mut StoreConfig),
    ) -> Result<ReplicatedStore, conclave_raft::OpenError> {
        let secret = |literal: &String| CookieSecret::parse(literal).expect("long enough");
        let secrets = self.plan.secrets.iter().map(secret).collect();
        let dir = self.dir.path().to_path_buf();
        // The tasks of a replica that stopped may hold its store for another moment.
        if let Ok(db) = std::fs::File::open(dir.join("store/db")) {
            until("nobody has the store open", || db.try_lock().is_ok()).await;
        }
        let mut config = StoreConfig::new(dir, self.name.clone(), self.peers.clone(), secrets);
        config.timeouts = self.plan.timeouts;
        config.max_staleness = self.plan.max_staleness;
        config.fail_open_max = self.plan.fail_open_max;
        config.snapshot = self.plan.snapshot;
        config.cache_bytes = 16 * 1024 * 1024;
        adjust(&mut config);
        ReplicatedStore::open(config, Arc::clone(&self.clock) as Arc<dyn Clock>, Arc::new(Chance)).await
    }

    /// Stops it in order, without handing over.
    pub async fn stop(&mut self) {
        self.listener.refuse();
        if let Some(store) = self.store.take() {
            store.shutdown().await;
        }
    }

    /// Loses its disk.
    pub fn wipe(&mut self) {
        assert!(self.store.is_none(), "still running");
        self.dir = TempDir::new().expect("a directory");
    }

    pub fn store(&self) -> &ReplicatedStore {
        self.store.as_ref().expect("it runs")
    }

    pub fn node_id(&self) -> NodeId {
        self.store().status().node_id
    }
}

/// Waits until something holds, and says what did not.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain until {what}");
}

/// A login: what goes into the log, and the ticket that goes to the browser.
pub struct Login {
    pub command: CreateSession,
    pub ticket: Ticket,
}

impl Login {
    /// Of some person, for an hour.
    pub fn new(store: &ReplicatedStore) -> Self {
        Self::of_size(store, 64)
    }

    pub fn of_size(store: &ReplicatedStore, body: usize) -> Self {
        let keyring = store.keyring().borrow().clone().expect("the keyring is open");
        let mut entropy = [0; TICKET_ENTROPY];
        Chance.fill(&mut entropy);
        let now = store.reader().now().unwrap_or(Timestamp::ZERO);
        let ticket = Ticket::mint(entropy, keyring.epoch(), now);
        let mut attempt = [0; 16];
        Chance.fill(&mut attempt);
        let mut subject = [0; 32];
        Chance.fill(&mut subject);
        let command = CreateSession {
            key: ticket.key(),
            attempt: AttemptId::from_bytes(attempt),
            epoch: keyring.epoch(),
            provider: ProviderId::default(),
            site: SiteId::default(),
            lifetime: Ttl::from_secs(3600),
            subject: SubjectKey::from_bytes(subject),
            sid: None,
            label: vec![1; 16],
            body: vec![2; body],
            replaces: Vec::new(),
            sessions_per_person: 0,
        };
        Self { command, ticket }
    }

    /// Writes it at that replica and gives the ticket with its index.
    pub async fn write(self, store: &ReplicatedStore) -> Ticket {
        let written = store.write(Command::CreateSession(self.command), PATIENCE).await.expect("written");
        let Outcome::Created { index, .. } = written.outcome else {
            panic!("no session was made: {:?}", written.outcome);
        };
        self.ticket.with_index(index)
    }
}

/// Logs somebody in at that replica.
pub async fn log_in(store: &ReplicatedStore) -> Ticket {
    Login::new(store).write(store).await
}

/// Ends one session.
pub async fn revoke(store: &ReplicatedStore, key: SessionKey) -> LogIndex {
    let written = store.write(Command::Revoke(Revoke::Session(key)), PATIENCE).await.expect("revoked");
    written.index
}

/// Whether the session is honoured, as the auth check asks it.
pub async fn honoured(store: &ReplicatedStore, ticket: &Ticket) -> Option<bool> {
    let reader = store.reader();
    match reader.find(ticket) {
        Lookup::Live(_) => Some(true),
        Lookup::Gone => Some(false),
        Lookup::Stale => None,
        Lookup::Behind => reader.ask(ticket).await.ok().map(|found| found.is_some()),
    }
}

static LOG: Mutex<bool> = Mutex::new(false);

/// `RUST_LOG=conclave_raft=debug` shows what the replicas say.
fn init_log() {
    let mut done = LOG.lock();
    if !*done {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        *done = true;
    }
}
