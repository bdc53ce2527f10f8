//! Random logs against a plain model of what the rules mean, with the rows' own consistency held
//! after every entry, on two views at once.

use proptest::prelude::*;

use super::*;
use crate::command::{CreateSession, FIRST_EPOCH, Found, KeyEnvelope, Revoke, Tag};
use crate::id::{AttemptId, ClusterId, Epoch, FeatureLevel, KeyId, ProcessId, SessionKey, SidKey, SubjectKey};
use crate::keyspace::{NotBeforeRow, RowKind, SessionCountRow, SweepRow, TombstoneRow, not_before_key};
use crate::session::{BodyRow, IndexRow};
use crate::time::Ttl;
use crate::wire::Versioned;

/// Another way to hold rows: a sorted list.
#[derive(Default)]
struct SortedRows(Vec<(Vec<u8>, Vec<u8>)>);

impl SortedRows {
    fn write(&mut self, changes: Changes) {
        for change in changes {
            let place = self.0.binary_search_by(|(key, _)| key.as_slice().cmp(change.key()));
            match (change, place) {
                (Change::Put { value, .. }, Ok(at)) => self.0[at].1 = value,
                (Change::Put { key, value }, Err(at)) => self.0.insert(at, (key, value)),
                (Change::Delete { .. }, Ok(at)) => {
                    self.0.remove(at);
                }
                (Change::Delete { .. }, Err(_)) => {}
            }
        }
    }
}

impl StateView for SortedRows {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.iter().find(|(stored, _)| stored == key).map(|(_, value)| value.clone())
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let within = |(key, _): &&(Vec<u8>, Vec<u8>)| from <= key.as_slice() && key.as_slice() < to;
        self.0.iter().filter(within).take(limit).cloned().collect()
    }
}

fn hash<'r>(rows: impl Iterator<Item = (&'r Vec<u8>, &'r Vec<u8>)>) -> [u8; 32] {
    let mut hasher = StateHasher::default();
    rows.for_each(|(key, value)| hasher.row(key, value));
    hasher.finish()
}

#[derive(Clone, Debug)]
struct ModelSession {
    subject: SubjectKey,
    sid: Option<SidKey>,
    expires_at: Timestamp,
    epoch: Epoch,
    index: LogIndex,
    body: Vec<u8>,
}

/// What the rules mean, without rows, indexes or bounds. It forgets nothing; where the state may
/// have forgotten, it allows both outcomes and goes on from the one that was reported.
#[derive(Default)]
struct Model {
    clock: Timestamp,
    epoch: Option<Epoch>,
    sessions: BTreeMap<SessionKey, ModelSession>,
    attempts: BTreeMap<AttemptId, Timestamp>,
    tombstones: BTreeMap<SessionKey, Timestamp>,
    results: BTreeMap<(ProcessId, u64), (Outcome, Timestamp)>,
}

impl Model {
    fn lives(&self, session: &ModelSession) -> bool {
        self.clock < session.expires_at && Some(session.epoch) == self.epoch
    }

    fn live(&self) -> BTreeMap<SessionKey, Vec<u8>> {
        let live = self.sessions.iter().filter(|(_, session)| self.lives(session));
        live.map(|(key, session)| (*key, session.body.clone())).collect()
    }

    /// Every outcome that the rules allow.
    fn allowed(&self, at: LogIndex, tagged: &Tagged) -> Vec<Outcome> {
        let Tag { process, sequence, known_time } = tagged.tag;
        if tagged.command.repeats_safely() {
            return Vec::new();
        }
        let too_old =
            known_time.saturating_add(RETRY_WINDOW) < self.clock && !matches!(tagged.command, Command::Found(_));
        let done = |command| if too_old { vec![Outcome::Refused(Refusal::TooOld)] } else { self.fresh(at, command) };
        match self.results.get(&(process, sequence)) {
            Some((outcome, due)) if self.clock <= *due => vec![outcome.clone()],
            Some((outcome, _)) => [vec![outcome.clone()], done(&tagged.command)].concat(),
            None => done(&tagged.command),
        }
    }

