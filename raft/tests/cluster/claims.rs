//! One attempt is redeemed by one replica.

use std::time::Duration;

use conclave_proto::command::Command;
use conclave_proto::id::AttemptId;
use conclave_raft::{Claim, ClaimError};

use crate::harness::{Cluster, Login, PATIENCE, Plan};

fn attempt(number: u8) -> AttemptId {
    AttemptId::from_bytes([number; 16])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_replicas_one_redeems_and_the_others_hear_how_it_went() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    for number in 0..20 {
        let ok = number % 2 == 0;
        let claims: Vec<_> = (0..3)
            .map(|at| {
                let store = cluster.store(at).clone();
                tokio::spawn(async move {
                    let claim = store.claim(attempt(number), None, PATIENCE).await.expect("answered");
                    if claim == Claim::Granted {
                        store.end_claim(attempt(number), ok).await;
                    }
                    claim
                })
            })
            .collect();
        let mut granted = 0;
        for claim in claims {
            match claim.await.expect("ran") {
                Claim::Granted => granted += 1,
                Claim::Finished { ok: heard } => assert_eq!(heard, ok),
            }
        }
        // After a failure the attempt may be claimed anew, by whoever had not heard of it yet.
        assert!(granted == 1 || (!ok && granted >= 1), "{granted} redeemed one code");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_made_a_session_is_finished_even_without_memory_of_the_claim() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let login = Login::new(cluster.store(1));
    let attempt = login.command.attempt;
    cluster.store(1).write(Command::CreateSession(login.command), PATIENCE).await.expect("written");
    let claim = cluster.store(2).claim(attempt, None, PATIENCE).await;
    assert_eq!(claim, Ok(Claim::Finished { ok: true }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_waits_for_its_holder_and_is_freed_when_that_is_lost() {
    let mut cluster = Cluster::ready(3, Plan::default()).await;
    let leader = cluster.leader().await;
    let others = cluster.others(leader);
    let claim = cluster.store(others[0]).claim(attempt(1), None, PATIENCE).await;
    assert_eq!(claim, Ok(Claim::Granted));
    let second = cluster.store(others[1]).claim(attempt(1), None, Duration::from_millis(300)).await;
    assert_eq!(second, Err(ClaimError::Deadline), "the holder is still at it");
    cluster.replicas[others[0]].stop().await;
    let third = cluster.store(others[1]).claim(attempt(1), None, Duration::from_secs(10)).await;
    assert_eq!(third, Ok(Claim::Granted), "long before the 15 s of a claim are over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_meets_a_change_of_leader_waits_for_the_next() {
    let mut cluster = Cluster::ready(3, Plan::default()).await;
    let leader = cluster.leader().await;
    let at = cluster.others(leader)[0];
    cluster.replicas[leader].stop().await;
    assert_eq!(cluster.store(at).claim(attempt(1), None, PATIENCE).await, Ok(Claim::Granted));
}
