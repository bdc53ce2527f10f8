//! How a cluster comes to be, once.
//!
//! The peer with the lowest name founds, and only when every configured peer answers and says that
//! it is pristine: its disk has never held a vote or an entry. The steps, and what a crash after
//! each leaves behind:
//! 1. The founder mints the cluster id and has it on its disk. Alone it means nothing; after a
//!    restart the same id is used.
//! 2. Every peer adopts the id, durably, and answers. It stays pristine: until it has voted or
//!    stored an entry, the founder may come again, with the same id or, after losing its disk, with
//!    another. From here on Raft's messages must carry the id.
//! 3. The founder initialises Raft with everyone. Whoever took part in an election or stored an
//!    entry is no longer pristine and refuses another founding, so a founder that loses its disk
//!    now finds a cluster that remembers. If nobody did, nothing was ever acknowledged.
//! 4. Whoever leads proposes `Found` with the id on its disk and a fresh cluster key. A leader that
//!    dies before it commits is followed by one that does the same; the second `Found` is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use conclave_proto::command::{Command, FEATURE_LEVEL, Found, KeyEnvelope, Refusal};
use conclave_proto::id::{ClusterId, NodeId, PeerName};
use conclave_proto::keyring::ClusterKey;
use conclave_proto::wire::{FrameHead, FrameKind, Hello, PeerRefusal, Versioned, peers_hash};

use crate::error::WriteError;
use crate::identity::Peer;
use crate::rpc::raft_payload::{self, Adopt};
use crate::shared::Shared;
use crate::status::{NotReadyReason, StoreEvent};
use crate::transport::AskError;
use crate::types::Member;

/// Between two rounds of asking everyone.
const ROUND_PAUSE: Duration = Duration::from_millis(200);

/// Longest time for one question of a round: DNS may be slow when everything starts at once.
const QUESTION_LIMIT: Duration = Duration::from_secs(5);

/// Longest time for one proposal of the first command.
const PROPOSAL_LIMIT: Duration = Duration::from_secs(10);

/// Why a round ended without a cluster.
enum Unfounded {
    /// For now.
    Yet(String),
    /// Somebody remembers a cluster: this disk founds none.
    Never(NotReadyReason),
}

/// Founds a cluster if there is none to remember, and sees to it that `Found` is in the log.
pub(crate) async fn run(shared: Arc<Shared>) {
    while shared.is_pristine().await {
        match round(&shared).await {
            Ok(()) => break,
            Err(reason) => note(&shared, reason),
        }
        tokio::time::sleep(ROUND_PAUSE).await;
    }
    *shared.flags.founding.lock() = None;
    propose(&shared).await;
}

fn note(shared: &Shared, reason: Unfounded) {
    let reason = match reason {
        Unfounded::Yet(waits_for) => NotReadyReason::NotFounded(waits_for),
        Unfounded::Never(reason) => reason,
    };
    let mut held = shared.flags.founding.lock();
    if held.as_ref() != Some(&reason) {
        tracing::info!(%reason, "no cluster yet");
        *held = Some(reason);
    }
}

/// One try. Ends well when Raft is initialised here, whoever did it.
async fn round(shared: &Arc<Shared>) -> Result<(), Unfounded> {
    let hellos = ask_all(shared).await?;
    let founder = shared.config.full_set().into_iter().next();
    if founder.as_ref() != Some(shared.identity.name()) {
        let founder = founder.map_or_else(String::new, |name| name.to_string());
        return Err(Unfounded::Yet(format!("{founder} founds it, once it reaches every peer")));
    }
    let ids: BTreeSet<NodeId> = hellos.iter().map(|hello| hello.node).collect();
    if ids.len() < hellos.len() {
        return Err(Unfounded::Yet("two peers have the same node id: one disk is a copy of another's".to_owned()));
    }
    let cluster = own_cluster(shared).await?;
    let mut members = vec![(shared.identity.node(), shared.identity.name().clone())];
    members.extend(hellos.iter().map(|hello| (hello.node, hello.name.clone())));
    adopt_everywhere(shared, cluster, &members).await?;
    initialize(shared, &members).await
}