    fn fresh(&self, at: LogIndex, command: &Command) -> Vec<Outcome> {
        let Some(epoch) = self.epoch else {
            let founds = matches!(command, Command::Found(_));
            return vec![if founds { Outcome::Done } else { Outcome::Refused(Refusal::NotFounded) }];
        };
        match command {
            Command::Found(_) => vec![Outcome::Refused(Refusal::AlreadyFounded)],
            Command::CreateSession(create) => self.fresh_create(at, epoch, create),
            Command::Revoke(revoke) => {
                let hit: Vec<_> = self.sessions.iter().filter(|(key, s)| is_hit(revoke, key, s, at)).collect();
                let live = hit.iter().filter(|(_, session)| self.lives(session)).count();
                (live..=hit.len()).map(|n| Outcome::Revoked(u32::try_from(n).expect("few"))).collect()
            }
            Command::Rekey { from, .. } if *from != epoch => vec![Outcome::Refused(Refusal::WrongEpoch)],
            Command::Rekey { .. } => vec![Outcome::Done],
            Command::ExpireUpTo { .. } | Command::SetEnvelopes { .. } | Command::RaiseFeatureLevel(_) => Vec::new(),
        }
    }

    fn fresh_create(&self, at: LogIndex, epoch: Epoch, create: &CreateSession) -> Vec<Outcome> {
        if create.epoch != epoch {
            return vec![Outcome::Refused(Refusal::WrongEpoch)];
        }
        let mut allowed = Vec::new();
        match self.attempts.get(&create.attempt) {
            Some(due) if self.clock <= *due => return vec![Outcome::Refused(Refusal::AttemptUsed)],
            Some(_) => allowed.push(Outcome::Refused(Refusal::AttemptUsed)),
            None => {}
        }
        let standing = self.sessions.get(&create.key).map(|session| self.lives(session));
        let buried = self.tombstones.get(&create.key).map(|due| self.clock <= *due);
        if standing.is_some() || buried.is_some() {
            allowed.push(Outcome::Refused(Refusal::KeyTaken));
        }
        if standing != Some(true) && buried != Some(true) {
            allowed.push(Outcome::Created { expires_at: self.clock.saturating_add(create.lifetime), index: at });
        }
        allowed
    }

    /// Goes on from an outcome that was allowed and is no remembered one.
    /// `before` is the state that the command met.
    fn follow(&mut self, at: LogIndex, tagged: &Tagged, outcome: &Outcome, before: &BTreeMap<Vec<u8>, Vec<u8>>) {
        let tag = tagged.tag;
        let remembered = self
            .results
            .get(&(tag.process, tag.sequence))
            .is_some_and(|(first, due)| self.clock <= *due || first == outcome);
        if remembered || tagged.command.repeats_safely() || *outcome == Outcome::Refused(Refusal::TooOld) {
            return;
        }
        let due = self.clock.max(tag.known_time).saturating_add(RETRY_WINDOW);
        self.results.insert((tag.process, tag.sequence), (outcome.clone(), due));
        match (&tagged.command, outcome) {
            (_, Outcome::Refused(_)) => {}
            (Command::Found(_), _) => self.epoch = Some(FIRST_EPOCH),
            (Command::Rekey { from, .. }, _) => self.epoch = Some(Epoch::new(from.get() + 1)),
            (Command::CreateSession(create), _) => {
                let mut standing = standing(before, create.subject);
                standing.retain(|key| !create.replaces.contains(key));
                self.follow_room_making(create, &standing);
                self.follow_create(at, create);
            }
            (Command::Revoke(revoke), _) => self.follow_revoke(at, revoke),
            (Command::ExpireUpTo { .. } | Command::SetEnvelopes { .. } | Command::RaiseFeatureLevel(_), _) => {}
        }
    }

