//! Replicas of this process: real stores on the real disk, talking over the real mutual TLS.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use conclave::app::listeners;
use conclave::clock::{SystemClock, SystemEntropy};
use conclave_proto::id::PeerName;
use conclave_proto::keyring::CookieSecret;
use conclave_raft::{ReplicatedStore, Role, StoreConfig};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::Failure;

/// Founding takes an election and a few exchanges.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How often to look meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A directory beside this program, which goes with the value: a temporary directory may lie in
/// memory, and then nothing is durable.
pub fn scratch_dir() -> Result<TempDir, Failure> {
    let program = std::env::current_exe()?;
    let beside = program.parent().ok_or("this program lies in no directory")?;
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(beside)?)
}

/// A port that nobody listens on now.
pub fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Where one replica of a cluster is reached by the others.
#[derive(Clone)]
pub struct Place {
    /// By what name.
    pub name: PeerName,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Places for a cluster of so many, on ports that nobody listens on now.
pub fn places(count: usize) -> Result<Vec<Place>, Failure> {
    let place = || {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        Ok(Place { name: PeerName::parse(&address.to_string())?, address })
    };
    (0..count).map(|_| place()).collect()
}

/// A running cluster, or those of its replicas that run in this process.
pub struct Replicas {
    /// Its stores.
    pub stores: Vec<ReplicatedStore>,
    listeners: Vec<ServerHandle>,
    _dirs: Vec<TempDir>,
}

impl Replicas {
    /// Starts so many and waits until one leads and all hold the keys. Needs a running actix system.
    pub async fn start(count: usize, secret: &str) -> Result<Self, Failure> {
        let places = places(count)?;
        Self::start_some(&places, &places, secret).await
    }

    /// Starts those of a cluster that run in this process; the others run elsewhere, or start now.
    pub async fn start_some(here: &[Place], all: &[Place], secret: &str) -> Result<Self, Failure> {
        let names: Vec<PeerName> = all.iter().map(|place| place.name.clone()).collect();
        let mut replicas = Self { stores: Vec::new(), listeners: Vec::new(), _dirs: Vec::new() };
        for place in here {
            let dir = scratch_dir()?;
            let store = open(dir.path(), place.name.clone(), names.clone(), secret).await?;
            let (listener, _) = listeners::peer(place.address, &store.peer_tls(), &store.peer_service())?;
            store.run();
            replicas.stores.push(store);
            replicas.listeners.push(listener);
            replicas._dirs.push(dir);
        }
        replicas.wait().await?;
        Ok(replicas)
    }

    async fn wait(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < READY_WITHIN {
            let has_keys = self.stores.iter().all(|store| store.keyring().borrow().is_some());
            if has_keys && self.stores.iter().all(|store| store.status().leader.is_some()) {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        Err("the cluster was not founded in time".into())
    }

    /// The store that leads.
    pub fn leader(&self) -> Option<&ReplicatedStore> {
        self.stores.iter().find(|store| store.status().role == Role::Leader)
    }

    /// Stops everything and removes its files.
    pub async fn stop(self) {
        for store in &self.stores {
            store.shutdown().await;
        }
        for listener in &self.listeners {
            listener.stop(false).await;
        }
    }
}

/// One store; `peers` is empty for a cluster of one.
pub async fn open(
    dir: &std::path::Path,
    name: PeerName,
    peers: Vec<PeerName>,
    secret: &str,
) -> Result<ReplicatedStore, Failure> {
    let config = StoreConfig::new(dir.to_path_buf(), name, peers, vec![CookieSecret::parse(secret)?]);
    Ok(ReplicatedStore::open(config, Arc::new(SystemClock), Arc::new(SystemEntropy::new())).await?)
}
