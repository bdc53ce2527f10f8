//! Every retry, race and limit by example. The random runs are in `model`.

mod per_person;

use super::*;
use crate::command::{
    CreateSession, FIRST_EPOCH, Found, KeyEnvelope, MAX_BATCH_COMMANDS, MAX_CHANGE_BYTES, MAX_EXPIRE, REVOKE_NOW,
    Revoke, Tag,
};
use crate::id::{AttemptId, ClusterId, Epoch, FeatureLevel, KeyId, ProcessId, SessionKey, SidKey, SubjectKey};
use crate::keyspace::{NotBeforeRow, RowKind, body_row_key, index_row_key, not_before_key, tombstone_key};
use crate::session::{BodyRow, IndexRow, LONGEST_LIFETIME, MAX_SEALED_BODY};
use crate::time::Ttl;
use crate::wire::Versioned;

const START: Timestamp = Timestamp::from_secs(1_000_000);
const HOUR: Ttl = Ttl::from_secs(3600);

/// A state with a log behind it. Each write is an entry of its own under a tag of its own.
struct World {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    at: u64,
    now: Timestamp,
    sequence: u64,
}

impl World {
    fn empty() -> Self {
        Self { rows: BTreeMap::new(), at: 0, now: START, sequence: 0 }
    }

    fn founded() -> Self {
        let mut world = Self::empty();
        assert_eq!(world.write(found()), Outcome::Done);
        world
    }

    fn pass(&mut self, span: Ttl) {
        self.now = self.now.saturating_add(span);
    }

    fn tag(&mut self) -> Tag {
        self.sequence += 1;
        Tag { process: ProcessId::from_bytes([1; 16]), sequence: self.sequence, known_time: self.now }
    }

    fn entry(&mut self, commands: Vec<Tagged>) -> Vec<Outcome> {
        self.at += 1;
        let batch = Batch::new(self.now, commands);
        let (outcomes, changes) = apply(&self.rows, LogIndex::new(self.at), &batch);
        changes.write_to(&mut self.rows);
        outcomes
    }

    fn write_as(&mut self, tag: Tag, command: Command) -> Outcome {
        self.entry(vec![Tagged { tag, command }]).remove(0)
    }

    fn write(&mut self, command: Command) -> Outcome {
        let tag = self.tag();
        self.write_as(tag, command)
    }

    fn created(&self, lifetime: Ttl) -> Outcome {
        Outcome::Created { expires_at: self.now.saturating_add(lifetime), index: LogIndex::new(self.at) }
    }

    fn index_row(&self, key: SessionKey) -> Option<IndexRow> {
        let bytes = self.rows.get(&index_row_key(&key))?;
        Some(IndexRow::from_bytes(bytes).expect("a row"))
    }

    fn count(&self, kind: RowKind) -> usize {
        let (from, to) = kind.range();
        StateView::range(&self.rows, &from, &to, usize::MAX).len()
    }

    /// Kinds of rows that stand, but for the single ones.
    fn kinds(&self) -> Vec<RowKind> {
        RowKind::ALL.into_iter().filter(|kind| *kind != RowKind::Meta && self.count(*kind) > 0).collect()
    }

    /// Expires until nothing is left to do.
    fn reap(&mut self) {
        for _ in 0..1000 {
            if self.write(Command::ExpireUpTo { limit: 7 }) == Outcome::Expired(0) {
                return;
            }
        }
        panic!("expiry does not come to an end");
    }
}

fn found() -> Command {
    let envelopes = vec![envelope(1)];
    Command::Found(Found { cluster: ClusterId::from_bytes([0xc1; 16]), envelopes, feature_level: FeatureLevel::new(1) })
}

fn envelope(id: u8) -> KeyEnvelope {
    KeyEnvelope { key_id: KeyId::from_bytes([id; 4]), sealed: vec![id] }
}

fn key(id: u32) -> SessionKey {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&id.to_be_bytes());
    SessionKey::from_bytes(bytes)
}

