//! A leader is paused while a session ends elsewhere; when it wakes it must not let that session through.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use conclave_tests::Failure;
use conclave_tests::check::Asker;
use conclave_tests::cluster::Options;
use conclave_tests::report::Scenario;
use conclave_tests::timing::{now, until};
use conclave_tests::world::World;

const STALENESS: Duration = Duration::from_secs(2);

const PAUSE: Duration = Duration::from_secs(10);

/// How long the woken replica is asked.
const WATCH: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused_leader() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("paused_leader", 10, 2, "pauses");
    let mut world = World::start("paused_leader", &Options::default().flag("--max-staleness=2s")).await?;
    let mut people = world.people(2).await?;
    let asker = Asker::default();
    let (mut asked, mut first_answers) = (0, Vec::new());
    for _ in 0..scenario.count() {
        let leader = world.cluster.leader().await?;
        let woken = world.replica(leader);
        let elsewhere = world.replica((leader + 1) % 3);
        let doomed = people[0].log_in(woken).await?;
        let kept = people[1].log_in(elsewhere).await?;
        assert!(asker.ask(woken, &doomed.ticket).await?.admits(&doomed.user), "known before the pause");
        world.cluster.replicas[leader].pause()?;
        let paused_at = now();
        let revoked_at = sign_out_elsewhere(&mut people[0], elsewhere).await?;
        let waiting = checks_while_paused(&asker, woken, &doomed.ticket, revoked_at);
        tokio::time::sleep(PAUSE.saturating_sub(paused_at.elapsed())).await;
        world.cluster.replicas[leader].resume()?;
        let first = asker.ask(woken, &doomed.ticket).await?;
        assert_ne!(first.status, 202, "the first answer after the pause");
        first_answers.push(first.status);
        for task in waiting {
            let verdict = task.await??;
            assert_ne!(verdict.status, 202, "sent {:?} after the sign-out", verdict.sent_at.duration_since(revoked_at));
            asked += 1;
        }
        asked += never_admitted(&asker, woken, &doomed.ticket).await?;
        until("the other session at the woken replica", Duration::from_secs(20), || async {
            let verdict = asker.ask(woken, &kept.ticket).await.ok()?;
            assert_ne!(verdict.status, 401, "a living session is never said to be none");
            verdict.admits(&kept.user).then_some(())
        })
        .await?;
    }
    scenario.held("checks after B, none let through", asked);
    scenario.figure("first answers", format!("{first_answers:?}"));
    scenario.passed();
    Ok(())
}

/// Signs out at a replica that has to find a new leader first; returns when it was acknowledged.
async fn sign_out_elsewhere(
    person: &mut conclave_tests::login::Person,
    replica: SocketAddr,
) -> Result<Instant, Failure> {
    let out = person.sign_out(replica).await?;
    assert_eq!(out.status, 302, "a sign-out waits for the new leader: {}", out.body);
    Ok(now())
}

/// Checks that reach the paused replica's socket after B and wait there for it to wake.
fn checks_while_paused(
    asker: &Asker,
    replica: SocketAddr,
    ticket: &str,
    revoked_at: Instant,
) -> Vec<tokio::task::JoinHandle<Result<conclave_tests::check::Verdict, Failure>>> {
    let after_b = STALENESS.saturating_sub(revoked_at.elapsed()) + Duration::from_millis(10);
    (0..20_u32)
        .map(|step| {
            let (asker, ticket) = (asker.clone(), ticket.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(after_b + Duration::from_millis(50) * step).await;
                asker.ask(replica, &ticket).await
            })
        })
        .collect()
}

/// Asks for a while; returns how often.
async fn never_admitted(asker: &Asker, replica: SocketAddr, ticket: &str) -> Result<usize, Failure> {
    let begun = now();
    let mut asked = 1;
    while begun.elapsed() < WATCH {
        let verdict = asker.ask(replica, ticket).await?;
        assert_ne!(verdict.status, 202, "{:?} after the pause", verdict.sent_at.duration_since(begun));
        asked += 1;
    }
    Ok(asked)
}
