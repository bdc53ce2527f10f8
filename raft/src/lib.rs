//! The replicated store: openraft over sled, behind one type. The only code that names either.

// The store of one replica.
mod cleaner;
pub mod disk;
pub mod fatal;
pub mod flusher;
pub mod index;
mod keeper;
mod layout;
pub mod limits;
pub mod log_store;
mod marker;
pub mod meta;
pub mod open;
mod point_in_time;
mod rows;
pub mod snapshot;
pub mod state;
pub mod state_machine;
pub mod types;
pub mod verify;
