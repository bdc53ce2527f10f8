//! Claims a login attempt at the leader, wherever it is, within one deadline.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use conclave_proto::id::AttemptId;
use conclave_proto::time::Ttl;
use conclave_proto::wire::{ClaimAnswer, ClaimEnd, ClaimQuestion, FrameKind, Versioned};
use tokio::time::Instant;

use crate::error::ClaimError;
use crate::leader::Leader;
use crate::rpc::take_claim;
use crate::shared::Shared;

/// The right to redeem a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// This caller redeems it, and says how it went with `end_claim`.
    Granted,
    /// Someone else was first and is done.
    Finished {
        /// Whether a session came of it.
        ok: bool,
    },
}

/// Between two tries while the leader changes.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

/// Longest time to tell a leader the outcome; a claim ends by itself soon after.
const END_LIMIT: Duration = Duration::from_secs(5);

/// One question waits so long for another's outcome; then it is asked again, so that a leader that
/// is gone does not take the whole deadline with it.
const PATIENCE: Ttl = Ttl::from_secs(5);

/// Asks until granted, finished or out of time.
pub(crate) async fn claim(
    shared: &Arc<Shared>,
    attempt: AttemptId,
    client: Option<IpAddr>,
    limit: Duration,
) -> Result<Claim, ClaimError> {
    let deadline = Instant::now() + limit;
    let token = shared.draw();
    let asking = async {
        loop {
            let left = Ttl::from(deadline.saturating_duration_since(Instant::now()));
            let question = ClaimQuestion { attempt, token, client, patience: left.min(PATIENCE) };
            match ask_once(shared, question).await {
                Ok(ClaimAnswer::Granted) => return Ok(Claim::Granted),
                Ok(ClaimAnswer::Finished { ok }) => return Ok(Claim::Finished { ok }),
                Ok(ClaimAnswer::Pending) => {}
                Err(Some(fatal)) => return Err(fatal),
                Err(None) => {
                    let mut leaders = shared.leaders.clone();
                    let _ = tokio::time::timeout(RETRY_PAUSE, leaders.changed()).await;
                }
            }
        }
    };
    tokio::time::timeout_at(deadline, asking).await.unwrap_or(Err(ClaimError::Deadline))
}

/// `Err(None)` asks for another try.
async fn ask_once(shared: &Arc<Shared>, question: ClaimQuestion) -> Result<ClaimAnswer, Option<ClaimError>> {
    match shared.leaders.now() {
        // A leader that was cut off does not know that another leads: a quorum must confirm it, or
        // two replicas would redeem one code.
        Leader::Me => {
            shared.rounds.ask().await.map_err(|_| None)?;
            Ok(take_claim(shared, question, shared.identity.node()).await)
        }
        Leader::Other(leader) => {
            let peer = shared.leaders.peer().ok_or(None)?;
            let limit = question.patience.as_duration() + shared.config.timeouts.question().as_duration();
            let mut leaders = shared.leaders.clone();
            let asked = tokio::select! {
                asked = shared.transport.ask(&peer, FrameKind::Claim, question.to_bytes(), limit) => asked,
                () = leaders.until_not(leader) => return Err(None),
            };
            let bytes = asked.map_err(|_| None)?;
            ClaimAnswer::from_bytes(&bytes).map_err(|_| None)
        }
        Leader::Nobody => Err(None),
        Leader::Stopped => Err(Some(ClaimError::Stopping)),
    }
}

/// Tells the leader how it went; tried until some leader has heard it or time is up.
pub(crate) async fn end(shared: &Arc<Shared>, attempt: AttemptId, ok: bool) {
    let telling = async {
        loop {
            match shared.leaders.now() {
                Leader::Me => return shared.claims.end(attempt, ok),
                Leader::Other(_) => {
                    if tell(shared, attempt, ok).await {
                        return;
                    }
                }
                Leader::Nobody => {}
                Leader::Stopped => return,
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    };
    // A claim that nobody ends ends by itself.
    let _ = tokio::time::timeout(END_LIMIT, telling).await;
}

async fn tell(shared: &Shared, attempt: AttemptId, ok: bool) -> bool {
    let Some(peer) = shared.leaders.peer() else {
        return false;
    };
    let question = ClaimEnd { attempt, ok }.to_bytes();
    shared.transport.ask(&peer, FrameKind::ClaimEnd, question, END_LIMIT).await.is_ok()
}
