//! One callback URL is sent to all three replicas at once: one session, and the code is used once.

use std::net::SocketAddr;

use conclave_tests::Failure;
use conclave_tests::check::{Asker, SESSION_COOKIE};
use conclave_tests::cluster::Options;
use conclave_tests::http::Answer;
use conclave_tests::login::Person;
use conclave_tests::report::Scenario;
use conclave_tests::timing::Times;
use conclave_tests::world::World;
use url::Url;

/// Callbacks under way at once.
const PEOPLE: usize = 4;

#[derive(Default)]
struct Tally {
    callbacks: usize,
    codes: Vec<String>,
    tickets: Vec<(String, String)>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn same_callback() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("same_callback", 1000, 60, "callbacks");
    let world = World::start("same_callback", &Options::default()).await?;
    let people = world.people(PEOPLE).await?;
    world.provider()?.reset().await?;
    let before = sessions(&world).await?;
    let mut tasks = Vec::new();
    for (index, person) in people.into_iter().enumerate() {
        let replicas = world.cluster.addresses();
        tasks.push(tokio::spawn(callbacks(person, replicas, index, scenario.count() / PEOPLE)));
    }
    let mut tally = Tally::default();
    for task in tasks {
        let part = task.await??;
        tally.callbacks += part.callbacks;
        tally.codes.extend(part.codes);
        tally.tickets.extend(part.tickets);
    }
    let ledger = world.provider()?.ledger().await?;
    for code in &tally.codes {
        let used = ledger.codes.get(code).ok_or("a code that never reached the provider")?;
        assert_eq!((used.asked, used.granted), (1, 1), "each code is at the provider once");
    }
    assert_eq!(ledger.codes.len(), tally.callbacks);
    world.cluster.wait_equal_hashes(std::time::Duration::from_secs(10)).await?;
    assert_eq!(sessions(&world).await? - before, tally.callbacks as u64, "one session each");
    let mut times = Times::default();
    for (user, ticket) in &tally.tickets {
        for replica in world.cluster.addresses() {
            let verdict = Asker::default().ask(replica, ticket).await?;
            assert!(verdict.admits(user), "the one session is honoured: {}", verdict.status);
            times.add(verdict.took);
        }
    }
    scenario.held("codes, each at the provider once", tally.codes.len());
    scenario.held("sessions made", tally.callbacks);
    scenario.passed();
    Ok(())
}

async fn sessions(world: &World) -> Result<u64, Failure> {
    let status = world.cluster.replicas[0].admin("/status").await?;
    Ok(status["sessions"].as_u64().ok_or("no sessions in /status")?)
}

async fn callbacks(
    mut person: Person,
    replicas: Vec<SocketAddr>,
    start: usize,
    count: usize,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for turn in 0..count {
        let callback = person.begin(replicas[(start + turn) % replicas.len()]).await?;
        let answers = all_at_once(&person, &replicas, &callback).await?;
        let code = callback.query_pairs().find(|(name, _)| name == "code").ok_or("a callback without a code")?;
        tally.codes.push(code.1.into_owned());
        let mut tickets = Vec::new();
        for (answer, ticket) in answers {
            assert_eq!(answer.status, 302, "everyone is sent on: {}", answer.body);
            assert_eq!(answer.location().map(|to| to.path().to_owned()).as_deref(), Some("/home"), "to the target");
            tickets.extend(ticket);
        }
        assert_eq!(tickets.len(), 1, "exactly one answer brings a session");
        tally.tickets.extend(tickets.into_iter().map(|ticket| (person.robot.user.clone(), ticket)));
        tally.callbacks += 1;
    }
    Ok(tally)
}

async fn all_at_once(
    person: &Person,
    replicas: &[SocketAddr],
    callback: &Url,
) -> Result<Vec<(Answer, Option<String>)>, Failure> {
    let sent = replicas.iter().map(|replica| {
        let (mut copy, callback) = (person.clone(), callback.clone());
        copy.robot.route(&conclave_tests::browser::authority_of(&callback), *replica);
        tokio::spawn(async move {
            let answer = copy.robot.get(&callback).await?;
            let ticket = copy.robot.jar.value(SESSION_COOKIE).map(str::to_owned);
            Ok::<_, Failure>((answer, ticket))
        })
    });
    let mut answers = Vec::new();
    for task in sent.collect::<Vec<_>>() {
        answers.push(task.await??);
    }
    Ok(answers)
}
