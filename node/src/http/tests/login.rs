//! From the first click to the sign-out.

use std::sync::atomic::Ordering;

use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use conclave_proto::login::LoginAttempt;

use super::credentials::{SHA_PW, form};
use super::support::{Bench, Browser, Directory};

const CHECK: &str = "/oauth2/auth";

#[actix_web::test]
async fn a_login_is_honoured_until_the_sign_out() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    assert_eq!(browser.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED);

    let callback = browser.log_in(&app, "alice", "%2Fa%2Fb%3Fx%3D1").await;
    assert_eq!(callback.status, StatusCode::FOUND, "{callback:?}");
    assert_eq!(callback.header("location"), Some("/a/b?x=1"));
    assert_eq!(callback.set_cookies().len(), 2, "the session's, and the login cookie cleared");
    assert_eq!(browser.cookies.len(), 1);

    for _ in 0..2 {
        let check = browser.get(&app, CHECK).await;
        assert_eq!(check.status, StatusCode::ACCEPTED);
        assert_eq!(check.header("x-auth-request-user"), Some("alice"));
        assert_eq!(check.header("x-auth-request-email"), Some("alice@example.test"));
        assert_eq!(check.header("x-auth-request-groups"), Some("alice,staff"));
        assert_eq!(check.header("gap-auth"), Some("alice@example.test"));
        assert_eq!(check.header("cache-control"), None);
        assert!(check.set_cookies().is_empty());
    }
    let info = browser.get(&app, "/oauth2/userinfo").await;
    let wanted =
        r#"{"user":"alice","email":"alice@example.test","groups":["alice","staff"],"preferredUsername":"alice"}"#;
    assert_eq!(info.body.trim_end(), wanted);

    let mut stolen = browser.clone();
    let out = browser.get(&app, "/oauth2/sign_out?rd=%2Fbye").await;
    assert_eq!((out.status, out.header("location")), (StatusCode::FOUND, Some("/bye")));
    assert!(browser.cookies.is_empty());
    let refused = stolen.get(&app, CHECK).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(refused.set_cookies().is_empty(), "a check never touches the cookie");
    assert_eq!(stolen.get(&app, "/oauth2/sign_out").await.status, StatusCode::FOUND);
    bench.stop().await;
}

#[actix_web::test]
async fn an_evicted_session_is_only_slower() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    browser.log_in(&app, "alice", "/").await;
    assert_eq!(browser.get(&app, CHECK).await.status, StatusCode::ACCEPTED);
    assert!(bench.node.service.opened.bytes() > 0);
    bench.node.service.opened.clear();
    let again = browser.get(&app, CHECK).await;
    assert_eq!((again.status, again.header("x-auth-request-user")), (StatusCode::ACCEPTED, Some("alice")));
    bench.stop().await;
}

#[actix_web::test]
async fn one_answer_makes_one_session() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let start = browser.get(&app, "/oauth2/start?rd=%2Fx").await;
    let uri = format!("/oauth2/callback?code=alice&state={}", start.state());
    let (mut one, mut two, mut three) = (browser.clone(), browser.clone(), browser.clone());
    let (a, b, c) = futures::join!(one.get(&app, &uri), two.get(&app, &uri), three.get(&app, &uri));
    assert!([&a, &b, &c].iter().all(|seen| seen.status == StatusCode::FOUND), "{a:?} {b:?} {c:?}");
    assert!([&a, &b, &c].iter().all(|seen| seen.header("location") == Some("/x")));
    let sessions = [&a, &b, &c].iter().filter(|seen| !seen.set_cookies().is_empty()).count();
    assert_eq!((sessions, bench.provider.redeemed.load(Ordering::SeqCst)), (1, 1));
    bench.stop().await;
}

#[actix_web::test]
async fn a_posted_answer_works_too() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let start = browser.get(&app, "/oauth2/start").await;
    let form = TestRequest::post()
        .uri("/oauth2/callback")
        .insert_header(("Content-Type", "application/x-www-form-urlencoded"))
        .set_payload(format!("code=alice&state={}", start.state()));
    assert_eq!(browser.send(&app, form).await.status, StatusCode::FOUND);
    assert_eq!(browser.get(&app, CHECK).await.status, StatusCode::ACCEPTED);
    bench.stop().await;
}

#[actix_web::test]
async fn the_sign_in_page_ends_the_session() {
    let bench = Bench::start(&["--provider-display-name=The <b>Cat</b>"]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    browser.log_in(&app, "alice", "/").await;
    let mut kept = browser.clone();
    let page = browser.get(&app, "/oauth2/sign_in?rd=%2Fx").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("Sign in with The &lt;b&gt;Cat&lt;/b&gt;"));
    assert!(page.body.contains("name=\"rd\" value=\"/x\""));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'")));
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    assert!(browser.cookies.is_empty());
    assert_eq!(kept.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED);
    bench.stop().await;
}

/// What oauth2-proxy's cookie store signed as `_oauth2_proxy` with the bench's cookie secret.
const SIGNED: &str =
    "YSBzZXNzaW9uPz5hIHNlc3Npb24_PmEgc2Vzc2lvbj8-|1795599748|dOz9jTo2LPwhCd9NQWctMS3CIeFak8u0wuMt155TURQ=";

/// A browser with what an oauth2-proxy left: a ticket, a session in pieces, and a login under way.
fn from_oauth2_proxy() -> Browser {
    let mut browser = Browser::default();
    let signed = format!("djIuWDI5aGRYUm9NbDl3Y205NGVR|1795599748|{}=", "x".repeat(43));
    let (first, second) = SIGNED.split_at(40);
    for (name, value) in [("", signed.as_str()), ("_0", first), ("_1", second), ("_csrf", &signed)] {
        browser.cookies.insert(format!("_oauth2_proxy{name}"), value.to_owned());
    }
    browser
}