/// Everyone's word, if everyone answers and is pristine.
async fn ask_all(shared: &Arc<Shared>) -> Result<Vec<Hello>, Unfounded> {
    let mine = shared.hello().await;
    let questions = shared.identity.others().map(|name| {
        let peer = Peer { name: name.clone(), id: None };
        let question = mine.to_bytes();
        async move {
            let asked = shared.transport.ask(&peer, FrameKind::Hello, question, QUESTION_LIMIT).await;
            (peer.name, asked)
        }
    });
    let answers = futures::future::join_all(questions).await;
    let mut hellos: Vec<Hello> = Vec::with_capacity(answers.len());
    let mut missing = None;
    for (name, answer) in answers {
        match read_hello(&mine, &name, answer) {
            Ok(hello) => hellos.push(hello),
            // That somebody remembers counts even if another does not answer.
            Err(Unfounded::Never(reason)) => return Err(Unfounded::Never(reason)),
            Err(Unfounded::Yet(why)) => missing = Some(why),
        }
    }
    match missing {
        Some(why) => Err(Unfounded::Yet(why)),
        None => Ok(hellos),
    }
}

fn read_hello(mine: &Hello, name: &PeerName, answer: Result<Vec<u8>, AskError>) -> Result<Hello, Unfounded> {
    let bytes = answer.map_err(|error| Unfounded::Yet(format!("{name} {error}")))?;
    let hello = Hello::from_bytes(&bytes).map_err(|_| Unfounded::Yet(format!("{name} speaks another version")))?;
    if hello.name != *name || hello.node == mine.node {
        return Err(Unfounded::Yet(format!("{name} says that it is {}, node {}", hello.name, hello.node)));
    }
    if !hello.pristine {
        let reason = match hello.cluster {
            Some(cluster) => NotReadyReason::OthersRemember { peer: name.clone(), cluster },
            None => NotReadyReason::NotFounded(format!("{name} remembers a cluster that it cannot name")),
        };
        return Err(Unfounded::Never(reason));
    }
    if hello.peers_hash != mine.peers_hash {
        return Err(Unfounded::Yet(format!("{name} is configured with another list of peers")));
    }
    Ok(hello)
}

/// Step 1: the id, on this disk before anybody hears of it.
async fn own_cluster(shared: &Shared) -> Result<ClusterId, Unfounded> {
    if let Some(cluster) = shared.identity.cluster() {
        return Ok(cluster);
    }
    let cluster = ClusterId::from_bytes(shared.draw());
    let kept = shared.meta.remember_cluster(cluster).await;
    kept.map_err(|error| Unfounded::Yet(error.to_string()))?;
    shared.identity.set_cluster(cluster);
    Ok(cluster)
}

/// Step 2.
async fn adopt_everywhere(
    shared: &Shared,
    cluster: ClusterId,
    members: &[(NodeId, PeerName)],
) -> Result<(), Unfounded> {
    let adopt = Adopt { cluster, peers_hash: peers_hash(&shared.config.full_set()), members: members.to_vec() };
    let question = raft_payload::encode(&adopt);
    let others = members.iter().filter(|(id, _)| *id != shared.identity.node());
    let questions = others.map(|(id, name)| {
        let peer = Peer { name: name.clone(), id: Some(*id) };
        let question = question.clone();
        async move {
            let asked = shared.transport.ask(&peer, FrameKind::Adopt, question, QUESTION_LIMIT).await;
            asked.map_err(|error| Unfounded::Yet(format!("{} {error}", peer.name)))
        }
    });
    futures::future::try_join_all(questions).await.map(|_adopted| ())
}

