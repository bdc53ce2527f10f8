//! The marker: a small synced file beside sled that says "this disk was in use", with the last
//! durable log entry and vote. An emptied or shortened store cannot pass for a new one.

use std::path::{Path, PathBuf};
use std::{fs, io};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::disk::replace_file;
use crate::fatal::OrEnd;
use crate::flusher::Position;
use crate::types::{RaftLogId, RaftVote};

const MARKER_FORMAT: u32 = 1;

/// What the marker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    format: u32,
    /// Whose disk this is.
    pub node_id: u64,
    /// The last log entry that was durable when the marker was written.
    pub last_log: Option<RaftLogId>,
    /// The vote that was durable then.
    pub vote: Option<RaftVote>,
}

/// Why a marker could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadMarker {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("has a wrong checksum or an unknown format")]
    Damaged,
}

impl Marker {
    pub(crate) fn new(node_id: u64) -> Self {
        Self { format: MARKER_FORMAT, node_id, last_log: None, vote: None }
    }

    /// A line of JSON and a line with its checksum: an operator can read it.
    fn to_text(&self) -> String {
        let json = serde_json::to_string(self).expect("plain fields always become JSON");
        format!("{json}\n{:08x}\n", crc32fast::hash(json.as_bytes()))
    }

    fn parse(text: &str) -> Result<Self, BadMarker> {
        let mut lines = text.lines();
        let (Some(json), Some(crc)) = (lines.next(), lines.next()) else { return Err(BadMarker::Damaged) };
        if u32::from_str_radix(crc, 16).ok() != Some(crc32fast::hash(json.as_bytes())) {
            return Err(BadMarker::Damaged);
        }
        let marker: Self = serde_json::from_str(json).map_err(|_| BadMarker::Damaged)?;
        if marker.format != MARKER_FORMAT {
            return Err(BadMarker::Damaged);
        }
        Ok(marker)
    }

    /// Reads the marker; none if the disk has none.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, BadMarker> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(BadMarker::Damaged),
            Err(error) => Err(error.into()),
        }
    }
}

/// Keeps the file of an open store.
pub(crate) struct MarkerFile {
    path: PathBuf,
    kept: Mutex<Kept>,
}

struct Kept {
    marker: Marker,
    truncations: u64,
}

impl MarkerFile {
    /// Writes `marker` and keeps it from here on.
    pub(crate) fn create(path: PathBuf, marker: Marker) -> io::Result<Self> {
        replace_file(&path, marker.to_text().as_bytes())?;
        Ok(Self { path, kept: Mutex::new(Kept { marker, truncations: 0 }) })
    }

    /// Follows what became durable. A failure only leaves the marker less sharp.
    pub(crate) fn renew(&self, durable: &Position) -> io::Result<()> {
        let mut kept = self.kept.lock();
        if durable.truncations < kept.truncations {
            return Ok(());
        }
        self.write(&mut kept, durable.last_log, durable.vote)
    }

    /// Must be durable before the log becomes shorter, or the log would look damaged afterwards.
    pub(crate) fn lower(&self, last_log: Option<RaftLogId>, truncations: u64) {
        let mut kept = self.kept.lock();
        kept.truncations = truncations;
        let lower = last_log.min(kept.marker.last_log);
        let vote = kept.marker.vote;
        self.write(&mut kept, lower, vote).or_end("lowering the marker");
    }

    fn write(&self, kept: &mut Kept, last_log: Option<RaftLogId>, vote: Option<RaftVote>) -> io::Result<()> {
        let marker = Marker { last_log, vote, ..kept.marker.clone() };
        if marker == kept.marker {
            return Ok(());
        }
        replace_file(&self.path, marker.to_text().as_bytes())?;
        kept.marker = marker;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use openraft::{CommittedLeaderId, LogId};

    use super::*;

    fn log_id(index: u64) -> Option<RaftLogId> {
        Some(LogId::new(CommittedLeaderId::new(1, 1), index))
    }

    fn position(index: u64, truncations: u64) -> Position {
        Position { last_log: log_id(index), truncations, ..Position::default() }
    }

    #[test]
    fn it_follows_the_log_both_ways() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("marker");
        let file = MarkerFile::create(path.clone(), Marker::new(5)).expect("create");
        let last = || Marker::load(&path).expect("load").expect("there").last_log;
        assert_eq!(last(), None);
        file.renew(&position(10, 0)).expect("renew");
        assert_eq!(last(), log_id(10));
        file.lower(log_id(4), 1);
        assert_eq!(last(), log_id(4));
        file.renew(&position(10, 0)).expect("a position from before the truncation is ignored");
        assert_eq!(last(), log_id(4));
        file.renew(&position(6, 1)).expect("renew");
        assert_eq!(last(), log_id(6));
    }

    #[test]
    fn a_damaged_marker_is_noticed() {
        let text = Marker::new(5).to_text();
        assert_eq!(Marker::parse(&text).expect("whole"), Marker::new(5));
        assert!(Marker::parse(&text.replace(":5,", ":6,")).is_err());
        assert!(Marker::parse("").is_err());
    }
}
