//! Session cookies that no replica made, or that belong elsewhere, at three replicas: every answer is
//! 401, and no cookie ever shows the identity of another.

use std::net::SocketAddr;

use conclave_tests::check::{Asker, SESSION_COOKIE};
use conclave_tests::cluster::Options;
use conclave_tests::gateway::{APP_HOST, Place};
use conclave_tests::login::{Login, Person};
use conclave_tests::lone::Lone;
use conclave_tests::report::Scenario;
use conclave_tests::tickets::{Forged, forgeries};
use conclave_tests::workdir::WorkDir;
use conclave_tests::world::World;
use conclave_tests::{Failure, http};
use futures::stream::{self, StreamExt};
use reqwest::header::{COOKIE, HeaderValue};

/// Fewer would not be every small change.
const LEAST: usize = 1_700;

/// Requests under way at once.
const AT_ONCE: usize = 16;

/// Whom an answer may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Alice,
    Bob,
    Nobody,
}

/// Odd ways to send good cookies: `{a}` is alice's, `{b}` bob's, each line a header, and whom they name.
const FORMS: [(&[&str], Names); 40] = {
    use Names::{Alice, Bob, Nobody};
    [
        (&["_oauth2_proxy={a}"], Alice),
        (&["_oauth2_proxy={b}"], Bob),
        (&["_oauth2_proxy={a}; _oauth2_proxy={a}"], Alice),
        (&["_oauth2_proxy=x; _oauth2_proxy={a}"], Alice),
        (&["_oauth2_proxy={a}; _oauth2_proxy=x"], Alice),
        (&["_oauth2_proxy={a}", "_oauth2_proxy=x"], Alice),
        (&["_oauth2_proxy=x", "_oauth2_proxy={a}"], Alice),
        (&["x=_oauth2_proxy={b}; _oauth2_proxy={a}"], Alice),
        (&["x={b}; _oauth2_proxy={a}"], Alice),
        (&["_oauth2_proxy={a}; _oauth2_proxy_0={b}"], Alice),
        (&["_oauth2_proxy_0={a}"], Nobody),
        (&["_oauth2_proxy_0={a}; _oauth2_proxy_1={b}"], Nobody),
        (&["_oauth2_proxy={a}; _oauth2_proxy={b}"], Nobody),
        (&["_oauth2_proxy={b}; _oauth2_proxy={a}"], Nobody),
        (&["_oauth2_proxy={a}", "_oauth2_proxy={b}"], Nobody),
        (&["_oauth2_proxy={b}", "_oauth2_proxy={a}"], Nobody),
        (&["_oauth2_proxy=x; _oauth2_proxy={a}; _oauth2_proxy={b}"], Nobody),
        (&["_oauth2_proxy={a}{b}"], Nobody),
        (&["_oauth2_proxy={a},{b}"], Nobody),
        (&["_oauth2_proxy={a}|{b}"], Nobody),
        (&["_oauth2_proxy={a}.{b}"], Nobody),
        (&["_oauth2_proxy={a} {b}"], Nobody),
        (&["_oauth2_proxy={a}={b}"], Nobody),
        (&["_oauth2_proxy=\"{a}\""], Nobody),
        (&["_oauth2_proxy='{a}'"], Nobody),
        (&["_oauth2_proxy=\"{a}"], Nobody),
        (&["_oauth2_proxy=%22{a}%22"], Nobody),
        (&["_oauth2_proxy={a}%20"], Nobody),
        (&["_oauth2_proxy=%41{a}"], Nobody),
        (&["_OAUTH2_PROXY={a}"], Nobody),
        (&["_oauth2_Proxy={a}"], Nobody),
        (&["__Host-_oauth2_proxy={a}"], Nobody),
        (&["__Secure-_oauth2_proxy={a}"], Nobody),
        (&["_oauth2%5Fproxy={a}"], Nobody),
        (&["_oauth2_proxy_csrf={a}"], Nobody),
        (&["\"_oauth2_proxy\"={a}"], Nobody),
        (&["x=1,_oauth2_proxy={a}"], Nobody),
        (&["x=\"; _oauth2_proxy={a}; y=\""], Alice),
        (&["$Version=1; _oauth2_proxy={a}; $Path=/"], Alice),
        (&["{a}"], Nobody),
    ]
};

/// Status and user of a check with these lines of cookies.
async fn ask(client: &reqwest::Client, replica: SocketAddr, lines: &[String]) -> Result<(u16, String), Failure> {
    let mut request = client.get(format!("http://{replica}/oauth2/auth"));
    request = request.header("X-Original-URL", format!("http://{APP_HOST}/")).header("X-Original-Method", "GET");
    for line in lines {
        request = request.header(COOKIE, HeaderValue::from_bytes(line.as_bytes())?);
    }
    let answer = request.send().await?;
    let user = answer.headers().get("x-auth-request-user").and_then(|user| user.to_str().ok());
    Ok((answer.status().as_u16(), user.unwrap_or_default().to_owned()))
}

