//! A slow network between replicas: one TCP proxy per directed link, in user space.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::{Failure, timing};

/// Pieces under way on one link; a sender ahead of that waits, as on a full pipe.
const IN_FLIGHT: usize = 4096;

/// One directed link: who connects here reaches the target later.
#[derive(Debug)]
pub struct Link {
    delay: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Link {
    /// Listens on `at` and forwards to `target`.
    pub async fn open(at: SocketAddr, target: SocketAddr) -> Result<Self, Failure> {
        let listener = TcpListener::bind(at).await?;
        let delay = Arc::new(AtomicU64::new(0));
        let shared = Arc::clone(&delay);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, target, Arc::clone(&shared)));
            }
        });
        Ok(Self { delay, task })
    }

    /// Delays every later byte by so much, each way.
    pub fn set_delay(&self, delay: Duration) {
        self.delay.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(near: TcpStream, target: SocketAddr, delay: Arc<AtomicU64>) {
    // The handshake of a slow link takes a round trip before any byte can follow.
    tokio::time::sleep(Duration::from_millis(delay.load(Ordering::Relaxed) * 2)).await;
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = near.set_nodelay(true);
    let _ = far.set_nodelay(true);
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::join!(pump(near_read, far_write, Arc::clone(&delay)), pump(far_read, near_write, delay));
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Arc<AtomicU64>) {
    let (send, mut receive) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let reader = async move {
        let mut buffer = vec![0_u8; 64 * 1024];
        while let Ok(count) = from.read(&mut buffer).await
            && count > 0
        {
            let due = Instant::from_std(timing::now()) + Duration::from_millis(delay.load(Ordering::Relaxed));
            if send.send((due, buffer[..count].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writer = async move {
        while let Some((due, bytes)) = receive.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(reader, writer);
}

/// The links of a whole cluster. Every replica's process resolves each peer's name to the near end
/// of its own link to that peer (see [`Links::hosts_for`]).
#[derive(Debug)]
pub struct Links {
    links: Vec<((usize, usize), Link)>,
    count: usize,
}

impl Links {
    /// The address on which replica `index` itself listens.
    pub fn own_address(index: usize) -> Ipv4Addr {
        Ipv4Addr::new(127, 77, 0, octet(index))
    }

    fn near_end(from: usize, to: usize) -> Ipv4Addr {
        Ipv4Addr::new(127, 77, octet(from), octet(to))
    }

    /// Opens a link for each ordered pair of replicas; `ports[i]` is the peer port of replica `i`.
    pub async fn open(ports: &[u16]) -> Result<Self, Failure> {
        let mut links = Vec::new();
        for from in 0..ports.len() {
            for (to, port) in ports.iter().enumerate().filter(|(to, _)| *to != from) {
                let near = SocketAddr::from((Self::near_end(from, to), *port));
                let far = SocketAddr::from((Self::own_address(to), *port));
                links.push(((from, to), Link::open(near, far).await?));
            }
        }
        Ok(Self { links, count: ports.len() })
    }

    /// The hosts file of replica `index`, for peer names `names`.
    pub fn hosts_for(&self, index: usize, names: &[String]) -> String {
        let mut text = String::from("127.0.0.1 localhost\n");
        for (to, name) in names.iter().enumerate().take(self.count) {
            let address = if to == index { Self::own_address(to) } else { Self::near_end(index, to) };
            text.push_str(&format!("{address} {name}\n"));
        }
        text
    }

    /// Delays everything to and from one replica.
    #[must_use]
    pub fn delayed_around(self, replica: usize, delay: Duration) -> Self {
        for ((from, to), link) in &self.links {
            if *from == replica || *to == replica {
                link.set_delay(delay);
            }
        }
        self
    }
}

fn octet(index: usize) -> u8 {
    u8::try_from(index).expect("few replicas") + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_link_delays_each_way() {
        let echo = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let target = echo.local_addr().expect("bound");
        tokio::spawn(async move {
            let (mut stream, _) = echo.accept().await.expect("a connection");
            let mut byte = [0_u8; 1];
            while stream.read_exact(&mut byte).await.is_ok() {
                stream.write_all(&byte).await.expect("written");
            }
        });
        let at = crate::ports::free_address();
        let link = Link::open(at, target).await.expect("open");
        let mut stream = TcpStream::connect(at).await.expect("connected");
        let mut byte = [7_u8; 1];
        stream.write_all(&byte).await.expect("written");
        stream.read_exact(&mut byte).await.expect("echoed");
        link.set_delay(Duration::from_millis(50));
        let begun = timing::now();
        stream.write_all(&byte).await.expect("written");
        stream.read_exact(&mut byte).await.expect("echoed");
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(100) && took < Duration::from_millis(400), "{took:?}");
    }

    #[tokio::test]
    async fn every_replica_has_its_own_view_of_the_names() {
        let ports = [crate::ports::free(), crate::ports::free(), crate::ports::free()];
        let links = Links::open(&ports).await.expect("open");
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert!(links.hosts_for(1, &names).contains("127.77.2.1 a\n127.77.0.2 b\n127.77.2.3 c\n"));
    }
}
