//! What the chart prints about each gateway, run as it is printed: log in, back at the exact page, headers of one's own,
//! and out again.

use std::time::Duration;

use conclave_tests::Failure;
use conclave_tests::browser::Robot;
use conclave_tests::notes::fronts::Front;
use conclave_tests::notes::stand::{APP_HOST, Stand};
use conclave_tests::notes::wire::Request;
use conclave_tests::notes::{Note, guide_holds};
use conclave_tests::report::Scenario;
use conclave_tests::timing;

/// A path and a query that lose something where anything is escaped once too little or too often.
const PAGE: &str = "/deep/a%20b?x=1&y=2&z=%26%3D+%2B";

/// Somebody in no group: where a claim is empty, a client's own header must not fill it.
const PERSON: &str = "nogroups";

/// A page that needs no login.
const OPEN: &str = "/open/x";

/// What a client would like to be, by the headers that tell an app who it is.
const FORGED: [(&str, &str); 4] = [
    ("X-Auth-Request-User", "root"),
    ("X-Auth-Request-Email", "root@example.test"),
    ("X-Auth-Request-Groups", "admins"),
    ("X-Auth-Request-Preferred-Username", "root"),
];

/// The same in another spelling, which some apps read as the real ones.
const ALIASES: [(&str, &str); 4] = [
    ("X_Auth_Request_User", "root"),
    ("X_Auth_Request_Email", "root@example.test"),
    ("X-Auth_Request-Groups", "admins"),
    ("X_AUTH_REQUEST_PREFERRED_USERNAME", "root"),
];

/// What would make a closed page an open one, if a client's word counted.
const ANOTHER_PAGE: [(&str, &str); 4] = [
    ("X-Forwarded-Uri", OPEN),
    ("X-Forwarded-Method", "GET"),
    ("X-Original-URL", "https://app.example.test/open/x"),
    ("X-Original-Method", "GET"),
];

/// Until a gateway has read its configuration and knows the service.
const SET_UP_WITHIN: Duration = Duration::from_secs(20);

/// Point of the same name in SECURITY.md; promise P5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_notes() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("gateway_notes", Front::ALL.len(), Front::ALL.len(), "gateways");
    let notes = ["nginx", "ingress-nginx", "traefik", "caddy", "haproxy", "envoy"];
    let notes = notes.map(|gateway| Note::of_chart(gateway).map(|note| (gateway, note)));
    let notes = notes.into_iter().collect::<Result<Vec<_>, _>>()?;
    guide_holds(&notes.iter().map(|(gateway, note)| (*gateway, note)).collect::<Vec<_>>())?;
    for front in Front::ALL {
        let note = Note::of_chart(front.gateway())?;
        run(front, &note, "as printed").await.map_err(|error| format!("{front:?}: {error}"))?;
        scenario.figure(&format!("{front:?}"), "logged in, back at the page, nothing forged, signed out");
    }
    // Each of the two defences alone. The last Caddy that takes an empty header of an answer for none needs the lines that
    // delete; HAProxy needs no more than the empty headers.
    let bare = Note::of_chart("caddy")?.without("request_header")?;
    let kept = run(Front::OldCaddy, &bare, "bare").await.expect_err("Caddy 2.10 without the lines that delete");
    assert!(kept.to_string().contains("from the client"), "{kept}");
    let bare = Note::of_chart("haproxy")?.without("del-header X-Auth-Request-")?;
    run(Front::Haproxy, &bare, "bare").await.map_err(|error| format!("without the line that deletes: {error}"))?;
    scenario.figure("Haproxy without the line that deletes", "nothing forged");
    scenario.held("set-ups as printed: logged in, nothing forged, signed out", Front::ALL.len());
    scenario.passed();
    Ok(())
}

async fn run(front: Front, note: &Note, how: &str) -> Result<(), Failure> {
    let name = format!("gateway_notes-{front:?}-{}", how.replace(' ', "-"));
    let stand = Stand::start(front.plan(&name), note, |port, app| front.words(port, app)).await?;
    let _gateway = front.start(&stand).await?;
    let page = stand.url(APP_HOST, PAGE)?;
    let mut robot = stand.browser(PERSON)?;
    timing::until("the gateway sends strangers to the login", SET_UP_WITHIN, || {
        let mut stranger = robot.clone();
        let page = page.clone();
        async move { (stranger.get(&page).await.ok()?.status == 302).then_some(()) }
    })
    .await?;

    let landed = robot.open(&page).await?;
    let seen = Request::seen(&landed)?;
    assert_eq!(landed.url, page, "back at another page");
    assert_eq!(seen.uri, PAGE, "the app saw another page");
    assert_eq!(seen.header("x-auth-request-user"), Some(PERSON), "{seen:?}");

    let stranger = stand.browser(PERSON)?.get_with(&page, &ANOTHER_PAGE).await?;
    assert_eq!(stranger.status, 302, "a client chose which page was asked for: {}", stranger.body);
    nothing_forged(&mut robot, &stand, PAGE, how == "as printed").await?;
    nothing_forged(&mut stand.browser(PERSON)?, &stand, OPEN, how == "as printed").await?;

    let kept = robot.jar.clone();
    let out = robot.get(&stand.url(front.login_host(), "/oauth2/sign_out")?).await?;
    assert_eq!(out.status, 302, "signing out: {}", out.body);
    assert_eq!(robot.get(&page).await?.status, 302, "signed out, and still let in");
    robot.jar = kept;
    assert_eq!(robot.get(&page).await?.status, 302, "the session of before lives on");
    Ok(())
}

/// Whatever a client calls itself, the app sees only the person who is logged in, if any; and a credential of its
/// own arrives where no login is needed.
async fn nothing_forged(robot: &mut Robot, stand: &Stand, path: &str, aliases: bool) -> Result<(), Failure> {
    let url = stand.url(APP_HOST, path)?;
    let own = [("Authorization", "Bearer own")];
    let headers: Vec<(&str, &str)> = FORGED.iter().chain(&own).copied().collect();
    let seen = Request::seen(&robot.get_with(&url, &headers).await?)?;
    unforged(&seen, &FORGED)?;
    assert_eq!(seen.header("authorization"), Some("Bearer own"), "{seen:?}");
    if aliases {
        let answer = robot.get_with(&url, &ALIASES).await?;
        // A gateway may refuse such a request as a whole.
        if answer.status != 400 {
            unforged(&Request::seen(&answer)?, &FORGED)?;
        }
    }
    Ok(())
}

fn unforged(seen: &Request, forged: &[(&str, &str)]) -> Result<(), Failure> {
    for (name, value) in forged {
        let found = seen.however_spelled(name);
        if found.contains(value) {
            return Err(format!("the app got {name}: {value} from the client: {seen:?}").into());
        }
    }
    Ok(())
}
