//! Replicas in one process, over real TLS on loopback: founding, writing, failing over, refusing.

mod claims;
mod disks;
mod founding;
mod freshness;
mod handover;
mod harness;
mod refusals;
mod replication;
mod slow_links;
mod snapshots;
