//! The rules of Conclave, without IO: formats, decisions and the replicated state machine.
//! Clock readings and entropy are arguments.

pub mod command;
pub mod cookie;
mod crypto;
pub mod forwarded;
pub mod id;
pub mod keyring;
pub mod keyspace;
pub mod login;
pub mod policy;
pub mod redirect;
pub mod seal;
pub mod session;
pub mod ticket;
pub mod time;
pub mod transition;
pub mod wire;
