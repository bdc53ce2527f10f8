//! Keeps the keyring in step with the replicated envelopes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use conclave_proto::command::Command;
use conclave_proto::keyring::Keyring;
use conclave_proto::keyspace::FoundedState;

use crate::founding::wrap_fresh_key;
use crate::shared::Shared;
use crate::status::StoreEvent;

/// Longest time for one proposal of a new key.
const REKEY_LIMIT: Duration = Duration::from_secs(10);

/// Before a failed proposal is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Opens the keyring when the cluster is founded and whenever its envelopes change.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut applied = shared.index.watch_applied();
    let mut known: Option<FoundedState> = None;
    loop {
        let founded = shared.state.founded();
        if let Some(founded) = founded.filter(|founded| known.as_ref() != Some(founded)) {
            if open(&shared, &founded) || !shared.config.is_alone() {
                known = Some(founded);
            } else {
                rekey(&shared, &founded).await;
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
async fn rekey(shared: &Arc<Shared>, founded: &FoundedState) {
    let mut leaders = shared.leaders.clone();
    leaders.until_me().await;
    let envelopes = wrap_fresh_key(shared, founded.cluster);
    match shared.write(Command::Rekey { from: founded.epoch, envelopes }, REKEY_LIMIT).await {
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
