//! Starts the process's parts in order, and stops them in the order that loses nothing.

mod certificates;
pub mod listeners;
mod reloads;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, System};
use actix_web::dev::ServerHandle;
use conclave_proto::time::{Clock, Entropy};
use conclave_raft::open::OpenError as StorageOpenError;
use conclave_raft::{
    OpenError, PeerService, Readiness, ReplicatedStore, SnapshotLimits, StoreConfig, StoreObserver, Timeouts, Verify,
};
use thiserror::Error;
use tokio::runtime::Handle;
use tracing::{error, info, warn};

use self::certificates::{Certificates, InvalidCertificate};
use crate::actors::Stop;
use crate::actors::provider_refresher::ProviderRefresher;
use crate::actors::session_reaper::SessionReaper;
use crate::actors::supervisor::{Supervisor, Watched};
use crate::clock::{SystemClock, SystemEntropy};
use crate::config::{Config, DataDir, NoticeLevel, TimeoutPreset};
use crate::http::backend_logout::BackendLogout;
use crate::http::chain::Bearer;
use crate::http::site::{InvalidSite, Site};
use crate::http::{Cluster, Parts, Service};
use crate::metrics::Metrics;
use crate::oidc::{self, CallObserver, Provider, TokenIssuer};
use crate::opened::MAX_OPENED_BYTES;
use crate::telemetry::Lines;

/// Name of the directory beside the store that keeps the provider's last good metadata and keys.
const PROVIDER_CACHE: &str = "provider";

/// How long a cluster of one may take to found itself before its service is open to requests.
const ALONE_READY_WITHIN: Duration = Duration::from_secs(10);

/// How often it is looked whether it has.
const READINESS_LOOK: Duration = Duration::from_millis(5);

/// Why the process cannot start.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The main runtime did not start.
    #[error("the runtime did not start: {0}")]
    Runtime(#[source] std::io::Error),
    /// The configuration names what is not there.
    #[error(transparent)]
    Site(#[from] InvalidSite),
    /// The store's directory cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The provider's settings cannot be used.
    #[error("the identity provider's settings cannot be used: {0}")]
    Provider(#[from] oidc::BuildError),
    /// The provider cannot be called.
    #[error("calls to the identity provider cannot be set up: {0}")]
    HttpClient(#[from] oidc::HttpClientError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] listeners::ListenError),
    /// A certificate or its key.
    #[error(transparent)]
    Certificate(#[from] InvalidCertificate),
}

/// What a test may replace.
pub struct Sources {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// Instead of the configured provider.
    pub provider: Option<Arc<dyn Provider>>,
    /// Who proves the store whole at start.
    pub verifier: Verify,
    /// Where log lines go.
    pub lines: Lines,
}

impl Sources {
    /// Those of a real process, which verifies its store in a child of its own binary.
    pub fn system(lines: Lines) -> Self {
        let verifier = std::env::current_exe().map_or(Verify::InProcess, Verify::Child);
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), provider: None, verifier, lines }
    }
}

/// Serves until SIGTERM or SIGINT, then drains. Consensus runs on a runtime with threads of its own;
/// every HTTP worker has its own single-threaded one.
pub fn serve(config: Config, lines: Lines) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("conclave-main").build();
    let runtime = runtime.map_err(ServeError::Runtime)?;
    let system = System::with_tokio_rt(|| runtime);
    system.block_on(async move {
        let node = Node::start(config, Sources::system(lines)).await?;
        stop_signal().await;
        node.drain().await;
        Ok(())
    })
}

/// Completes at the first SIGTERM or SIGINT.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        }
        (Err(error), _) | (_, Err(error)) => {
            error!(%error, "signals cannot be listened for: only a kill will end this process");
            std::future::pending::<()>().await;
        }
    }
}

/// A running node.
pub struct Node {
    /// What the workers share.
    pub service: Arc<Service>,
    /// Where the service listens.
    pub public_addresses: Vec<SocketAddr>,
    /// Where gateways alone reach it; none where that listener is off or on a Unix socket.
    pub auth_address: Option<SocketAddr>,
    /// Where peers reach it; none in a cluster of one.
    pub peer_address: Option<SocketAddr>,
    /// Where operators reach it.
    pub admin_address: Option<SocketAddr>,
    servers: Servers,
    supervisor: Addr<Supervisor>,
}

