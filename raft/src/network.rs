//! openraft's network: its messages as frames to peers.

use std::sync::Arc;
use std::time::Duration;

use conclave_proto::id::{NodeId, PeerName};
use conclave_proto::wire::FrameKind;
use openraft::RPCTypes;
use openraft::error::{
    Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::identity::Peer;
use crate::rpc::raft_payload;
use crate::send_snapshot;
use crate::transport::{AskError, Transport};
use crate::types::{Member, RaftSnapshot, RaftVote, TypeConfig};

/// Makes clients; they connect when they first ask.
pub(crate) struct Network {
    transport: Arc<Transport>,
    heartbeat: Duration,
}

impl Network {
    pub(crate) fn new(transport: Arc<Transport>, heartbeat: Duration) -> Self {
        Self { transport, heartbeat }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = PeerLink;

    /// Does no IO: openraft awaits it inside its core.
    async fn new_client(&mut self, target: u64, node: &Member) -> PeerLink {
        let name = PeerName::parse(&node.name).ok();
        PeerLink { transport: Arc::clone(&self.transport), target, name, heartbeat: self.heartbeat }
    }
}

/// One peer, as openraft sees it.
pub(crate) struct PeerLink {
    transport: Arc<Transport>,
    target: u64,
    name: Option<PeerName>,
    heartbeat: Duration,
}

impl PeerLink {
    fn peer(&self) -> Result<Peer, AskError> {
        let name = self.name.clone().ok_or(AskError::Unknown)?;
        Ok(Peer { name, id: Some(NodeId::new(self.target)) })
    }

    async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        kind: FrameKind,
        question: &Q,
        limit: Duration,
    ) -> Result<A, AskError> {
        let payload = raft_payload::encode(question);
        let answer = self.transport.ask(&self.peer()?, kind, payload, limit).await?;
        raft_payload::decode(&answer).map_err(|_| AskError::Malformed)
    }

    fn rpc_error<E: std::error::Error>(
        &self,
        error: AskError,
        action: RPCTypes,
        timeout: Duration,
    ) -> RPCError<u64, Member, E> {
        match error {
            AskError::Timeout => RPCError::Timeout(Timeout { action, id: self.target, target: self.target, timeout }),
            AskError::Malformed | AskError::Busy => RPCError::Network(NetworkError::new(&error)),
            AskError::Unknown | AskError::Unreachable(_) | AskError::Refused(_) => {
                RPCError::Unreachable(Unreachable::new(&error))
            }
        }
    }
}

impl RaftNetwork<TypeConfig> for PeerLink {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, Member, RaftError<u64>>> {
        let limit = option.hard_ttl();
        let asked = self.ask(FrameKind::Append, &rpc, limit).await;
        asked.map_err(|error| self.rpc_error(error, RPCTypes::AppendEntries, limit))
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, Member, RaftError<u64>>> {
        let limit = option.hard_ttl();
        let asked = self.ask(FrameKind::Vote, &rpc, limit).await;
        asked.map_err(|error| self.rpc_error(error, RPCTypes::Vote, limit))
    }

    async fn full_snapshot(
        &mut self,
        vote: RaftVote,
        snapshot: RaftSnapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<TypeConfig, Fatal<u64>>> {
        let peer = self.peer().map_err(|error| Unreachable::new(&error))?;
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = send_snapshot::send(&self.transport, &peer, vote, snapshot) => sent,
        }
    }

    /// A peer that is back should hear from its leader within a heartbeat.
    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(self.heartbeat))
    }
}
