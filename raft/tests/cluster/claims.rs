//! One attempt is redeemed by one replica, and a flood of it disturbs nothing else.

use std::time::Duration;

use conclave_proto::command::Command;
use conclave_proto::id::AttemptId;
use conclave_proto::wire::{AttemptOutcome, FrameKind, LoginRefusal, RefusalKind};
use conclave_raft::{Claim, ClaimError, Grant, Lookup};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use crate::harness::{BOUND, Cluster, Login, PATIENCE, Plan, honoured, log_in, until};

/// Callbacks of a flood.
const FLOOD: u8 = 200;

fn attempt(number: u8) -> AttemptId {
    AttemptId::from_bytes([number; 16])
}

fn refused() -> AttemptOutcome {
    AttemptOutcome::Refused(LoginRefusal::new(RefusalKind::Provider, "the code is used up".to_owned()))
}

async fn claim(cluster: &Cluster, at: usize, attempt: AttemptId) -> Result<Claim, ClaimError> {
    cluster.store(at).claim(attempt, None, PATIENCE).await
}

async fn granted(cluster: &Cluster, at: usize, attempt: AttemptId) -> Grant {
    match claim(cluster, at, attempt).await {
        Ok(Claim::Granted(grant)) => grant,
        Ok(Claim::Finished(outcome)) => panic!("finished already: {outcome:?}"),
        Err(error) => panic!("not granted: {error}"),
    }
}

