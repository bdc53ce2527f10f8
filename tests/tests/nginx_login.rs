//! A person behind nginx logs in at the certified provider and is then known to every replica.

use std::collections::BTreeMap;

use conclave_tests::browser::Robot;
use conclave_tests::cluster::{Options, REPLICAS};
use conclave_tests::gateway::{ASKED_HEADER, Place, Seen};
use conclave_tests::report::Scenario;
use conclave_tests::timing::{Times, now};
use conclave_tests::world::World;
use conclave_tests::{Failure, http};

/// Requests under way at once.
const WORKERS: usize = 16;

/// People who share them.
const PEOPLE: usize = 5;

/// A path and query full of what a gateway or a redirect could mangle.
const DEEP: &str = "/a%2Fb/c%20d;e?x=1&y=%20z&next=http%3A%2F%2Felsewhere.test%2F%3Fq%3D1&plus=a+b";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_login() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("nginx_login", 10_000, 300, "requests");
    let world = World::start("nginx_login", &Options::default()).await?;
    let authority = world.place.authority();
    let mut robots = Vec::new();
    for index in 0..PEOPLE {
        let mut robot = Robot::new(&format!("user-{index}")).via(&authority, world.gateway.address());
        log_in_through_the_gateway(&mut robot, world.place).await?;
        robots.push(robot);
    }
    let per_worker = scenario.count() / WORKERS;
    let mut tasks = Vec::new();
    for worker in 0..WORKERS {
        let robot = robots[worker % PEOPLE].clone();
        tasks.push(tokio::spawn(browse(robot, world.place, worker, per_worker)));
    }
    let (mut asked, mut times) = (BTreeMap::new(), Times::default());
    for task in tasks {
        let (by_replica, took) = task.await??;
        by_replica.into_iter().for_each(|(replica, count)| *asked.entry(replica).or_insert(0) += count);
        times.extend(took);
    }
    assert_eq!(asked.len(), REPLICAS, "every replica is asked: {asked:?}");
    let least = asked.values().min().copied().unwrap_or_default();
    assert!(least * 5 > times.len(), "requests are spread over all replicas: {asked:?}");
    scenario.held("requests with the right identity", times.len());
    scenario.figure("per replica", format!("{:?}", asked.values().collect::<Vec<_>>()));
    scenario.figure("through nginx", times.summary());
    scenario.passed();
    Ok(())
}

async fn log_in_through_the_gateway(robot: &mut Robot, place: Place) -> Result<(), Failure> {
    let url = place.url(DEEP);
    let stranger = robot.get_with(&url, &[("X-Auth-Request-User", "root")]).await?;
    assert_eq!(stranger.status, 302, "without a cookie the gateway sends to the sign-in");
    assert_eq!(stranger.location().map(|to| to.path().to_owned()).as_deref(), Some("/oauth2/start"));
    let home = robot.open(&url).await?;
    assert_eq!(home.url.as_str(), url.as_str(), "back at the exact URL");
    expect_identity(robot, &home, DEEP);
    Ok(())
}

fn expect_identity(robot: &Robot, answer: &http::Answer, uri: &str) {
    let seen = Seen::of(answer).unwrap_or_else(|| panic!("not the app: {} {}", answer.status, answer.body));
    let user = &robot.user;
    let wanted = Seen {
        uri: uri.to_owned(),
        path: seen.path.clone(),
        method: "GET".to_owned(),
        user: user.clone(),
        email: format!("{user}@example.test"),
        groups: format!("{user},staff"),
        authorization: String::new(),
    };
    assert_eq!(seen, wanted, "what the app sees");
}

async fn browse(
    mut robot: Robot,
    place: Place,
    worker: usize,
    count: usize,
) -> Result<(BTreeMap<String, usize>, Times), Failure> {
    let (mut asked, mut times) = (BTreeMap::new(), Times::default());
    for turn in 0..count {
        let uri = format!("/page/{worker}?turn={turn}");
        let begun = now();
        let answer = robot.get(&place.url(&uri)).await?;
        times.add(begun.elapsed());
        expect_identity(&robot, &answer, &uri);
        *asked.entry(answer.header(ASKED_HEADER).to_owned()).or_insert(0) += 1;
    }
    Ok((asked, times))
}
