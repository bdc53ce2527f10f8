//! The replicas are stopped and started one after another, as a rolling update does it: no check fails at a client
//! that honours readiness, logins go on, and no session is lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use conclave_tests::check::Asker;
use conclave_tests::cluster::{Options, READY_WITHIN};
use conclave_tests::login::{Login, Person};
use conclave_tests::report::Scenario;
use conclave_tests::timing::{Times, now};
use conclave_tests::world::World;
use conclave_tests::{Failure, http};

/// How often the client looks whether a replica is ready: far more seldom than a replica drains.
const LOOK: Duration = Duration::from_millis(200);

/// Draining (2 s here), hand-over, flush.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

/// Clients that ask all the time.
const CHECKERS: usize = 4;

/// People who log in all the time.
const PEOPLE: usize = 2;

/// What stands between clients and replicas, as a Service does: only those that said that they are ready.
struct Endpoints {
    ready: Vec<(SocketAddr, AtomicBool)>,
    next: AtomicUsize,
    over: AtomicBool,
}

impl Endpoints {
    fn new(replicas: Vec<SocketAddr>) -> Self {
        let ready = replicas.into_iter().map(|replica| (replica, AtomicBool::new(true))).collect();
        Self { ready, next: AtomicUsize::new(0), over: AtomicBool::new(false) }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The next ready replica in turn.
    fn pick(&self) -> Result<SocketAddr, Failure> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let ready: Vec<SocketAddr> =
            self.ready.iter().filter(|(_, ready)| ready.load(Ordering::Relaxed)).map(|(replica, _)| *replica).collect();
        ready.get(turn % ready.len().max(1)).copied().ok_or_else(|| "no replica is ready".into())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restart() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("rolling_restart", 5, 1, "restarts of all three in turn");
    let mut world = World::start("rolling_restart", &Options::default().flag("--drain-delay=2s")).await?;
    let people = world.people(PEOPLE + 1).await?;
    let (first, others) = people.split_first().ok_or("nobody")?;
    let before = first.clone().log_in(world.replica(0)).await?;
    let endpoints = Arc::new(Endpoints::new(world.cluster.addresses()));
    let watching = tokio::spawn(watch(Arc::clone(&endpoints)));
    let checkers: Vec<_> = (0..CHECKERS).map(|_| tokio::spawn(check(Arc::clone(&endpoints), before.clone()))).collect();
    let loggers: Vec<_> =
        others.iter().map(|person| tokio::spawn(log_in(Arc::clone(&endpoints), person.clone()))).collect();
    let mut stops = Times::default();
    for _ in 0..scenario.count() {
        for index in 0..world.cluster.replicas.len() {
            let begun = now();
            let replica = &mut world.cluster.replicas[index];
            let status = replica.process()?.terminate(STOPS_WITHIN).await?;
            assert!(status.success(), "{} stops with {status}", replica.name);
            stops.add(begun.elapsed());
            replica.kill();
            replica.start()?;
            replica.wait_ready(READY_WITHIN).await?;
        }
    }
    endpoints.over.store(true, Ordering::Relaxed);
    watching.await?;
    let mut times = Times::default();
    for checker in checkers {
        times.extend(checker.await??);
    }
    let (mut logins, mut waits) = (vec![before], Times::default());
    for logger in loggers {
        let made = logger.await??;
        made.iter().for_each(|login| waits.add(login.callback_took));
        logins.extend(made);
    }
    let asker = Asker::default();
    for login in &logins {
        for replica in world.cluster.addresses() {
            let verdict = asker.ask(replica, &login.ticket).await?;
            assert!(verdict.admits(&login.user), "{replica} answers {} afterwards", verdict.status);
        }
    }
    scenario.held("checks meanwhile, none failed", times.len());
    scenario.figure("a check", times.summary());
    scenario.held("logins meanwhile, none failed", logins.len());
    scenario.figure("a callback", waits.summary());
    scenario.figure("a stop", stops.summary());
    scenario.passed();
    Ok(())
}

async fn watch(endpoints: Arc<Endpoints>) {
    let client = http::client_without_keep_alive();
    while !endpoints.is_over() {
        for (replica, ready) in &endpoints.ready {
            let answer = client.get(format!("http://{replica}/ready")).send().await;
            ready.store(answer.is_ok_and(|answer| answer.status() == 200), Ordering::Relaxed);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn check(endpoints: Arc<Endpoints>, login: Login) -> Result<Times, Failure> {
    let asker = Asker::without_keep_alive();
    let mut times = Times::default();
    while !endpoints.is_over() {
        let replica = endpoints.pick()?;
        let verdict = asker.ask(replica, &login.ticket).await.map_err(|error| format!("{replica}: {error:?}"))?;
        assert!(verdict.admits(&login.user), "{replica} answers {}", verdict.status);
        times.add(verdict.took);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(times)
}

async fn log_in(endpoints: Arc<Endpoints>, mut person: Person) -> Result<Vec<Login>, Failure> {
    let mut logins = Vec::new();
    while !endpoints.is_over() {
        logins.push(person.log_in(endpoints.pick()?).await?);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(logins)
}
