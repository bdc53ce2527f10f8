//! Conclave's process: configuration, HTTP, login and actors around the replicated store.

pub mod actors;
pub mod app;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dev;
#[cfg(test)]
mod generated;
pub mod http;
pub mod inject;
pub mod local_users;
pub mod metrics;
pub mod oidc;
pub mod opened;
pub mod operator;
pub mod telemetry;
