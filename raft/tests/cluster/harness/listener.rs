//! A minimal HTTP/1.1 listener for one endpoint, and the faults that tests put on the links.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use conclave_proto::id::PeerName;
use conclave_proto::wire::{Frame, FrameHead, FrameKind};
use conclave_raft::{PeerService, ReplicatedStore};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// Links that are cut.
#[derive(Default)]
pub struct Net {
    cuts: Mutex<BTreeSet<(PeerName, PeerName)>>,
    delays: Mutex<BTreeMap<PeerName, Duration>>,
    lost: Mutex<Vec<(FrameKind, PeerName)>>,
    held: Mutex<Vec<(FrameKind, PeerName)>>,
    arrived: Mutex<BTreeMap<u16, usize>>,
}

impl Net {
    /// Cuts both directions between two replicas.
    pub fn cut(&self, a: &PeerName, b: &PeerName) {
        let mut cuts = self.cuts.lock();
        cuts.insert((a.clone(), b.clone()));
        cuts.insert((b.clone(), a.clone()));
    }

    /// Delays what goes to that replica, and its answers, each way.
    pub fn slow_down(&self, to: &PeerName, one_way: Duration) {
        self.delays.lock().insert(to.clone(), one_way);
    }

    fn delay(&self, to: &PeerName) -> Option<Duration> {
        self.delays.lock().get(to).copied()
    }

    /// Loses every message of that kind on its way to that replica.
    pub fn lose(&self, kind: FrameKind, to: &PeerName) {
        self.lost.lock().push((kind, to.clone()));
    }

    /// Lets every message of that kind to that replica wait for an answer, as a replica that hangs does.
    pub fn hold(&self, kind: FrameKind, to: &PeerName) {
        self.held.lock().push((kind, to.clone()));
    }

    /// Messages of that kind that arrived anywhere so far.
    pub fn arrived(&self, kind: FrameKind) -> usize {
        self.arrived.lock().get(&kind.code()).copied().unwrap_or(0)
    }

    fn holds(&self, head: &FrameHead, to: &PeerName) -> bool {
        *self.arrived.lock().entry(head.kind.code()).or_default() += 1;
        self.held.lock().iter().any(|(kind, name)| *kind == head.kind && name == to)
    }

    /// Mends everything.
    pub fn mend(&self) {
        self.cuts.lock().clear();
        self.lost.lock().clear();
        self.held.lock().clear();
    }

    fn swallows(&self, head: &FrameHead, to: &PeerName) -> bool {
        let lost = self.lost.lock().iter().any(|(kind, name)| *kind == head.kind && name == to);
        lost || self.cuts.lock().contains(&(head.from_name.clone(), to.clone()))
    }
}

#[derive(Clone)]
struct Serving {
    acceptor: TlsAcceptor,
    service: PeerService,
    /// Closed when the replica stops: a process that ends takes its connections with it.
    life: watch::Receiver<()>,
}

/// Keeps a replica's address through its restarts.
pub struct Listener {
    pub name: PeerName,
    serving: Arc<Mutex<Option<Serving>>>,
    life: Mutex<Option<watch::Sender<()>>>,
}

impl Listener {
    pub async fn bind(net: Arc<Net>) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let name = PeerName::parse(&socket.local_addr().expect("bound").to_string()).expect("an address");
        let serving: Arc<Mutex<Option<Serving>>> = Arc::default();
        tokio::spawn(accept(socket, name.clone(), Arc::clone(&serving), net));
        Self { name, serving, life: Mutex::default() }
    }

    /// Lets that replica answer.
    pub fn serve(&self, store: &ReplicatedStore) {
        let (alive, life) = watch::channel(());
        *self.life.lock() = Some(alive);
        let acceptor = TlsAcceptor::from(store.peer_tls());
        *self.serving.lock() = Some(Serving { acceptor, service: store.peer_service(), life });
    }

    /// Nobody answers.
    pub fn refuse(&self) {
        *self.serving.lock() = None;
        *self.life.lock() = None;
    }
}

async fn accept(socket: TcpListener, name: PeerName, serving: Arc<Mutex<Option<Serving>>>, net: Arc<Net>) {
    loop {
        let Ok((stream, _)) = socket.accept().await else {
            return;
        };
        let (name, net) = (name.clone(), Arc::clone(&net));
        let Some(serving) = serving.lock().clone() else { continue };
        let mut life = serving.life.clone();
        tokio::spawn(async move {
            tokio::select! {
                // A broken connection is what the other end must cope with.
                _ = serve_connection(stream, &name, &serving, &net) => {}
                _ = life.changed() => {}
            }
        });
    }
}

async fn serve_connection(
    stream: TcpStream,
    name: &PeerName,
    Serving { acceptor, service, .. }: &Serving,
    net: &Net,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = match net.delay(name) {
        Some(one_way) => delayed(stream, one_way),
        None => Box::new(stream),
    };
    let tls = acceptor.accept(stream).await?;
    let certificates = tls.get_ref().1.peer_certificates().unwrap_or_default();
    let certificate = certificates.first().map(|certificate| certificate.to_vec()).unwrap_or_default();
    let mut stream = BufStream::new(tls);
    while let Some(body) = read_request(&mut stream).await? {
        let head = Frame::decode_head(&body).ok().map(|(head, _)| head);
        if head.as_ref().is_some_and(|head| net.swallows(head, name)) {
            return Ok(());
        }
        if head.is_some_and(|head| net.holds(&head, name)) {
            // The asker's patience ends, and its connection with it.
            return std::future::pending().await;
        }
        let answer = service.serve(&certificate, &body).await;
        let head = format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\n\r\n", answer.status, answer.body.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&answer.body).await?;
        stream.flush().await?;
    }
    Ok(())
}

trait Link: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Link for T {}

/// The same connection, a slow line away.
fn delayed(stream: TcpStream, one_way: Duration) -> Box<dyn Link> {
    let (near, far) = tokio::io::duplex(1 << 20);
    let (from_peer, to_peer) = stream.into_split();
    let (from_near, to_near) = tokio::io::split(far);
    tokio::spawn(carry(from_peer, to_near, one_way));
    tokio::spawn(carry(from_near, to_peer, one_way));
    Box::new(near)
}

async fn carry(
    mut from: impl AsyncRead + Send + Unpin + 'static,
    mut to: impl AsyncWrite + Send + Unpin + 'static,
    one_way: Duration,
) {
    let (line, mut end) = mpsc::channel::<(Instant, Vec<u8>)>(1 << 16);
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read) = from.read(&mut buffer).await {
            if read == 0 || line.send((Instant::now() + one_way, buffer[..read].to_vec())).await.is_err() {
                return;
            }
        }
    });
    while let Some((due, bytes)) = end.recv().await {
        tokio::time::sleep_until(due).await;
        if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

async fn read_request(stream: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(body))
}
