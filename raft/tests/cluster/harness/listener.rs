//! A minimal HTTP/1.1 listener for one endpoint, and the faults that tests put on the links.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use conclave_proto::id::PeerName;
use conclave_proto::wire::Frame;
use conclave_raft::{PeerService, ReplicatedStore};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Links that are cut.
#[derive(Default)]
pub struct Net {
    cuts: Mutex<BTreeSet<(PeerName, PeerName)>>,
}

impl Net {
    /// Cuts both directions between two replicas.
    pub fn cut(&self, a: &PeerName, b: &PeerName) {
        let mut cuts = self.cuts.lock();
        cuts.insert((a.clone(), b.clone()));
        cuts.insert((b.clone(), a.clone()));
    }

    /// Mends everything.
    pub fn mend(&self) {
        self.cuts.lock().clear();
    }

    fn is_cut(&self, from: &PeerName, to: &PeerName) -> bool {
        self.cuts.lock().contains(&(from.clone(), to.clone()))
    }
}

type Serving = (TlsAcceptor, PeerService);

/// Keeps a replica's address through its restarts.
pub struct Listener {
    pub name: PeerName,
    serving: Arc<Mutex<Option<Serving>>>,
}

impl Listener {
    pub async fn bind(net: Arc<Net>) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let name = PeerName::parse(&socket.local_addr().expect("bound").to_string()).expect("an address");
        let serving: Arc<Mutex<Option<Serving>>> = Arc::default();
        tokio::spawn(accept(socket, name.clone(), Arc::clone(&serving), net));
        Self { name, serving }
    }

    /// Lets that replica answer.
    pub fn serve(&self, store: &ReplicatedStore) {
        *self.serving.lock() = Some((TlsAcceptor::from(store.peer_tls()), store.peer_service()));
    }

    /// Nobody answers.
    pub fn refuse(&self) {
        *self.serving.lock() = None;
    }
}

async fn accept(socket: TcpListener, name: PeerName, serving: Arc<Mutex<Option<Serving>>>, net: Arc<Net>) {
    loop {
        let Ok((stream, _)) = socket.accept().await else {
            return;
        };
        let (name, serving, net) = (name.clone(), Arc::clone(&serving), Arc::clone(&net));
        tokio::spawn(async move {
            // A broken connection is what the other end must cope with.
            let _ = serve_connection(stream, &name, &serving, &net).await;
        });
    }
}

async fn serve_connection(
    stream: TcpStream,
    name: &PeerName,
    serving: &Mutex<Option<Serving>>,
    net: &Net,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let acceptor = serving.lock().as_ref().map(|(acceptor, _)| acceptor.clone());
    let Some(acceptor) = acceptor else {
        return Ok(());
    };
    let tls = acceptor.accept(stream).await?;
    let certificates = tls.get_ref().1.peer_certificates().unwrap_or_default();
    let certificate = certificates.first().map(|certificate| certificate.to_vec()).unwrap_or_default();
    let mut stream = BufStream::new(tls);
    while let Some(body) = read_request(&mut stream).await? {
        let from = Frame::decode_head(&body).ok().map(|(head, _)| head.from_name);
        let service = serving.lock().as_ref().map(|(_, service)| service.clone());
        let Some(service) = service else {
            return Ok(());
        };
        if from.is_some_and(|from| net.is_cut(&from, name)) {
            return Ok(());
        }
        let answer = service.serve(&certificate, &body).await;
        let head = format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\n\r\n", answer.status, answer.body.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&answer.body).await?;
        stream.flush().await?;
    }
    Ok(())
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
