//! Claims a login attempt at the leader, wherever it is, within one deadline: one question for each
//! attempt and replica at a time, with a pause between two.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use conclave_proto::id::AttemptId;
use conclave_proto::wire::{AttemptOutcome, ClaimAnswer, ClaimEnd, ClaimQuestion, FrameKind, Versioned};

use crate::attempts::{Entered, Key};
use crate::error::ClaimError;
use crate::leader::Leader;
use crate::rpc::{look_at_claim, take_claim};
use crate::shared::Shared;

/// What came of a claim.
#[derive(Debug)]
pub enum Claim {
    /// This caller redeems the code, and says how it went.
    Granted(Grant),
    /// Another was first and has ended.
    Finished(AttemptOutcome),
}

/// The right to redeem a code. Dropped without an end, it blocks the attempt until its time is over:
/// the code may have been sent.
pub struct Grant {
    shared: Arc<Shared>,
    attempt: AttemptId,
    token: [u8; 16],
    client: Option<IpAddr>,
    key: Key,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Grant")
    }
}

impl Grant {
    /// Ends the claim; without an outcome the code was not sent, and the attempt may be claimed anew.
    /// The word goes on its way even if the caller is dropped.
    pub async fn end(self, outcome: Option<AttemptOutcome>) {
        // Only a stopping runtime cancels it.
        let _ = tokio::spawn(self.tell(outcome)).await;
    }

    async fn tell(self, outcome: Option<AttemptOutcome>) {
        if let Some(outcome) = &outcome {
            self.key.publish(Ok(outcome.clone()));
        }
        // The key stays until the leader knows: who comes meanwhile hears it here.
        let end = ClaimEnd { attempt: self.attempt, token: self.token, client: self.client, outcome };
        // A claim that no leader hears the end of ends by itself.
        let _ = tokio::time::timeout(END_LIMIT, tell_leader(&self.shared, &end)).await;
    }
}

/// Pause before the first repeated question; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// Longest pause between two questions: how much later than its end a second replica hears of a login.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Longest time to tell a leader the end; a claim ends by itself soon after.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Asks until granted, finished or out of time, or waits behind a caller that does.
pub(crate) async fn claim(
    shared: &Arc<Shared>,
    attempt: AttemptId,
    client: Option<IpAddr>,
    limit: Duration,
) -> Result<Claim, ClaimError> {
    let coming_in = async {
        loop {
            match shared.attempts.enter(attempt, client)? {
                Entered::First(key) => return ask(shared, key, attempt, client).await,
                Entered::Behind(seat) => {
                    if let Some(news) = seat.news().await {
                        return news.map(Claim::Finished);
                    }
                }
            }
        }
    };
    tokio::time::timeout(limit, coming_in).await.unwrap_or(Err(ClaimError::Deadline))
}

/// How one question ended without an answer to the claim.
enum Again {
    /// Another holds the claim, or no leader answered: ask again after a pause.
    Later,
    /// Asking again is of no use.
    Never(ClaimError),
}

async fn ask(
    shared: &Arc<Shared>,
    mut key: Key,
    attempt: AttemptId,
    client: Option<IpAddr>,
) -> Result<Claim, ClaimError> {
    let question = ClaimQuestion { attempt, token: shared.draw(), client };
    let mut pause = FIRST_PAUSE;
    loop {
        let seen = shared.leaders.now();
        match ask_once(shared, seen, question).await {
            Ok(ClaimAnswer::Granted) => {
                key.stop_waiting();
                let token = question.token;
                return Ok(Claim::Granted(Grant { shared: Arc::clone(shared), attempt, token, client, key }));
            }
            Ok(ClaimAnswer::Finished(outcome)) => {
                key.publish(Ok(outcome.clone()));
                return Ok(Claim::Finished(outcome));
            }
            Ok(ClaimAnswer::Full) => return give_up(&key, ClaimError::Busy),
            Err(Again::Never(error)) => return give_up(&key, error),
            Ok(ClaimAnswer::Pending) | Err(Again::Later) => {}
        }
        shared.leaders.clone().news_since(seen, pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn give_up(key: &Key, error: ClaimError) -> Result<Claim, ClaimError> {
    key.publish(Err(error));
    Err(error)
}

async fn ask_once(shared: &Arc<Shared>, leader: Leader, question: ClaimQuestion) -> Result<ClaimAnswer, Again> {
    match leader {
        Leader::Me => ask_myself(shared, question).await,
        Leader::Other(leader) => {
            let peer = shared.leaders.peer().ok_or(Again::Later)?;
            let limit = shared.config.timeouts.question().as_duration();
            let mut leaders = shared.leaders.clone();
            let asked = tokio::select! {
                asked = shared.transport.ask(&peer, FrameKind::Claim, question.to_bytes(), limit) => asked,
                () = leaders.until_not(leader) => return Err(Again::Later),
            };
            let bytes = asked.map_err(|_| Again::Later)?;
            ClaimAnswer::from_bytes(&bytes).map_err(|_| Again::Later)
        }
        Leader::Nobody => Err(Again::Later),
        Leader::Stopped => Err(Again::Never(ClaimError::Stopping)),
    }
}

/// A leader that was cut off does not know that another leads: a quorum must confirm it before it
/// grants anything, or two replicas would redeem one code. Rounds are what freshness lives by, so
/// there is a lane for them here too, and what is known already needs none.
async fn ask_myself(shared: &Arc<Shared>, question: ClaimQuestion) -> Result<ClaimAnswer, Again> {
    if let Some(known) = look_at_claim(shared, &question) {
        return Ok(known);
    }
    let _slot = shared.attempts.own_slot().ok_or(Again::Later)?;
    shared.rounds.ask().await.map_err(|_| Again::Later)?;
    Ok(take_claim(shared, question, shared.identity.node()))
}

/// Tries until some leader has heard it.
async fn tell_leader(shared: &Shared, end: &ClaimEnd) {
    let mut pause = FIRST_PAUSE;
    loop {
        let seen = shared.leaders.now();
        match seen {
            Leader::Me => {
                return shared.claims.end(end.clone(), shared.clock.boottime());
            }
            Leader::Other(leader) => {
                let mut leaders = shared.leaders.clone();
                let told = tokio::select! {
                    told = tell_peer(shared, end) => told,
                    () = leaders.until_not(leader) => false,
                };
                if told {
                    return;
                }
            }
            Leader::Nobody => {}
            Leader::Stopped => return,
        }
        shared.leaders.clone().news_since(seen, pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn tell_peer(shared: &Shared, end: &ClaimEnd) -> bool {
    let Some(peer) = shared.leaders.peer() else {
        return false;
    };
    let limit = shared.config.timeouts.question().as_duration();
    shared.transport.ask(&peer, FrameKind::ClaimEnd, end.to_bytes(), limit).await.is_ok()
}
