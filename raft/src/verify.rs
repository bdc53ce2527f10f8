//! Proves a store whole, or says why not. Runs in a process of its own: sled may panic on a
//! damaged store, on its own threads too.

use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use conclave_proto::keyspace::{Key, NotBeforeRow};
use conclave_proto::session::IndexRow;
use conclave_proto::wire::Versioned;
use serde::{Deserialize, Serialize};

use crate::layout::{Layout, open_sled};
use crate::log_store::log_row_bytes;
use crate::marker::Marker;
use crate::point_in_time::all_rows;
use crate::rows::{
    APPLIED_KEY, Applied, BadRow, LOG_TREE, META_TREE, MetaError, MetaValues, StateChecksum, decode_entry,
    generation_of_tree, log_index, state_tree_name,
};
use crate::types::{RaftLogId, RaftVote};

/// Page cache of a verification: it reads everything once.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// What a whole store holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Minted with the disk.
    pub node_id: u64,
    /// The vote, if this replica ever took part.
    pub vote: Option<RaftVote>,
    /// The last entry of the log, purged ones included.
    pub last_log: Option<RaftLogId>,
    /// The last entry that was purged.
    pub purged: Option<RaftLogId>,
    /// The last entry applied.
    pub applied: Option<RaftLogId>,
    /// Rows of the log.
    pub log_rows: u64,
    /// Bytes of its rows, those that were purged but not yet removed included.
    pub log_bytes: u64,
    /// Rows of the state.
    pub state_rows: u64,
    /// Which tree holds the state.
    pub generation: u64,
}

