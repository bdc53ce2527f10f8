//! The values of the small rows; those of sessions are in [`crate::session`].

use serde::{Deserialize, Serialize};

use crate::command::{KeyEnvelope, MAX_ENVELOPES, MAX_SEALED_KEY, Outcome};
use crate::id::{ClusterId, Epoch, FeatureLevel, KeyId, LogIndex, SessionKey};
use crate::time::Timestamp;
use crate::wire::Versioned;

/// Enough for every row of fixed fields.
const SMALL: usize = 128;

/// What a cluster knows of itself since it was founded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundedState {
    /// Its identity.
    pub cluster: ClusterId,
    /// Which epoch is current.
    pub epoch: Epoch,
    /// The cluster key under each configured secret, sorted by key id.
    pub envelopes: Vec<KeyEnvelope>,
    /// The level that every member has reported.
    pub feature_level: FeatureLevel,
}

/// The latest stamp: the state's own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockRow(pub Timestamp);

/// The session from which the sweep of older epochs goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepRow(pub SessionKey);

/// How many sessions a person has whose rows stand, dead ones that were not removed yet included.
/// Without one there is no such row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCountRow(pub u32);

/// A login attempt that made a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRow {
    /// The session it made, which may have ended since.
    pub session: SessionKey,
}

/// What a write did, for its retries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultRow {
    /// The first outcome.
    pub outcome: Outcome,
}

/// A session that was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TombstoneRow {
    /// When it may be forgotten: names its row in the time index.
    pub due: Timestamp,
}

/// All sessions of a person that entries before this one made are dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotBeforeRow {
    /// The entry that revoked them.
    pub index: LogIndex,
    /// When it may be forgotten, if no such session stands any more: names its row in the time index.
    pub due: Timestamp,
}

macro_rules! versioned {
    ($($name:ident: $version:literal, $limit:expr;)*) => {
        $(impl Versioned for $name {
            const VERSION: u8 = $version;
            const LIMIT: usize = $limit;
        })*
    };
}

versioned! {
    FoundedState: 1, SMALL + MAX_ENVELOPES * (KeyId::LEN + 8 + MAX_SEALED_KEY);
    ClockRow: 1, SMALL;
    SweepRow: 1, SMALL;
    SessionCountRow: 1, SMALL;
    AttemptRow: 1, SMALL;
    ResultRow: 1, SMALL;
    TombstoneRow: 1, SMALL;
    NotBeforeRow: 1, SMALL;
}
