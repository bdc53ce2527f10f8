//! The examples for people to copy, run: their files unchanged, applied as their pages say, on a small Kubernetes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use conclave_tests::browser::Robot;
use conclave_tests::check::SESSION_COOKIE;
use conclave_tests::gateway::Seen;
use conclave_tests::kube::example::{Example, HELLO, PROMETHEUS, WHOAMI};
use conclave_tests::kube::stage::{Stage, auth_page};
use conclave_tests::report::Scenario;
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, http};
use serde_json::json;

const EXAMPLES: [Example; 3] = [WHOAMI, HELLO, PROMETHEUS];

/// What the example's own flags are followed by.
const SECRET_IN_A_HEADER: &[&str] =
    &["--set-string", "extraArgs[7]=--set-basic-auth=true,extraArgs[8]=--basic-auth-password=hunter2"];

/// The public port answers every check, without the secret; the gateways' port of each pod has it.
async fn secrets_stay_inside(stage: &Stage, robot: &mut Robot, user: &str) -> Result<(), Failure> {
    let open = format!("https://{}/", stage.example.app);
    let answer = robot.get_with(&auth_page("/oauth2/auth"), &[("X-Original-URL", &open)]).await?;
    assert_eq!((answer.status, answer.header("x-auth-request-user")), (202, user), "{}", answer.body);
    assert_eq!(answer.header("authorization"), "", "a visitor reads the secret");
    let ticket = robot.jar.value(SESSION_COOKIE).ok_or("no session cookie")?.to_owned();
    let basic = format!("Basic {}", STANDARD.encode(format!("{user}:hunter2")));
    let port = stage.set.manifest()?.port(&"auth".into())?;
    for pod in stage.set.pods.values() {
        let url = format!("http://{}/oauth2/auth", pod.at(port));
        let cookie = format!("{SESSION_COOKIE}={ticket}");
        let answer = http::client().get(url).header("cookie", cookie).send().await?;
        assert_eq!(answer.headers().get("authorization").map(|value| value.as_bytes()), Some(basic.as_bytes()));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("examples", EXAMPLES.len(), EXAMPLES.len(), "examples");
    for example in EXAMPLES {
        let pages = run(example).await.map_err(|error| format!("{}: {error}", example.folder))?;
        scenario.held(&format!("{}: pages of the right person, between login and sign-out", example.folder), pages);
    }
    scenario.passed();
    Ok(())
}

/// Pages that are asked for at least, and at most before every pod must have checked one.
const LEAST_PAGES: usize = 9;
const MOST_PAGES: usize = 90;

/// From a stranger to the app, as the right person, and out again.
async fn run(example: Example) -> Result<usize, Failure> {
    let dir = WorkDir::fresh(&format!("example-{}", example.folder));
    // HELLO's auth-url is an https host, so the public port: that has to answer, and tells no secret.
    let more = if example.folder == HELLO.folder { SECRET_IN_A_HEADER } else { &[] };
    let stage = Stage::install_with(example, &dir, &json!({"drainDelaySeconds": 2}), more).await?;
    let (mut robot, page) = (stage.browser(example.user)?, example.page());
    let stranger = robot.get_with(&page, &[("X-Auth-Request-User", "root")]).await?;
    assert_eq!(stranger.status, 302, "a stranger is sent to the login: {}", stranger.body);
    assert!(stranger.header("location").starts_with(auth_page("/oauth2/start?rd=").as_str()));
    stage.log_in(&mut robot).await?;
    let mut pages = 0;
    let before = stage.set.checks_allowed().await?;
    // Until each pod was asked about one; whichever a balancer picks, that many pages reach all.
    while pages < LEAST_PAGES || stage.set.checks_allowed().await?.iter().any(|(pod, allowed)| *allowed <= before[pod])
    {
        assert!(pages < MOST_PAGES, "a pod was asked about none of {pages} pages: {before:?} before");
        let answer = robot.get_with(&page, &[("X-Auth-Request-User", "root")]).await?;
        let seen = Seen::of(&answer).ok_or_else(|| format!("not the app: {} {}", answer.status, answer.body))?;
        assert_eq!(seen.user, example.user, "a client's own header reaches the app");
        pages += 1;
    }
    if !more.is_empty() {
        secrets_stay_inside(&stage, &mut robot, example.user).await?;
    }
    let out = robot.get(&auth_page("/oauth2/sign_out")).await?;
    assert_eq!(out.status, 302, "{}", out.body);
    assert_eq!(robot.get(&page).await?.status, 302, "signed out, and still let in");
    Ok(pages)
}