/// Why a store is not proven whole.
#[derive(Debug, thiserror::Error)]
pub enum NotWhole {
    /// sled cannot open or read it.
    #[error("sled: {0}")]
    Sled(#[source] sled::Error),
    /// sled has written blob files, which it never syncs.
    #[error("sled wrote blob files")]
    Blobs,
    /// A single value is missing or malformed.
    #[error("the value {0} is missing or malformed")]
    Meta(&'static str),
    /// A log row is not what was written.
    #[error("log entry {index} {why}")]
    LogRow {
        /// Its index.
        index: u64,
        /// What is wrong.
        why: BadRow,
    },
    /// The log lacks an entry.
    #[error("the log has no entry {0}")]
    LogHole(u64),
    /// Terms that fall within the log, or a vote older than the log's last entry.
    #[error("the terms of log and vote contradict each other at entry {0}")]
    Terms(u64),
    /// Entries that only a voter can have, but no vote.
    #[error("there is a log but no vote")]
    NoVote,
    /// The rows of the state are not those that were written together with its last entry.
    #[error("the rows of the state are not those of its last entry")]
    StateChecksum,
    /// A row of the state that cannot be read.
    #[error("a row of the state cannot be read")]
    StateRow,
    /// The state ends before the log begins.
    #[error("the log was purged further than the state was applied")]
    PurgedBeyondState,
    /// The marker beside the store cannot be read.
    #[error("its marker {0}")]
    Marker(String),
    /// There is data but no marker.
    #[error("its marker is missing")]
    NoMarker,
    /// The marker belongs to another store.
    #[error("its marker names another node id")]
    OtherNode,
    /// The log is shorter than it was.
    #[error("its log is shorter than its marker remembers")]
    ShorterLog,
    /// The vote is older than it was.
    #[error("its vote is older than its marker remembers")]
    OlderVote,
    /// As the verifying process put it.
    #[error("{0}")]
    Reported(String),
    /// The verifying process broke down over it.
    #[error("the verification broke down: {0}")]
    BrokeDown(String),
}

impl From<sled::Error> for NotWhole {
    fn from(error: sled::Error) -> Self {
        Self::Sled(error)
    }
}

impl NotWhole {
    /// Whether it tells about the machine rather than about the store: another attempt may do.
    pub(crate) fn is_passing(&self) -> bool {
        let Self::Sled(sled::Error::Io(error)) = self else { return false };
        let of_machine = matches!(
            error.kind(),
            io::ErrorKind::StorageFull
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::OutOfMemory
                | io::ErrorKind::QuotaExceeded
        );
        of_machine || self.is_lock() || error.raw_os_error().is_some_and(|code| code == EMFILE || code == ENFILE)
    }

    /// Whether another process has the store open; sled has only words for it.
    pub(crate) fn is_lock(&self) -> bool {
        matches!(self, Self::Sled(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock"))
    }
}

const EMFILE: i32 = rustix::io::Errno::MFILE.raw_os_error();
const ENFILE: i32 = rustix::io::Errno::NFILE.raw_os_error();

/// Opens the store of the data directory `dir` and proves it whole.
pub fn verify_store(dir: &Path) -> Result<VerifyReport, NotWhole> {
    let layout = Layout::new(dir);
    let db = open_sled(&layout.store(), CACHE_BYTES)?;
    verify_open(&db, &layout)
}

/// [`verify_store`] on a store that is open already.
pub(crate) fn verify_open(db: &sled::Db, layout: &Layout) -> Result<VerifyReport, NotWhole> {
    if fs::read_dir(layout.blobs()).is_ok_and(|mut blobs| blobs.next().is_some()) {
        return Err(NotWhole::Blobs);
    }
    let meta = MetaValues::read(&db.open_tree(META_TREE)?).map_err(|error| match error {
        MetaError::Store(error) => NotWhole::Sled(error),
        MetaError::Bad(_) => NotWhole::Meta("of the store"),
    })?;
    let node_id = meta.node.ok_or(NotWhole::Meta("node id"))?;
    let generation = meta.state.ok_or(NotWhole::Meta("state generation"))?;
    let known = |name: &[u8]| generation_of_tree(name) == Some(generation);
    if !db.tree_names().iter().any(|name| known(name)) {
        return Err(NotWhole::Meta("state tree"));
    }
    let state = db.open_tree(state_tree_name(generation))?;
    let applied = verify_state(&state)?;
    let log = verify_log(&db.open_tree(LOG_TREE)?, meta.purged)?;
    let report = VerifyReport {
        node_id,
        vote: meta.vote,
        last_log: log.last.max(meta.purged),
        purged: meta.purged,
        applied: applied.last,
        log_rows: log.rows,
        log_bytes: log.bytes,
        state_rows: applied.checksum.rows,
        generation,
    };
    verify_together(&report)?;
    Ok(report)
}

struct LogFindings {
    last: Option<RaftLogId>,
    rows: u64,
    bytes: u64,
}

/// Every entry after `purged` is there, decodes, and terms never fall.
fn verify_log(log: &sled::Tree, purged: Option<RaftLogId>) -> Result<LogFindings, NotWhole> {
    let first = purged.map_or(0, |purged| purged.index + 1);
    let mut found = LogFindings { last: None, rows: 0, bytes: 0 };
    for row in log.range(..crate::rows::log_key(first)) {
        let (key, row) = row?;
        found.bytes += log_row_bytes(&key, &row);
    }
    for row in log.range(crate::rows::log_key(first)..) {
        let (key, row) = row?;
        let expected = first + found.rows;
        let index = log_index(&key).map_err(|why| NotWhole::LogRow { index: expected, why })?;
        if index != expected {
            return Err(NotWhole::LogHole(expected));
        }
        let log_id = decode_entry(&key, &row).map_err(|why| NotWhole::LogRow { index, why })?.log_id;
        if found.last.max(purged) >= Some(log_id) {
            return Err(NotWhole::Terms(index));
        }
        found.last = Some(log_id);
        found.rows += 1;
        found.bytes += log_row_bytes(&key, &row);
    }
    Ok(found)
}

/// Every row is one that was written together with the applied record, and no other.
fn verify_state(state: &sled::Tree) -> Result<Applied, NotWhole> {
    let applied = match state.get(APPLIED_KEY)? {
        Some(record) => Applied::from_bytes(&record).map_err(|_| NotWhole::Meta("applied"))?,
        None => return Err(NotWhole::Meta("applied")),
    };
    let mut seen = StateChecksum::default();
    for row in state.range::<&[u8], _>(all_rows()) {
        let (key, value) = row?;
        seen.add(&key, &value);
        let readable = match Key::decode(&key) {
            Some(Key::Index(_)) => IndexRow::from_bytes(&value).is_ok(),
            Some(Key::NotBefore(_)) => NotBeforeRow::from_bytes(&value).is_ok(),
            // Rows of a newer program stay; their entries stop apply where they matter.
            Some(_) | None => true,
        };
        if !readable {
            return Err(NotWhole::StateRow);
        }
    }
    if seen != applied.checksum {
        return Err(NotWhole::StateChecksum);
    }
    Ok(applied)
}

fn verify_together(report: &VerifyReport) -> Result<(), NotWhole> {
    if report.purged > report.applied {
        return Err(NotWhole::PurgedBeyondState);
    }
    let last = report.last_log.max(report.applied);
    match (last, report.vote) {
        (Some(_), None) => Err(NotWhole::NoVote),
        (Some(last), Some(vote)) if vote.leader_id.term < last.leader_id.term => Err(NotWhole::Terms(last.index)),
        (Some(_) | None, _) => Ok(()),
    }
}

/// Holds a whole store against the marker beside it: it may be whole and yet not be all there was.
pub(crate) fn hold_against_marker(report: &VerifyReport, marker: Option<&Marker>) -> Result<(), NotWhole> {
    let last = report.last_log.max(report.applied);
    let Some(marker) = marker else {
        // A store that was just made gets its marker next.
        return if last.is_none() && report.vote.is_none() { Ok(()) } else { Err(NotWhole::NoMarker) };
    };
    if marker.node_id != report.node_id {
        return Err(NotWhole::OtherNode);
    }
    if last < marker.last_log {
        return Err(NotWhole::ShorterLog);
    }
    let vote_stands = marker.vote.is_none() || report.vote >= marker.vote;
    if vote_stands { Ok(()) } else { Err(NotWhole::OlderVote) }
}

/// Exit status of a verification that found the store not whole (EX_DATAERR).
pub(crate) const EXIT_NOT_WHOLE: u8 = 65;

/// Exit status of a verification that could not look (EX_TEMPFAIL).
pub(crate) const EXIT_CANNOT_LOOK: u8 = 75;

/// What the verifying process prints for the one that started it.
#[derive(Serialize, Deserialize)]
pub(crate) enum Verdict {
    Whole(VerifyReport),
    NotWhole(String),
    CannotLook(String),
}

impl Verdict {
    fn of(result: Result<VerifyReport, NotWhole>) -> Self {
        match result {
            Ok(report) => Self::Whole(report),
            Err(error) if error.is_passing() => Self::CannotLook(error.to_string()),
            Err(error) => Self::NotWhole(error.to_string()),
        }
    }
}

/// The whole of the hidden command `verify-store DIR`: prints one line of JSON for the process
/// that waits for it.
pub fn run_verify_store(dir: &Path) -> ExitCode {
    // A panic on a thread of sled's would leave the others waiting for ever.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        std::process::abort();
    }));
    let verdict = Verdict::of(verify_store(dir));
    println!("{}", serde_json::to_string(&verdict).expect("plain fields always become JSON"));
    match verdict {
        Verdict::Whole(_) => ExitCode::SUCCESS,
        Verdict::NotWhole(_) => ExitCode::from(EXIT_NOT_WHOLE),
        Verdict::CannotLook(_) => ExitCode::from(EXIT_CANNOT_LOOK),
    }
}
