//! Clients that begin a request and do not end it hold connections, and nothing else: checks go on being
//! answered meanwhile, and the connections are closed after a while.

use std::net::SocketAddr;
use std::time::Duration;

use conclave_tests::lone::{Lone, nobody};
use conclave_tests::report::Scenario;
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, http, timing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Slow clients of a full run.
const SLOW: usize = 2_000;

/// Checks that are timed with the slow ones and without.
const CHECKS: usize = 300;

/// No check may take longer, on however slow a machine: a gateway's patience is longer by far.
const PATIENCE: Duration = Duration::from_secs(5);

/// The service gives a request's head 15 seconds; this is longer, and shorter than a connection may idle.
const CLOSED_WITHIN: Duration = Duration::from_secs(45);

/// What they send, each in its turn: nothing, half a line, half a head.
const BEGINNINGS: [&str; 4] = [
    "",
    "GET /oauth2/au",
    "GET /oauth2/auth HTTP/1.1\r\nHost: a\r\nX-A:",
    "POST /oauth2/sign_in HTTP/1.1\r\nHost: a\r\n",
];

/// The slowest and the median of many checks, each answered 401.
async fn checks(client: &reqwest::Client, address: SocketAddr) -> Result<(Duration, Duration), Failure> {
    let mut took = Vec::with_capacity(CHECKS);
    for _ in 0..CHECKS {
        let begun = timing::now();
        // A connection of its own each time: it has to be accepted too.
        let asked = client.get(format!("http://{address}/oauth2/auth")).header("Connection", "close");
        assert_eq!(asked.timeout(PATIENCE).send().await?.status().as_u16(), 401);
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    Ok((took[CHECKS / 2], took[CHECKS - 1]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("slow_clients", SLOW, 200, "connections with half a request");
    let mut service = Lone::start(&WorkDir::fresh("slow_clients"), &nobody(), &[]).await?;
    let client = http::client();
    let before = checks(&client, service.http).await?;
    let mut slow = Vec::with_capacity(scenario.count());
    for number in 0..scenario.count() {
        let mut stream = TcpStream::connect(service.http).await?;
        stream.write_all(BEGINNINGS[number % BEGINNINGS.len()].as_bytes()).await?;
        slow.push(stream);
    }
    let during = checks(&client, service.http).await?;
    for (name, (median, slowest)) in [("before", before), ("meanwhile", during)] {
        scenario
            .figure(&format!("{name}: median and slowest check, ms"), format!("{:.1}, {:.1}", ms(median), ms(slowest)));
    }
    let begun = timing::now();
    for stream in &mut slow {
        let mut rest = Vec::new();
        // Closed with or without an answer; one that a reset ends is closed as well.
        let end = tokio::time::timeout(CLOSED_WITHIN.saturating_sub(begun.elapsed()), stream.read_to_end(&mut rest));
        assert!(end.await.is_ok(), "a half-open connection is still held after {CLOSED_WITHIN:?}");
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&rest));
    }
    scenario.held("half requests closed in time", slow.len());
    scenario.figure("all closed after, s", format!("{:.1}", begun.elapsed().as_secs_f64()));
    assert!(service.runs(), "the service still runs");
    scenario.passed();
    Ok(())
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}