/// Every forgery at one replica in turn; what was answered otherwise than with 401.
async fn try_all(replicas: &[SocketAddr], forged: &[Forged]) -> Result<Vec<String>, Failure> {
    let client = &http::client();
    let answers: Vec<_> = stream::iter(forged.iter().enumerate())
        .map(|(turn, forged)| async move {
            let line = format!("{SESSION_COOKIE}={}", forged.value);
            Ok::<_, Failure>((forged, ask(client, replicas[turn % replicas.len()], &[line]).await?))
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut wrong = Vec::new();
    for answer in answers {
        let (forged, (status, user)) = answer?;
        if status != 401 || !user.is_empty() {
            wrong.push(format!("{}: {status}, user {user:?}", forged.how));
        }
    }
    Ok(wrong)
}

/// The odd forms at every replica; what named another than it may.
async fn try_forms(replicas: &[SocketAddr], alice: &Login, bob: &Login) -> Result<Vec<String>, Failure> {
    let client = http::client();
    let mut wrong = Vec::new();
    for (lines, names) in FORMS {
        let lines: Vec<String> =
            lines.iter().map(|line| line.replace("{a}", &alice.ticket).replace("{b}", &bob.ticket)).collect();
        let expected = match names {
            Names::Alice => (202, alice.user.as_str()),
            Names::Bob => (202, bob.user.as_str()),
            Names::Nobody => (401, ""),
        };
        for replica in replicas {
            let (status, user) = ask(&client, *replica, &lines).await?;
            if (status, user.as_str()) != expected {
                wrong.push(format!("{lines:?}: {status}, user {user:?} instead of {expected:?}"));
            }
        }
    }
    Ok(wrong)
}

/// A cluster of its own that has the same cookie secret, provider and callback.
async fn another(world: &World, place: Place) -> Result<Lone, Failure> {
    let flags = [
        format!("--cookie-secret={}", world.cluster.secret),
        format!("--redirect-url={}", place.callback()),
        "--set-xauthrequest=true".to_owned(),
        "--reverse-proxy=true".to_owned(),
    ];
    Lone::start(&WorkDir::fresh("forged_tickets-other"), &world.provider()?.registration(), &flags).await
}

/// Tickets and logins of one cluster at another that has the same secret, both ways; how many were tried.
async fn foreign(world: &World, alice: &Login) -> Result<usize, Failure> {
    let other = another(world, world.place).await?;
    let replicas = world.cluster.addresses();
    let mut stranger = Person::new("stranger", world.place);
    let there = stranger.log_in(other.http).await?;
    assert!(Asker::default().ask(other.http, &there.ticket).await?.admits(&there.user), "its own cookie counts there");
    let mut tried = 0;
    for replica in &replicas {
        let verdict = Asker::default().ask(*replica, &there.ticket).await?;
        assert_eq!((verdict.status, verdict.user()), (401, ""), "a ticket of another cluster");
        tried += 1;
    }
    let verdict = Asker::default().ask(other.http, &alice.ticket).await?;
    assert_eq!((verdict.status, verdict.user()), (401, ""), "a ticket at another cluster");
    for (begun_at, ends_at) in [(other.http, replicas[0]), (replicas[1], other.http)] {
        let callback = stranger.begin(begun_at).await?;
        stranger.robot.route(&world.place.authority(), ends_at);
        let answer = stranger.robot.get(&callback).await?;
        assert_eq!(answer.status, 403, "a login that began at another cluster: {}", answer.body);
        assert!(stranger.robot.jar.value(SESSION_COOKIE).is_none(), "and no session comes of it");
        let code = callback.query_pairs().find(|(name, _)| name == "code").ok_or("a code")?.1.into_owned();
        assert!(!world.provider()?.ledger().await?.codes.contains_key(&code), "the code is not redeemed");
    }
    Ok(tried + 3)
}

/// A login's cookie as a session's and the other way round; how many were tried.
async fn of_another_purpose(world: &World, alice: &Login) -> Result<usize, Failure> {
    let mut person = Person::new("purpose", world.place);
    let callback = person.begin(world.replica(0)).await?;
    let login = person.robot.jar.all().iter().find(|cookie| cookie.name.ends_with("_csrf")).cloned();
    let login = login.ok_or("a login in progress has a cookie")?;
    let verdict = Asker::default().ask(world.replica(0), &login.value).await?;
    assert_eq!(verdict.status, 401, "a login's cookie is no session");
    let answer = http::client()
        .get(format!("http://{}{}?{}", world.replica(0), callback.path(), callback.query().unwrap_or_default()))
        .header(COOKIE, format!("{}={}", login.name, alice.ticket))
        .send()
        .await?;
    assert_eq!(answer.status().as_u16(), 403, "a session's cookie is no login");
    Ok(2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_tickets() -> Result<(), Failure> {
    let mut world = World::start("forged_tickets", &Options::default()).await?;
    let mut people: Vec<Person> = ["alice", "bob"].map(|user| Person::new(user, world.place)).to_vec();
    let alice = people[0].log_in(world.replica(0)).await?;
    let bob = people[1].log_in(world.replica(1)).await?;
    let forged = forgeries(&alice.ticket, &bob.ticket)?;
    assert!(forged.len() >= LEAST, "only {} forgeries", forged.len());
    let mut scenario = Scenario::begin("forged_tickets", forged.len(), forged.len(), "forged session cookies");
    let replicas = world.cluster.addresses();

    let mut wrong = try_all(&replicas, &forged).await?;
    let foreign = foreign(&world, &alice).await?;
    scenario.held("of another cluster with the same secret, refused", foreign);
    let purposes = of_another_purpose(&world, &alice).await?;
    scenario.held("of another purpose, refused", purposes);
    wrong.extend(try_forms(&replicas, &alice, &bob).await?);
    let unnamed = FORMS.iter().filter(|(_, names)| *names == Names::Nobody).count();
    scenario.figure("odd ways to send good ones, of them refused", format!("{}, {unnamed}", FORMS.len()));

    for replica in &mut world.cluster.replicas {
        assert!(replica.runs(), "{} is alive", replica.name);
        for login in [&alice, &bob] {
            let verdict = Asker::default().ask(replica.http, &login.ticket).await?;
            assert!(verdict.admits(&login.user), "{}'s own cookie still counts at {}", login.user, replica.name);
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    scenario.held("forgeries refused with 401", forged.len());
    scenario.passed();
    Ok(())
}
