//! Takes in a leader's snapshot chunk by chunk; one at a time.

use std::sync::atomic::{AtomicU64, Ordering};

use conclave_proto::id::NodeId;
use conclave_proto::wire::PeerRefusal;
use tokio::sync::Mutex;

use crate::leader::Raft;
use crate::rpc::raft_payload::{SnapshotBegin, SnapshotChunk, SnapshotEnd};
use crate::snapshot::{SnapshotInbox, SnapshotReceiver};
use crate::types::{RaftSnapshot, RaftSnapshotMeta, RaftVote};

/// The snapshot that is coming in, if any.
pub(crate) struct Incoming {
    inbox: SnapshotInbox,
    current: Mutex<Option<Transfer>>,
    installed: AtomicU64,
}

struct Transfer {
    name: [u8; 16],
    from: NodeId,
    vote: RaftVote,
    meta: RaftSnapshotMeta,
    receiver: SnapshotReceiver,
}

impl Incoming {
    pub(crate) fn new(inbox: SnapshotInbox) -> Self {
        Self { inbox, current: Mutex::new(None), installed: AtomicU64::new(0) }
    }

    /// Snapshots installed since the start.
    pub(crate) fn installed(&self) -> u64 {
        self.installed.load(Ordering::Relaxed)
    }

    /// Begins, or begins anew: a later leader's snapshot replaces the one under way. Answers this
    /// replica's vote; if that is higher, nothing was begun.
    pub(crate) async fn begin(&self, raft: &Raft, from: NodeId, begin: SnapshotBegin) -> Result<RaftVote, PeerRefusal> {
        let mine = own_vote(raft).await?;
        if mine > begin.vote {
            return Ok(mine);
        }
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|running| running.vote > begin.vote) {
            return Err(PeerRefusal::Busy);
        }
        // Dropped first: two half-filled trees would take the space of two snapshots.
        *current = None;
        let receiver = self.inbox.receive().map_err(|_| PeerRefusal::NotReady)?;
        *current = Some(Transfer { name: begin.transfer, from, vote: begin.vote, meta: begin.meta, receiver });
        Ok(mine)
    }

    /// Takes one chunk. One that was taken already is answered again.
    pub(crate) async fn chunk(&self, raft: &Raft, from: NodeId, chunk: SnapshotChunk) -> Result<RaftVote, PeerRefusal> {
        let mine = own_vote(raft).await?;
        let mut current = self.current.lock().await;
        let transfer = current.as_mut().filter(|transfer| transfer.name == chunk.transfer && transfer.from == from);
        let Some(transfer) = transfer else {
            return Err(PeerRefusal::NotReady);
        };
        if mine > transfer.vote {
            *current = None;
            return Ok(mine);
        }
        let taken = transfer.receiver.offset();
        if chunk.offset < taken {
            return Ok(mine);
        }
        if chunk.offset > taken {
            return Err(PeerRefusal::Malformed);
        }
        if let Err(error) = transfer.receiver.write_chunk(&chunk.bytes).await {
            tracing::warn!(%error, "a snapshot could not be taken in");
            *current = None;
            return Err(PeerRefusal::Malformed);
        }
        Ok(mine)
    }

    /// Installs what came in. A repeated end, after the answer was lost, is answered by the vote
    /// alone: openraft's leader looks at the log next and finds the snapshot installed.
    pub(crate) async fn end(&self, raft: &Raft, from: NodeId, end: SnapshotEnd) -> Result<RaftVote, PeerRefusal> {
        let mut current = self.current.lock().await;
        let complete = current.take_if(|transfer| {
            transfer.name == end.transfer && transfer.from == from && transfer.receiver.offset() == end.length
        });
        let Some(transfer) = complete else {
            return Err(PeerRefusal::NotReady);
        };
        let source = transfer.receiver.finish(&transfer.meta).await.map_err(|error| {
            tracing::warn!(%error, "a snapshot could not be taken in");
            PeerRefusal::Malformed
        })?;
        let snapshot = RaftSnapshot { meta: transfer.meta, snapshot: Box::new(source) };
        let installed = raft.install_full_snapshot(transfer.vote, snapshot).await;
        let response = installed.map_err(|_| PeerRefusal::NotReady)?;
        self.installed.fetch_add(1, Ordering::Relaxed);
        Ok(response.vote)
    }
}

async fn own_vote(raft: &Raft) -> Result<RaftVote, PeerRefusal> {
    raft.with_raft_state(|state| *state.vote_ref()).await.map_err(|_| PeerRefusal::NotReady)
}