async fn finished(cluster: &Cluster, at: usize, attempt: AttemptId) -> AttemptOutcome {
    match claim(cluster, at, attempt).await {
        Ok(Claim::Finished(outcome)) => outcome,
        Ok(Claim::Granted(_)) => panic!("granted a second time"),
        Err(error) => panic!("not answered: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p4_refused_stays_of_three_replicas_one_redeems_and_the_others_hear_how_it_went() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    for number in 0..20 {
        let claims: Vec<_> = (0..9)
            .map(|caller| {
                let store = cluster.store(caller % 3).clone();
                tokio::spawn(async move {
                    match store.claim(attempt(number), None, PATIENCE).await.expect("answered") {
                        Claim::Granted(grant) => {
                            grant.end(Some(refused())).await;
                            None
                        }
                        Claim::Finished(outcome) => Some(outcome),
                    }
                })
            })
            .collect();
        let mut granted = 0;
        for claim in claims {
            match claim.await.expect("ran") {
                None => granted += 1,
                Some(outcome) => assert_eq!(outcome, refused()),
            }
        }
        assert_eq!(granted, 1, "one code is redeemed once");
        for at in 0..3 {
            assert_eq!(finished(&cluster, at, attempt(number)).await, refused(), "it stays refused");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_made_a_session_is_finished_even_without_memory_of_the_claim() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let login = Login::new(cluster.store(1));
    let attempt = login.command.attempt;
    cluster.store(1).write(Command::CreateSession(login.command), PATIENCE).await.expect("written");
    assert_eq!(finished(&cluster, 2, attempt).await, AttemptOutcome::Session);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_was_not_sent_may_be_redeemed_by_the_next() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let (first, second) = (0, 1);
    let grant = granted(&cluster, first, attempt(1)).await;
    let (store, here) = (cluster.store(second).clone(), cluster.store(first).clone());
    let elsewhere = tokio::spawn(async move { store.claim(attempt(1), None, PATIENCE).await });
    let behind = tokio::spawn(async move { here.claim(attempt(1), None, PATIENCE).await });
    grant.end(None).await;
    let mut redeemed = 0;
    for claim in [elsewhere, behind] {
        match claim.await.expect("ran").expect("answered") {
            Claim::Granted(grant) => {
                redeemed += 1;
                grant.end(Some(refused())).await;
            }
            Claim::Finished(outcome) => assert_eq!(outcome, refused()),
        }
    }
    assert_eq!(redeemed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_waits_for_its_holder_and_is_freed_when_that_is_lost() {
    let mut cluster = Cluster::ready(3, Plan::default()).await;
    let leader = cluster.leader().await;
    let others = cluster.others(leader);
    let _grant = granted(&cluster, others[0], attempt(1)).await;
    let second = cluster.store(others[1]).claim(attempt(1), None, Duration::from_millis(300)).await;
    assert_eq!(second.expect_err("the holder is still at it"), ClaimError::Deadline);
    cluster.replicas[others[0]].stop().await;
    let third = cluster.store(others[1]).claim(attempt(1), None, Duration::from_secs(10)).await;
    assert!(matches!(third, Ok(Claim::Granted(_))), "long before the claim's time is over: {third:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_meets_a_change_of_leader_waits_for_the_next() {
    let mut cluster = Cluster::ready(3, Plan::default()).await;
    let leader = cluster.leader().await;
    let at = cluster.others(leader)[0];
    cluster.replicas[leader].stop().await;
    drop(granted(&cluster, at, attempt(1)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p4_refused_stays_if_the_leader_changes_before_the_refusal() {
    let mut cluster = Cluster::ready(3, Plan::default()).await;
    let leader = cluster.leader().await;
    let others = cluster.others(leader);
    let grant = granted(&cluster, others[0], attempt(1)).await;
    cluster.replicas[leader].stop().await;
    cluster.leader().await;
    grant.end(Some(refused())).await;
    for at in others {
        assert_eq!(finished(&cluster, at, attempt(1)).await, refused());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p4_one_question_p4_eight_wait_p10_pause_of_a_flood_at_one_replica() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let leader = cluster.leader().await;
    let others = cluster.others(leader);
    let grant = granted(&cluster, others[0], attempt(1)).await;
    let before = cluster.net.arrived(FrameKind::Claim);
    let begun = Instant::now();
    let mut flood: FuturesUnordered<_> = (0..FLOOD).map(|_| claim(&cluster, others[1], attempt(1))).collect();
    for _ in 8..FLOOD {
        let turned_away = flood.next().await.expect("200 callers");
        assert_eq!(turned_away.expect_err("not one of the eight"), ClaimError::Busy);
    }
    assert_eq!(flood.len(), 8, "eight wait, while the holder is still at it");
    let asked = || cluster.net.arrived(FrameKind::Claim) - before;
    tokio::select! {
        done = flood.next() => panic!("nothing is known yet: {done:?}"),
        () = until("the question was asked five times", || asked() >= 5) => {}
    }
    assert!(begun.elapsed() >= Duration::from_millis(25 + 50 + 100 + 200), "a pause before each repeated question");
    grant.end(Some(refused())).await;
    let heard: Vec<_> = flood.collect().await;
    let all_heard = heard.iter().all(|heard| matches!(heard, Ok(Claim::Finished(outcome)) if *outcome == refused()));
    assert!(all_heard && heard.len() == 8, "{heard:?}");
    assert!(asked() < 12, "one question for all, not {}", asked());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p10_lanes_claims_that_are_not_answered_hold_up_nothing_else() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let leader = cluster.leader().await;
    let others = cluster.others(leader);
    let (follower, third) = (cluster.store(others[0]), cluster.store(others[1]));
    let grant = granted(&cluster, others[0], attempt(FLOOD)).await;
    cluster.net.hold(FrameKind::Claim, &cluster.replicas[leader].name);
    let before = cluster.net.arrived(FrameKind::Claim);
    let mut flood: FuturesUnordered<_> = (0..FLOOD).map(|number| claim(&cluster, others[0], attempt(number))).collect();
    let others_go_on = async {
        until("the lane is full", || cluster.net.arrived(FrameKind::Claim) - before >= 64).await;
        let begun = Instant::now();
        while begun.elapsed() < BOUND.as_duration() + Duration::from_secs(1) {
            let ticket = log_in(follower).await;
            assert!(!matches!(follower.reader().find(&ticket), Lookup::Stale), "knowledge stays fresh");
            let elsewhere = log_in(cluster.store(leader)).await;
            assert_eq!(honoured(follower, &elsewhere).await, Some(true), "look-ups are answered");
            assert!(follower.readiness().is_ready(), "{:?}", follower.readiness());
        }
        grant.end(Some(refused())).await;
    };
    tokio::select! {
        done = flood.next() => panic!("the leader answered a claim: {done:?}"),
        () = others_go_on => {}
    }
    cluster.net.mend();
    let heard = third.claim(attempt(FLOOD), None, PATIENCE).await;
    assert!(matches!(&heard, Ok(Claim::Finished(outcome)) if *outcome == refused()), "the end arrived: {heard:?}");
}
