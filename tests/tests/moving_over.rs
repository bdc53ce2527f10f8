//! From oauth2-proxy with Redis to Conclave and back: a canary under another cookie name, the exchange under the
//! same name, and the way back, as `docs/operating.md` tells it.
//!
//! `OAUTH2_PROXY=PATH` plays the old side with that oauth2-proxy and `redis-server`. Without it the old side is what
//! one left in browsers, as recorded, and what only a running one could answer is not tried.

use conclave_tests::Failure;
use conclave_tests::moving::{CANARY, EXCHANGE, Journey, NEW_TICKET, OLD_TICKET, Scope, Tally};
use conclave_tests::old_proxy;
use conclave_tests::report::Scenario;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moving_over() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("moving_over", 12, 4, "people");
    let old_side = if old_proxy::program().is_some() { "oauth2-proxy with Redis" } else { "recorded cookies" };
    scenario.figure("old side", old_side);
    let mut whole = Tally::default();
    for scope in [Scope::OwnHost, Scope::Domain] {
        whole.add(whole_way(scope, scenario.count()).await?);
    }
    whole.add(with_another_domain().await?);
    scenario.figure(
        "people",
        format!("{} with cookies of one host, and as many with cookies of a domain", scenario.count()),
    );
    scenario.held("logins by form", usize::try_from(whole.forms)?);
    scenario.figure("logins without a form", whole.quiet);
    scenario.figure("most requests of one way back in", whole.longest);
    scenario.figure("pages of oauth2-proxy's own on the way back", whole.pages_of_oauth2_proxy);
    let checks = checks_held(&whole);
    scenario.held("checks beside it, none failed", checks);
    scenario.passed();
    Ok(())
}

/// Nobody was ever answered anything but the page or the way to a login, and whoever had a session of the side that
/// served was let in each time. How many checks there were.
fn checks_held(whole: &Tally) -> usize {
    let mut all = 0;
    for ((phase, who), answers) in &whole.answers {
        println!("moving_over: {phase}, {who}: {answers:?}");
        all += answers.values().sum::<usize>();
        let let_in = match (phase.as_str(), *who) {
            (CANARY, OLD_TICKET) => old_proxy::program().is_some(),
            (EXCHANGE, NEW_TICKET) => true,
            _ => false,
        };
        let held = |status: u16| status == 200 || status == 302 && !let_in;
        assert!(answers.keys().all(|status| held(*status)), "{phase}, {who}: {answers:?}");
    }
    all
}

/// Everything once, with cookies of that scope.
async fn whole_way(scope: Scope, count: usize) -> Result<Tally, Failure> {
    let mut journey = Journey::set_up(scope).await?;
    let mut people = journey.old_world(count).await?;
    journey.canary(&mut people).await?;
    journey.app_at_the_canary(&mut people).await?;
    let mut left = journey.leave_more_behind().await?;
    let (movers, stayers) = people.split_at_mut(count / 2);
    let mut halfway = journey.begin_at_the_old().await?;
    journey.exchange(movers).await?;
    journey.finish_at_conclave(&mut halfway).await?;
    journey.clear_up_after(&mut left).await?;
    journey.way_back(movers, stayers).await?;
    journey.end().await
}

/// The exchange and the way back once more, where the cookies' domain changes with it.
async fn with_another_domain() -> Result<Tally, Failure> {
    let mut journey = Journey::set_up(Scope::Narrowed).await?;
    let mut people = journey.old_world(2).await?;
    journey.exchange_with_another_domain(&mut people).await?;
    journey.end().await
}
