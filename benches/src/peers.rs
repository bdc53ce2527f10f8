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

/// A running cluster.
pub struct Replicas {
    /// Its stores.
    pub stores: Vec<ReplicatedStore>,
    listeners: Vec<ServerHandle>,
    _dirs: Vec<TempDir>,
}

impl Replicas {
    /// Starts so many and waits until one leads and all hold the keys. Needs a running actix system.
    pub async fn start(count: usize, secret: &str) -> Result<Self, Failure> {
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect::<Result<_, _>>()?;
        let names = ports.iter().map(|port| PeerName::parse(&format!("127.0.0.1:{port}")));
        let names: Vec<PeerName> = names.collect::<Result<_, _>>()?;
        let mut replicas = Self { stores: Vec::new(), listeners: Vec::new(), _dirs: Vec::new() };
        for (port, name) in ports.into_iter().zip(&names) {
            let dir = scratch_dir()?;
            let store = open(dir.path(), name.clone(), names.clone(), secret).await?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let (listener, _) = listeners::peer(address, &store.peer_tls(), &store.peer_service())?;
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
