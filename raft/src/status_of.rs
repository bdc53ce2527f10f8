//! Puts a replica's status together.

use std::sync::atomic::Ordering;

use conclave_proto::id::{LogIndex, NodeId, PeerName};
use conclave_proto::time::Ttl;
use openraft::ServerState;

use crate::shared::Shared;
use crate::state::ApplyHealth;
use crate::status::{MemberStatus, NotReadyReason, Readiness, Role, Status};

/// Everything that is known now.
pub(crate) fn status(shared: &Shared) -> Status {
    let metrics = shared.leaders.metrics();
    Status {
        node_id: shared.identity.node(),
        name: shared.identity.name().clone(),
        cluster: shared.identity.cluster(),
        role: role(metrics.state),
        term: metrics.current_term,
        leader: shared.leaders.leader_name(),
        applied: shared.index.applied(),
        last_log: LogIndex::new(metrics.last_log_index.unwrap_or(0)),
        committed: shared.freshness.last().map_or(LogIndex::new(0), |round| round.index),
        purged: LogIndex::new(metrics.purged.map_or(0, |id| id.index)),
        fresh_age: shared.freshness.passed(),
        caught_up: shared.flags.caught_up.load(Ordering::Acquire),
        members: members(shared),
        ready: readiness(shared),
        snapshots_installed: shared.incoming.installed(),
        sessions: shared.index.len(),
        clock_deviation_ms: shared.health.deviation_ms(),
    }
}

fn role(state: ServerState) -> Role {
    match state {
        ServerState::Learner => Role::Learner,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader => Role::Leader,
        ServerState::Shutdown => Role::Stopped,
    }
}

fn members(shared: &Shared) -> Vec<MemberStatus> {
    let metrics = shared.leaders.metrics();
    let last_log = metrics.last_log_index.unwrap_or(0);
    let members = metrics.membership_config.membership().nodes();
    let describe = |(id, member): (&u64, &crate::types::Member)| {
        let name = PeerName::parse(&member.name).unwrap_or_default();
        let is_me = *id == metrics.id;
        let known = metrics.replication.as_ref().and_then(|replication| replication.get(id));
        let matched = known.map(|log| log.map_or(0, |log| log.index));
        MemberStatus {
            id: NodeId::new(*id),
            matched: matched.map(LogIndex::new),
            lag: matched.map(|matched| last_log.saturating_sub(matched)),
            reachable: is_me || shared.health.is_reachable(&name),
            round_trip: if is_me { Some(Ttl::ZERO) } else { shared.health.round_trip(&name) },
            name,
        }
    };
    members.map(describe).collect()
}

/// Whether to send this replica requests. A stale one stays ready while no other that it reaches is
/// fresher, or all would leave the Service at once.
pub(crate) fn readiness(shared: &Shared) -> Readiness {
    let flags = &shared.flags;
    let mut reasons = Vec::new();
    if flags.stopping.load(Ordering::Acquire) {
        reasons.push(NotReadyReason::Stopping);
    }
    reasons.extend(flags.founding.lock().clone());
    if flags.no_secret_opens.load(Ordering::Acquire) {
        reasons.push(NotReadyReason::NoSecretOpens);
    } else if reasons.is_empty() && shared.keyring.borrow().is_none() {
        reasons.push(NotReadyReason::NotFounded("waiting for the first entry of the log".to_owned()));
    }
    if matches!(*shared.state.health().borrow(), ApplyHealth::Stopped { .. }) {
        reasons.push(NotReadyReason::UnknownEntry);
    }
    if flags.low_disk.load(Ordering::Acquire) {
        reasons.push(NotReadyReason::LowDisk);
    }
    if !flags.caught_up.load(Ordering::Acquire) {
        reasons.push(NotReadyReason::CatchingUp);
    } else if shared.freshness.passed().is_none_or(|age| age > shared.freshness.bound()) && shared.health.any_fresh() {
        reasons.push(NotReadyReason::Stale);
    }
    if reasons.is_empty() { Readiness::Ready } else { Readiness::NotReady(reasons) }
}
