//! Tokens, passwords and cookies beside each other.

use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use conclave_proto::htpasswd::LocalUsers;

use super::support::{Bench, Browser};

const CHECK: &str = "/oauth2/auth";
pub const SHA_PW: &str = "{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=";

fn with(value: &str) -> TestRequest {
    TestRequest::get().uri(CHECK).insert_header(("Authorization", value))
}

pub fn form(body: &str) -> TestRequest {
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    TestRequest::post().uri("/oauth2/sign_in").insert_header(kind).set_payload(body.to_owned())
}

#[actix_web::test]
async fn a_token_comes_before_the_cookie_and_a_bad_one_counts_for_nothing() {
    let bench = Bench::start(&["--skip-jwt-bearer-tokens"]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    browser.log_in(&app, "alice", "/").await;
    for (token, status, user) in [
        ("Bearer eyJ9.eyJ9.good", StatusCode::ACCEPTED, Some("robot")),
        ("Bearer eyJ9.eyJ9.bad", StatusCode::ACCEPTED, Some("alice")),
        ("Bearer eyJ9.eyJ9.new", StatusCode::SERVICE_UNAVAILABLE, None),
    ] {
        let seen = browser.send(&app, with(token)).await;
        assert_eq!((seen.status, seen.header("x-auth-request-user")), (status, user), "{token}");
        assert!(seen.set_cookies().is_empty(), "{token}");
    }
    let bad = Browser::default().send(&app, with("Bearer eyJ9.eyJ9.bad")).await;
    assert_eq!(bad.status, StatusCode::UNAUTHORIZED);
    bench.stop().await;
}

#[actix_web::test]
async fn without_fallback_a_header_that_names_nobody_is_refused() {
    let flags = ["--skip-jwt-bearer-tokens", "--bearer-token-login-fallback=false", "--skip-auth-preflight"];
    let bench = Bench::start(&flags).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    browser.log_in(&app, "alice", "/").await;
    for value in ["Bearer eyJ9.eyJ9.bad", "Basic dTpw", "x"] {
        assert_eq!(browser.send(&app, with(value)).await.status, StatusCode::FORBIDDEN, "{value}");
        let out = TestRequest::get().uri("/oauth2/sign_out").insert_header(("Authorization", value));
        assert_eq!(browser.send(&app, out).await.status, StatusCode::FORBIDDEN, "{value}");
    }
    assert_eq!(browser.get(&app, CHECK).await.status, StatusCode::ACCEPTED);
    bench.stop().await;
}

#[actix_web::test]
async fn local_users_sign_in_by_form_and_by_basic() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("users");
    std::fs::write(&file, format!("joe:{SHA_PW}\n")).expect("written");
    let flag = format!("--htpasswd-file={}", file.display());
    let bench = Bench::start(&[&flag, "--htpasswd-user-group=local", "--allowed-group=local"]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let page = browser.get(&app, "/oauth2/sign_in?rd=%2Fx").await;
    assert!(page.body.contains("name=\"password\"") && page.body.contains("name=\"username\""), "{}", page.body);
    let wrong = browser.send(&app, form("username=joe&password=PW")).await;
    assert_eq!((wrong.status, browser.cookies.len()), (StatusCode::UNAUTHORIZED, 0));
    assert_eq!(browser.send(&app, form("username=&password=pw")).await.status, StatusCode::BAD_REQUEST);
    let first = browser.send(&app, form("username=joe&password=pw&rd=%2Fx")).await;
    assert_eq!((first.status, first.header("location")), (StatusCode::FOUND, Some("/x")));
    let before = browser.clone().cookies;
    browser.send(&app, form("username=joe&password=pw")).await;
    assert_ne!(browser.cookies, before, "each sign-in has an id of its own");
    let check = browser.get(&app, CHECK).await;
    assert_eq!((check.status, check.header("x-auth-request-user")), (StatusCode::ACCEPTED, Some("joe")));
    bench.node.service.opened.clear();
    assert_eq!(browser.get(&app, CHECK).await.status, StatusCode::ACCEPTED);
    let basic = Browser::default().send(&app, with("Basic am9lOnB3")).await;
    assert_eq!((basic.status, basic.header("x-auth-request-groups")), (StatusCode::ACCEPTED, Some("local")));
    assert_eq!(Browser::default().send(&app, with("Basic am9lOlBX")).await.status, StatusCode::UNAUTHORIZED);
    browser.get(&app, "/oauth2/sign_out").await;
    assert_eq!(browser.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED);
    bench.stop().await;
}

#[actix_web::test]
async fn a_changed_file_counts() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("users");
    std::fs::write(&file, format!("joe:{SHA_PW}\n")).expect("written");
    let flag = format!("--htpasswd-file={}", file.display());
    let bench = Bench::start(&[&flag]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let mut joe = Browser::default();
    joe.send(&app, form("username=joe&password=pw")).await;
    assert_eq!(joe.get(&app, CHECK).await.status, StatusCode::ACCEPTED);
    std::fs::write(&file, format!("kim:{SHA_PW}\n")).expect("written");
    let patience = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while browser.send(&app, with("Basic a2ltOnB3")).await.status != StatusCode::ACCEPTED {
        assert!(tokio::time::Instant::now() < patience, "the new user is not let in");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(browser.send(&app, with("Basic am9lOnB3")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(joe.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED);
    bench.stop().await;
}

#[actix_web::test]
async fn a_local_user_is_one_at_each_check() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("users");
    let own = format!("joe:{SHA_PW}\nkim:{SHA_PW}\n");
    std::fs::write(&file, &own).expect("written");
    let flag = format!("--htpasswd-file={}", file.display());
    let bench = Bench::start(&[&flag]).await;
    let app = bench.app().await;
    let (mut joe, mut kim, mut alice) = (Browser::default(), Browser::default(), Browser::default());
    joe.send(&app, form("username=joe&password=pw")).await;
    kim.send(&app, form("username=kim&password=pw")).await;
    alice.log_in(&app, "alice", "/").await;
    // What the reloader does with a file that it has read.
    let says = |text: &str| {
        let users = LocalUsers::parse(text).expect("lines that can be read");
        bench.node.service.local.as_ref().expect("local users").replace(users);
    };
    let state = || bench.node.service.store().expect("an open store").state_hash();
    let before = state();
    let cookies = joe.cookies.clone();
    for (now, let_in) in [
        (format!("kim:{SHA_PW}\n"), false),
        (own.clone(), true),
        (format!("joe:{{SHA}}3OptnM09ILoVSfbZtd3mB0IViII=\nkim:{SHA_PW}\n"), false),
        (format!("# moved\nkim:{SHA_PW}\njoe:{SHA_PW}\n"), true),
        (format!("joe:plain\nkim:{SHA_PW}\n"), false),
        (own.clone(), true),
    ] {
        says(&now);
        for path in [CHECK, "/oauth2/userinfo", CHECK] {
            let seen = joe.get(&app, path).await;
            assert_eq!(seen.status.is_success(), let_in, "{path} with {now}");
            assert!(let_in || seen.status == StatusCode::UNAUTHORIZED, "{path} with {now}: {}", seen.status);
            assert!(seen.set_cookies().is_empty(), "{path} with {now}");
            // Also where the session has to be opened anew.
            bench.node.service.opened.clear();
        }
        assert_eq!(kim.get(&app, CHECK).await.status, StatusCode::ACCEPTED, "{now}");
        assert_eq!(alice.get(&app, CHECK).await.header("x-auth-request-user"), Some("alice"), "{now}");
    }
    says("# nobody\n");
    assert_eq!(kim.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(alice.get(&app, CHECK).await.status, StatusCode::ACCEPTED);
    assert_eq!((state(), joe.cookies.clone()), (before, cookies), "nothing is revoked or taken away");
    let metrics = bench.node.service.metrics.render();
    assert!(metrics.contains("conclave_auth_denied_total{reason=\"local_user\"}"), "{metrics}");
    // Who signs out ends the session for good, whatever the file says then.
    let mut copy = joe.clone();
    joe.get(&app, "/oauth2/sign_out").await;
    says(&own);
    assert_eq!(copy.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(kim.get(&app, CHECK).await.status, StatusCode::ACCEPTED);
    bench.stop().await;
}
