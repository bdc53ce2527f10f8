//! The state as the commands of one entry see it: the stored rows under what the entry changed so far.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{Change, Changes, StateView};
use crate::keyspace::{FoundedState, Key, MetaKey};
use crate::wire::Versioned;

/// Reads a row of the state. The state holds only what `apply` wrote, through the same codec, and
/// the store checks sums; a row that does not decode means that nothing here can be trusted.
pub(super) fn read<T: Versioned>(bytes: &[u8]) -> T {
    T::from_bytes(bytes).expect("a row of the state is what apply wrote")
}

/// Stored rows, and over them the changes of this entry; `None` is a row removed.
pub(super) struct Overlay<'v> {
    below: &'v dyn StateView,
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Read once for all commands; each of them asks for it.
    founded: Option<FoundedState>,
    /// How much this entry has forgotten so far.
    pub(super) expired: usize,
}

impl<'v> Overlay<'v> {
    pub(super) fn new(below: &'v dyn StateView) -> Self {
        Self { below, changes: BTreeMap::new(), founded: super::founded(below), expired: 0 }
    }

    /// What the cluster knows of itself; none before it is founded.
    pub(super) fn founded(&self) -> Option<&FoundedState> {
        self.founded.as_ref()
    }

    pub(super) fn set_founded(&mut self, founded: FoundedState) {
        self.put(Key::Meta(MetaKey::Founded), &founded);
        self.founded = Some(founded);
    }

    /// The decoded row of `key`.
    pub(super) fn row<T: Versioned>(&self, key: &[u8]) -> Option<T> {
        match self.changes.get(key) {
            Some(changed) => changed.as_deref().map(read),
            None => self.below.get(key).as_deref().map(read),
        }
    }

    /// Whether a row stands.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        match self.changes.get(key) {
            Some(changed) => changed.is_some(),
            None => self.below.get(key).is_some(),
        }
    }

    pub(super) fn put<T: Versioned>(&mut self, key: Key, row: &T) {
        self.changes.insert(key.encode(), Some(row.to_bytes()));
    }

    /// A row of an index: its key says everything.
    pub(super) fn mark(&mut self, key: Key) {
        self.changes.insert(key.encode(), Some(Vec::new()));
    }

    pub(super) fn delete(&mut self, key: Key) {
        self.changes.insert(key.encode(), None);
    }

    /// The first `limit` rows from `from` up to, but without, `to`.
    pub(super) fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        if from >= to || limit == 0 {
            return Vec::new();
        }
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        let changed: Vec<_> = self.changes.range::<[u8], _>(bounds).collect();
        // As many more as may have been removed, so that enough are left of those below.
        let removed = changed.iter().filter(|(_, value)| value.is_none()).count();
        let mut rows: BTreeMap<_, _> = self.below.range(from, to, limit + removed).into_iter().collect();
        for (key, value) in changed {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        rows.into_iter().take(limit).collect()
    }

    /// The parsed keys of [`Overlay::range`].
    pub(super) fn keys(&self, (from, to): &(Vec<u8>, Vec<u8>), limit: usize) -> Vec<Key> {
        let rows = self.range(from, to, limit);
        rows.iter().map(|(key, _)| Key::decode(key).expect("the state holds only keys of its keyspace")).collect()
    }

    #[cfg(test)]
    pub(super) fn set_for_test(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.changes.insert(key, value);
    }

    pub(super) fn into_changes(self) -> Changes {
        let change = |(key, value)| match value {
            Some(value) => Change::Put { key, value },
            None => Change::Delete { key },
        };
        Changes(self.changes.into_iter().map(change).collect())
    }
}
