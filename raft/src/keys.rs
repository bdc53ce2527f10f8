//! Keeps the keyring in step with the replicated envelopes, and the envelopes with the secrets that
//! the members hold.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use conclave_proto::command::{Command, KeyEnvelope};
use conclave_proto::id::KeyId;
use conclave_proto::keyring::Keyring;
use conclave_proto::keyspace::FoundedState;
use conclave_proto::wire::Written;

use crate::error::WriteError;
use crate::founding::wrap_fresh_key;
use crate::shared::Shared;
use crate::status::StoreEvent;

/// Longest time for one proposal of keys.
const PROPOSAL_LIMIT: Duration = Duration::from_secs(10);

/// Before a failed proposal is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How often the leader compares the envelopes with what the members hold.
const COMPARE_EVERY: Duration = Duration::from_secs(1);

/// Opens the keyring when the cluster is founded and whenever its envelopes change.
pub(crate) async fn follow(shared: Arc<Shared>) {
    let mut applied = shared.index.watch_applied();
    let mut known: Option<FoundedState> = None;
    loop {
        let founded = shared.state.founded();
        if let Some(founded) = founded.filter(|founded| known.as_ref() != Some(founded)) {
            if open(&shared, &founded) || !shared.config.is_alone() {
                known = Some(founded);
            } else {
                rekey_alone(&shared, &founded).await;
                continue;
            }
        }
        if applied.changed().await.is_err() {
            return;
        }
    }
}

/// Whether some secret opens some envelope.
fn open(shared: &Shared, founded: &FoundedState) -> bool {
    let opened = Keyring::open(&shared.config.secrets, &founded.envelopes, founded.cluster, founded.epoch);
    let keyring = opened.ok().map(Arc::new);
    let opens = keyring.is_some();
    shared.flags.no_secret_opens.store(!opens, Ordering::Release);
    shared.identity.set_epoch(founded.epoch);
    if !opens && !shared.config.is_alone() {
        tracing::error!(
            "no configured cookie_secret opens the cluster key: this replica serves nothing; give the earlier \
             secret as cookie_secret_previous, or run `conclave cluster rekey --end-all-sessions`"
        );
    }
    shared.keyring.send_replace(keyring);
    opens
}

/// A cluster of one helps itself: there is nobody whose sessions it could end by mistake but its own.
async fn rekey_alone(shared: &Arc<Shared>, founded: &FoundedState) {
    let mut leaders = shared.leaders.clone();
    leaders.until_me().await;
    match rekey(shared, founded, PROPOSAL_LIMIT).await {
        Ok(_) => {
            tracing::warn!(
                "no configured cookie_secret opened the cluster key, so a new one was made: all sessions have ended"
            );
            shared.tell(StoreEvent::Rekeyed);
        }
        Err(error) => {
            tracing::error!(%error, "no configured cookie_secret opens the cluster key, and no new one could be made");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// A new epoch under a fresh key.
pub(crate) async fn rekey(
    shared: &Arc<Shared>,
    founded: &FoundedState,
    limit: Duration,
) -> Result<Written, WriteError> {
    let envelopes = wrap_fresh_key(shared, founded.cluster);
    shared.write(Command::Rekey { from: founded.epoch, envelopes }, limit).await
}

/// While this replica leads: wraps the cluster key under each secret that every member holds by now,
/// so that it may become active, and drops the envelopes of secrets that nobody holds any more.
pub(crate) async fn rotate(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(COMPARE_EVERY).await;
        if !shared.leaders.is_me() {
            continue;
        }
        let Some(command) = due(&shared) else {
            continue;
        };
        match shared.write(command, PROPOSAL_LIMIT).await {
            Ok(_) => tracing::info!("the cluster key is wrapped under the cookie secrets that all members hold"),
            Err(error) => tracing::warn!(%error, "the cluster key could not be wrapped anew"),
        }
    }
}

fn due(shared: &Shared) -> Option<Command> {
    let founded = shared.state.founded()?;
    let keyring = shared.keyring.borrow().clone()?;
    let mine = shared.key_ids()?;
    let theirs = shared.health.keys_of(shared.identity.others())?;
    let enveloped: Vec<KeyId> = founded.envelopes.iter().map(|envelope| envelope.key_id).collect();
    let plan = plan(&enveloped, &mine, &theirs)?;
    let secrets = shared.config.secrets.iter().filter(|secret| plan.put.contains(&secret.key_id(founded.cluster)));
    let wrap = |secret| -> KeyEnvelope { keyring.cluster_key().wrap(secret, founded.cluster, shared.draw()) };
    Some(Command::SetEnvelopes { epoch: founded.epoch, put: secrets.map(wrap).collect(), remove: plan.remove })
}

/// What has to change about the envelopes.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    put: Vec<KeyId>,
    remove: Vec<KeyId>,
}

/// None if everything is as it should be.
fn plan(enveloped: &[KeyId], mine: &[KeyId], theirs: &[Vec<KeyId>]) -> Option<Plan> {
    let by_all = |key: &&KeyId| theirs.iter().all(|keys| keys.contains(key));
    let by_nobody = |key: &&KeyId| !mine.contains(key) && !theirs.iter().any(|keys| keys.contains(key));
    let put: Vec<KeyId> = mine.iter().filter(|key| !enveloped.contains(key)).filter(by_all).copied().collect();
    let remove: Vec<KeyId> = enveloped.iter().filter(by_nobody).copied().collect();
    (!put.is_empty() || !remove.is_empty()).then_some(Plan { put, remove })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: KeyId = KeyId::from_bytes([1; 4]);
    const NEW: KeyId = KeyId::from_bytes([2; 4]);

    #[test]
    fn a_secret_is_wrapped_under_once_all_hold_it_and_dropped_once_nobody_does() {
        let both = || vec![OLD, NEW];
        assert_eq!(plan(&[OLD], &both(), &[both(), vec![OLD]]), None, "one member cannot check what it would mint");
        let wrap = Plan { put: vec![NEW], remove: vec![] };
        assert_eq!(plan(&[OLD], &both(), &[both(), both()]), Some(wrap));
        assert_eq!(plan(&[OLD, NEW], &[NEW], &[vec![NEW], both()]), None, "one member still knows the old one");
        let drop = Plan { put: vec![], remove: vec![OLD] };
        assert_eq!(plan(&[OLD, NEW], &[NEW], &[vec![NEW], vec![NEW]]), Some(drop));
        assert_eq!(plan(&[NEW], &[NEW], &[vec![NEW]]), None);
    }
}
