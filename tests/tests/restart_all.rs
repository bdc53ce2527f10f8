//! All replicas stop, by SIGTERM or by SIGKILL, and start again: every session is still there.

use std::time::Duration;

use conclave_tests::Failure;
use conclave_tests::check::Asker;
use conclave_tests::cluster::{Options, READY_WITHIN};
use conclave_tests::report::Scenario;
use conclave_tests::timing::{Times, now};
use conclave_tests::world::World;

/// Draining (0 s here), hand-over, flush.
const STOPS_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_all() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("restart_all", 10, 2, "restarts of all three");
    let mut world = World::start("restart_all", &Options::default().flag("--drain-delay=0s")).await?;
    let mut people = world.people(4).await?;
    let (mut logins, mut back) = (Vec::new(), Times::default());
    for round in 0..scenario.count() {
        for (index, person) in people.iter_mut().enumerate() {
            logins.push(person.log_in(world.replica((index + round) % 3)).await?);
        }
        if round % 2 == 0 {
            stop_gently(&mut world).await?;
        } else {
            world.cluster.kill_all();
        }
        let begun = now();
        world.cluster.start().await?;
        back.add(begun.elapsed());
        let asker = Asker::default();
        for login in &logins {
            for replica in world.cluster.addresses() {
                let verdict = asker.ask(replica, &login.ticket).await?;
                assert!(verdict.admits(&login.user), "{replica} answers {}", verdict.status);
            }
        }
    }
    world.cluster.wait_ready(READY_WITHIN).await?;
    scenario.held("sessions, all honoured by all three", logins.len());
    scenario.figure("all ready again after", back.summary());
    scenario.passed();
    Ok(())
}

async fn stop_gently(world: &mut World) -> Result<(), Failure> {
    for replica in &mut world.cluster.replicas {
        let status = replica.process()?.terminate(STOPS_WITHIN).await?;
        assert!(status.success(), "{} stops with {status}", replica.name);
        replica.kill();
    }
    Ok(())
}
