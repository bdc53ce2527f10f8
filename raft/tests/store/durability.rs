//! Nothing is acknowledged before it was synced.

use std::sync::atomic::Ordering;
use std::time::Duration;

use conclave_raft::DiskRoom;
use conclave_raft::limits::{
    LOW_DISK_BYTES, NEARLY_FULL_BYTES, NOT_NEARLY_FULL_BYTES, RESERVE_BYTES, ROOMY_DISK_BYTES,
};
use conclave_raft::types::RaftVote;
use futures::FutureExt;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};

use crate::support::{Rig, Workload, blank, log_id, scaled};

/// Longer than any sync takes: its passing means that none came.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_append_returns_before_a_sync() {
    let mut rig = Rig::new().await;
    let mut work = Workload::new(1, 100..2_000);
    let rounds = scaled(200);
    for round in 0..rounds {
        let entry = if round == 0 { work.found() } else { work.next(8) };
        let begun_before = rig.disk.syncs_begun.load(Ordering::SeqCst);
        let mut entered = rig.disk.hold();
        let mut append = Box::pin(rig.storage.log.blocking_append([entry]));
        tokio::select! {
            _ = &mut append => panic!("round {round}: acknowledged before any sync"),
            _ = entered.recv() => {}
            () = tokio::time::sleep(PATIENCE) => panic!("round {round}: no sync came"),
        }
        assert!((&mut append).now_or_never().is_none(), "round {round}: acknowledged while the sync was held up");
        rig.disk.release();
        append.await.expect("append");
        assert!(rig.disk.syncs_ended.load(Ordering::SeqCst) > begun_before, "round {round}");
    }
    println!("appends held up by their sync: {rounds} of {rounds}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_vote_is_saved_before_a_sync() {
    let mut rig = Rig::new().await;
    let rounds = scaled(200);
    for round in 0..rounds as u64 {
        let vote = RaftVote::new(round + 1, 1);
        let mut entered = rig.disk.hold();
        let mut log = rig.storage.log.clone();
        let mut save = Box::pin(async move { log.save_vote(&vote).await });
        tokio::select! {
            _ = &mut save => panic!("vote {round}: saved before any sync"),
            _ = entered.recv() => {}
            () = tokio::time::sleep(PATIENCE) => panic!("vote {round}: no sync came"),
        }
        assert!((&mut save).now_or_never().is_none(), "vote {round}: saved while the sync was held up");
        rig.disk.release();
        save.await.expect("save");
        assert_eq!(rig.storage.log.read_vote().await.expect("read"), Some(vote));
    }
    println!("votes held up by their sync: {rounds} of {rounds}");
}

/// sled keeps rows in memory until `flush`: a sync without it would make nothing durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_in_the_file_when_it_is_synced() {
    let mut rig = Rig::new().await;
    let mut work = Workload::new(2, 3_000..3_001);
    rig.run(vec![work.found()]).await;
    let rounds = scaled(20);
    for round in 0..rounds {
        let entry = work.login_entry();
        let openraft::EntryPayload::Normal(proposal) = &entry.payload else { unreachable!() };
        // The middle of the random body: nothing else holds these bytes.
        let needle = proposal.as_bytes()[1_000..1_064].to_vec();
        let mut entered = rig.disk.hold();
        let mut append = Box::pin(rig.storage.log.blocking_append([entry]));
        tokio::select! {
            _ = &mut append => panic!("round {round}: acknowledged before any sync"),
            _ = entered.recv() => {}
        }
        let file = std::fs::read(rig.dir.path().join("store/db")).expect("db");
        assert!(file.windows(needle.len()).any(|window| window == needle), "round {round}: synced before flushed");
        rig.disk.release();
        append.await.expect("append");
    }
    println!("rows found in the file when its sync began: {rounds} of {rounds}");
}

/// A snapshot that reaches beyond the log's end moves the log there: entries after it may only
/// count once the state is durable, or a crash would leave a hole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_does_not_grow_over_a_gap_before_the_state_is_durable() {
    let mut rig = Rig::new().await;
    rig.storage.log.save_vote(&RaftVote::new(1, 1)).await.expect("vote");
    rig.run((0..=10).map(blank).collect()).await;
    rig.storage.log.purge(log_id(1, 100)).await.expect("purge");
    let mut log = rig.storage.log.clone();
    let mut append = Box::pin(async move { log.blocking_append([blank(101)]).await });
    let waited = tokio::time::timeout(Duration::from_millis(1_500), &mut append).await;
    assert!(waited.is_err(), "an entry was acknowledged beyond a gap in the log");
    rig.storage.machine.apply([blank(100)]).await.expect("apply");
    append.await.expect("append");
    let rig = rig.reopen().await;
    assert_eq!(rig.storage.log.last_index(), 101);
    println!("an append over a gap waited for the state: 1 of 1");
}

/// Votes, log and state are there after the store was closed and opened again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_comes_back() {
    let mut rig = Rig::new().await;
    let mut work = Workload::new(3, 100..4_000);
    rig.storage.log.save_vote(&RaftVote::new(1, 1)).await.expect("vote");
    rig.run(vec![work.found()]).await;
    let entries = scaled(300) as u64;
    for _ in 0..entries {
        let entry = work.next(6);
        rig.run(vec![entry]).await;
    }
    let purged = log_id(1, entries / 2);
    rig.storage.log.purge(purged).await.expect("purge");
    let (hash, sessions) = (rig.storage.state.state_hash(), rig.storage.index.len());
    let mut rig = rig.reopen().await;
    assert_eq!(rig.storage.state.state_hash(), hash);
    assert_eq!(rig.storage.index.len(), sessions);
    let state = rig.storage.log.get_log_state().await.expect("log state");
    assert_eq!(state.last_log_id, Some(log_id(1, entries)));
    assert_eq!(rig.storage.log.read_vote().await.expect("vote"), Some(RaftVote::new(1, 1)));
    println!("entries applied and found again: {entries}, live sessions {sessions}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn low_disk_space_is_told_before_sled_meets_it() {
    let rig = Rig::new().await;
    let mut space = rig.storage.space.clone();
    let mut told = 0;
    // Once there was room for the reserve, marks count what is free beyond it.
    for (free, room) in [
        (RESERVE_BYTES + ROOMY_DISK_BYTES, DiskRoom::Enough),
        (LOW_DISK_BYTES - 1, DiskRoom::Low),
        (NEARLY_FULL_BYTES - 1, DiskRoom::NearlyFull),
        (NOT_NEARLY_FULL_BYTES, DiskRoom::Low),
        (ROOMY_DISK_BYTES, DiskRoom::Enough),
    ] {
        rig.disk.free.store(free, Ordering::SeqCst);
        let seen = space.wait_for(|space| space.room == room);
        tokio::time::timeout(PATIENCE, seen).await.expect("told").expect("open");
        told += 1;
    }
    println!("marks of free disk space told: {told} of 5");
}
