//! openraft's `RaftStateMachine`: applies committed entries, builds and installs snapshots.

use std::sync::Arc;

use conclave_proto::id::LogIndex;
use conclave_proto::transition::{self, Changes};
use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, OptionalSend, StorageIOError};

use crate::cleaner::CleanerHandle;
use crate::fatal::OrEnd;
use crate::snapshot::{ReceivedSnapshot, SnapshotBuilder, SnapshotFile, SnapshotInbox, SnapshotSource, Snapshots};
use crate::state::{ApplyHealth, State, TreeView};
use crate::types::{
    Proposal, RaftEntry, RaftLogId, RaftMembership, RaftSnapshot, RaftSnapshotMeta, RaftStorageError, Reply, TypeConfig,
};

/// openraft's state machine.
pub struct StateMachine {
    state: Arc<State>,
    snapshots: Arc<Snapshots>,
    cleaner: CleanerHandle,
}

/// An entry that this program does not understand.
struct NotUnderstood {
    at: LogIndex,
    why: String,
}

impl StateMachine {
    pub(crate) fn new(state: Arc<State>, snapshots: Arc<Snapshots>, cleaner: CleanerHandle) -> Self {
        Self { state, snapshots, cleaner }
    }

    async fn install(&self, received: Arc<ReceivedSnapshot>) -> Result<(), RaftStorageError> {
        let (state, snapshots, cleaner) = (Arc::clone(&self.state), Arc::clone(&self.snapshots), self.cleaner.clone());
        let switch = move || {
            let old = state.switch(received.generation(), received.applied.clone());
            received.keep(&snapshots).or_end("keeping an installed snapshot's file");
            cleaner.discard(old);
        };
        tokio::task::spawn_blocking(switch).await.map_err(|panic| write_error(&panic))
    }

    /// A file of this disk, handed back: openraft's conformance suite does this.
    async fn receive_own(
        &self,
        meta: &RaftSnapshotMeta,
        file: &Arc<SnapshotFile>,
    ) -> Result<Arc<ReceivedSnapshot>, RaftStorageError> {
        let mut receiver = SnapshotInbox(Arc::clone(&self.snapshots)).receive().map_err(|e| write_error(&e))?;
        while receiver.offset() < file.len() {
            let chunk = file.chunk(receiver.offset(), OWN_CHUNK_BYTES).await.map_err(|e| write_error(&e))?;
            receiver.write_chunk(&chunk).await.map_err(|e| write_error(&e))?;
        }
        match receiver.finish(meta).await.map_err(|e| write_error(&e))? {
            SnapshotSource::Received(received) => Ok(received),
            SnapshotSource::Built(_) | SnapshotSource::Empty => Err(write_error(&NothingReceived)),
        }
    }
}

const OWN_CHUNK_BYTES: usize = 1024 * 1024;

#[derive(Debug, thiserror::Error)]
#[error("no snapshot was received")]
struct NothingReceived;

fn write_error<E: std::error::Error + 'static>(error: &E) -> RaftStorageError {
    StorageIOError::write_snapshot(None, openraft::AnyError::new(error)).into()
}

/// Applies entries in order; stops before the first that is not understood.
fn apply_all(state: &State, entries: Vec<RaftEntry>) -> Result<Vec<Reply>, NotUnderstood> {
    entries.into_iter().map(|entry| apply_one(state, entry)).collect()
}

fn apply_one(state: &State, entry: RaftEntry) -> Result<Reply, NotUnderstood> {
    let log_id = entry.log_id;
    match entry.payload {
        EntryPayload::Blank => {
            state.write(&Changes::default(), |applied| applied.last = Some(log_id));
            Ok(Reply::default())
        }
        EntryPayload::Membership(membership) => {
            state.write(&Changes::default(), |applied| {
                applied.last = Some(log_id);
                applied.membership = RaftMembership::new(Some(log_id), membership);
            });
            Ok(Reply::default())
        }
        EntryPayload::Normal(proposal) => apply_batch(state, log_id, &proposal),
    }
}

fn apply_batch(state: &State, log_id: RaftLogId, proposal: &Proposal) -> Result<Reply, NotUnderstood> {
    let at = LogIndex::new(log_id.index);
    let batch = proposal.decode().map_err(|error| NotUnderstood { at, why: error.to_string() })?;
    if !batch.is_understood() {
        return Err(NotUnderstood { at, why: format!("schema {} is not known", batch.schema) });
    }
    let (outcomes, changes) = transition::apply(&TreeView(&state.generation()), at, &batch);
    state.write(&changes, |applied| applied.last = Some(log_id));
    Ok(Reply(outcomes))
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<RaftLogId>, RaftMembership), RaftStorageError> {
        let applied = self.state.applied();
        Ok((applied.last, applied.membership))
    }

    /// Never returns once an entry was not understood: any error would end Raft on this replica,
    /// which can still vote and keep the log for the others.
    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Reply>, RaftStorageError>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let state = Arc::clone(&self.state);
        let applied = tokio::task::spawn_blocking(move || apply_all(&state, entries)).await;
        match applied.map_err(|panic| StorageIOError::write_state_machine(openraft::AnyError::new(&panic)))? {
            Ok(replies) => Ok(replies),
            Err(NotUnderstood { at, why }) => {
                tracing::error!(index = at.get(), %why, "an entry is not understood; nothing more is applied");
                self.state.health.send_replace(ApplyHealth::Stopped { at, why });
                std::future::pending().await
            }
        }
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder::begin(Arc::clone(&self.snapshots))
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotSource>, RaftStorageError> {
        Ok(Box::new(SnapshotSource::Empty))
    }

    async fn install_snapshot(
        &mut self,
        meta: &RaftSnapshotMeta,
        snapshot: Box<SnapshotSource>,
    ) -> Result<(), RaftStorageError> {
        let received = match *snapshot {
            SnapshotSource::Received(received) => received,
            SnapshotSource::Built(file) => self.receive_own(meta, &file).await?,
            SnapshotSource::Empty => return Err(write_error(&NothingReceived)),
        };
        self.install(received).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<RaftSnapshot>, RaftStorageError> {
        let snapshot = self
            .snapshots
            .current()
            .map(|file| RaftSnapshot { meta: file.meta().clone(), snapshot: Box::new(SnapshotSource::Built(file)) });
        Ok(snapshot)
    }
}
