//! Every listener of the process, with its limits.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::KeepAlive;
use actix_web::{App, HttpServer, web};
use conclave_raft::PeerService;
use listenfd::ListenFd;
use rustls::ServerConfig;
use thiserror::Error;

use super::certificates::{Certificate, Certificates, InvalidCertificate};
use crate::config::ListenAddress;
use crate::http::whole_request::HEAD_WITHIN;
use crate::http::{self, Listener, Serves, Service, admin, peer as peer_endpoint};

/// A peer's request head has to arrive within this time: links between sites may be slow.
const PEER_HEAD_WITHIN: Duration = Duration::from_secs(15);

/// How long an idle connection is kept: longer than nginx's 60 s, so that nginx closes first and
/// never sends into a connection that is about to go.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Connections per worker: each costs about 20 KiB while open.
const MAX_CONNECTIONS: usize = 16 * 1024;

/// What a listener for operators takes.
#[derive(Clone, Copy)]
struct Patience {
    /// A request head has to arrive within this time, and a TLS handshake.
    head: Duration,
    /// How long an idle connection is kept after an answer.
    idle: KeepAlive,
    /// Connections at once.
    connections: usize,
}

/// Operators are few, and on loopback unless configured otherwise.
const ADMIN: Patience =
    Patience { head: HEAD_WITHIN, idle: KeepAlive::Timeout(Duration::from_secs(5)), connections: 64 };

/// Any pod may reach it: connections that ask nothing may be many, and are short, so that a scrape finds room. None is
/// kept after its answer: scrapes are far apart, and the library sets no deadline for a second request's head.
const METRICS: Patience = Patience { head: Duration::from_secs(1), idle: KeepAlive::Disabled, connections: 1024 };

/// Connections per worker of the peer listener: each question of a peer has one of its own.
const MAX_PEER_CONNECTIONS: usize = 768;

/// Replicas besides this one whose every question finds a connection.
const OTHER_REPLICAS: usize = 4;

/// Workers of the peer listener: two, so that a large snapshot chunk does not hold up a heartbeat.
const PEER_WORKERS: usize = 2;

const _: () = assert!(
    OTHER_REPLICAS * PeerService::MAX_QUESTIONS_OF_A_PEER <= PEER_WORKERS * MAX_PEER_CONNECTIONS,
    "if every peer fills all its lanes, the listener still takes what consensus asks next"
);

/// How long requests under way may take to finish at the stop: a login's own deadlines and a little.
const FINISH_WITHIN_SECONDS: u64 = 30;

/// Why nothing can be listened on there.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address.
    #[error("cannot listen on {address} ({option}): {source}")]
    Bind {
        /// As configured.
        address: String,
        /// The option that names it.
        option: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The certificate or its key.
    #[error(transparent)]
    Certificate(#[from] InvalidCertificate),
}

/// A bound socket.
enum Bound {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener),
}

/// The service's own listeners: plain, HTTPS, or both.
pub fn public(
    service: &Arc<Service>,
    certificates: &Certificates,
    servers: &mut Vec<ServerHandle>,
) -> Result<Vec<SocketAddr>, ListenError> {
    let http = &service.config.http;
    let plain = http.address.as_ref().map(|address| ("http_address", address, None));
    let secure = http.tls.as_ref().map(|tls| ("https_address", &tls.address, certificates.public.as_ref()));
    let mut locals = Vec::new();
    for (option, address, certificate) in plain.into_iter().chain(secure) {
        let speaks = if certificate.is_some() { Listener::Tls } else { Listener::Plain };
        locals.extend(serve(service, Serves::All(speaks), address, option, certificate, servers)?);
    }
    Ok(locals)
}

/// The listener for gateways alone. The address is none where it is off or on a Unix socket.
pub fn gateways(
    service: &Arc<Service>,
    certificates: &Certificates,
    servers: &mut Vec<ServerHandle>,
) -> Result<Option<SocketAddr>, ListenError> {
    let Some(gateways) = &service.config.http.gateways else { return Ok(None) };
    let certificate = certificates.public.as_ref().filter(|_| gateways.tls);
    serve(service, Serves::Check, &gateways.address, "auth_address", certificate, servers)
}

fn serve(
    service: &Arc<Service>,
    serves: Serves,
    address: &ListenAddress,
    option: &'static str,
    certificate: Option<&Arc<Certificate>>,
    servers: &mut Vec<ServerHandle>,
) -> Result<Option<SocketAddr>, ListenError> {
    let service = Arc::clone(service);
    let server = HttpServer::new(move || http::app(&service, serves))
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_WITHIN)
        .max_connections(MAX_CONNECTIONS)
        .shutdown_timeout(FINISH_WITHIN_SECONDS)
        .tcp_nodelay(true)
        .disable_signals();
    let failed = |source| ListenError::Bind { address: address.to_string(), option, source };
    let (server, local) = match (bind(address, option)?, certificate) {
        (Bound::Tcp(listener, local), None) => (server.listen(listener).map_err(failed)?, Some(local)),
        (Bound::Tcp(listener, local), Some(certificate)) => {
            (server.listen_rustls_0_23(listener, certificate.server_config()?).map_err(failed)?, Some(local))
        }
        (Bound::Unix(listener), _) => (server.listen_uds(listener).map_err(failed)?, None),
    };
    spawn(server.run(), servers);
    Ok(local)
}

