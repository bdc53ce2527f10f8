//! Durable, replicated logins: what a callback writes, through a cluster of three.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_rt::System;
use conclave_proto::command::{Command, CreateSession, Outcome};
use conclave_proto::id::{AttemptId, SessionKey, SubjectKey};
use conclave_raft::ReplicatedStore;
use futures::future::join_all;
use tokio::time::Instant;

use crate::Failure;
use crate::fixture::{login, random, random_hex};
use crate::measure::{Latencies, millis, number};
use crate::peers::Replicas;
use crate::report::Table;

const REPLICAS: usize = 3;
const FOR: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_secs(1);
const BODIES: [usize; 2] = [1024, 6 * 1024];
const IN_FLIGHT: [usize; 3] = [1, 16, 256];

/// No login of a healthy cluster takes as long.
const DEADLINE: Duration = Duration::from_secs(10);

const NOTE: &str = "Three replicas on this machine: stores on its disk, mutual TLS between them, synced on a majority \
    before each acknowledgement. All replicas and the load share the processors, so the largest figures are bound \
    by them. \"At the leader\" is how many a second where the leader itself is asked, \"spread\" where all three are \
    asked in turn.";

pub fn run() -> Result<Vec<Table>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    System::with_tokio_rt(|| runtime).block_on(measure())
}

async fn measure() -> Result<Vec<Table>, Failure> {
    let columns = ["body", "in flight", "at the leader", "p50", "p99", "spread", "p50", "p99"];
    let mut table = Table::new("login", NOTE, &columns);
    for body in BODIES {
        let replicas = Replicas::start(REPLICAS, &random_hex(32)).await?;
        for in_flight in IN_FLIGHT {
            let leader = vec![replicas.leader().ok_or("nobody leads")?.clone()];
            let mut row = vec![format!("{} KiB", body / 1024), in_flight.to_string()];
            for stores in [&leader, &replicas.stores] {
                load(stores, in_flight, body, WARM_UP).await?;
                let (mut latencies, seconds) = load(stores, in_flight, body, FOR).await?;
                row.push(number(latencies.count() as f64 / seconds));
                row.push(millis(latencies.percentile(50)));
                row.push(millis(latencies.percentile(99)));
            }
            table.row(&row);
        }
        replicas.stop().await;
    }
    Ok(vec![table])
}

/// Keeps so many logins in flight for a while; fails if one of them does.
async fn load(
    stores: &[ReplicatedStore],
    in_flight: usize,
    body: usize,
    span: Duration,
) -> Result<(Latencies, f64), Failure> {
    let begun = Instant::now();
    let template = Arc::new(login(body));
    let failed = Arc::new(AtomicUsize::new(0));
    let workers = (0..in_flight).map(|worker| {
        let store = stores[worker % stores.len()].clone();
        let (template, failed) = (Arc::clone(&template), Arc::clone(&failed));
        tokio::spawn(async move {
            let mut took = Vec::new();
            while begun.elapsed() < span {
                let command = Command::CreateSession(someone_new(&template));
                let asked = Instant::now();
                let written = store.write(command, DEADLINE).await;
                if !written.is_ok_and(|written| matches!(written.outcome, Outcome::Created { .. })) {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                took.push(asked.elapsed());
            }
            took
        })
    });
    let mut latencies = Latencies::default();
    for worker in join_all(workers).await {
        latencies.extend(worker?);
    }
    match failed.load(Ordering::Relaxed) {
        0 => Ok((latencies, begun.elapsed().as_secs_f64())),
        failed => Err(format!("{failed} logins failed").into()),
    }
}

fn someone_new(template: &CreateSession) -> CreateSession {
    CreateSession {
        key: SessionKey::from_bytes(random()),
        attempt: AttemptId::from_bytes(random()),
        subject: SubjectKey::from_bytes(random()),
        ..template.clone()
    }
}