fn attempt(id: u32) -> AttemptId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&id.to_be_bytes());
    AttemptId::from_bytes(bytes)
}

const SUBJECT: SubjectKey = SubjectKey::from_bytes([0xbb; 32]);
const SID: SidKey = SidKey::from_bytes([0xcc; 32]);

fn login_data(id: u32) -> CreateSession {
    CreateSession {
        key: key(id),
        attempt: attempt(id),
        epoch: FIRST_EPOCH,
        provider: Default::default(),
        site: Default::default(),
        lifetime: HOUR,
        subject: SUBJECT,
        sid: Some(SID),
        label: vec![1],
        body: vec![2, 2],
        replaces: Vec::new(),
        sessions_per_person: 0,
    }
}

fn login(id: u32) -> Command {
    Command::CreateSession(login_data(id))
}

fn end_session(id: u32) -> Command {
    Command::Revoke(Revoke::Session(key(id)))
}

#[test]
fn a_login_leaves_all_its_rows() {
    let mut world = World::founded();
    let outcome = world.write(login(1));
    assert_eq!(outcome, world.created(HOUR));
    let row = world.index_row(key(1)).expect("created");
    assert_eq!((row.created_at, row.epoch, row.created_index), (START, FIRST_EPOCH, LogIndex::new(2)));
    let body = BodyRow::from_bytes(&world.rows[&body_row_key(&key(1))]).expect("a row");
    assert_eq!((body.label, body.body), (vec![1], vec![2, 2]));
    let one_each = [
        RowKind::ByExpiry,
        RowKind::BySubject,
        RowKind::BySid,
        RowKind::SessionCount,
        RowKind::Attempt,
        RowKind::AttemptDue,
    ];
    for kind in one_each {
        assert_eq!(world.count(kind), 1, "{kind:?}");
    }
}

#[test]
fn a_retried_login_reports_the_first_entry() {
    let mut world = World::founded();
    let tag = world.tag();
    let first = world.write_as(tag, login(1));
    world.pass(Ttl::from_secs(60));
    assert_eq!(world.write_as(tag, login(1)), first);
    assert_eq!(world.count(RowKind::Index), 1);
}

#[test]
fn a_retry_in_the_same_entry_reports_the_first() {
    let mut world = World::founded();
    let tag = world.tag();
    let tagged = Tagged { tag, command: login(1) };
    let outcomes = world.entry(vec![tagged.clone(), tagged]);
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(outcomes[0], world.created(HOUR));
}

#[test]
fn a_retried_login_does_not_bring_back_a_session_that_was_ended() {
    let mut world = World::founded();
    let tag = world.tag();
    let first = world.write_as(tag, login(1));
    assert_eq!(world.write(end_session(1)), Outcome::Revoked(1));
    assert_eq!(world.write_as(tag, login(1)), first, "the first outcome, and nothing done");
    assert_eq!(world.index_row(key(1)), None);
    assert_eq!(world.write(login(1)), Outcome::Refused(Refusal::AttemptUsed), "nor under another tag");
    let other_attempt = CreateSession { attempt: attempt(2), ..login_data(1) };
    assert_eq!(world.write(Command::CreateSession(other_attempt)), Outcome::Refused(Refusal::KeyTaken));
    assert_eq!(world.index_row(key(1)), None);
}

#[test]
fn a_retry_whose_result_may_be_forgotten_is_refused() {
    let mut world = World::founded();
    let tag = world.tag();
    world.write_as(tag, login(1));
    world.pass(RETRY_WINDOW);
    world.reap();
    assert!(matches!(world.write_as(tag, login(1)), Outcome::Created { .. }), "at the window's end still remembered");
    world.pass(Ttl::from_millis(1));
    world.reap();
    assert_eq!(world.write_as(tag, login(1)), Outcome::Refused(Refusal::TooOld));
    let other = Tag { sequence: 99, ..tag };
    assert_eq!(world.write_as(other, login(2)), Outcome::Refused(Refusal::TooOld), "old, and never seen");
}

