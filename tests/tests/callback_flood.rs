//! Anonymous floods of callbacks at a follower: other people notice nothing, and the provider sees one call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conclave_tests::Failure;
use conclave_tests::browser::Robot;
use conclave_tests::check::Asker;
use conclave_tests::cluster::Options;
use conclave_tests::login::{CALLBACK, Person};
use conclave_tests::report::Scenario;
use conclave_tests::timing::{Times, now};
use conclave_tests::world::World;
use futures::future::try_join_all;
use url::Url;

/// Callbacks of one attempt at once.
const AT_ONCE: usize = 200;

/// Attempts at once, and callbacks of each, where the flood comes from many attempts.
const ATTEMPTS: usize = 20;

/// Callbacks of a refused attempt, one wave after another.
const REPEATED: usize = 400;

/// How long the provider takes for each code, so that a flood finds the first still at it.
const TOKEN_DELAY: Duration = Duration::from_millis(300);

/// Between two checks of one watcher.
const BETWEEN_CHECKS: Duration = Duration::from_millis(10);

/// A browser that began a login, and its callback, which was never used.
struct Stranger {
    robot: Robot,
    callback: Url,
    code: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callback_flood() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("callback_flood", 20, 3, "floods of each kind");
    let world = World::start("callback_flood", &Options::default().flag("--max-staleness=5s")).await?;
    let follower = world.replica((world.cluster.leader().await? + 1) % 3);
    let mut people = world.people(3).await?;
    let watched = people[0].log_in(follower).await?.ticket;
    world.provider()?.delay_tokens(TOKEN_DELAY).await?;
    let over = Arc::new(AtomicBool::new(false));
    let watchers: Vec<_> = world
        .cluster
        .addresses()
        .into_iter()
        .map(|replica| tokio::spawn(check_on(replica, watched.clone(), Arc::clone(&over))))
        .collect();
    let comings: Vec<_> =
        people.drain(1..).map(|person| tokio::spawn(come_and_go(person, follower, Arc::clone(&over)))).collect();

    let begun = now();
    let mut turned_away = 0;
    for round in 0..scenario.count() {
        let one = Stranger::new(&world, follower, format!("junk-{round}")).await?;
        turned_away += one.flood(AT_ONCE).await?;
        let codes = (0..ATTEMPTS).map(|number| format!("junk-{round}-{number}"));
        let many = try_join_all(codes.map(|code| Stranger::new(&world, follower, code))).await?;
        turned_away += try_join_all(many.iter().map(|one| one.flood(AT_ONCE / ATTEMPTS))).await?.iter().sum::<usize>();
    }
    let refused = Stranger::new(&world, follower, "junk-again".to_owned()).await?;
    for _ in 0..REPEATED / 8 {
        assert_eq!(refused.flood(8).await?, 0, "eight at once are not too many");
    }
    let flooded = begun.elapsed();
    over.store(true, Ordering::Relaxed);

    let mut checks = Times::default();
    for watcher in watchers {
        checks.extend(watcher.await??);
    }
    let mut logins = 0;
    for coming in comings {
        logins += coming.await??;
    }
    let ledger = world.provider()?.ledger().await?;
    let junk: Vec<_> = ledger.codes.iter().filter(|(code, _)| code.starts_with("junk-")).collect();
    assert_eq!(junk.len(), scenario.count() * (1 + ATTEMPTS) + 1, "every attempt's code reached the provider");
    let twice: Vec<_> = junk.iter().filter(|(_, used)| used.asked != 1).collect();
    assert!(twice.is_empty(), "a code reached the provider more than once: {twice:?}");
    scenario.held("callbacks turned away with 503", turned_away);
    scenario.held("codes at the provider, each once", junk.len());
    scenario.figure("floods lasted", format!("{:.1} s", flooded.as_secs_f64()));
    scenario.held("checks meanwhile, all let through", checks.len());
    scenario.figure("checks took", checks.summary());
    scenario.held("logins and sign-outs meanwhile, all acknowledged", logins);
    scenario.passed();
    Ok(())
}

impl Stranger {
    async fn new(world: &World, replica: SocketAddr, code: String) -> Result<Self, Failure> {
        let mut robot = Robot::new("nobody").via(&world.place.authority(), replica);
        let start = robot.get(&world.place.url("/oauth2/start?rd=%2F")).await?;
        let provider = start.location().ok_or("the start leads nowhere")?;
        let state = provider.query_pairs().find(|(name, _)| name == "state").ok_or("no state")?.1.into_owned();
        let mut callback = world.place.url(CALLBACK);
        let issuer = world.provider()?.registration().issuer;
        callback.query_pairs_mut().extend_pairs([("code", code.as_str()), ("state", &state), ("iss", &issuer)]);
        Ok(Self { robot, callback, code })
    }

    /// Sends so many callbacks at once, and says how many were turned away.
    async fn flood(&self, count: usize) -> Result<usize, Failure> {
        let callbacks = (0..count).map(|_| {
            let (mut robot, callback) = (self.robot.clone(), self.callback.clone());
            tokio::spawn(async move { robot.get(&callback).await })
        });
        let mut turned_away = 0;
        for callback in callbacks.collect::<Vec<_>>() {
            let answer = callback.await??;
            let page = (answer.status, answer.body.contains("Sign in again"));
            match page {
                (500, true) => {}
                (503, true) => {
                    assert_ne!(answer.header("retry-after"), "");
                    turned_away += 1;
                }
                _ => return Err(format!("{}: {}: {}", self.code, answer.status, answer.body).into()),
            }
        }
        if count == AT_ONCE {
            assert!(turned_away > 0, "of {count} at once some are turned away");
        }
        Ok(turned_away)
    }
}

/// Checks one session at one replica until the floods are over; each check lets it through.
async fn check_on(replica: SocketAddr, ticket: String, over: Arc<AtomicBool>) -> Result<Times, Failure> {
    let (asker, mut times) = (Asker::default(), Times::default());
    while !over.load(Ordering::Relaxed) {
        let verdict = asker.ask(replica, &ticket).await?;
        assert_eq!(verdict.status, 202, "a check at {replica} after {} others", times.len());
        times.add(verdict.took);
        tokio::time::sleep(BETWEEN_CHECKS).await;
    }
    Ok(times)
}

/// Logs in and signs out at one replica until the floods are over; says how often.
async fn come_and_go(mut person: Person, replica: SocketAddr, over: Arc<AtomicBool>) -> Result<usize, Failure> {
    let mut times = 0;
    while !over.load(Ordering::Relaxed) {
        person.log_in(replica).await?;
        let out = person.sign_out(replica).await?;
        assert_eq!(out.status, 302, "a sign-out at {replica} after {times} others: {}", out.body);
        times += 1;
    }
    Ok(times)
}
