//! Bearer tokens forged in every known way, at three replicas: only the sound ones are accepted, and
//! forged ones cost the provider next to nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use conclave_tests::check::Asker;
use conclave_tests::cluster::{Cluster, Options};
use conclave_tests::gateway::Place;
use conclave_tests::report::Scenario;
use conclave_tests::scripted::{Bearer, PERSON, Scripted};
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, http, timing};

/// Fewer would not be every known way.
const FORGED: usize = 90;

/// Tokens of keys that no issuer publishes.
const STRANGERS: usize = 300;

/// Shortest time between two fetches of keys on behalf of tokens that name an unknown one, per replica.
const KEYS_INTERVAL: Duration = Duration::from_secs(30);

/// Status and user of the check with these credentials. 0 is a connection that was closed without an answer.
async fn ask(client: &reqwest::Client, replica: SocketAddr, authorization: &str) -> Result<(u16, String), Failure> {
    let request = client.get(format!("http://{replica}/oauth2/auth"));
    let request = request.header("X-Original-URL", "http://app.example.test/").header("X-Original-Method", "GET");
    let Ok(value) = reqwest::header::HeaderValue::from_bytes(authorization.as_bytes()) else {
        return Err(format!("HTTP has no room for {authorization:?}").into());
    };
    let answer = request.header("Authorization", value).send().await?;
    let user = answer.headers().get("x-auth-request-user").and_then(|user| user.to_str().ok());
    Ok((answer.status().as_u16(), user.unwrap_or_default().to_owned()))
}

/// What is wrong with the answers to a token, given as bearer and as the user name of Basic credentials.
async fn wrong(client: &reqwest::Client, replica: SocketAddr, bearer: &Bearer) -> Result<Option<String>, Failure> {
    let basic = STANDARD.encode(format!("{}:x-oauth-basic", bearer.token));
    for (scheme, value) in [("Bearer", bearer.token.clone()), ("Basic", basic)] {
        let (status, user) = ask(client, replica, &format!("{scheme} {value}")).await?;
        let fits = match bearer.sound {
            true => status == 202 && user == PERSON,
            // 431: more than a head may hold.
            false => matches!(status, 400 | 401 | 403 | 431) && user.is_empty(),
        };
        if !fits {
            return Ok(Some(format!("{} as {scheme}: {status}, user {user:?}", bearer.name)));
        }
    }
    Ok(None)
}

/// How many fetches of keys unknown ones may have caused at the replicas since `begun`.
fn fetches_due(replicas: usize, begun: Instant) -> u64 {
    let rounds = begun.elapsed().as_secs() / KEYS_INTERVAL.as_secs() + 1;
    rounds * u64::try_from(replicas).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_bearer_tokens() -> Result<(), Failure> {
    let dir = WorkDir::fresh("forged_bearer_tokens");
    let mut provider = Scripted::start(&dir).await?;
    let bearers = provider.bearers().await?;
    let forged = bearers.iter().filter(|bearer| !bearer.sound).count();
    assert!(forged >= FORGED, "only {forged} forged tokens");
    let mut scenario = Scenario::begin("forged_bearer_tokens", forged, forged, "forged bearer tokens at each replica");
    let options = Options::default().flag("--skip-jwt-bearer-tokens=true");
    let mut cluster = Cluster::lay(&dir, Place::draw(), &provider.registration(), &options).await?;
    cluster.start().await?;
    let (client, replicas) = (http::client(), cluster.addresses());
    let sound: Vec<&Bearer> = bearers.iter().filter(|bearer| bearer.sound).collect();
    for replica in &replicas {
        // The keys are fetched after the start.
        let first = format!("Bearer {}", sound[0].token);
        timing::until("the provider's keys", Duration::from_secs(20), || async {
            ask(&client, *replica, &first).await.ok().filter(|(status, _)| *status == 202)
        })
        .await?;
    }

    let (before, begun) = (provider.keys_asked().await?, timing::now());
    let mut failures = Vec::new();
    for bearer in &bearers {
        for replica in &replicas {
            failures.extend(wrong(&client, *replica, bearer).await?);
        }
    }
    let strangers = provider.strangers(STRANGERS).await?;
    for (turn, token) in strangers.iter().enumerate() {
        let (status, user) = ask(&client, replicas[turn % replicas.len()], &format!("Bearer {token}")).await?;
        assert!(status == 401 && user.is_empty(), "a token of an unknown key: {status}, user {user:?}");
    }
    let fetches = provider.keys_asked().await? - before;
    scenario.figure("tokens of unknown keys, fetches of keys", format!("{STRANGERS}, {fetches}"));
    assert!(fetches <= fetches_due(replicas.len(), begun), "{fetches} fetches in {:?}", begun.elapsed());
    let astray = provider.astray().await?;
    scenario.figure("requests to addresses that tokens name", astray);
    assert_eq!(astray, 0, "no token says where keys are");
    assert!(provider.runs(), "the provider is there");

    for replica in &mut cluster.replicas {
        assert!(replica.runs(), "{} is alive", replica.name);
        let (status, user) = ask(&client, replica.http, &format!("Bearer {}", sound[0].token)).await?;
        assert_eq!((status, user.as_str()), (202, PERSON), "a sound one still counts at {}", replica.name);
        assert_eq!(Asker::default().ask(replica.http, "").await?.status, 401, "and nobody needs one");
    }
    assert!(failures.is_empty(), "{}:\n{}", failures.len(), failures.join("\n"));
    scenario.held("forged ones refused by each replica, as Bearer and as Basic", forged);
    scenario.held("sound ones accepted by each replica", sound.len());
    scenario.passed();
    Ok(())
}
