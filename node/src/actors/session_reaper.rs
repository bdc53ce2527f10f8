//! Forgets what has expired, on the leader only. Expiry itself is a filter at every read: this only
//! gives the room back.

use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, WrapFuture};
use conclave_proto::command::{Command, Outcome};
use conclave_raft::{ReplicatedStore, Role};
use tracing::debug;

use super::{Activate, Stop};

/// Rows of each kind that one entry forgets: about a millisecond of apply.
const LIMIT: u32 = 256;

/// How often to look.
const EVERY: Duration = Duration::from_secs(30);

/// How soon to go on when a full batch was forgotten: leaves room for logins in between.
const SOON: Duration = Duration::from_millis(50);

/// How long one write may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Proposes `ExpireUpTo` in rounds.
pub struct SessionReaper {
    store: ReplicatedStore,
}

impl SessionReaper {
    /// For one store.
    pub fn new(store: ReplicatedStore) -> Self {
        Self { store }
    }
}

/// How long until the next round, after one that forgot so many rows.
fn wait(forgotten: Option<u32>) -> Duration {
    if forgotten.is_some_and(|rows| rows >= LIMIT) { SOON } else { EVERY }
}

async fn round(store: ReplicatedStore) -> Option<u32> {
    if store.status().role != Role::Leader {
        return None;
    }
    match store.write(Command::ExpireUpTo { limit: LIMIT }, DEADLINE).await.map(|written| written.outcome) {
        Ok(Outcome::Expired(rows)) => Some(rows),
        Ok(Outcome::Done | Outcome::Created { .. } | Outcome::Revoked(_) | Outcome::Refused(_)) => None,
        Err(error) => {
            debug!(%error, "expired sessions were not forgotten this time");
            None
        }
    }
}

impl Actor for SessionReaper {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.notify_later(Activate, EVERY);
    }
}

impl Handler<Stop> for SessionReaper {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        context.stop();
    }
}

impl Handler<Activate> for SessionReaper {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, _: Activate, _: &mut Self::Context) -> Self::Result {
        let round = round(self.store.clone());
        AtomicResponse::new(Box::pin(round.into_actor(self).map(|forgotten, _, context: &mut Context<Self>| {
            context.notify_later(Activate, wait(forgotten));
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_batch_is_followed_soon() {
        assert_eq!(wait(Some(LIMIT)), SOON);
        assert_eq!(wait(Some(LIMIT - 1)), EVERY);
        assert_eq!(wait(None), EVERY);
    }
}