    /// Of a person's sessions whose rows stand, the oldest go until the new one fits.
    fn follow_room_making(&mut self, create: &CreateSession, standing: &[SessionKey]) {
        let limit = usize::try_from(create.sessions_per_person).expect("small");
        if limit == 0 {
            return;
        }
        let due = self.clock.saturating_add(RETRY_WINDOW);
        for key in standing.iter().take((standing.len() + 1).saturating_sub(limit)) {
            self.sessions.remove(key);
            self.tombstones.insert(*key, due);
        }
    }

    fn follow_create(&mut self, index: LogIndex, create: &CreateSession) {
        let session = ModelSession {
            subject: create.subject,
            sid: create.sid,
            expires_at: self.clock.saturating_add(create.lifetime),
            epoch: create.epoch,
            index,
            body: create.body.clone(),
        };
        self.sessions.insert(create.key, session);
        self.attempts.insert(create.attempt, self.clock.saturating_add(ATTEMPT_WINDOW));
        for replaced in create.replaces.iter().filter(|key| **key != create.key) {
            self.follow_revoke(index, &Revoke::Session(*replaced));
        }
    }

    fn follow_revoke(&mut self, at: LogIndex, revoke: &Revoke) {
        let due = self.clock.saturating_add(RETRY_WINDOW);
        let hit = self.sessions.iter().filter(|(key, session)| is_hit(revoke, key, session, at));
        let mut ended: Vec<_> = hit.map(|(key, _)| *key).collect();
        if let Revoke::Session(key) = revoke {
            ended.push(*key);
        }
        for key in ended {
            // Whether a dead session was still there to be buried is the state's affair.
            let lived = self.sessions.remove(&key).is_some_and(|session| self.lives(&session));
            if lived || matches!(revoke, Revoke::Session(_)) {
                self.tombstones.insert(key, due);
            } else {
                self.tombstones.entry(key).or_insert(Timestamp::ZERO);
            }
        }
    }
}

fn is_hit(revoke: &Revoke, key: &SessionKey, session: &ModelSession, at: LogIndex) -> bool {
    match revoke {
        Revoke::Session(wanted) => wanted == key,
        Revoke::Subject(subject) => session.subject == *subject && session.index < at,
        Revoke::Sid(sid) => session.sid == Some(*sid),
    }
}

/// A person's sessions whose rows stand, in the order of their making.
fn standing(rows: &BTreeMap<Vec<u8>, Vec<u8>>, subject: SubjectKey) -> Vec<SessionKey> {
    let mut sessions: Vec<(LogIndex, SessionKey)> = Vec::new();
    for (key, value) in rows {
        if let Some(Key::Index(session)) = Key::decode(key) {
            let row = IndexRow::from_bytes(value).expect("a row");
            sessions.extend((row.subject == subject).then_some((row.created_index, session)));
        }
    }
    sessions.sort_unstable();
    sessions.into_iter().map(|(_, session)| session).collect()
}

/// The sessions that a reader would let live, with their bodies.
fn live_rows(rows: &BTreeMap<Vec<u8>, Vec<u8>>) -> BTreeMap<SessionKey, Vec<u8>> {
    let now = clock(rows);
    let epoch = founded(rows).map(|founded| founded.epoch);
    let (from, to) = RowKind::Index.range();
    let mut live = BTreeMap::new();
    for (key, value) in StateView::range(rows, &from, &to, usize::MAX) {
        let (Some(Key::Index(session)), Ok(row)) = (Key::decode(&key), IndexRow::from_bytes(&value)) else {
            panic!("not an index row: {key:?}");
        };
        let mark = rows.get(&not_before_key(&row.subject));
        let mark = mark.map(|bytes| NotBeforeRow::from_bytes(bytes).expect("a row").index);
        if row.lives(now) && Some(row.epoch) == epoch && mark.is_none_or(|mark| row.created_index >= mark) {
            let body = BodyRow::from_bytes(&rows[&Key::Body(session).encode()]).expect("a row");
            live.insert(session, body.body);
        }
    }
    live
}

