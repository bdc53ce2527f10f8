//! Durable appends to the log: each is on the disk, sync included, before the next begins.

use conclave::clock::SystemEntropy;
use conclave_proto::command::{Batch, Command, Tag, Tagged};
use conclave_proto::id::ProcessId;
use conclave_proto::time::Timestamp;
use conclave_raft::open::{StorageOptions, Verify, open};
use conclave_raft::types::{LogAppend, Proposal, entry};
use std::time::Duration;
use tokio::time::Instant;

use crate::Failure;
use crate::fixture::{login, random};
use crate::measure::{Latencies, millis, number};
use crate::peers::scratch_dir;
use crate::report::Table;

const FOR: Duration = Duration::from_secs(3);

/// Commands in an entry, and the bytes of each one's body.
const SHAPES: [(usize, usize); 5] = [(1, 1024), (16, 1024), (64, 1024), (1, 6 * 1024), (16, 6 * 1024)];

pub fn run() -> Result<Vec<Table>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let note = "One replica's log on its disk, one append at a time. An append ends when it is synced.";
    let columns = ["entry", "appends per second", "logins per second", "p50", "p99"];
    let mut table = Table::new("log_append", note, &columns);
    for (commands, body) in SHAPES {
        let (mut latencies, seconds) = runtime.block_on(appends(commands, body))?;
        let per_second = latencies.count() as f64 / seconds;
        table.row(&[
            format!("{commands} x {} KiB", body / 1024),
            number(per_second),
            number(per_second * commands as f64),
            millis(latencies.percentile(50)),
            millis(latencies.percentile(99)),
        ]);
    }
    Ok(vec![table])
}

async fn appends(commands: usize, body: usize) -> Result<(Latencies, f64), Failure> {
    let dir = scratch_dir()?;
    let storage = open(StorageOptions::new(dir.path().to_path_buf(), Verify::InProcess), &SystemEntropy::new()).await?;
    let mut log = storage.log.clone();
    let proposal = Proposal::new(&batch(commands, body));
    let mut took = Vec::new();
    let begun = Instant::now();
    let mut index = 0;
    while begun.elapsed() < FOR {
        let entry = entry(1, storage.node_id, index, proposal.clone());
        index += 1;
        let asked = Instant::now();
        log.blocking_append([entry]).await?;
        took.push(asked.elapsed());
    }
    let seconds = begun.elapsed().as_secs_f64();
    drop(log);
    tokio::task::spawn_blocking(move || drop(storage)).await?;
    let mut latencies = Latencies::default();
    latencies.extend(took);
    Ok((latencies, seconds))
}

fn batch(commands: usize, body: usize) -> Batch {
    let now = Timestamp::from_secs(1_700_000_000);
    let process = ProcessId::from_bytes(random());
    let tagged = (0..).take(commands).map(|sequence| Tagged {
        tag: Tag { process, sequence, known_time: now },
        command: Command::CreateSession(login(body)),
    });
    Batch::new(now, tagged.collect())
}
