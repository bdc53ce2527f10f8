//! The service's HTTP face: one file per endpoint, and what they all share.

use std::cell::Ref;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use conclave_proto::forwarded::{GatewayConfig, GatewayNotice};
use conclave_proto::keyring::Keyring;
use conclave_proto::policy::{AuthenticatedEmails, Policy};
use conclave_proto::time::{Clock, Entropy};
use conclave_raft::{Readiness, ReplicatedStore, SessionReader};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::config::Config;
use crate::local_users::LocalDoor;
use crate::metrics::Metrics;
use crate::oidc::Provider;
use crate::opened::OpenedSessions;

pub mod admin;
pub mod auth;
pub mod callback;
pub mod chain;
pub mod check;
pub mod extract;
pub mod health;
mod latest;
mod local_sign_in;
pub mod lookup;
mod new_session;
pub mod pages;
pub mod peer;
pub mod problem;
mod redeem;
pub mod respond;
pub mod sign_in;
pub mod sign_out;
pub mod site;
pub mod start;
#[cfg(test)]
mod tests;
pub mod userinfo;

use chain::Bearer;
use latest::Latest;
use problem::Problem;
use site::Site;

/// How long a login or sign-out waits for its commit: longer than an election at the wide-area
/// times, so that a change of leader is waited for.
pub const COMMIT_DEADLINE: Duration = Duration::from_secs(10);

/// The cluster as this process has it.
pub enum Cluster {
    /// The store is open.
    Open(ReplicatedStore),
    /// The store could not be opened: the process stays up, unready, and says why.
    Shut(String),
}

/// What all workers share.
pub struct Service {
    /// The whole configuration.
    pub config: Arc<Config>,
    /// The site served.
    pub site: Site,
    /// Who vouches for people.
    pub provider: Arc<dyn Provider>,
    /// Opened sessions.
    pub opened: OpenedSessions,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The wall clock, for login cookies and new tickets.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    cluster: Cluster,
    /// Whose tokens count; none if nobody's do.
    pub bearer: Option<Bearer>,
    /// Users of the operator's own.
    pub local: Option<LocalDoor>,
    policy: watch::Sender<Arc<Policy>>,
    runtime: Handle,
    draining: AtomicBool,
    notice_given: AtomicBool,
}

/// What [`Service::new`] is made of.
pub struct Parts {
    /// The whole configuration.
    pub config: Arc<Config>,
    /// The site served.
    pub site: Site,
    /// Who vouches for people.
    pub provider: Arc<dyn Provider>,
    /// Whose tokens count.
    pub bearer: Option<Bearer>,
    /// The store.
    pub cluster: Cluster,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// Where work goes on that must not end with its request.
    pub runtime: Handle,
    /// Bytes of opened sessions to keep.
    pub opened_bytes: usize,
}

