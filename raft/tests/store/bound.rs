//! At most 2 MiB of rows between two syncs, and never a blob file: under the largest entries and
//! rows, purges, truncations and an incoming snapshot at the same time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use conclave_raft::limits::MAX_UNSYNCED_BYTES;
use conclave_raft::snapshot::SnapshotSource;
use conclave_raft::types::RaftEntry;
use openraft::RaftSnapshotBuilder;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};

use crate::support::{Rig, Workload, blank, log_id, scaled};

/// The largest body that a login may have.
const LARGEST_BODY: usize = conclave_proto::session::MAX_SEALED_BODY;

async fn built(rig: &mut Rig) -> (conclave_raft::types::RaftSnapshotMeta, Vec<u8>) {
    let snapshot = rig.storage.machine.get_snapshot_builder().await.build_snapshot().await.expect("build");
    let SnapshotSource::Built(file) = *snapshot.snapshot else { panic!("a built snapshot is a file") };
    let bytes = file.chunk(0, usize::MAX).await.expect("read");
    (snapshot.meta, bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_than_2_mib_unsynced_and_no_blobs() {
    let logins = scaled(120);
    let mut sender = Rig::new().await;
    let mut work = Workload::new(4, LARGEST_BODY..LARGEST_BODY + 1);
    sender.run(vec![work.found()]).await;
    for _ in 0..logins {
        let entry = work.login_entry();
        sender.run(vec![entry]).await;
    }
    let (meta, bytes) = built(&mut sender).await;

    let receiver = Rig::new().await;
    // In this order, so that the directory goes last.
    let Rig { dir, disk, storage } = receiver;
    let (mut log, mut machine, inbox) = (storage.log.clone(), storage.machine, storage.inbox.clone());
    let incoming = tokio::spawn(async move {
        let mut receiver = inbox.receive().expect("receive");
        for chunk in bytes.chunks(300_000) {
            receiver.write_chunk(chunk).await.expect("chunk");
        }
        let source = receiver.finish(&meta).await.expect("finish");
        (meta, source)
    });
    // 64 of the largest entries in one append: 7.5 MiB at once.
    let mut local = Workload::new(5, LARGEST_BODY..LARGEST_BODY + 1);
    local.found();
    let entries: Vec<RaftEntry> = (0..64).map(|_| local.login_entry()).collect();
    log.blocking_append([blank(0)]).await.expect("append");
    for _ in 0..scaled(2) {
        log.blocking_append(entries.clone()).await.expect("append");
        log.truncate(log_id(1, 1)).await.expect("truncate");
    }
    let mut apply = Workload::new(6, LARGEST_BODY..LARGEST_BODY + 1);
    machine.apply(vec![apply.found()]).await.expect("apply");
    for _ in 0..logins {
        machine.apply(vec![apply.login_entry()]).await.expect("apply");
    }
    let (meta, source) = incoming.await.expect("incoming");
    machine.install_snapshot(&meta, Box::new(source)).await.expect("install");
    while storage.guard.is_cleaning() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let most = storage.flusher.stats().most_unsynced;
    let seen = disk.most_unsynced.load(Ordering::SeqCst);
    let blobs = std::fs::read_dir(dir.path().join("store/blobs")).expect("blobs").count();
    println!(
        "largest entries and rows: {logins} logins of {LARGEST_BODY} bytes applied, one snapshot received meanwhile; \
         most unsynced {most} of {MAX_UNSYNCED_BYTES} bytes (at a sync: {seen}), {} syncs, {blobs} blob files",
        disk.syncs_ended.load(Ordering::SeqCst)
    );
    assert!(most <= MAX_UNSYNCED_BYTES, "{most}");
    assert!(most > MAX_UNSYNCED_BYTES / 2, "the load never came near the bound: {most}");
    assert_eq!(blobs, 0);
    assert_eq!(sender.blob_files(), 0);
    assert_eq!(storage.state.state_hash(), sender.storage.state.state_hash());
}
