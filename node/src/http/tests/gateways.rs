//! The listener for gateways alone: what it serves, and which secrets leave where.

use actix_http::Request;
use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{Service as ActixService, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Bench, Browser, Seen};

/// What the configuration keeps secret in these tests.
const SECRET: &str = "hunter2";

/// Every path that the service knows, as browsers and gateways ask for them.
const PATHS: [&str; 13] = [
    "/oauth2/auth",
    "/oauth2/auth?allowed_groups=alice",
    "/oauth2/userinfo",
    "/oauth2/start",
    "/oauth2/callback",
    "/oauth2/callback?code=x&state=y",
    "/page",
    "/open/page",
    "//page",
    "/ping",
    "/ready",
    // These end the session.
    "/oauth2/sign_in",
    "/oauth2/sign_out",
];

/// Whether the secret stands anywhere in an answer, in the clear or within Basic credentials.
fn leaks(seen: &Seen) -> bool {
    let mut texts: Vec<String> =
        seen.headers.iter().map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    texts.push(seen.body.clone());
    texts.iter().any(|text| {
        let decoded = |word: &str| STANDARD.decode(word).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        text.contains(SECRET)
            || text.split([' ', ',']).any(|word| decoded(word).is_ok_and(|text| text.contains(SECRET)))
    })
}

/// A request for a path, with the headers by which ingress-nginx says that it is about an open one.
fn about_the_open_page(uri: &str) -> TestRequest {
    TestRequest::get()
        .uri(uri)
        .insert_header(("X-Original-URL", "http://app.test/open/page"))
        .insert_header(("X-Original-Method", "GET"))
        .insert_header(("X-Real-IP", "203.0.113.9"))
}

async fn answers<S>(app: &S, browser: &Browser) -> Vec<(&'static str, Seen)>
where
    S: ActixService<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let mut all = Vec::new();
    for uri in PATHS {
        // Each with the cookies as they were.
        all.push((uri, browser.clone().send(app, about_the_open_page(uri)).await));
        if uri.contains("sign_") {
            continue;
        }
        let bearer = about_the_open_page(uri).insert_header(("Authorization", "Bearer eyJ9.eyJ9.good"));
        all.push((uri, browser.clone().send(app, bearer).await));
    }
    all
}

/// Plays everything against a node whose answers have the secret in a header `name`.
async fn hold_secrets(bench: &Bench, name: &str) {
    let (public, gateways) = (bench.app().await, bench.gateways_app().await);
    let nobody = Browser::default();
    for (port, seen) in [
        ("public", nobody.clone().send(&public, about_the_open_page("/oauth2/auth")).await),
        ("gateways'", nobody.clone().send(&gateways, about_the_open_page("/oauth2/auth")).await),
    ] {
        assert_eq!(seen.status, StatusCode::ACCEPTED, "the rule opens at the {port} port");
        assert!(!leaks(&seen), "without a session, the {port} port: {seen:?}");
    }
    let mut alice = Browser::default();
    alice.log_in(&public, "alice", "/").await;
    let mut allowed = 0;
    for (uri, seen) in answers(&public, &alice).await {
        assert!(!leaks(&seen), "{uri} on the public port: {seen:?}");
        allowed += usize::from(seen.header("x-auth-request-user").is_some_and(|user| !user.is_empty()));
    }
    assert!(allowed > 4, "a person's own claims are told all the same");
    let mut again = Browser::default();
    again.log_in(&public, "alice", "/").await;
    let whole = again.send(&gateways, about_the_open_page("/oauth2/auth")).await;
    assert!(leaks(&whole) && whole.header(name).is_some(), "the gateways' port tells it: {whole:?}");
    for (uri, seen) in answers(&gateways, &nobody).await {
        let by_token = seen.header("x-auth-request-user") == Some("robot");
        assert_eq!(leaks(&seen), by_token, "{uri} on the gateways' port: {seen:?}");
    }
}

