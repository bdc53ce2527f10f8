//! What all parts of one open store hold in common, and how it writes for its own purposes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use conclave_proto::command::{Command, FEATURE_LEVEL, Outcome, Tag, Tagged};
use conclave_proto::id::{KeyId, NodeId, ProcessId};
use conclave_proto::keyring::Keyring;
use conclave_proto::time::{Clock, Entropy, Timestamp};
use conclave_proto::wire::{DiskRoom, Hello, Ping, Written, peers_hash};
use parking_lot::Mutex;
use tokio::sync::{RwLock, broadcast, watch};
use tokio::task::AbortHandle;

use crate::attempts::Attempts;
use crate::batcher::{Batcher, Failed};
use crate::claims::Claims;
use crate::config::StoreConfig;
use crate::disk::DiskSpace;
use crate::error::WriteError;
use crate::freshness::{Age, Freshness};
use crate::health::Health;
use crate::identity::Identity;
use crate::index::SessionIndex;
use crate::leader::{LeaderView, Raft};
use crate::meta::MetaHandle;
use crate::reader::SessionReader;
use crate::receive_snapshot::Incoming;
use crate::room::any_better;
use crate::rounds::{Rounds, leader_time};
use crate::state::{ApplyHealth, StateHandle};
use crate::status::{NotReadyReason, StoreEvent};
use crate::tls::PeerTls;
use crate::transport::Transport;

/// Events kept for a slow reader.
pub(crate) const EVENTS: usize = 64;

/// One open store.
pub(crate) struct Shared {
    pub(crate) config: StoreConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) tls: Arc<PeerTls>,
    pub(crate) transport: Arc<Transport>,
    pub(crate) raft: Raft,
    pub(crate) leaders: LeaderView,
    pub(crate) state: StateHandle,
    pub(crate) index: Arc<SessionIndex>,
    pub(crate) meta: MetaHandle,
    pub(crate) freshness: Arc<Freshness>,
    pub(crate) rounds: Rounds,
    pub(crate) batcher: Batcher,
    pub(crate) reader: SessionReader,
    pub(crate) claims: Claims,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) health: Arc<Health>,
    /// What this replica's disk has room for.
    pub(crate) space: watch::Receiver<DiskSpace>,
    pub(crate) incoming: Incoming,
    pub(crate) keyring: watch::Sender<Option<Arc<Keyring>>>,
    pub(crate) events: broadcast::Sender<StoreEvent>,
    pub(crate) flags: Flags,
    /// Read while a Raft message is taken, written while a founder's cluster is adopted: a replica
    /// must not give a vote and take another cluster at once.
    pub(crate) founding_gate: RwLock<()>,
    pub(crate) process: ProcessId,
    pub(crate) sequence: AtomicU64,
    pub(crate) tasks: Mutex<Vec<AbortHandle>>,
}

/// What was found out since the start.
#[derive(Default)]
pub(crate) struct Flags {
    /// Everything acknowledged before the start is applied.
    pub(crate) caught_up: AtomicBool,
    /// No configured secret opens the cluster key.
    pub(crate) no_secret_opens: AtomicBool,
    /// A planned stop has begun.
    pub(crate) stopping: AtomicBool,
    /// The disk has had little room for longer than peers take to tell of theirs.
    pub(crate) low_disk: AtomicBool,
    /// A planned stop is coming: no visitors are to be sent here.
    pub(crate) draining: AtomicBool,
    /// This replica's wall clock is wrong.
    pub(crate) clock_off: AtomicBool,
    /// What founding waits for.
    pub(crate) founding: Mutex<Option<NotReadyReason>>,
    /// Background tasks run.
    pub(crate) running: AtomicBool,
}

