//! What one replica acknowledged, all honour: across failures, retries and restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conclave_proto::command::{Command, Outcome, Refusal};
use conclave_proto::id::LogIndex;
use conclave_raft::{Lookup, StoreEvent, WriteError};

use crate::harness::{Cluster, Login, PATIENCE, Plan, honoured, log_in, revoke, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_at_any_replica_is_honoured_by_all_at_once() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    for _ in 0..20 {
        for at in 0..3 {
            let ticket = log_in(cluster.store(at)).await;
            for asked in 0..3 {
                assert_eq!(honoured(cluster.store(asked), &ticket).await, Some(true), "made at {at}, asked at {asked}");
            }
        }
    }
    cluster.until_equal().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_session_is_refused_by_all() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let ticket = log_in(cluster.store(0)).await;
    let index = revoke(cluster.store(1), ticket.key()).await;
    for replica in cluster.running() {
        until("the revocation is applied", || replica.store().status().applied >= index).await;
        assert_eq!(honoured(replica.store(), &ticket).await, Some(false));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_wait_for_the_new_leader_and_succeed() {
    let mut cluster = Cluster::ready(3, Plan::default()).await;
    let before = log_in(cluster.store(0)).await;
    let leader = cluster.leader().await;
    let survivors = cluster.others(leader);

    let logins: Vec<_> = (0..16)
        .map(|number| {
            let store = cluster.store(survivors[number % 2]).clone();
            tokio::spawn(async move { log_in(&store).await })
        })
        .collect();
    cluster.replicas[leader].stop().await;
    let mut tickets = vec![before];
    for login in logins {
        tickets.push(login.await.expect("a login that meets a change of leader succeeds"));
    }
    let begun = tokio::time::Instant::now();
    tickets.push(log_in(cluster.store(survivors[0])).await);
    println!("first login begun after the stop took {:?}", begun.elapsed());
    for ticket in &tickets {
        for survivor in &survivors {
            assert_eq!(honoured(cluster.store(*survivor), ticket).await, Some(true));
        }
    }
    cluster.replicas[leader].start().await;
    cluster.until_ready().await;
    for ticket in &tickets {
        assert_eq!(honoured(cluster.store(leader), ticket).await, Some(true));
    }
    cluster.until_equal().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_loses_no_write_and_doubles_none() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let leader = cluster.leader().await;
    cluster.cut_off(leader);
    // Proposed by a leader that reaches nobody; its client gives up neither.
    let login = Login::new(cluster.store(leader));
    let store = cluster.store(leader).clone();
    let (command, ticket) = (Command::CreateSession(login.command), login.ticket);
    let waiting = tokio::spawn(async move { store.write(command, PATIENCE).await });

    let elsewhere = cluster.others(leader);
    let other = log_in(cluster.store(elsewhere[0])).await;
    assert!(!waiting.is_finished(), "no quorum, no answer");
    cluster.net.mend();
    let written = waiting.await.expect("ran").expect("written by the new leader");
    let Outcome::Created { index, .. } = written.outcome else { panic!("{written:?}") };
    let ticket = ticket.with_index(index);
    for asked in 0..3 {
        assert_eq!(honoured(cluster.store(asked), &ticket).await, Some(true));
        assert_eq!(honoured(cluster.store(asked), &other).await, Some(true));
        until("exactly two sessions", || cluster.store(asked).status().sessions == 2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_attempt_makes_one_session_whatever_replica_is_asked() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let first = Login::new(cluster.store(0));
    let attempt = first.command.attempt;
    first.write(cluster.store(0)).await;
    for at in 0..3 {
        let mut second = Login::new(cluster.store(at));
        second.command.attempt = attempt;
        let refused = cluster.store(at).write(Command::CreateSession(second.command), PATIENCE).await;
        assert_eq!(refused, Err(WriteError::Refused(Refusal::AttemptUsed)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_a_write_ends_at_its_deadline() {
    let mut cluster = Cluster::ready(3, Plan::default()).await;
    for index in [1, 2] {
        cluster.replicas[index].stop().await;
    }
    let login = Login::new(cluster.store(0));
    let written = cluster.store(0).write(Command::CreateSession(login.command), Duration::from_millis(700)).await;
    assert_eq!(written, Err(WriteError::Deadline));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_goes_on_when_its_caller_is_gone() {
    let mut cluster = Cluster::ready(3, Plan::default()).await;
    let leader = cluster.leader().await;
    let at = cluster.others(leader)[0];
    let login = Login::new(cluster.store(at));
    let key = login.ticket.key();
    cluster.replicas[leader].stop().await;
    {
        let write = cluster.store(at).write(Command::CreateSession(login.command), PATIENCE);
        // Polled long enough to begin, then dropped like the future of a client that hung up.
        let dropped = tokio::time::timeout(Duration::from_millis(50), write).await;
        assert!(dropped.is_err(), "written without a leader");
    }
    let reader = cluster.store(at).reader();
    until("the session is there", || reader.body(&key).is_some()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_replicas_restart_with_everything_acknowledged() {
    let mut cluster = Cluster::ready(3, Plan::default()).await;
    let mut tickets = Vec::new();
    for number in 0..30 {
        tickets.push(log_in(cluster.store(number % 3)).await);
    }
    for replica in &mut cluster.replicas {
        replica.stop().await;
    }
    for (already, replica) in cluster.replicas.iter_mut().enumerate() {
        replica.start().await;
        // Alone it can have caught up with nobody.
        assert!(already > 0 || !replica.store().readiness().is_ready(), "ready before it has caught up");
    }
    cluster.until_ready().await;
    for replica in cluster.running() {
        for ticket in &tickets {
            assert_eq!(honoured(replica.store(), ticket).await, Some(true));
        }
    }
    log_in(cluster.store(1)).await;
    cluster.until_equal().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_peer_and_a_new_leader_are_told() {
    let mut cluster = Cluster::ready(3, Plan::default()).await;
    let leader = cluster.leader().await;
    let at = cluster.others(leader)[0];
    let mut events = cluster.store(at).events();
    let lost = cluster.replicas[leader].name.clone();
    cluster.replicas[leader].stop().await;
    let (mut saw_loss, mut saw_leader) = (false, false);
    while !(saw_loss && saw_leader) {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await.expect("in time").expect("told");
        match event {
            StoreEvent::PeerLost { peer } => saw_loss |= peer == lost,
            StoreEvent::LeaderChanged { leader, .. } => saw_leader |= leader.is_some_and(|leader| leader != lost),
            StoreEvent::Founded { .. } | StoreEvent::PeerBack { .. } | StoreEvent::Rekeyed => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writes_at_once_share_entries() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let leader = cluster.leader().await;
    let before = cluster.store(leader).status().last_log;
    let logins: Vec<_> = (0..500)
        .map(|number| {
            let store = cluster.store(number % 3).clone();
            tokio::spawn(async move { log_in(&store).await })
        })
        .collect();
    for login in logins {
        login.await.expect("written");
    }
    let entries = cluster.store(leader).status().last_log.get() - before.get();
    println!("500 logins in {entries} entries");
    assert!(entries < 250, "500 logins took {entries} entries");
    cluster.until_equal().await;
    assert_eq!(cluster.store(0).status().sessions, 500);
}

/// `find` alone, without asking, while entries are applied: a session that exists is Live or Behind,
/// never Gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_up_during_apply_never_denies_what_was_acknowledged() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let reader_at = cluster.store(cluster.others(cluster.leader().await)[0]).clone();
    for round in 0..40 {
        let logins: Vec<_> = (0..8).map(|_| Login::new(cluster.store(0))).collect();
        let keys: Vec<_> = logins.iter().map(|login| login.ticket.clone()).collect();
        let next = reader_at.status().last_log.get() + 1;
        let done = Arc::new(AtomicBool::new(false));
        let hammer = {
            let (reader, done) = (reader_at.reader(), Arc::clone(&done));
            std::thread::spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    for ticket in &keys {
                        // Of all entries that may hold it, the next is the one that comes first.
                        let ticket = ticket.clone().with_index(LogIndex::new(next));
                        if matches!(reader.find(&ticket), Lookup::Live(_)) {
                            continue;
                        }
                        let again = reader.find(&ticket);
                        assert!(!matches!(again, Lookup::Stale), "round {round}");
                    }
                }
            })
        };
        let store = cluster.store(0);
        let writes = logins.into_iter().map(|login| login.write(store));
        for ticket in futures::future::join_all(writes).await {
            let found = reader_at.reader().find(&ticket);
            assert!(matches!(found, Lookup::Live(_) | Lookup::Behind), "round {round}: {found:?}");
        }
        done.store(true, Ordering::SeqCst);
        hammer.join().expect("no wrong answer");
    }
}
