//! Conclave's process: configuration, HTTP, login and actors around the replicated store.

pub mod clock;
pub mod config;
