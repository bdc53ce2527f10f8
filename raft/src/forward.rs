//! Brings a batch to the log: proposes it here, or forwards it to the leader, and goes on across
//! changes of leader for as long as anyone waits for it.

use std::sync::Arc;
use std::time::Duration;

use conclave_proto::command::{BATCH_SCHEMA, Batch, Outcome, Refusal, Tagged};
use conclave_proto::id::{LogIndex, NodeId, PeerName};
use conclave_proto::time::{Clock, Ttl};
use conclave_proto::wire::{Forward, Forwarded, FrameKind, PeerRefusal, Versioned, Written};

use crate::batcher::{Deliver, Failed, Pending, all_abandoned};
use crate::disk::DiskSpace;
use crate::error::WriteError;
use crate::health::{Health, MemberRoom};
use crate::identity::Peer;
use crate::leader::{Leader, LeaderView, Raft};
use crate::observer::StoreObserver;
use crate::room::takes_logins;
use crate::rounds::leader_time;
use crate::state::StateHandle;
use crate::transport::{AskError, Transport};
use crate::types::Proposal;
use tokio::sync::watch;

/// Between two tries that failed for other reasons than a change of leader.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

/// Longest time one try at one leader may take; a leader that is cut off never answers.
const TRY_PATIENCE: Ttl = Ttl::from_secs(10);

/// Delivers batches of this replica.
pub(crate) struct Router {
    pub(crate) raft: Raft,
    pub(crate) leaders: LeaderView,
    pub(crate) transport: Arc<Transport>,
    pub(crate) state: StateHandle,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Arc<dyn StoreObserver>,
    pub(crate) space: watch::Receiver<DiskSpace>,
    pub(crate) health: Arc<Health>,
}

/// How one try ended without a result.
enum Again {
    /// The leader changed, or it is not who was thought: look again.
    Elsewhere,
    /// Nothing changed: pause first.
    Later,
}

impl Deliver for Router {
    async fn deliver(&self, mut batch: Vec<Pending>) {
        loop {
            batch.retain(Pending::is_wanted);
            if batch.is_empty() {
                return;
            }
            let seen = self.leaders.now();
            let tried = match seen {
                Leader::Me => {
                    batch = self.without_what_has_no_room(batch);
                    if batch.is_empty() {
                        return;
                    }
                    self.propose(&batch).await
                }
                Leader::Other(leader) => {
                    batch = give_back(batch);
                    if batch.is_empty() {
                        return;
                    }
                    self.forward(leader, &mut batch).await
                }
                Leader::Nobody => {
                    batch = give_back(batch);
                    Err(Again::Later)
                }
                Leader::Stopped => return finish_all(batch, &Failed::Refused(WriteError::Stopping)),
            };
            match tried {
                Ok(results) => return finish_each(batch, results),
                Err(Again::Elsewhere) => {}
                // Whichever comes first: another leader, or the time for another try.
                Err(Again::Later) => self.leaders.clone().news_since(seen, RETRY_PAUSE).await,
            }
        }
    }
}

