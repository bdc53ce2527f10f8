//! A sign-out at one replica is a refusal at the others.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use conclave_tests::Failure;
use conclave_tests::check::{Asker, SESSION_COOKIE};
use conclave_tests::cluster::Options;
use conclave_tests::report::Scenario;
use conclave_tests::timing::{Times, now};
use conclave_tests::world::World;

/// B in this scenario: no check sent later than this after the acknowledgement is let through.
const STALENESS: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_out() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("sign_out", 300, 30, "sign-outs");
    let world = World::start("sign_out", &Options::default().flag("--max-staleness=2s")).await?;
    let mut people = world.people(3).await?;
    let asker = Asker::default();
    let mut times = Times::default();
    for round in 0..scenario.count() {
        let person = &mut people[round % 3];
        let at = scenario.scale.below(3);
        let login = person.log_in(world.replica(at)).await?;
        for replica in world.cluster.addresses() {
            assert!(asker.ask(replica, &login.ticket).await?.admits(&login.user), "known everywhere before");
        }
        let out = person.sign_out(world.replica(at)).await?;
        let acknowledged = now();
        assert_eq!(out.status, 302, "the sign-out is acknowledged: {}", out.body);
        assert!(out.touches_cookie(SESSION_COOKIE) && person.robot.jar.value(SESSION_COOKIE).is_none());
        let [second, third] = [1, 2].map(|step| world.replica((at + step) % 3));
        let (at_second, at_third) = tokio::try_join!(
            refused_after(&asker, second, &login.ticket, acknowledged),
            refused_after(&asker, third, &login.ticket, acknowledged)
        )?;
        times.add(at_second);
        times.add(at_third);
        assert_eq!(asker.ask(world.replica(at), &login.ticket).await?.status, 401, "refused where it was signed out");
    }
    scenario.held("sign-outs refused at the other two, and ever after", times.len());
    scenario.figure("refused at the other two after", times.summary());
    scenario
        .figure("aim p99 <= 50 ms", if times.percentile(0.99) <= Duration::from_millis(50) { "met" } else { "MISSED" });
    scenario.passed();
    Ok(())
}

/// When the first refused check was sent; every one after it must be refused as well.
async fn refused_after(asker: &Asker, replica: SocketAddr, ticket: &str, since: Instant) -> Result<Duration, Failure> {
    loop {
        let verdict = asker.ask(replica, ticket).await?;
        let sent = verdict.sent_at.duration_since(since);
        if verdict.status != 202 {
            assert_eq!(verdict.status, 401, "a session known to have ended");
            assert!(!verdict.sets_cookie(), "a check never touches the cookie");
            for _ in 0..5 {
                assert_eq!(asker.ask(replica, ticket).await?.status, 401, "once refused, always refused");
            }
            return Ok(sent);
        }
        assert!(sent <= STALENESS, "{replica} lets a check through that was sent {sent:?} after the sign-out");
    }
}
