//! Once a second: renews the marker with what became durable, looks at the free space, and keeps the reserve.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::disk::DiskSpace;
use crate::flusher::Flusher;
use crate::marker::MarkerFile;
use crate::reserve::Reserve;

/// How far the marker may lag behind.
const PERIOD: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct KeeperHandle {
    closing: Mutex<bool>,
    wake: Condvar,
}

pub(crate) struct Keeper {
    pub(crate) handle: Arc<KeeperHandle>,
    pub(crate) flusher: Flusher,
    pub(crate) marker: Arc<MarkerFile>,
    pub(crate) reserve: Reserve,
    pub(crate) space: watch::Sender<DiskSpace>,
}

impl KeeperHandle {
    /// Ends the thread.
    pub(crate) fn close(&self) {
        *self.closing.lock() = true;
        self.wake.notify_all();
    }
}

impl Keeper {
    /// Looks once, then starts the thread.
    pub(crate) fn start(self) -> io::Result<JoinHandle<()>> {
        self.look();
        std::thread::Builder::new().name("store-keeper".to_owned()).spawn(move || self.run())
    }

    fn run(&self) {
        loop {
            let mut closing = self.handle.closing.lock();
            if !*closing {
                self.handle.wake.wait_for(&mut closing, PERIOD);
            }
            let last_time = *closing;
            drop(closing);
            self.look();
            if last_time {
                return;
            }
        }
    }

    fn look(&self) {
        let durable = *self.flusher.durable().borrow();
        if let Err(error) = self.marker.renew(&durable) {
            tracing::warn!(%error, "cannot renew the store's marker");
        }
        match self.reserve.look() {
            Ok(free_bytes) => self.space.send_if_modified(|space| {
                let before = std::mem::replace(space, space.after(free_bytes));
                before.room != space.room
            }),
            Err(error) => {
                tracing::warn!(%error, "cannot see how much disk space is free, or cannot make the reserve");
                false
            }
        };
    }
}
