//! Holds Conclave against recorded answers of oauth2-proxy: scenarios as data, a player, one normal form, a comparison.

pub mod compare;
pub mod differs;
pub mod judge;
pub mod mentions;
pub mod normal;
pub mod player;
pub mod provider;
pub mod redis;
pub mod scenario;
pub mod wire;
