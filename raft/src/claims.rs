//! The right to redeem a login attempt's code: kept in the leader's memory, for one replica at a time.
//!
//! A claim lives until its holder tells the outcome, is lost, or 15 s have passed. Who asks second
//! waits for the outcome. Only a change of leader in that very moment forgets it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use conclave_proto::id::{AttemptId, NodeId};
use conclave_proto::time::{Boottime, Ttl};
use conclave_proto::wire::ClaimAnswer;
use parking_lot::Mutex;
use tokio::sync::watch;

/// A claim ends by itself after this: longer than a provider takes to answer.
pub(crate) const CLAIM_LIFETIME: Ttl = Ttl::from_secs(15);

/// Claims in memory, of all clients together; the oldest goes.
const MAX_CLAIMS: usize = 16 * 1024;

/// Claims of one client address: people behind one address log in together, but no single one
/// may push out everybody else's.
const MAX_CLAIMS_PER_CLIENT: usize = 256;

/// What the leader's memory says to a claim.
pub(crate) enum Taken {
    /// Go ahead.
    Granted,
    /// Someone holds it: wait for the outcome.
    Held(watch::Receiver<Option<bool>>),
    /// It was finished a moment ago.
    Finished(bool),
}

/// All claims that this replica granted while it led.
#[derive(Default)]
pub(crate) struct Claims {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    claims: HashMap<AttemptId, Claim>,
    by_age: VecDeque<(Boottime, AttemptId)>,
    by_client: BTreeMap<IpAddr, VecDeque<AttemptId>>,
}

struct Claim {
    holder: NodeId,
    /// Tells a repeated question of the same asker from a second asker.
    token: [u8; 16],
    client: Option<IpAddr>,
    since: Boottime,
    outcome: watch::Sender<Option<bool>>,
}

impl Claims {
    /// Takes the claim, or says who is first. A repeat with the same token is granted again: the
    /// first answer may have been lost on its way.
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
        if let Some(claim) = table.claims.get(&attempt) {
            let outcome = *claim.outcome.borrow();
            return match outcome {
                Some(ok) => Taken::Finished(ok),
                None if claim.token == token => Taken::Granted,
                None => Taken::Held(claim.outcome.subscribe()),
            };
        }
        table.make_room(client);
        table.insert(attempt, Claim { holder, token, client, since: now, outcome: watch::Sender::new(None) });
        Taken::Granted
    }

    /// Ends a claim with its outcome. A success is remembered for the claim's lifetime, so that a
    /// late second comer hears of it; after a failure the attempt may be claimed anew.
    pub(crate) fn end(&self, attempt: AttemptId, ok: bool) {
        let mut table = self.table.lock();
        let Some(claim) = table.claims.get(&attempt) else {
            return;
        };
        claim.outcome.send_replace(Some(ok));
        if !ok {
            table.remove(attempt);
        }
    }

    /// Ends the claims of a replica that stopped answering.
    pub(crate) fn release_holder(&self, lost: NodeId) {
        let mut table = self.table.lock();
        let held: Vec<AttemptId> = table
            .claims
            .iter()
            .filter(|(_, claim)| claim.holder == lost && claim.outcome.borrow().is_none())
            .map(|(attempt, _)| *attempt)
            .collect();
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
    fn insert(&mut self, attempt: AttemptId, claim: Claim) {
        self.by_age.push_back((claim.since, attempt));
        if let Some(client) = claim.client {
            self.by_client.entry(client).or_default().push_back(attempt);
        }
        self.claims.insert(attempt, claim);
    }

    /// Drops a claim; those who wait for it see its channel close and ask again.
    fn remove(&mut self, attempt: AttemptId) {
        let Some(claim) = self.claims.remove(&attempt) else {
            return;
        };
        self.by_age.retain(|(_, other)| *other != attempt);
        let Some(client) = claim.client else {
            return;
        };
        if let Some(attempts) = self.by_client.get_mut(&client) {
            attempts.retain(|other| *other != attempt);
            if attempts.is_empty() {
                self.by_client.remove(&client);
            }
        }
    }

    fn forget_old(&mut self, now: Boottime) {
        while let Some(&(since, attempt)) = self.by_age.front() {
            if now.since(since) < CLAIM_LIFETIME {
                return;
            }
            self.remove(attempt);
        }
    }

    fn make_room(&mut self, client: Option<IpAddr>) {
        let of_client = client.and_then(|client| self.by_client.get(&client));
        let oldest_of_client = of_client
            .filter(|attempts| attempts.len() >= MAX_CLAIMS_PER_CLIENT)
            .and_then(|attempts| attempts.front().copied());
        if let Some(oldest) = oldest_of_client {
            self.remove(oldest);
        }
        if self.claims.len() >= MAX_CLAIMS
            && let Some(&(_, oldest)) = self.by_age.front()
        {
            self.remove(oldest);
        }
    }
}

