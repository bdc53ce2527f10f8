//! A replica that was away for longer than the log is kept comes back by a snapshot, while people log in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conclave_tests::Failure;
use conclave_tests::check::Asker;
use conclave_tests::cluster::{Options, READY_WITHIN};
use conclave_tests::login::{Login, Person};
use conclave_tests::report::Scenario;
use conclave_tests::timing::{now, until};
use conclave_tests::world::World;

const PEOPLE: usize = 8;

/// Further rounds of logins until the log is longer than what is kept behind a snapshot.
const MOST_ROUNDS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshot_install() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("snapshot_install", 2000, 240, "logins");
    let options = Options::default().flag("--snapshot-log-bytes=65536").flag("--snapshot-min-interval=1s");
    let mut world = World::start("snapshot_install", &options).await?;
    let people = world.people(PEOPLE).await?;
    let away = (world.cluster.leader().await? + 1) % 3;
    world.cluster.replicas[away].kill();
    let (mut logins, mut people) = log_in(&world, people, away, scenario.count() / PEOPLE, None).await?;
    let leader = world.cluster.leader().await?;
    // How many entries so many logins make depends on how they fall into batches.
    for _ in 0..MOST_ROUNDS {
        let status = world.cluster.replicas[leader].admin("/status").await?;
        if status["purged"].as_u64() > Some(0) {
            break;
        }
        let more = log_in(&world, people, away, scenario.count() / PEOPLE, None).await?;
        logins.extend(more.0);
        people = more.1;
    }
    until("a purged log", Duration::from_secs(30), || async {
        let status = world.cluster.replicas[leader].admin("/status").await.ok()?;
        (status["purged"].as_u64()? > 0).then_some(())
    })
    .await?;

    let over = Arc::new(AtomicBool::new(false));
    world.cluster.replicas[away].start()?;
    let begun = now();
    let (under_load, ready) = tokio::join!(
        log_in(&world, people, away, usize::MAX, Some(Arc::clone(&over))),
        wait_ready_then_stop(&world, away, &over)
    );
    ready?;
    let back = begun.elapsed();
    logins.extend(under_load?.0);
    let status = world.cluster.replicas[away].admin("/status").await?;
    let installed = status["snapshots_installed"].as_u64().unwrap_or_default();
    assert!(installed > 0, "the replica came back by a snapshot: {status}");
    let (index, hash) = world.cluster.wait_equal_hashes(Duration::from_secs(30)).await?;
    let asker = Asker::default();
    for login in &logins {
        let verdict = asker.ask(world.replica(away), &login.ticket).await?;
        assert!(verdict.admits(&login.user), "answers {}", verdict.status);
    }
    scenario.held("sessions at the replica that was away", logins.len());
    scenario.figure("ready again after", format!("{:.1} s", back.as_secs_f64()));
    scenario.figure("state hash equal on all three at", format!("{index} ({}…)", &hash[..12.min(hash.len())]));
    scenario.passed();
    Ok(())
}

async fn wait_ready_then_stop(world: &World, away: usize, over: &AtomicBool) -> Result<(), Failure> {
    let replica = &world.cluster.replicas[away];
    let outcome =
        until("ready again", READY_WITHIN, || async { (replica.ready_status().await == 200).then_some(()) }).await;
    over.store(true, Ordering::Relaxed);
    outcome
}

/// Everyone logs in `each` times, or until `over`, at the two replicas that are there.
async fn log_in(
    world: &World,
    people: Vec<Person>,
    away: usize,
    each: usize,
    over: Option<Arc<AtomicBool>>,
) -> Result<(Vec<Login>, Vec<Person>), Failure> {
    let mut tasks = Vec::new();
    for (index, mut person) in people.into_iter().enumerate() {
        let replica = world.replica((away + 1 + index % 2) % 3);
        let over = over.clone();
        tasks.push(tokio::spawn(async move {
            let mut logins = Vec::new();
            while logins.len() < each && !over.as_ref().is_some_and(|over| over.load(Ordering::Relaxed)) {
                logins.push(person.log_in(replica).await?);
            }
            Ok::<_, Failure>((logins, person))
        }));
    }
    let (mut all, mut people) = (Vec::new(), Vec::new());
    for task in tasks {
        let (logins, person) = task.await??;
        all.extend(logins);
        people.push(person);
    }
    Ok((all, people))
}
