//! Snapshots are points in time, travel in any chunks, and leave the receiver equal to the sender.

use std::sync::Arc;

use conclave_raft::snapshot::{SnapshotError, SnapshotFile, SnapshotSource};
use conclave_raft::types::{RaftEntry, RaftSnapshotMeta};
use openraft::RaftSnapshotBuilder;
use openraft::storage::{RaftLogStorage, RaftStateMachine};

use crate::support::{PlainState, Random, Rig, Workload, blank, log_id, scaled};

const SEED: u64 = 20_261_122;

async fn send(rig: &Rig, meta: &RaftSnapshotMeta, file: &Arc<SnapshotFile>, random: &mut Random) -> SnapshotSource {
    let mut receiver = rig.storage.inbox.receive().expect("receive");
    while receiver.offset() < file.len() {
        let limit = 1 + random.below(700_000) as usize;
        let chunk = file.chunk(receiver.offset(), limit).await.expect("read");
        receiver.write_chunk(&chunk).await.expect("chunk");
    }
    receiver.finish(meta).await.expect("finish")
}

/// The state after the entries up to `index`, by a plain map.
fn expected(entries: &[RaftEntry], index: u64) -> [u8; 32] {
    let mut plain = PlainState::default();
    for entry in entries.iter().take_while(|entry| entry.log_id.index <= index) {
        plain.apply(entry);
    }
    plain.hash()
}

/// Applies until told to stop; returns everything that was applied.
async fn write_on(
    mut machine: conclave_raft::state_machine::StateMachine,
    mut work: Workload,
    mut stop: tokio::sync::oneshot::Receiver<()>,
) -> (conclave_raft::state_machine::StateMachine, Workload, Vec<RaftEntry>) {
    let mut applied = Vec::new();
    while stop.try_recv().is_err() {
        let entry = work.next(20);
        machine.apply([entry.clone()]).await.expect("apply");
        applied.push(entry);
    }
    (machine, work, applied)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installed_under_write_load_it_equals_the_sender() {
    let rounds = scaled(5);
    println!("snapshot under write load, seed {SEED}");
    let mut random = Random::new(SEED);
    for round in 0..rounds {
        let mut sender = Rig::new().await;
        let mut receiver = Rig::new().await;
        let mut work = Workload::new(random.next(), 100..20_000);
        let mut entries = vec![work.found()];
        entries.extend((0..scaled(150)).map(|_| work.next(20)));
        sender.run(entries.clone()).await;

        let mut builder = sender.storage.machine.get_snapshot_builder().await;
        let began_at = entries.len() as u64 - 1;
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let load = tokio::spawn(write_on(sender.storage.machine, work, stopped));
        let snapshot = builder.build_snapshot().await.expect("build");
        let SnapshotSource::Built(file) = *snapshot.snapshot else { panic!("a built snapshot is a file") };
        let source = send(&receiver, &snapshot.meta, &file, &mut random).await;
        receiver.storage.machine.install_snapshot(&snapshot.meta, Box::new(source)).await.expect("install");
        stop.send(()).expect("the load runs");
        let (machine, _, later) = load.await.expect("load");
        sender.storage.machine = machine;

        let (at, hash) = receiver.storage.state.state_hash();
        assert_eq!(at.get(), began_at, "a snapshot is the state of the entry it began at");
        assert_eq!(hash, expected(&entries, began_at), "round {round}: not the sender's state at {began_at}");
        assert!(!later.is_empty(), "nothing was written meanwhile");
        let caught_up = later.len();
        receiver.storage.machine.apply(later).await.expect("apply");
        assert_eq!(receiver.storage.state.state_hash(), sender.storage.state.state_hash());
        assert_eq!(receiver.storage.index.len(), sender.storage.index.len());
        println!(
            "round {round}: {} bytes at entry {began_at}, {caught_up} entries applied meanwhile, {} sessions; equal",
            file.len(),
            receiver.storage.index.len()
        );
    }
}

/// The hash of a running store is that of one entry, whatever is applied meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashes_under_write_load_are_points_in_time() {
    let mut rig = Rig::new().await;
    let mut work = Workload::new(SEED, 100..4_000);
    let mut entries = vec![work.found()];
    entries.extend((0..scaled(100)).map(|_| work.next(20)));
    rig.run(entries.clone()).await;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let load = tokio::spawn(write_on(rig.storage.machine, work, stopped));
    let mut hashes = Vec::new();
    for _ in 0..scaled(20) {
        let state = rig.storage.state.clone();
        hashes.push(tokio::task::spawn_blocking(move || state.state_hash()).await.expect("hash"));
    }
    stop.send(()).expect("the load runs");
    entries.extend(load.await.expect("load").2);
    for (at, hash) in &hashes {
        assert_eq!(*hash, expected(&entries, at.get()), "at {at}");
    }
    let distinct: std::collections::BTreeSet<_> = hashes.iter().map(|(at, _)| at).collect();
    assert!(distinct.len() > 1, "nothing was applied between the hashes");
    println!("hashes taken under load: {} at {} entries, all right", hashes.len(), distinct.len());
}

