//! A local user is one at every check, by the file of the replica that is asked: while a Secret reaches the replicas
//! one after another, each answers by what it has read, and none ends a session for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use conclave_tests::Failure;
use conclave_tests::check::{Asker, SESSION_COOKIE};
use conclave_tests::cluster::{Cluster, Options, REPLICAS};
use conclave_tests::gateway::Place;
use conclave_tests::http::{self, Answer};
use conclave_tests::provider::Provider;
use conclave_tests::report::Scenario;
use conclave_tests::timing;
use conclave_tests::workdir::WorkDir;
use url::Url;

/// The password `pw`.
const PW: &str = "{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=";

/// The password `a:b`.
const OTHER_PW: &str = "{SHA}3OptnM09ILoVSfbZtd3mB0IViII=";

/// Longest wait until a replica has taken a changed file into use: it looks four times a second.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_users() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("local_users", 20, 2, "rounds");
    let dir = WorkDir::fresh("local_users");
    let place = Place::draw();
    let provider = Provider::start(&dir, &place.callback()).await?;
    let mut cluster =
        Cluster::lay(&dir, place, &provider.registration(), &Options::default().flag("--skip-provider-button=false"))
            .await?;
    let files: Vec<_> = (0..REPLICAS).map(|index| dir.join(&format!("users-{index}"))).collect();
    for (replica, file) in cluster.replicas.iter_mut().zip(&files) {
        write(file, &[("joe", PW), ("kim", PW)])?;
        replica.flag(format!("--htpasswd-file={}", file.display()));
    }
    cluster.start().await?;
    let (asker, replicas) = (Asker::default(), cluster.addresses());
    let tickets = BTreeMap::from([
        ("joe", sign_in(replicas[0], "joe", "pw").await?.ok_or("joe is let in")?),
        ("kim", sign_in(replicas[0], "kim", "pw").await?.ok_or("kim is let in")?),
    ]);
    let mut held = 0;
    for round in 0..scenario.count() {
        let other = if round % 2 == 0 { vec![("kim", PW)] } else { vec![("joe", OTHER_PW), ("kim", PW)] };
        // The new file arrives at one after another: who has it refuses, who has not admits, on one and the same session.
        for reached in 1..=REPLICAS {
            write(&files[reached - 1], &other)?;
            answers(&asker, replicas[reached - 1], &tickets["joe"], 401).await?;
            for (index, replica) in replicas.iter().enumerate() {
                let expected = if index < reached { 401 } else { 202 };
                let joe = asker.ask(*replica, &tickets["joe"]).await?;
                assert_eq!((joe.status, joe.sets_cookie()), (expected, false), "replica {index}, {reached} reached");
                assert!(asker.ask(*replica, &tickets["kim"]).await?.admits("kim"), "kim's line never changed");
                held += 2;
            }
        }
        for (replica, file) in replicas.iter().zip(&files) {
            write(file, &[("joe", PW), ("kim", PW)])?;
            answers(&asker, *replica, &tickets["joe"], 202).await?;
            assert!(asker.ask(*replica, &tickets["joe"]).await?.admits("joe"), "the same session lives again");
            held += 1;
        }
    }
    // A file that no longer names a user refuses all; it is no broken file, whose predecessor stays in use.
    for (replica, file) in replicas.iter().zip(&files) {
        std::fs::write(file, "")?;
        answers(&asker, *replica, &tickets["kim"], 401).await?;
        assert_eq!(sign_in(*replica, "kim", "pw").await?, None, "nor does the password count");
        std::fs::write(file, "not a line\n")?;
        held += 2;
    }
    scenario.held("answers of one replica by its own file", held);
    scenario.passed();
    Ok(())
}

fn write(file: &Path, users: &[(&str, &str)]) -> Result<(), Failure> {
    let text: String = users.iter().map(|(user, hash)| format!("{user}:{hash}\n")).collect();
    // In one step, as a volume swaps its link.
    let beside = file.with_extension("new");
    std::fs::write(&beside, text)?;
    Ok(std::fs::rename(beside, file)?)
}

/// Waits until `replica` gives that answer about the ticket.
async fn answers(asker: &Asker, replica: SocketAddr, ticket: &str, status: u16) -> Result<(), Failure> {
    let what = format!("{replica} answers {status}");
    timing::until(&what, TAKEN_WITHIN, || async {
        asker.ask(replica, ticket).await.ok().filter(|verdict| verdict.status == status)
    })
    .await
    .map(drop)
}

/// The ticket of a sign-in by the form; none where the password does not count.
async fn sign_in(replica: SocketAddr, user: &str, password: &str) -> Result<Option<String>, Failure> {
    let url: Url = format!("http://{replica}/oauth2/sign_in").parse()?;
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("username", user)
        .append_pair("password", password)
        .finish();
    let request = http::client().post(url.clone()).header("Content-Type", "application/x-www-form-urlencoded");
    let answer = Answer::read(url, request.body(form).send().await?).await?;
    let prefix = format!("{SESSION_COOKIE}=");
    let cookies = answer.headers.get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
    let value = cookies.filter_map(|cookie| cookie.strip_prefix(&prefix)?.split(';').next()).find(|v| !v.is_empty());
    assert!(matches!((answer.status, value), (302, Some(_)) | (401, None)), "{}: {}", answer.status, answer.body);
    Ok(value.map(str::to_owned))
}