/// I2: every row is one that another row calls for, or one that stands by itself.
fn assert_consistent(rows: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let index_row = |key: &SessionKey| {
        let bytes = rows.get(&Key::Index(*key).encode()).expect("I2: a session's row without its index row");
        IndexRow::from_bytes(bytes).expect("a row")
    };
    let stands = |key: Key| assert!(rows.contains_key(&key.encode()), "I2: {key:?} is missing");
    let mut dues = 0_usize;
    let mut remembered = 0_usize;
    for (key, value) in rows {
        match Key::decode(key).expect("a key") {
            Key::Index(key) => {
                let row = IndexRow::from_bytes(value).expect("a row");
                stands(Key::Body(key));
                stands(Key::ByExpiry(row.expires_at, key));
                stands(Key::BySubject(row.subject, row.created_index, key));
                stands(Key::SessionCount(row.subject));
                if let Some(sid) = row.sid {
                    stands(Key::BySid(sid, key));
                }
            }
            Key::Body(key) => drop(index_row(&key)),
            Key::ByExpiry(at, key) => assert_eq!(index_row(&key).expires_at, at, "I2"),
            Key::BySubject(subject, index, key) => {
                let row = index_row(&key);
                assert_eq!((row.subject, row.created_index), (subject, index), "I2");
            }
            Key::BySid(sid, key) => assert_eq!(index_row(&key).sid, Some(sid), "I2"),
            Key::SessionCount(subject) => {
                let counted = usize::try_from(SessionCountRow::from_bytes(value).expect("a row").0).expect("few");
                assert_eq!(counted, standing(rows, subject).len(), "I2: the count of {subject:?}");
                assert!(counted > 0, "I2: no row stands for none");
            }
            Key::Tombstone(key) => stands(Key::TombstoneDue(TombstoneRow::from_bytes(value).expect("a row").due, key)),
            Key::NotBefore(subject) => {
                stands(Key::NotBeforeDue(NotBeforeRow::from_bytes(value).expect("a row").due, subject));
            }
            Key::Attempt(_) | Key::Result(..) => remembered += 1,
            Key::AttemptDue(_, attempt) => {
                stands(Key::Attempt(attempt));
                dues += 1;
            }
            Key::ResultDue(_, process, sequence) => {
                stands(Key::Result(process, sequence));
                dues += 1;
            }
            Key::TombstoneDue(_, key) => stands(Key::Tombstone(key)),
            Key::NotBeforeDue(_, subject) => stands(Key::NotBefore(subject)),
            Key::Meta(MetaKey::Sweep) => drop(SweepRow::from_bytes(value).expect("a row")),
            Key::Meta(_) => {}
        }
    }
    assert_eq!(dues, remembered, "I2: one end for each thing remembered");
    let count = |kind: RowKind| StateView::range(rows, &kind.range().0, &kind.range().1, usize::MAX).len();
    assert_eq!(count(RowKind::Tombstone), count(RowKind::TombstoneDue), "I2");
    assert_eq!(count(RowKind::NotBefore), count(RowKind::NotBeforeDue), "I2");
}

fn envelope(id: u8) -> KeyEnvelope {
    KeyEnvelope { key_id: KeyId::from_bytes([id; 4]), sealed: vec![id] }
}

