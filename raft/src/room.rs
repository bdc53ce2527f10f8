//! What follows from the room on the members' disks: who does better, and whether logins are taken.

use conclave_proto::wire::DiskRoom;

use crate::health::{MemberRoom, PeerFitness};

/// Whether a peer that could answer visitors has more room than `own`.
pub(crate) fn any_better(own: DiskRoom, peers: &[PeerFitness]) -> bool {
    peers.iter().any(|peer| peer.answers && peer.room < own)
}

/// Whether a leader proposes further sessions: its own disk must have room, and so must those of a
/// majority of the voters, itself included. One member's full disk does not stop everybody's
/// logins; two of three do, for the loss of both would end the cluster. A member that does not
/// answer cannot be counted on once another's disk is nearly full.
pub(crate) fn takes_logins(own: DiskRoom, other_voters: &[MemberRoom]) -> bool {
    let full = |room: DiskRoom| room >= DiskRoom::NearlyFull;
    if full(own) {
        return false;
    }
    let is_full = |member: &&MemberRoom| matches!(member, MemberRoom::Known(room) if full(*room));
    let nearly_full = other_voters.iter().filter(is_full).count();
    let lost = other_voters.iter().filter(|member| matches!(member, MemberRoom::Lost)).count();
    let voters = other_voters.len() + 1;
    nearly_full == 0 || voters - nearly_full - lost > voters / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: MemberRoom = MemberRoom::Known(DiskRoom::Enough);
    const LOW: MemberRoom = MemberRoom::Known(DiskRoom::Low);
    const FULL: MemberRoom = MemberRoom::Known(DiskRoom::NearlyFull);

    #[test]
    fn logins_need_room_at_the_leader_and_at_a_majority() {
        let roomy = |others: &[MemberRoom]| takes_logins(DiskRoom::Enough, others);
        assert!(roomy(&[]) && roomy(&[ENOUGH, ENOUGH]) && roomy(&[LOW, LOW]));
        assert!(roomy(&[MemberRoom::Unknown, MemberRoom::Unknown]), "a leader that has just begun");
        assert!(roomy(&[MemberRoom::Lost, ENOUGH]), "a lost member alone is no matter of disks");
        assert!(roomy(&[FULL, ENOUGH]), "one full disk of three does not stop the others");
        assert!(!roomy(&[FULL, MemberRoom::Lost]), "the loss of the full one would end the cluster");
        assert!(!roomy(&[FULL, FULL]));
        assert!(roomy(&[FULL, FULL, ENOUGH, ENOUGH]) && !roomy(&[FULL, FULL, FULL, ENOUGH]));
        assert!(!roomy(&[FULL]), "of two, both are needed");
        assert!(takes_logins(DiskRoom::Low, &[ENOUGH, ENOUGH]));
        assert!(!takes_logins(DiskRoom::NearlyFull, &[ENOUGH, ENOUGH]), "the leader's own disk");
        assert!(!takes_logins(DiskRoom::NearlyFull, &[]));
    }

    #[test]
    fn only_a_peer_that_answers_is_better() {
        let peer = |answers, room| PeerFitness { answers, room };
        assert!(any_better(DiskRoom::Low, &[peer(true, DiskRoom::Enough)]));
        assert!(!any_better(DiskRoom::Low, &[peer(false, DiskRoom::Enough), peer(true, DiskRoom::Low)]));
        assert!(any_better(DiskRoom::NearlyFull, &[peer(true, DiskRoom::Low)]));
        assert!(!any_better(DiskRoom::Enough, &[peer(true, DiskRoom::Enough)]));
    }
}