#[actix_web::test]
async fn what_oauth2_proxy_left_is_no_obstacle_and_goes() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = from_oauth2_proxy();
    let check = browser.get(&app, CHECK).await;
    assert_eq!((check.status, check.set_cookies().len()), (StatusCode::UNAUTHORIZED, 0));
    let metrics = bench.node.service.metrics.render();
    let counted = "conclave_auth_denied_total{reason=\"oauth2_proxy\"} 1";
    assert!(metrics.contains(counted), "{metrics}");

    let state = format!("{}:/wanted", "y".repeat(43));
    let halfway = browser.get(&app, &format!("/oauth2/callback?code=alice&state={state}")).await;
    assert_eq!((halfway.status, halfway.set_cookies().len()), (StatusCode::FORBIDDEN, 0));
    assert!(halfway.body.contains("Sign in again"), "{}", halfway.body);

    assert_eq!(browser.log_in(&app, "alice", "/").await.status, StatusCode::FOUND);
    let left: Vec<_> = browser.cookies.keys().map(String::as_str).collect();
    assert_eq!(left, ["_oauth2_proxy", "_oauth2_proxy_csrf"], "the pieces are gone");
    assert_eq!(browser.get(&app, CHECK).await.status, StatusCode::ACCEPTED);

    let mut leaves = from_oauth2_proxy();
    assert_eq!(leaves.get(&app, "/oauth2/sign_out").await.status, StatusCode::FOUND);
    assert_eq!(leaves.cookies.keys().collect::<Vec<_>>(), ["_oauth2_proxy_csrf"], "nothing that could log in again");
    bench.stop().await;
}

/// Two services below one domain, named `_oauth2_proxy` and `_oauth2_proxy_1`.
#[actix_web::test]
async fn a_login_deletes_pieces_of_ours_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("users");
    std::fs::write(&file, format!("joe:{SHA_PW}\n")).expect("written");
    let flag = format!("--htpasswd-file={}", file.display());
    let (here, beside) = (Bench::start(&[&flag]).await, Bench::start(&["--cookie-name=_oauth2_proxy_1"]).await);
    let (app, other) = (here.app().await, beside.app().await);
    let mut browser = Browser::default();
    // What an oauth2-proxy with another secret, or none of ours, left under such names is not ours to delete either.
    let foreign = [("_oauth2_proxy_0", &SIGNED[1..]), ("_oauth2_proxy_2", SIGNED)];
    for (name, value) in foreign {
        browser.cookies.insert(name.to_owned(), value.to_owned());
    }
    browser.log_in(&other, "alice", "/").await;
    browser.log_in(&app, "bob", "/").await;
    assert_eq!(browser.get(&app, "/oauth2/sign_in").await.status, StatusCode::OK);
    browser.send(&app, form("username=joe&password=pw")).await;
    assert_eq!(browser.get(&app, CHECK).await.header("x-auth-request-user"), Some("joe"));
    assert_eq!(
        browser.get(&other, CHECK).await.header("x-auth-request-user"),
        Some("alice"),
        "two names, two sessions"
    );
    browser.log_in(&other, "alice", "/").await;
    assert_eq!(browser.get(&app, CHECK).await.header("x-auth-request-user"), Some("joe"));
    assert!(foreign.iter().all(|(name, _)| browser.cookies.contains_key(*name)), "{:?}", browser.cookies.keys());
    // Who signs out is signed out of whatever an oauth2-proxy might read under these names.
    browser.get(&app, "/oauth2/sign_out").await;
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies.keys());
    here.stop().await;
    beside.stop().await;
}

#[actix_web::test]
async fn tabs_log_in_side_by_side_within_limits() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let mut states = Vec::new();
    for _ in 0..7 {
        states.push(browser.get(&app, "/oauth2/start?rd=%2Ftab").await.state());
    }
    assert_eq!(browser.cookies.len(), 5);
    let mut completed = 0;
    for state in states {
        let kept = browser.cookies.contains_key(&LoginAttempt::cookie_name("_oauth2_proxy", &state));
        let seen = browser.get(&app, &format!("/oauth2/callback?code=alice&state={state}")).await;
        assert_eq!(seen.status, if kept { StatusCode::FOUND } else { StatusCode::FORBIDDEN });
        completed += usize::from(kept);
    }
    assert_eq!(completed, 5);
    bench.stop().await;
}

#[actix_web::test]
async fn further_claims_are_told_with_their_types_and_only_those_that_are_listed() {
    let listed = |config: &mut crate::config::Config| {
        let told = ["dept", "level", "absent"].map(str::to_owned).to_vec();
        config.providers.iter_mut().for_each(|provider| provider.claims.told.clone_from(&told));
    };
    let bench = Bench::changed(Directory::fresh(), &[], listed).await;
    bench.until_ready().await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    browser.log_in(&app, "alice", "/").await;
    let told = r#","additionalClaims":{"dept":["lab",7],"level":3}}"#;
    // Once as the login left it, once as the store has it.
    for _ in 0..2 {
        let info = browser.get(&app, "/oauth2/userinfo").await;
        assert!(info.body.trim_end().ends_with(told), "{}", info.body);
        assert!(!info.body.contains("secret"), "{}", info.body);
        bench.node.service.opened.clear();
    }
    bench.stop().await;
}
