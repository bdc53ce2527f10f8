//! What the provider remembers: logins under way, codes and access tokens. Bounded and short-lived.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::claims::User;

/// Most entries of each kind; beyond them the oldest goes. One person logs in here.
const CAPACITY: usize = 256;

/// How long a login page may stand open.
const REQUEST_LIFETIME: Duration = Duration::from_secs(600);

/// How long a code can be redeemed: RFC 6749 section 4.1.2 asks for a short time.
const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// How long an access token works; also told to the client.
pub(super) const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// An authorization request that passed its checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) redirect_uri: String,
    pub(super) scope: String,
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) code_challenge: String,
}

/// What a code stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) user: User,
    pub(super) request: Request,
}

/// Everything remembered.
pub(super) struct Grants {
    /// Login pages under way.
    pub(super) requests: Shelf<Request>,
    /// Codes not redeemed yet.
    pub(super) codes: Shelf<Grant>,
    /// Access tokens: who, and for which scope.
    pub(super) tokens: Shelf<(User, String)>,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            requests: Shelf::new(REQUEST_LIFETIME),
            codes: Shelf::new(CODE_LIFETIME),
            tokens: Shelf::new(TOKEN_LIFETIME),
        }
    }
}

/// Things under unguessable names, for a while.
pub(super) struct Shelf<T> {
    lifetime: Duration,
    entries: HashMap<String, (Instant, T)>,
    order: VecDeque<String>,
}

impl<T: Clone> Shelf<T> {
    fn new(lifetime: Duration) -> Self {
        Self { lifetime, entries: HashMap::new(), order: VecDeque::new() }
    }

    /// Puts it away and returns its name.
    pub(super) fn put(&mut self, now: Instant, thing: T) -> String {
        while self.order.len() >= CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        let name = crate::dev::random_token();
        self.order.push_back(name.clone());
        self.entries.insert(name.clone(), (now, thing));
        name
    }

    /// Looks at it.
    pub(super) fn get(&self, now: Instant, name: &str) -> Option<T> {
        let (since, thing) = self.entries.get(name)?;
        (now.saturating_duration_since(*since) < self.lifetime).then(|| thing.clone())
    }

    /// Takes it away: nobody gets it twice.
    pub(super) fn take(&mut self, now: Instant, name: &str) -> Option<T> {
        let thing = self.get(now, name);
        self.entries.remove(name);
        thing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_taken_once_and_in_time() {
        let now = Instant::now();
        let mut shelf = Shelf::new(Duration::from_secs(60));
        let name = shelf.put(now, 7);
        assert_eq!(shelf.get(now, &name), Some(7));
        assert_eq!((shelf.take(now, &name), shelf.take(now, &name)), (Some(7), None));
        let late = shelf.put(now, 8);
        assert_eq!(shelf.get(now + Duration::from_secs(60), &late), None);
    }

    #[test]
    fn the_oldest_goes_when_the_shelf_is_full() {
        let now = Instant::now();
        let mut shelf = Shelf::new(Duration::from_secs(60));
        let names: Vec<String> = (0..=CAPACITY).map(|number| shelf.put(now, number)).collect();
        assert_eq!((shelf.get(now, &names[0]), shelf.get(now, &names[1])), (None, Some(1)));
        assert_eq!(shelf.entries.len(), CAPACITY);
    }
}
