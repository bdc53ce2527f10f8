//! Memory and disk of a replica by number of sessions: what an operator sizes pods and volumes by.
//!
//! A cluster of three on this machine: the real program, which is measured, and two stores in this
//! process, through which people log in. Every replica holds the same, so one stands for all.

mod replica;
mod tables;

use std::ops::Range;

use actix_rt::System;
use conclave_proto::session::SessionBody;
use conclave_raft::ReplicatedStore;
use futures::{StreamExt, TryStreamExt};

use self::replica::Replica;
use self::tables::{Found, Tables};
use crate::Failure;
use crate::fixture::{body, random_base64, random_hex};
use crate::peers::{Replicas, places};
use crate::report::Table;
use crate::service::{ISSUER, log_in};

/// Sessions of the rows; the first row stands for an empty store.
const SIZES: [usize; 4] = [1, 1_000, 10_000, 100_000];

/// Logins under way at once.
const IN_FLIGHT: usize = 256;

/// Logins that make the log long enough for a snapshot where the option is at its least.
const TO_A_SNAPSHOT: usize = 500;

/// Logins while the replica is away.
const MISSED: usize = 1_000;

/// Cuts the log as on a day whose logins are spread: whenever it has grown by `snapshot_log_bytes`.
const OVER_A_DAY: &[&str] = &["--snapshot-min-interval=0s"];

/// Cuts it at once.
const AT_ONCE: &[&str] = &["--snapshot-min-interval=0s", "--snapshot-log-bytes=65536"];

/// A kind of session: characters of its ID token, access token and refresh token.
struct Kind {
    name: &'static str,
    tokens: [usize; 3],
}

const KINDS: [Kind; 2] =
    [Kind { name: "3 KiB", tokens: [1_100, 1_100, 872] }, Kind { name: "none", tokens: [0, 0, 0] }];

pub fn run() -> Result<Vec<Table>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    System::with_tokio_rt(|| runtime).block_on(measure())
}

async fn measure() -> Result<Vec<Table>, Failure> {
    let mut tables = Tables::new();
    for kind in KINDS {
        let mut before = None;
        for sessions in SIZES {
            let found = one(&kind, sessions).await?;
            eprintln!("sizing, {}: {found:?}", kind.name);
            tables.add(kind.name, &found, before.replace(found).as_ref());
        }
    }
    Ok(tables.into_tables())
}

async fn one(kind: &Kind, sessions: usize) -> Result<Found, Failure> {
    let (places, secret) = (places(3)?, random_hex(32));
    let mut replica = Replica::start(&places, &secret, OVER_A_DAY)?;
    let others = Replicas::start_some(&places[1..], &places, &secret).await?;
    let store = &others.stores[0];

    replica.ready().await?;
    let before = replica.written()?;
    let mut cookies = fill(store, kind, 0..sessions).await?;
    replica.holds(sessions).await?;
    let written = (replica.written()? - before) / sessions as u64;
    let (filled, disk_filled) = (replica.memory()?, replica.disk()?);

    let ready = replica.restart(AT_ONCE).await?;
    cookies.extend(fill(store, kind, sessions..sessions + TO_A_SNAPSHOT).await?);
    replica.cut().await?;
    let (disk_cut, snapshot) = (replica.disk()?, replica.snapshot()?);

    replica.kill();
    let proof = replica.proof().await?;
    let missed = sessions + TO_A_SNAPSHOT..sessions + TO_A_SNAPSHOT + MISSED;
    cookies.extend(fill(store, kind, missed).await?);
    let caught_up = replica.restart(OVER_A_DAY).await?;
    let restarted = replica.memory()?;
    let (first, again) = (replica.check(&cookies)?, replica.check(&cookies)?);
    let checked = replica.memory()?;
    others.stop().await;
    Ok(Found {
        sessions,
        filled,
        restarted,
        checked,
        proof,
        ready,
        caught_up,
        first,
        again,
        disk_filled,
        disk_cut,
        snapshot,
        written,
    })
}

/// Logs people in; their cookies.
async fn fill(store: &ReplicatedStore, kind: &Kind, users: Range<usize>) -> Result<Vec<String>, Failure> {
    let ring = store.keyring().borrow().clone().ok_or("no keys")?;
    let logins = users.map(|user| log_in(store, &ring, session(kind, user)));
    futures::stream::iter(logins).buffer_unordered(IN_FLIGHT).try_collect().await
}

fn session(kind: &Kind, user: usize) -> SessionBody {
    let [id_token, access_token, refresh_token] = kind.tokens.map(random_base64);
    SessionBody { id_token, access_token, refresh_token, ..body(user, ISSUER, 0) }
}
