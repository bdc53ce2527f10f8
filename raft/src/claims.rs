//! The right to redeem a login attempt's code: kept in the leader's memory, for one replica at a time.
//!
//! A claim lives until its holder ends it, is lost, or its time is over. A refusal is remembered for
//! the life of the login cookie; what made a session, the replicated state remembers. No bound takes
//! a claim away whose outcome is open, for then a second replica would send the same code. Only a
//! change of leader forgets it all.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use conclave_proto::forwarded::visitor;
use conclave_proto::id::{AttemptId, NodeId};
use conclave_proto::login::LONGEST_LOGIN;
use conclave_proto::time::{Boottime, Ttl};
use conclave_proto::wire::{AttemptOutcome, ClaimEnd, LoginRefusal};
use parking_lot::Mutex;

/// A claim that is not ended ends by itself after this: longer than all calls to the provider and the
/// commit may take together, so that no second replica sends a code while the first is still at it.
pub const CLAIM_LIFETIME: Ttl = Ttl::from_secs(25);

/// A refusal is remembered for so long: afterwards no login cookie of the attempt opens.
const REFUSAL_LIFETIME: Ttl = LONGEST_LOGIN;

/// Claims in memory, of all clients together: about 10 MiB if every one is a long refusal.
const MAX_CLAIMS: usize = 16 * 1024;

/// Claims of one visitor: people behind one address log in together, but no single one may take the
/// whole table.
pub(crate) const MAX_CLAIMS_PER_VISITOR: usize = 256;

/// What the leader's memory says to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Go ahead.
    Granted,
    /// Another holds it.
    Held,
    /// It was refused: the code is spent.
    Refused(LoginRefusal),
    /// There is no room that is not taken by claims under way.
    Full,
}

/// All claims that this replica granted while it led.
#[derive(Default)]
pub(crate) struct Claims {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    claims: HashMap<AttemptId, Claim>,
    held: Queue,
    refused: Queue,
    visitors: HashMap<IpAddr, Visitor>,
}

/// Attempts, the oldest first.
type Queue = BTreeSet<(Boottime, AttemptId)>;

/// What one visitor has in the table.
#[derive(Default)]
struct Visitor {
    held: usize,
    refused: Queue,
}

struct Claim {
    visitor: Option<IpAddr>,
    since: Boottime,
    phase: Phase,
}

enum Phase {
    Held {
        holder: NodeId,
        /// Tells a repeated question of the same asker from that of another.
        token: [u8; 16],
    },
    Refused(LoginRefusal),
}

impl Claims {
    /// What is known of an attempt already; none if it is free. Changes nothing.
    pub(crate) fn look(&self, attempt: AttemptId, token: [u8; 16], now: Boottime) -> Option<Taken> {
        let mut table = self.table.lock();
        table.forget_old(now);
        table.look(attempt, token)
    }

    /// Takes the claim, or says why not. A repeat with the same token is granted again: the first
    /// answer may have been lost on its way.
    pub(crate) fn take(
        &self,
        attempt: AttemptId,
        token: [u8; 16],
        holder: NodeId,
        client: Option<IpAddr>,
        now: Boottime,
    ) -> Taken {
        let mut table = self.table.lock();
        table.forget_old(now);
        if let Some(known) = table.look(attempt, token) {
            return known;
        }
        let visitor = client.map(visitor);
        if !table.make_room(visitor) {
            return Taken::Full;
        }
        table.insert(attempt, Claim { visitor, since: now, phase: Phase::Held { holder, token } });
        Taken::Granted
    }

    /// Ends a claim. A refusal is remembered, even if an earlier leader granted the claim. Without an
    /// outcome the code was not sent, and the attempt is free. An end with another token than the
    /// grant's comes late: the claim was granted anew, and its new holder will end it.
    pub(crate) fn end(&self, end: ClaimEnd, now: Boottime) {
        let ClaimEnd { attempt, token: ended, client, outcome } = end;
        let mut table = self.table.lock();
        table.forget_old(now);
        match table.claims.get(&attempt).map(|claim| &claim.phase) {
            Some(Phase::Refused(_)) => return,
            Some(Phase::Held { token, .. }) if *token != ended => return,
            Some(Phase::Held { .. }) | None => {}
        }
        table.remove(attempt);
        match outcome {
            // The replicated state remembers what made a session.
            None | Some(AttemptOutcome::Session) => {}
            Some(AttemptOutcome::Refused(refusal)) => {
                let visitor = client.map(visitor);
                if table.make_room(visitor) {
                    table.insert(attempt, Claim { visitor, since: now, phase: Phase::Refused(refusal) });
                }
            }
        }
    }

