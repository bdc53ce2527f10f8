//! Short disks: who takes logins, who is ready, who leads; and one account at replicas that differ in their limits.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use conclave_proto::command::{Command, Outcome, Refusal, Revoke};
use conclave_proto::id::SubjectKey;
use conclave_raft::disk::DiskProbe;
use conclave_raft::limits::{LOW_DISK_BYTES, NEARLY_FULL_BYTES, RESERVE_BYTES, ROOMY_DISK_BYTES};
use conclave_raft::{DiskRoom, NotReadyReason, Readiness, ReplicatedStore, WriteError};

use crate::harness::{Cluster, Login, PATIENCE, Plan, honoured, log_in, until};

/// A disk with as much room as the test says.
struct SetDisk(AtomicU64);

impl DiskProbe for SetDisk {
    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

struct Stage {
    cluster: Cluster,
    disks: Vec<Arc<SetDisk>>,
}

impl Stage {
    async fn begin() -> Self {
        let mut cluster = Cluster::planned(3, Plan::default()).await;
        let disks: Vec<_> = (0..3).map(|_| Arc::new(SetDisk(AtomicU64::new(0)))).collect();
        let stage_disks = disks.clone();
        disks.iter().for_each(|disk| disk.0.store(RESERVE_BYTES + ROOMY_DISK_BYTES, Ordering::SeqCst));
        for (replica, disk) in cluster.replicas.iter_mut().zip(disks) {
            replica.start_with(|config| config.disk = disk).await;
        }
        cluster.until_ready().await;
        Self { cluster, disks: stage_disks }
    }

    /// Gives that replica's disk so much room, and waits until it has seen it.
    async fn set(&self, index: usize, free: u64, room: DiskRoom) {
        self.disks[index].0.store(free, Ordering::SeqCst);
        until("the disk was looked at", || self.cluster.store(index).status().disk_room == room).await;
    }

    async fn set_all(&self, free: u64, room: DiskRoom) {
        for index in 0..3 {
            self.set(index, free, room).await;
        }
    }

    fn is_low_only(&self, index: usize) -> bool {
        self.cluster.store(index).readiness() == Readiness::NotReady(vec![NotReadyReason::LowDisk])
    }
}

async fn try_login(store: &ReplicatedStore) -> Result<(), WriteError> {
    store.write(Command::CreateSession(Login::new(store).command), PATIENCE).await.map(drop)
}

const REFUSED: Result<(), WriteError> = Err(WriteError::Refused(Refusal::StorageNearlyFull));

/// Waits until logins through that replica come out so.
async fn until_logins(store: &ReplicatedStore, wanted: &Result<(), WriteError>) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while try_login(store).await != *wanted {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    assert!(waited.await.is_ok(), "logins did not become {wanted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disks_that_are_all_nearly_full_take_sign_outs_and_no_logins_and_all_stay_ready() {
    let stage = Stage::begin().await;
    let leader = stage.cluster.leader().await;
    let follower = stage.cluster.store(stage.cluster.others(leader)[0]);
    let mut tickets = Vec::new();
    for _ in 0..20 {
        tickets.push(log_in(follower).await);
    }
    stage.set_all(NEARLY_FULL_BYTES - 1, DiskRoom::NearlyFull).await;
    for index in 0..3 {
        assert_eq!(try_login(stage.cluster.store(index)).await, REFUSED, "through replica {index}");
    }
    // Both kinds go to the leader in one message; each has its own answer.
    for ticket in &tickets {
        let revoke = Command::Revoke(Revoke::Session(ticket.key()));
        let (login, revoked) = tokio::join!(try_login(follower), follower.write(revoke, PATIENCE));
        assert_eq!(login, REFUSED);
        assert_eq!(revoked.expect("a revocation goes on").outcome, Outcome::Revoked(1));
    }
    for index in 0..3 {
        assert!(stage.cluster.store(index).readiness().is_ready(), "none is better off than replica {index}");
    }
    follower.write(Command::ExpireUpTo { limit: 5 }, PATIENCE).await.expect("expiry goes on");
    stage.set_all(ROOMY_DISK_BYTES, DiskRoom::Enough).await;
    until_logins(follower, &Ok(())).await;
    stage.cluster.until_equal().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_full_disk_of_three_stops_no_login_until_another_member_is_gone() {
    let mut stage = Stage::begin().await;
    let leader = stage.cluster.leader().await;
    let [full, other] = stage.cluster.others(leader)[..] else { panic!("three replicas") };
    stage.set(full, NEARLY_FULL_BYTES - 1, DiskRoom::NearlyFull).await;
    until("the full one is not ready", || stage.is_low_only(full)).await;
    for _ in 0..20 {
        assert_eq!(try_login(stage.cluster.store(leader)).await, Ok(()));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    stage.cluster.replicas[other].stop().await;
    until_logins(stage.cluster.store(leader), &REFUSED).await;
    stage.set(full, ROOMY_DISK_BYTES, DiskRoom::Enough).await;
    until_logins(stage.cluster.store(leader), &Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_with_little_room_hands_over_to_one_with_more_and_leads_again_where_none_has() {
    let stage = Stage::begin().await;
    let leader = stage.cluster.leader().await;
    stage.set(leader, LOW_DISK_BYTES - 1, DiskRoom::Low).await;
    until("another leads", || stage.cluster.others(leader).iter().any(|other| stage.cluster.store(*other).leads()))
        .await;
    until("it is not ready", || stage.is_low_only(leader)).await;
    assert_eq!(try_login(stage.cluster.store(leader)).await, Ok(()), "little room refuses no login");

    stage.set_all(LOW_DISK_BYTES - 1, DiskRoom::Low).await;
    until("all are ready", || (0..3).all(|index| stage.cluster.store(index).readiness().is_ready())).await;
    assert_eq!(try_login(stage.cluster.store(leader)).await, Ok(()));
}

/// The leader of a cluster whose disks are all short is lost: somebody has to lead all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disks_that_are_all_short_keep_nobody_from_leading() {
    let mut stage = Stage::begin().await;
    stage.set_all(NEARLY_FULL_BYTES - 1, DiskRoom::NearlyFull).await;
    let leader = stage.cluster.leader().await;
    let here = stage.cluster.others(leader);
    stage.cluster.replicas[leader].stop().await;
    until("another leads", || here.iter().any(|index| stage.cluster.store(*index).leads())).await;
    let revoke = Command::Revoke(Revoke::Subject(SubjectKey::from_bytes([1; 32])));
    stage.cluster.store(here[0]).write(revoke, PATIENCE).await.expect("revocation goes on");
}

/// Each replica proposes with the limit that it is configured with; all decide alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_per_person_may_differ_between_replicas() {
    let stage = Stage::begin().await;
    let mut tickets = Vec::new();
    for round in 0..12 {
        let store = stage.cluster.store(round % 3);
        let mut login = Login::new(store);
        login.command.subject = SubjectKey::from_bytes([7; 32]);
        login.command.sessions_per_person = [4, 0, 6][round % 3];
        tickets.push(login.write(store).await);
    }
    stage.cluster.until_equal().await;
    for index in 0..3 {
        // The last login under a limit of 4 left 4; two more came, the last of them under one of 6.
        assert_eq!(stage.cluster.store(index).status().sessions, 6);
        assert_eq!(honoured(stage.cluster.store(index), &tickets[0]).await, Some(false), "the oldest has ended");
        assert_eq!(honoured(stage.cluster.store(index), &tickets[11]).await, Some(true));
    }
}
