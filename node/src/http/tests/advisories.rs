//! More rules that published advisories stand for, each under its id: identity headers of clients,
//! sessions that change hands, and input that other implementations broke on.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Bench, Browser, Seen};

const CHECK: &str = "/oauth2/auth";
const COOKIE: &str = "_oauth2_proxy";

/// Identity headers in every spelling that a server behind may take for the real one.
const FORGED: [&str; 12] = [
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "x_auth_request_user",
    "X_Auth_Request_Email",
    "X-Forwarded-User",
    "X_Forwarded_User",
    "x-forwarded_USER",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "GAP-Auth",
    "gap_auth",
];

fn names(seen: &Seen, word: &str) -> bool {
    seen.headers.iter().any(|(_, value)| String::from_utf8_lossy(value.as_bytes()).contains(word))
        || seen.body.contains(word)
}

#[actix_web::test]
async fn s_07_ghsa_vjrc_mh2v_45x6_cve_2025_64484_cve_2017_6062_cve_2017_6413_cve_2026_39858_forged_identity_headers_come_back_from_nowhere()
 {
    let flags = ["--upstream=static://202", "--skip-auth-route=^/open/", "--skip-auth-preflight=true"];
    let bench = Bench::start(&flags).await;
    let app = bench.app().await;
    let mut alice = Browser::default();
    alice.log_in(&app, "alice", "/").await;
    for uri in [CHECK, "/oauth2/userinfo", "/page", "/open/x"] {
        for method in ["GET", "OPTIONS", "POST"] {
            let forged = || {
                let request = TestRequest::default().method(method.parse().expect("a method")).uri(uri);
                FORGED.iter().fold(request, |request, name| request.insert_header((*name, "mallory")))
            };
            let nobody = Browser::default().send(&app, forged()).await;
            assert!(!names(&nobody, "mallory"), "{method} {uri}: {nobody:?}");
            let known = alice.send(&app, forged()).await;
            assert!(!names(&known, "mallory") && known.status.is_success(), "{method} {uri}: {known:?}");
            let user = known.header("x-auth-request-user");
            assert!(uri == "/oauth2/userinfo" || user == Some("alice"), "{method} {uri}: {known:?}");
        }
    }
    bench.stop().await;
}

#[actix_web::test]
async fn ghsa_6384_m2mw_rf54_a_forwarded_prefix_changes_no_address() {
    let bench = Bench::start(&["--upstream=static://202", "--reverse-proxy=true"]).await;
    let app = bench.app().await;
    let peer: std::net::SocketAddr = "127.0.0.1:9".parse().expect("an address");
    for uri in ["/oauth2/sign_in", "/page", "/oauth2/start", "/oauth2/sign_out"] {
        let request = TestRequest::get().uri(uri).peer_addr(peer);
        let request = request.insert_header(("X-Forwarded-Prefix", "//evil.test"));
        let seen = Browser::default().send(&app, request).await;
        assert!(!names(&seen, "evil.test"), "{uri}: {seen:?}");
    }
    bench.stop().await;
}

#[actix_web::test]
async fn cve_2021_41230_ghsa_x883_2vmg_xwf7_the_next_check_goes_by_todays_claims_and_rules() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    browser.log_in(&app, "alice", "/").await;
    let staff = "/oauth2/auth?allowed_groups=alice";
    assert_eq!(browser.get(&app, staff).await.status, StatusCode::ACCEPTED);
    // The same browser as somebody else: nothing of the former claims is left.
    browser.log_in(&app, "bob", "/").await;
    let seen = browser.get(&app, staff).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.get(&app, CHECK).await.header("x-auth-request-groups"), Some("bob,staff"));
    drop(app);
    let bench = Bench::restart(bench.halt().await, &["--allowed-group=alice"]).await;
    bench.until_ready().await;
    let seen = browser.get(&bench.app().await, CHECK).await;
    assert_eq!((seen.status, seen.set_cookies().len()), (StatusCode::FORBIDDEN, 0), "an older session too");
    bench.stop().await;
}

#[actix_web::test]
async fn cve_2021_41246_cve_2022_24794_a_planted_session_is_not_the_victims() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut mallory = Browser::default();
    mallory.log_in(&app, "mallory", "/").await;
    let mut victim = mallory.clone();
    let landed = victim.log_in(&app, "alice", "%2F%5Cevil.test").await;
    assert_eq!(landed.header("location"), Some("/"));
    assert_ne!(victim.cookies[COOKIE], mallory.cookies[COOKIE]);
    let planted = mallory.get(&app, CHECK).await;
    assert_ne!(planted.header("x-auth-request-user"), Some("alice"), "{planted:?}");
    bench.stop().await;
}

