//! The replicated store: opens its parts, starts them, and is what the rest of Conclave holds.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use conclave_proto::command::Command;
use conclave_proto::id::{AttemptId, LogIndex, ProcessId};
use conclave_proto::keyring::{CookieSecret, Keyring};
use conclave_proto::time::{Clock, Entropy};
use conclave_proto::wire::Written;
use parking_lot::Mutex;
use tokio::sync::{RwLock, broadcast, watch};

use crate::batcher::Batcher;
use crate::claim::{self, Claim};
use crate::claims::Claims;
use crate::config::{StoreConfig, raft_config};
use crate::error::{ClaimError, OpenError, WriteError};
use crate::flusher::Flusher;
use crate::forward::Router;
use crate::freshness::Freshness;
use crate::health::Health;
use crate::identity::Identity;
use crate::leader::{LeaderView, Raft};
use crate::log_store::LogStore;
use crate::miss::Misses;
use crate::network::Network;
use crate::open::{Storage, StorageGuard, StorageOptions};
use crate::reader::SessionReader;
use crate::receive_snapshot::Incoming;
use crate::rounds::{Resumed, Rounds};
use crate::rpc::PeerService;
use crate::shared::{EVENTS, Flags, Shared};
use crate::status::{HandOver, Readiness, Status, StoreEvent};
use crate::tls::PeerTls;
use crate::transport::Transport;
use crate::{founding, handover, keys, log_cut, open, pulse, status_of, upkeep};

/// One replica of the session store. Cheap to clone.
#[derive(Clone)]
pub struct ReplicatedStore {
    shared: Arc<Shared>,
    parts: Arc<Parts>,
}

/// What only starting and stopping need.
struct Parts {
    log: LogStore,
    flusher: Flusher,
    guard: Mutex<Option<StorageGuard>>,
}

