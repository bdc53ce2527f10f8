//! A view of the whole state as it was at one log entry, while later entries are applied.
//!
//! `apply` saves the old row of each key it is about to change, unless the view has read past it;
//! the view reads the tree in key order and prefers what was saved.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Weak};

use parking_lot::{Condvar, Mutex};

use crate::fatal::OrEnd;
use crate::limits::{MAX_OVERLAY_BYTES, ROW_OVERHEAD_BYTES};
use crate::rows::{Applied, FIRST_STATE_KEY};

/// Rows by key.
type TreeRows = BTreeMap<Vec<u8>, Vec<u8>>;

/// One tree of state. Who holds it may read it; it is cleaned up once nobody does.
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) tree: sled::Tree,
}

/// Rows in key order.
pub(crate) type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// The writer's side of a view.
struct View {
    generation: Arc<Generation>,
    reading: Mutex<Reading>,
    progress: Condvar,
}

struct Reading {
    /// Everything below was read.
    next: Vec<u8>,
    finished: bool,
    saved: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    saved_bytes: usize,
}

/// The reader's side of a view; dropping it ends the saving of old rows.
pub(crate) struct PointInTime {
    view: Arc<View>,
    /// What the state says of itself at that entry.
    pub(crate) applied: Applied,
}

impl Drop for PointInTime {
    fn drop(&mut self) {
        let mut reading = self.view.reading.lock();
        reading.finished = true;
        reading.saved.clear();
        self.view.progress.notify_all();
    }
}

impl PointInTime {
    /// The next rows, about `bytes` of them; none at the end.
    pub(crate) fn next_rows(&mut self, bytes: usize) -> Option<Rows> {
        let mut reading = self.view.reading.lock();
        if reading.finished {
            return None;
        }
        let (stored, last) = self.read_tree(&reading.next, bytes);
        let saved = reading.take_saved(last.as_deref());
        match last {
            Some(last) => reading.next = successor(last),
            None => reading.finished = true,
        }
        self.view.progress.notify_all();
        drop(reading);
        Some(merge(stored, saved))
    }

    /// Rows from `from` on, and the last key if there may be more.
    fn read_tree(&self, from: &[u8], bytes: usize) -> (TreeRows, Option<Vec<u8>>) {
        let mut rows = BTreeMap::new();
        let mut size = 0;
        for row in self.view.generation.tree.range(from..) {
            let (key, value) = row.or_end("reading the state");
            size += key.len() + value.len();
            rows.insert(key.to_vec(), value.to_vec());
            if size >= bytes {
                return (rows, Some(key.to_vec()));
            }
        }
        (rows, None)
    }
}

impl Reading {
    /// The saved rows up to `last`, or all.
    fn take_saved(&mut self, last: Option<&[u8]>) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let later = match last {
            Some(last) => self.saved.split_off(&successor(last.to_vec())),
            None => BTreeMap::new(),
        };
        let taken = std::mem::replace(&mut self.saved, later);
        self.saved_bytes -= taken.iter().map(|(key, old)| saved_size(key, old.as_deref())).sum::<usize>();
        taken
    }

    fn save(&mut self, key: &[u8], old: Option<&[u8]>) {
        if self.finished || key < self.next.as_slice() || self.saved.contains_key(key) {
            return;
        }
        self.saved_bytes += saved_size(key, old);
        self.saved.insert(key.to_vec(), old.map(<[u8]>::to_vec));
    }
}

fn saved_size(key: &[u8], old: Option<&[u8]>) -> usize {
    key.len() + old.map_or(0, <[u8]>::len) + ROW_OVERHEAD_BYTES
}

fn successor(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// A saved row counts instead of the stored one; a saved absence removes it.
fn merge(mut stored: BTreeMap<Vec<u8>, Vec<u8>>, saved: BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Rows {
    for (key, old) in saved {
        match old {
            Some(value) => stored.insert(key, value),
            None => stored.remove(&key),
        };
    }
    stored.into_iter().collect()
}

/// The views that are being read.
#[derive(Default)]
pub(crate) struct Views(Mutex<Vec<Weak<View>>>);

impl Views {
    /// Begins a view. The caller keeps `apply` out meanwhile.
    pub(crate) fn begin(&self, generation: Arc<Generation>, applied: Applied) -> PointInTime {
        let reading =
            Reading { next: FIRST_STATE_KEY.to_vec(), finished: false, saved: BTreeMap::new(), saved_bytes: 0 };
        let view = Arc::new(View { generation, reading: Mutex::new(reading), progress: Condvar::new() });
        let mut views = self.0.lock();
        views.retain(|view| view.strong_count() > 0);
        views.push(Arc::downgrade(&view));
        PointInTime { view, applied }
    }

    /// Saves what is about to change in `generation`: each key with its old value. Waits for views
    /// that have saved too much to read on.
    pub(crate) fn save<'r>(
        &self,
        generation: u64,
        old_rows: impl Iterator<Item = (&'r [u8], Option<&'r [u8]>)> + Clone,
    ) {
        let views: Vec<_> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        for view in views.into_iter().filter(|view| view.generation.number == generation) {
            let mut reading = view.reading.lock();
            while reading.saved_bytes > MAX_OVERLAY_BYTES && !reading.finished {
                view.progress.wait(&mut reading);
            }
            old_rows.clone().for_each(|(key, old)| reading.save(key, old));
        }
    }
}

/// The range of all rows of the state, the applied record left out.
pub(crate) fn all_rows() -> (Bound<&'static [u8]>, Bound<&'static [u8]>) {
    (Bound::Included(FIRST_STATE_KEY), Bound::Unbounded)
}
