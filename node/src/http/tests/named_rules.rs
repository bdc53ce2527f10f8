//! The rules that published advisories stand for, each under its id (`tests/named_rules.tsv` lists
//! them all): those that the endpoints hold.

use std::sync::atomic::Ordering;

use actix_web::http::StatusCode;
use actix_web::test::TestRequest;

use super::support::{Bench, Browser};

const CHECK: &str = "/oauth2/auth";
const COOKIE: &str = "_oauth2_proxy";

#[actix_web::test]
async fn s_08_ghsa_5hvv_m4w4_gf6v_cve_2026_34457_a_health_checks_user_agent_opens_nothing() {
    let agent = "GoogleHC/1.0";
    let bench = Bench::start(&["--ping-user-agent=GoogleHC/1.0", "--gcp-healthchecks=true"]).await;
    let app = bench.app().await;
    for uri in [CHECK, "/oauth2/userinfo", "/oauth2/auth?x", "/oauth2/auth/"] {
        let request = TestRequest::get().uri(uri).insert_header(("User-Agent", agent));
        let seen = Browser::default().send(&app, request).await;
        assert!(seen.status.is_client_error(), "{uri}: {}", seen.status);
    }
    let ping = TestRequest::get().uri("/ping").insert_header(("User-Agent", agent));
    assert_eq!(Browser::default().send(&app, ping).await.status, StatusCode::OK, "on its own path it is one");
    bench.stop().await;
}

#[actix_web::test]
async fn s_12_ghsa_f24x_5g9q_753f_cve_2026_34454_the_sign_in_page_ends_the_session() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    browser.log_in(&app, "alice", "/").await;
    let mut kept = browser.clone();
    assert_eq!(kept.get(&app, CHECK).await.status, StatusCode::ACCEPTED);
    let page = browser.get(&app, "/oauth2/sign_in").await;
    assert!(
        page.set_cookies().iter().any(|cookie| cookie.starts_with("_oauth2_proxy=;") && cookie.contains("Max-Age=0"))
    );
    assert!(!browser.cookies.contains_key(COOKIE), "the browser has lost its cookie");
    assert_eq!(kept.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED, "and the store its session");
    bench.stop().await;
}

#[actix_web::test]
async fn s_14_every_login_has_a_new_session_id() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let mut values = Vec::new();
    for user in ["alice", "alice", "bob"] {
        // With the cookie of the login before.
        let seen = browser.log_in(&app, user, "/").await;
        assert_eq!(seen.status, StatusCode::FOUND);
        values.push(browser.cookies[COOKIE].clone());
    }
    let ids: std::collections::BTreeSet<&[u8]> = values.iter().map(|value| &value.as_bytes()[28..48]).collect();
    assert_eq!(ids.len(), 3, "the id's letters differ: {values:?}");
    bench.stop().await;
}

#[actix_web::test]
async fn s_15_a_code_with_another_state_is_not_redeemed() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let (mut browser, mut other) = (Browser::default(), Browser::default());
    let state = browser.get(&app, "/oauth2/start").await.state();
    let strange = other.get(&app, "/oauth2/start").await.state();
    for state in [strange.as_str(), "", "x", &state[1..]] {
        let seen = browser.get(&app, &format!("/oauth2/callback?code=alice&state={state}")).await;
        assert!(seen.status.is_client_error() || seen.status.is_server_error(), "{state}: {}", seen.status);
        assert!(!browser.cookies.contains_key(COOKIE), "{state}");
    }
    assert_eq!(bench.provider.redeemed.load(Ordering::SeqCst), 0);
    let good = browser.get(&app, &format!("/oauth2/callback?code=alice&state={state}")).await;
    assert_eq!((good.status, bench.provider.redeemed.load(Ordering::SeqCst)), (StatusCode::FOUND, 1));
    bench.stop().await;
}

#[test]
fn s_19_a_session_without_a_cookie_lifetime_ends_on_the_server() {
    let flags = [
        "--provider=oidc",
        "--oidc-issuer-url=https://idp.test",
        "--client-id=rp",
        "--client-secret=s",
        "--cookie-secret=x8Qh2mVb7nR4tY6uJ9kL0pWs3dF5gH1z",
        "--email-domain=*",
        "--cookie-expire=0",
    ];
    let config = crate::config::load::from_args(&flags).expect("a sound configuration");
    let lifetime = config.sites[0].cookie.session_lifetime();
    assert!((1..=400 * 24 * 3600 * 1000).contains(&lifetime.as_millis()), "{lifetime:?}");
}

