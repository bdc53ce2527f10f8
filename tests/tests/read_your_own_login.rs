//! A login at one replica is honoured by the others at once, with a slow link to one of them.

use std::time::Duration;

use conclave_tests::Failure;
use conclave_tests::check::{Asker, Verdict};
use conclave_tests::cluster::{Cluster, Options};
use conclave_tests::login::{Login, Person};
use conclave_tests::report::Scenario;
use conclave_tests::timing::{Times, now, until};
use conclave_tests::world::World;

/// Where people log in, the replica behind the slow link, and the third.
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// People who log in at once; each waits for its own answers before the next login.
const PEOPLE: usize = 8;

/// B must have everything so long after the last login.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Tally {
    lag: Times,
    login: Times,
    at_b: Times,
    at_c: Times,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_60_ms_with_the_default_timeouts() -> Result<(), Failure> {
    read_your_own_login("read_your_own_login.lan", Duration::from_millis(60), Options::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_300_ms_with_the_wide_area_timeouts() -> Result<(), Failure> {
    let options = Options::default().flag("--raft-timeouts=wide-area");
    read_your_own_login("read_your_own_login.wide", Duration::from_millis(300), options).await
}

async fn read_your_own_login(name: &str, delay: Duration, options: Options) -> Result<(), Failure> {
    let mut scenario = Scenario::begin(name, 1000, 40, "logins");
    let world = World::start(name, &Options { slow: Some((B, delay)), ..options }).await?;
    let per_person = scenario.count() / PEOPLE;
    let mut tasks = Vec::new();
    for person in world.people(PEOPLE).await? {
        let addresses = [world.replica(A), world.replica(B), world.replica(C)];
        tasks.push(tokio::spawn(log_in_and_ask(person, addresses, per_person)));
    }
    let mut tally = Tally::default();
    for task in tasks {
        let part = task.await??;
        tally.lag.extend(part.lag);
        tally.login.extend(part.login);
        tally.at_b.extend(part.at_b);
        tally.at_c.extend(part.at_c);
    }
    let caught_up = caught_up(&world.cluster).await?;
    scenario.held("every answer 202 with the right identity", tally.at_b.len() + tally.at_c.len());
    scenario.figure("asked after the acknowledgement", tally.lag.summary());
    scenario.figure("callback at A", tally.login.summary());
    scenario.figure("first answer of B", tally.at_b.summary());
    scenario.figure("first answer of C", tally.at_c.summary());
    scenario.figure("B caught up and ready after", format!("{} ms", caught_up.as_millis()));
    scenario.passed();
    Ok(())
}

async fn log_in_and_ask(
    mut person: Person,
    [a, b, c]: [std::net::SocketAddr; 3],
    count: usize,
) -> Result<Tally, Failure> {
    let asker = Asker::default();
    // Warm connections, so that the question goes out within a millisecond.
    tokio::try_join!(asker.ask(b, ""), asker.ask(c, ""))?;
    let mut tally = Tally::default();
    for _ in 0..count {
        let login = person.log_in(a).await?;
        let (at_b, at_c) = tokio::try_join!(asker.ask(b, &login.ticket), asker.ask(c, &login.ticket))?;
        expect_admitted("B", &login, &at_b);
        expect_admitted("C", &login, &at_c);
        tally.lag.add(at_b.sent_at.duration_since(login.acknowledged_at));
        tally.login.add(login.callback_took);
        tally.at_b.add(at_b.took);
        tally.at_c.add(at_c.took);
    }
    Ok(tally)
}

fn expect_admitted(replica: &str, login: &Login, verdict: &Verdict) {
    assert!(
        verdict.admits(&login.user),
        "{replica} answers {} as {:?} to {} after {:?}",
        verdict.status,
        verdict.user(),
        login.user,
        verdict.took
    );
}

/// How long B takes to have what A has, and to be ready.
async fn caught_up(cluster: &Cluster) -> Result<Duration, Failure> {
    let begun = now();
    let (wanted, _) = cluster.replicas[A].state_hash().await?;
    until("B caught up and ready", CAUGHT_UP_WITHIN, || async {
        let (index, _) = cluster.replicas[B].state_hash().await.ok()?;
        let ready = cluster.replicas[B].ready_status().await == 200;
        (ready && index >= wanted).then_some(())
    })
    .await?;
    Ok(begun.elapsed())
}
