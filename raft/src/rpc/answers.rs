//! One function for each kind of question. The sender has been checked; the payload has not.

use std::sync::Arc;
use std::time::Duration;

use conclave_proto::command::MAX_BATCH_COMMANDS;
use conclave_proto::id::NodeId;
use conclave_proto::time::Ttl;
use conclave_proto::wire::{
    AttemptOutcome, ClaimAnswer, ClaimEnd, ClaimQuestion, FindSession, Forward, Forwarded, FrameHead, Hello,
    MAX_FORWARDED_PATIENCE, PeerRefusal, Ping, ReadIndexQuestion, Versioned,
};
use openraft::raft::{AppendEntriesRequest, VoteRequest};

use super::raft_payload::{self, Adopt, Elect, SnapshotBegin, SnapshotChunk, SnapshotEnd};
use crate::batcher::Failed;
use crate::claims::Taken;
use crate::error::WriteError;
use crate::find::find_after_round;
use crate::founding;
use crate::leader::Leader;
use crate::rounds::{RoundError, leader_time};
use crate::shared::Shared;
use crate::types::TypeConfig;

type Answered = Result<Vec<u8>, PeerRefusal>;

/// Longest time for Raft's own calls: the disk may be slow, but a peer does not wait for ever.
const RAFT_PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn append(shared: &Arc<Shared>, payload: &[u8]) -> Answered {
    let request: AppendEntriesRequest<TypeConfig> = raft_payload::decode(payload)?;
    let _gate = shared.founding_gate.read().await;
    let done = tokio::time::timeout(RAFT_PATIENCE, shared.raft.append_entries(request)).await;
    let answer = done.map_err(|_| PeerRefusal::Deadline)?.map_err(|_| PeerRefusal::NotReady)?;
    Ok(raft_payload::encode(&answer))
}

pub(super) async fn vote(shared: &Arc<Shared>, payload: &[u8]) -> Answered {
    let request: VoteRequest<u64> = raft_payload::decode(payload)?;
    let _gate = shared.founding_gate.read().await;
    let done = tokio::time::timeout(RAFT_PATIENCE, shared.raft.vote(request)).await;
    let answer = done.map_err(|_| PeerRefusal::Deadline)?.map_err(|_| PeerRefusal::NotReady)?;
    Ok(raft_payload::encode(&answer))
}

pub(super) async fn snapshot_begin(shared: &Arc<Shared>, head: &FrameHead, payload: &[u8]) -> Answered {
    let begin: SnapshotBegin = raft_payload::decode(payload)?;
    let vote = shared.incoming.begin(&shared.raft, head.from, begin).await?;
    Ok(raft_payload::encode(&vote))
}

pub(super) async fn snapshot_chunk(shared: &Arc<Shared>, head: &FrameHead, payload: &[u8]) -> Answered {
    let chunk: SnapshotChunk = raft_payload::decode(payload)?;
    let vote = shared.incoming.chunk(&shared.raft, head.from, chunk).await?;
    Ok(raft_payload::encode(&vote))
}

pub(super) async fn snapshot_end(shared: &Arc<Shared>, head: &FrameHead, payload: &[u8]) -> Answered {
    let end: SnapshotEnd = raft_payload::decode(payload)?;
    let _gate = shared.founding_gate.read().await;
    let vote = shared.incoming.end(&shared.raft, head.from, end).await?;
    Ok(raft_payload::encode(&vote))
}

pub(super) async fn forward(shared: &Arc<Shared>, payload: &[u8]) -> Answered {
    let question = Forward::from_bytes(payload)?;
    if question.commands.len() > MAX_BATCH_COMMANDS {
        return Err(PeerRefusal::TooLarge);
    }
    if !shared.leaders.is_me() {
        return Err(not_leading(shared));
    }
    let mut results = Vec::with_capacity(question.commands.len());
    for tagged in question.commands {
        results.push(shared.batcher.submit(tagged, true).map_err(refusal_of)?);
    }
    let patience = bounded(question.patience, MAX_FORWARDED_PATIENCE);
    let all = futures::future::join_all(results);
    let replies = tokio::time::timeout(patience, all).await.map_err(|_| PeerRefusal::Deadline)?;
    let mut written = Vec::with_capacity(replies.len());
    for reply in replies {
        match reply {
            Ok(Ok(done)) => written.push(done),
            Ok(Err(Failed::Refused(error))) => return Err(refusal_of(error)),
            Ok(Err(Failed::NotLeading)) | Err(_) => return Err(not_leading(shared)),
        }
    }
    Ok(Forwarded { written, leader_time: leader_time(&shared.state, &*shared.clock) }.to_bytes())
}

pub(super) async fn read_index(shared: &Arc<Shared>, payload: &[u8]) -> Answered {
    let _question = ReadIndexQuestion::from_bytes(payload)?;
    if !shared.leaders.is_me() {
        return Err(not_leading(shared));
    }
    let answer = shared.rounds.ask().await.map_err(|error| refusal_of_round(shared, error))?;
    Ok(answer.to_bytes())
}

