//! Requests that never stop while a scenario changes things, and what was answered in each phase.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::{COOKIE, HOST};
use tokio::task::JoinHandle;

use crate::gateway::Place;
use crate::{Failure, http};

/// Between two rounds: enough requests to meet every moment of a reload, and time left for the rest.
const PAUSE: Duration = Duration::from_millis(3);

/// Answers by status; 0 stands for no answer.
pub type Answers = BTreeMap<u16, usize>;

/// Answers by phase and by who asked.
pub type Seen = BTreeMap<(String, &'static str), Answers>;

/// Who asks: a name for it, where, and with which `Cookie` header.
type Watcher = (&'static str, Place, String);

#[derive(Debug, Default)]
struct Shared {
    phase: String,
    watchers: Vec<Watcher>,
    seen: Seen,
}

/// The watch. It ends when dropped.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Begins with nobody asking.
    pub fn begin() -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let task = tokio::spawn(ask_on(Arc::clone(&shared)));
        Self { shared, task }
    }

    /// From now on somebody asks there with these cookies too; an empty text sends none.
    pub fn add(&self, who: &'static str, place: Place, cookies: &str) {
        self.lock().watchers.push((who, place, cookies.to_owned()));
    }

    /// What is answered from now on counts there.
    pub fn phase(&self, name: &str) {
        name.clone_into(&mut self.lock().phase);
    }

    /// Ends it. Fails where the watch itself did.
    pub fn end(self) -> Result<Seen, Failure> {
        if self.task.is_finished() {
            return Err("the watch ended by itself".into());
        }
        Ok(std::mem::take(&mut self.lock().seen))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().expect("the watch does not panic")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn ask_on(shared: Arc<Mutex<Shared>>) {
    // A new connection each time: what a reload does to a kept one is no answer of the service's.
    let client = http::client_without_keep_alive();
    loop {
        let watchers = shared.lock().expect("no other holder panics").watchers.clone();
        for (who, place, cookies) in watchers {
            let phase = shared.lock().expect("no other holder panics").phase.clone();
            let request = client.get(format!("http://{}/watched", place.address())).header(HOST, place.authority());
            let request = if cookies.is_empty() { request } else { request.header(COOKIE, cookies) };
            let status = request.send().await.map_or(0, |answer| answer.status().as_u16());
            let mut shared = shared.lock().expect("no other holder panics");
            *shared.seen.entry((phase, who)).or_default().entry(status).or_default() += 1;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
