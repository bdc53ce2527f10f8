//! Keys: their bytes, their order, and that nothing else reads as one.

use proptest::prelude::*;

use super::*;
use crate::command::{KeyEnvelope, MAX_ENVELOPES, MAX_SEALED_KEY, Outcome};
use crate::id::{ClusterId, Epoch, FeatureLevel, KeyId};
use crate::transition::StateView;
use crate::wire::Versioned;
use crate::wire::golden::{assert_golden, assert_survives_damage, hex};

const SESSION: SessionKey = SessionKey::from_bytes([0xaa; 32]);
const SUBJECT: SubjectKey = SubjectKey::from_bytes([0xbb; 32]);
const SID: SidKey = SidKey::from_bytes([0xcc; 32]);
const ATTEMPT: AttemptId = AttemptId::from_bytes([0xdd; 16]);
const PROCESS: ProcessId = ProcessId::from_bytes([0xee; 16]);
const AT: Timestamp = Timestamp::from_millis(0x0102_0304);

#[test]
fn key_bytes_are_fixed() {
    let (session, subject, sid) = ("aa".repeat(32), "bb".repeat(32), "cc".repeat(32));
    let (attempt, process, at) = ("dd".repeat(16), "ee".repeat(16), "0000000001020304");
    let index = LogIndex::new(5);
    let keys = [
        (Key::Meta(MetaKey::Clock), "0101".to_owned()),
        (Key::Meta(MetaKey::Founded), "0102".to_owned()),
        (Key::Meta(MetaKey::Sweep), "0103".to_owned()),
        (Key::Meta(MetaKey::Applied), "0180".to_owned()),
        (Key::Meta(MetaKey::Membership), "0181".to_owned()),
        (Key::Index(SESSION), format!("10{session}")),
        (Key::Body(SESSION), format!("11{session}")),
        (Key::ByExpiry(AT, SESSION), format!("12{at}{session}")),
        (Key::BySubject(SUBJECT, index, SESSION), format!("13{subject}0000000000000005{session}")),
        (Key::BySid(SID, SESSION), format!("14{sid}{session}")),
        (Key::SessionCount(SUBJECT), format!("15{subject}")),
        (Key::Attempt(ATTEMPT), format!("20{attempt}")),
        (Key::AttemptDue(AT, ATTEMPT), format!("21{at}{attempt}")),
        (Key::Result(PROCESS, 7), format!("30{process}0000000000000007")),
        (Key::ResultDue(AT, PROCESS, 7), format!("31{at}{process}0000000000000007")),
        (Key::Tombstone(SESSION), format!("40{session}")),
        (Key::TombstoneDue(AT, SESSION), format!("41{at}{session}")),
        (Key::NotBefore(SUBJECT), format!("50{subject}")),
        (Key::NotBeforeDue(AT, SUBJECT), format!("51{at}{subject}")),
    ];
    for (key, golden) in keys {
        let bytes = key.encode();
        assert_eq!(hex(&bytes), golden, "{key:?}");
        assert_eq!(Key::decode(&bytes), Some(key));
        assert_eq!(classify(&bytes), Some(key.kind()));
        let (from, to) = key.kind().range();
        assert!(from <= bytes && bytes < to, "{key:?} lies in the range of its kind");
    }
}

#[test]
fn nothing_else_reads_as_a_key() {
    let bytes = Key::ByExpiry(AT, SESSION).encode();
    assert_eq!(classify(&bytes[..bytes.len() - 1]), None);
    assert_eq!(classify(&[bytes.as_slice(), &[0]].concat()), None);
    assert_eq!(classify(&[]), None);
    assert_eq!(classify(&[0x02, 1]), None);
    assert_eq!(classify(&[RowKind::Meta.prefix(), 9]), None);
}

#[test]
fn sessions_are_named_by_their_own_rows_only() {
    for key in [Key::Index(SESSION), Key::Body(SESSION), Key::Tombstone(SESSION)] {
        assert_eq!(session_key_of(&key.encode()), Some(SESSION), "{key:?}");
    }
    assert_eq!(session_key_of(&Key::ByExpiry(AT, SESSION).encode()), None);
    assert_eq!(session_key_of(b"?"), None);
}

