//! Requests that no well-behaved client sends: bytes straight to a socket.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::Failure;

/// How long the service may sit on garbage before the connection counts as left open.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends bytes and returns the status of the first answer; `None` when the connection was closed or
/// stayed silent.
pub async fn send(address: SocketAddr, bytes: &[u8]) -> Result<Option<u16>, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    // The service may close before everything is sent.
    let _ = stream.write_all(bytes).await;
    let mut head = [0_u8; 64];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut head)).await;
    let count = read.ok().and_then(Result::ok).unwrap_or_default();
    let line = String::from_utf8_lossy(&head[..count]).into_owned();
    Ok(line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok()))
}

/// Sends bytes from an address of this machine and returns everything that comes back until the
/// connection is closed or stays silent. It is empty when nothing comes.
pub async fn exchange(from: IpAddr, address: SocketAddr, bytes: &[u8], patience: Duration) -> Result<Heard, Failure> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let mut stream = socket.connect(address).await?;
    // The service may close before everything is sent.
    let _ = stream.write_all(bytes).await;
    let mut heard = Heard::default();
    loop {
        let mut part = [0_u8; 4096];
        let patience = if heard.bytes.is_empty() { patience } else { patience.min(MORE) };
        match tokio::time::timeout(patience, stream.read(&mut part)).await {
            Err(_) => return Ok(heard),
            Ok(Ok(0) | Err(_)) => {
                heard.closed = true;
                return Ok(heard);
            }
            Ok(Ok(count)) => heard.bytes.extend_from_slice(&part[..count]),
        }
    }
}

/// After an answer, a second one comes at once or never.
const MORE: Duration = Duration::from_millis(1500);

/// What came back on one connection.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// All of it, of however many answers.
    pub bytes: Vec<u8>,
    /// Whether the other side closed the connection.
    pub closed: bool,
}

impl Heard {
    /// As text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The status of each answer, in order; those of bodies that look like answers as well.
    pub fn statuses(&self) -> Vec<u16> {
        let text = self.text();
        let lines = text.split("HTTP/1.").skip(1);
        lines.filter_map(|rest| rest.get(2..5)?.parse().ok()).collect()
    }
}

/// A GET with header lines as bytes, on a connection of its own.
pub async fn get(address: SocketAddr, target: &str, headers: &[(&str, Vec<u8>)]) -> Result<Option<u16>, Failure> {
    let mut bytes = format!("GET {target} HTTP/1.1\r\nHost: auth.test\r\nConnection: close\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    send(address, &bytes).await
}
