//! A cluster is founded once, and an empty disk never founds a second one.

use conclave_proto::id::ClusterId;
use conclave_proto::keyring::CookieSecret;
use conclave_proto::wire::FrameKind;
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

/// How far founding got before the founder died.
async fn founder_stopped_while(lost: &[(FrameKind, usize)], got_there: impl Fn(&Cluster) -> bool) -> Cluster {
    let mut cluster = Cluster::planned(3, Plan::default()).await;
    for (kind, to) in lost {
        cluster.net.lose(*kind, &cluster.replicas[*to].name);
    }
    for replica in &mut cluster.replicas {
        replica.start().await;
    }
    until("founding got half way", || got_there(&cluster)).await;
    cluster.replicas[0].stop().await;
    cluster.net.mend();
    cluster
}

fn cluster_of(cluster: &Cluster, index: usize) -> Option<ClusterId> {
    cluster.store(index).status().cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_founder_that_dies_with_the_id_half_told_goes_on_with_it() {
    let half_told = |cluster: &Cluster| cluster_of(cluster, 1).is_some();
    let mut cluster = founder_stopped_while(&[(FrameKind::Adopt, 2)], half_told).await;
    let told = cluster_of(&cluster, 1);
    assert_eq!(cluster_of(&cluster, 2), None);
    cluster.replicas[0].start().await;
    cluster.until_ready().await;
    assert!((0..3).all(|index| cluster_of(&cluster, index) == told));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_founder_that_loses_its_disk_before_any_vote_founds_anew() {
    // Everybody has adopted the id and the founder is initialised, but nobody heard its first vote.
    let votes_lost = [(FrameKind::Vote, 1), (FrameKind::Vote, 2)];
    let initialised = |cluster: &Cluster| cluster.store(0).status().term > 0 && cluster_of(cluster, 2).is_some();
    let mut cluster = founder_stopped_while(&votes_lost, initialised).await;
    let first = cluster_of(&cluster, 1);
    cluster.replicas[0].wipe();
    cluster.replicas[0].start().await;
    cluster.until_ready().await;
    let second = cluster_of(&cluster, 0);
    assert!(second.is_some() && second != first);
    assert!((1..3).all(|index| cluster_of(&cluster, index) == second));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_founder_that_loses_its_disk_after_a_vote_founds_nothing() {
    // The votes arrived, the first entry did not.
    let entries_lost = [(FrameKind::Append, 1), (FrameKind::Append, 2)];
    let voted = |cluster: &Cluster| cluster.store(1).status().term > 0 || cluster.store(2).status().term > 0;
    let mut cluster = founder_stopped_while(&entries_lost, voted).await;
    let first = cluster_of(&cluster, 1).expect("adopted");
    cluster.replicas[0].wipe();
    cluster.replicas[0].start().await;
    let refuses = || match cluster.store(0).readiness() {
        Readiness::NotReady(reasons) => reasons
            .iter()
            .any(|reason| matches!(reason, NotReadyReason::OthersRemember { cluster, .. } if *cluster == first)),
        Readiness::Ready => panic!("a second cluster"),
    };
    until("the emptied founder learns that somebody voted", refuses).await;
    assert_eq!(cluster_of(&cluster, 0), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_initialised_founder_that_dies_before_its_first_command_is_followed_by_any_leader() {
    // Raft runs, but a leader that cannot forward or append never gets its command committed.
    let entries_lost = [(FrameKind::Append, 1), (FrameKind::Append, 2)];
    let voted = |cluster: &Cluster| cluster.store(1).status().term > 0 && cluster.store(2).status().term > 0;
    let mut cluster = founder_stopped_while(&entries_lost, voted).await;
    let adopted = cluster_of(&cluster, 1);
    cluster.replicas[0].start().await;
    cluster.until_ready().await;
    assert!((0..3).all(|index| cluster_of(&cluster, index) == adopted));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_secret_is_rotated_without_ending_a_session() {
    let mut cluster = Cluster::ready(3, Plan::default()).await;
    let ticket = log_in(cluster.store(0)).await;
    let [old, new] =
        [crate::harness::SECRET, "another cookie secret of 32 byte"].map(|raw| CookieSecret::parse(raw).expect("long"));
    let steps = [vec![old.clone(), new.clone()], vec![new.clone(), old.clone()], vec![new.clone()]];
    for (step, secrets) in steps.into_iter().enumerate() {
        for index in 0..3 {
            cluster.replicas[index].stop().await;
            let secrets = secrets.clone();
            cluster.replicas[index].start_with(|config| config.secrets = secrets).await;
            cluster.until_ready().await;
            assert_eq!(honoured(cluster.store(index), &ticket).await, Some(true), "step {step}, replica {index}");
        }
        let mints = |index: usize| {
            let ring = cluster.store(index).keyring().borrow().clone();
            ring.is_some_and(|ring| ring.active() == secrets[0].key_id(ring.cluster()))
        };
        until("all mint under the active secret", || (0..3).all(mints)).await;
        // The key must be wrapped under the new secret before the old one may go.
        until("the leader has compared", || (0..3).all(|index| cluster.store(index).wrapped_under(&new))).await;
    }
    let old_is_gone = || (0..3).all(|index| !cluster.store(index).wrapped_under(&old));
    until("nothing is wrapped under the old secret", old_is_gone).await;
}
