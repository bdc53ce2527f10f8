//! Read your own login over slow links, with the bounds at their defaults.

use std::time::Duration;

use conclave_proto::time::Ttl;
use conclave_raft::Timeouts;

use crate::harness::{Cluster, Plan, honoured, log_in, until};

async fn read_own_logins(timeouts: Timeouts, one_way: Duration, count: usize) {
    let plan = Plan { timeouts, max_staleness: Ttl::from_secs(60), ..Plan::default() };
    let cluster = Cluster::ready(3, plan).await;
    let leader = cluster.leader().await;
    let slow = cluster.others(leader)[0];
    cluster.net.slow_down(&cluster.replicas[slow].name, one_way);
    // Connections made before the delay have none: its restart closes them.
    let mut cluster = cluster;
    cluster.replicas[slow].stop().await;
    cluster.replicas[slow].start().await;
    cluster.until_ready().await;

    let fast = cluster.others(slow);
    for number in 0..count {
        let ticket = log_in(cluster.store(fast[number % 2])).await;
        assert_eq!(honoured(cluster.store(slow), &ticket).await, Some(true), "login {number}");
    }
    let last = cluster.store(leader).status().last_log;
    let begun = tokio::time::Instant::now();
    until("the slow one has everything", || cluster.store(slow).status().applied >= last).await;
    let took = begun.elapsed();
    println!("{count} logins at {one_way:?} one way: caught up {took:?} after the last");
    assert!(took < Duration::from_secs(5) && cluster.store(slow).readiness().is_ready());
    assert_eq!(cluster.leader().await, leader, "no election for slowness alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_milliseconds_with_the_default_timeouts() {
    read_own_logins(Timeouts::lan(), Duration::from_millis(60), 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_milliseconds_with_the_wide_area_timeouts() {
    read_own_logins(Timeouts::wide_area(), Duration::from_millis(300), 20).await;
}
