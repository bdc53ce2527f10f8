//! Watches readiness, the cluster's events and the other actors: says what changed, and starts an
//! actor anew within a budget. Beyond it the process ends: a crash beats a limp.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, StreamHandler, System};
use conclave_raft::StoreEvent;
use futures::stream::unfold;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::Stop;
use crate::http::Service;

/// How often readiness is looked at: well under the period of any probe.
const LOOK: Duration = Duration::from_millis(500);

/// Restarts of actors allowed within [`WINDOW`].
const BUDGET: usize = 5;

/// See [`BUDGET`].
const WINDOW: Duration = Duration::from_secs(60);

/// An actor under watch.
pub struct Watched {
    name: &'static str,
    start: Box<dyn Fn() -> Running>,
    running: Running,
}

/// A handle on an actor, whatever its type.
struct Running {
    alive: Box<dyn Fn() -> bool>,
    stop: Box<dyn Fn()>,
}

impl Watched {
    /// Starts the actor by `start` and keeps it running.
    pub fn new<A>(name: &'static str, start: impl Fn() -> Addr<A> + 'static) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<Stop>,
    {
        let start = Box::new(move || {
            let address = start();
            let stopped = address.clone();
            Running {
                alive: Box::new(move || address.connected()),
                // Full or closed: then it is on its way to stop already.
                stop: Box::new(move || drop(stopped.try_send(Stop))),
            }
        });
        Self { name, running: start(), start }
    }
}

/// The root actor.
pub struct Supervisor {
    service: Arc<Service>,
    watched: Vec<Watched>,
    restarts: VecDeque<Instant>,
    ready: Option<bool>,
}

impl Supervisor {
    /// Watches these.
    pub fn new(service: Arc<Service>, watched: Vec<Watched>) -> Self {
        Self { service, watched, restarts: VecDeque::new(), ready: None }
    }

    fn look(&mut self, context: &mut Context<Self>) {
        let dropped = self.service.lines.take_dropped();
        if dropped > 0 {
            self.service.metrics.lines_dropped.inc_by(dropped);
            warn!(lines = dropped, "log lines were lost: whoever reads the log is too slow");
        }
        let reasons = self.service.unready_reasons();
        let ready = reasons.is_empty();
        if self.ready != Some(ready) {
            if ready {
                info!("ready");
            } else {
                warn!(reasons = reasons.join("; "), "not ready");
            }
            self.ready = Some(ready);
        }
        for watched in &mut self.watched {
            if (watched.running.alive)() {
                continue;
            }
            if !allow(&mut self.restarts, Instant::now()) {
                error!(actor = watched.name, "stopped again and again: ending the process");
                System::current().stop_with_code(1);
                return context.stop();
            }
            warn!(actor = watched.name, "stopped: starting it anew");
            watched.running = (watched.start)();
        }
    }
}

/// Whether one more restart is within the budget.
fn allow(restarts: &mut VecDeque<Instant>, now: Instant) -> bool {
    while restarts.front().is_some_and(|first| now.duration_since(*first) >= WINDOW) {
        restarts.pop_front();
    }
    let allowed = restarts.len() < BUDGET;
    if allowed {
        restarts.push_back(now);
    }
    allowed
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(LOOK, Self::look);
        if let Some(store) = self.service.store() {
            let events = unfold(store.events(), |mut events: broadcast::Receiver<StoreEvent>| async move {
                loop {
                    match events.recv().await {
                        Ok(event) => return Some((event, events)),
                        Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return None,
                    }
                }
            });
            context.add_stream(Box::pin(events));
        }
    }
}

impl Handler<Stop> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        self.watched.drain(..).for_each(|watched| (watched.running.stop)());
        context.stop();
    }
}

impl StreamHandler<StoreEvent> for Supervisor {
    fn handle(&mut self, event: StoreEvent, _: &mut Self::Context) {
        match event {
            StoreEvent::Founded { cluster } => info!(%cluster, "the cluster is founded"),
            StoreEvent::LeaderChanged { leader: Some(leader), term } => info!(%leader, term, "leader changed"),
            StoreEvent::LeaderChanged { leader: None, term } => warn!(term, "no leader"),
            StoreEvent::PeerLost { peer } => warn!(%peer, "lost a peer"),
            StoreEvent::PeerBack { peer } => info!(%peer, "a peer is back"),
            StoreEvent::Rekeyed => warn!("the cluster was re-keyed: all sessions ended"),
        }
    }

    /// The stream's end is no end of the supervisor.
    fn finished(&mut self, _: &mut Self::Context) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_per_window() {
        let (mut restarts, start) = (VecDeque::new(), Instant::now());
        assert!((0..BUDGET).all(|_| allow(&mut restarts, start)));
        assert!(!allow(&mut restarts, start + WINDOW / 2));
        assert!(allow(&mut restarts, start + WINDOW));
    }
}
