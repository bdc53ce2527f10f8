//! The bytes of every payload.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::command::{Command, Tag};
use crate::id::{AttemptId, ProcessId};
use crate::wire::claim::{AttemptOutcome, LoginRefusal, MAX_REFUSAL_CAUSE, RefusalKind};
use crate::wire::golden::{assert_golden, assert_survives_damage, noise};

fn hello() -> Hello {
    Hello {
        node: NodeId::new(5),
        name: PeerName::parse("a:1").expect("a name"),
        cluster: None,
        pristine: true,
        feature_level: FeatureLevel::new(1),
        peers_hash: [0xee; 32],
        leader: Some(NodeId::new(6)),
        term: 7,
        clock: Timestamp::from_millis(8),
    }
}

fn forward() -> Forward {
    let tag = Tag { process: ProcessId::from_bytes([1; 16]), sequence: 2, known_time: Timestamp::from_millis(3) };
    Forward { commands: vec![Tagged { tag, command: Command::ExpireUpTo { limit: 4 } }], patience: Ttl::from_millis(5) }
}

#[test]
fn payload_bytes_are_fixed() {
    assert_golden(
        &hello(),
        "01 0500000000000000 0300000000000000613a31 00 01 01000000
         eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee 010600000000000000 0700000000000000
         0800000000000000",
    );
    let keys = Some(vec![KeyId::from_bytes([7; 4])]);
    assert_golden(
        &Ping { clock: Timestamp::from_millis(1), answers: true, keys, room: DiskRoom::NearlyFull },
        "01 0100000000000000 01 01 0100000000000000 07070707 02000000",
    );
    assert_golden(
        &forward(),
        "01 0100000000000000 01010101010101010101010101010101 0200000000000000 0300000000000000 03000000 04000000
         0500000000000000",
    );
    assert_golden(
        &Forwarded {
            written: vec![Written { index: LogIndex::new(9), outcome: Outcome::Done }],
            leader_time: Timestamp::from_millis(2),
        },
        "01 0100000000000000 0900000000000000 00000000 0200000000000000",
    );
    assert_golden(&ReadIndexQuestion { clock: Timestamp::from_millis(1) }, "01 0100000000000000");
    assert_golden(
        &ReadIndexAnswer { index: LogIndex::new(1), term: 2, leader_time: Timestamp::from_millis(3) },
        "01 0100000000000000 0200000000000000 0300000000000000",
    );
}

#[test]
fn session_and_claim_payload_bytes_are_fixed() {
    let key = SessionKey::from_bytes([0xaa; 32]);
    assert_golden(
        &FindSession { key, created_index: LogIndex::new(1) },
        "01 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 0100000000000000",
    );
    assert_golden(
        &FoundSession { rows: None, applied: LogIndex::new(1), leader_time: Timestamp::from_millis(2) },
        "01 00 0100000000000000 0200000000000000",
    );
    let attempt = AttemptId::from_bytes([0xbb; 16]);
    let client = Some(IpAddr::from([10, 0, 0, 1]));
    assert_golden(
        &ClaimQuestion { attempt, token: [7; 16], client },
        "01 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 07070707070707070707070707070707 01 00000000 0a000001",
    );
    let refused = AttemptOutcome::Refused(LoginRefusal::new(RefusalKind::Policy, "no".to_owned()));
    assert_golden(&ClaimAnswer::Granted, "01 00000000");
    assert_golden(&ClaimAnswer::Finished(AttemptOutcome::Session), "01 01000000 00000000");
    assert_golden(&ClaimAnswer::Finished(refused.clone()), "01 01000000 01000000 03000000 0200000000000000 6e6f");
    assert_golden(&ClaimAnswer::Pending, "01 02000000");
    assert_golden(&ClaimAnswer::Full, "01 03000000");
    assert_golden(
        &ClaimEnd { attempt, token: [7; 16], client: None, outcome: None },
        "01 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 07070707070707070707070707070707 00 00",
    );
    assert_golden(
        &ClaimEnd { attempt, token: [7; 16], client: None, outcome: Some(refused) },
        "01 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 07070707070707070707070707070707 00 01 01000000 03000000 0200000000000000 6e6f",
    );
}

#[test]
fn damaged_payloads_are_refused_or_mean_what_they_say() {
    assert_survives_damage(&hello());
    assert_survives_damage(&forward());
    let attempt = AttemptId::from_bytes([1; 16]);
    assert_survives_damage(&ClaimQuestion { attempt, token: [0; 16], client: None });
    assert_survives_damage(&ClaimAnswer::Finished(AttemptOutcome::Session));
    let outcome = AttemptOutcome::Refused(LoginRefusal::new(RefusalKind::Claim, "a cause".to_owned()));
    assert_survives_damage(&ClaimEnd { attempt, token: [0; 16], client: None, outcome: Some(outcome) });
}

#[test]
fn the_largest_refusal_fits_its_messages_and_its_numbers_are_fixed() {
    let cause = "ä".repeat(2 * MAX_REFUSAL_CAUSE);
    for (number, kind) in (0_u8..).zip(RefusalKind::ALL) {
        let refusal = LoginRefusal::new(kind, cause.clone());
        assert_eq!(refusal.cause().len(), MAX_REFUSAL_CAUSE);
        let outcome = AttemptOutcome::Refused(refusal);
        let client = Some(IpAddr::from([0xff; 16]));
        let attempt = AttemptId::from_bytes([1; 16]);
        let end = ClaimEnd { attempt, token: [0xff; 16], client, outcome: Some(outcome.clone()) };
        assert_eq!(ClaimEnd::from_bytes(&end.to_bytes()), Ok(end));
        let answer = ClaimAnswer::Finished(outcome);
        assert_eq!(answer.to_bytes()[9], number, "{kind:?}");
        assert_eq!(ClaimAnswer::from_bytes(&answer.to_bytes()), Ok(answer));
    }
}

#[test]
fn the_peers_hash_knows_the_list_and_not_its_order() {
    let names =
        |raw: &[&str]| -> Vec<PeerName> { raw.iter().map(|name| PeerName::parse(name).expect("a name")).collect() };
    let hash = peers_hash(&names(&["a", "b:1"]));
    assert_eq!(hash, peers_hash(&names(&["b:1", "a", "a"])));
    assert_ne!(hash, peers_hash(&names(&["a", "b:2"])));
    assert_ne!(hash, peers_hash(&names(&["a"])));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in noise(1)) {
        let _ = Hello::from_bytes(&bytes);
        let _ = Forward::from_bytes(&bytes);
        let _ = Forwarded::from_bytes(&bytes);
        let _ = FoundSession::from_bytes(&bytes);
        let _ = ClaimQuestion::from_bytes(&bytes);
        let _ = ClaimAnswer::from_bytes(&bytes);
        let _ = ClaimEnd::from_bytes(&bytes);
    }
}
