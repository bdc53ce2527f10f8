//! The rules of Conclave, without IO: formats, decisions and the replicated state machine.
//! Clock readings and entropy are arguments.

pub mod command;
pub mod id;
pub mod session;
pub mod time;
