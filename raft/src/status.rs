//! What a replica says of itself: role, progress, readiness and the events worth a log line.

use conclave_proto::id::{ClusterId, LogIndex, NodeId, PeerName};
use conclave_proto::time::Ttl;
use conclave_proto::wire::DiskRoom;

/// What this replica is to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Not a voter, or not a member yet.
    Learner,
    /// Follows a leader or waits for one.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Proposes entries.
    Leader,
    /// Stopped.
    Stopped,
}

impl Role {
    /// One lower-case word, for metrics and pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Learner => "learner",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
            Self::Stopped => "stopped",
        }
    }
}

/// A snapshot of what one replica knows.
#[derive(Clone, Debug)]
pub struct Status {
    /// Minted with the disk.
    pub node_id: NodeId,
    /// The configured name.
    pub name: PeerName,
    /// The cluster, once founded.
    pub cluster: Option<ClusterId>,
    /// What it is.
    pub role: Role,
    /// Raft's term.
    pub term: u64,
    /// Who leads, as far as known.
    pub leader: Option<PeerName>,
    /// The last entry whose effect is in the state.
    pub applied: LogIndex,
    /// The last entry in the log.
    pub last_log: LogIndex,
    /// The last entry known to be committed; the read index of the last round.
    pub committed: LogIndex,
    /// The last entry that was purged from the log, for a snapshot holds it.
    pub purged: LogIndex,
    /// How old this replica's knowledge is; none if it never reached a leader since its start.
    pub fresh_age: Option<Ttl>,
    /// Whether it has once had everything that was acknowledged before its start.
    pub caught_up: bool,
    /// The members of the cluster; a leader knows their progress.
    pub members: Vec<MemberStatus>,
    /// Whether to send it requests.
    pub ready: Readiness,
    /// Snapshots of other replicas that were installed since the start.
    pub snapshots_installed: u64,
    /// Live sessions.
    pub sessions: usize,
    /// How far this replica's wall clock is from the members' median, in milliseconds.
    pub clock_deviation_ms: Option<i64>,
    /// What its disk has room for.
    pub disk_room: DiskRoom,
    /// Bytes free on its disk beyond the reserve.
    pub disk_free: u64,
}

/// One member as this replica sees it.
#[derive(Clone, Debug)]
pub struct MemberStatus {
    /// Its node id.
    pub id: NodeId,
    /// Its name.
    pub name: PeerName,
    /// How far its log matches; only a leader knows.
    pub matched: Option<LogIndex>,
    /// Entries it is behind; only a leader knows.
    pub lag: Option<u64>,
    /// Whether it answers; true for this replica itself.
    pub reachable: bool,
    /// Measured time of a question and its answer.
    pub round_trip: Option<Ttl>,
}

/// Whether a replica should get requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It should.
    Ready,
    /// It should not, for all these reasons.
    NotReady(Vec<NotReadyReason>),
}

impl Readiness {
    /// Whether there is no reason against it.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready)
    }
}

/// When a reason against sending requests to a replica counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Always: the replica could not answer anyway.
    CannotAnswer,
    /// While a peer could answer: the reason may hold for all replicas at once.
    WhileAPeerAnswers,
    /// While a peer that could answer has more room on its disk, for the same reason.
    WhileAPeerHasMoreRoom,
}

/// Why a replica is not ready; `Display` says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReadyReason {
    /// No cluster yet.
    #[error("the cluster is not founded yet: {0}")]
    NotFounded(String),
    /// An empty disk while others remember the cluster.
    #[error(
        "this replica's disk is empty but {peer} remembers cluster {cluster}: it founds no second one; restore its disk"
    )]
    OthersRemember {
        /// Who remembers.
        peer: PeerName,
        /// What it remembers.
        cluster: ClusterId,
    },
    /// Still fetching what was acknowledged before its start.
    #[error("catching up with the leader")]
    CatchingUp,
    /// Its knowledge is too old while another replica's is not.
    #[error("has not reached the leader for longer than max_staleness while other replicas have")]
    Stale,
    /// No configured secret opens the cluster's key.
    #[error(
        "no configured cookie_secret opens the cluster key: give the earlier secret as cookie_secret_previous, \
         or run `conclave cluster rekey --end-all-sessions`"
    )]
    NoSecretOpens,
    /// The disk is nearly full.
    #[error("free disk space is low while another replica has more: enlarge the volume")]
    LowDisk,
    /// The log holds something that this program does not know.
    #[error("the log holds an entry of a newer program: upgrade this replica")]
    UnknownEntry,
    /// Stopping.
    #[error("stopping")]
    Stopping,
}

impl NotReadyReason {
    /// When it counts.
    pub fn weight(&self) -> Weight {
        match self {
            Self::NotFounded(_)
            | Self::OthersRemember { .. }
            | Self::CatchingUp
            | Self::NoSecretOpens
            | Self::Stopping => Weight::CannotAnswer,
            Self::Stale | Self::UnknownEntry => Weight::WhileAPeerAnswers,
            Self::LowDisk => Weight::WhileAPeerHasMoreRoom,
        }
    }
}

/// Something worth a log line. Bounded: a slow reader misses the oldest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// The cluster exists from now on.
    Founded {
        /// Its id.
        cluster: ClusterId,
    },
    /// Another leader, or none.
    LeaderChanged {
        /// Its name; none while nobody leads.
        leader: Option<PeerName>,
        /// Raft's term.
        term: u64,
    },
    /// A peer stopped answering.
    PeerLost {
        /// Which.
        peer: PeerName,
    },
    /// A peer answers again.
    PeerBack {
        /// Which.
        peer: PeerName,
    },
    /// All sessions were ended by a new cluster key.
    Rekeyed,
}

/// What became of a planned hand-over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// This replica did not lead.
    NotLeading,
    /// There is nobody to lead instead.
    Alone,
    /// That one leads now.
    To(PeerName),
    /// Nobody took over in time; the rest of the cluster elects after its timeouts.
    NobodyLed,
}
