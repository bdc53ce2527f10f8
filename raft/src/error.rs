//! Why an operation of the store failed: one small enum per operation.

use conclave_proto::command::Refusal;
use thiserror::Error;

/// Why the store could not be opened at all.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The embedded store would not open.
    #[error(transparent)]
    Storage(#[from] crate::open::OpenError),
    /// No cookie secret was given.
    #[error("no cookie secret is configured")]
    NoSecret,
    /// The times contradict each other.
    #[error("the Raft times contradict each other: {0}")]
    Timeouts(#[from] openraft::ConfigError),
    /// The transport's certificates could not be minted.
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    /// The consensus core did not start.
    #[error("the consensus core did not start: {0}")]
    Core(String),
}

/// Why a write has no result. None of these says whether it took place, but for `Refused`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WriteError {
    /// The cluster has not been founded.
    #[error("the cluster is not founded yet")]
    NotFounded,
    /// The replica is stopping or its store has failed.
    #[error("this replica is stopping")]
    Stopping,
    /// Too much is queued already.
    #[error("too many writes are waiting")]
    Busy,
    /// No leader answered in time.
    #[error("no quorum answered within the deadline")]
    Deadline,
    /// The command is larger than one log entry may be.
    #[error("the command is too large for one log entry")]
    TooLarge,
    /// The state machine refused it.
    #[error("refused: {0:?}")]
    Refused(Refusal),
}

/// Why it could not be known whether a session lives: answers 503, never 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// No leader, or no quorum behind it, answered in time.
    #[error("no quorum answered within the deadline")]
    Unavailable,
    /// Too many such questions are under way.
    #[error("too many questions are waiting")]
    Busy,
    /// What this replica knows is older than `max_staleness`.
    #[error("this replica has not reached a leader for longer than max_staleness")]
    Stale,
}

/// Why the right to redeem a code could not be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ClaimError {
    /// Enough wait already: for this attempt, of this client, or of all.
    #[error("too many logins wait already")]
    Busy,
    /// No leader answered in time.
    #[error("no leader answered within the deadline")]
    Deadline,
    /// The replica is stopping.
    #[error("this replica is stopping")]
    Stopping,
}
