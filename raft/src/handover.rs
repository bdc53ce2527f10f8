//! Gives the leadership away before a planned stop.

use std::sync::Arc;
use std::time::Duration;

use conclave_proto::id::{LogIndex, NodeId, PeerName};
use conclave_proto::wire::{DiskRoom, FrameKind};

use crate::health::MemberRoom;
use crate::identity::Peer;
use crate::leader::{Leader, LeaderView};
use crate::rpc::raft_payload::{self, Elect};
use crate::shared::Shared;
use crate::status::HandOver;

/// Longest wait for followers to have the last entry.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(2);

/// Longest wait for the last follower once another has the last entry, and for any to be heard of.
const STRAGGLER_LIMIT: Duration = Duration::from_millis(300);

/// Between one follower's candidature and the next: with five members one vote may not be enough,
/// for the others' leases still hold, but a second candidate frees the first one's.
const BETWEEN_CANDIDATES: Duration = Duration::from_millis(20);

/// Longest wait for somebody to lead; after that the usual election does it.
const LIMIT: Duration = Duration::from_millis(300);

/// Hands over, with new writes queued meanwhile. They go on whatever comes of it.
pub(crate) async fn run(shared: &Arc<Shared>) -> HandOver {
    if !shared.leaders.is_me() {
        return HandOver::NotLeading;
    }
    shared.batcher.pause(CATCH_UP_LIMIT).await;
    let result = while_paused(shared).await;
    shared.batcher.resume();
    match &result {
        HandOver::To(leader) => tracing::info!(%leader, "handed the leadership over"),
        HandOver::NobodyLed => tracing::warn!("nobody took the leadership over in time; the others will elect"),
        HandOver::NotLeading | HandOver::Alone => {}
    }
    result
}

async fn while_paused(shared: &Arc<Shared>) -> HandOver {
    if shared.leaders.members().membership().voter_ids().count() <= 1 {
        return HandOver::Alone;
    }
    let last_log = shared.leaders.last_log();
    let caught_up = caught_up_voters(shared, last_log).await;
    if caught_up.is_empty() {
        return HandOver::NobodyLed;
    }
    let asked = async {
        // In ascending order: of two candidates in one term the higher id wins.
        for peer in caught_up.iter().cycle() {
            ask_to_stand(shared, peer.clone(), last_log);
            if let Some(leader) = other_leader(&shared.leaders, BETWEEN_CANDIDATES).await {
                return leader;
            }
        }
        std::future::pending().await
    };
    tokio::time::timeout(LIMIT, asked).await.map_or(HandOver::NobodyLed, HandOver::To)
}

fn ask_to_stand(shared: &Arc<Shared>, peer: Peer, last_log: LogIndex) {
    let question = raft_payload::encode(&Elect { last_log });
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let asked = shared.transport.ask(&peer, FrameKind::Elect, question, LIMIT).await;
        if let Err(error) = asked {
            tracing::debug!(peer = %peer.name, %error, "does not stand for election");
        }
    });
}

/// The voters that have everything: all that answer, or after a while those that do.
async fn caught_up_voters(shared: &Shared, last_log: LogIndex) -> Vec<Peer> {
    let mut leaders = shared.leaders.clone();
    let begun = tokio::time::Instant::now();
    loop {
        let (voters, caught_up) = (reachable_voters(shared), voters_at(shared, last_log));
        // Right after a start nobody was heard of yet, although somebody may be there.
        let settled = begun.elapsed() > STRAGGLER_LIMIT;
        let enough = (voters > 0 && caught_up.len() == voters) || (settled && (voters == 0 || !caught_up.is_empty()));
        if enough || begun.elapsed() > CATCH_UP_LIMIT {
            return caught_up;
        }
        let _ = tokio::time::timeout(BETWEEN_CANDIDATES, leaders.changed()).await;
    }
}

fn reachable_voters(shared: &Shared) -> usize {
    let members = shared.leaders.members();
    let names = members.membership().nodes().filter_map(|(_, member)| PeerName::parse(&member.name).ok());
    names.filter(|name| shared.health.is_reachable(name)).count()
}

fn voters_at(shared: &Shared, last_log: LogIndex) -> Vec<Peer> {
    let metrics = shared.leaders.metrics();
    let membership = metrics.membership_config.membership();
    let Some(replication) = &metrics.replication else {
        return Vec::new();
    };
    let mut voters: Vec<u64> = membership.voter_ids().filter(|id| *id != metrics.id).collect();
    voters.sort_unstable();
    let matched = |id: &u64| replication.get(id).copied().flatten().is_some_and(|log| log.index >= last_log.get());
    let peer = |id: u64| {
        let name = PeerName::parse(&membership.get_node(&id)?.name).ok()?;
        Some(Peer { name, id: Some(NodeId::new(id)) })
    };
    let caught_up = voters.into_iter().filter(matched).filter_map(peer);
    let mut voters: Vec<_> = caught_up.filter(|peer| shared.health.is_reachable(&peer.name)).collect();
    // Who has more room first: one that has little would hand over again.
    voters.sort_by_key(|peer| match shared.health.room_of(&peer.name) {
        MemberRoom::Known(room) => room,
        MemberRoom::Unknown | MemberRoom::Lost => DiskRoom::NearlyFull,
    });
    voters
}

async fn other_leader(leaders: &LeaderView, limit: Duration) -> Option<PeerName> {
    let mut leaders = leaders.clone();
    let seen = async {
        loop {
            if let Leader::Other(id) = leaders.now() {
                return leaders.name_of(id);
            }
            leaders.changed().await;
        }
    };
    tokio::time::timeout(limit, seen).await.ok().flatten()
}
