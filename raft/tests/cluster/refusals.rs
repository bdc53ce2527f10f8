//! Who is no peer gets nothing, and nothing of its message is read.

use std::sync::Arc;

use conclave_proto::command::{Command, Outcome, Tag, Tagged};
use conclave_proto::id::{ClusterId, Epoch, NodeId, PeerName, ProcessId};
use conclave_proto::keyring::CookieSecret;
use conclave_proto::time::Ttl;
use conclave_proto::wire::{Answer, Forward, Forwarded, Frame, FrameHead, FrameKind, PeerRefusal, Versioned};

use crate::harness::{Cluster, Login, Plan, Replica, TestClock, until};

/// The leaf that a replica's listener shows: what a client of that name would show as well.
fn leaf_of(replica: &Replica) -> Vec<u8> {
    replica.store().peer_certificate()
}

fn head(cluster: &Cluster, from: usize, to: usize, kind: FrameKind) -> FrameHead {
    let (from, to) = (&cluster.replicas[from], &cluster.replicas[to]);
    FrameHead {
        cluster: to.store().status().cluster,
        epoch: Epoch::new(1),
        from: from.node_id(),
        from_name: from.name.clone(),
        to: Some(to.node_id()),
        to_name: to.name.clone(),
        question: [7; 16],
        kind,
    }
}

