//! The auth check of the real program, next to a bare handler that answers with the same headers.
//!
//! The store is filled before the program starts on it: its sessions are as if their people had
//! logged in, and no provider is needed.

use std::path::Path;
use std::time::Duration;

use conclave_proto::id::PeerName;
use futures::StreamExt;
use tokio::time::{Instant, sleep};

use crate::Failure;
use crate::bare;
use crate::fixture::{body, random_hex};
use crate::measure::{median, number};
use crate::peers::{free_port, open, scratch_dir};
use crate::report::Table;
use crate::service::{AUTH, Answer, ISSUER, READY_WITHIN, ask, binary, flags, log_in};
use crate::wrk::{self, Found, Server};

const SESSIONS: usize = 20_000;

/// Sessions whose cookies are sent.
const ASKED: usize = 2_000;

const ROUNDS: usize = 5;
const SECONDS: u32 = 4;
const SELF: &str = "bench.test:4181";

/// Characters of a usual ID token.
const TOKEN: usize = 900;

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
    let mut service = Server::start(&binary()?, &flags(port, free_port()?, SELF, &data, &secret))?;
    runtime.block_on(ready(port, &cookies[0], &mut service))?;
    let mut table = Table::new(
        "auth_check",
        NOTE,
        &["request", "bare/s", "service/s", "ratio", "bare p50, p99", "service p50, p99"],
    );
    for (name, headers) in [("as ingress-nginx asks", nginx_headers()), ("cookie alone", Vec::new())] {
        let answer = check(port, &headers, &cookies[0])?;
        let bare_port = free_port()?;
        let mut args = vec![bare::COMMAND.to_owned(), bare_port.to_string(), AUTH.to_owned()];
        args.extend(as_arguments(&answer)?);
        let mut bare = Server::start(&std::env::current_exe()?, &args)?;
        runtime.block_on(ready(bare_port, &cookies[0], &mut bare))?;
        let script = dir.path().join("ask.lua");
        std::fs::write(&script, wrk::script(AUTH, &headers, &cookies[..ASKED]))?;
        table.row(&compare(name, bare_port, port, &script)?);
    }
    Ok(vec![table])
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
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
        match check(port, &[], cookie) {
            Ok(answer) if answer.status == 202 => return Ok(()),
            Ok(_) | Err(_) if begun.elapsed() < READY_WITHIN && server.runs() => {}
            Ok(answer) => return Err(format!("the server answers {}", answer.status).into()),
            Err(error) => return Err(error),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// For the bare server, without what every server adds by itself.
fn as_arguments(answer: &Answer) -> Result<Vec<String>, Failure> {
    if answer.status != 202 {
        return Err(format!("the service answers {}", answer.status).into());
    }
    let own = ["date:", "content-length:", "connection:", "transfer-encoding:"];
    let foreign = |line: &&String| !own.iter().any(|name| line.to_ascii_lowercase().starts_with(name));
    let mut args = vec![answer.status.to_string()];
    args.extend(answer.headers.iter().filter(foreign).cloned());
    Ok(args)
}

fn check(port: u16, headers: &[(String, String)], cookie: &str) -> Result<Answer, Failure> {
    let mut headers = headers.to_vec();
    headers.push(("Cookie".to_owned(), cookie.to_owned()));
    ask(port, AUTH, &headers)
}

/// Founds a cluster of one and logs people in; the cookies that their browsers got.
async fn fill(data: &Path, secret: &str) -> Result<Vec<String>, Failure> {
    let store = open(data, PeerName::parse(SELF)?, Vec::new(), secret).await?;
    store.run();
    let mut keys = store.keyring();
    let ring = keys.wait_for(Option::is_some).await?.clone().ok_or("no keys")?;
    let logins = (0..SESSIONS).map(|user| log_in(&store, &ring, body(user, ISSUER, TOKEN)));
    let cookies: Vec<_> = futures::stream::iter(logins).buffered(256).collect().await;
    store.shutdown().await;
    cookies.into_iter().collect()
}
