//! The bytes of a session's rows, and the largest of them.

use super::*;
use crate::wire::golden::{assert_golden, assert_survives_damage};
use crate::wire::{WireError, encode};

fn index_row() -> IndexRow {
    IndexRow {
        provider: ProviderId::default(),
        site: SiteId::parse("shop").expect("a name"),
        created_at: Timestamp::from_millis(1),
        expires_at: Timestamp::from_millis(2),
        generation: Generation::new(3),
        subject: SubjectKey::from_bytes([0xbb; 32]),
        sid: Some(SidKey::from_bytes([0xcc; 32])),
        attempt: AttemptId::from_bytes([0xdd; 16]),
        created_index: LogIndex::new(4),
        epoch: Epoch::new(5),
    }
}

#[test]
fn row_bytes_are_fixed() {
    let golden = concat!(
        "01 0700000000000000 64656661756c74 0400000000000000 73686f70 0100000000000000 0200000000000000 03000000 ",
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb ",
        "01 cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc ",
        "dddddddddddddddddddddddddddddddd 0400000000000000 05000000",
    );
    assert_golden(&index_row(), golden);
    assert_survives_damage(&index_row());
    let body = BodyRow { label: vec![1, 2], body: vec![3] };
    assert_golden(&body, "01 0200000000000000 0102 0100000000000000 03");
    assert_survives_damage(&body);
}

#[test]
fn the_largest_rows_fit() {
    let longest = ProviderId::parse(&"x".repeat(MAX_NAME_LEN)).expect("at the limit");
    let site = SiteId::parse(longest.as_str()).expect("at the limit");
    let row = IndexRow { provider: longest, site, ..index_row() };
    assert_eq!(row.to_bytes().len(), LONGEST_INDEX_ROW);

    let mut body = BodyRow { label: vec![0; MAX_SEALED_LABEL], body: vec![0; MAX_SEALED_BODY] };
    assert_eq!(BodyRow::from_bytes(&body.to_bytes()).as_ref(), Ok(&body));
    body.body = vec![0; MAX_ROW];
    assert!(matches!(BodyRow::from_bytes(&encode(1, &body)), Err(WireError::TooLarge { .. })));
}

#[test]
fn a_session_is_dead_at_the_instant_of_its_expiry() {
    let row = index_row();
    assert!(row.lives(Timestamp::from_millis(1)));
    assert!(!row.lives(row.expires_at));
}