#[test]
fn a_sender_ahead_of_the_log_is_remembered_for_as_long_as_it_may_retry() {
    let mut world = World::founded();
    let ahead = Tag { known_time: world.now.saturating_add(Ttl::from_secs(90)), ..world.tag() };
    assert_eq!(world.write_as(ahead, end_session(1)), Outcome::Revoked(0));
    world.write(login(2));
    world.pass(Ttl::from_secs(90).saturating_add(RETRY_WINDOW));
    world.reap();
    let command = Command::Revoke(Revoke::Session(key(2)));
    assert_eq!(world.write_as(ahead, command), Outcome::Revoked(0), "the first outcome");
    world.pass(Ttl::from_millis(1));
    world.reap();
    assert_eq!(world.write_as(ahead, end_session(2)), Outcome::Refused(Refusal::TooOld));
}

#[test]
fn an_attempt_makes_one_session() {
    let mut world = World::founded();
    world.write(login(1));
    let second = CreateSession { key: key(2), ..login_data(1) };
    assert_eq!(world.write(Command::CreateSession(second.clone())), Outcome::Refused(Refusal::AttemptUsed));
    world.pass(ATTEMPT_WINDOW);
    world.reap();
    assert_eq!(world.write(Command::CreateSession(second)), Outcome::Refused(Refusal::AttemptUsed));
}

#[test]
fn a_refused_login_leaves_its_attempt_free() {
    let mut world = World::founded();
    let late = CreateSession { epoch: Epoch::new(9), ..login_data(1) };
    assert_eq!(world.write(Command::CreateSession(late)), Outcome::Refused(Refusal::WrongEpoch));
    assert_eq!(world.write(login(1)), world.created(HOUR));
}

#[test]
fn a_revocation_that_overtakes_its_login_still_ends_it() {
    let mut world = World::founded();
    assert_eq!(world.write(end_session(1)), Outcome::Revoked(0));
    assert_eq!(world.write(login(1)), Outcome::Refused(Refusal::KeyTaken));
    assert_eq!(world.index_row(key(1)), None);
}

#[test]
fn a_second_revocation_keeps_the_tombstone_for_its_own_window() {
    let mut world = World::founded();
    world.write(end_session(1));
    world.pass(Ttl::from_secs(100));
    world.write(end_session(1));
    assert_eq!((world.count(RowKind::Tombstone), world.count(RowKind::TombstoneDue)), (1, 1));
    world.pass(RETRY_WINDOW);
    world.reap();
    assert_eq!(world.count(RowKind::Tombstone), 1);
    world.pass(Ttl::from_millis(1));
    world.reap();
    assert_eq!((world.count(RowKind::Tombstone), world.count(RowKind::TombstoneDue)), (0, 0));
}

#[test]
fn revoking_a_person_ends_earlier_logins_and_no_later_one() {
    let mut world = World::founded();
    world.write(login(1));
    world.write(login(2));
    let stranger = CreateSession { subject: SubjectKey::from_bytes([0xbc; 32]), ..login_data(3) };
    world.write(Command::CreateSession(stranger));
    assert_eq!(world.write(Command::Revoke(Revoke::Subject(SUBJECT))), Outcome::Revoked(2));
    let mark = NotBeforeRow::from_bytes(&world.rows[&not_before_key(&SUBJECT)]).expect("a row");
    assert_eq!(mark.index, LogIndex::new(world.at));
    assert!(world.rows.contains_key(&tombstone_key(&key(1))));
    assert_eq!(world.write(login(4)), world.created(HOUR));
    assert!(world.index_row(key(4)).expect("created").created_index > mark.index);
    assert!(world.index_row(key(3)).is_some());
}

