//! Answers peers: checks who asks, in which cluster, before anything of the question is read.

mod answers;
pub(crate) mod raft_payload;

use std::sync::Arc;

use conclave_proto::wire::{Answer, AnswerBytes, Frame, FrameHead, FrameKind, MAX_FRAME, PeerRefusal};

use crate::lanes::Lane;
use crate::shared::Shared;

pub(crate) use answers::{look_at_claim, take_claim};

/// What a peer listener answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAnswer {
    /// HTTP status: 200 for every frame whose head could be read, 400 or 413 otherwise.
    pub status: u16,
    /// The encoded answer; empty unless the status is 200.
    pub body: Vec<u8>,
}

impl PeerAnswer {
    fn bare(status: u16) -> Self {
        Self { status, body: Vec::new() }
    }
}

/// Serves the peer listener: `POST /peer` with one frame in the body, on a connection that mutual
/// TLS has already let in.
#[derive(Clone)]
pub struct PeerService {
    shared: Arc<Shared>,
}

impl PeerService {
    /// Largest body a listener needs to read.
    pub const MAX_BODY: usize = MAX_FRAME;

    /// Questions that one peer may have under way here, a connection for each: a listener that takes
    /// fewer from all peers together would let one class of questions keep another out.
    pub const MAX_QUESTIONS_OF_A_PEER: usize = Lane::all_slots();

    /// Path of the one endpoint.
    pub const PATH: &'static str = crate::transport::PEER_PATH;

    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Answers one frame. `peer_certificate` is the DER of the leaf that the client proved to hold.
    /// The work goes on if the caller drops this future: a peer that hung up may still count on it.
    pub async fn serve(&self, peer_certificate: &[u8], body: &[u8]) -> PeerAnswer {
        let refused = |why: &'static str| self.shared.config.observer.peer_refused(why);
        if body.len() > Self::MAX_BODY {
            refused("too_large");
            return PeerAnswer::bare(413);
        }
        let (head, payload) = match Frame::decode_head(body) {
            Ok(parts) => parts,
            Err(error) => {
                refused("malformed");
                tracing::debug!(%error, "a peer message could not be read");
                return PeerAnswer::bare(400);
            }
        };
        let question = head.question;
        let answered = match self.admit(&head, peer_certificate) {
            Ok(()) => self.dispatch(head, payload.to_vec()).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = &answered {
            refused(word(refusal));
        }
        let answer = Answer { question, from: self.shared.identity.node(), payload: answered.map(AnswerBytes) };
        PeerAnswer { status: 200, body: answer.encode() }
    }

    fn admit(&self, head: &FrameHead, peer_certificate: &[u8]) -> Result<(), PeerRefusal> {
        let admitted = self.shared.identity.admit(head, peer_certificate, &self.shared.leaders.members());
        if let Err(refusal) = &admitted {
            tracing::warn!(peer = %head.from_name, node = %head.from, kind = ?head.kind, %refusal, "refused a peer's message: this replica");
        }
        admitted
    }

    async fn dispatch(&self, head: FrameHead, payload: Vec<u8>) -> Result<Vec<u8>, PeerRefusal> {
        let shared = Arc::clone(&self.shared);
        let work = tokio::spawn(async move {
            match head.kind {
                FrameKind::Append => answers::append(&shared, &payload).await,
                FrameKind::Vote => answers::vote(&shared, &payload).await,
                FrameKind::SnapshotBegin => answers::snapshot_begin(&shared, &head, &payload).await,
                FrameKind::SnapshotChunk => answers::snapshot_chunk(&shared, &head, &payload).await,
                FrameKind::SnapshotEnd => answers::snapshot_end(&shared, &head, &payload).await,
                FrameKind::Forward => answers::forward(&shared, &payload).await,
                FrameKind::ReadIndex => answers::read_index(&shared, &payload).await,
                FrameKind::FindSession => answers::find_session(&shared, &payload).await,
                FrameKind::Claim => answers::claim(&shared, &head, &payload),
                FrameKind::ClaimEnd => answers::claim_end(&shared, &payload),
                FrameKind::Hello => answers::hello(&shared, &payload).await,
                FrameKind::Ping => answers::ping(&shared, &payload).await,
                FrameKind::Adopt => answers::adopt(&shared, &head, &payload).await,
                FrameKind::Elect => answers::elect(&shared, &payload).await,
            }
        });
        work.await.unwrap_or(Err(PeerRefusal::NotReady))
    }
}

/// One of a fixed few words, for metrics.
fn word(refusal: &PeerRefusal) -> &'static str {
    match refusal {
        PeerRefusal::WrongCluster => "wrong_cluster",
        PeerRefusal::WrongRecipient => "wrong_recipient",
        PeerRefusal::UnknownSender => "unknown_sender",
        PeerRefusal::OldEpoch => "old_epoch",
        PeerRefusal::NotLeader { .. } => "not_leader",
        PeerRefusal::TooLarge => "too_large",
        PeerRefusal::NotReady => "not_ready",
        PeerRefusal::Busy => "busy",
        PeerRefusal::Malformed => "malformed",
        PeerRefusal::Unsupported => "unsupported",
        PeerRefusal::Deadline => "deadline",
    }
}