impl Router {
    /// Refuses logins while disks are nearly full: here, before they are proposed, since `apply`
    /// must do the same at every replica. What ends sessions goes on. A login whose earlier try may
    /// have been committed under another leader is refused too: its session has no browser.
    fn without_what_has_no_room(&self, batch: Vec<Pending>) -> Vec<Pending> {
        let needs_room = |pending: &Pending| pending.tagged.command.needs_room();
        if !batch.iter().any(needs_room) || takes_logins(self.space.borrow().room, &self.rooms_of_others()) {
            return batch;
        }
        let (refused, rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(needs_room);
        let outcome = Outcome::Refused(Refusal::StorageNearlyFull);
        for pending in refused {
            pending.finish(Ok(Written { index: LogIndex::new(0), outcome: outcome.clone() }));
        }
        rest
    }

    fn rooms_of_others(&self) -> Vec<MemberRoom> {
        let members = self.leaders.members();
        let (me, membership) = (self.leaders.metrics().id, members.membership());
        let others = membership.voter_ids().filter(|id| *id != me);
        let name = |id: u64| PeerName::parse(&membership.get_node(&id)?.name).ok();
        others.map(|id| name(id).map_or(MemberRoom::Unknown, |name| self.health.room_of(&name))).collect()
    }

    /// One log entry. The result may stay unknown: then the same tags are tried again. While this
    /// replica leads without a quorum nothing is answered, and the slot stays taken on purpose: a
    /// leader that is cut off would otherwise fill its log with entries that nobody waits for.
    async fn propose(&self, batch: &[Pending]) -> Result<Vec<Written>, Again> {
        let commands: Vec<Tagged> = batch.iter().map(|pending| pending.tagged.clone()).collect();
        let count = commands.len();
        let stamped_at = leader_time(&self.state, &*self.clock);
        let proposal = Proposal::new(&Batch { schema: BATCH_SCHEMA, stamped_at, commands });
        self.observer.proposed(count, proposal.as_bytes().len());
        let Ok(answer) = self.raft.client_write_ff(proposal).await else {
            return Err(Again::Later);
        };
        let mut leaders = self.leaders.clone();
        let answered = tokio::select! {
            answered = answer => answered,
            // Whether the entry survives is the next leader's to say: the tags make asking safe.
            () = leaders.until_not_me() => return Err(Again::Elsewhere),
        };
        let Ok(Ok(response)) = answered else {
            return Err(Again::Later);
        };
        let index = LogIndex::new(response.log_id.index);
        let outcomes = response.data.0;
        if outcomes.len() != count {
            return Err(Again::Later);
        }
        Ok(outcomes.into_iter().map(|outcome| Written { index, outcome }).collect())
    }

    async fn forward(&self, leader: NodeId, batch: &mut [Pending]) -> Result<Vec<Written>, Again> {
        let Some(name) = self.leaders.name_of(leader) else {
            return Err(Again::Later);
        };
        let commands: Vec<Tagged> = batch.iter().map(|pending| pending.tagged.clone()).collect();
        let count = commands.len();
        let question = Forward { commands, patience: TRY_PATIENCE }.to_bytes();
        let peer = Peer { name, id: Some(leader) };
        let mut leaders = self.leaders.clone();
        let answered = tokio::select! {
            answered = self.transport.ask(&peer, FrameKind::Forward, question, TRY_PATIENCE.as_duration()) => answered,
            () = leaders.until_not(leader) => return Err(Again::Elsewhere),
            () = all_abandoned(batch) => return Err(Again::Elsewhere),
        };
        match answered {
            Ok(bytes) => match Forwarded::from_bytes(&bytes) {
                Ok(answer) if answer.written.len() == count => Ok(answer.written),
                Ok(_) | Err(_) => Err(Again::Later),
            },
            Err(AskError::Refused(PeerRefusal::TooLarge)) => {
                let refused = Written { index: LogIndex::new(0), outcome: Outcome::Refused(Refusal::TooLarge) };
                Ok(vec![refused; count])
            }
            Err(_) => Err(Again::Later),
        }
    }
}

/// A forwarded command is never sent on: chains of forwards could go in circles.
fn give_back(batch: Vec<Pending>) -> Vec<Pending> {
    let (forwarded, own): (Vec<_>, Vec<_>) = batch.into_iter().partition(|pending| pending.forwarded);
    finish_all(forwarded, &Failed::NotLeading);
    own
}

fn finish_all(batch: Vec<Pending>, failed: &Failed) {
    for pending in batch {
        pending.finish(Err(failed.clone()));
    }
}

fn finish_each(batch: Vec<Pending>, results: Vec<Written>) {
    for (pending, written) in batch.into_iter().zip(results) {
        pending.finish(Ok(written));
    }
}