#[actix_web::test]
async fn cve_2015_9284_a_background_request_begins_no_login() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let request = TestRequest::get().uri("/oauth2/start").insert_header(("Sec-Fetch-Dest", "empty"));
    let seen = Browser::default().send(&app, request).await;
    assert_eq!((seen.status, seen.header("location"), seen.set_cookies().len()), (StatusCode::UNAUTHORIZED, None, 0));
    bench.stop().await;
}

#[actix_web::test]
async fn cve_2017_6059_cve_2019_1010247_cve_2026_33525_pages_show_nothing_unescaped() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let state = browser.get(&app, "/oauth2/start").await.state();
    let evil = "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%3Cimg%20src%3Dx%3E";
    for uri in [
        format!("/oauth2/callback?error={evil}&error_description={evil}&state={state}"),
        format!("/oauth2/callback?error={evil}&error_description={evil}"),
        format!("/oauth2/callback?code={evil}&state={evil}&rd=%2F{evil}"),
        format!("/oauth2/sign_in?rd=%2F{evil}"),
        format!("/oauth2/sign_out?rd=%2F{evil}"),
        format!("/{evil}"),
    ] {
        let seen = browser.get(&app, &uri).await;
        assert!(!seen.body.contains("<script") && !seen.body.contains("<img"), "{uri}: {}", seen.body);
        assert!(!seen.header("location").unwrap_or("").contains('<') || seen.status == StatusCode::FOUND);
    }
    let foreign = Browser::default().get(&app, "/oauth2/callback?error=x&error_description=call+555").await;
    assert!(!foreign.body.contains("call 555"), "text that no login of this browser brought is not shown");
    bench.stop().await;
}

#[actix_web::test]
async fn cve_2021_29651_cve_2024_39315_no_token_leaves_with_a_redirect_or_userinfo() {
    let bench = Bench::start(&["--whitelist-domain=idp.test"]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    browser.log_in(&app, "alice:600", "/").await;
    let info = browser.get(&app, "/oauth2/userinfo").await;
    assert!(info.status.is_success() && info.body.len() < 300, "600 letters of token are not in {}", info.body);
    assert!(!info.body.contains("token"), "{}", info.body);
    let elsewhere = browser.get(&app, "/oauth2/sign_out?rd=https%3A%2F%2Fevil.test%2F%3Ft%3D%7Bid_token%7D").await;
    assert_eq!((elsewhere.status, elsewhere.header("location")), (StatusCode::FOUND, Some("/")));
    bench.stop().await;
}

#[actix_web::test]
async fn cve_2022_24797_operators_endpoints_are_not_on_the_public_port() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    for path in [
        "/metrics",
        "/status",
        "/state-hash",
        "/debug/pprof/",
        "/debug/vars",
        "/live",
        "/admin",
        "/conclave/v1/peer",
        "/sessions",
    ] {
        let seen = Browser::default().get(&app, path).await;
        assert!(!seen.status.is_success(), "{path}: {}", seen.status);
    }
    bench.stop().await;
}

#[actix_web::test]
async fn cve_2023_28625_cve_2024_24814_crafted_and_many_cookies_cost_little() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let chunks: Vec<String> = (0..200).map(|chunk| format!("_oauth2_proxy_{chunk}=x")).collect();
    for line in [
        "_oauth2_proxy=".to_owned(),
        "=;=;=".to_owned(),
        "_oauth2_proxy".to_owned(),
        "_oauth2_proxy=|||;;;".to_owned(),
        "_oauth2_proxy_99999999=x; _oauth2_proxy_chunks=99999999".to_owned(),
        vec!["_oauth2_proxy=x"; 500].join("; "),
        chunks.join("; "),
    ] {
        let request = TestRequest::get().uri(CHECK).insert_header(("Cookie", line.clone()));
        assert_eq!(Browser::default().send(&app, request).await.status, StatusCode::UNAUTHORIZED, "{line}");
    }
    bench.stop().await;
}

#[actix_web::test]
async fn cve_2025_3891_cve_2025_31492_a_posted_check_is_refused_with_nothing_but_the_refusal() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    for uri in [CHECK, "/oauth2/callback", "/oauth2/userinfo"] {
        for body in ["", "logout_token=", "x=y", "%"] {
            let request =
                TestRequest::post().uri(uri).insert_header(("Content-Type", "application/x-www-form-urlencoded"));
            let seen = Browser::default().send(&app, request.set_payload(body)).await;
            // As in oauth2-proxy, a callback that says nothing is answered 500, with a page.
            let refused = seen.status.is_client_error() || uri == "/oauth2/callback" && seen.status.is_server_error();
            assert!(refused && seen.set_cookies().is_empty(), "{uri} {body:?}: {}", seen.status);
            assert!(uri == "/oauth2/callback" || seen.body.len() < 40, "{}", seen.body);
        }
    }
    bench.stop().await;
}
