//! The auth check of the real program, next to a bare handler that answers with the same headers.
//!
//! The store is filled before the program starts on it: its sessions are as if their people had
//! logged in, and no provider is needed.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use conclave::clock::SystemClock;
use conclave_proto::command::{Command, CreateSession, Outcome};
use conclave_proto::id::{AttemptId, Generation, PeerName, ProviderId, SiteId};
use conclave_proto::keyring::Keyring;
use conclave_proto::seal::{seal_body, seal_label};
use conclave_proto::session::SessionLabel;
use conclave_proto::ticket::Ticket;
use conclave_proto::time::{Clock, Ttl};
use conclave_raft::ReplicatedStore;
use futures::StreamExt;
use tokio::time::{Instant, sleep};

use crate::Failure;
use crate::bare;
use crate::fixture::{COOKIE_NAME, body, random, random_hex};
use crate::measure::{median, number};
use crate::peers::{free_port, open, scratch_dir};
use crate::report::Table;
use crate::wrk::{self, Found, Server};

const SESSIONS: usize = 20_000;

/// Sessions whose cookies are sent.
const ASKED: usize = 2_000;

const ROUNDS: usize = 5;
const SECONDS: u32 = 4;
const PATH: &str = "/oauth2/auth";
const SELF: &str = "bench.test:4181";
const ISSUER: &str = "http://127.0.0.1:1";
const CLIENT: &str = "bench";

/// Characters of a usual ID token.
const TOKEN: usize = 900;

const READY_WITHIN: Duration = Duration::from_secs(30);

const NOTE: &str = "The service in a cluster of one and a bare actix-web handler with the same response headers, each \
    with one worker on core 0; wrk with 64 connections on core 1; rounds of both in turn, and the median of the \
    rounds. Every check authenticates the whole ticket. The ratio is to be at least 0.65, and 0.75 is aimed at.";

