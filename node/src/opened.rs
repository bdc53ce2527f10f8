//! A bounded cache of opened sessions with prebuilt header values. What it evicts is only slower the
//! next time, never a 401.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use conclave_proto::id::{Generation, SessionKey};
use conclave_proto::policy::{Known, Voucher};
use conclave_proto::session::Identity;
use conclave_proto::ticket::{Ticket, TicketSecret};
use parking_lot::Mutex;

use crate::inject::AnswerHeaders;

/// Most bytes of opened sessions kept: about 50 000 without tokens, 15 000 with.
pub const MAX_OPENED_BYTES: usize = 64 * 1024 * 1024;

/// What one entry weighs besides its texts: map, queue and allocation overhead.
const ENTRY_OVERHEAD: usize = 512;

/// A session whose body was opened by a ticket.
pub struct Opened {
    // What opened it; none for a session that lives as long as one request.
    ticket: Option<(TicketSecret, Generation)>,
    weight: usize,
    used: AtomicBool,
    /// Who it is.
    pub identity: Identity,
    /// By whose word.
    pub voucher: Voucher,
    /// What an allowed answer carries.
    pub headers: AnswerHeaders,
    /// Further claims that the session's owner may ask for: name, and value as JSON.
    pub claims: Vec<(String, String)>,
}

impl Opened {
    /// Keeps what the answers need of an opened body; tokens only inside `headers`.
    pub fn new(
        ticket: &Ticket,
        generation: Generation,
        identity: Identity,
        voucher: Voucher,
        headers: AnswerHeaders,
        claims: Vec<(String, String)>,
    ) -> Self {
        let opened = Self::for_one_request(identity, voucher, headers, claims);
        Self { ticket: Some((ticket.secret.clone(), generation)), ..opened }
    }

    /// What other credentials than a ticket prove. It is never put into the cache.
    pub fn for_one_request(
        identity: Identity,
        voucher: Voucher,
        headers: AnswerHeaders,
        claims: Vec<(String, String)>,
    ) -> Self {
        let texts = identity.user.len() + identity.email.len() + identity.preferred_username.len();
        let groups: usize = identity.groups.iter().map(|group| group.len() + size_of::<String>()).sum();
        let told: usize =
            claims.iter().map(|(name, value)| name.len() + value.len() + size_of::<(String, String)>()).sum();
        let weight = ENTRY_OVERHEAD + texts + groups + headers.weight() + told;
        Self { ticket: None, weight, used: AtomicBool::new(false), identity, voucher, headers, claims }
    }

    /// Whether it lives as long as one request, and is stored nowhere.
    pub const fn is_for_one_request(&self) -> bool {
        self.ticket.is_none()
    }

    /// Who it is, for the rules.
    pub fn known(&self) -> Known<'_> {
        Known { identity: &self.identity, voucher: self.voucher }
    }

    /// Whether this is what `ticket` opens at `generation`. The ticket is authenticated already;
    /// comparing its secret too means that not even a forger with the cookie secret gets another's.
    fn answers(&self, ticket: &Ticket, generation: Generation) -> bool {
        self.ticket.as_ref().is_some_and(|(secret, of)| *of == generation && *secret == ticket.secret)
    }
}

/// The cache. Looking up takes no lock; inserting takes one, briefly.
pub struct OpenedSessions {
    entries: papaya::HashMap<SessionKey, Arc<Opened>>,
    // Order of insertion for the second-chance eviction; may name entries that are gone.
    order: Mutex<VecDeque<SessionKey>>,
    bytes: AtomicUsize,
    limit: usize,
}

