//! A cluster is founded once, and an empty disk never founds a second one.

use conclave_proto::keyring::CookieSecret;
use conclave_raft::{NotReadyReason, Readiness};

use crate::harness::{Cluster, Plan, honoured, log_in, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_pristine_replicas_found_one_cluster() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let ids: Vec<_> = cluster.running().map(|replica| replica.store().status().cluster).collect();
    assert!(ids[0].is_some() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    for replica in cluster.running() {
        let keyring = replica.store().keyring().borrow().clone().expect("open");
        assert_eq!(Some(keyring.cluster()), ids[0]);
        assert_eq!(replica.store().status().members.len(), 3);
    }
    cluster.until_equal().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_three_do_not_found() {
    let mut cluster = Cluster::planned(3, Plan::default()).await;
    for replica in &mut cluster.replicas[..2] {
        replica.start().await;
    }
    let missing = cluster.replicas[2].name.to_string();
    let says_who_is_missing = || match cluster.store(0).readiness() {
        Readiness::NotReady(reasons) => reasons.iter().any(|reason| reason.to_string().contains(&missing)),
        Readiness::Ready => panic!("founded without {missing}"),
    };
    until("the founder says who is missing", says_who_is_missing).await;
    assert_eq!(cluster.store(0).status().term, 0, "nobody stood for election");

    cluster.replicas[2].start().await;
    cluster.until_ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_founder_founds_no_second_cluster() {
    let mut cluster = Cluster::ready(3, Plan::default()).await;
    let ticket = log_in(cluster.store(1)).await;
    let first = cluster.store(1).status().cluster.expect("founded");

    cluster.replicas[0].stop().await;
    cluster.replicas[0].wipe();
    cluster.replicas[0].start().await;
    let knows = || match cluster.store(0).readiness() {
        Readiness::NotReady(reasons) => reasons
            .iter()
            .any(|reason| matches!(reason, NotReadyReason::OthersRemember { cluster, .. } if *cluster == first)),
        Readiness::Ready => panic!("an empty replica says it is ready"),
    };
    until("the emptied replica learns that others remember", knows).await;
    assert_eq!(cluster.store(0).status().term, 0);
    assert_eq!(honoured(cluster.store(0), &ticket).await, None, "never a 401 before it has caught up");
    assert_eq!(honoured(cluster.store(2), &ticket).await, Some(true), "the other two go on");
}

/// The founder dies with each of its disks' possible contents: before anybody heard of the id, and
/// after some did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_founder_that_dies_half_way_goes_on_after_its_restart() {
    let mut cluster = Cluster::planned(3, Plan::default()).await;
    cluster.replicas[0].start().await;
    cluster.replicas[1].start().await;
    // All answer, but one link breaks for everything from the founder to the third afterwards.
    cluster.replicas[2].start().await;
    until("the founder has minted an id", || cluster.store(0).status().cluster.is_some()).await;
    cluster.replicas[0].stop().await;
    cluster.replicas[0].start().await;
    cluster.until_ready().await;
    let ids: Vec<_> = cluster.running().map(|replica| replica.store().status().cluster).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_one_founds_itself_and_survives_its_restart() {
    let mut cluster = Cluster::ready(1, Plan::default()).await;
    let ticket = log_in(cluster.store(0)).await;
    let id = cluster.store(0).status().cluster;
    cluster.replicas[0].stop().await;
    cluster.replicas[0].start().await;
    cluster.until_ready().await;
    assert_eq!(cluster.store(0).status().cluster, id);
    assert_eq!(honoured(cluster.store(0), &ticket).await, Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_one_rekeys_itself_and_a_member_does_not() {
    let other = "another cookie secret of 32 byte";
    let mut alone = Cluster::ready(1, Plan::default()).await;
    let ticket = log_in(alone.store(0)).await;
    alone.replicas[0].stop().await;
    let new_secret = vec![CookieSecret::parse(other).expect("long enough")];
    alone.replicas[0].start_with(|config| config.secrets = new_secret.clone()).await;
    alone.until_ready().await;
    assert_eq!(honoured(alone.store(0), &ticket).await, Some(false), "all sessions ended");
    log_in(alone.store(0)).await;

    let mut three = Cluster::ready(3, Plan::default()).await;
    let ticket = log_in(three.store(0)).await;
    three.replicas[2].stop().await;
    // It keeps the old secret for the transport only through the ring's other entry, so here it can
    // not even talk: both ways out are named all the same.
    three.replicas[2].start_with(|config| config.secrets = new_secret).await;
    let says_so = || match three.store(2).readiness() {
        Readiness::NotReady(reasons) => reasons.contains(&NotReadyReason::NoSecretOpens),
        Readiness::Ready => panic!("ready without a key"),
    };
    until("the member says that no secret opens the key", says_so).await;
    assert_eq!(honoured(three.store(1), &ticket).await, Some(true));
}
