//! Clients that begin a request and do not end it hold connections, and nothing else: checks and scrapes go on being
//! answered meanwhile, and the connections are closed in time, whether the head or the body is what does not come. And a
//! crowd of wrong passwords from one address keeps no other client's from being checked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use conclave_tests::lone::{Lone, nobody};
use conclave_tests::raw::exchange;
use conclave_tests::report::Scenario;
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, http, ports, timing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Slow clients of a full run.
const SLOW: usize = 2_000;

/// Checks that are timed with the slow ones and without.
const CHECKS: usize = 300;

/// No check may take longer, on however slow a machine: a gateway's patience is longer by far.
const PATIENCE: Duration = Duration::from_secs(5);

/// The service gives a whole request 15 seconds; this leaves time for a loaded machine, and is shorter than a connection
/// may idle.
const CLOSED_WITHIN: Duration = Duration::from_secs(40);

/// What they send, each in its turn: nothing, half a line, half a head; then whole heads with half a body, with and
/// without a length, where it is read and where it is not.
const BEGINNINGS: [&str; 10] = [
    "",
    "GET /oauth2/au",
    "GET /oauth2/auth HTTP/1.1\r\nHost: a\r\nX-A:",
    "POST /oauth2/sign_in HTTP/1.1\r\nHost: a\r\n",
    "POST /oauth2/sign_in HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
     Content-Length: 99\r\n\r\nusername=a",
    "POST /oauth2/callback HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
     Transfer-Encoding: chunked\r\n\r\n5\r\ncode=\r\n",
    "POST /oauth2/sign_out HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
     Transfer-Encoding: chunked\r\n\r\n",
    "POST /ping HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "POST /oauth2/auth HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST /elsewhere HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\na",
];

/// A form whose body never ends, and its next byte once in a while: a client that is never silent.
const TRICKLE: &str = "POST /oauth2/callback HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                       Content-Length: 9999\r\n\r\nstate=";

/// More idle connections than the metrics listener takes at once.
const IDLE_AT_METRICS: usize = 1_200;

/// Scrapes while they are held.
const SCRAPES: usize = 5;

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
    let metrics = ports::free_address();
    let flags = [format!("--metrics-address={metrics}")];
    let mut service = Lone::start(&WorkDir::fresh("slow_clients"), &nobody(), &flags).await?;
    let client = http::client();
    let before = checks(&client, service.http).await?;
    let mut slow = Vec::with_capacity(scenario.count());
    for number in 0..scenario.count() {
        let mut stream = TcpStream::connect(service.http).await?;
        stream.write_all(BEGINNINGS[number % BEGINNINGS.len()].as_bytes()).await?;
        slow.push((number % BEGINNINGS.len(), stream));
    }
    let begun = timing::now();
    let trickling = tokio::spawn(trickle(service.http));
    let during = checks(&client, service.http).await?;
    for (name, (median, slowest)) in [("before", before), ("meanwhile", during)] {
        scenario
            .figure(&format!("{name}: median and slowest check, ms"), format!("{:.1}, {:.1}", ms(median), ms(slowest)));
    }
    for (beginning, stream) in &mut slow {
        let (what, mut rest) = (BEGINNINGS[*beginning], Vec::new());
        // Closed with or without an answer; one that a reset ends is closed as well.
        let end = tokio::time::timeout(CLOSED_WITHIN.saturating_sub(begun.elapsed()), stream.read_to_end(&mut rest));
        assert!(end.await.is_ok(), "still held after {CLOSED_WITHIN:?}: {what:?}");
        // Where no body is read, the answer is the usual one.
        let usual = what.contains("/ping") || what.contains("/elsewhere");
        let answered = rest.is_empty() || rest.starts_with(b"HTTP/1.1 4") || usual;
        assert!(answered, "{what:?}: {:?}", String::from_utf8_lossy(&rest));
    }
    scenario.held("half requests closed in time", slow.len());
    scenario.figure("all closed after, s", format!("{:.1}", begun.elapsed().as_secs_f64()));
    let answer = trickling.await??;
    assert!(answer.starts_with("HTTP/1.1 408"), "a body that trickles: {answer:?}");
    scenario.held("trickling bodies refused with 408", 1);
    scenario.held("scrapes answered beside idle connections", scrapes(metrics).await?);
    assert!(service.runs(), "the service still runs");
    scenario.passed();
    Ok(())
}

