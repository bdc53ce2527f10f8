//! The leader dies within milliseconds of an acknowledged login, again and again.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use conclave_tests::Failure;
use conclave_tests::check::Asker;
use conclave_tests::cluster::{Options, READY_WITHIN};
use conclave_tests::login::{Login, Person};
use conclave_tests::report::Scenario;
use conclave_tests::timing::{Times, now};
use conclave_tests::world::World;

/// The kill follows the acknowledgement within this.
const KILL_WITHIN: Duration = Duration::from_millis(5);

/// Logins under way at the kill, and one that begins right after it.
const UNDER_WAY: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_kill() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("leader_kill", 50, 3, "kills");
    let mut world = World::start("leader_kill", &Options::default()).await?;
    let mut people = world.people(UNDER_WAY + 2).await?;
    let (mut all, mut gaps, mut waits, mut kills) = (Vec::new(), Times::default(), Times::default(), Times::default());
    let mut late = 0;
    while kills.len() < scenario.count() {
        let leader = world.cluster.leader().await?;
        let at = scenario.scale.below(world.cluster.replicas.len());
        let lead_time = scenario.scale.span(Duration::from_millis(20));
        let round_logins = one_kill(&mut world, &mut people, leader, at, lead_time).await?;
        // A busy machine may hold the kill up: such a round shows less, and does not count as one.
        if round_logins.kill_after <= KILL_WITHIN {
            kills.add(round_logins.kill_after);
        } else {
            late += 1;
            assert!(late <= scenario.count(), "no kill comes in time");
        }
        gaps.add(round_logins.gap);
        waits.extend(round_logins.waited);
        let survivors: Vec<SocketAddr> = others(&world, leader);
        honoured(&survivors, &round_logins.acknowledged).await?;
        world.cluster.replicas[leader].start()?;
        world.cluster.replicas[leader].wait_ready(READY_WITHIN).await?;
        all.extend(round_logins.acknowledged);
        honoured(&[world.replica(leader)], &all).await?;
        println!("kill {}: gap {:?}, {} sessions so far", kills.len(), round_logins.gap, all.len());
    }
    honoured(&world.cluster.addresses(), &all).await?;
    scenario.held("acknowledged sessions, all honoured by all three", all.len());
    scenario.figure("kill after the acknowledgement", kills.summary());
    scenario.figure("further kills that came later than 5 ms", late);
    scenario.figure("gap until the next login", gaps.summary());
    scenario.figure("logins under way at the kill", waits.summary());
    scenario.passed();
    Ok(())
}

struct Round {
    acknowledged: Vec<Login>,
    kill_after: Duration,
    gap: Duration,
    waited: Times,
}

async fn one_kill(
    world: &mut World,
    people: &mut [Person],
    leader: usize,
    at: usize,
    lead_time: Duration,
) -> Result<Round, Failure> {
    let survivors = others(world, leader);
    let mut prepared = Vec::new();
    for (index, person) in people.iter_mut().enumerate().skip(1) {
        let callback = person.begin(survivors[index % survivors.len()]).await?;
        prepared.push((person.clone(), callback));
    }
    let (mut next, next_callback) = prepared.pop().ok_or("somebody logs in after the kill")?;
    let victim_login = people[0].begin(world.replica(at)).await?;
    let mut under_way = Vec::new();
    for (mut person, callback) in prepared {
        under_way.push(tokio::spawn(async move {
            tokio::time::sleep(lead_time).await;
            person.finish(&callback).await
        }));
    }
    let first = people[0].finish(&victim_login).await?;
    world.cluster.replicas[leader].process()?.kill_now();
    let killed_at: Instant = now();
    let kill_after = killed_at.duration_since(first.acknowledged_at);
    let after = next.finish(&next_callback).await?;
    world.cluster.replicas[leader].kill();
    let gap = after.acknowledged_at.duration_since(killed_at);
    let (mut acknowledged, mut waited) = (vec![first, after], Times::default());
    for task in under_way {
        let login = task.await?.map_err(|error| format!("a login under way at the kill failed: {error}"))?;
        waited.add(login.callback_took);
        acknowledged.push(login);
    }
    Ok(Round { acknowledged, kill_after, gap, waited })
}

fn others(world: &World, leader: usize) -> Vec<SocketAddr> {
    let addresses = world.cluster.addresses();
    addresses.into_iter().enumerate().filter(|(index, _)| *index != leader).map(|(_, address)| address).collect()
}

/// Every login is let through, as its person, by every replica named: at the first question.
async fn honoured(replicas: &[SocketAddr], logins: &[Login]) -> Result<(), Failure> {
    let asker = Asker::default();
    for login in logins {
        for replica in replicas {
            let verdict = asker.ask(*replica, &login.ticket).await?;
            assert!(verdict.admits(&login.user), "{replica} answers {} to {}", verdict.status, login.user);
        }
    }
    Ok(())
}
