//! The harness of the scenarios: real `conclave` processes, real providers and gateways, real faults.

use std::path::PathBuf;

pub mod browser;
pub mod canary;
pub mod check;
pub mod cluster;
pub mod corpus;
pub mod dashboard;
pub mod disks;
pub mod gateway;
pub mod helm;
pub mod http;
pub mod intruder;
pub mod jar;
pub mod keycloak;
pub mod kube;
pub mod links;
pub mod login;
pub mod lone;
pub mod moving;
pub mod mutate;
pub mod notes;
pub mod old_proxy;
pub mod pages;
pub mod ports;
pub mod process;
pub mod prometheus;
pub mod promql;
pub mod provider;
pub mod raw;
pub mod readers;
pub mod report;
pub mod scale;
pub mod scripted;
pub mod spoofs;
pub mod targets;
pub mod tickets;
pub mod timing;
pub mod uris;
pub mod watch;
pub mod workdir;
pub mod world;

/// Why a scenario could not go on.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the package lies in the repository")
}

/// Cargo's target directory.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}
