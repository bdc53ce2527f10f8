//! `conclave dev`: log in as alice, stop the replica that answered, and still be logged in.

use std::path::Path;
use std::time::Duration;

use conclave_tests::browser::Robot;
use conclave_tests::cluster::{READY_WITHIN, binary};
use conclave_tests::http::Answer;
use conclave_tests::process::Process;
use conclave_tests::report::Scenario;
use conclave_tests::timing::{now, until};
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, http, ports};
use url::Url;

const BUTTON: &str = "/_dev/replica";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dev_mode() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("dev_mode", 3, 3, "replicas stopped in turn");
    let dir = WorkDir::fresh("dev_mode");
    let (app_port, base_port) = (ports::free(), ports::free());
    let args = ["dev".to_owned(), format!("--app-port={app_port}"), format!("--base-port={base_port}")];
    let begun = now();
    let mut process = Process::start("conclave dev", &dir.join("dev.log"), &binary(), &args)?;
    said(&mut process, "Ready.").await?;
    scenario.figure("ready after", format!("{:.1} s", begun.elapsed().as_secs_f64()));

    let home = Url::parse(&format!("http://localhost:{app_port}/"))?;
    let mut robot = Robot::new("alice");
    let page = robot.open(&home.join("/?from=a%2Fb")?).await?;
    assert_eq!(page.url.as_str(), home.join("/?from=a%2Fb")?.as_str(), "back at the exact URL");
    expect_alice(&page);
    for _ in 0..scenario.count() {
        let page = robot.get(&home).await?;
        expect_alice(&page);
        let answered = replica_of(&page).ok_or("the page names the replica that answered")?;
        press(&mut robot, &home, &page, answered, "stop").await?;
        for _ in 0..4 {
            let page = eventually_alice(&mut robot, &home).await?;
            assert_ne!(replica_of(&page), Some(answered), "a stopped replica answers nothing");
        }
        press(&mut robot, &home, &page, answered, "start").await?;
        let admin = base_port + 100 * u16::try_from(answered - 1)? + 2;
        let client = http::client();
        until("the started replica is ready", READY_WITHIN, || async {
            let asked = client.get(format!("http://127.0.0.1:{admin}/ready")).send().await.ok()?;
            asked.status().is_success().then_some(())
        })
        .await?;
    }
    scenario.held("replicas stopped, and still logged in", scenario.count());
    foreign_sites_are_turned_away(&mut robot, &home, &page).await?;
    process.terminate(Duration::from_secs(15)).await?;
    for number in 0..3 {
        let port = base_port + 100 * number;
        until("the replicas end with it", Duration::from_secs(10), || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.err().map(drop)
        })
        .await?;
    }
    scenario.passed();
    Ok(())
}

async fn said(process: &mut Process, word: &str) -> Result<(), Failure> {
    let begun = now();
    let log = process.log().to_owned();
    let text = |log: &Path| std::fs::read_to_string(log).unwrap_or_default();
    while !text(&log).contains(word) {
        if process.ended().is_some() || begun.elapsed() > READY_WITHIN {
            return Err(format!("never said {word}:\n{}", text(&log)).into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn expect_alice(page: &Answer) {
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("<h1>alice</h1>"), "logged in as alice: {}", page.body);
}

/// While a leader is being elected the page may say so; it never asks to log in again.
async fn eventually_alice(robot: &mut Robot, home: &Url) -> Result<Answer, Failure> {
    let begun = now();
    loop {
        let page = robot.get(home).await?;
        assert!(matches!(page.status, 200 | 503), "never a new login: {}", page.status);
        if page.status == 200 {
            expect_alice(&page);
            return Ok(page);
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", page.body);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// `<p class="big">Replica N` names who answered.
fn replica_of(page: &Answer) -> Option<usize> {
    let rest = page.body.split_once("<p class=\"big\">Replica ")?.1;
    rest.split(' ').next()?.parse().ok()
}

async fn press(robot: &mut Robot, home: &Url, page: &Answer, replica: usize, action: &str) -> Result<(), Failure> {
    let token = token_of(page).ok_or("a button has a token")?;
    let form =
        [("token", token), ("replica", replica.to_string()), ("back", "app".to_owned()), ("action", action.to_owned())];
    let form: Vec<(String, String)> = form.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let answer = robot.post(&home.join(BUTTON)?, &form).await?;
    assert_eq!(answer.status, 303, "{action} replica {replica}: {}", answer.body);
    Ok(())
}

fn token_of(page: &Answer) -> Option<String> {
    let rest = page.body.split_once("name=\"token\" value=\"")?.1;
    Some(rest.split('"').next()?.to_owned())
}

async fn foreign_sites_are_turned_away(robot: &mut Robot, home: &Url, page: &Answer) -> Result<(), Failure> {
    let rebound = Url::parse(&format!("http://evil.test:{}/", home.port().unwrap_or_default()))?;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], home.port().unwrap_or_default()));
    robot.route(&conclave_tests::browser::authority_of(&rebound), address);
    assert_eq!(robot.get(&rebound).await?.status, 403, "another host name");
    assert_eq!(robot.get_with(home, &[("Origin", "http://evil.test")]).await?.status, 403, "another origin");
    let form = [("token", "wrong"), ("replica", "1"), ("action", "stop")];
    let form: Vec<(String, String)> = form.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    assert_eq!(robot.post(&home.join(BUTTON)?, &form).await?.status, 403, "a wrong token");
    assert!(token_of(page).is_some());
    Ok(())
}
