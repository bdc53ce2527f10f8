//! The secrets of header rules with a real nginx in front, as ingress-nginx sets it up: no visitor reads one, whatever is
//! asked of the public port in whatever way, and the app gets them through the listener for gateways.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use conclave_tests::browser::Robot;
use conclave_tests::gateway::{Gateway, Kind, Place, Seen};
use conclave_tests::http::Answer;
use conclave_tests::lone::Lone;
use conclave_tests::provider::Provider;
use conclave_tests::report::Scenario;
use conclave_tests::timing::until;
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, http, ports};

/// The configured password, which only gateways and apps may see.
const SECRET: &str = "hunter2hunter2";

/// A log line is there this long after the answer, on a loaded machine too.
const LOGGED_WITHIN: Duration = Duration::from_secs(20);

/// What a visitor may write, on top of nothing, to steer what the check is about.
const CLAIMS: [&[(&str, &str)]; 4] = [
    &[],
    &[("X-Original-URL", "http://app.example.test/open/x"), ("X-Original-Method", "GET")],
    &[("X-Original-URL", "http://app.example.test/open/x"), ("X-Forwarded-Uri", "/open/x")],
    &[("X-Forwarded-Host", "127.0.0.1"), ("X-Real-IP", "127.0.0.1")],
];

/// What a visitor can reach.
const PATHS: [&str; 9] = [
    "/oauth2/auth",
    "/oauth2/auth?allowed_groups=alice",
    "/oauth2/userinfo",
    "/oauth2/start",
    "/oauth2/callback?code=x&state=y",
    "/oauth2/nothing",
    "/open/x",
    "/page",
    // It ends the session.
    "/oauth2/sign_in",
];

/// Whether the secret is in an answer, in the clear or within Basic credentials.
fn leaks(answer: &Answer) -> bool {
    let mut texts: Vec<String> =
        answer.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    // What the app echoes of its own request is the gateway's business.
    if Seen::of(answer).is_none() {
        texts.push(answer.body.clone());
    }
    let encoded = |word: &str| STANDARD.decode(word).is_ok_and(|text| String::from_utf8_lossy(&text).contains(SECRET));
    texts.iter().any(|text| text.contains(SECRET) || text.split(' ').any(encoded))
}

/// Everything that a visitor can ask: how often the check let them through.
async fn ask_everything(place: Place, robot: &Robot) -> Result<(usize, usize), Failure> {
    let (mut asked, mut let_through) = (0, 0);
    for path in PATHS {
        for claims in CLAIMS {
            let answer = robot.clone().get_with(&place.url(path), claims).await?;
            assert!(!leaks(&answer), "{path} with {claims:?} tells the secret: {:?}", answer.headers);
            asked += 1;
            let_through += usize::from(path.starts_with("/oauth2/auth") && answer.status == 202);
        }
    }
    Ok((asked, let_through))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_listener() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("gateways_listener", 30, 30, "pages through the gateway's own listener");
    let (dir, place) = (WorkDir::fresh("gateways_listener"), Place::draw());
    let provider = Provider::start(&dir, &place.callback()).await?;
    let checks = ports::free_address();
    let flags = [
        format!("--redirect-url={}", place.callback()),
        "--scope=openid email profile groups".to_owned(),
        "--set-xauthrequest=true".to_owned(),
        "--set-basic-auth=true".to_owned(),
        format!("--basic-auth-password={SECRET}"),
        "--gateway=ingress-nginx".to_owned(),
        "--trusted-proxy-ip=127.0.0.0/8".to_owned(),
        "--skip-auth-route=GET=^/open/".to_owned(),
        format!("--auth-address={checks}"),
    ];
    let service = Lone::start(&dir, &provider.registration(), &flags).await?;
    let gateway = Gateway::start_apart(Kind::Ingress, &dir, place, &[service.http], Some(checks)).await?;

    let stranger = Robot::new("nobody").via(&place.authority(), gateway.address());
    let (asked, opened) = ask_everything(place, &stranger).await?;
    assert!(opened > 0, "a visitor steers the public check, which is why it tells no secret");
    let mut alice = Robot::new("alice").via(&place.authority(), gateway.address());
    let page = alice.open(&place.url("/page?x=1")).await?;
    let basic = format!("Basic {}", STANDARD.encode(format!("alice:{SECRET}")));
    let mut pages = 0;
    while pages < scenario.count() {
        let forged = [("Authorization", "Basic cm9vdDpyb290")];
        let answer = alice.get_with(&place.url("/page"), &forged).await?;
        let seen = Seen::of(&answer).ok_or_else(|| format!("not the app: {} {}", answer.status, answer.body))?;
        assert_eq!((seen.user.as_str(), seen.authorization.as_str()), ("alice", basic.as_str()), "{page:?}");
        pages += 1;
    }
    let open = Seen::of(&stranger.clone().get(&place.url("/open/x")).await?).ok_or("not the app")?;
    assert_eq!(open.authorization, "", "a secret went out without a session");
    let (more, through) = ask_everything(place, &alice).await?;
    assert!(through >= CLAIMS.len(), "a person's own check is answered on the public port");

    for path in ["/", "/ping", "/ready", "/oauth2/start", "/oauth2/sign_out", "/oauth2/auth/"] {
        let answer = http::client().get(format!("http://{checks}{path}")).send().await?;
        assert_eq!(answer.status().as_u16(), 404, "{path} at the gateways' listener");
    }
    // A thread of its own writes the log, a moment after the answer.
    let told = "left out the secrets of these headers";
    let log = until("the log to say what was left out", LOGGED_WITHIN, || async {
        std::fs::read_to_string(dir.join("conclave.log")).ok().filter(|log| log.contains(told))
    })
    .await?;
    let said = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!(said(told), 1, "{log}");
    assert_eq!(said("the secret in the header Authorization goes out there alone"), 1, "{log}");
    assert!(!log.contains(SECRET), "the secret is in the log");
    scenario.held("answers to visitors without the secret", asked + more);
    scenario.held("pages with the secret for the app", pages);
    scenario.held("checks that a stranger steered to 202", opened);
    scenario.passed();
    Ok(())
}
