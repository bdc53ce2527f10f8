//! What concerns the cluster as a whole: its founding, its key's envelopes, its epoch and feature level.

use super::overlay::Overlay;
use crate::command::{FIRST_EPOCH, Found, KeyEnvelope, MAX_ENVELOPES, Outcome, Refusal};
use crate::id::{Epoch, FeatureLevel, KeyId, SessionKey};
use crate::keyspace::{FoundedState, Key, MetaKey, SweepRow};

/// The first command of a cluster.
pub(super) fn found(state: &mut Overlay<'_>, found: &Found) -> Result<Outcome, Refusal> {
    if state.founded().is_some() {
        return Err(Refusal::AlreadyFounded);
    }
    let envelopes = merged(Vec::new(), &found.envelopes)?;
    let founded =
        FoundedState { cluster: found.cluster, epoch: FIRST_EPOCH, envelopes, feature_level: found.feature_level };
    state.set_founded(founded);
    Ok(Outcome::Done)
}

/// Removes envelopes, then adds or replaces others.
pub(super) fn set_envelopes(
    state: &mut Overlay<'_>,
    epoch: Epoch,
    remove: &[KeyId],
    put: &[KeyEnvelope],
) -> Result<Outcome, Refusal> {
    let mut founded = state.founded().ok_or(Refusal::NotFounded)?.clone();
    if epoch != founded.epoch {
        return Err(Refusal::WrongEpoch);
    }
    founded.envelopes.retain(|envelope| !remove.contains(&envelope.key_id));
    founded.envelopes = merged(founded.envelopes, put)?;
    state.set_founded(founded);
    Ok(Outcome::Done)
}

/// A new epoch under a new key. Every session is dead from here on, for its row names its epoch;
/// the sweep that removes the rows starts anew.
pub(super) fn rekey(state: &mut Overlay<'_>, from: Epoch, envelopes: &[KeyEnvelope]) -> Result<Outcome, Refusal> {
    let mut founded = state.founded().ok_or(Refusal::NotFounded)?.clone();
    if from != founded.epoch {
        return Err(Refusal::WrongEpoch);
    }
    let next = founded.epoch.get().checked_add(1).ok_or(Refusal::Invalid)?;
    founded.epoch = Epoch::new(next);
    founded.envelopes = merged(Vec::new(), envelopes)?;
    state.set_founded(founded);
    state.put(Key::Meta(MetaKey::Sweep), &SweepRow(SessionKey::from_bytes([0; SessionKey::LEN])));
    Ok(Outcome::Done)
}

/// Goes up only; the current level again is no mistake, for two leaders may propose it.
pub(super) fn raise_feature_level(state: &mut Overlay<'_>, level: FeatureLevel) -> Result<Outcome, Refusal> {
    let mut founded = state.founded().ok_or(Refusal::NotFounded)?.clone();
    if level < founded.feature_level {
        return Err(Refusal::Invalid);
    }
    founded.feature_level = level;
    state.set_founded(founded);
    Ok(Outcome::Done)
}

/// The envelopes by key id, later ones in the place of earlier; at least one and not too many.
fn merged(mut envelopes: Vec<KeyEnvelope>, put: &[KeyEnvelope]) -> Result<Vec<KeyEnvelope>, Refusal> {
    for envelope in put {
        envelopes.retain(|old| old.key_id != envelope.key_id);
        envelopes.push(envelope.clone());
    }
    if envelopes.is_empty() || envelopes.len() > MAX_ENVELOPES {
        return Err(Refusal::Invalid);
    }
    envelopes.sort_by_key(|envelope| envelope.key_id);
    Ok(envelopes)
}
