//! Conclave's replicated store: openraft over sled behind one type, [`ReplicatedStore`].
//!
//! This crate is the only one that names openraft and sled. Sessions are read by a
//! [`SessionReader`] from memory, written by [`ReplicatedStore::write`] through the leader, and
//! replicas talk to each other through a [`PeerService`] over mutual TLS.

mod attempts;
mod batcher;
mod claim;
mod claims;
mod cleaner;
pub mod config;
pub mod disk;
pub mod error;
pub mod fatal;
mod find;
pub mod flusher;
mod forward;
mod founding;
mod freshness;
mod handover;
mod health;
mod identity;
pub mod index;
mod keeper;
mod keys;
mod lanes;
mod layout;
mod leader;
pub mod limits;
mod log_cut;
pub mod log_store;
pub mod marker;
pub mod meta;
mod miss;
mod network;
pub mod observer;
pub mod open;
mod point_in_time;
mod pulse;
pub mod reader;
mod receive_snapshot;
mod reserve;
mod room;
mod rounds;
mod rows;
pub mod rpc;
mod send_snapshot;
mod shared;
pub mod snapshot;
pub mod state;
pub mod state_machine;
pub mod status;
mod status_of;
mod store;
mod tls;
mod transport;
pub mod types;
mod upkeep;
pub mod verify;

pub use claim::{Claim, Grant};
pub use claims::CLAIM_LIFETIME;
pub use config::{SnapshotLimits, StoreConfig, Timeouts};
pub use error::{ClaimError, OpenError, ReadError, WriteError};
pub use observer::{NoObserver, StoreObserver};
pub use open::Verify;
pub use reader::{Lookup, SessionReader};
pub use reserve::release_reserve;
pub use rpc::{PeerAnswer, PeerService};
pub use status::{HandOver, MemberStatus, NotReadyReason, Readiness, Role, Status, StoreEvent, Weight};
pub use store::ReplicatedStore;
pub use tls::TlsError;
pub use verify::{NotWhole, VerifyReport, run_verify_store, verify_store};

pub use conclave_proto::wire::{DiskRoom, Written};