#[test]
fn ranges_hold_what_they_say_and_nothing_else() {
    let rows: std::collections::BTreeMap<Vec<u8>, Vec<u8>> = [
        Key::BySubject(SUBJECT, LogIndex::new(4), SESSION),
        Key::BySubject(SUBJECT, LogIndex::new(5), SESSION),
        Key::BySubject(SubjectKey::from_bytes([0xbc; 32]), LogIndex::new(1), SESSION),
        Key::BySid(SID, SESSION),
        Key::BySid(SID, SessionKey::from_bytes([0xff; 32])),
        Key::BySid(SidKey::from_bytes([0xcd; 32]), SessionKey::from_bytes([0; 32])),
        Key::ResultDue(Timestamp::from_millis(9), PROCESS, u64::MAX),
        Key::ResultDue(Timestamp::from_millis(10), PROCESS, 0),
    ]
    .into_iter()
    .map(|key| (key.encode(), Vec::new()))
    .collect();
    let found = |(from, to): (Vec<u8>, Vec<u8>)| StateView::range(&rows, &from, &to, 9).len();
    assert_eq!(found(subject_before(&SUBJECT, LogIndex::new(5))), 1);
    assert_eq!(found(subject_before(&SUBJECT, LogIndex::new(6))), 2);
    assert_eq!(found(subject_all(&SUBJECT)), 2);
    assert_eq!(found(sid_range(&SID)), 2);
    assert_eq!(found(due_before(RowKind::ResultDue, Timestamp::from_millis(10))), 1);
    assert_eq!(found(due_before(RowKind::ResultDue, Timestamp::from_millis(11))), 2);
}

#[test]
fn row_bytes_are_fixed() {
    let founded = FoundedState {
        cluster: ClusterId::from_bytes([0xc1; 16]),
        epoch: Epoch::new(1),
        envelopes: vec![KeyEnvelope { key_id: KeyId::from_bytes([1, 2, 3, 4]), sealed: vec![9, 9] }],
        feature_level: FeatureLevel::new(2),
    };
    assert_golden(
        &founded,
        "01 c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1 01000000 0100000000000000 01020304 0200000000000000 0909 02000000",
    );
    assert_survives_damage(&founded);
    assert_golden(&ClockRow(AT), "01 0403020100000000");
    assert_golden(&SessionCountRow(5), "01 05000000");
    assert_golden(&SweepRow(SESSION), &format!("01 {}", "aa".repeat(32)));
    assert_golden(&AttemptRow { session: SESSION }, &format!("01 {}", "aa".repeat(32)));
    let outcome = Outcome::Created { expires_at: AT, index: LogIndex::new(5) };
    assert_golden(&ResultRow { outcome }, "01 01000000 0403020100000000 0500000000000000");
    assert_golden(&TombstoneRow { due: AT }, "01 0403020100000000");
    assert_golden(&NotBeforeRow { index: LogIndex::new(5), due: AT }, "01 0500000000000000 0403020100000000");
}

#[test]
fn the_largest_founded_row_fits() {
    let envelope = |id| KeyEnvelope { key_id: KeyId::from_bytes([id; 4]), sealed: vec![0; MAX_SEALED_KEY] };
    let founded = FoundedState {
        cluster: ClusterId::from_bytes([0; 16]),
        epoch: Epoch::new(u32::MAX),
        envelopes: (0..u8::try_from(MAX_ENVELOPES).expect("few")).map(envelope).collect(),
        feature_level: FeatureLevel::new(u32::MAX),
    };
    assert_eq!(FoundedState::from_bytes(&founded.to_bytes()), Ok(founded));
}

proptest! {
    #[test]
    fn arbitrary_bytes_read_as_one_key_or_none(bytes in prop::collection::vec(any::<u8>(), 0..90), kind in 0_usize..15) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = RowKind::ALL[kind].prefix();
        }
        if let Some(key) = Key::decode(&bytes) {
            prop_assert_eq!(key.encode(), bytes);
        }
    }

    #[test]
    fn keys_of_a_time_index_sort_by_time_then_id(a: (u64, [u8; 16]), b: (u64, [u8; 16])) {
        let key = |(at, id): (u64, [u8; 16])| Key::AttemptDue(Timestamp::from_millis(at), AttemptId::from_bytes(id));
        prop_assert_eq!(key(a).encode().cmp(&key(b).encode()), a.cmp(&b));
    }
}
