//! Streams a snapshot to a follower, one chunk after another.

use std::sync::Arc;
use std::time::Duration;

use conclave_proto::wire::{FrameKind, PeerRefusal};
use openraft::error::{Fatal, NetworkError, StreamingError, Unreachable};
use openraft::raft::SnapshotResponse;
use openraft::{AnyError, StorageIOError};

use crate::identity::Peer;
use crate::rpc::raft_payload::{self, SnapshotBegin, SnapshotChunk, SnapshotEnd};
use crate::snapshot::{SnapshotFile, SnapshotSource};
use crate::transport::{AskError, Transport};
use crate::types::{RaftSnapshot, RaftVote, TypeConfig};

/// Bytes in one chunk: fills a link without holding up heartbeats for long.
const CHUNK_BYTES: usize = 512 * 1024;

/// Longest time for one chunk: the receiver waits for its disk before it answers.
const CHUNK_LIMIT: Duration = Duration::from_secs(15);

/// Longest time for the last step, which only switches trees.
const END_LIMIT: Duration = Duration::from_secs(30);

/// Tries for one question before the whole transfer is given up; openraft begins another.
const TRIES: u32 = 5;

/// Between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

type Failed = StreamingError<TypeConfig, Fatal<u64>>;

/// Sends it, and waits until the follower has installed it.
pub(crate) async fn send(
    transport: &Transport,
    peer: &Peer,
    vote: RaftVote,
    snapshot: RaftSnapshot,
) -> Result<SnapshotResponse<u64>, Failed> {
    let SnapshotSource::Built(file) = *snapshot.snapshot else {
        return Err(read_error("there is no file behind this snapshot"));
    };
    let mut sender = Sender { transport, peer, vote, transfer: transfer_name(&snapshot.meta.snapshot_id, &vote) };
    let begin = SnapshotBegin { transfer: sender.transfer, vote, meta: snapshot.meta };
    if let Some(higher) = sender.ask(FrameKind::SnapshotBegin, raft_payload::encode(&begin), CHUNK_LIMIT).await? {
        return Ok(SnapshotResponse::new(higher));
    }
    if let Some(higher) = sender.chunks(&file).await? {
        return Ok(SnapshotResponse::new(higher));
    }
    let end = SnapshotEnd { transfer: sender.transfer, length: file.len() };
    let higher = sender.ask(FrameKind::SnapshotEnd, raft_payload::encode(&end), END_LIMIT).await?;
    Ok(SnapshotResponse::new(higher.unwrap_or(vote)))
}

struct Sender<'a> {
    transport: &'a Transport,
    peer: &'a Peer,
    vote: RaftVote,
    transfer: [u8; 16],
}

impl Sender<'_> {
    async fn chunks(&mut self, file: &Arc<SnapshotFile>) -> Result<Option<RaftVote>, Failed> {
        let mut offset = 0;
        while offset < file.len() {
            let bytes = file.chunk(offset, CHUNK_BYTES).await.map_err(|error| read_error(&error.to_string()))?;
            if bytes.is_empty() {
                return Err(read_error("the snapshot's file is shorter than it was"));
            }
            let len = bytes.len();
            let chunk = SnapshotChunk { transfer: self.transfer, offset, bytes };
            if let Some(higher) = self.ask(FrameKind::SnapshotChunk, raft_payload::encode(&chunk), CHUNK_LIMIT).await? {
                return Ok(Some(higher));
            }
            offset += u64::try_from(len).unwrap_or(u64::MAX);
        }
        Ok(None)
    }

    /// Asks until it is answered; a vote comes back if the receiver follows a later leader.
    async fn ask(&self, kind: FrameKind, payload: Vec<u8>, limit: Duration) -> Result<Option<RaftVote>, Failed> {
        let mut tries = 0;
        loop {
            tries += 1;
            let asked = self.transport.ask(self.peer, kind, payload.clone(), limit).await;
            let error = match asked {
                Ok(answer) => return self.read(&answer),
                Err(error) => error,
            };
            if tries == TRIES || is_final(&error) {
                return Err(StreamingError::Unreachable(Unreachable::new(&error)));
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    fn read(&self, answer: &[u8]) -> Result<Option<RaftVote>, Failed> {
        let theirs: RaftVote =
            raft_payload::decode(answer).map_err(|error| StreamingError::Network(NetworkError::new(&error)))?;
        Ok((theirs > self.vote).then_some(theirs))
    }
}

/// Whether trying the same question again is of no use.
fn is_final(error: &AskError) -> bool {
    match error {
        AskError::Unknown => true,
        AskError::Refused(refusal) => !matches!(refusal, PeerRefusal::Busy | PeerRefusal::Deadline),
        AskError::Unreachable(_) | AskError::Busy | AskError::Timeout | AskError::Malformed => false,
    }
}

/// Equal for repeated tries of one leader with one snapshot, different otherwise.
fn transfer_name(snapshot: &str, vote: &RaftVote) -> [u8; 16] {
    let digest = ring::digest::digest(&ring::digest::SHA256, format!("{snapshot} {vote}").as_bytes());
    let mut name = [0; 16];
    name.copy_from_slice(&digest.as_ref()[..16]);
    name
}

fn read_error(why: &str) -> Failed {
    StreamingError::StorageError(StorageIOError::read_snapshot(None, AnyError::error(why)).into())
}