/// Few of everything, so that commands meet.
fn command() -> impl Strategy<Value = Command> {
    let create = (0..5_u8, 0..6_u8, 1..3_u32, 1..400_u64, 0..2_u8, prop::option::of(0..2_u8), any::<u8>(), 0..4_u32);
    let replaced = prop::collection::vec(0..5_u8, 0..3);
    let create = (create, replaced).prop_map(|((key, attempt, epoch, secs, subject, sid, body, limit), replaced)| {
        Command::CreateSession(CreateSession {
            key: SessionKey::from_bytes([key; 32]),
            attempt: AttemptId::from_bytes([attempt; 16]),
            epoch: Epoch::new(epoch),
            provider: Default::default(),
            site: Default::default(),
            lifetime: Ttl::from_secs(secs),
            subject: SubjectKey::from_bytes([subject; 32]),
            sid: sid.map(|sid| SidKey::from_bytes([sid; 32])),
            label: Vec::new(),
            body: vec![body],
            replaces: replaced.into_iter().map(|key| SessionKey::from_bytes([key; 32])).collect(),
            sessions_per_person: limit,
        })
    });
    let revoke = prop_oneof![
        (0..5_u8).prop_map(|key| Revoke::Session(SessionKey::from_bytes([key; 32]))),
        (0..2_u8).prop_map(|subject| Revoke::Subject(SubjectKey::from_bytes([subject; 32]))),
        (0..2_u8).prop_map(|sid| Revoke::Sid(SidKey::from_bytes([sid; 32]))),
    ];
    prop_oneof![
        1 => Just(Command::Found(Found {
            cluster: ClusterId::from_bytes([1; 16]),
            envelopes: vec![envelope(1)],
            feature_level: FeatureLevel::new(1),
        })),
        10 => create,
        4 => revoke.prop_map(Command::Revoke),
        3 => (0..6_u32).prop_map(|limit| Command::ExpireUpTo { limit }),
        1 => (1..3_u32).prop_map(|from| Command::Rekey { from: Epoch::new(from), envelopes: vec![envelope(2)] }),
    ]
}

/// One command of an entry.
#[derive(Clone, Debug)]
enum RawWrite {
    /// A new one, whose sender's knowledge of the time lags or leads by so many seconds.
    Fresh(i64, Box<Command>),
    /// An earlier one again, counted back from the last.
    Retry(usize),
}

/// Seconds since the last entry, and commands.
type RawEntry = (u64, Vec<RawWrite>);

fn log() -> impl Strategy<Value = Vec<RawEntry>> {
    let lag = prop_oneof![8 => Just(0_i64), 2 => -150..60_i64];
    let fresh = (lag, command()).prop_map(|(lag, command)| RawWrite::Fresh(lag, Box::new(command)));
    let write = prop_oneof![4 => fresh, 1 => (0..12_usize).prop_map(RawWrite::Retry)];
    let pause = prop_oneof![6 => 0..3_u64, 2 => 0..150_u64, 1 => 0..1500_u64];
    prop::collection::vec((pause, prop::collection::vec(write, 0..5)), 1..50)
}

/// Gives every new command a tag of its own, and every retry that of its first.
#[derive(Default)]
struct Sender(Vec<Tagged>);

impl Sender {
    fn batch(&mut self, now: u64, writes: &[RawWrite]) -> Batch {
        let tagged = writes.iter().filter_map(|write| self.tagged(now, write)).collect();
        Batch::new(Timestamp::from_secs(now), tagged)
    }

    fn tagged(&mut self, now: u64, write: &RawWrite) -> Option<Tagged> {
        let (lag, command) = match write {
            RawWrite::Fresh(lag, command) => (lag, command),
            RawWrite::Retry(back) => return self.0.iter().rev().nth(*back).cloned(),
        };
        let sequence = u64::try_from(self.0.len()).expect("few");
        let known_time = Timestamp::from_secs(now.saturating_add_signed(*lag));
        let process = ProcessId::from_bytes([u8::try_from(sequence % 2).expect("small"); 16]);
        let tagged = Tagged { tag: Tag { process, sequence, known_time }, command: command.as_ref().clone() };
        self.0.push(tagged.clone());
        Some(tagged)
    }
}

/// The state that the command after the first `count` of an entry meets.
fn after_first(
    rows: &BTreeMap<Vec<u8>, Vec<u8>>,
    at: LogIndex,
    batch: &Batch,
    count: usize,
) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut after = rows.clone();
    let first = Batch::new(batch.stamped_at, batch.commands[..count].to_vec());
    apply(rows, at, &first).1.write_to(&mut after);
    after
}

