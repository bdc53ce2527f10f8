//! Pings every peer: who answers, how far away it is, whether it could take visitors, what its clock says, what its disk
//! has room for.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use conclave_proto::id::PeerName;
use conclave_proto::time::Ttl;
use conclave_proto::wire::{FrameKind, Ping, Versioned};
use tokio::time::Instant;

use crate::health::{Pulse, Turn};
use crate::identity::Peer;
use crate::shared::Shared;
use crate::status::StoreEvent;

/// Round trips within B below which a replica cannot keep its knowledge fresh with a question lost
/// now and then.
const TRIPS_WITHIN_BOUND: u64 = 6;

/// Pings one peer for ever.
pub(crate) async fn run(shared: Arc<Shared>, name: PeerName) {
    let pause = shared.config.timeouts.heartbeat.as_duration() * 2;
    loop {
        let turn = ping_once(&shared, &name).await;
        match turn {
            Turn::Same => {}
            Turn::Back => shared.tell(StoreEvent::PeerBack { peer: name.clone() }),
            Turn::Lost => {
                release_claims(&shared, &name);
                shared.tell(StoreEvent::PeerLost { peer: name.clone() });
            }
        }
        tokio::time::sleep(pause).await;
    }
}

async fn ping_once(shared: &Shared, name: &PeerName) -> Turn {
    let question = shared.ping().to_bytes();
    let peer = Peer { name: name.clone(), id: None };
    let limit = shared.config.timeouts.question().as_duration();
    let asked_at = Instant::now();
    let asked = shared.transport.ask(&peer, FrameKind::Ping, question, limit).await;
    let answer = asked.ok().and_then(|bytes| Ping::from_bytes(&bytes).ok());
    let Some(answer) = answer else {
        return shared.health.missed(name);
    };
    let pulse = Pulse {
        round_trip: asked_at.elapsed(),
        theirs: answer.clock,
        ours: shared.clock.now(),
        answers: answer.answers,
        keys: answer.keys,
        room: answer.room,
    };
    shared.health.answered(name, pulse)
}

/// A replica that is gone redeems no code.
fn release_claims(shared: &Shared, name: &PeerName) {
    let members = shared.leaders.members();
    let lost = members.membership().nodes().find(|(_, member)| member.name == name.as_str());
    if let Some((id, _)) = lost {
        shared.claims.release_holder(conclave_proto::id::NodeId::new(*id));
    }
}

/// What was last said of links and clocks, so that it is said once.
#[derive(Default)]
pub(crate) struct Said {
    slow_for_heartbeat: bool,
    slow_for_bound: bool,
    clock_off: bool,
}

/// Looks at what the pings measured, says what does not fit, and keeps a replica whose clock is
/// wrong from leading: its stamps would be the cluster's time.
pub(crate) fn judge(shared: &Shared, said: &mut Said) {
    judge_links(shared, said);
    let deviation = shared.health.deviation_ms();
    let off = shared.health.clock_is_off(said.clock_off);
    if off != said.clock_off {
        said.clock_off = off;
        shared.flags.clock_off.store(off, Ordering::Release);
        shared.decide_candidature();
        let deviation_ms = deviation.unwrap_or(0);
        if off {
            tracing::error!(
                deviation_ms,
                "this replica's clock differs from the members' median by more than 5 s: it stands for no election \
                 until the clock is right"
            );
        } else {
            tracing::info!(deviation_ms, "this replica's clock agrees with the members' again");
        }
    }
}

fn judge_links(shared: &Shared, said: &mut Said) {
    let Some(worst) = shared.health.worst_round_trip() else {
        return;
    };
    let slow_for_heartbeat = shared.config.timeouts.heartbeat <= worst;
    if slow_for_heartbeat && !said.slow_for_heartbeat {
        tracing::warn!(
            heartbeat_ms = shared.config.timeouts.heartbeat.as_millis(),
            round_trip_ms = worst.as_millis(),
            "the heartbeat is not longer than the slowest round trip to a peer: set the wide-area timeouts"
        );
    }
    said.slow_for_heartbeat = slow_for_heartbeat;
    let needed = Ttl::from_millis(worst.as_millis().saturating_mul(TRIPS_WITHIN_BOUND));
    let slow_for_bound = shared.config.max_staleness < needed;
    if slow_for_bound && !said.slow_for_bound {
        tracing::warn!(
            max_staleness_ms = shared.config.max_staleness.as_millis(),
            round_trip_ms = worst.as_millis(),
            "max_staleness is under six round trips to the slowest peer: checks may be answered 503"
        );
    }
    said.slow_for_bound = slow_for_bound;
}