#[test]
fn a_login_in_the_entry_that_revokes_its_person_lives() {
    let mut world = World::founded();
    let tags = [world.tag(), world.tag(), world.tag()];
    let commands = [login(1), Command::Revoke(Revoke::Subject(SUBJECT)), login(2)];
    let tagged = tags.into_iter().zip(commands).map(|(tag, command)| Tagged { tag, command }).collect();
    let outcomes = world.entry(tagged);
    assert_eq!(outcomes, [world.created(HOUR), Outcome::Revoked(0), world.created(HOUR)]);
    let mark = NotBeforeRow::from_bytes(&world.rows[&not_before_key(&SUBJECT)]).expect("a row");
    for id in [1, 2] {
        assert!(world.index_row(key(id)).expect("lives").created_index >= mark.index);
    }
}

#[test]
fn revoking_many_sessions_is_bounded_and_swept_later() {
    let mut world = World::founded();
    let surplus = 20;
    let all = u32::try_from(REVOKE_NOW).expect("small") + surplus;
    for id in 0..all {
        world.write(login(id));
    }
    let revoke = Command::Revoke(Revoke::Subject(SUBJECT));
    assert_eq!(world.write(revoke), Outcome::Revoked(u32::try_from(REVOKE_NOW).expect("small")));
    assert_eq!(world.count(RowKind::Index), usize::try_from(surplus).expect("small"));
    world.write(login(all));
    world.pass(RETRY_WINDOW.saturating_add(Ttl::from_millis(1)));
    world.reap();
    assert_eq!(world.count(RowKind::Index), 1, "those that the mark made dead are gone");
    assert!(world.index_row(key(all)).is_some());
    assert_eq!((world.count(RowKind::NotBefore), world.count(RowKind::NotBeforeDue)), (0, 0));
}

#[test]
fn revoking_a_provider_session_is_repeated_until_it_is_not_full() {
    let mut world = World::founded();
    let now = u32::try_from(REVOKE_NOW).expect("small");
    for id in 0..=now {
        world.write(login(id));
    }
    assert_eq!(world.write(Command::Revoke(Revoke::Sid(SID))), Outcome::Revoked(now));
    assert_eq!(world.write(Command::Revoke(Revoke::Sid(SID))), Outcome::Revoked(1));
    assert_eq!(world.count(RowKind::Index), 0);
}

#[test]
fn expiry_is_by_the_entrys_clock_and_takes_everything_along() {
    let mut world = World::founded();
    world.write(login(1));
    world.pass(Ttl::from_secs(1));
    world.write(login(2));
    world.pass(Ttl::from_secs(3598));
    world.reap();
    assert_eq!(world.count(RowKind::Index), 2, "a second before its time");
    world.pass(Ttl::from_secs(1));
    world.reap();
    assert_eq!((world.index_row(key(1)), world.count(RowKind::Index)), (None, 1));
    world.pass(HOUR);
    world.reap();
    assert_eq!(world.kinds(), [], "no row of any kind is left");
}

#[test]
fn expiry_is_bounded() {
    let mut world = World::founded();
    for id in 0..10 {
        world.write(login(id));
    }
    world.pass(HOUR);
    assert_eq!(world.write(Command::ExpireUpTo { limit: 4 }), Outcome::Expired(4));
    assert_eq!(world.count(RowKind::Index), 6);
    assert_eq!(world.write(Command::ExpireUpTo { limit: 0 }), Outcome::Expired(0));
    const { assert!(MAX_EXPIRE >= 27, "what follows is not cut short") };
    // 6 sessions, then 11 results and 10 attempts.
    assert_eq!(world.write(Command::ExpireUpTo { limit: u32::MAX }), Outcome::Expired(27));
}

