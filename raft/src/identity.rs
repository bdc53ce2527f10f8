//! Who this replica is, and the checks that a peer's message must pass before it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use conclave_proto::id::{ClusterId, Epoch, NodeId, PeerName};
use conclave_proto::time::Entropy;
use conclave_proto::wire::{FrameHead, FrameKind, PeerRefusal, Recipient};
use parking_lot::RwLock;

use crate::tls::certificate_names;
use crate::types::Member;

/// A peer to ask: its name, and its node id once the membership tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) name: PeerName,
    pub(crate) id: Option<NodeId>,
}

/// This replica's names, cluster and epoch.
pub(crate) struct Identity {
    node: NodeId,
    name: PeerName,
    peers: Vec<PeerName>,
    cluster: RwLock<Option<ClusterId>>,
    epoch: AtomicU32,
    entropy: Arc<dyn Entropy>,
}

/// The members by the log, as openraft holds them.
pub(crate) type Membership = openraft::StoredMembership<u64, Member>;

impl Identity {
    pub(crate) fn new(
        node: NodeId,
        name: PeerName,
        peers: Vec<PeerName>,
        cluster: Option<ClusterId>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { node, name, peers, cluster: RwLock::new(cluster), epoch: AtomicU32::new(0), entropy }
    }

    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    pub(crate) fn name(&self) -> &PeerName {
        &self.name
    }

    /// The other configured replicas.
    pub(crate) fn others(&self) -> impl Iterator<Item = &PeerName> {
        self.peers.iter().filter(|peer| **peer != self.name)
    }

    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        *self.cluster.read()
    }

    /// Speaks for that cluster from now on; it is on the disk already.
    pub(crate) fn set_cluster(&self, cluster: ClusterId) {
        *self.cluster.write() = Some(cluster);
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch::new(self.epoch.load(Ordering::Acquire))
    }

    pub(crate) fn set_epoch(&self, epoch: Epoch) {
        self.epoch.store(epoch.get(), Ordering::Release);
    }

    /// The head of a question to that peer.
    pub(crate) fn head(&self, to: &Peer, kind: FrameKind) -> FrameHead {
        let mut question = [0; 16];
        self.entropy.fill(&mut question);
        FrameHead {
            cluster: self.cluster(),
            epoch: self.epoch(),
            from: self.node,
            from_name: self.name.clone(),
            to: to.id,
            to_name: to.name.clone(),
            question,
            kind,
        }
    }

    /// Everything that can be checked without a byte of the payload.
    pub(crate) fn admit(&self, head: &FrameHead, certificate: &[u8], members: &Membership) -> Result<(), PeerRefusal> {
        let known_name = self.others().any(|peer| *peer == head.from_name);
        if !known_name || !certificate_names(certificate, &head.from_name) {
            return Err(PeerRefusal::UnknownSender);
        }
        let me = Recipient {
            // A founder may come again with another id, as long as nothing was promised under the first.
            cluster: self.cluster().filter(|_| head.kind != FrameKind::Adopt),
            epoch: self.epoch(),
            node: self.node,
            name: self.name.clone(),
        };
        head.admit(&me)?;
        if head.kind.is_introduction() || head.kind == FrameKind::Adopt {
            return Ok(());
        }
        // Without a cluster there is nothing to hold the sender's against, so nothing is taken from it.
        if me.cluster.is_none() {
            return Err(PeerRefusal::NotReady);
        }
        check_member(head, members)
    }
}

/// A name is only a claim until the membership maps it to the sender's id. Before the first entry
/// has told the members, the cluster id that the founder handed out stands in.
fn check_member(head: &FrameHead, members: &Membership) -> Result<(), PeerRefusal> {
    let members = members.membership();
    if members.nodes().next().is_none() {
        return Ok(());
    }
    match members.get_node(&head.from.get()) {
        Some(member) if member.name == head.from_name.as_str() => Ok(()),
        Some(_) | None => Err(PeerRefusal::UnknownSender),
    }
}
