//! Puts a replica's status together.

use std::sync::atomic::Ordering;

use conclave_proto::id::{LogIndex, NodeId, PeerName};
use conclave_proto::time::Ttl;
use conclave_proto::wire::DiskRoom;
use openraft::ServerState;

use crate::health::PeerFitness;
use crate::room::any_better;
use crate::shared::Shared;
use crate::state::ApplyHealth;
use crate::status::{MemberStatus, NotReadyReason, Readiness, Role, Status, Weight};

/// Everything that is known now.
pub(crate) fn status(shared: &Shared) -> Status {
    let metrics = shared.leaders.metrics();
    let space = *shared.space.borrow();
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
        disk_room: space.room,
        disk_free: space.free_bytes,
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

/// Whether to send this replica requests.
pub(crate) fn readiness(shared: &Shared) -> Readiness {
    let peers = shared.health.reachable();
    let mut reasons = found_reasons(shared);
    reasons.retain(|reason| counts(reason, shared.room(), &peers));
    if reasons.is_empty() { Readiness::Ready } else { Readiness::NotReady(reasons) }
}

/// Whether a reason counts. One under which a replica cannot answer always does. Any other may hold
/// for all replicas at once, and would then empty the Service: it counts only while a peer that
/// could answer is better off.
fn counts(reason: &NotReadyReason, room: DiskRoom, peers: &[PeerFitness]) -> bool {
    match reason.weight() {
        Weight::CannotAnswer => true,
        Weight::WhileAPeerAnswers => peers.iter().any(|peer| peer.answers),
        Weight::WhileAPeerHasMoreRoom => any_better(room, peers),
    }
}

fn found_reasons(shared: &Shared) -> Vec<NotReadyReason> {
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
    } else if shared.freshness.passed().is_none_or(|age| age > shared.freshness.bound()) {
        reasons.push(NotReadyReason::Stale);
    }
    reasons
}

#[cfg(test)]
mod tests;
