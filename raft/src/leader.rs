//! Who leads, as openraft's metrics tell it, and waiting for that to change.

use conclave_proto::id::{LogIndex, NodeId, PeerName};
use openraft::{RaftMetrics, ServerState};
use tokio::sync::watch;

use crate::identity::{Membership, Peer};
use crate::types::{Member, TypeConfig};

/// The consensus core's handle.
pub(crate) type Raft = openraft::Raft<TypeConfig>;

/// Who leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leader {
    /// This replica.
    Me,
    /// Another one.
    Other(NodeId),
    /// Nobody that is known here.
    Nobody,
    /// The consensus core has stopped.
    Stopped,
}

/// openraft's published metrics, read as Conclave needs them.
#[derive(Clone)]
pub(crate) struct LeaderView {
    metrics: watch::Receiver<RaftMetrics<u64, Member>>,
}

impl LeaderView {
    pub(crate) fn new(metrics: watch::Receiver<RaftMetrics<u64, Member>>) -> Self {
        Self { metrics }
    }

    /// Who leads now.
    pub(crate) fn now(&self) -> Leader {
        read(&self.metrics.borrow())
    }

    /// Whether this replica leads.
    pub(crate) fn is_me(&self) -> bool {
        self.now() == Leader::Me
    }

    /// The leader's name and id, if it is another replica.
    pub(crate) fn peer(&self) -> Option<Peer> {
        let Leader::Other(id) = self.now() else {
            return None;
        };
        Some(Peer { name: self.name_of(id)?, id: Some(id) })
    }

    /// A member's name.
    pub(crate) fn name_of(&self, id: NodeId) -> Option<PeerName> {
        let metrics = self.metrics.borrow();
        let member = metrics.membership_config.membership().get_node(&id.get())?;
        PeerName::parse(&member.name).ok()
    }

    /// The leader's name, this replica included.
    pub(crate) fn leader_name(&self) -> Option<PeerName> {
        let id = self.metrics.borrow().current_leader?;
        self.name_of(NodeId::new(id))
    }

    /// The members by the log.
    pub(crate) fn members(&self) -> std::sync::Arc<Membership> {
        std::sync::Arc::clone(&self.metrics.borrow().membership_config)
    }

    /// All of openraft's metrics.
    pub(crate) fn metrics(&self) -> RaftMetrics<u64, Member> {
        self.metrics.borrow().clone()
    }

    /// The last entry in this replica's log.
    pub(crate) fn last_log(&self) -> LogIndex {
        LogIndex::new(self.metrics.borrow().last_log_index.unwrap_or(0))
    }

    /// Waits until anything is published that this clone has not seen.
    pub(crate) async fn changed(&mut self) {
        if self.metrics.changed().await.is_err() {
            // The core is gone; there is no news to come.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until another leads than was seen, for at most `pause`. Openraft publishes anew with each
    /// entry, so that waiting for any change at all would be no pause on a busy cluster.
    pub(crate) async fn news_since(&mut self, seen: Leader, pause: std::time::Duration) {
        let news = self.metrics.wait_for(|metrics| read(metrics) != seen);
        let gone = tokio::time::timeout(pause, news).await.is_ok_and(|news| news.is_err());
        if gone {
            // There is no news to come.
            tokio::time::sleep(pause).await;
        }
    }

    /// Waits until this replica no longer leads.
    pub(crate) async fn until_not_me(&mut self) {
        let _ = self.metrics.wait_for(|metrics| read(metrics) != Leader::Me).await;
    }

    /// Waits until that replica no longer leads, as far as is known here.
    pub(crate) async fn until_not(&mut self, leader: NodeId) {
        let _ = self.metrics.wait_for(|metrics| read(metrics) != Leader::Other(leader)).await;
    }

    /// Waits until this replica leads.
    pub(crate) async fn until_me(&mut self) {
        if self.metrics.wait_for(|metrics| read(metrics) == Leader::Me).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn read(metrics: &RaftMetrics<u64, Member>) -> Leader {
    if metrics.running_state.is_err() || metrics.state == ServerState::Shutdown {
        return Leader::Stopped;
    }
    match metrics.current_leader {
        Some(id) if id == metrics.id && metrics.state == ServerState::Leader => Leader::Me,
        // Elected, but not told so yet.
        Some(id) if id == metrics.id => Leader::Nobody,
        Some(id) => Leader::Other(NodeId::new(id)),
        None => Leader::Nobody,
    }
}
