//! The bytes of every command and outcome, and the limits of an entry.

use proptest::prelude::*;

use super::*;
use crate::wire::golden::{assert_golden, assert_survives_damage, hex, noise};
use crate::wire::{decode, encode};

fn tag() -> Tag {
    Tag { process: ProcessId::from_bytes([0xee; 16]), sequence: 2, known_time: Timestamp::from_millis(3) }
}

fn envelope() -> KeyEnvelope {
    KeyEnvelope { key_id: KeyId::from_bytes([1, 2, 3, 4]), sealed: vec![9, 9] }
}

fn create() -> CreateSession {
    CreateSession {
        key: SessionKey::from_bytes([0xaa; 32]),
        attempt: AttemptId::from_bytes([0xdd; 16]),
        epoch: Epoch::new(1),
        provider: ProviderId::parse("p").expect("a name"),
        site: SiteId::parse("s").expect("a name"),
        lifetime: Ttl::from_millis(6),
        subject: SubjectKey::from_bytes([0xbb; 32]),
        sid: Some(SidKey::from_bytes([0xcc; 32])),
        label: vec![1],
        body: vec![2, 2],
        replaces: vec![SessionKey::from_bytes([0xab; 32])],
        sessions_per_person: 3,
    }
}

/// The largest login that is accepted.
fn largest_create() -> CreateSession {
    let longest = "x".repeat(MAX_NAME_LEN);
    CreateSession {
        provider: ProviderId::parse(&longest).expect("at the limit"),
        site: SiteId::parse(&longest).expect("at the limit"),
        label: vec![0; MAX_SEALED_LABEL],
        body: vec![0; MAX_SEALED_BODY],
        replaces: vec![SessionKey::from_bytes([1; 32]); MAX_REPLACED],
        ..create()
    }
}

/// Every variant, in the order of their numbers, with its bytes.
fn golden_commands() -> Vec<(Command, String)> {
    let (aa, bb, cc, dd) = ("aa".repeat(32), "bb".repeat(32), "cc".repeat(32), "dd".repeat(16));
    let ab = "ab".repeat(32);
    let one_envelope = "0100000000000000 01020304 0200000000000000 0909";
    let found = Found {
        cluster: ClusterId::from_bytes([0xc1; 16]),
        envelopes: vec![envelope()],
        feature_level: FeatureLevel::new(1),
    };
    vec![
        (Command::Found(found), format!("00000000 {} {one_envelope} 01000000", "c1".repeat(16))),
        (
            Command::CreateSession(create()),
            format!(
                "01000000 {aa} {dd} 01000000 0100000000000000 70 0100000000000000 73 0600000000000000 {bb} 01 {cc} \
                 0100000000000000 01 0200000000000000 0202 0100000000000000 {ab} 03000000"
            ),
        ),
        (Command::Revoke(Revoke::Session(create().key)), format!("02000000 00000000 {aa}")),
        (Command::Revoke(Revoke::Subject(create().subject)), format!("02000000 01000000 {bb}")),
        (Command::Revoke(Revoke::Sid(SidKey::from_bytes([0xcc; 32]))), format!("02000000 02000000 {cc}")),
        (Command::ExpireUpTo { limit: 7 }, "03000000 07000000".to_owned()),
        (
            Command::SetEnvelopes {
                epoch: Epoch::new(1),
                remove: vec![KeyId::from_bytes([5; 4])],
                put: vec![envelope()],
            },
            format!("04000000 01000000 0100000000000000 05050505 {one_envelope}"),
        ),
        (
            Command::Rekey { from: Epoch::new(1), envelopes: vec![envelope()] },
            format!("05000000 01000000 {one_envelope}"),
        ),
        (Command::RaiseFeatureLevel(FeatureLevel::new(2)), "06000000 02000000".to_owned()),
    ]
}

fn without_blanks(text: &str) -> String {
    text.split_whitespace().collect()
}

#[test]
fn command_bytes_are_fixed() {
    for (command, golden) in golden_commands() {
        assert_eq!(hex(&encode(1, &command)), without_blanks(&format!("01 {golden}")), "{command:?}");
        assert_eq!(decode(1, &encode(1, &command), MAX_ROW), Ok(command));
    }
}