#[test]
fn what_an_entry_forgets_is_forgotten_for_its_later_commands() {
    let mut world = World::founded();
    world.write(login(1));
    world.pass(HOUR);
    world.reap();
    world.write(Command::CreateSession(CreateSession { lifetime: Ttl::from_secs(1), ..login_data(1) }));
    world.pass(ATTEMPT_WINDOW.saturating_add(Ttl::from_millis(1)));
    let commands = [Command::ExpireUpTo { limit: u32::MAX }, login(1)];
    let tagged = commands.into_iter().map(|command| Tagged { tag: world.tag(), command }).collect();
    let outcomes = world.entry(tagged);
    assert_eq!(outcomes[1], world.created(HOUR), "its attempt and its key are free again");
}

#[test]
fn expiry_leaves_no_result_of_its_own() {
    let mut world = World::founded();
    let before = world.count(RowKind::Result);
    world.write(Command::ExpireUpTo { limit: 1 });
    assert_eq!(world.count(RowKind::Result), before);
}

#[test]
fn the_clock_never_goes_back() {
    let mut world = World::founded();
    let latest = world.now;
    world.now = START.saturating_sub(HOUR);
    let tag = Tag { known_time: latest, ..world.tag() };
    let outcome = world.write_as(tag, login(1));
    assert_eq!(clock(&world.rows), latest);
    assert_eq!(outcome, Outcome::Created { expires_at: latest.saturating_add(HOUR), index: LogIndex::new(2) });
}

#[test]
fn no_session_outlives_the_longest_lifetime() {
    let mut world = World::founded();
    let forever = CreateSession { lifetime: Ttl::from_millis(u64::MAX), ..login_data(1) };
    assert_eq!(world.write(Command::CreateSession(forever)), world.created(LONGEST_LIFETIME));
}

#[test]
fn a_new_epoch_ends_every_session_and_the_sweep_removes_their_rows() {
    let mut world = World::founded();
    for id in 0..10 {
        world.write(login(2 * id));
    }
    let rekey = |from| Command::Rekey { from: Epoch::new(from), envelopes: vec![envelope(2)] };
    assert_eq!(world.write(rekey(1)), Outcome::Done);
    assert_eq!(world.write(rekey(1)), Outcome::Refused(Refusal::WrongEpoch));
    let state = founded(&world.rows).expect("founded");
    assert_eq!((state.epoch, state.envelopes), (Epoch::new(2), vec![envelope(2)]));
    assert_eq!(world.write(login(100)), Outcome::Refused(Refusal::WrongEpoch));

    assert_eq!(world.write(Command::ExpireUpTo { limit: 4 }), Outcome::Expired(4));
    // New sessions before and behind the sweep's place.
    for id in [1, 15] {
        let create = CreateSession { epoch: Epoch::new(2), ..login_data(id) };
        assert_eq!(world.write(Command::CreateSession(create)), world.created(HOUR));
    }
    world.reap();
    assert_eq!(world.count(RowKind::Index), 2);
    assert!(world.index_row(key(1)).is_some() && world.index_row(key(15)).is_some());
    for kind in [RowKind::Body, RowKind::ByExpiry, RowKind::BySubject, RowKind::BySid] {
        assert_eq!(world.count(kind), 2, "{kind:?}");
    }
    assert!(!world.rows.contains_key(&meta_key(MetaKey::Sweep)));
}

#[test]
fn the_sweep_ends_at_the_greatest_key_too() {
    let mut world = World::founded();
    let last = CreateSession { key: SessionKey::from_bytes([0xff; 32]), ..login_data(1) };
    world.write(Command::CreateSession(last));
    world.write(Command::Rekey { from: FIRST_EPOCH, envelopes: vec![envelope(2)] });
    assert_eq!(world.write(Command::ExpireUpTo { limit: 1 }), Outcome::Expired(1));
    assert_eq!(world.count(RowKind::Index), 0);
    assert!(!world.rows.contains_key(&meta_key(MetaKey::Sweep)));
}

