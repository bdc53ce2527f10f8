//! The power of all three disks goes at once, under logins, again and again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conclave_tests::check::Asker;
use conclave_tests::cluster::{Options, READY_WITHIN};
use conclave_tests::disks::{Disk, clear_leftovers, cut_power};
use conclave_tests::login::{Login, Person};
use conclave_tests::report::Scenario;
use conclave_tests::timing::{Times, now, until};
use conclave_tests::workdir::WorkDir;
use conclave_tests::world::World;
use conclave_tests::{Failure, target_dir};

/// People who log in as fast as they can.
const PEOPLE: usize = 8;

/// The power goes at a random moment within this.
const WITHIN: Duration = Duration::from_millis(1500);

/// From the moment at which the first disk loses its power until that is said: the cut is a process of its own.
const CUT_TAKES: Duration = Duration::from_secs(2);

/// A run in which fewer logins than this were acknowledged per cut has shown nothing.
const LEAST_PER_CUT: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cut() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("power_cut", 20, 3, "cuts");
    clear_leftovers(&target_dir().join("scenarios/power_cut"))?;
    let dir = WorkDir::fresh("power_cut");
    let mut disks = (0..3).map(|index| Disk::make(&dir, &format!("disk-{index}"))).collect::<Result<Vec<_>, _>>()?;
    let data_dirs = disks.iter().map(|disk| disk.path().join("data")).collect();
    let mut world = World::start_in(dir, &Options { data_dirs, ..Options::default() }).await?;
    let mut people = world.people(PEOPLE).await?;
    let (mut all, mut back) = (Vec::new(), Times::default());
    for round in 0..scenario.count() {
        let moment = scenario.scale.span(WITHIN);
        let (acknowledged, returned) = logins_until_the_cut(&mut world, people, &disks, moment).await?;
        people = returned;
        println!("cut {round} after {moment:?}: {} logins acknowledged", acknowledged.len());
        all.extend(acknowledged);
        for disk in &mut disks {
            disk.unmount()?;
            disk.mount()?;
        }
        let begun = now();
        for replica in &mut world.cluster.replicas {
            replica.start()?;
        }
        world.cluster.wait_ready(READY_WITHIN).await?;
        back.add(begun.elapsed());
        none_missing(&world.cluster.addresses(), &all).await?;
    }
    assert!(all.len() >= LEAST_PER_CUT * scenario.count(), "only {} logins over all cuts", all.len());
    let (index, _) = world.cluster.wait_equal_hashes(Duration::from_secs(20)).await?;
    scenario.held("acknowledged sessions, none missing on any replica", all.len());
    scenario.figure("all three ready again after", back.summary());
    scenario.figure("equal state hashes at index", index);
    scenario.passed();
    world.cluster.kill_all();
    Ok(())
}

/// Lets everyone log in at random replicas until the power goes; returns what was acknowledged before.
async fn logins_until_the_cut(
    world: &mut World,
    people: Vec<Person>,
    disks: &[Disk],
    moment: Duration,
) -> Result<(Vec<Login>, Vec<Person>), Failure> {
    let over = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for (index, person) in people.into_iter().enumerate() {
        tasks.push(tokio::spawn(log_in_until(person, world.cluster.addresses(), index, Arc::clone(&over))));
    }
    tokio::time::sleep(moment).await;
    cut_power(disks)?;
    over.store(true, Ordering::Relaxed);
    world.cluster.kill_all();
    let (mut acknowledged, mut people) = (Vec::new(), Vec::new());
    for task in tasks {
        let (logins, person) = task.await?;
        acknowledged.extend(logins);
        people.push(person);
    }
    Ok((acknowledged, people))
}

/// A login that was acknowledged counts even if its answer was read after the cut.
async fn log_in_until(
    mut person: Person,
    replicas: Vec<SocketAddr>,
    start: usize,
    over: Arc<AtomicBool>,
) -> (Vec<Login>, Person) {
    let mut logins = Vec::new();
    let mut turn = start;
    while !over.load(Ordering::Relaxed) {
        match person.log_in(replicas[turn % replicas.len()]).await {
            Ok(login) => logins.push(login),
            // The replica may be dying already; what it refuses or drops was not acknowledged. Otherwise a login failed
            // with the power on.
            Err(error) => {
                let cut = || async { over.load(Ordering::Relaxed).then_some(()) };
                assert!(until("the cut", CUT_TAKES, cut).await.is_ok(), "a login failed before the cut: {error}");
                break;
            }
        }
        turn += 1;
    }
    (logins, person)
}

async fn none_missing(replicas: &[SocketAddr], logins: &[Login]) -> Result<(), Failure> {
    let asker = Asker::default();
    for login in logins {
        for replica in replicas {
            let verdict = asker.ask(*replica, &login.ticket).await?;
            assert!(verdict.admits(&login.user), "{replica} answers {} to {}", verdict.status, login.user);
        }
    }
    Ok(())
}