async fn answer(cluster: &Cluster, to: usize, certificate: &[u8], head: FrameHead) -> Result<Vec<u8>, PeerRefusal> {
    // Raft would call these bytes malformed: another refusal shows that they were not read.
    let mut payload = vec![0xff; 64];
    payload[0] = 1;
    let frame = Frame { head, payload }.encode().expect("small");
    let answer = cluster.store(to).peer_service().serve(certificate, &frame).await;
    assert_eq!(answer.status, 200);
    Answer::decode(&answer.body, &[7; 16]).expect("an answer").payload.map(|bytes| bytes.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2024_47616_a_stranger_is_refused_before_raft_reads_a_byte() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let leaf = leaf_of(&cluster.replicas[1]);
    for kind in [FrameKind::Append, FrameKind::Vote, FrameKind::Forward, FrameKind::SnapshotBegin, FrameKind::Claim] {
        let base = head(&cluster, 1, 0, kind);
        assert_eq!(answer(&cluster, 0, &leaf, base.clone()).await, Err(PeerRefusal::Malformed), "the control");

        let wrong_cluster = FrameHead { cluster: Some(ClusterId::from_bytes([9; 16])), ..base.clone() };
        assert_eq!(answer(&cluster, 0, &leaf, wrong_cluster).await, Err(PeerRefusal::WrongCluster));
        let no_cluster = FrameHead { cluster: None, ..base.clone() };
        assert_eq!(answer(&cluster, 0, &leaf, no_cluster).await, Err(PeerRefusal::WrongCluster));
        let wrong_node = FrameHead { to: Some(NodeId::new(1)), ..base.clone() };
        assert_eq!(answer(&cluster, 0, &leaf, wrong_node).await, Err(PeerRefusal::WrongRecipient));
        let wrong_name = FrameHead { to_name: cluster.replicas[2].name.clone(), ..base.clone() };
        assert_eq!(answer(&cluster, 0, &leaf, wrong_name).await, Err(PeerRefusal::WrongRecipient));
        let old_epoch = FrameHead { epoch: Epoch::new(0), ..base.clone() };
        assert_eq!(answer(&cluster, 0, &leaf, old_epoch).await, Err(PeerRefusal::OldEpoch));

        let others_leaf = leaf_of(&cluster.replicas[2]);
        assert_eq!(answer(&cluster, 0, &others_leaf, base.clone()).await, Err(PeerRefusal::UnknownSender));
        assert_eq!(answer(&cluster, 0, b"no certificate", base.clone()).await, Err(PeerRefusal::UnknownSender));
        let known_id_new_name = FrameHead { from_name: cluster.replicas[2].name.clone(), ..base.clone() };
        assert_eq!(answer(&cluster, 0, &others_leaf, known_id_new_name).await, Err(PeerRefusal::UnknownSender));
        let new_id_known_name = FrameHead { from: NodeId::new(42), ..base.clone() };
        assert_eq!(answer(&cluster, 0, &leaf, new_id_known_name).await, Err(PeerRefusal::UnknownSender));
        let stranger = PeerName::parse("stranger.test").expect("valid");
        let not_configured = FrameHead { from_name: stranger, ..base };
        assert_eq!(answer(&cluster, 0, &leaf, not_configured).await, Err(PeerRefusal::UnknownSender));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_without_a_cluster_takes_raft_from_nobody() {
    let mut cluster = Cluster::planned(3, Plan::default()).await;
    for replica in &mut cluster.replicas[1..] {
        replica.start().await;
    }
    let leaf = leaf_of(&cluster.replicas[2]);
    for kind in [FrameKind::Append, FrameKind::Vote, FrameKind::SnapshotBegin, FrameKind::Forward] {
        let mut head = head(&cluster, 2, 1, kind);
        for claimed in [None, Some(ClusterId::from_bytes([9; 16]))] {
            head.cluster = claimed;
            assert_eq!(answer(&cluster, 1, &leaf, head.clone()).await, Err(PeerRefusal::NotReady));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rubbish_gets_an_error_and_nothing_else() {
    let cluster = Cluster::ready(1, Plan::default()).await;
    let service = cluster.store(0).peer_service();
    assert_eq!(service.serve(b"", b"").await.status, 400);
    assert_eq!(service.serve(b"", &[0xff; 1000]).await.status, 400);
    let huge = vec![1; conclave_raft::PeerService::MAX_BODY + 1];
    assert_eq!(service.serve(b"", &huge).await.status, 413);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_secret_makes_no_connection() {
    let mut cluster = Cluster::planned(2, Plan::default()).await;
    cluster.replicas[0].start().await;
    let other = CookieSecret::parse("another cookie secret of 32 byte").expect("long enough");
    cluster.replicas[1].start_with(|config| config.secrets = vec![other]).await;
    let missing = cluster.replicas[1].name.to_string();
    let says_why = || cluster.store(0).readiness() != conclave_raft::Readiness::Ready;
    until("no connection is made", says_why).await;
    let reasons = format!("{:?}", cluster.store(0).readiness());
    assert!(reasons.contains(&missing), "{reasons}");

    cluster.replicas[1].stop().await;
    // First into every ring: both trust both, and the founder's envelopes open for both.
    let ring = |first: &str, second: &str| {
        [first, second].map(|literal| CookieSecret::parse(literal).expect("long enough")).to_vec()
    };
    let (old, new) = (crate::harness::SECRET, "another cookie secret of 32 byte");
    cluster.replicas[1].start_with(|config| config.secrets = ring(new, old)).await;
    cluster.replicas[0].stop().await;
    cluster.replicas[0].start_with(|config| config.secrets = ring(old, new)).await;
    cluster.until_ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_leaf_is_refused() {
    let mut cluster = Cluster::planned(2, Plan::default()).await;
    cluster.replicas[0].start().await;
    // Its clock is years behind: its leaf had run out before anybody else's began.
    let behind: Arc<TestClock> = Arc::clone(&cluster.replicas[1].clock);
    behind.set_wrong_by(-4 * 365 * 24 * 3600 * 1000);
    cluster.replicas[1].start().await;
    let why = || format!("{:?}", cluster.store(0).readiness());
    until("the handshake fails", || why().contains("xpired") || why().contains("NotValid")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_forward_writes_once_and_answers_the_same() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let leader = cluster.leader().await;
    let follower = cluster.others(leader)[0];
    let login = Login::new(cluster.store(follower));
    let known_time = cluster.store(follower).reader().now().expect("fresh");
    let tag = Tag { process: ProcessId::from_bytes([3; 16]), sequence: 1, known_time };
    let tagged = Tagged { tag, command: Command::CreateSession(login.command) };
    let forward = Forward { commands: vec![tagged], patience: Ttl::from_secs(10) }.to_bytes();
    let leaf = leaf_of(&cluster.replicas[follower]);
    let mut outcomes = Vec::new();
    for _ in 0..5 {
        let head = head(&cluster, follower, leader, FrameKind::Forward);
        let frame = Frame { head, payload: forward.clone() }.encode().expect("small");
        let served = cluster.store(leader).peer_service().serve(&leaf, &frame).await;
        let answer = Answer::decode(&served.body, &[7; 16]).expect("an answer").payload.expect("written");
        outcomes.push(Forwarded::from_bytes(&answer.0).expect("readable").written[0].outcome.clone());
    }
    assert!(matches!(outcomes[0], Outcome::Created { .. }), "{outcomes:?}");
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
    assert_eq!(cluster.store(leader).status().sessions, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forward_to_who_does_not_lead_is_given_back() {
    let cluster = Cluster::ready(3, Plan::default()).await;
    let leader = cluster.leader().await;
    let [from, to] = [cluster.others(leader)[0], cluster.others(leader)[1]];
    let forward = Forward { commands: Vec::new(), patience: Ttl::from_secs(10) }.to_bytes();
    let frame = Frame { head: head(&cluster, from, to, FrameKind::Forward), payload: forward }.encode().expect("small");
    let served = cluster.store(to).peer_service().serve(&leaf_of(&cluster.replicas[from]), &frame).await;
    let answer = Answer::decode(&served.body, &[7; 16]).expect("an answer").payload;
    assert_eq!(answer, Err(PeerRefusal::NotLeader { leader: Some(cluster.replicas[leader].node_id()) }));
}
