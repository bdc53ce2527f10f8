//! Small values that belong to this disk: its node id and the cluster it is part of.

use std::sync::Arc;

use conclave_proto::id::{ClusterId, NodeId};
use parking_lot::Mutex;

use crate::fatal::OrEnd;
use crate::flusher::{Closed, Flusher};
use crate::limits::ROW_OVERHEAD_BYTES;
use crate::log_store::LogStore;
use crate::rows::{MetaKey, encode_meta};

/// A handle on this disk's own values; cheap to clone.
#[derive(Clone)]
pub struct MetaHandle(Arc<Inner>);

struct Inner {
    tree: sled::Tree,
    flusher: Flusher,
    log: LogStore,
    node_id: NodeId,
    cluster: Mutex<Option<ClusterId>>,
}

impl MetaHandle {
    pub(crate) fn new(
        tree: sled::Tree,
        flusher: Flusher,
        log: LogStore,
        node_id: NodeId,
        cluster: Option<ClusterId>,
    ) -> Self {
        Self(Arc::new(Inner { tree, flusher, log, node_id, cluster: Mutex::new(cluster) }))
    }

    /// The random id minted with this disk.
    pub fn node_id(&self) -> NodeId {
        self.0.node_id
    }

    /// The cluster that this disk was told it belongs to.
    pub fn cluster(&self) -> Option<ClusterId> {
        *self.0.cluster.lock()
    }

    /// Whether this disk never took part in any cluster: no vote, no entry, no cluster id.
    pub fn is_pristine(&self) -> bool {
        self.cluster().is_none() && self.0.log.is_pristine()
    }

    /// Remembers the cluster, durably before it returns.
    pub async fn remember_cluster(&self, cluster: ClusterId) -> Result<(), Closed> {
        let row = encode_meta(&cluster);
        let room = self.0.flusher.room(row.len() + ROW_OVERHEAD_BYTES).await;
        self.0.tree.insert(MetaKey::Cluster.bytes(), row).or_end("remembering the cluster");
        drop(room);
        *self.0.cluster.lock() = Some(cluster);
        self.0.flusher.sync().await
    }
}
