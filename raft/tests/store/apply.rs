//! Applying: equal logs give equal states, the index follows, and what is not understood stops it.

use std::time::Duration;

use conclave_proto::id::LogIndex;
use conclave_proto::keyspace::Key;
use conclave_raft::state::ApplyHealth;
use conclave_raft::types::{Proposal, RaftEntry, RaftVote};
use openraft::EntryPayload;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};

use crate::support::{PlainState, Rig, Workload, log_id, scaled};

const SEED: u64 = 77;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_equal_sequences_give_equal_hashes() {
    println!("equal sequences, seed {SEED}");
    let mut one = Rig::new().await;
    let mut other = Rig::new().await;
    let mut plain = PlainState::default();
    let mut work = Workload::new(SEED, 50..3_000);
    let count = scaled(400);
    let mut entries = vec![work.found()];
    entries.extend((1..count).map(|_| work.next(12)));
    for (at, entry) in entries.iter().enumerate() {
        let replies = one.run(vec![entry.clone()]).await;
        assert_eq!(replies[0].0, plain.apply(entry), "entry {at}");
    }
    // The other one meets them in larger steps and is closed in between.
    for step in entries.chunks(37) {
        other.storage.machine.apply(step.to_vec()).await.expect("apply");
    }
    other.storage.log.save_vote(&RaftVote::new(1, 1)).await.expect("vote");
    let other = other.reopen().await;
    let (at, hash) = one.storage.state.state_hash();
    assert_eq!(at, LogIndex::new(count as u64 - 1));
    assert_eq!(hash, plain.hash());
    assert_eq!(other.storage.state.state_hash(), (at, hash));
    assert_index_matches(&one, &plain);
    assert_index_matches(&other, &plain);
    println!("entries: {count}, rows: {}, live sessions: {}; hashes equal", plain.0.len(), one.storage.index.len());
}

fn assert_index_matches(rig: &Rig, plain: &PlainState) {
    let mut sessions = 0;
    for (key, value) in &plain.0 {
        match Key::decode(key).expect("known") {
            Key::Index(session) => {
                let row = rig.storage.index.get(&session, |row| conclave_proto::wire::Versioned::to_bytes(&**row));
                assert_eq!(row.as_ref(), Some(value));
                assert!(rig.storage.state.body(&session).is_some());
                sessions += 1;
            }
            Key::Tombstone(session) => assert!(rig.storage.index.is_tombstoned(&session)),
            Key::NotBefore(subject) => assert!(rig.storage.index.not_before(&subject).is_some()),
            Key::Meta(_)
            | Key::Body(_)
            | Key::ByExpiry(..)
            | Key::BySubject(..)
            | Key::BySid(..)
            | Key::SessionCount(_)
            | Key::Attempt(_)
            | Key::AttemptDue(..)
            | Key::Result(..)
            | Key::ResultDue(..)
            | Key::TombstoneDue(..)
            | Key::NotBeforeDue(..) => {}
        }
    }
    assert_eq!(rig.storage.index.len(), sessions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_entry_stops_apply_but_not_the_log() {
    let mut rig = Rig::new().await;
    let mut work = Workload::new(SEED, 50..100);
    rig.storage.log.save_vote(&RaftVote::new(1, 1)).await.expect("vote");
    rig.run(vec![work.found(), work.next(3)]).await;
    let before = rig.storage.state.state_hash();
    let unknown =
        RaftEntry { log_id: log_id(1, 2), payload: EntryPayload::Normal(Proposal::from_bytes(&[250, 1, 2, 3])) };
    let later = RaftEntry { log_id: log_id(1, 3), payload: EntryPayload::Blank };
    rig.storage.log.blocking_append([unknown.clone(), later.clone()]).await.expect("the log takes it");
    let mut health = rig.storage.state.health();
    assert_eq!(*health.borrow(), ApplyHealth::Running);
    let mut machine = rig.storage.machine;
    let applying = tokio::spawn(async move { machine.apply([unknown, later]).await });
    let stopped = health.wait_for(|health| *health != ApplyHealth::Running);
    let stopped = tokio::time::timeout(Duration::from_secs(20), stopped).await.expect("in time").expect("open").clone();
    assert!(matches!(stopped, ApplyHealth::Stopped { at, .. } if at == LogIndex::new(2)));
    assert!(!applying.is_finished(), "an error would end Raft on this replica");
    assert_eq!(rig.storage.state.state_hash(), before, "the state stays before the unknown entry");
    rig.storage.log.save_vote(&RaftVote::new(2, 2)).await.expect("it still votes");
    rig.storage.log.blocking_append([crate::support::blank(4)]).await.expect("and keeps the log");
    applying.abort();
    println!("unknown entry: apply stopped before it, log and votes went on: {stopped:?}");
}