/// The listener for operators. The address is none on a Unix socket.
pub fn admin(
    address: &ListenAddress,
    service: &Arc<Service>,
    servers: &mut Vec<ServerHandle>,
) -> Result<Option<SocketAddr>, ListenError> {
    let service = Arc::clone(service);
    operators(address, "admin_address", None, ADMIN, servers, move |config| admin::configure(config, &service))
}

/// The listeners for `/metrics` alone: plain, HTTPS, or both.
pub fn metrics(
    service: &Arc<Service>,
    certificates: &Certificates,
    servers: &mut Vec<ServerHandle>,
) -> Result<(), ListenError> {
    let config = &service.config;
    let plain = config.metrics_address.as_ref().map(|address| ("metrics_address", address, None));
    let certificate = certificates.metrics.as_ref();
    let secure = config.metrics_tls.as_ref().map(|tls| ("metrics_secure_address", &tls.address, certificate));
    for (option, address, certificate) in plain.into_iter().chain(secure) {
        let service = Arc::clone(service);
        let lay = move |config: &mut web::ServiceConfig| admin::configure_metrics(config, &service);
        operators(address, option, certificate, METRICS, servers, lay)?;
    }
    Ok(())
}

fn operators(
    address: &ListenAddress,
    option: &'static str,
    certificate: Option<&Arc<Certificate>>,
    patience: Patience,
    servers: &mut Vec<ServerHandle>,
    lay: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> Result<Option<SocketAddr>, ListenError> {
    let failed = |source| ListenError::Bind { address: address.to_string(), option, source };
    let server = HttpServer::new(move || http::operators_app(lay.clone()))
        .workers(1)
        .keep_alive(patience.idle)
        .client_request_timeout(patience.head)
        .tls_handshake_timeout(patience.head)
        .max_connections(patience.connections)
        .shutdown_timeout(1)
        .disable_signals();
    let (server, local) = match (bind(address, option)?, certificate) {
        (Bound::Tcp(listener, local), None) => (server.listen(listener).map_err(failed)?, Some(local)),
        (Bound::Tcp(listener, local), Some(certificate)) => {
            (server.listen_rustls_0_23(listener, certificate.server_config()?).map_err(failed)?, Some(local))
        }
        (Bound::Unix(listener), _) => (server.listen_uds(listener).map_err(failed)?, None),
    };
    spawn(server.run(), servers);
    Ok(local)
}

/// The listener for peers: mutual TLS, workers of its own.
pub fn peer(
    address: SocketAddr,
    tls: &ServerConfig,
    service: &PeerService,
) -> Result<(ServerHandle, SocketAddr), ListenError> {
    let failed = |source| ListenError::Bind { address: address.to_string(), option: "peer_address", source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    let service = service.clone();
    let server =
        HttpServer::new(move || App::new().configure(|config| peer_endpoint::configure(config, service.clone())))
            .workers(PEER_WORKERS)
            .on_connect(peer_endpoint::note_certificate)
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(PEER_HEAD_WITHIN)
            .max_connections(MAX_PEER_CONNECTIONS)
            .tcp_nodelay(true)
            .disable_signals()
            .listen_rustls_0_23(listener, tls.clone())
            .map_err(failed)?;
    let mut servers = Vec::new();
    spawn(server.run(), &mut servers);
    let handle = servers.pop().expect("spawn() adds the one server");
    Ok((handle, local))
}

fn spawn(server: Server, servers: &mut Vec<ServerHandle>) {
    servers.push(server.handle());
    actix_rt::spawn(server);
}

fn bind(address: &ListenAddress, option: &'static str) -> Result<Bound, ListenError> {
    let failed = |source| ListenError::Bind { address: address.to_string(), option, source };
    match address {
        ListenAddress::Tcp { .. } => {
            let listener = address.bind_tcp().map_err(failed)?;
            let local = listener.local_addr().map_err(failed)?;
            Ok(Bound::Tcp(listener, local))
        }
        ListenAddress::Unix { path, mode } => bind_unix(path, *mode).map(Bound::Unix).map_err(failed),
        ListenAddress::Fd(number) => handed_over(*number).map_err(failed),
    }
}

/// The first descriptor that a supervisor hands over (sd_listen_fds(3)).
const FIRST_DESCRIPTOR: usize = 3;

/// A socket that systemd opened, of either kind.
fn handed_over(number: usize) -> io::Result<Bound> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "no such listening socket was handed over in LISTEN_FDS");
    let index = number.checked_sub(FIRST_DESCRIPTOR).ok_or_else(none)?;
    let mut handed = ListenFd::from_env();
    let Ok(tcp) = handed.take_tcp_listener(index) else {
        return handed.take_unix_listener(index)?.map(Bound::Unix).ok_or_else(none);
    };
    let listener = tcp.ok_or_else(none)?;
    let local = listener.local_addr()?;
    Ok(Bound::Tcp(listener, local))
}

/// A socket file left by an earlier process is in the way and serves nobody: it goes.
fn bind_unix(path: &Path, mode: Option<u32>) -> io::Result<UnixListener> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(listener)
}