    /// Ends the claims under way of a replica that stopped answering.
    pub(crate) fn release_holder(&self, lost: NodeId) {
        let mut table = self.table.lock();
        let of_lost = |claim: &Claim| matches!(&claim.phase, Phase::Held { holder, .. } if *holder == lost);
        let claims = table.claims.iter().filter(|(_, claim)| of_lost(claim));
        let held: Vec<AttemptId> = claims.map(|(attempt, _)| *attempt).collect();
        for attempt in held {
            table.remove(attempt);
        }
    }

    /// Forgets everything: this replica no longer leads.
    pub(crate) fn clear(&self) {
        *self.table.lock() = Table::default();
    }
}

impl Table {
    fn look(&self, attempt: AttemptId, asked: [u8; 16]) -> Option<Taken> {
        Some(match &self.claims.get(&attempt)?.phase {
            Phase::Held { token, .. } if *token == asked => Taken::Granted,
            Phase::Held { .. } => Taken::Held,
            Phase::Refused(refusal) => Taken::Refused(refusal.clone()),
        })
    }

    fn insert(&mut self, attempt: AttemptId, claim: Claim) {
        let place = (claim.since, attempt);
        let visitor = claim.visitor.map(|visitor| self.visitors.entry(visitor).or_default());
        match claim.phase {
            Phase::Held { .. } => {
                self.held.insert(place);
                if let Some(visitor) = visitor {
                    visitor.held += 1;
                }
            }
            Phase::Refused(_) => {
                self.refused.insert(place);
                if let Some(visitor) = visitor {
                    visitor.refused.insert(place);
                }
            }
        }
        self.claims.insert(attempt, claim);
    }

    fn remove(&mut self, attempt: AttemptId) {
        let Some(claim) = self.claims.remove(&attempt) else {
            return;
        };
        let place = (claim.since, attempt);
        let is_held = matches!(claim.phase, Phase::Held { .. });
        if is_held {
            self.held.remove(&place)
        } else {
            self.refused.remove(&place)
        };
        let Some(address) = claim.visitor else {
            return;
        };
        if let Some(visitor) = self.visitors.get_mut(&address) {
            if is_held {
                visitor.held -= 1;
            } else {
                visitor.refused.remove(&place);
            }
            if visitor.count() == 0 {
                self.visitors.remove(&address);
            }
        }
    }

    fn forget_old(&mut self, now: Boottime) {
        let over = |queue: &Queue, lifetime: Ttl| {
            queue.first().filter(|(since, _)| now.since(*since) >= lifetime).map(|(_, attempt)| *attempt)
        };
        while let Some(attempt) = over(&self.held, CLAIM_LIFETIME).or_else(|| over(&self.refused, REFUSAL_LIFETIME)) {
            self.remove(attempt);
        }
    }

    /// Makes room by letting the oldest refusal go: of the visitor whose share is used up, or of all.
    /// False if there is none: what is under way stays.
    fn make_room(&mut self, visitor: Option<IpAddr>) -> bool {
        if let Some(visitor) = visitor.and_then(|visitor| self.visitors.get(&visitor))
            && visitor.count() >= MAX_CLAIMS_PER_VISITOR
        {
            return self.remove_oldest(visitor.refused.first().copied());
        }
        self.claims.len() < MAX_CLAIMS || self.remove_oldest(self.refused.first().copied())
    }

    fn remove_oldest(&mut self, oldest: Option<(Boottime, AttemptId)>) -> bool {
        let Some((_, attempt)) = oldest else {
            return false;
        };
        self.remove(attempt);
        true
    }
}

impl Visitor {
    fn count(&self) -> usize {
        self.held + self.refused.len()
    }
}

#[cfg(test)]
mod tests;