#[test]
fn batch_bytes_are_fixed() {
    let tagged = |command| Tagged { tag: tag(), command };
    let (commands, bytes): (Vec<_>, Vec<_>) = golden_commands().into_iter().unzip();
    let batch = Batch::new(Timestamp::from_millis(4), commands.into_iter().map(tagged).collect());
    let tag = format!("{} 0200000000000000 0300000000000000", "ee".repeat(16));
    let body: String = bytes.iter().map(|bytes| format!("{tag} {bytes}")).collect();
    assert_golden(&batch, &format!("01 01 0400000000000000 0900000000000000 {body}"));
    assert_survives_damage(&batch);
}

#[test]
fn outcome_bytes_are_fixed() {
    let created = Outcome::Created { expires_at: Timestamp::from_millis(1), index: LogIndex::new(2) };
    let refusals = [
        Refusal::AlreadyFounded,
        Refusal::NotFounded,
        Refusal::AttemptUsed,
        Refusal::WrongEpoch,
        Refusal::TooOld,
        Refusal::TooLarge,
        Refusal::KeyTaken,
        Refusal::Invalid,
        Refusal::StorageNearlyFull,
    ];
    let bytes = |outcome: &Outcome| hex(&encode(1, outcome));
    assert_eq!(bytes(&Outcome::Done), "0100000000");
    assert_eq!(bytes(&created), without_blanks("01 01000000 0100000000000000 0200000000000000"));
    assert_eq!(bytes(&Outcome::Revoked(3)), "010200000003000000");
    assert_eq!(bytes(&Outcome::Expired(4)), "010300000004000000");
    for (number, refusal) in refusals.into_iter().enumerate() {
        assert_eq!(bytes(&Outcome::Refused(refusal)), format!("01040000000{number}000000"));
    }
}

#[test]
fn every_login_that_is_accepted_fits_into_one_entry() {
    let command = Command::CreateSession(largest_create());
    assert_eq!(command.check_limits(), Ok(()));
    let tagged = Tagged { tag: tag(), command };
    assert_eq!(tagged.encoded_len(), LARGEST_CREATE);
    let batch = Batch::new(Timestamp::ZERO, vec![tagged]);
    assert!(batch.is_within_limits());
    assert!(batch.to_bytes().len() + LOG_ROW_FRAME <= MAX_ROW);
}

#[test]
fn an_entry_has_limits() {
    let tagged = |command: Command| Tagged { tag: tag(), command };
    let small = tagged(Command::ExpireUpTo { limit: 1 });
    let of = |commands: Vec<Tagged>| Batch::new(Timestamp::ZERO, commands).is_within_limits();
    assert!(of(vec![small.clone(); MAX_BATCH_COMMANDS]));
    assert!(!of(vec![small; MAX_BATCH_COMMANDS + 1]));
    let half = tagged(Command::CreateSession(CreateSession { body: vec![0; MAX_BATCH_BYTES / 2], ..create() }));
    assert!(of(vec![half.clone()]));
    assert!(!of(vec![half; 2]));
}

#[test]
fn what_is_over_a_limit_is_refused() {
    let refused = |change: fn(&mut CreateSession)| {
        let mut changed = largest_create();
        change(&mut changed);
        Command::CreateSession(changed).check_limits().err()
    };
    assert_eq!(refused(|create| create.body.push(0)), Some(Refusal::TooLarge));
    assert_eq!(refused(|create| create.label.push(0)), Some(Refusal::TooLarge));
    assert_eq!(refused(|create| create.lifetime = Ttl::ZERO), Some(Refusal::Invalid));
    let unparsed = |create: &mut CreateSession| {
        create.site = decode(1, &encode(1, &"x".repeat(MAX_NAME_LEN + 1)), 100).expect("a string");
    };
    assert_eq!(refused(unparsed), Some(Refusal::TooLarge));

    let many = vec![envelope(); MAX_ENVELOPES + 1];
    let huge = vec![KeyEnvelope { sealed: vec![0; MAX_SEALED_KEY + 1], ..envelope() }];
    for envelopes in [many, huge] {
        let rekey = Command::Rekey { from: Epoch::new(1), envelopes };
        assert_eq!(rekey.check_limits(), Err(Refusal::TooLarge));
    }
}

#[test]
fn a_schema_of_a_later_program_is_not_understood() {
    let mut batch = Batch::new(Timestamp::ZERO, Vec::new());
    assert!(batch.is_understood());
    batch.schema += 1;
    assert!(!batch.is_understood());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in noise(BATCH_SCHEMA)) {
        let _ = Batch::from_bytes(&bytes);
    }
}
