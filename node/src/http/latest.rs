//! What changes now and then, as one worker thread last saw it.

use std::cell::{Ref, RefCell};

use tokio::sync::watch;

/// A worker's own copy of a watched value. Reading it costs one atomic load while nothing changes,
/// and takes no lock that another thread could hold.
pub struct Latest<T>(RefCell<Seen<T>>);

struct Seen<T> {
    source: Option<watch::Receiver<T>>,
    current: T,
}

impl<T: Clone> Latest<T> {
    /// Follows `source`.
    pub fn of(mut source: watch::Receiver<T>) -> Self {
        let current = source.borrow_and_update().clone();
        Self(RefCell::new(Seen { source: Some(source), current }))
    }

    /// Never changes.
    pub fn fixed(current: T) -> Self {
        Self(RefCell::new(Seen { source: None, current }))
    }

    /// The value. The guard must not live across an await: another request of this worker may have
    /// to renew it.
    pub fn get(&self) -> Ref<'_, T> {
        let changed = self.0.borrow().source.as_ref().is_some_and(|source| source.has_changed().unwrap_or(false));
        if changed {
            let mut seen = self.0.borrow_mut();
            let fresh = seen.source.as_mut().map(|source| source.borrow_and_update().clone());
            if let Some(fresh) = fresh {
                seen.current = fresh;
            }
        }
        Ref::map(self.0.borrow(), |seen| &seen.current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_seen_at_the_next_look() {
        let (sender, receiver) = watch::channel(1);
        let latest = Latest::of(receiver);
        assert_eq!(*latest.get(), 1);
        sender.send_replace(2);
        assert_eq!(*latest.get(), 2);
        drop(sender);
        assert_eq!((*latest.get(), *Latest::fixed(7).get()), (2, 7));
    }
}