/// Damage anywhere in a snapshot is noticed before anything is installed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_snapshots_are_refused() {
    let mut sender = Rig::new().await;
    let receiver = Rig::new().await;
    let mut work = Workload::new(SEED, 100..1_000);
    let mut entries = vec![work.found()];
    entries.extend((0..20).map(|_| work.next(5)));
    sender.run(entries).await;
    let snapshot = sender.storage.machine.get_snapshot_builder().await.build_snapshot().await.expect("build");
    let SnapshotSource::Built(file) = *snapshot.snapshot else { panic!("a built snapshot is a file") };
    let whole = file.chunk(0, usize::MAX).await.expect("read");
    let before = receiver.storage.state.state_hash();
    let mut random = Random::new(SEED);
    let rounds = scaled(100);
    for _ in 0..rounds {
        let mut bytes = whole.clone();
        let at = random.below(bytes.len() as u64) as usize;
        if random.below(4) == 0 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << random.below(8);
        }
        let refused = receive(&receiver, &bytes, &snapshot.meta).await;
        assert!(refused.is_err(), "damage at {at} of {} went unnoticed", whole.len());
    }
    receive(&receiver, &whole, &snapshot.meta).await.expect("the undamaged one is taken");
    assert_eq!(receiver.storage.state.state_hash(), before, "nothing was installed");
    while receiver.storage.guard.is_cleaning() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let receiver = receiver.reopen().await;
    assert_eq!(receiver.storage.state.state_hash(), before);
    println!("damaged snapshots refused: {rounds} of {rounds}");
}

async fn receive(rig: &Rig, bytes: &[u8], meta: &RaftSnapshotMeta) -> Result<SnapshotSource, SnapshotError> {
    let mut receiver = rig.storage.inbox.receive()?;
    receiver.write_chunk(bytes).await?;
    receiver.finish(meta).await
}

/// What was installed is there after a restart, can be sent on, and half-received rows are gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installed_snapshot_survives_a_restart() {
    let mut sender = Rig::new().await;
    let mut receiver = Rig::new().await;
    let mut work = Workload::new(SEED + 1, 100..5_000);
    let mut entries = vec![work.found()];
    entries.extend((0..scaled(50)).map(|_| work.next(20)));
    sender.run(entries).await;
    receiver.storage.log.save_vote(&conclave_raft::types::RaftVote::new(1, 1)).await.expect("vote");
    let snapshot = sender.storage.machine.get_snapshot_builder().await.build_snapshot().await.expect("build");
    let SnapshotSource::Built(file) = *snapshot.snapshot else { panic!("a built snapshot is a file") };
    let mut half = receiver.storage.inbox.receive().expect("receive");
    half.write_chunk(&file.chunk(0, file.len() as usize / 2).await.expect("read")).await.expect("chunk");
    let source = send(&receiver, &snapshot.meta, &file, &mut Random::new(SEED)).await;
    receiver.storage.machine.install_snapshot(&snapshot.meta, Box::new(source)).await.expect("install");
    receiver.storage.log.purge(snapshot.meta.last_log_id.expect("some")).await.expect("purge");
    drop(half);
    let mut receiver = receiver.reopen().await;
    assert_eq!(receiver.storage.state.state_hash(), sender.storage.state.state_hash());
    assert_eq!(receiver.storage.index.len(), sender.storage.index.len());
    let kept = receiver.storage.machine.get_current_snapshot().await.expect("current").expect("kept");
    assert_eq!(kept.meta, snapshot.meta);
    while receiver.storage.guard.is_cleaning() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    println!("installed snapshot found again: {} bytes", file.len());
}

/// A crash in the middle of an installation leaves a file that leads nobody to the log, or one of
/// entries that the state lacks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_file_that_does_not_fit_is_dropped() {
    let mut rig = Rig::new().await;
    rig.storage.log.save_vote(&conclave_raft::types::RaftVote::new(1, 1)).await.expect("vote");
    let file = rig.dir.path().join("snapshots/current");
    let mut kept = Vec::new();
    for step in [0..20, 20..40, 40..60] {
        rig.run(step.map(blank).collect()).await;
        rig.storage.machine.get_snapshot_builder().await.build_snapshot().await.expect("build");
        kept.push(std::fs::read(&file).expect("read"));
    }
    rig.storage.log.purge(log_id(1, 30)).await.expect("purge");
    while rig.storage.guard.is_cleaning() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    for (bytes, fits) in kept.iter().zip([false, true, true]) {
        std::fs::write(&file, bytes).expect("write");
        rig = rig.reopen().await;
        let current = rig.storage.machine.get_current_snapshot().await.expect("current");
        assert_eq!(current.is_some(), fits);
    }
    let mut other = Rig::new().await;
    other.run((0..61).map(blank).collect()).await;
    other.storage.machine.get_snapshot_builder().await.build_snapshot().await.expect("build");
    std::fs::copy(other.dir.path().join("snapshots/current"), &file).expect("copy");
    rig = rig.reopen().await;
    assert!(rig.storage.machine.get_current_snapshot().await.expect("current").is_none());
    println!("snapshot files that do not fit dropped: 2 of 2");
}
