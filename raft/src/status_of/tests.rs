//! No reason that can hold for all replicas at once empties the Service.

use proptest::prelude::*;

use super::*;

const ROOMS: [DiskRoom; 3] = [DiskRoom::Enough, DiskRoom::Low, DiskRoom::NearlyFull];

/// The table: every reason, why it may hold for all replicas at once, and what it then does.
#[test]
fn no_readiness_reason_that_can_hold_for_all_replicas_empties_the_service() {
    let table = [
        // It serves no keys and no sessions yet, or must not: every check would get 503.
        (NotReadyReason::NotFounded(String::new()), Weight::CannotAnswer),
        (
            NotReadyReason::OthersRemember {
                peer: PeerName::default(),
                cluster: conclave_proto::id::ClusterId::from_bytes([0; 16]),
            },
            Weight::CannotAnswer,
        ),
        (NotReadyReason::CatchingUp, Weight::CannotAnswer),
        (NotReadyReason::NoSecretOpens, Weight::CannotAnswer),
        // Its listener is about to close.
        (NotReadyReason::Stopping, Weight::CannotAnswer),
        // No leader for anybody: from the loss of a quorum on, rules that need no session go on.
        (NotReadyReason::Stale, Weight::WhileAPeerAnswers),
        // All went back a version: until max_staleness has passed, sessions are answered from memory.
        (NotReadyReason::UnknownEntry, Weight::WhileAPeerAnswers),
        // One account, or the same log everywhere, fills all disks at once: checks need none.
        (NotReadyReason::LowDisk, Weight::WhileAPeerHasMoreRoom),
    ];
    for (reason, weight) in &table {
        assert_eq!(reason.weight(), *weight, "{reason}");
        if *weight == Weight::CannotAnswer {
            continue;
        }
        for room in ROOMS {
            let alike = PeerFitness { answers: *reason == NotReadyReason::LowDisk, room };
            assert!(!counts(reason, room, &[alike; 2]), "{reason}: it holds for all three");
            assert!(!counts(reason, room, &[]), "{reason}: no other replica is reached");
        }
        let better = PeerFitness { answers: true, room: DiskRoom::Enough };
        assert!(counts(reason, DiskRoom::Low, &[better]), "{reason}: a peer is better off");
    }
    println!("{} reasons, {} of them count only while a peer is better off", table.len(), 3);
}

/// One replica as all see it.
#[derive(Clone, Copy, Debug)]
struct Replica {
    stale: bool,
    stopped_applying: bool,
    cannot_answer: bool,
    room: DiskRoom,
}

impl Replica {
    fn fitness(self) -> PeerFitness {
        PeerFitness { answers: !self.stale && !self.stopped_applying && !self.cannot_answer, room: self.room }
    }

    fn is_ready(self, peers: &[PeerFitness]) -> bool {
        let found = [
            (self.stale, NotReadyReason::Stale),
            (self.stopped_applying, NotReadyReason::UnknownEntry),
            (self.room != DiskRoom::Enough, NotReadyReason::LowDisk),
            (self.cannot_answer, NotReadyReason::CatchingUp),
        ];
        !found.iter().any(|(holds, reason)| *holds && counts(reason, self.room, peers))
    }
}

proptest! {
    /// Reasons that differ from replica to replica do not empty it together either.
    #[test]
    fn while_any_replica_could_answer_one_is_ready(
        replicas in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), 0..3_usize), 1..6),
    ) {
        let replicas: Vec<_> = replicas
            .into_iter()
            .map(|(stale, stopped_applying, cannot_answer, room)| {
                Replica { stale, stopped_applying, cannot_answer, room: ROOMS[room] }
            })
            .collect();
        let ready = |at: usize| {
            let others = replicas.iter().enumerate().filter(|(other, _)| *other != at);
            let peers: Vec<_> = others.map(|(_, other)| other.fitness()).collect();
            replicas[at].is_ready(&peers)
        };
        if replicas.iter().any(|replica| !replica.cannot_answer) {
            prop_assert!((0..replicas.len()).any(ready), "{:?}", replicas);
        }
    }
}
