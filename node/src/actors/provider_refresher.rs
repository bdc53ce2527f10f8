//! Keeps the provider's metadata and keys current. A provider that is down delays logins, not the process.

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, SpawnHandle, WrapFuture,
};
use tracing::{info, warn};

use super::{Activate, Stop};
use crate::oidc::TokenIssuer;

/// How often good metadata are fetched anew: providers rotate keys over days, and an unknown key is
/// fetched for at once.
const EVERY: Duration = Duration::from_secs(10 * 60);

/// First wait after a failure; it doubles.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Longest wait after a failure: how long logins stay down after the provider is back, at most.
const LONGEST_RETRY: Duration = Duration::from_secs(15);

/// Fetches in rounds.
pub struct ProviderRefresher {
    provider: Arc<dyn TokenIssuer>,
    failures: u32,
    next: Option<SpawnHandle>,
}

impl ProviderRefresher {
    /// For one provider.
    pub fn new(provider: Arc<dyn TokenIssuer>) -> Self {
        Self { provider, failures: 0, next: None }
    }

    fn note(&mut self, failure: Option<String>, context: &mut Context<Self>) {
        let provider = self.provider.id().as_str();
        match failure {
            None => {
                if self.failures > 0 {
                    info!(provider, "the identity provider answers again");
                }
                self.failures = 0;
            }
            Some(error) => {
                self.failures = self.failures.saturating_add(1);
                warn!(
                    provider,
                    error,
                    attempt = self.failures,
                    "the identity provider's metadata could not be fetched"
                );
            }
        }
        self.next = Some(context.notify_later(Activate, wait(self.failures)));
    }
}

/// How long until the next round.
fn wait(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => EVERY,
        Some(doublings) => LONGEST_RETRY.min(FIRST_RETRY.saturating_mul(1 << doublings.min(10))),
    }
}

impl Actor for ProviderRefresher {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.notify(Activate);
    }
}

impl Handler<Stop> for ProviderRefresher {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        context.stop();
    }
}

impl Handler<Activate> for ProviderRefresher {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, _: Activate, context: &mut Self::Context) -> Self::Result {
        if let Some(next) = self.next.take() {
            context.cancel_future(next);
        }
        let provider = Arc::clone(&self.provider);
        let round = async move { provider.refresh_metadata().await.err().map(|error| error.to_string()) };
        AtomicResponse::new(Box::pin(
            round.into_actor(self).map(|failure, actor, context| actor.note(failure, context)),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_retried_soon_and_never_rarely() {
        assert_eq!(wait(0), EVERY);
        assert_eq!(wait(1), Duration::from_secs(1));
        assert_eq!(wait(3), Duration::from_secs(4));
        assert_eq!(wait(u32::MAX), LONGEST_RETRY);
    }
}
