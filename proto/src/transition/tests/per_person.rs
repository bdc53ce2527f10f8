//! The limit of sessions per person: the oldest end, boundedly, and the count stays exact.

use super::*;
use crate::command::{MAX_REPLACED, MOST_ENDED_BY_LOGIN};
use crate::keyspace::{SessionCountRow, session_count_key};

impl World {
    fn log_in_with_limit(&mut self, id: u32, limit: u32) -> Outcome {
        self.write(Command::CreateSession(CreateSession { sessions_per_person: limit, ..login_data(id) }))
    }

    fn counted(&self, subject: SubjectKey) -> u32 {
        let row = self.rows.get(&session_count_key(&subject));
        row.map_or(0, |row| SessionCountRow::from_bytes(row).expect("a row").0)
    }

    fn lives(&self, id: u32) -> bool {
        self.index_row(key(id)).is_some()
    }

    fn is_buried(&self, id: u32) -> bool {
        self.rows.contains_key(&tombstone_key(&key(id)))
    }
}

/// Keys fall while logins rise, so that the order is that of the logins.
#[test]
fn a_login_over_the_limit_ends_the_oldest_session_as_a_revocation_does() {
    let mut world = World::founded();
    for id in (1..=4).rev() {
        assert_eq!(world.log_in_with_limit(id, 3), world.created(HOUR));
    }
    assert_eq!(world.counted(SUBJECT), 3, "the new session counts");
    assert!(!world.lives(4) && world.is_buried(4), "the oldest has ended and has its tombstone");
    assert!((1..=3).all(|id| world.lives(id) && !world.is_buried(id)));
    for kind in [RowKind::Index, RowKind::Body, RowKind::ByExpiry, RowKind::BySubject, RowKind::BySid] {
        assert_eq!(world.count(kind), 3, "{kind:?}");
    }
}

#[test]
fn without_a_limit_nothing_ends_and_the_count_goes_on() {
    let mut world = World::founded();
    for id in 0..40 {
        world.log_in_with_limit(id, 0);
    }
    assert_eq!((world.count(RowKind::Index), world.counted(SUBJECT)), (40, 40));
}

#[test]
fn one_persons_limit_is_not_anothers() {
    let mut world = World::founded();
    let other = SubjectKey::from_bytes([0xbc; 32]);
    let login = CreateSession { subject: other, sessions_per_person: 2, ..login_data(100) };
    world.write(Command::CreateSession(login));
    for id in 0..5 {
        world.log_in_with_limit(id, 2);
    }
    assert!(world.lives(100), "the other person's older session lives");
    assert_eq!((world.counted(SUBJECT), world.counted(other)), (2, 1));
}

#[test]
fn a_lowered_limit_takes_effect_over_several_logins() {
    let mut world = World::founded();
    let most = u32::try_from(MOST_ENDED_BY_LOGIN).expect("small");
    let had = 2 * most + 3;
    for id in 0..had {
        world.log_in_with_limit(id, 0);
    }
    world.log_in_with_limit(had, 1);
    assert_eq!(world.counted(SUBJECT), had + 1 - most);
    world.log_in_with_limit(had + 1, 1);
    world.log_in_with_limit(had + 2, 1);
    assert_eq!(world.counted(SUBJECT), 1);
    assert!(world.lives(had + 2), "the login itself is never the one that ends");
}

#[test]
fn a_limit_of_one_leaves_the_last_login_of_an_entry() {
    let mut world = World::founded();
    let logins = [1, 2].map(|id| CreateSession { sessions_per_person: 1, ..login_data(id) });
    let tagged = logins.map(|login| Tagged { tag: world.tag(), command: Command::CreateSession(login) });
    let outcomes = world.entry(tagged.to_vec());
    assert_eq!(outcomes, [world.created(HOUR), world.created(HOUR)]);
    assert!(!world.lives(1) && world.lives(2));
    assert_eq!(world.counted(SUBJECT), 1);
}

/// What a refused or retried login may not do.
#[test]
fn only_a_login_that_makes_a_session_ends_another() {
    let mut world = World::founded();
    world.log_in_with_limit(1, 1);
    let again = CreateSession { key: key(2), sessions_per_person: 1, ..login_data(1) };
    assert_eq!(world.write(Command::CreateSession(again)), Outcome::Refused(Refusal::AttemptUsed));
    assert!(world.lives(1));
    let tag = world.tag();
    let second = CreateSession { sessions_per_person: 1, ..login_data(3) };
    let first_outcome = world.write_as(tag, Command::CreateSession(second.clone()));
    world.log_in_with_limit(4, 2);
    assert_eq!(world.write_as(tag, Command::CreateSession(second)), first_outcome, "a retry");
    assert!(world.lives(3) && world.lives(4));
}