impl Shared {
    /// Runs a task until the store is shut down.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().push(tokio::spawn(task).abort_handle());
    }

    /// Lets this replica stand for election, or not: a leader's clock is the cluster's time, and its
    /// disk takes every write. Little room counts only while a peer has more, or none would lead.
    pub(crate) fn decide_candidature(&self) {
        let unfit = self.is_outdone_in_room() || self.flags.clock_off.load(Ordering::Acquire);
        self.raft.runtime_config().elect(!unfit);
    }

    /// What this replica's disk has room for.
    pub(crate) fn room(&self) -> DiskRoom {
        self.space.borrow().room
    }

    /// Whether this replica's disk has little room while that of a peer, which answers, has more.
    pub(crate) fn is_outdone_in_room(&self) -> bool {
        any_better(self.room(), &self.health.reachable())
    }

    /// What this replica tells its peers of itself again and again.
    pub(crate) fn ping(&self) -> Ping {
        Ping { clock: self.clock.now(), answers: self.answers(), keys: self.key_ids(), room: self.room() }
    }

    /// Whether this replica could take another's visitors.
    fn answers(&self) -> bool {
        let leaves = self.flags.draining.load(Ordering::Acquire) || self.flags.stopping.load(Ordering::Acquire);
        !leaves
            && matches!(self.freshness.age(), Age::Fresh(_))
            && matches!(*self.state.health().borrow(), ApplyHealth::Running)
            && self.keyring.borrow().is_some()
    }

    /// The ids of the configured cookie secrets in the founded cluster, the active one first.
    pub(crate) fn key_ids(&self) -> Option<Vec<KeyId>> {
        let cluster = self.state.founded()?.cluster;
        Some(self.config.secrets.iter().map(|secret| secret.key_id(cluster)).collect())
    }

    /// Tells whoever listens.
    pub(crate) fn tell(&self, event: StoreEvent) {
        // Without a listener there is nobody to tell.
        let _ = self.events.send(event);
    }

    /// What this replica says of itself to another.
    pub(crate) async fn hello(&self) -> Hello {
        let metrics = self.leaders.metrics();
        Hello {
            node: self.identity.node(),
            name: self.identity.name().clone(),
            cluster: self.identity.cluster(),
            pristine: self.is_pristine().await,
            feature_level: FEATURE_LEVEL,
            peers_hash: peers_hash(&self.config.full_set()),
            leader: metrics.current_leader.map(NodeId::new),
            term: metrics.current_term,
            clock: self.clock.now(),
        }
    }

    /// Whether this disk has never held a vote or an entry. A cluster id that a founder handed out
    /// does not count: nothing was promised under it yet.
    pub(crate) async fn is_pristine(&self) -> bool {
        let initialized = self.raft.is_initialized().await.unwrap_or(true);
        !initialized && self.state.founded().is_none()
    }

    /// Writes one command and waits for its result. The write goes on if the caller is dropped.
    pub(crate) async fn write(self: &Arc<Self>, command: Command, limit: Duration) -> Result<Written, WriteError> {
        if self.flags.stopping.load(Ordering::Acquire) {
            return Err(WriteError::Stopping);
        }
        command.check_limits().map_err(WriteError::Refused)?;
        let this = Arc::clone(self);
        let work = tokio::spawn(async move {
            let worked = tokio::time::timeout(limit, this.submit_and_wait(command)).await;
            worked.unwrap_or(Err(WriteError::Deadline))
        });
        work.await.unwrap_or(Err(WriteError::Stopping))
    }

    async fn submit_and_wait(&self, command: Command) -> Result<Written, WriteError> {
        let known_time = self.known_time().await;
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let tag = Tag { process: self.process, sequence, known_time };
        let result = self.batcher.submit(Tagged { tag, command }, false)?;
        let written = match result.await {
            Ok(Ok(written)) => written,
            Ok(Err(Failed::Refused(error))) => return Err(error),
            // Own commands are never given back; a dropped reply means that the store is stopping.
            Ok(Err(Failed::NotLeading)) | Err(_) => return Err(WriteError::Stopping),
        };
        match written.outcome {
            Outcome::Refused(refusal) => Err(WriteError::Refused(refusal)),
            Outcome::Done | Outcome::Created { .. } | Outcome::Revoked(_) | Outcome::Expired(_) => Ok(written),
        }
    }

    /// The cluster's time for a tag. A replica that never heard from a leader waits for one: with a
    /// time from its own idle log its command would look older than the retry window.
    async fn known_time(&self) -> Timestamp {
        let mut rounds = self.freshness.confirmed();
        loop {
            if self.leaders.is_me() {
                return leader_time(&self.state, &*self.clock);
            }
            if let Some(time) = self.freshness.known_time() {
                return time;
            }
            let mut leaders = self.leaders.clone();
            tokio::select! {
                _ = rounds.changed() => {}
                () = leaders.until_me() => {}
            }
        }
    }

    /// Bytes from the entropy source.
    pub(crate) fn draw<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }
}
