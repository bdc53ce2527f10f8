//! openraft's own suite on the real store.

use conclave_raft::log_store::LogStore;
use conclave_raft::open::StorageGuard;
use conclave_raft::state_machine::StateMachine;
use conclave_raft::types::{RaftStorageError, TypeConfig};
use openraft::testing::{StoreBuilder, Suite};

use crate::support::open_in;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, (StorageGuard, tempfile::TempDir)> for Builder {
    async fn build(&self) -> Result<((StorageGuard, tempfile::TempDir), LogStore, StateMachine), RaftStorageError> {
        let dir = tempfile::tempdir().expect("tempdir");
        let storage = open_in(dir.path(), None).await.expect("a new store opens");
        Ok(((storage.guard, dir), storage.log, storage.machine))
    }
}

#[test]
fn the_whole_suite_passes() {
    Suite::test_all(Builder).expect("openraft's suite");
    println!("openraft testing::Suite::test_all: passed on the sled store");
}
