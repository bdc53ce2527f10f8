//! HTTP/1.1 by hand, one request a connection: what an app got is shown as it came, and a gateway may send what it likes.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::Failure;
use crate::http::Answer;

/// More than any head here has.
const MOST_HEAD: usize = 64 * 1024;

/// Header fields in their order.
pub type Headers = Vec<(String, String)>;

/// A request without a body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its target.
    pub uri: String,
    /// Its header fields.
    pub headers: Headers,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header fields.
    pub headers: Headers,
    /// Its body.
    pub body: Vec<u8>,
}

impl Request {
    /// First value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        value_of(&self.headers, name)
    }

    /// Every value of a header whose name an app may take for this one: any case, `_` for `-`.
    pub fn however_spelled(&self, name: &str) -> Vec<&str> {
        let same = |other: &str| other.replace('_', "-").eq_ignore_ascii_case(name);
        self.headers.iter().filter(|(other, _)| same(other)).map(|(_, value)| value.as_str()).collect()
    }

    /// What an app behind a gateway saw, if the answer is the app's.
    pub fn seen(answer: &Answer) -> Result<Self, Failure> {
        let shown = answer.body.strip_prefix("app\n").filter(|_| answer.status == 200);
        let shown = shown.ok_or_else(|| format!("not the app: {} {}", answer.status, answer.body))?;
        Ok(serde_json::from_str(shown)?)
    }

    /// Reads one off a connection; `None` when the other side closes first.
    pub async fn read(stream: &mut TcpStream) -> Result<Option<Self>, Failure> {
        let Some((head, _)) = head_of(stream).await? else { return Ok(None) };
        let (line, headers) = split(&head)?;
        let mut words = line.split(' ').map(str::to_owned);
        let (method, uri) = (words.next().unwrap_or_default(), words.next().ok_or("no target")?);
        Ok(Some(Self { method, uri, headers }))
    }

    /// Sends it and reads the answer to its end.
    pub async fn send(&self, to: SocketAddr) -> Result<Response, Failure> {
        let mut stream = TcpStream::connect(to).await?;
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.uri);
        for (name, value) in self.headers.iter().filter(|(name, _)| !is_of_hop(name)) {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        bytes.push_str("Connection: close\r\n\r\n");
        stream.write_all(bytes.as_bytes()).await?;
        let (head, mut body) = head_of(&mut stream).await?.ok_or("closed without an answer")?;
        stream.read_to_end(&mut body).await?;
        let (line, headers) = split(&head)?;
        if value_of(&headers, "transfer-encoding").is_some() {
            return Err("answers in chunks are not read here".into());
        }
        let status = line.split(' ').nth(1).unwrap_or_default().parse()?;
        Ok(Response { status, headers, body })
    }
}

impl Response {
    /// Writes it, as the last on its connection.
    pub async fn write(&self, stream: &mut TcpStream) -> Result<(), Failure> {
        let mut bytes = format!("HTTP/1.1 {} As said\r\n", self.status).into_bytes();
        let of_body = |name: &str| name.eq_ignore_ascii_case("content-length");
        for (name, value) in self.headers.iter().filter(|(name, _)| !is_of_hop(name) && !of_body(name)) {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(format!("Content-Length: {}\r\nConnection: close\r\n\r\n", self.body.len()).as_bytes());
        bytes.extend_from_slice(&self.body);
        stream.write_all(&bytes).await?;
        Ok(stream.shutdown().await?)
    }
}

/// First value of a header.
pub fn value_of<'h>(headers: &'h Headers, name: &str) -> Option<&'h str> {
    headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Whether it belongs to one connection.
fn is_of_hop(name: &str) -> bool {
    ["connection", "keep-alive", "te", "upgrade"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Up to the empty line, and what was read beyond it.
async fn head_of(stream: &mut TcpStream) -> Result<Option<(String, Vec<u8>)>, Failure> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            bytes.truncate(end);
            return Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), rest)));
        }
        if bytes.len() > MOST_HEAD {
            return Err("the head has no end".into());
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return if bytes.is_empty() { Ok(None) } else { Err("closed within the head".into()) };
        }
    }
}

fn split(head: &str) -> Result<(String, Headers), Failure> {
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("no header: {line:?}"))?;
        Ok((name.to_owned(), value.trim().to_owned()))
    });
    Ok((first, headers.collect::<Result<_, Failure>>()?))
}

/// A server that ends when it is dropped.
#[derive(Debug)]
pub struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers each request by itself; one that cannot be answered gets 500 with the reason.
pub async fn serve<F, R>(address: SocketAddr, answer: F) -> Result<Server, Failure>
where
    F: Fn(Request) -> R + Clone + Send + 'static,
    R: Future<Output = Result<Response, Failure>> + Send,
{
    let listener = TcpListener::bind(address).await?;
    Ok(Server(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let Ok(Some(request)) = Request::read(&mut stream).await else { return };
                let response = answer(request).await.unwrap_or_else(|error| Response {
                    status: 500,
                    headers: Vec::new(),
                    body: error.to_string().into_bytes(),
                });
                // Who asked may be gone.
                let _ = response.write(&mut stream).await;
            });
        }
    })))
}

/// An app that shows what it got.
pub async fn app(address: SocketAddr) -> Result<Server, Failure> {
    serve(address, |request: Request| async move {
        let body = format!("app\n{}", serde_json::to_string(&request)?).into_bytes();
        Ok(Response { status: 200, headers: Vec::new(), body })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports;

    #[tokio::test]
    async fn an_app_shows_what_it_got() {
        let at = ports::free_address();
        let _app = app(at).await.expect("bound");
        let headers = vec![("Host".to_owned(), "x".to_owned()), ("X_A-b".to_owned(), String::new())];
        let sent = Request { method: "GET".to_owned(), uri: "/a?b=%20".to_owned(), headers };
        let answer = sent.send(at).await.expect("answered");
        let shown: Request = serde_json::from_slice(&answer.body[4..]).expect("its own form");
        assert_eq!((shown.uri.as_str(), shown.however_spelled("x-a-b")), ("/a?b=%20", vec![""]));
    }
}