struct Servers {
    /// Answers browsers, gateways, operators.
    front: Vec<ServerHandle>,
    /// Answers peers: the last to go, as hand-over needs it.
    peer: Option<ServerHandle>,
}

impl Node {
    /// Starts everything, in this order: store, peer listener, consensus, operators' listeners,
    /// provider, actors, and at last the service's own listeners. Needs a running actix system.
    pub async fn start(config: Config, sources: Sources) -> Result<Self, ServeError> {
        let config = Arc::new(config);
        say_notices(&config);
        let site = Site::of(&config)?;
        let certificates = Certificates::load(&config)?;
        let metrics = Arc::new(Metrics::new());
        metrics.set_temporary(matches!(config.cluster.data_dir, DataDir::Temporary { .. }));
        let cluster = open_store(&config, &sources, &metrics).await?;
        let (peer, peer_address) = start_peering(&config, &cluster)?;

        let cache = config.cluster.data_dir.path().join(PROVIDER_CACHE);
        let http = oidc::http_client(site.provider_config())?;
        let observer = Arc::clone(&metrics) as Arc<dyn CallObserver>;
        let (clock, given) = (Arc::clone(&sources.clock), sources.provider.clone());
        let provider = match given {
            Some(provider) => provider,
            None => oidc::build(site.provider_config(), http.clone(), &cache, clock, Arc::clone(&observer))?,
        };
        let backend_logout = BackendLogout::of(site.config(), site.provider_config())?;
        let bearer = site.config().bearer.as_ref().map(|bearer| {
            let extra = bearer.issuers.iter().map(|issuer| {
                oidc::extra_issuer(issuer, http.clone(), &cache, Arc::clone(&sources.clock), Arc::clone(&observer))
            });
            let provider = Arc::clone(&provider) as Arc<dyn TokenIssuer>;
            Bearer { issuers: std::iter::once(provider).chain(extra).collect(), login_fallback: bearer.login_fallback }
        });
        let service = Arc::new(Service::new(Parts {
            config: Arc::clone(&config),
            site,
            provider,
            backend_logout,
            bearer,
            cluster,
            metrics,
            clock: sources.clock,
            entropy: sources.entropy,
            runtime: Handle::current(),
            opened_bytes: MAX_OPENED_BYTES,
            lines: sources.lines,
        }));
        let mut front = Vec::new();
        let admin_address = match &config.admin_address {
            Some(address) => Some(listeners::admin(address, &service, &mut front)?),
            None => None,
        };
        listeners::metrics(&service, &certificates, &mut front)?;
        let supervisor = start_actors(&service, &certificates);
        if config.cluster.peers.is_empty() {
            wait_for_itself(&service).await;
        }
        let auth_address = listeners::gateways(&service, &certificates, &mut front)?;
        if let Some(address) = auth_address {
            info!(%address, "serving the auth endpoint to gateways");
        }
        let public_addresses = listeners::public(&service, &certificates, &mut front)?;
        for address in &public_addresses {
            info!(%address, "serving");
        }
        Ok(Self {
            service,
            public_addresses,
            auth_address,
            peer_address,
            admin_address: admin_address.flatten(),
            servers: Servers { front, peer },
            supervisor,
        })
    }

    /// The planned stop: unready first, so that the gateway sends requests elsewhere; then leadership
    /// goes to another replica; then what is under way is finished.
    pub async fn drain(self) {
        let delay = self.service.config.drain_delay;
        info!(delay_ms = delay.as_millis(), "draining");
        self.service.start_draining();
        tokio::select! {
            () = tokio::time::sleep(delay.as_duration()) => {}
            () = stop_signal() => warn!("asked again to stop: not waiting any longer"),
        }
        if let Some(store) = self.service.store() {
            info!(outcome = ?store.hand_over().await, "handed over");
        }
        self.stop().await;
    }

    /// Finishes what is under way and stops, without waiting for the gateway.
    pub async fn stop(self) {
        futures::future::join_all(self.servers.front.iter().map(|server| server.stop(true))).await;
        // It may have ended the process's actors already.
        let _ = self.supervisor.send(Stop).await;
        if let Some(store) = self.service.store() {
            store.shutdown().await;
        }
        if let Some(peer) = &self.servers.peer {
            peer.stop(false).await;
        }
        info!("stopped");
    }
}