#[actix_web::test]
async fn cve_2023_27490_a_callback_without_its_login_cookie_redeems_nothing() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let state = browser.get(&app, "/oauth2/start").await.state();
    let callback = format!("/oauth2/callback?code=alice&state={state}");
    let names: Vec<String> = browser.cookies.keys().cloned().collect();
    for value in [None, Some(""), Some("x"), Some("null"), Some("undefined")] {
        let mut other = Browser::default();
        for name in &names {
            other.cookies.extend(value.map(|value| (name.clone(), value.to_owned())));
        }
        let seen = other.get(&app, &callback).await;
        assert!(seen.status.is_client_error() && !other.cookies.contains_key(COOKIE), "{value:?}: {seen:?}");
    }
    assert_eq!(bench.provider.redeemed.load(Ordering::SeqCst), 0);
    assert_eq!(browser.get(&app, &callback).await.status, StatusCode::FOUND);
    bench.stop().await;
}

#[actix_web::test]
async fn cve_2021_32785_what_a_client_sends_is_no_format() {
    let bench = Bench::start(&["--upstream=static://202"]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let state = browser.get(&app, "/oauth2/start").await.state();
    for text in ["%25s%25n%25x", "%7B%7B.%7D%7D", "%7B0%7D", "%24%7BHOME%7D"] {
        let uri = format!("/oauth2/callback?error={text}&error_description={text}&state={state}");
        let seen = browser.get(&app, &uri).await;
        assert!(seen.status.is_client_error(), "{text}: {}", seen.status);
        let trace = ["%!s", "MISSING", "NOVERB", "/root", "/home"];
        assert!(trace.iter().all(|word| !seen.body.contains(word)), "{text}: {}", seen.body);
    }
    bench.stop().await;
}

#[actix_web::test]
async fn cve_2021_32792_a_posted_form_is_not_kept_for_later() {
    let bench = Bench::start(&["--upstream=static://202"]).await;
    let app = bench.app().await;
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    for uri in ["/page", "/oauth2/start", "/oauth2/sign_in", "/oauth2/callback"] {
        let request = TestRequest::post().uri(uri).insert_header(form);
        let request = request.set_payload("x=%22%3E%3Cscript%3Ekept%3C%2Fscript%3E&kept=1");
        let seen = Browser::default().send(&app, request).await;
        assert!(!names(&seen, "kept"), "{uri}: {seen:?}");
    }
    bench.stop().await;
}

#[actix_web::test]
async fn cve_2021_32791_no_nonce_is_used_twice() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut nonces = BTreeSet::new();
    for _ in 0..500 {
        let mut browser = Browser::default();
        browser.get(&app, "/oauth2/start").await;
        let (_, value) = browser.cookies.first_key_value().expect("a login cookie");
        let bytes = URL_SAFE_NO_PAD.decode(value).expect("base64");
        // After the version, the key's id and the time.
        nonces.insert(bytes[13..25].to_vec());
    }
    assert_eq!(nonces.len(), 500);
    bench.stop().await;
}

#[actix_web::test]
async fn cve_2024_47616_a_users_credentials_reach_nothing_between_replicas() {
    let bench = Bench::start(&["--skip-jwt-bearer-tokens", "--upstream=static://202"]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    browser.log_in(&app, "alice", "/").await;
    for path in ["/peer", "/hand-over", "/rekey", "/status", "/state-hash"] {
        for token in [None, Some("Bearer eyJ9.eyJ9.good")] {
            let request = TestRequest::post().uri(path).set_payload(vec![1_u8; 64]);
            let request =
                token.into_iter().fold(request, |request, value| request.insert_header(("Authorization", value)));
            let seen = browser.send(&app, request).await;
            // It is a page of the application's like any other.
            assert_eq!((seen.status, seen.body.as_str()), (StatusCode::ACCEPTED, "Authenticated"), "{path}");
        }
    }
    assert!(bench.node.service.unready_reasons().is_empty());
    bench.stop().await;
}

#[actix_web::test]
async fn cve_2021_39162_http2_frames_out_of_order_stop_nothing() {
    let bench = Bench::start(&[]).await;
    let address = bench.node.public_addresses[0];
    let (settings, goaway) = (b"\0\0\0\x04\0\0\0\0\0".as_slice(), b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0".as_slice());
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice();
    for bytes in [
        [preface, settings, goaway, settings].concat(),
        [preface, goaway, settings].concat(),
        [preface, settings, &settings.repeat(500)].concat(),
        [goaway, settings].concat(),
    ] {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let _ = stream.write_all(&bytes).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "the connection is closed");
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&answer));
    }
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(b"GET /oauth2/auth HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    bench.stop().await;
}