/// Waits for another's outcome, as long as patience lasts.
pub(crate) async fn wait_for_outcome(mut held: watch::Receiver<Option<bool>>, patience: Duration) -> ClaimAnswer {
    let waited = tokio::time::timeout(patience, held.wait_for(Option::is_some)).await;
    match waited {
        Ok(Ok(outcome)) => ClaimAnswer::Finished { ok: outcome.unwrap_or(false) },
        // Dropped without an outcome, or still at it: the asker asks again, and may be granted.
        Ok(Err(_)) | Err(_) => ClaimAnswer::Pending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId::new(1);
    const B: NodeId = NodeId::new(2);

    fn attempt(number: u32) -> AttemptId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        AttemptId::from_bytes(bytes)
    }

    fn at(secs: u64) -> Boottime {
        Boottime::from_millis(secs * 1000)
    }

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[tokio::test]
    async fn the_second_comer_waits_for_the_outcome_of_the_first() {
        let claims = Claims::default();
        assert!(matches!(claims.take(attempt(1), [1; 16], A, None, at(0)), Taken::Granted));
        let Taken::Held(held) = claims.take(attempt(1), [2; 16], B, None, at(1)) else {
            panic!("two hold one claim");
        };
        let waiting = tokio::spawn(wait_for_outcome(held, Duration::from_secs(30)));
        claims.end(attempt(1), true);
        assert_eq!(waiting.await.expect("ran"), ClaimAnswer::Finished { ok: true });
        assert!(matches!(claims.take(attempt(1), [3; 16], B, None, at(2)), Taken::Finished(true)));
    }

    #[test]
    fn a_repeated_question_of_the_holder_is_granted_again() {
        let claims = Claims::default();
        assert!(matches!(claims.take(attempt(1), [1; 16], A, None, at(0)), Taken::Granted));
        assert!(matches!(claims.take(attempt(1), [1; 16], A, None, at(1)), Taken::Granted));
        assert!(matches!(claims.take(attempt(1), [2; 16], A, None, at(1)), Taken::Held(_)));
    }

    #[test]
    fn a_claim_ends_by_refusal_by_loss_and_by_time() {
        let claims = Claims::default();
        claims.take(attempt(1), [1; 16], A, None, at(0));
        claims.end(attempt(1), false);
        assert!(matches!(claims.take(attempt(1), [2; 16], B, None, at(1)), Taken::Granted), "refused");

        claims.release_holder(A);
        assert!(matches!(claims.take(attempt(1), [3; 16], A, None, at(2)), Taken::Held(_)), "another's stays");
        claims.release_holder(B);
        assert!(matches!(claims.take(attempt(1), [3; 16], A, None, at(3)), Taken::Granted), "its replica is lost");

        assert!(matches!(claims.take(attempt(1), [4; 16], B, None, at(17)), Taken::Held(_)));
        assert!(matches!(claims.take(attempt(1), [4; 16], B, None, at(18)), Taken::Granted), "15 s are over");
    }

    #[test]
    fn one_client_pushes_out_only_its_own_oldest() {
        let claims = Claims::default();
        claims.take(attempt(0), [9; 16], A, address(1), at(0));
        let flood = u32::try_from(MAX_CLAIMS_PER_CLIENT).expect("small") + 1;
        for number in 1..=flood {
            claims.take(attempt(number), [0; 16], A, address(2), at(0));
        }
        assert!(matches!(claims.take(attempt(0), [8; 16], B, address(1), at(0)), Taken::Held(_)), "another client's");
        assert!(matches!(claims.take(attempt(1), [8; 16], B, address(3), at(0)), Taken::Granted), "the oldest went");
        assert!(matches!(claims.take(attempt(2), [8; 16], B, address(3), at(0)), Taken::Held(_)));
    }

    #[test]
    fn the_table_is_bounded() {
        let claims = Claims::default();
        for number in 0..u32::try_from(MAX_CLAIMS).expect("small") + 10 {
            claims.take(attempt(number), [0; 16], A, None, at(0));
        }
        assert_eq!(claims.table.lock().claims.len(), MAX_CLAIMS);
        assert_eq!(claims.table.lock().by_age.len(), MAX_CLAIMS);
    }
}