/// A peer's side of step 2: takes the founder's id, if this disk has promised nothing yet.
pub(crate) async fn adopt(shared: &Shared, head: &FrameHead, question: &Adopt) -> Result<(), PeerRefusal> {
    // No vote and no entry may be taken between the look at the disk and the new id on it.
    let _gate = shared.founding_gate.write().await;
    let full_set = shared.config.full_set();
    let mut named: Vec<PeerName> = question.members.iter().map(|(_, name)| name.clone()).collect();
    named.sort();
    let me = (shared.identity.node(), shared.identity.name().clone());
    let agreed = full_set.first() == Some(&head.from_name)
        && question.peers_hash == peers_hash(&full_set)
        && named == full_set
        && question.members.contains(&me)
        && question.members.contains(&(head.from, head.from_name.clone()));
    if !agreed || !shared.is_pristine().await {
        return Err(PeerRefusal::NotReady);
    }
    if shared.identity.cluster() == Some(question.cluster) {
        return Ok(());
    }
    shared.meta.remember_cluster(question.cluster).await.map_err(|_| PeerRefusal::NotReady)?;
    shared.identity.set_cluster(question.cluster);
    Ok(())
}

/// Step 3.
async fn initialize(shared: &Shared, members: &[(NodeId, PeerName)]) -> Result<(), Unfounded> {
    let nodes: BTreeMap<u64, Member> =
        members.iter().map(|(id, name)| (id.get(), Member { name: name.as_str().to_owned() })).collect();
    let done = tokio::time::timeout(PROPOSAL_LIMIT, shared.raft.initialize(nodes)).await;
    match done {
        Ok(Ok(())) => Ok(()),
        // Initialised in the meantime: by an earlier try of this process.
        Ok(Err(openraft::error::RaftError::APIError(openraft::error::InitializeError::NotAllowed(_)))) => Ok(()),
        Ok(Err(error)) => Err(Unfounded::Yet(error.to_string())),
        Err(_elapsed) => Err(Unfounded::Yet("the disk is slow".to_owned())),
    }
}

/// Step 4: until some leader's `Found` is applied, propose it whenever this replica leads.
async fn propose(shared: &Arc<Shared>) {
    let mut applied = shared.index.watch_applied();
    loop {
        if let Some(founded) = shared.state.founded() {
            shared.tell(StoreEvent::Founded { cluster: founded.cluster });
            return;
        }
        let mut leaders = shared.leaders.clone();
        tokio::select! {
            () = leaders.until_me() => propose_once(shared).await,
            _ = applied.changed() => {}
        }
    }
}

async fn propose_once(shared: &Arc<Shared>) {
    // Entries of an earlier leader may hold it already: a round shows where this leader's log begins.
    if shared.rounds.ask().await.is_err() || shared.state.founded().is_some() {
        tokio::time::sleep(ROUND_PAUSE).await;
        return;
    }
    let Some(cluster) = shared.identity.cluster() else {
        tracing::error!("this replica leads but its disk names no cluster");
        tokio::time::sleep(QUESTION_LIMIT).await;
        return;
    };
    let found = Found { cluster, envelopes: wrap_fresh_key(shared, cluster), feature_level: FEATURE_LEVEL };
    match shared.write(Command::Found(found), PROPOSAL_LIMIT).await {
        Ok(_) => tracing::info!(%cluster, "founded the cluster"),
        Err(WriteError::Refused(Refusal::AlreadyFounded)) => {}
        Err(error) => {
            tracing::warn!(%error, "the cluster could not be founded yet");
            tokio::time::sleep(ROUND_PAUSE).await;
        }
    }
}

/// A random cluster key, wrapped under each configured secret.
pub(crate) fn wrap_fresh_key(shared: &Shared, cluster: ClusterId) -> Vec<KeyEnvelope> {
    let key = ClusterKey::mint(shared.draw());
    shared.config.secrets.iter().map(|secret| key.wrap(secret, cluster, shared.draw())).collect()
}
