//! A client that sends what it is told, byte for byte, and a cookie jar that ignores domains.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What [`send`] says of a connection that was closed without an answer.
pub const CLOSED: &str = "closed before the end of the headers";

/// A response as received.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// Body after any chunking was undone.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All headers of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends one request on a connection of its own. `headers` go out as they are; `Host` is added unless given.
pub fn send(
    addr: &str,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: Option<&str>,
) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    let given = |name: &str| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    let mut request = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
    if !given("host") {
        request.extend_from_slice(format!("Host: {addr}\r\n").as_bytes());
    }
    for (name, value) in headers {
        request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if let (Some(body), false) = (body, given("content-length")) {
        request.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(body.unwrap_or_default().as_bytes());
    stream.write_all(&request)?;
    receive(&mut stream, method)
}

fn receive(stream: &mut TcpStream, method: &str) -> std::io::Result<Response> {
    let bad = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned());
    let mut data = Vec::new();
    let head_end = loop {
        if let Some(at) = data.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if read_some(stream, &mut data)? == 0 {
            return Err(bad(CLOSED));
        }
    };
    let head = String::from_utf8_lossy(&data[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let mut response = Response { status: status.ok_or_else(|| bad("no status"))?, headers, body: Vec::new() };
    let mut rest = data.split_off(head_end + 4);
    if method == "HEAD" || matches!(response.status, 204 | 304) {
        return Ok(response);
    }
    if let Some(length) = response.get("content-length").and_then(|length| length.parse::<usize>().ok()) {
        while rest.len() < length && read_some(stream, &mut rest)? > 0 {}
        rest.truncate(length);
        response.body = rest;
    } else if response.get("transfer-encoding").is_some() {
        while !rest.ends_with(b"0\r\n\r\n") && read_some(stream, &mut rest)? > 0 {}
        response.body = dechunk(&rest).ok_or_else(|| bad("broken chunking"))?;
    } else {
        while read_some(stream, &mut rest)? > 0 {}
        response.body = rest;
    }
    Ok(response)
}

fn read_some(stream: &mut TcpStream, into: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut buffer = [0; 16 * 1024];
    let count = stream.read(&mut buffer)?;
    into.extend_from_slice(&buffer[..count]);
    Ok(count)
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + size)?);
        rest = rest.get(end + 4 + size..)?;
    }
}

/// A browser's cookies without their domains and paths.
#[derive(Clone, Debug, Default)]
pub struct Jar(BTreeMap<String, String>);

impl Jar {
    /// Keeps and forgets what the response says.
    pub fn take(&mut self, response: &Response) {
        for cookie in response.all("set-cookie") {
            let mut parts = cookie.split(';');
            let (name, value) = parts.next().and_then(|first| first.trim().split_once('=')).unwrap_or((cookie, ""));
            let max_age = parts.filter_map(|part| part.trim().split_once('=')).find_map(|(key, value)| {
                key.eq_ignore_ascii_case("max-age").then(|| value.parse::<i64>().unwrap_or(1))
            });
            if value.is_empty() || max_age.is_some_and(|seconds| seconds <= 0) {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The value of a `Cookie` header, if there is any cookie.
    pub fn header(&self) -> Option<String> {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}