pub fn run() -> Result<Vec<Table>, Failure> {
    let dir = scratch_dir()?;
    let data = dir.path().join("data");
    let secret = random_hex(32);
    // The disk is closed once the last task of the store is gone, which the end of its runtime waits for.
    let cookies = runtime()?.block_on(fill(&data, &secret))?;

    let runtime = runtime()?;
    let port = free_port()?;
    let mut service = Server::start(&binary()?, &flags(port, &data, &secret)?)?;
    runtime.block_on(ready(port, &cookies[0], &mut service))?;
    let mut table = Table::new(
        "auth_check",
        NOTE,
        &["request", "bare/s", "service/s", "ratio", "bare p50, p99", "service p50, p99"],
    );
    for (name, headers) in [("as ingress-nginx asks", nginx_headers()), ("cookie alone", Vec::new())] {
        let answer = ask(port, &headers, &cookies[0])?;
        let bare_port = free_port()?;
        let mut args = vec![bare::COMMAND.to_owned(), bare_port.to_string(), PATH.to_owned()];
        args.extend(answer.as_arguments()?);
        let mut bare = Server::start(&std::env::current_exe()?, &args)?;
        runtime.block_on(ready(bare_port, &cookies[0], &mut bare))?;
        let script = dir.path().join("ask.lua");
        std::fs::write(&script, wrk::script(PATH, &headers, &cookies[..ASKED]))?;
        table.row(&compare(name, bare_port, port, &script)?);
    }
    Ok(vec![table])
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// `$CONCLAVE_BIN`, or the program beside this one.
fn binary() -> Result<PathBuf, Failure> {
    let beside = std::env::current_exe()?.with_file_name("conclave");
    let binary = std::env::var_os("CONCLAVE_BIN").map_or(beside, PathBuf::from);
    if binary.is_file() { Ok(binary) } else { Err(format!("{} is not there", binary.display()).into()) }
}

fn flags(port: u16, data: &Path, secret: &str) -> Result<Vec<String>, Failure> {
    let (admin, data) = (free_port()?, data.display());
    let flags = [
        format!("--http-address=127.0.0.1:{port}"),
        format!("--admin-address=127.0.0.1:{admin}"),
        format!("--self={SELF}"),
        format!("--data-dir={data}"),
        format!("--cookie-secret={secret}"),
        format!("--client-id={CLIENT}"),
        "--client-secret=bench".to_owned(),
        "--provider=oidc".to_owned(),
        format!("--oidc-issuer-url={ISSUER}"),
        "--redirect-url=http://app.test/oauth2/callback".to_owned(),
        "--email-domain=*".to_owned(),
        "--set-xauthrequest=true".to_owned(),
        "--reverse-proxy=true".to_owned(),
        "--gateway=nginx".to_owned(),
        "--log-level=error".to_owned(),
    ];
    Ok(flags.to_vec())
}

/// What ingress-nginx sends with every question, besides the client's own headers.
fn nginx_headers() -> Vec<(String, String)> {
    let headers = [
        ("Host", "auth.test"),
        ("X-Request-ID", "9d0c1f7e5b8a4f1e8a1c6a2b3c4d5e6f"),
        ("X-Original-URL", "http://app.test/orders/17?view=full"),
        ("X-Original-Method", "GET"),
        ("X-Sent-From", "nginx-ingress-controller"),
        ("X-Real-IP", "203.0.113.7"),
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Auth-Request-Redirect", "/orders/17?view=full"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("Accept-Language", "en-GB,en;q=0.5"),
    ];
    headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

fn compare(name: &str, bare: u16, service: u16, script: &Path) -> Result<[String; 6], Failure> {
    // The first seconds fill caches on both sides.
    wrk::load(bare, script, 1)?;
    wrk::load(service, script, 2)?;
    let (mut bares, mut services) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        bares.push(wrk::load(bare, script, SECONDS)?);
        services.push(wrk::load(service, script, SECONDS)?);
        eprintln!("auth_check, {name}, round {round} of {ROUNDS}: {:?} {:?}", bares.last(), services.last());
    }
    let of = |found: &[Found], part: fn(&Found) -> f64| median(&mut found.iter().map(part).collect::<Vec<_>>());
    let mut ratios: Vec<f64> = services.iter().zip(&bares).map(|(s, b)| s.per_second / b.per_second).collect();
    let latency = |found: &[Found]| format!("{:.2} ms, {:.2} ms", of(found, |f| f.p50), of(found, |f| f.p99));
    Ok([
        name.to_owned(),
        number(of(&bares, |found| found.per_second)),
        number(of(&services, |found| found.per_second)),
        number(median(&mut ratios)),
        latency(&bares),
        latency(&services),
    ])
}

/// Waits until the first check is answered.
async fn ready(port: u16, cookie: &str, server: &mut Server) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        match ask(port, &[], cookie) {
            Ok(answer) if answer.status == 202 => return Ok(()),
            Ok(_) | Err(_) if begun.elapsed() < READY_WITHIN && server.runs() => {}
            Ok(answer) => return Err(format!("the server answers {}", answer.status).into()),
            Err(error) => return Err(error),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// One answer's head.
struct Answer {
    status: u16,
    headers: Vec<String>,
}

impl Answer {
    /// For the bare server, without what every server adds by itself.
    fn as_arguments(&self) -> Result<Vec<String>, Failure> {
        if self.status != 202 {
            return Err(format!("the service answers {}", self.status).into());
        }
        let own = ["date:", "content-length:", "connection:", "transfer-encoding:"];
        let foreign = |line: &&String| !own.iter().any(|name| line.to_ascii_lowercase().starts_with(name));
        let mut args = vec![self.status.to_string()];
        args.extend(self.headers.iter().filter(foreign).cloned());
        Ok(args)
    }
}

fn ask(port: u16, headers: &[(String, String)], cookie: &str) -> Result<Answer, Failure> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = format!("GET {PATH} HTTP/1.1\r\nConnection: close\r\nCookie: {cookie}\r\n");
    if !headers.iter().any(|(name, _)| name == "Host") {
        request += "Host: auth.test\r\n";
    }
    headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
    stream.write_all(format!("{request}\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or("no status line")?.parse()?;
    Ok(Answer { status, headers: lines.map(str::to_owned).collect() })
}

/// Founds a cluster of one and logs people in; the cookies that their browsers got.
async fn fill(data: &Path, secret: &str) -> Result<Vec<String>, Failure> {
    let store = open(data, PeerName::parse(SELF)?, Vec::new(), secret).await?;
    store.run();
    let mut keys = store.keyring();
    let ring = keys.wait_for(Option::is_some).await?.clone().ok_or("no keys")?;
    let logins = (0..SESSIONS).map(|user| log_in(&store, &ring, user));
    let cookies: Vec<_> = futures::stream::iter(logins).buffered(256).collect().await;
    store.shutdown().await;
    cookies.into_iter().collect()
}

async fn log_in(store: &ReplicatedStore, ring: &Keyring, user: usize) -> Result<String, Failure> {
    let ticket = Ticket::mint(random(), ring.epoch(), SystemClock.now());
    let (key, cluster) = (ticket.key(), ring.cluster_key());
    let body = body(user, ISSUER, TOKEN);
    let label = SessionLabel {
        user: body.identity.user.clone(),
        email: body.identity.email.clone(),
        preferred_username: body.identity.preferred_username.clone(),
        client_address: "203.0.113.7".to_owned(),
        user_agent: "Mozilla/5.0".to_owned(),
    };
    let create = CreateSession {
        key,
        attempt: AttemptId::from_bytes(random()),
        epoch: ring.epoch(),
        provider: ProviderId::default(),
        site: SiteId::default(),
        lifetime: Ttl::from_secs(24 * 3600),
        subject: cluster.subject_key(ISSUER, CLIENT, &body.identity.user),
        sid: None,
        label: seal_label(cluster, &key, &label, random())?,
        body: seal_body(cluster, &ticket, Generation::default(), &body, random())?,
    };
    let written = store.write(Command::CreateSession(create), Duration::from_secs(30)).await?;
    match written.outcome {
        Outcome::Created { index, .. } => {
            Ok(format!("{COOKIE_NAME}={}", ticket.with_index(index).encode(ring, COOKIE_NAME)))
        }
        Outcome::Done | Outcome::Revoked(_) | Outcome::Expired(_) | Outcome::Refused(_) => {
            Err("a login was refused".into())
        }
    }
}