#[test]
fn a_cluster_is_founded_once() {
    let mut world = World::empty();
    assert_eq!(world.write(login(1)), Outcome::Refused(Refusal::NotFounded));
    let tag = Tag { known_time: Timestamp::ZERO, ..world.tag() };
    assert_eq!(world.write_as(tag, found()), Outcome::Done, "a founder knows no cluster's time");
    assert_eq!(world.write_as(tag, found()), Outcome::Done, "a retry");
    assert_eq!(world.write(found()), Outcome::Refused(Refusal::AlreadyFounded));
    let none = Command::Found(Found {
        cluster: ClusterId::from_bytes([2; 16]),
        envelopes: Vec::new(),
        feature_level: FeatureLevel::new(1),
    });
    assert_eq!(World::empty().write(none), Outcome::Refused(Refusal::Invalid));
}

#[test]
fn envelopes_are_replaced_but_never_all_removed() {
    let mut world = World::founded();
    let set = |epoch, remove: &[u8], put: &[u8]| Command::SetEnvelopes {
        epoch: Epoch::new(epoch),
        remove: remove.iter().map(|id| KeyId::from_bytes([*id; 4])).collect(),
        put: put.iter().map(|id| envelope(*id)).collect(),
    };
    assert_eq!(world.write(set(1, &[], &[3, 2])), Outcome::Done);
    assert_eq!(founded(&world.rows).expect("founded").envelopes, [envelope(1), envelope(2), envelope(3)]);
    assert_eq!(world.write(set(1, &[1, 2, 3], &[])), Outcome::Refused(Refusal::Invalid));
    assert_eq!(world.write(set(1, &[1, 3], &[3])), Outcome::Done);
    assert_eq!(founded(&world.rows).expect("founded").envelopes, [envelope(2), envelope(3)]);
    world.write(Command::Rekey { from: FIRST_EPOCH, envelopes: vec![envelope(4)] });
    assert_eq!(
        world.write(set(1, &[4], &[1])),
        Outcome::Refused(Refusal::WrongEpoch),
        "an envelope of the old key would lock the new one out"
    );
}

#[test]
fn the_feature_level_only_rises() {
    let mut world = World::founded();
    let raise = |level| Command::RaiseFeatureLevel(FeatureLevel::new(level));
    assert_eq!(world.write(raise(3)), Outcome::Done);
    assert_eq!(world.write(raise(3)), Outcome::Done);
    assert_eq!(world.write(raise(2)), Outcome::Refused(Refusal::Invalid));
    assert_eq!(founded(&world.rows).expect("founded").feature_level, FeatureLevel::new(3));
}

#[test]
fn what_is_too_large_is_refused_without_a_trace() {
    let mut world = World::founded();
    let create = CreateSession { body: vec![0; MAX_SEALED_BODY + 1], ..login_data(1) };
    assert_eq!(world.write(Command::CreateSession(create)), Outcome::Refused(Refusal::TooLarge));
    assert_eq!(world.count(RowKind::Index) + world.count(RowKind::Attempt), 0);
}

#[test]
fn changes_name_each_key_once_and_in_order() {
    let mut world = World::founded();
    let commands: Vec<_> = (0..MAX_BATCH_COMMANDS)
        .map(|id| {
            let id = u32::try_from(id).expect("small") / 2;
            let command = if world.sequence.is_multiple_of(2) { end_session(id) } else { login(id) };
            Tagged { tag: world.tag(), command }
        })
        .collect();
    let (_, changes) = apply(&world.rows, LogIndex::new(9), &Batch::new(START, commands));
    let keys: Vec<_> = changes.as_slice().iter().map(Change::key).collect();
    assert!(keys.is_sorted_by(|a, b| a < b));
    assert!(changes.bytes() > keys.iter().map(|key| key.len()).sum());
}

