//! What the replicas say of themselves, from their admin listeners.

use futures::future::join_all;
use serde::Deserialize;

use super::Demo;
use crate::dev::fleet::Life;

/// The part of `/status` that is shown.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(super) struct Status {
    pub(super) role: String,
    pub(super) term: u64,
    /// Peer name of the leader.
    pub(super) leader: Option<String>,
    pub(super) applied: u64,
    pub(super) last_log: u64,
    pub(super) fresh_age_ms: Option<u64>,
    pub(super) ready: bool,
    pub(super) reasons: Vec<String>,
    pub(super) sessions: u64,
}

/// One replica as it is now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub(super) life: Life,
    /// Its own words; none while it does not answer.
    pub(super) status: Option<Status>,
}

/// Asks all replicas that run, at the same time.
pub(super) async fn look(demo: &Demo) -> Vec<State> {
    let lives = demo.fleet.lives();
    let questions = lives.iter().zip(demo.ports.replicas).map(|(life, ports)| async move {
        let status = if *life == Life::Running { ask(demo, ports.admin).await } else { None };
        State { life: *life, status }
    });
    join_all(questions).await
}

async fn ask(demo: &Demo, port: u16) -> Option<Status> {
    let answer = demo.client.get(format!("http://127.0.0.1:{port}/status")).send().await.ok()?;
    let text = answer.bytes().await.ok()?;
    serde_json::from_slice(&text).ok()
}

/// The replica, counted from 0, that the others follow: whom the highest term names.
pub(super) fn leader(demo: &Demo, states: &[State]) -> Option<usize> {
    let known = states.iter().filter_map(|state| state.status.as_ref()).filter(|status| status.leader.is_some());
    let name = known.max_by_key(|status| status.term)?.leader.as_deref()?;
    demo.ports.replicas.iter().position(|ports| ports.peer_name() == name)
}
