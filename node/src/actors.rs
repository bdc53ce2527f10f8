//! Slow, serial work, one actor each. What answers requests is plain calls, not messages.

pub mod file_reloader;
pub mod provider_refresher;
pub mod session_reaper;
pub mod supervisor;

/// Ends an actor, and with it what it holds of the store.
#[derive(Clone, Copy, Debug, actix::Message)]
#[rtype(result = "()")]
pub struct Stop;

/// The one message that starts a round of work. An actor also sends it to itself for the next round.
#[derive(Clone, Copy, Debug, actix::Message)]
#[rtype(result = "()")]
pub struct Activate;