/// Sends a byte now and then, and returns what the service says.
async fn trickle(address: SocketAddr) -> Result<String, std::io::Error> {
    let (mut from, mut to) = TcpStream::connect(address).await?.into_split();
    to.write_all(TRICKLE.as_bytes()).await?;
    let writing = tokio::spawn(async move {
        while to.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let mut answer = vec![0; 64];
    let read = tokio::time::timeout(CLOSED_WITHIN, from.read(&mut answer)).await;
    writing.abort();
    let count = read.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    Ok(String::from_utf8_lossy(&answer[..count]).into_owned())
}

/// Scrapes while more connections idle than the listener takes; says how many were answered.
async fn scrapes(address: SocketAddr) -> Result<usize, Failure> {
    let client = http::client_without_keep_alive();
    let mut answered = 0;
    for _ in 0..SCRAPES {
        let mut idle = Vec::with_capacity(IDLE_AT_METRICS);
        for _ in 0..IDLE_AT_METRICS {
            // The backlog may be full for a moment.
            if let Ok(stream) = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
                idle.push(stream?);
            }
        }
        assert!(idle.len() > 200, "only {} connections are held", idle.len());
        let scrape = client.get(format!("http://{address}/metrics")).timeout(PATIENCE).send().await?;
        assert!(scrape.status().is_success() && scrape.text().await?.contains("conclave_"));
        answered += 1;
    }
    Ok(answered)
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// A user of the file, whose password is `pw`; the lowest cost, as the build that runs here is slow.
const USERS: &str = "bob:$2y$04$abcdefghijklmnopqrstuuyvPXIbu7xe6/CED2DzX8z6Si09MlzlW\n";

/// Where the crowd comes from.
const CROWD: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// How many of the crowd ask at once.
const AT_ONCE: usize = 80;

/// A user's name and password as they stand in a header.
fn basic(credentials: &str) -> String {
    format!("GET /oauth2/auth HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Basic {credentials}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_wrong_passwords() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("slow_clients.passwords", 200, 20, "passwords beside a crowd of wrong ones");
    let dir = WorkDir::fresh("slow_clients_passwords");
    let file = dir.join("users");
    std::fs::write(&file, USERS)?;
    let service = Lone::start(&dir, &nobody(), &[format!("--htpasswd-file={}", file.display())]).await?;
    let address = service.http;
    let wrong = basic("Ym9iOm5v");
    let crowd: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let wrong = wrong.clone();
            tokio::spawn(async move {
                let mut refused = 0_usize;
                loop {
                    let heard = exchange(CROWD, address, wrong.as_bytes(), PATIENCE).await;
                    refused += usize::from(heard.is_ok_and(|heard| heard.statuses().first() == Some(&503)));
                    tokio::task::yield_now().await;
                    if refused >= 3 {
                        QUEUE_WAS_FULL.store(true, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let full = || async { QUEUE_WAS_FULL.load(std::sync::atomic::Ordering::Relaxed).then_some(()) };
    timing::until("the crowd is refused in part", Duration::from_secs(60), full).await?;
    let mut slowest = Duration::ZERO;
    for _ in 0..scenario.count() {
        let begun = timing::now();
        let heard = exchange(IpAddr::V4(Ipv4Addr::LOCALHOST), address, basic("Ym9iOnB3").as_bytes(), PATIENCE).await?;
        assert_eq!(heard.statuses(), [202], "a right password from another address: {:?}", heard.text());
        slowest = slowest.max(begun.elapsed());
    }
    crowd.iter().for_each(tokio::task::JoinHandle::abort);
    scenario.held("right passwords admitted at once", scenario.count());
    scenario.figure("slowest, ms", format!("{:.1}", ms(slowest)));
    scenario.passed();
    Ok(())
}

/// Whether somebody of the crowd was refused for want of a place: otherwise nothing is shown.
static QUEUE_WAS_FULL: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