fn say_notices(config: &Config) {
    for notice in &config.notices {
        // Lines to copy come one a line, as the configuration that they are for has them.
        for line in notice.to_string().lines() {
            match notice.level {
                NoticeLevel::Info => info!("{line}"),
                NoticeLevel::Warning | NoticeLevel::WithoutEffect => warn!("{line}"),
            }
        }
    }
    if let DataDir::Temporary { wanted, why, .. } = &config.cluster.data_dir {
        warn!(wanted = %wanted.display(), why, "the store is in a temporary directory: a restart ends all sessions");
    }
}

/// Opens the store. One that is not whole, or was emptied, leaves the process up and unready, so
/// that somebody can read why; a directory that cannot be used at all ends the start.
async fn open_store(config: &Config, sources: &Sources, metrics: &Arc<Metrics>) -> Result<Cluster, ServeError> {
    let cluster = &config.cluster;
    let mut options = StoreConfig::new(
        cluster.data_dir.path().to_path_buf(),
        cluster.self_name.clone(),
        cluster.peers.clone(),
        cluster.secrets.clone(),
    );
    options.timeouts = match cluster.timeouts {
        TimeoutPreset::Lan => Timeouts::lan(),
        TimeoutPreset::WideArea => Timeouts::wide_area(),
    };
    options.max_staleness = cluster.max_staleness;
    options.fail_open_max = cluster.fail_open_max;
    options.snapshot =
        SnapshotLimits { log_bytes: cluster.snapshot_log_bytes, min_interval: cluster.snapshot_min_interval };
    options.verifier = sources.verifier.clone();
    options.observer = Arc::clone(metrics) as Arc<dyn StoreObserver>;
    let opened = ReplicatedStore::open(options, Arc::clone(&sources.clock), Arc::clone(&sources.entropy)).await;
    match opened {
        Ok(store) => Ok(Cluster::Open(store)),
        Err(OpenError::Storage(
            why @ (StorageOpenError::EmptiedStore { .. }
            | StorageOpenError::NotWhole { .. }
            | StorageOpenError::Verifier(_)),
        )) => {
            error!(%why, "the store is not opened: this replica stays unready");
            Ok(Cluster::Shut(why.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Peers must be able to answer before this replica asks them anything.
fn start_peering(config: &Config, cluster: &Cluster) -> Result<(Option<ServerHandle>, Option<SocketAddr>), ServeError> {
    let Cluster::Open(store) = cluster else { return Ok((None, None)) };
    let started = if config.cluster.peers.is_empty() {
        (None, None)
    } else {
        let service: PeerService = store.peer_service();
        let (handle, address) = listeners::peer(config.cluster.peer_address, &store.peer_tls(), &service)?;
        (Some(handle), Some(address))
    };
    store.run();
    Ok(started)
}

/// A cluster of one needs nobody else to be ready: who starts it and asks at once gets an answer,
/// not a 503. A store that cannot be opened, or one that takes long, is no reason to stay silent.
async fn wait_for_itself(service: &Service) {
    let Some(store) = service.store() else { return };
    let ready = async {
        while store.readiness() != Readiness::Ready {
            tokio::time::sleep(READINESS_LOOK).await;
        }
    };
    if tokio::time::timeout(ALONE_READY_WITHIN, ready).await.is_err() {
        warn!("not ready yet: listening all the same");
    }
}

fn start_actors(service: &Arc<Service>, certificates: &Certificates) -> Addr<Supervisor> {
    let provider = Arc::clone(&service.provider) as Arc<dyn TokenIssuer>;
    let extra = service.bearer.iter().flat_map(|bearer| bearer.issuers.iter().skip(1).cloned());
    let mut watched: Vec<_> = std::iter::once(provider)
        .chain(extra)
        .map(|issuer| Watched::new("provider refresher", move || ProviderRefresher::new(Arc::clone(&issuer)).start()))
        .collect();
    watched.extend(reloads::all(service, certificates));
    if let Some(store) = service.store().cloned() {
        watched.push(Watched::new("session reaper", move || SessionReaper::new(store.clone()).start()));
    }
    Supervisor::new(Arc::clone(service), watched).start()
}