impl ReplicatedStore {
    /// Opens the disk and starts Raft on it. Needs no peer; founding and joining begin with
    /// [`ReplicatedStore::run`].
    pub async fn open(
        config: StoreConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, OpenError> {
        if config.secrets.is_empty() {
            return Err(OpenError::NoSecret);
        }
        let raft_config = raft_config(&config.timeouts)?;
        let storage = open::open(storage_options(&config), &*entropy).await?;
        let identity = Arc::new(identity(&config, &storage, &entropy));
        let tls = Arc::new(PeerTls::new(&config.self_name, &config.secrets, Arc::clone(&clock))?);
        let transport = Arc::new(Transport::new(Arc::clone(&identity), Arc::clone(&tls), Arc::clone(&clock))?);
        let network = Network::new(Arc::clone(&transport), config.timeouts.heartbeat.as_duration());
        let Storage { node_id, log, machine, index, state, flusher, meta, inbox, space, guard } = storage;
        let resumed = Resumed::of(&log, node_id);
        let raft = Raft::new(node_id.get(), raft_config, network, log.clone(), machine)
            .await
            .map_err(|error| OpenError::Core(error.to_string()))?;
        let leaders = LeaderView::new(raft.metrics());
        let question = config.timeouts.question();
        let freshness = Arc::new(freshness(&config, &clock));
        let rounds = Rounds::start(raft.clone(), state.clone(), Arc::clone(&clock), question.as_duration(), resumed);
        let misses = Misses::new(
            leaders.clone(),
            Arc::clone(&transport),
            rounds.clone(),
            state.clone(),
            Arc::clone(&index),
            Arc::clone(&freshness),
            &config.timeouts,
        );
        let health = Arc::new(Health::default());
        let router = Router {
            raft: raft.clone(),
            leaders: leaders.clone(),
            transport: Arc::clone(&transport),
            state: state.clone(),
            clock: Arc::clone(&clock),
            observer: Arc::clone(&config.observer),
            space: space.clone(),
            health: Arc::clone(&health),
        };
        let mut process = [0; ProcessId::LEN];
        entropy.fill(&mut process);
        let shared = Shared {
            reader: SessionReader::new(
                Arc::clone(&index),
                state.clone(),
                Arc::clone(&freshness),
                Arc::clone(&identity),
                misses,
            ),
            batcher: Batcher::start(Arc::new(router)),
            incoming: Incoming::new(inbox),
            config,
            clock,
            entropy,
            identity,
            tls,
            transport,
            raft,
            leaders,
            state,
            index,
            meta,
            freshness,
            rounds,
            claims: Claims::default(),
            attempts: Arc::default(),
            health,
            space,
            keyring: watch::Sender::new(None),
            events: broadcast::Sender::new(EVENTS),
            flags: Flags::default(),
            founding_gate: RwLock::new(()),
            process: ProcessId::from_bytes(process),
            sequence: AtomicU64::new(0),
            tasks: Mutex::default(),
        };
        let parts = Parts { log, flusher, guard: Mutex::new(Some(guard)) };
        Ok(Self { shared: Arc::new(shared), parts: Arc::new(parts) })
    }

    /// TLS for the peer listener: 1.3 only, client certificates required and verified, no resumption.
    pub fn peer_tls(&self) -> Arc<rustls::ServerConfig> {
        self.shared.tls.server()
    }

    /// The DER of the certificate that this replica shows its peers now.
    pub fn peer_certificate(&self) -> Vec<u8> {
        self.shared.tls.leaf()
    }

    /// Answers what comes in on the peer listener.
    pub fn peer_service(&self) -> PeerService {
        PeerService::new(Arc::clone(&self.shared))
    }

    /// Starts the background work, once the peer listener is bound. A second call does nothing.
    pub fn run(&self) {
        if self.shared.flags.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = &self.shared;
        for peer in shared.identity.others() {
            shared.spawn(pulse::run(Arc::clone(shared), peer.clone()));
        }
        shared.spawn(founding::run(Arc::clone(shared)));
        shared.spawn(keys::follow(Arc::clone(shared)));
        shared.spawn(keys::rotate(Arc::clone(shared)));
        shared.spawn(upkeep::keep_fresh(Arc::clone(shared)));
        shared.spawn(upkeep::settle(Arc::clone(shared), self.parts.log.last_index()));
        shared.spawn(upkeep::watch_leader(Arc::clone(shared)));
        shared.spawn(upkeep::judge(Arc::clone(shared)));
        shared.spawn(log_cut::run(Arc::clone(shared), self.parts.log.clone()));
        shared.spawn(upkeep::watch_disk(Arc::clone(shared)));
    }

    /// Writes one command through whoever leads and waits until it is committed and applied there,
    /// across changes of leader, for at most `limit`. The work goes on if the caller is dropped.
    pub async fn write(&self, command: Command, limit: Duration) -> Result<Written, WriteError> {
        if self.shared.state.founded().is_none() {
            return Err(WriteError::NotFounded);
        }
        self.shared.write(command, limit).await
    }

    /// Whether the cluster key is wrapped under that cookie secret: only then may it be the only one.
    pub fn wrapped_under(&self, secret: &CookieSecret) -> bool {
        let Some(founded) = self.shared.state.founded() else { return false };
        let key = secret.key_id(founded.cluster);
        founded.envelopes.iter().any(|envelope| envelope.key_id == key)
    }

    /// Looks sessions up.
    pub fn reader(&self) -> SessionReader {
        self.shared.reader.clone()
    }

    /// The keys in use; none until the cluster is founded and one of the secrets opens its key.
    pub fn keyring(&self) -> watch::Receiver<Option<Arc<Keyring>>> {
        self.shared.keyring.subscribe()
    }

    /// Claims the right to redeem a login attempt's code, cluster-wide. Who comes second gets the
    /// outcome of the first once it is known; if too many wait for it here already, `Busy` at once.
    pub async fn claim(
        &self,
        attempt: AttemptId,
        client: Option<IpAddr>,
        limit: Duration,
    ) -> Result<Claim, ClaimError> {
        claim::claim(&self.shared, attempt, client, limit).await
    }

    /// What this replica knows of itself and the others.
    pub fn status(&self) -> Status {
        status_of::status(&self.shared)
    }

    /// Whether to send this replica requests; cheaper than [`ReplicatedStore::status`].
    pub fn readiness(&self) -> Readiness {
        status_of::readiness(&self.shared)
    }

    /// Whether this replica leads, as far as it knows: for work that only one replica should do.
    pub fn leads(&self) -> bool {
        self.shared.leaders.is_me()
    }

    /// What is worth a log line from now on.
    pub fn events(&self) -> broadcast::Receiver<StoreEvent> {
        self.shared.events.subscribe()
    }

    /// Position and digest of the state, consistent with each other. Reads every row: for tests and
    /// operators.
    pub fn state_hash(&self) -> (LogIndex, [u8; 32]) {
        self.shared.state.state_hash()
    }

    /// What the flusher has done so far.
    pub fn flush_stats(&self) -> crate::flusher::FlushStats {
        self.parts.flusher.stats()
    }

    /// Ends every session: a new cluster key under a new epoch, wrapped under the secrets configured
    /// here. For when no configured secret opens the key that the cluster has.
    pub async fn rekey(&self, limit: Duration) -> Result<Written, WriteError> {
        let founded = self.shared.state.founded().ok_or(WriteError::NotFounded)?;
        keys::rekey(&self.shared, &founded, limit).await
    }

    /// From now on the others do not count on this replica for visitors: a planned stop is coming.
    pub fn start_draining(&self) {
        self.shared.flags.draining.store(true, Ordering::Release);
    }

    /// Gives the leadership away before a planned stop; new writes wait meanwhile and then go to the
    /// new leader.
    pub async fn hand_over(&self) -> HandOver {
        handover::run(&self.shared).await
    }

    /// Stops Raft and the background work and makes everything durable. The disk is closed once the
    /// last clone and the last reader are dropped and the tasks under way have seen the end.
    pub async fn shutdown(&self) {
        self.shared.flags.stopping.store(true, Ordering::Release);
        for task in self.shared.tasks.lock().drain(..) {
            task.abort();
        }
        if let Err(error) = self.shared.raft.shutdown().await {
            tracing::error!(%error, "the consensus core did not stop cleanly");
        }
        let guard = self.parts.guard.lock().take();
        // Dropping it syncs and joins threads.
        let _ = tokio::task::spawn_blocking(move || drop(guard)).await;
    }
}

fn freshness(config: &StoreConfig, clock: &Arc<dyn Clock>) -> Freshness {
    Freshness::new(Arc::clone(clock), Arc::clone(&config.observer), config.max_staleness, config.fail_open_max)
}

fn identity(config: &StoreConfig, storage: &Storage, entropy: &Arc<dyn Entropy>) -> Identity {
    let (name, peers) = (config.self_name.clone(), config.peers.clone());
    Identity::new(storage.node_id, name, peers, storage.meta.cluster(), Arc::clone(entropy))
}

fn storage_options(config: &StoreConfig) -> StorageOptions {
    let observer = Arc::clone(&config.observer);
    StorageOptions {
        cache_bytes: config.cache_bytes,
        disk: Arc::clone(&config.disk),
        on_flush: Some(Arc::new(move |took| observer.flushed(took))),
        ..StorageOptions::new(config.data_dir.clone(), config.verifier.clone())
    }
}