#[test]
fn a_login_ends_the_sessions_that_it_replaces_and_no_others() {
    let mut world = World::founded();
    for id in 1..=3 {
        world.write(login(id));
    }
    let replaces = vec![key(1), key(2), key(9), key(4)];
    let again = CreateSession { replaces: replaces.clone(), ..login_data(4) };
    let outcome = world.write(Command::CreateSession(again));
    assert!(matches!(outcome, Outcome::Created { .. }), "{outcome:?}");
    let alive: Vec<u32> = (1..=4).filter(|id| world.rows.contains_key(&index_row_key(&key(*id)))).collect();
    assert_eq!(alive, [3, 4], "its own key is no older session");
    assert!(world.rows.contains_key(&tombstone_key(&key(9))), "one that is not applied yet never comes");
    let refused = CreateSession { replaces: vec![key(3)], ..login_data(4) };
    assert_eq!(world.write(Command::CreateSession(refused)), Outcome::Refused(Refusal::AttemptUsed));
    assert!(world.rows.contains_key(&index_row_key(&key(3))), "a login that makes nothing ends nothing");
}

/// The entry that ends the most: as many revocations as fit, each of as many sessions as it may
/// remove, and over that the most that can be expired.
#[test]
fn the_heaviest_entry_stays_within_its_bytes() {
    let mut world = World::founded();
    let per_subject = u32::try_from(REVOKE_NOW).expect("small") + 1;
    let subjects = u32::try_from(MAX_BATCH_COMMANDS).expect("small") - 1;
    let subject = |id: u32| SubjectKey::from_bytes([u8::try_from(id).expect("small"); 32]);
    for id in 0..subjects * per_subject {
        let create = CreateSession { subject: subject(id / per_subject), lifetime: LONGEST_LIFETIME, ..login_data(id) };
        world.write(Command::CreateSession(create));
    }
    // Those that expire, and enough of them.
    for id in 0..600 {
        world.write(login(1_000_000 + id));
    }
    for id in 0..subjects * per_subject {
        world.write(end_session(2_000_000 + id));
    }
    world.pass(HOUR);
    let mut commands: Vec<_> = (0..subjects).map(|id| Command::Revoke(Revoke::Subject(subject(id)))).collect();
    commands.push(Command::ExpireUpTo { limit: u32::MAX });
    let tagged = commands.into_iter().map(|command| Tagged { tag: world.tag(), command }).collect();
    let (outcomes, changes) = apply(&world.rows, LogIndex::new(world.at + 1), &Batch::new(world.now, tagged));
    assert_eq!(outcomes.last(), Some(&Outcome::Expired(u32::try_from(MAX_EXPIRE).expect("small"))));
    assert!(outcomes.iter().rev().skip(1).all(|outcome| *outcome == Outcome::Revoked(per_subject - 1)));
    let bytes = changes.bytes();
    assert!(bytes < MAX_CHANGE_BYTES, "{bytes} bytes");
    let rows = changes.as_slice().len();
    assert!(bytes + rows * 64 < 2 * 1024 * 1024 - crate::wire::MAX_ROW, "{rows} rows");
}

#[test]
fn the_expiries_of_one_entry_share_its_limit() {
    let mut world = World::founded();
    for id in 0..700 {
        world.write(login(id));
    }
    world.pass(HOUR);
    let expire = || Command::ExpireUpTo { limit: 300 };
    let tagged = [expire(), expire()].into_iter().map(|command| Tagged { tag: world.tag(), command }).collect();
    let rest = u32::try_from(MAX_EXPIRE).expect("small") - 300;
    assert_eq!(world.entry(tagged), [Outcome::Expired(300), Outcome::Expired(rest)]);
}

#[test]
fn the_hash_tells_rows_apart() {
    let hash = |rows: &[(&[u8], &[u8])]| {
        let mut hasher = StateHasher::default();
        rows.iter().for_each(|(key, value)| hasher.row(key, value));
        hasher.finish()
    };
    assert_ne!(hash(&[(b"a", b"bc")]), hash(&[(b"ab", b"c")]));
    assert_ne!(hash(&[(b"a", b"")]), hash(&[]));
    assert_eq!(hash(&[(b"a", b"b")]), hash(&[(b"a", b"b")]));
}