pub(super) async fn find_session(shared: &Arc<Shared>, payload: &[u8]) -> Answered {
    let question = FindSession::from_bytes(payload)?;
    if !shared.leaders.is_me() {
        return Err(not_leading(shared));
    }
    let limit = shared.config.timeouts.question().as_duration();
    let finding = find_after_round(&shared.rounds, &shared.index, &shared.state, question.key);
    let found = tokio::time::timeout(limit, finding).await.map_err(|_| PeerRefusal::Deadline)?;
    Ok(found.map_err(|error| refusal_of_round(shared, error))?.to_bytes())
}

/// Answered at once, whatever the claim's state: a question that waited here for another's login would
/// hold a slot of its lane, and anyone could make it wait.
pub(super) fn claim(shared: &Arc<Shared>, head: &FrameHead, payload: &[u8]) -> Answered {
    let question = ClaimQuestion::from_bytes(payload)?;
    if !shared.leaders.is_me() {
        return Err(not_leading(shared));
    }
    Ok(take_claim(shared, question, head.from).to_bytes())
}

/// What this leader knows of an attempt already; none if it is free.
pub(crate) fn look_at_claim(shared: &Shared, question: &ClaimQuestion) -> Option<ClaimAnswer> {
    if made_session(shared, question) {
        return Some(ClaimAnswer::Finished(AttemptOutcome::Session));
    }
    shared.claims.look(question.attempt, question.token, shared.clock.boottime()).map(answer_of)
}

/// Takes a claim in this leader's memory, for itself or for another replica.
pub(crate) fn take_claim(shared: &Shared, question: ClaimQuestion, holder: NodeId) -> ClaimAnswer {
    if made_session(shared, &question) {
        return ClaimAnswer::Finished(AttemptOutcome::Session);
    }
    let now = shared.clock.boottime();
    answer_of(shared.claims.take(question.attempt, question.token, holder, question.client, now))
}

/// What made a session already needs no claim, and no memory of one.
fn made_session(shared: &Shared, question: &ClaimQuestion) -> bool {
    shared.state.attempt(&question.attempt).is_some()
}

fn answer_of(taken: Taken) -> ClaimAnswer {
    match taken {
        Taken::Granted => ClaimAnswer::Granted,
        Taken::Held => ClaimAnswer::Pending,
        Taken::Refused(refusal) => ClaimAnswer::Finished(AttemptOutcome::Refused(refusal)),
        Taken::Full => ClaimAnswer::Full,
    }
}

pub(super) fn claim_end(shared: &Arc<Shared>, payload: &[u8]) -> Answered {
    let end = ClaimEnd::from_bytes(payload)?;
    if !shared.leaders.is_me() {
        return Err(not_leading(shared));
    }
    shared.claims.end(end, shared.clock.boottime());
    Ok(Vec::new())
}

pub(super) async fn hello(shared: &Arc<Shared>, payload: &[u8]) -> Answered {
    let _theirs = Hello::from_bytes(payload)?;
    Ok(shared.hello().await.to_bytes())
}

pub(super) async fn ping(shared: &Arc<Shared>, payload: &[u8]) -> Answered {
    let _theirs = Ping::from_bytes(payload)?;
    Ok(shared.ping().to_bytes())
}

pub(super) async fn adopt(shared: &Arc<Shared>, head: &FrameHead, payload: &[u8]) -> Answered {
    let question: Adopt = raft_payload::decode(payload)?;
    founding::adopt(shared, head, &question).await?;
    Ok(Vec::new())
}

/// Stands for election, if this replica has everything that the leader has.
pub(super) async fn elect(shared: &Arc<Shared>, payload: &[u8]) -> Answered {
    let question: Elect = raft_payload::decode(payload)?;
    if shared.leaders.last_log() < question.last_log || shared.leaders.is_me() {
        return Err(PeerRefusal::NotReady);
    }
    let done = tokio::time::timeout(RAFT_PATIENCE, shared.raft.trigger().elect()).await;
    done.map_err(|_| PeerRefusal::Deadline)?.map_err(|_| PeerRefusal::NotReady)?;
    Ok(Vec::new())
}

fn not_leading(shared: &Shared) -> PeerRefusal {
    let leader = match shared.leaders.now() {
        Leader::Other(leader) => Some(leader),
        Leader::Me | Leader::Nobody | Leader::Stopped => None,
    };
    PeerRefusal::NotLeader { leader }
}

fn refusal_of(error: WriteError) -> PeerRefusal {
    match error {
        WriteError::Busy => PeerRefusal::Busy,
        WriteError::TooLarge => PeerRefusal::TooLarge,
        WriteError::Deadline => PeerRefusal::Deadline,
        WriteError::NotFounded | WriteError::Stopping | WriteError::Refused(_) => PeerRefusal::NotReady,
    }
}

fn refusal_of_round(shared: &Shared, error: RoundError) -> PeerRefusal {
    match error {
        RoundError::NotLeading => not_leading(shared),
        RoundError::NoQuorum => PeerRefusal::Deadline,
        RoundError::Busy => PeerRefusal::Busy,
    }
}

fn bounded(asked: Ttl, most: Ttl) -> Duration {
    asked.min(most).as_duration()
}
