//! A replica that was away for longer than the log is kept gets a snapshot.

use conclave_proto::time::Ttl;
use conclave_raft::SnapshotLimits;

use crate::harness::{Cluster, Login, Plan, honoured, log_in, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_follower_is_caught_up_by_a_snapshot_under_write_load() {
    // Built again and again, so that the log the follower needs is long purged.
    let snapshot = SnapshotLimits { log_bytes: 64 * 1024, min_interval: Ttl::from_millis(100) };
    let mut cluster = Cluster::ready(3, Plan { snapshot, ..Plan::default() }).await;
    let away = cluster.others(cluster.leader().await)[0];
    let here = cluster.others(away);
    let early = log_in(cluster.store(away)).await;
    let known = cluster.store(away).status().last_log;
    cluster.replicas[away].stop().await;

    let mut tickets = vec![early];
    let mut size = 100;
    while tickets.len() < 600 {
        let store = cluster.store(here[tickets.len() % 2]);
        size = if size > 20_000 { 100 } else { size * 3 };
        tickets.push(Login::of_size(store, size).write(store).await);
    }
    let purged = |at: usize| cluster.store(at).status().purged > known;
    until("what it lacks is purged everywhere", || here.iter().all(|at| purged(*at))).await;
    tickets.push(log_in(cluster.store(here[0])).await);

    let busy = {
        let store = cluster.store(here[0]).clone();
        tokio::spawn(async move {
            let mut made = Vec::new();
            for _ in 0..100 {
                made.push(log_in(&store).await);
            }
            made
        })
    };
    cluster.replicas[away].start().await;
    cluster.until_ready().await;
    tickets.extend(busy.await.expect("written"));
    for ticket in &tickets {
        assert_eq!(honoured(cluster.store(away), ticket).await, Some(true));
    }
    cluster.until_equal().await;
    assert!(cluster.store(away).status().snapshots_installed > 0, "caught up without a snapshot");
}