fn run(entries: &[RawEntry]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    let mut other = SortedRows::default();
    let mut model = Model::default();
    let mut sender = Sender::default();
    let mut now = 1_000_000;
    for (at, (pause, writes)) in (1..).map(LogIndex::new).zip(entries) {
        now += pause;
        let batch = sender.batch(now, writes);
        let (outcomes, changes) = apply(&rows, at, &batch);
        let (other_outcomes, other_changes) = apply(&other, at, &batch);
        assert_eq!((&outcomes, &changes), (&other_outcomes, &other_changes), "I1: equal logs, equal changes");
        let before: Vec<_> = (0..batch.commands.len()).map(|count| after_first(&rows, at, &batch, count)).collect();
        changes.write_to(&mut rows);
        other.write(other_changes);
        assert_eq!(hash(rows.iter()), hash(other.0.iter().map(|(k, v)| (k, v))), "I1: equal logs, equal states");

        model.clock = model.clock.max(batch.stamped_at);
        for ((tagged, outcome), before) in batch.commands.iter().zip(&outcomes).zip(&before) {
            let allowed = model.allowed(at, tagged);
            let fine = tagged.command.repeats_safely() || allowed.contains(outcome);
            assert!(fine, "entry {at}: {tagged:?} gave {outcome:?}, allowed are {allowed:?}");
            model.follow(at, tagged, outcome, before);
        }
        assert_eq!(live_rows(&rows), model.live(), "after entry {at}");
        assert_consistent(&rows);
    }
    rows
}

/// Expires everything there is, a day later than the last window.
fn expire_all(mut rows: BTreeMap<Vec<u8>, Vec<u8>>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let now = clock(&rows).saturating_add(Ttl::from_secs(24 * 3600)).as_secs();
    for at in 1_000.. {
        let expire = RawWrite::Fresh(0, Box::new(Command::ExpireUpTo { limit: 5 }));
        let (outcomes, changes) = apply(&rows, LogIndex::new(at), &Sender::default().batch(now, &[expire]));
        changes.write_to(&mut rows);
        assert_consistent(&rows);
        match outcomes[..] {
            [Outcome::Expired(n)] if n > 0 => assert!(n <= 5, "bounded"),
            [_] => return rows,
            _ => panic!("one command, one outcome"),
        }
    }
    rows
}

proptest! {
    #[test]
    fn random_logs_do_what_the_model_allows_and_leave_nothing_behind(entries in log()) {
        let rows = expire_all(run(&entries));
        let left: Vec<_> = rows.keys().filter_map(|key| Key::decode(key)).collect();
        prop_assert!(left.iter().all(|key| key.kind() == RowKind::Meta), "left over: {:?}", left);
        prop_assert!(!left.contains(&Key::Meta(MetaKey::Sweep)));
    }

    #[test]
    fn an_overlay_reads_like_the_state_it_will_become(
        below in prop::collection::btree_map(prop::collection::vec(5..9_u8, 1..3), Just(vec![0]), 0..12),
        changes in prop::collection::vec((prop::collection::vec(5..9_u8, 1..3), any::<bool>()), 0..8),
        from in prop::collection::vec(5..9_u8, 0..3),
        to in prop::collection::vec(5..10_u8, 0..3),
        limit in 0..6_usize,
    ) {
        let mut overlay = Overlay::new(&below);
        let mut plain = below.clone();
        for (key, put) in changes {
            overlay.set_for_test(key.clone(), put.then(|| vec![1]));
            match put {
                true => plain.insert(key, vec![1]),
                false => plain.remove(&key),
            };
        }
        prop_assert_eq!(overlay.range(&from, &to, limit), StateView::range(&plain, &from, &to, limit));
        let mut after = below.clone();
        overlay.into_changes().write_to(&mut after);
        prop_assert_eq!(after, plain);
    }
}
