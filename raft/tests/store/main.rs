//! The store of one replica, as openraft and the cluster code see it.

#[path = "../support/mod.rs"]
mod support;

mod apply;
mod bound;
mod conformance;
mod durability;
mod snapshot;
