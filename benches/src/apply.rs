//! The cost of the state machine alone: entries applied to a state in memory, on one core.

use std::collections::BTreeMap;

use conclave_proto::command::{Batch, Command, Found, KeyEnvelope, MAX_EXPIRE, Outcome, Revoke, Tag, Tagged};
use conclave_proto::id::{ClusterId, FeatureLevel, KeyId, LogIndex, ProcessId, SessionKey};
use conclave_proto::time::{Timestamp, Ttl};
use conclave_proto::transition::apply;
use conclave_proto::wire::Versioned;

use crate::Failure;
use crate::fixture::{login, random};
use crate::measure::{number, rate};
use crate::report::Table;

const SESSIONS: usize = 50_000;
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

pub fn run() -> Result<Vec<Table>, Failure> {
    let (rows, keys) = state()?;
    let note = format!("One core, {SESSIONS} sessions in an ordered map. Reading and deciding, without the disk.");
    let mut table = Table::new("apply", &note, &["entry", "entries per second", "commands per second"]);
    let mut row = |name: &str, commands: usize, rate: f64| {
        table.row(&[name.to_owned(), number(rate), number(rate * commands as f64)]);
    };
    for (name, commands, body) in [("64 logins of 1 KiB", 64, 1024), ("16 logins of 6 KiB", 16, 6 * 1024)] {
        let batch = entry(NOW, (0..commands).map(|_| Command::CreateSession(login(body))).collect());
        let encoded = batch.to_bytes();
        row(name, commands, rate(|| apply(&rows, LogIndex::new(9), &batch).1.bytes()));
        row(&format!("{name}, decoding the entry"), commands, rate(|| Batch::from_bytes(&encoded).is_ok()));
    }
    let revokes = keys.iter().take(64).map(|key| Command::Revoke(Revoke::Session(*key))).collect();
    let batch = entry(NOW, revokes);
    row("64 sign-outs", 64, rate(|| apply(&rows, LogIndex::new(9), &batch).1.bytes()));
    let limit = u32::try_from(MAX_EXPIRE)?;
    let later = NOW.saturating_add(Ttl::from_secs(30 * 24 * 3600));
    let batch = entry(later, vec![Command::ExpireUpTo { limit }]);
    row(&format!("expiry of {MAX_EXPIRE}"), 1, rate(|| apply(&rows, LogIndex::new(9), &batch).1.bytes()));
    Ok(vec![table])
}

fn entry(now: Timestamp, commands: Vec<Command>) -> Batch {
    let tag = |sequence| Tag { process: ProcessId::from_bytes(random()), sequence, known_time: now };
    let tagged = (0..).zip(commands).map(|(sequence, command)| Tagged { tag: tag(sequence), command });
    Batch::new(now, tagged.collect())
}

/// A founded state with its sessions.
fn state() -> Result<(Rows, Vec<SessionKey>), Failure> {
    let found = Found {
        cluster: ClusterId::from_bytes(random()),
        envelopes: vec![KeyEnvelope { key_id: KeyId::from_bytes(random()), sealed: vec![0; 60] }],
        feature_level: FeatureLevel::new(1),
    };
    let mut rows = Rows::new();
    let mut keys = Vec::new();
    apply(&rows, LogIndex::new(1), &entry(NOW, vec![Command::Found(found)])).1.write_to(&mut rows);
    while keys.len() < SESSIONS {
        let logins: Vec<_> = (0..50).map(|_| login(64)).collect();
        keys.extend(logins.iter().map(|login| login.key));
        let batch = entry(NOW, logins.into_iter().map(Command::CreateSession).collect());
        let (outcomes, changes) = apply(&rows, LogIndex::new(2), &batch);
        if !outcomes.iter().all(|outcome| matches!(outcome, Outcome::Created { .. })) {
            return Err("a login was refused".into());
        }
        changes.write_to(&mut rows);
    }
    Ok((rows, keys))
}