impl OpenedSessions {
    /// A cache of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { entries: papaya::HashMap::new(), order: Mutex::default(), bytes: AtomicUsize::new(0), limit }
    }

    /// The opened session of `ticket`, if it is here at that generation.
    pub fn get(&self, key: &SessionKey, ticket: &Ticket, generation: Generation) -> Option<Arc<Opened>> {
        let entries = self.entries.pin();
        let found = entries.get(key).filter(|opened| opened.answers(ticket, generation))?;
        // Stored only when it changes: a plain load does not take the cache line from other workers.
        if !found.used.load(Ordering::Relaxed) {
            found.used.store(true, Ordering::Relaxed);
        }
        Some(Arc::clone(found))
    }

    /// Adds or replaces an entry, and makes room.
    pub fn insert(&self, key: SessionKey, opened: Arc<Opened>) {
        let mut order = self.order.lock();
        let entries = self.entries.pin();
        self.bytes.fetch_add(opened.weight, Ordering::Relaxed);
        match entries.insert(key, opened) {
            Some(old) => drop(self.bytes.fetch_sub(old.weight, Ordering::Relaxed)),
            None => order.push_back(key),
        }
        while self.bytes.load(Ordering::Relaxed) > self.limit {
            let Some(oldest) = order.pop_front() else { break };
            let Some(entry) = entries.get(&oldest) else { continue };
            if entry.used.swap(false, Ordering::Relaxed) {
                order.push_back(oldest);
            } else {
                self.forget(&oldest);
            }
        }
    }

    /// Drops a session that has ended.
    pub fn remove(&self, key: &SessionKey) {
        let mut order = self.order.lock();
        if self.forget(key) {
            order.retain(|kept| kept != key);
        }
    }

    /// Drops everything.
    pub fn clear(&self) {
        let mut order = self.order.lock();
        while let Some(key) = order.pop_front() {
            self.forget(&key);
        }
    }

    fn forget(&self, key: &SessionKey) -> bool {
        let entries = self.entries.pin();
        let Some(gone) = entries.remove(key) else { return false };
        self.bytes.fetch_sub(gone.weight, Ordering::Relaxed);
        true
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use conclave_proto::id::Epoch;
    use conclave_proto::session::SessionBody;
    use conclave_proto::time::Timestamp;

    use super::*;
    use crate::config::HeaderConfig;
    use crate::inject::answer_headers;

    fn ticket(seed: u8) -> Ticket {
        Ticket::mint([seed; 48], Epoch::new(1), Timestamp::ZERO)
    }

    fn opened(ticket: &Ticket) -> Arc<Opened> {
        let body = SessionBody {
            identity: Identity { email: "alice@example.test".to_owned(), ..Identity::default() },
            issuer: String::new(),
            id_token: String::new(),
            access_token: String::new(),
            refresh_token: String::new(),
            token_expires_at: None,
            additional_claims: Vec::new(),
            local_line: None,
        };
        let headers = answer_headers(&HeaderConfig::default(), &body).expect("fits").headers;
        Arc::new(Opened::new(ticket, Generation::new(1), Identity::default(), Voucher::Provider, headers, Vec::new()))
    }

    #[test]
    fn only_the_same_ticket_and_generation_hit() {
        let cache = OpenedSessions::new(MAX_OPENED_BYTES);
        let mine = ticket(1);
        cache.insert(mine.key(), opened(&mine));
        assert!(cache.get(&mine.key(), &mine, Generation::new(1)).is_some());
        assert!(cache.get(&mine.key(), &mine, Generation::new(2)).is_none());
        // The same session id with another secret, as a forger with the MAC key would send it.
        let mut forged_entropy = [1; 48];
        forged_entropy[47] = 9;
        let forged = Ticket::mint(forged_entropy, Epoch::new(1), Timestamp::ZERO);
        assert_eq!(forged.key(), mine.key());
        assert!(cache.get(&mine.key(), &forged, Generation::new(1)).is_none());
    }

    #[test]
    fn the_limit_holds_and_what_is_in_use_stays() {
        let weight = opened(&ticket(0)).weight;
        let cache = OpenedSessions::new(weight * 4);
        let hot = ticket(200);
        cache.insert(hot.key(), opened(&hot));
        for seed in 0..40 {
            let next = ticket(seed);
            cache.insert(next.key(), opened(&next));
            assert!(cache.get(&hot.key(), &hot, Generation::new(1)).is_some(), "evicted after {seed}");
            assert!(cache.bytes() <= weight * 4);
        }
        assert_eq!(cache.order.lock().len(), 4);
        cache.remove(&hot.key());
        assert_eq!((cache.bytes(), cache.order.lock().len()), (weight * 3, 3));
    }
}
