//! What people see meanwhile: checks at each pod, pages through nginx and logins, asked all the time until told to stop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use url::Url;

use crate::browser::Robot;
use crate::check::Asker;
use crate::kube::stage::Stage;
use crate::login::Login;
use crate::{Failure, timing};

/// A check that takes longer counts as not answered.
const CHECK_WITHIN: Duration = Duration::from_secs(2);

/// Between two questions of one asker.
const PAUSE: Duration = Duration::from_millis(10);

/// Askers of pages, as each hangs while nginx dials a pod that is silent.
const READERS: usize = 4;

/// People who log in, one login after another, for the same reason.
const NEWCOMERS: usize = 3;

/// Who logs in: another person than the one whose session is watched, since so many logins of one person end the oldest
/// of that person's sessions.
const NEWCOMER: &str = "admins";

/// Questions of one kind, in a row.
#[derive(Clone, Debug)]
pub struct Series {
    /// How many were asked.
    pub asked: usize,
    /// By answer what was not good: a status, or 0 for none.
    pub failed: BTreeMap<u16, usize>,
    /// When the last good answer came.
    pub last_good: Instant,
    /// The longest time between two good answers.
    pub longest_gap: Duration,
    /// When each status was first answered.
    pub first: BTreeMap<u16, Instant>,
}

impl Series {
    fn new() -> Self {
        let (failed, first) = (BTreeMap::new(), BTreeMap::new());
        Self { asked: 0, failed, last_good: timing::now(), longest_gap: Duration::ZERO, first }
    }

    fn add(&mut self, status: u16, is_good: bool) {
        self.asked += 1;
        let now = timing::now();
        self.first.entry(status).or_insert(now);
        if !is_good {
            *self.failed.entry(status).or_default() += 1;
            return;
        }
        self.longest_gap = self.longest_gap.max(now.duration_since(self.last_good));
        self.last_good = now;
    }

    /// How many were not good.
    pub fn failures(&self) -> usize {
        self.failed.values().sum()
    }
}

impl std::fmt::Display for Series {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} of {} failed", self.failures(), self.asked)?;
        for (status, count) in &self.failed {
            match status {
                0 => write!(out, ", {count} without an answer")?,
                status => write!(out, ", {count} with {status}")?,
            }
        }
        write!(out, ", longest gap {:.1} s", self.longest_gap.as_secs_f64())
    }
}

type Shared = Arc<Mutex<Series>>;

/// The askers. Dropping them stops them.
#[derive(Debug)]
pub struct Observer {
    /// Checks, by pod.
    pods: BTreeMap<usize, Shared>,
    pages: Shared,
    logins: Shared,
    tasks: Vec<JoinHandle<()>>,
}

/// What was seen.
#[derive(Debug)]
pub struct Seen {
    /// Checks sent straight to each pod.
    pub pods: BTreeMap<usize, Series>,
    /// Pages of the app, through nginx, by somebody who is logged in.
    pub pages: Series,
    /// Logins one after another, through nginx, by somebody whom the provider knows.
    pub logins: Series,
}

impl Observer {
    /// Begins to ask: checks about `login`, pages with the browser that it was made in, and logins with others.
    pub fn begin(stage: &Stage, login: &Login, robot: &Robot) -> Result<Self, Failure> {
        let port = stage.set.manifest()?.port(&"http".into())?;
        let shared = || Arc::new(Mutex::new(Series::new()));
        let (pages, logins, page) = (shared(), shared(), stage.example.page());
        let mut observer = Self { pods: BTreeMap::new(), pages, logins, tasks: Vec::new() };
        for pod in stage.set.pods.values() {
            let series = shared();
            observer.tasks.push(tokio::spawn(ask_pod(pod.at(port), login.clone(), Arc::clone(&series))));
            observer.pods.insert(pod.ordinal, series);
        }
        for _ in 0..READERS {
            observer.tasks.push(tokio::spawn(ask_pages(robot.clone(), page.clone(), Arc::clone(&observer.pages))));
        }
        for _ in 0..NEWCOMERS {
            let newcomer = stage.browser(NEWCOMER)?;
            observer.tasks.push(tokio::spawn(log_in(newcomer, page.clone(), Arc::clone(&observer.logins))));
        }
        Ok(observer)
    }

    /// The checks at one pod, so far.
    pub fn pod(&self, ordinal: usize) -> Series {
        read(&self.pods[&ordinal])
    }

    /// The logins, so far.
    pub fn logins(&self) -> Series {
        read(&self.logins)
    }

    /// Stops, and tells.
    pub async fn end(mut self) -> Seen {
        for task in self.tasks.drain(..) {
            task.abort();
            let _ = task.await;
        }
        let pods = self.pods.iter().map(|(ordinal, series)| (*ordinal, read(series))).collect();
        Seen { pods, pages: read(&self.pages), logins: read(&self.logins) }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn read(series: &Shared) -> Series {
    series.lock().expect("no asker panics while it counts").clone()
}

fn note(series: &Shared, status: u16, is_good: bool) {
    series.lock().expect("no asker panics while it counts").add(status, is_good);
}

async fn ask_pod(pod: SocketAddr, login: Login, series: Shared) {
    let asker = Asker::without_keep_alive();
    loop {
        let verdict = asker.ask_within(pod, &login.ticket, CHECK_WITHIN).await;
        let status = verdict.as_ref().map_or(0, |verdict| verdict.status);
        note(&series, status, verdict.is_ok_and(|verdict| verdict.admits(&login.user)));
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask_pages(mut robot: Robot, page: Url, series: Shared) {
    loop {
        let answer = robot.get(&page).await;
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        note(&series, status, answer.is_ok_and(|answer| answer.status == 200));
        tokio::time::sleep(PAUSE).await;
    }
}

async fn log_in(mut robot: Robot, page: Url, series: Shared) {
    loop {
        robot.jar.forget("example.com");
        let answer = robot.open(&page).await;
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        let is_back = answer.is_ok_and(|answer| answer.status == 200 && answer.url == page);
        note(&series, status, is_back);
        tokio::time::sleep(PAUSE).await;
    }
}
