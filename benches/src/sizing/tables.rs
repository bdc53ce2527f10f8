//! What was found of each number of sessions, as tables.

use std::time::Duration;

use crate::measure::{millis, number};
use crate::report::Table;
use crate::usage::Memory;

/// What was found of one number of sessions.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// How many.
    pub sessions: usize,
    /// Memory right after the last login.
    pub filled: Memory,
    /// Memory after a start on that volume.
    pub restarted: Memory,
    /// Memory once every session was checked since.
    pub checked: Memory,
    /// Memory of the process that proves the store whole.
    pub proof: Memory,
    /// From a start until it is ready.
    pub ready: Duration,
    /// The same where it has missed logins.
    pub caught_up: Duration,
    /// A session's first check since the start.
    pub first: Duration,
    /// Its next.
    pub again: Duration,
    /// Disk right after the last login.
    pub disk_filled: u64,
    /// Disk after a snapshot of all sessions.
    pub disk_cut: u64,
    /// That snapshot.
    pub snapshot: u64,
    /// Bytes sent to the disk for each login.
    pub written: u64,
}

const MEMORY_NOTE: &str = "Resident bytes of one of three replicas, all on this machine (VmRSS, and VmHWM as the \
    peak). \"Filled\" is right after the last login, with the snapshots that were built meanwhile; \"restarted\" after \
    a kill and a start on the same volume with a short log, and 1,500 sessions more; \"checked\" after each session \
    was checked twice since. \"Proof\" is the peak of the child process that proves the store whole at each start, \
    while the replica waits for it. Figures per session are the difference to the row above.";

const DISK_NOTE: &str = "`du` of one replica's `data_dir`, which never shrinks: room that is free again is used again. \
    \"Filled\" is right after the last login, \"cut\" after a snapshot of all sessions and 500 more was built and the \
    log cut. \"Written\" is what each login made the replica send to its disk (write_bytes), snapshots included.";

const TIMES_NOTE: &str = "\"Ready\" is the time from the start of a killed replica, the proof of its store included, \
    until `/ready` answers 200; \"caught up\" the same where it has missed 1,000 logins. A check is the median round \
    trip on one connection: a session's first since the start, when its row is read and opened, and the next, after \
    all others, which the cache of opened sessions answers as far as it holds them.";

/// The tables, row by row.
pub struct Tables {
    memory: Table,
    disk: Table,
    times: Table,
}

impl Tables {
    /// Without rows.
    pub fn new() -> Self {
        let memory = ["tokens", "sessions", "filled", "peak", "per session", "restarted", "per session", "checked"];
        let memory: Vec<_> = memory.into_iter().chain(["peak", "proof"]).collect();
        let disk = ["tokens", "sessions", "filled", "cut", "per session", "snapshot", "per session", "written"];
        let times = ["tokens", "sessions", "ready", "caught up", "first check", "next check"];
        Self {
            memory: Table::new("memory", MEMORY_NOTE, &memory),
            disk: Table::new("disk", DISK_NOTE, &disk),
            times: Table::new("times", TIMES_NOTE, &times),
        }
    }

    /// Adds what was found; `before` is the row above of the same kind.
    pub fn add(&mut self, tokens: &str, found: &Found, before: Option<&Found>) {
        let head = [tokens.to_owned(), count(found.sessions)];
        let each = |of: fn(&Found) -> u64| per_session(found, before, of);
        let memory = [
            mebibytes(found.filled.resident),
            mebibytes(found.filled.peak),
            each(|found| found.filled.resident),
            mebibytes(found.restarted.resident),
            each(|found| found.restarted.resident),
            mebibytes(found.checked.resident),
            mebibytes(found.checked.peak),
            mebibytes(found.proof.peak),
        ];
        let disk = [
            mebibytes(found.disk_filled),
            mebibytes(found.disk_cut),
            each(|found| found.disk_cut),
            mebibytes(found.snapshot),
            each(|found| found.snapshot),
            kibibytes(found.written as f64),
        ];
        let times = [seconds(found.ready), seconds(found.caught_up), millis(found.first), millis(found.again)];
        self.memory.row(&[&head[..], &memory].concat());
        self.disk.row(&[&head[..], &disk].concat());
        self.times.row(&[&head[..], &times].concat());
    }

    /// All of them.
    pub fn into_tables(self) -> Vec<Table> {
        vec![self.memory, self.disk, self.times]
    }
}

/// A number of things, which has no digits after a point.
fn count(things: usize) -> String {
    if things < 10 { things.to_string() } else { number(things as f64) }
}

fn per_session(found: &Found, before: Option<&Found>, of: fn(&Found) -> u64) -> String {
    let Some(before) = before else { return "-".to_owned() };
    let more = of(found) as f64 - of(before) as f64;
    kibibytes(more / (found.sessions - before.sessions) as f64)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

fn kibibytes(bytes: f64) -> String {
    format!("{:.1} KiB", bytes / 1024.0)
}

fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sessions: usize, snapshot: u64) -> Found {
        let (memory, span) = (Memory::default(), Duration::from_millis(1234));
        Found {
            sessions,
            filled: memory,
            restarted: memory,
            checked: memory,
            proof: memory,
            ready: span,
            caught_up: span,
            first: span,
            again: span,
            disk_filled: 0,
            disk_cut: 0,
            snapshot,
            written: 0,
        }
    }

    #[test]
    fn a_row_says_what_each_session_added_to_the_row_above() {
        let mut tables = Tables::new();
        let (few, many) = (found(1, 1024), found(1001, 1024 + 3 * 1024 * 1000));
        tables.add("none", &few, None);
        tables.add("none", &many, Some(&few));
        let tables = tables.into_tables();
        assert_eq!(tables[1].rows[0][1], "1");
        assert_eq!(tables[1].rows[0][5..7], ["0 MiB", "-"]);
        assert_eq!(tables[1].rows[1][5..7], ["3 MiB", "3.0 KiB"]);
        assert!(tables.iter().all(|table| table.rows.iter().all(|row| row.len() == table.columns.len())));
    }
}
