//! What the store reports for metrics, without knowing how they are kept.

use std::time::Duration;

/// Told of what happens inside the store. Every method is called on a hot path: it must not block.
pub trait StoreObserver: Send + Sync + 'static {
    /// A flush made its writes durable after `took`.
    fn flushed(&self, took: Duration) {
        let _ = took;
    }

    /// The leader proposed one entry of so many commands and bytes.
    fn proposed(&self, commands: usize, bytes: usize) {
        let _ = (commands, bytes);
    }

    /// A check was let through past `max_staleness` because of `fail_open_max`.
    fn failed_open(&self) {}

    /// A peer message was refused; `why` is one of a fixed few words.
    fn peer_refused(&self, why: &'static str) {
        let _ = why;
    }
}

/// Ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl StoreObserver for NoObserver {}
