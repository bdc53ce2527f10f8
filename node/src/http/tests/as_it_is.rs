//! A claim reaches an application as it is or not at all.

use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::support::{Bench, Browser};

const CHECK: &str = "/oauth2/auth";
const GROUPS: &str = "x-auth-request-groups";

/// A code for which the provider claims that.
fn code(claims: &Value) -> String {
    utf8_percent_encode(&claims.to_string(), NON_ALPHANUMERIC).to_string()
}

fn odd_groups() -> String {
    code(&json!({"groups": ["staff", "x,admins", "staff\nadmins", " ops", "", "100%", "CN=Ops,OU=Ä"]}))
}

#[actix_web::test]
async fn as_it_is_an_identity_that_would_change_on_the_wire_ends_at_a_page_that_names_the_claim() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    for (claim, value) in [
        ("sub", "alice\r\n"),
        ("sub", " alice"),
        ("sub", "alice\t"),
        ("sub", "ali\0ce"),
        ("email", "alice@example.test\n"),
        ("email", " alice@example.test"),
        ("preferred_username", "admin\n"),
        ("preferred_username", "ad\x7fmin"),
    ] {
        let mut browser = Browser::default();
        let start = browser.get(&app, "/oauth2/start?rd=/x").await;
        let uri = format!("/oauth2/callback?code={}&state={}", code(&json!({ claim: value })), start.state());
        let mut again = browser.clone();
        let page = browser.get(&app, &uri).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{claim} {value:?}");
        assert!(page.body.contains(&format!("the claim {claim} cannot reach")), "{claim} {value:?}: {}", page.body);
        assert!(browser.cookies.is_empty(), "neither a session nor the login's cookie is left");
        let repeated = again.get(&app, &uri).await;
        assert_eq!((repeated.status, repeated.body), (page.status, page.body), "the page stays the same");
        assert_eq!(browser.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED);
    }
    let mut browser = Browser::default();
    let sound = json!({"sub": "Doe, Jane: 100% é", "email": "a,b@example.test"});
    browser.log_in(&app, &code(&sound), "/x").await;
    let check = browser.get(&app, CHECK).await;
    let user = check.headers.get("x-auth-request-user").map(|value| value.as_bytes().to_vec());
    assert_eq!(user.as_deref(), Some("Doe, Jane: 100% é".as_bytes()));
    assert_eq!(check.header("gap-auth"), Some("a,b@example.test"));
    bench.stop().await;
}

#[actix_web::test]
async fn as_it_is_a_group_that_cannot_stand_in_the_list_is_left_out_and_policy_sees_it() {
    let bench = Bench::start(&["--allowed-group=\"x,admins\""]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&app, &odd_groups(), "/x").await.status, StatusCode::FOUND);
    for _ in 0..2 {
        let check = browser.get(&app, CHECK).await;
        assert_eq!((check.status, check.header(GROUPS)), (StatusCode::ACCEPTED, Some("staff,100%")));
        // The next one opens the session anew.
        bench.node.service.opened.clear();
    }
    assert_eq!(browser.get(&app, "/oauth2/auth?allowed_groups=admins").await.status, StatusCode::FORBIDDEN);
    let info: Value = serde_json::from_str(&browser.get(&app, "/oauth2/userinfo").await.body).expect("JSON");
    assert_eq!(info["groups"].as_array().map(Vec::len), Some(7), "userinfo is no header: {info}");
    let counted = "conclave_claim_values_left_out_total{claim=\"groups\"} ";
    let metrics = bench.node.service.metrics.render();
    let count = metrics.lines().find_map(|line| line.strip_prefix(counted)).expect("counted by claim");
    // Five values at the login, at the first check and after each of the two times that the cache was emptied.
    assert_eq!(count, "20");
    let stranger = Browser::default().log_in(&app, &code(&json!({"groups": ["x", "admins"]})), "/x").await;
    assert_eq!(stranger.status, StatusCode::FORBIDDEN, "two groups are not the one");
    bench.stop().await;
}

#[actix_web::test]
async fn as_it_is_each_setting_of_list_separator_in_values() {
    for (setting, expected) in [
        ("omit", Some("staff,100%")),
        ("encode", Some("staff,x%2Cadmins,staff%0Aadmins,%20ops,100%25,CN=Ops%2COU=Ä")),
        ("refuse", None),
        ("as-oauth2-proxy", Some("staff,x,admins,staff admins,ops,100%,CN=Ops,OU=Ä")),
    ] {
        let flag = format!("--list-separator-in-values={setting}");
        let bench = Bench::start(&[&flag]).await;
        let app = bench.app().await;
        let mut browser = Browser::default();
        let answer = browser.log_in(&app, &odd_groups(), "/x").await;
        let check = browser.get(&app, CHECK).await;
        let groups = check.headers.get(GROUPS).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        assert_eq!(groups.as_deref(), expected, "{setting}");
        let refused = answer.status == StatusCode::FORBIDDEN && answer.body.contains("the claim groups cannot reach");
        assert_eq!(refused, expected.is_none(), "{setting}: {}", answer.body);
        bench.stop().await;
    }
}

#[actix_web::test]
async fn as_it_is_a_token_whose_name_would_change_gets_403_but_where_no_session_is_needed() {
    let flags = ["--skip-jwt-bearer-tokens", "--upstream=static://202", "--skip-auth-route=^/open"];
    let bench = Bench::start(&flags).await;
    let app = bench.app().await;
    let odd = |uri: &str| TestRequest::get().uri(uri).insert_header(("Authorization", "Bearer eyJ9.eyJ9.odd"));
    for uri in [CHECK, "/oauth2/userinfo"] {
        let seen = Browser::default().send(&app, odd(uri)).await;
        assert_eq!((seen.status, seen.body.as_str()), (StatusCode::FORBIDDEN, "Forbidden\n"), "{uri}");
        assert_eq!(seen.header("x-auth-request-user"), None, "{uri}");
    }
    let page = Browser::default().send(&app, odd("/shut")).await;
    assert!(page.status == StatusCode::FORBIDDEN && page.body.contains("the claim sub cannot reach"), "{page:?}");
    let open = Browser::default().send(&app, odd("/open")).await;
    assert_eq!((open.status, open.header("x-auth-request-user")), (StatusCode::ACCEPTED, Some("")));
    let denied = "conclave_auth_denied_total{reason=\"unfit_claim\"} 1";
    assert!(bench.node.service.metrics.render().contains(denied), "counted by reason");
    bench.stop().await;
}

#[actix_web::test]
async fn as_it_is_a_session_of_older_settings_is_refused_and_can_be_signed_out() {
    let bench = Bench::start(&["--list-separator-in-values=as-oauth2-proxy"]).await;
    let mut browser = Browser::default();
    {
        let app = bench.app().await;
        browser.log_in(&app, &code(&json!({"sub": "alice\r\n"})), "/x").await;
        let check = browser.get(&app, CHECK).await;
        assert_eq!((check.status, check.header("x-auth-request-user")), (StatusCode::ACCEPTED, Some("alice")));
    }
    let bench = Bench::restart(bench.halt().await, &[]).await;
    bench.until_ready().await;
    let app = bench.app().await;
    assert_eq!(browser.get(&app, CHECK).await.status, StatusCode::FORBIDDEN, "it is known who it is");
    assert_eq!(browser.get(&app, "/oauth2/sign_out").await.status, StatusCode::FOUND);
    assert_eq!(browser.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED);
    bench.stop().await;
}