#[actix_web::test]
async fn secrets_public_port_tells_none_and_no_port_does_without_a_session() {
    let open = ["--gateway=ingress-nginx", "--trusted-proxy-ip=127.0.0.1", "--skip-auth-route=^/open/"];
    let mut flags = vec!["--set-basic-auth=true", "--basic-auth-password=hunter2", "--skip-jwt-bearer-tokens=true"];
    flags.extend(open);
    for upstream in ["--upstream=static://202", "--upstream=http://127.0.0.1:1"] {
        let mut flags = flags.clone();
        flags.push(upstream);
        let bench = Bench::start(&flags).await;
        hold_secrets(&bench, "authorization").await;
        bench.stop().await;
    }
    let rest = "upstreamConfig: {upstreams: [{id: s, path: /, static: true, staticCode: 202}]}\n\
                injectRequestHeaders:\n\
                - {name: X-Up, values: [{secretSource: {value: hunter2}}]}\n\
                injectResponseHeaders:\n\
                - {name: X-Auth-Request-User, values: [{claimSource: {claim: user}}]}\n\
                - {name: X-Key, values: [{secretSource: {value: hunter2}}]}\n\
                - {name: X-Both, values: [{claimSource: {claim: user}}, {secretSource: {value: hunter2}}]}\n\
                - {name: Authorization, values: [{claimSource: {claim: user, \
                basicAuthPassword: {value: hunter2}}}]}\n";
    let mut flags = vec!["--skip-jwt-bearer-tokens=true"];
    flags.extend(open);
    let bench = Bench::structured(rest, &flags).await;
    for name in ["x-key", "x-both", "authorization"] {
        hold_secrets(&bench, name).await;
    }
    let app = bench.app().await;
    let mut alice = Browser::default();
    alice.log_in(&app, "alice", "/").await;
    let seen = alice.get(&app, "/oauth2/auth").await;
    assert_eq!(seen.header("x-both"), Some("alice"), "what is no secret stays in the header");
    bench.stop().await;
}

#[actix_web::test]
async fn check_alone_is_what_the_gateways_listener_answers() {
    let bench = Bench::start(&["--auth-address=127.0.0.1:0", "--upstream=static://202"]).await;
    let app = bench.gateways_app().await;
    let mut alice = Browser::default();
    alice.log_in(&bench.app().await, "alice", "/").await;
    let check = alice.get(&app, "/oauth2/auth").await;
    assert_eq!((check.status, check.header("x-auth-request-user")), (StatusCode::ACCEPTED, Some("alice")));
    assert_eq!(alice.get(&app, "/oauth2/auth?allowed_groups=other").await.status, StatusCode::FORBIDDEN);
    assert_eq!(Browser::default().get(&app, "/oauth2/auth").await.status, StatusCode::UNAUTHORIZED);
    let others = ["/oauth2/auth/", "/oauth2/%61uth", "//oauth2/auth", "/oauth2//auth", "/metrics", "/", "/robots.txt"];
    for uri in PATHS.iter().chain(&others).filter(|uri| !uri.starts_with("/oauth2/auth?") && **uri != "/oauth2/auth") {
        let seen = alice.clone().get(&app, uri).await;
        let said = (seen.status, seen.header("location"), seen.set_cookies().len());
        assert_eq!(said, (StatusCode::NOT_FOUND, None, 0), "{uri}: {seen:?}");
    }
    assert_eq!(alice.get(&app, "/oauth2/auth").await.status, StatusCode::ACCEPTED, "nothing there ended the session");

    let address = bench.node.auth_address.expect("it listens");
    for (uri, status) in [("/oauth2/auth", "401"), ("/ping", "404"), ("/oauth2/start", "404")] {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = format!("GET {uri} HTTP/1.1\r\nHost: auth.test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{uri}: {answer}");
    }
    bench.stop().await;
    let bench = Bench::start(&[]).await;
    assert_eq!(bench.node.auth_address, None, "off unless it is given");
    bench.stop().await;
}