impl Service {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let policy = Arc::new(parts.site.config().policy.clone());
        let local = parts.site.config().local.clone().map(LocalDoor::new);
        Self {
            config: parts.config,
            site: parts.site,
            provider: parts.provider,
            opened: OpenedSessions::new(parts.opened_bytes),
            metrics: parts.metrics,
            clock: parts.clock,
            entropy: parts.entropy,
            cluster: parts.cluster,
            bearer: parts.bearer,
            local,
            policy: watch::Sender::new(policy),
            runtime: parts.runtime,
            draining: AtomicBool::new(false),
            notice_given: AtomicBool::new(false),
        }
    }

    /// The store, if it is open.
    pub fn store(&self) -> Option<&ReplicatedStore> {
        match &self.cluster {
            Cluster::Open(store) => Some(store),
            Cluster::Shut(_) => None,
        }
    }

    /// Whose headers say what the original request was.
    pub fn gateway(&self) -> &GatewayConfig {
        &self.config.gateway
    }

    /// Who may come in, as it is now; for cold paths.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.borrow())
    }

    /// Takes a new file of addresses into use, everywhere at once.
    pub fn replace_emails(&self, emails: AuthenticatedEmails) {
        self.policy.send_modify(|policy| {
            let emails = Some(Arc::new(emails));
            *policy = Arc::new(Policy { authenticated_emails: emails, ..Policy::clone(policy) });
        });
    }

    /// From now on not ready, so that no new requests are sent here.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Every reason against sending requests here; empty when ready.
    pub fn unready_reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.draining.load(Ordering::Relaxed) {
            reasons.push("draining: this replica is about to stop".to_owned());
        }
        match &self.cluster {
            Cluster::Shut(why) => reasons.push(why.clone()),
            Cluster::Open(store) => match store.readiness() {
                Readiness::Ready => {}
                Readiness::NotReady(found) => reasons.extend(found.iter().map(ToString::to_string)),
            },
        }
        reasons
    }

    /// Brings the gauges up to date.
    pub fn observe(&self) {
        if let Some(store) = self.store() {
            self.metrics.observe_store(&store.status());
        }
        self.metrics.observe_process(self.unready_reasons().is_empty(), self.opened.bytes());
    }

    /// The problem to show while there is no keyring or no store.
    pub fn not_ready(&self) -> Problem {
        let reasons = self.unready_reasons();
        Problem::NotReady(if reasons.is_empty() { "it has just started".to_owned() } else { reasons.join("; ") })
    }

    /// Says once that a trusted proxy sends another kind's headers.
    pub fn notice_once(&self, notice: &GatewayNotice) {
        if !self.notice_given.swap(true, Ordering::Relaxed) {
            tracing::warn!("{notice}");
        }
    }

    /// Where work goes on that must not end with its request, or would hold up a worker.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Runs work on the main runtime: it goes on when the client hangs up.
    pub async fn run<F>(&self, work: F) -> Result<F::Output, Problem>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.spawn(work).await.map_err(|_| Problem::Stopping)
    }

    /// The keys as they are now; for cold paths.
    pub fn keyring(&self) -> Option<Arc<Keyring>> {
        self.store().and_then(|store| store.keyring().borrow().clone())
    }
}

/// One worker thread's view of the service: what it reads on each check without a lock.
pub struct Worker {
    /// What all workers share.
    pub service: Arc<Service>,
    reader: Option<SessionReader>,
    keys: Latest<Option<Arc<Keyring>>>,
    policy: Latest<Arc<Policy>>,
}

impl Worker {
    /// The view of one worker thread.
    pub fn new(service: Arc<Service>) -> Self {
        let reader = service.store().map(ReplicatedStore::reader);
        let keys = service.store().map_or_else(|| Latest::fixed(None), |store| Latest::of(store.keyring()));
        let policy = Latest::of(service.policy.subscribe());
        Self { service, reader, keys, policy }
    }

    /// Reads sessions; none without a store.
    pub fn reader(&self) -> Option<&SessionReader> {
        self.reader.as_ref()
    }

    /// The keys. The guard must not live across an await.
    pub fn keyring(&self) -> Ref<'_, Option<Arc<Keyring>>> {
        self.keys.get()
    }

    /// Who may come in. The guard must not live across an await.
    pub fn policy(&self) -> Ref<'_, Arc<Policy>> {
        self.policy.get()
    }
}

/// Lays the service's paths. Called once per worker thread.
pub fn configure(config: &mut ServiceConfig, service: &Arc<Service>) {
    let prefix = service.site.prefix();
    let health = &service.config.health;
    config
        .app_data(web::Data::new(Worker::new(Arc::clone(service))))
        .service(web::resource(format!("{prefix}/auth")).to(auth::auth))
        .service(web::resource(health.ping_path.as_str()).to(health::ping))
        .service(web::resource(health.ready_path.as_str()).to(health::ready))
        .service(web::resource("/robots.txt").to(health::robots))
        .service(web::resource(format!("{prefix}/start")).to(start::start))
        .service(web::resource(format!("{prefix}/callback")).to(callback::callback))
        .service(web::resource(format!("{prefix}/sign_in")).to(sign_in::sign_in))
        .service(web::resource(format!("{prefix}/sign_out")).to(sign_out::sign_out))
        .service(web::resource(format!("{prefix}/userinfo")).to(userinfo::userinfo))
        .default_service(web::to(nothing_here));
}

async fn nothing_here(worker: web::Data<Worker>) -> actix_web::HttpResponse {
    respond::not_found(&worker.service)
}