#[test]
fn the_count_is_exact_over_expiry_revocation_and_a_new_epoch() {
    let mut world = World::founded();
    for id in 0..6 {
        world.log_in_with_limit(id, 0);
    }
    world.write(end_session(0));
    assert_eq!(world.counted(SUBJECT), 5);
    world.write(end_session(0));
    assert_eq!(world.counted(SUBJECT), 5, "a second revocation of the same session takes nothing");
    world.write(Command::Revoke(Revoke::Sid(SID)));
    assert_eq!((world.counted(SUBJECT), world.count(RowKind::SessionCount)), (0, 0), "no row stands for none");

    for id in 10..14 {
        world.log_in_with_limit(id, 0);
    }
    world.pass(HOUR);
    world.write(Command::ExpireUpTo { limit: 3 });
    assert_eq!(world.counted(SUBJECT), 1);
    world.reap();
    assert_eq!(world.count(RowKind::SessionCount), 0);

    for id in 20..24 {
        world.log_in_with_limit(id, 0);
    }
    world.write(Command::Rekey { from: FIRST_EPOCH, envelopes: vec![envelope(2)] });
    world.write(Command::ExpireUpTo { limit: 3 });
    assert_eq!(world.counted(SUBJECT), 1);
    world.reap();
    assert_eq!((world.count(RowKind::Index), world.count(RowKind::SessionCount)), (0, 0));
}

/// The limit travels in the command: what a replica is configured with does not come into it.
#[test]
fn sessions_per_person_is_decided_by_the_command_alone() {
    let mut limits = World::founded();
    let mut equal = World::founded();
    for (id, limit) in (0..).zip([0, 5, 2, 0, 3, 1, 1, 4]) {
        limits.log_in_with_limit(id, limit);
        equal.log_in_with_limit(id, limit);
        assert_eq!(limits.rows, equal.rows);
    }
    assert_eq!(limits.counted(SUBJECT), 2, "after a limit of 1, one more login under a limit of 4");
}

/// As many logins as an entry takes, each ending and replacing as many sessions as it may.
#[test]
fn an_entry_of_logins_over_the_limit_stays_within_its_bytes() {
    let mut world = World::founded();
    let most = u32::try_from(MOST_ENDED_BY_LOGIN + MAX_REPLACED).expect("small");
    let logins = u32::try_from(MAX_BATCH_COMMANDS).expect("small");
    let subject = |id: u32| SubjectKey::from_bytes([u8::try_from(id).expect("small"); 32]);
    for id in 0..logins * most {
        let create = CreateSession { subject: subject(id / most), ..login_data(id) };
        world.write(Command::CreateSession(create));
    }
    let new = |id| CreateSession {
        subject: subject(id),
        sessions_per_person: 1,
        replaces: (0..u32::try_from(MAX_REPLACED).expect("small")).map(|nth| key((id + 1) * most - 1 - nth)).collect(),
        body: vec![0; crate::command::MAX_BATCH_BYTES / MAX_BATCH_COMMANDS - 330 - MAX_REPLACED * SessionKey::LEN],
        ..login_data(1_000_000 + id)
    };
    let tagged: Vec<_> =
        (0..logins).map(|id| Tagged { tag: world.tag(), command: Command::CreateSession(new(id)) }).collect();
    let batch = Batch::new(world.now, tagged);
    assert!(batch.is_within_limits());
    let (outcomes, changes) = apply(&world.rows, LogIndex::new(world.at + 1), &batch);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Created { .. })));
    let (bytes, rows) = (changes.bytes(), changes.as_slice().len());
    changes.write_to(&mut world.rows);
    assert_eq!(world.count(RowKind::Index), MAX_BATCH_COMMANDS);
    assert!(bytes < MAX_CHANGE_BYTES, "{bytes} bytes");
    assert!(bytes + rows * 64 < 2 * 1024 * 1024 - crate::wire::MAX_ROW, "{rows} rows");
    println!("{logins} logins ended {} sessions in one entry: {bytes} bytes, {rows} rows", logins * most);
}
