//! With two replicas stopped the third admits until B, then says that it cannot know.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use conclave_tests::Failure;
use conclave_tests::check::{Asker, SESSION_COOKIE};
use conclave_tests::cluster::{Options, READY_WITHIN};
use conclave_tests::login::Login;
use conclave_tests::report::Scenario;
use conclave_tests::timing::{now, until};
use conclave_tests::world::World;

const STALENESS: Duration = Duration::from_secs(2);

/// Freshness is renewed at least every second or B/10, so that much of B is always left, with room
/// for a busy machine.
const SURELY_FRESH: Duration = Duration::from_millis(800);

/// How long the third is watched alone.
const WATCH: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s_18_quorum_loss() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("quorum_loss", 6, 2, "losses");
    let mut world = World::start("quorum_loss", &Options::default().flag("--max-staleness=2s")).await?;
    // The second one signs out while that cannot be committed; whether it is later is open.
    let mut people = world.people(2).await?;
    let mut ends = Vec::new();
    for round in 0..scenario.count() {
        let third = round % 3;
        let login = people[0].log_in(world.replica((third + 1) % 3)).await?;
        people[1].log_in(world.replica(third)).await?;
        settle(&world, &login).await?;
        let stopped: Vec<usize> = (0..3).filter(|index| *index != third).collect();
        // Dead in one round, frozen in the next: a frozen peer still accepts connections.
        let frozen = round % 2 == 1;
        for index in &stopped {
            if frozen { world.cluster.replicas[*index].pause()? } else { world.cluster.replicas[*index].kill() }
        }
        let stopped_at = now();
        ends.push(alone(world.replica(third), &login, stopped_at).await?);
        let out = people[1].sign_out(world.replica(third)).await?;
        assert_eq!(out.status, 503, "a sign-out that cannot commit says so: {}", out.body);
        assert!(!out.touches_cookie(SESSION_COOKIE), "and leaves the cookie alone");
        for index in &stopped {
            if frozen { world.cluster.replicas[*index].resume()? } else { world.cluster.replicas[*index].start()? }
        }
        world.cluster.wait_ready(READY_WITHIN).await?;
        settle(&world, &login).await?;
    }
    scenario.held("losses after which it answers until B and then 503", ends.len());
    scenario.figure("last 202 sent after the loss", format!("{ends:?}"));
    scenario.passed();
    Ok(())
}

/// Waits until every replica admits the session again.
async fn settle(world: &World, login: &Login) -> Result<(), Failure> {
    let asker = Asker::default();
    for replica in world.cluster.addresses() {
        until("the session is honoured", Duration::from_secs(20), || async {
            let verdict = asker.ask(replica, &login.ticket).await.ok()?;
            assert_ne!(verdict.status, 401, "a living session is never said to be none");
            verdict.admits(&login.user).then_some(())
        })
        .await?;
    }
    Ok(())
}

/// Watches the third replica; returns when the last admitted check was sent.
async fn alone(third: SocketAddr, login: &Login, stopped_at: Instant) -> Result<Duration, Failure> {
    let (asker, open) = (Asker::default(), Asker::about("/open/health"));
    let mut last = Duration::ZERO;
    let mut refused = 0;
    while stopped_at.elapsed() < WATCH {
        let verdict = asker.ask(third, &login.ticket).await?;
        let sent = verdict.sent_at.duration_since(stopped_at);
        assert!(!verdict.sets_cookie(), "a check never touches the cookie");
        match verdict.status {
            202 => {
                assert!(sent <= STALENESS, "admits a check sent {sent:?} after the loss");
                last = sent;
            }
            503 => {
                assert!(sent >= SURELY_FRESH, "gives up already {sent:?} after the loss");
                refused += 1;
            }
            other => panic!("answers {other} {sent:?} after the loss"),
        }
        let free = open.ask(third, "").await?;
        assert_eq!(free.status, 202, "rules that need no session go on, {sent:?} after the loss");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(last >= SURELY_FRESH && refused > 0, "202 until {last:?}, then {refused} times 503");
    Ok(last)
}
