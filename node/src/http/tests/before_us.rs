//! What the HTTP library answers before the service sees a request: as the documents say it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::Bench;

/// The library's limit, and its answers beyond it and to bytes that no header may hold.
const MOST_LINES: usize = 96;
const TOO_MANY: u16 = 431;
const UNREADABLE: u16 = 400;

/// The page that tells of it.
const DIFFERENCES: &str = include_str!("../../../../docs/differences.md");

async fn status(address: SocketAddr, lines: &str) -> u16 {
    let mut stream = TcpStream::connect(address).await.expect("listens");
    let request = format!("GET /oauth2/auth HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n");
    stream.write_all(request.as_bytes()).await.expect("taken");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("answered");
    let line = String::from_utf8_lossy(&answer).into_owned();
    line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status in {line:?}"))
}

#[actix_web::test]
async fn answered_before_us_is_as_documented() {
    let bench = Bench::start(&[]).await;
    let address = bench.node.public_addresses[0];
    // Two lines stand there already.
    let lines = |count: usize| (2..count).map(|number| format!("X-{number}: a\r\n")).collect::<String>();
    assert_eq!(status(address, &lines(MOST_LINES)).await, 401, "as many as fit");
    assert_eq!(status(address, &lines(MOST_LINES + 1)).await, TOO_MANY);
    for byte in ['\u{1}', '\u{7f}'] {
        assert_eq!(status(address, &format!("X-A: a{byte}\r\n")).await, UNREADABLE, "{byte:?}");
    }
    let said = [
        format!("more than {MOST_LINES} header lines ({TOO_MANY})"),
        format!("a header value with a control byte such as `\\x01` or `\\x7f` ({UNREADABLE})"),
    ];
    for said in said {
        assert!(DIFFERENCES.contains(&said), "docs/differences.md does not say: {said}");
    }
    bench.stop().await;
}
