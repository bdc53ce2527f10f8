//! A planned stop gives the leadership away first.

use conclave_raft::HandOver;

use crate::harness::{Cluster, Plan, honoured, log_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leadership_goes_over_while_writes_wait() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let mut slowest = std::time::Duration::ZERO;
    for _ in 0..5 {
        let leader = cluster.leader().await;
        let logins: Vec<_> = (0..12)
            .map(|number| {
                let store = cluster.store(number % 3).clone();
                tokio::spawn(async move { log_in(&store).await })
            })
            .collect();
        let begun = tokio::time::Instant::now();
        let HandOver::To(next) = cluster.store(leader).hand_over().await else {
            panic!("nobody took over");
        };
        slowest = slowest.max(begun.elapsed());
        assert_ne!(next, cluster.replicas[leader].name);
        for login in logins {
            let ticket = login.await.expect("no login fails");
            assert_eq!(honoured(cluster.store(leader), &ticket).await, Some(true));
        }
    }
    println!("slowest of 5 hand-overs: {slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_lead_or_is_alone_has_nothing_to_give() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let follower = cluster.others(cluster.leader().await)[0];
    assert_eq!(cluster.store(follower).hand_over().await, HandOver::NotLeading);
    let alone = Cluster::ready(1, Plan::default()).await;
    assert_eq!(alone.store(0).hand_over().await, HandOver::Alone);
    log_in(alone.store(0)).await;
}
