//! No secret stands in a log or in metrics, and neither metrics nor disks tell who was there.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conclave_tests::Failure;
use conclave_tests::canary::{Canaries, files};
use conclave_tests::check::Asker;
use conclave_tests::cluster::Options;
use conclave_tests::login::{Login, Person};
use conclave_tests::report::Scenario;
use conclave_tests::world::World;

/// Lines about logins and refusals, and request lines, name people; no other line may.
fn may_name_people(line: &str) -> bool {
    ["[AuthSuccess]", "[AuthFailure]", "[AuthError]", " HTTP/1.1 \"", " HTTP/1.0 \""]
        .iter()
        .any(|mark| line.contains(mark))
}

/// In a ticket: where the session's id and secret stand.
const ID: std::ops::Range<usize> = 17..33;
const SECRET: std::ops::Range<usize> = 33..65;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s_21_hygiene() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("hygiene", 200, 20, "logins");
    let options = Options::default()
        .flag("--pass-access-token=true")
        .flag("--set-authorization-header=true")
        .flag("--request-logging=true")
        .flag("--snapshot-log-bytes=65536")
        .flag("--snapshot-min-interval=1s")
        .flag("--log-level=info,conclave=trace,conclave_raft=trace");
    let mut world = World::start("hygiene", &options).await?;
    let (mut secrets, mut names) = (Canaries::default(), Canaries::default());
    secrets.add("cookie secret", world.cluster.secret.as_bytes());
    secrets.add("client secret", b"rp-secret-rp-secret-rp-secret-32");
    let mut people = world.people(4).await?;
    for turn in 0..scenario.count() {
        let person = &mut people[turn % 4];
        let login = person.log_in(world.replica(turn % 3)).await?;
        note(&mut secrets, person, &login)?;
        names.add("e-mail", format!("{}@example.test", login.user).as_bytes());
        misuse(&world, person, &login, turn).await?;
    }
    for token in world.provider()?.ledger().await?.tokens {
        secrets.add("token", token.as_bytes());
    }
    let mut metric_lines = 0;
    for replica in &world.cluster.replicas {
        metric_lines += clean_metrics(&replica.admin_text("/metrics").await?, &secrets, &names)?;
    }
    assert!(metric_lines > 100, "metrics that say nothing show nothing");
    // Everything that is held in memory until a stop has to show itself on the disk as well.
    for replica in &mut world.cluster.replicas {
        replica.process()?.terminate(std::time::Duration::from_secs(30)).await?;
    }
    let (mut log_lines, mut disk_bytes) = (0, 0);
    for replica in &world.cluster.replicas {
        log_lines += clean_log(&std::fs::read(&replica.log)?, &secrets, &names)?;
        for file in files(&replica.data_dir)? {
            let bytes = std::fs::read(&file)?;
            disk_bytes += bytes.len();
            for canaries in [&secrets, &names] {
                let found = canaries.found_in(&bytes)?;
                assert!(found.is_empty(), "{} holds {:?}", file.display(), found.first());
            }
        }
    }
    assert!(log_lines > scenario.count(), "a log that says nothing shows nothing");
    scenario.held("secrets looked for", secrets.len());
    scenario.held("lines of metrics without a secret or a person", metric_lines);
    scenario.figure("log lines", log_lines);
    scenario.figure("bytes on disks", disk_bytes);
    scenario.passed();
    Ok(())
}

/// What the browser saw on its way: all of it is secret.
fn note(secrets: &mut Canaries, person: &Person, login: &Login) -> Result<(), Failure> {
    secrets.add("ticket", login.ticket.as_bytes());
    let ticket = URL_SAFE_NO_PAD.decode(&login.ticket)?;
    secrets.add("session id", ticket.get(ID).ok_or("a short ticket")?);
    secrets.add("ticket secret", ticket.get(SECRET).ok_or("a short ticket")?);
    for url in &person.robot.visited {
        for (name, value) in url.query_pairs() {
            if matches!(&*name, "code" | "state" | "nonce" | "code_challenge") {
                secrets.add(&name, value.as_bytes());
            }
        }
    }
    Ok(())
}

/// Uses and misuses the session, so that every kind of line is written.
async fn misuse(world: &World, person: &mut Person, login: &Login, turn: usize) -> Result<(), Failure> {
    let (asker, replica) = (Asker::default(), world.replica((turn + 1) % 3));
    asker.ask(replica, &login.ticket).await?;
    asker.ask(replica, &login.ticket[1..]).await?;
    let callback = person.robot.visited.iter().rfind(|url| url.path() == "/oauth2/callback").cloned();
    let callback = callback.ok_or("a login has a callback")?;
    // A second time: the attempt is over, and the code is used.
    person.robot.get(&callback).await?;
    let mut bent = callback.clone();
    bent.query_pairs_mut().append_pair("state", "again");
    person.robot.get(&bent).await?;
    // A line is cut, and names can be written in many ways: what is secret goes before either.
    let query = callback.query().ok_or("a callback has a query")?;
    for written in [query.to_owned(), query.replace("code=", "%2563od%65="), query.replace("code=", "C%4fDE=")] {
        for padding in [150, 200, 230] {
            let mut long = callback.clone();
            long.set_query(Some(&format!("x={}&{written}", "x".repeat(padding))));
            person.robot.get(&long).await?;
        }
    }
    person.robot.get(&world.place.url("/oauth2/auth?allowed_groups=nobody")).await?;
    person.robot.get(&world.place.url("/oauth2/userinfo")).await?;
    if turn.is_multiple_of(2) {
        person.sign_out(replica).await?;
    }
    Ok(())
}

/// Checks what a replica's metrics say, and returns the number of lines.
fn clean_metrics(text: &str, secrets: &Canaries, names: &Canaries) -> Result<usize, Failure> {
    for canaries in [secrets, names] {
        let found = canaries.found_in(text.as_bytes())?;
        assert!(found.is_empty(), "metrics hold {:?}", found.first());
    }
    Ok(text.lines().count())
}

/// Checks a log and returns its number of lines.
fn clean_log(log: &[u8], secrets: &Canaries, names: &Canaries) -> Result<usize, Failure> {
    let mut lines = 0;
    if let Some((kind, at)) = secrets.found_in(log)?.into_iter().next() {
        let begin = log[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line: String = String::from_utf8_lossy(&log[begin..]).lines().next().unwrap_or_default().to_owned();
        panic!("a {kind} in a log line: {line}");
    }
    for line in log.split(|byte| *byte == b'\n') {
        lines += 1;
        let text = String::from_utf8_lossy(line);
        if !may_name_people(&text) && line.contains(&b'@') {
            assert!(names.found_in(line)?.is_empty(), "a person in a line that is about none: {text}");
        }
    }
    Ok(lines)
}
