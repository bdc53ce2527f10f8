//! How old an answer may be, and that "I cannot know" is never "no session".

use std::time::Duration;

use conclave_proto::time::Ttl;
use conclave_proto::wire::FrameKind;
use conclave_raft::{Lookup, NotReadyReason, ReadError, Readiness};

use crate::harness::{BOUND, Cluster, Login, Plan, honoured, log_in, revoke, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_cut_off_answers_until_the_bound_and_then_503_never_401() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let ticket = log_in(cluster.store(0)).await;
    let leader = cluster.leader().await;
    let cut = cluster.others(leader)[0];
    until("it has the session", || matches!(cluster.store(cut).reader().find(&ticket), Lookup::Live(_))).await;
    cluster.cut_off(cut);
    assert_eq!(honoured(cluster.store(cut), &ticket).await, Some(true), "within the bound");
    revoke(cluster.store(leader), ticket.key()).await;

    until("its knowledge is too old", || matches!(cluster.store(cut).reader().find(&ticket), Lookup::Stale)).await;
    let age = cluster.store(cut).status().fresh_age.expect("once fresh");
    assert!(age > BOUND, "stale after {age:?} already");
    assert_eq!(cluster.store(cut).reader().ask(&ticket).await, Err(ReadError::Stale));
    let unknown = Login::new(cluster.store(leader)).ticket;
    assert!(matches!(cluster.store(cut).reader().find(&unknown), Lookup::Stale), "not even a stranger gets a 401");

    cluster.net.mend();
    until("it hears of the revocation", || matches!(cluster.store(cut).reader().find(&ticket), Lookup::Gone)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_slept_does_not_answer_from_before_its_sleep() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let ticket = log_in(cluster.store(0)).await;
    let leader = cluster.leader().await;
    for at in [leader, cluster.others(leader)[0]] {
        let reader = cluster.store(at).reader();
        until("it has the session", || matches!(reader.find(&ticket), Lookup::Live(_))).await;
        cluster.replicas[at].clock.sleep_through(Duration::from_secs(3600));
        // No timer has run yet: this is the first answer after waking.
        assert!(matches!(reader.find(&ticket), Lookup::Stale | Lookup::Gone), "an answer from before the sleep");
        assert!(!matches!(reader.find(&ticket), Lookup::Live(_)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fail_open_max_lets_known_sessions_through_a_while_longer() {
    let plan = Plan { fail_open_max: Ttl::from_secs(1000), ..Plan::default() };
    let cluster = Cluster::ready(3, plan).await;
    let ticket = log_in(cluster.store(0)).await;
    let cut = cluster.others(cluster.leader().await)[0];
    let reader = cluster.store(cut).reader();
    until("it has the session", || matches!(reader.find(&ticket), Lookup::Live(_))).await;
    cluster.cut_off(cut);
    let clock = &cluster.replicas[cut].clock;
    clock.sleep_through(BOUND.as_duration() + Duration::from_secs(100));
    assert!(matches!(reader.find(&ticket), Lookup::Live(_)));
    let unknown = Login::new(cluster.store(cut)).ticket;
    assert!(matches!(reader.find(&unknown), Lookup::Stale), "a stranger is still not known not to exist");
    clock.sleep_through(Duration::from_secs(1000));
    assert!(matches!(reader.find(&ticket), Lookup::Stale));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_replica_is_unready_only_while_another_is_fresh() {
    let mut cluster = Cluster::ready(3, Plan::default()).await;
    let leader = cluster.leader().await;
    let others = cluster.others(leader);
    let (stale, fresh) = (others[0], others[1]);
    // The leader's heartbeats arrive, so that no replica stands for election; only the questions to it get lost.
    cluster.net.lose(FrameKind::ReadIndex, &cluster.replicas[leader].name);
    let is_stale = |at: usize| match cluster.store(at).readiness() {
        Readiness::NotReady(reasons) => reasons.contains(&NotReadyReason::Stale),
        Readiness::Ready => false,
    };
    until("one is stale beside the leader, who is fresh", || is_stale(stale)).await;
    assert_eq!(cluster.leader().await, leader, "the one who is fresh still leads");
    assert!(cluster.store(leader).readiness().is_ready(), "and stays in the Service");
    cluster.net.mend();
    cluster.until_ready().await;

    cluster.replicas[leader].stop().await;
    cluster.replicas[fresh].stop().await;
    let age = || cluster.store(stale).status().fresh_age.expect("once fresh");
    until("nobody is fresh", || age() > BOUND).await;
    until("it stays in the Service", || cluster.store(stale).readiness().is_ready()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_differs_is_told_and_leads_no_more() {
    let mut cluster = Cluster::ready(3, Plan::default()).await;
    let leader = cluster.leader().await;
    let wrong = cluster.others(leader)[0];
    cluster.replicas[wrong].clock.set_wrong_by(60_000);
    let deviation = || cluster.store(wrong).status().clock_deviation_ms.unwrap_or(0);
    until("the deviation is told", || deviation() > 50_000).await;
    let right = cluster.others(leader).into_iter().find(|index| *index != wrong).expect("three");
    assert!(cluster.store(right).status().clock_deviation_ms.expect("known").abs() < 5_000);
    // Its look at the clocks comes at least every half second.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    cluster.replicas[leader].stop().await;
    assert_eq!(cluster.leader().await, right);
}
