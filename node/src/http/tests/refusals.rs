//! What must not work.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use futures::stream::{FuturesUnordered, StreamExt};

use super::support::{Bench, Browser};

const CHECK: &str = "/oauth2/auth";

#[actix_web::test]
async fn the_state_comes_before_the_code() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let start = browser.get(&app, "/oauth2/start?rd=%2Fx").await;
    let state = start.state();
    for bad in [
        "/oauth2/callback?code=alice&state=other".to_owned(),
        format!("/oauth2/callback?code=alice&code=bob&state={state}"),
        format!("/oauth2/callback?code=alice&state={state}&state={state}"),
        format!("/oauth2/callback?code=alice&state={state}&iss=https://evil.test"),
        format!("/oauth2/callback?state={state}"),
        "/oauth2/callback?code=alice".to_owned(),
        "/oauth2/callback".to_owned(),
        "/oauth2/callback?code=%zz".to_owned(),
        format!("/oauth2/callback?error=access_denied&state={state}"),
    ] {
        let seen = browser.get(&app, &bad).await;
        assert!(seen.status.is_client_error() || seen.status.is_server_error(), "{bad}: {seen:?}");
        assert!(seen.set_cookies().is_empty(), "{bad} spoilt the login cookie");
    }
    let mut other = Browser::default();
    let stolen = other.get(&app, &format!("/oauth2/callback?code=alice&state={state}")).await;
    assert_eq!(stolen.status, StatusCode::FORBIDDEN);
    assert_eq!(bench.provider.redeemed.load(Ordering::SeqCst), 0);
    let good = browser.get(&app, &format!("/oauth2/callback?code=alice&state={state}&iss=https://idp.test")).await;
    assert_eq!((good.status, good.header("location")), (StatusCode::FOUND, Some("/x")));
    bench.stop().await;
}

#[actix_web::test]
async fn an_error_of_the_provider_is_shown_escaped() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let state = browser.get(&app, "/oauth2/start").await.state();
    let query = "error=%3Cscript%3E&error_description=%3Cimg%20src=x%3E";
    let own = browser.get(&app, &format!("/oauth2/callback?{query}&state={state}")).await;
    assert!(own.body.contains("&lt;img src=x&gt;") && !own.body.contains("<img") && !own.body.contains("<script"));
    bench.stop().await;
}

#[actix_web::test]
async fn callback_query_unshown_without_a_login_of_this_browser() {
    let bench = Bench::start(&["--show-debug-on-error=true"]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let state = browser.get(&app, "/oauth2/start").await.state();
    let text = "Your+account+was+suspended.+Call+555";
    for query in [
        format!("error={text}&error_description={text}"),
        format!("error={text}&error_description={text}&state=abc:/{text}"),
        format!("error={text}&error_description={text}&error_uri={text}&state={}x", &state[..state.len() - 1]),
        format!("error={text}&code={text}&iss={text}&session_state={text}"),
        format!("code={text}&iss={text}&state={text}"),
        format!("error=&error_description={text}&state={text}"),
        format!("error={text}&error={text}&state={state}"),
    ] {
        let seen = browser.get(&app, &format!("/oauth2/callback?{query}")).await;
        assert!(seen.status.is_client_error() || seen.status.is_server_error(), "{query}: {}", seen.status);
        assert!(!seen.body.contains("suspended") && !seen.body.contains("555"), "{query}: {}", seen.body);
    }
    let foreign = Browser::default().get(&app, &format!("/oauth2/callback?error={text}&state={state}")).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    assert!(!foreign.body.contains("555"), "another browser's state: {}", foreign.body);
    let own = browser.get(&app, &format!("/oauth2/callback?error={text}&error_description=more&state={state}")).await;
    assert!(own.body.contains("Call 555 (more)"), "the answer of an own login is shown: {}", own.body);
    bench.stop().await;
}

#[actix_web::test]
async fn who_is_known_but_not_allowed_gets_403_and_keeps_the_cookie() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    browser.log_in(&app, "alice", "/").await;
    for (query, status) in [
        ("allowed_groups=staff", StatusCode::ACCEPTED),
        ("allowed_groups=nosuch", StatusCode::FORBIDDEN),
        ("allowed_groups=", StatusCode::FORBIDDEN),
        ("allowed_groups=%zz", StatusCode::FORBIDDEN),
        ("allowed_emails=alice@example.test", StatusCode::ACCEPTED),
        ("allowed_email_domains=other.test", StatusCode::FORBIDDEN),
    ] {
        let seen = browser.get(&app, &format!("{CHECK}?{query}")).await;
        assert_eq!(seen.status, status, "{query}");
        assert!(seen.set_cookies().is_empty());
    }
    bench.stop().await;
}

#[actix_web::test]
async fn a_login_against_the_rules_makes_no_session() {
    let bench = Bench::start(&["--allowed-group=nosuch"]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let refused = browser.log_in(&app, "alice", "/").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.body.contains("allowed_groups"), "{}", refused.body);
    assert!(browser.cookies.is_empty());
    bench.stop().await;
}

#[actix_web::test]
async fn claims_that_cannot_be_kept_are_named() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let large = browser.log_in(&app, "alice:200000", "/").await;
    assert_eq!(large.status, StatusCode::FORBIDDEN);
    assert!(large.body.contains("ID token (200000)"), "{}", large.body);
    let broken = browser.log_in(&app, "ali%01ce", "/").await;
    assert_eq!(broken.status, StatusCode::FORBIDDEN);
    assert!(broken.body.contains("the claim sub cannot reach"), "{}", broken.body);
    let down = browser.log_in(&app, "down", "/").await;
    assert_eq!(down.status, StatusCode::BAD_GATEWAY);
    bench.stop().await;
}

#[actix_web::test]
async fn p4_refused_stays_the_second_callback_shows_the_same_page_and_the_code_goes_nowhere() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut refused = 0;
    for code in ["down", "alice:200000", "ali%01ce"] {
        let mut browser = Browser::default();
        let state = browser.get(&app, "/oauth2/start?rd=%2Fx").await.state();
        let uri = format!("/oauth2/callback?code={code}&state={state}&rd=%2Fx");
        let mut repeats = browser.clone();
        let first = browser.get(&app, &uri).await;
        assert!(!first.status.is_success() && !first.status.is_redirection(), "{first:?}");
        refused += 1;
        for uri in [&uri, &uri.replace(code, "bob")] {
            let again = repeats.get(&app, uri).await;
            assert_eq!((again.status, &again.body), (first.status, &first.body), "{code}: the same page");
            assert!(again.set_cookies().is_empty());
        }
        assert!(first.body.contains("Sign in again"), "{}", first.body);
        assert_eq!(bench.provider.redeemed.load(Ordering::SeqCst), refused, "{code}");
    }
    bench.stop().await;
}

#[actix_web::test]
async fn p4_eight_wait_for_a_code_and_the_rest_get_503_at_once() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let state = browser.get(&app, "/oauth2/start?rd=%2Fx").await.state();
    let uri = format!("/oauth2/callback?code=held&state={state}");
    let mut browsers: Vec<Browser> = std::iter::repeat_n(browser.clone(), 199).collect();
    let (app, uri) = (&app, uri.as_str());
    let mut first = Box::pin(browser.get(app, uri));
    while bench.provider.redeemed.load(Ordering::SeqCst) == 0 {
        let early = tokio::time::timeout(Duration::from_millis(5), &mut first).await;
        assert!(early.is_err(), "the provider has not answered: {early:?}");
    }
    let mut flood: FuturesUnordered<_> = browsers.iter_mut().map(|browser| browser.get(app, uri)).collect();
    for _ in 8..199 {
        let turned_away = flood.next().await.expect("200 callbacks");
        assert_eq!(turned_away.status, StatusCode::SERVICE_UNAVAILABLE, "{turned_away:?}");
        assert_eq!(turned_away.header("retry-after"), Some("2"));
        assert!(turned_away.body.contains("too many logins wait already"), "{}", turned_away.body);
        assert!(turned_away.set_cookies().is_empty(), "the login may still succeed");
    }
    bench.provider.go_on.notify_one();
    let mut answered: Vec<_> = flood.collect().await;
    answered.push(first.await);
    assert_eq!(answered.len(), 9, "one redeems, eight wait");
    assert!(answered.iter().all(|seen| seen.header("location") == Some("/x")), "{answered:?}");
    let sessions = answered.iter().filter(|seen| !seen.set_cookies().is_empty()).count();
    assert_eq!((sessions, bench.provider.redeemed.load(Ordering::SeqCst)), (1, 1));
    bench.stop().await;
}

#[actix_web::test]
async fn malformed_cookies_are_no_cookies() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    browser.log_in(&app, "alice", "/").await;
    let good = browser.cookies["_oauth2_proxy"].clone();
    let mut flipped = good.clone().into_bytes();
    flipped[60] = if flipped[60] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).expect("ascii");
    for bad in ["", "garbage", &good[1..], &format!("{good}x"), &flipped, "djIuWDI5aGRY|1790000000|jppV5q="] {
        let mut other = Browser::default();
        other.cookies.insert("_oauth2_proxy".to_owned(), bad.to_owned());
        let seen = other.get(&app, CHECK).await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{bad}");
        assert!(seen.set_cookies().is_empty());
        assert_eq!(other.get(&app, "/oauth2/sign_out").await.status, StatusCode::FOUND, "{bad}");
    }
    // Beside a good one of the same name it does not count.
    let several =
        TestRequest::get().uri(CHECK).insert_header(("Cookie", format!("_oauth2_proxy=x; _oauth2_proxy={good}")));
    assert_eq!(Browser::default().send(&app, several).await.status, StatusCode::ACCEPTED);
    bench.stop().await;
}

/// A page of a sibling domain can set cookies of our name that come before the real one.
#[actix_web::test]
async fn only_a_tickets_shape_counts_against_the_eight() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut alice = Browser::default();
    alice.log_in(&app, "alice", "/").await;
    let good = alice.cookies["_oauth2_proxy"].clone();
    let asks = |junk: Vec<String>| {
        let before: String = junk.iter().map(|value| format!("_oauth2_proxy={value}; ")).collect();
        TestRequest::get().uri(CHECK).insert_header(("Cookie", format!("{before}_oauth2_proxy={good}")))
    };
    for junk in ["x", "", "djIuWDI5aGRY|1790000000|jppV5q=", &good[1..], &format!("{}|", &good[1..])] {
        for count in [8, 9, 100] {
            let seen = Browser::default().send(&app, asks(vec![junk.to_owned(); count])).await;
            assert_eq!(seen.status, StatusCode::ACCEPTED, "{count} times {junk:?}");
        }
    }
    // A sign-out finds it there too.
    let out = asks(vec!["x".to_owned(); 100]).uri("/oauth2/sign_out");
    assert_eq!(Browser::default().send(&app, out).await.status, StatusCode::FOUND);
    assert_eq!(alice.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED);
    // Eight that look like tickets are what is tried at the most.
    let mut bob = Browser::default();
    bob.log_in(&app, "bob", "/").await;
    let (good, forged) = (bob.cookies["_oauth2_proxy"].clone(), "A".repeat(good.len()));
    for (count, status) in [(7, StatusCode::ACCEPTED), (8, StatusCode::UNAUTHORIZED)] {
        let line = format!("{}_oauth2_proxy={good}", format!("_oauth2_proxy={forged}; ").repeat(count));
        let check = TestRequest::get().uri(CHECK).insert_header(("Cookie", line));
        assert_eq!(Browser::default().send(&app, check).await.status, status, "{count}");
    }
    bench.stop().await;
}

#[actix_web::test]
async fn two_people_in_one_browser_are_nobody() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let (mut alice, mut bob) = (Browser::default(), Browser::default());
    alice.log_in(&app, "alice", "/").await;
    bob.log_in(&app, "bob", "/").await;
    let both =
        format!("_oauth2_proxy={}; _oauth2_proxy={}", alice.cookies["_oauth2_proxy"], bob.cookies["_oauth2_proxy"]);
    let check = TestRequest::get().uri(CHECK).insert_header(("Cookie", both.clone()));
    assert_eq!(Browser::default().send(&app, check).await.status, StatusCode::UNAUTHORIZED);
    let start = TestRequest::get().uri("/oauth2/start").insert_header(("Cookie", both));
    let cookies = Browser::default().send(&app, start).await.set_cookies();
    assert!(cookies.iter().any(|cookie| cookie.starts_with("_oauth2_proxy=;")), "{cookies:?}");
    bench.stop().await;
}

#[actix_web::test]
async fn background_requests_start_no_login() {
    let bench = Bench::start(&["--skip-provider-button=true"]).await;
    let app = bench.app().await;
    for path in ["/oauth2/start", "/oauth2/sign_in"] {
        let background = TestRequest::get().uri(path).insert_header(("Sec-Fetch-Dest", "empty"));
        let seen = Browser::default().send(&app, background).await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(seen.set_cookies().is_empty() && seen.header("location").is_none());
        assert_eq!(Browser::default().get(&app, path).await.status, StatusCode::FOUND);
    }
    bench.stop().await;
}

#[actix_web::test]
async fn targets_elsewhere_become_the_root() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    for target in ["https%3A%2F%2Fevil.test%2F", "%2F%2Fevil.test", "%2F%5Cevil.test", "javascript%3Aalert(1)"] {
        let mut browser = Browser::default();
        let callback = browser.log_in(&app, "alice", target).await;
        assert_eq!(callback.header("location"), Some("/"), "{target}");
        let out = browser.get(&app, &format!("/oauth2/sign_out?rd={target}")).await;
        assert_eq!(out.header("location"), Some("/"), "{target}");
    }
    bench.stop().await;
}

#[actix_web::test]
async fn oversized_requests_are_refused_with_what_a_gateway_takes() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let wide = TestRequest::get().uri(CHECK).insert_header(("X-Wide", "a".repeat(33 * 1024)));
    assert_eq!(Browser::default().send(&app, wide).await.status, StatusCode::FORBIDDEN);
    let long = format!("/oauth2/start?rd=/{}", "a".repeat(9 * 1024));
    assert_eq!(Browser::default().get(&app, &long).await.status, StatusCode::URI_TOO_LONG);
    let wide = TestRequest::get().uri("/elsewhere").insert_header(("X-Wide", "a".repeat(33 * 1024)));
    assert_eq!(Browser::default().send(&app, wide).await.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    bench.stop().await;
}

#[actix_web::test]
async fn s_18_an_emptied_store_leaves_the_process_up_and_saying_so() {
    let flags = ["--skip-auth-preflight=true"];
    let bench = Bench::start(&flags).await;
    let mut browser = Browser::default();
    browser.log_in(&bench.app().await, "alice", "/").await;
    let directory = bench.halt().await;
    std::fs::remove_dir_all(directory.path().join("store")).expect("a store to lose");

    let bench = Bench::restart(directory, &flags).await;
    let app = bench.app().await;
    let ready = browser.get(&app, "/ready").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ready.body.contains("emptied"), "{}", ready.body);
    assert_eq!(browser.get(&app, "/ping").await.status, StatusCode::OK);
    // It cannot know whether the session lives; somebody without a cookie has none for certain.
    assert_eq!(browser.get(&app, CHECK).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(Browser::default().get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED);
    let preflight = TestRequest::with_uri(CHECK).method(actix_web::http::Method::OPTIONS);
    assert_eq!(browser.send(&app, preflight).await.status, StatusCode::ACCEPTED);
    let out = browser.get(&app, "/oauth2/sign_out").await;
    assert_eq!(out.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(out.set_cookies().is_empty(), "a sign-out that cannot commit keeps the cookie");
    assert_eq!(browser.get(&app, "/oauth2/start").await.status, StatusCode::SERVICE_UNAVAILABLE);
    bench.stop().await;
}

#[actix_web::test]
async fn sessions_outlive_a_restart() {
    let bench = Bench::start(&[]).await;
    let mut browser = Browser::default();
    browser.log_in(&bench.app().await, "alice", "/").await;
    let bench = Bench::restart(bench.halt().await, &[]).await;
    bench.until_ready().await;
    let check = browser.get(&bench.app().await, CHECK).await;
    assert_eq!((check.status, check.header("x-auth-request-user")), (StatusCode::ACCEPTED, Some("alice")));
    bench.stop().await;
}

#[actix_web::test]
async fn a_lost_cookie_secret_has_a_way_out() {
    let bench = Bench::start(&[]).await;
    let mut browser = Browser::default();
    let app = bench.app().await;
    browser.log_in(&app, "alice", "/").await;
    let admin = bench.node.admin_address.expect("an admin listener");
    let page = posted_by_a_page(admin).await;
    assert!(page.starts_with("HTTP/1.0 403") || page.starts_with("HTTP/1.1 403"), "a page in a browser: {page}");
    assert_eq!(browser.get(&app, CHECK).await.status, StatusCode::ACCEPTED);
    let args = ["rekey".to_owned(), format!("--admin-address={admin}"), "--end-all-sessions".to_owned()];
    actix_web::web::block(move || crate::operator::run(&args)).await.expect("ran").expect("re-keyed");
    assert_eq!(browser.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED);
    let again = browser.log_in(&app, "alice", "/").await;
    assert_eq!(again.status, StatusCode::FOUND);
    assert_eq!(browser.get(&app, CHECK).await.status, StatusCode::ACCEPTED);
    bench.stop().await;
}

/// DNS rebinding: a page whose name points here by now may send any header, but not another `Host`.
#[actix_web::test]
async fn operators_host_decides_who_may_command_and_read() {
    let bench = Bench::start(&["--admin-hosts=ops.example.com"]).await;
    bench.until_ready().await;
    let admin = bench.node.admin_address.expect("an admin listener");
    let port = admin.port();
    let ask = |start: &'static str, head: String| async move {
        let request = format!("{start} HTTP/1.0\r\n{head}Content-Length: 0\r\n\r\n");
        let answer = raw(admin, request).await;
        answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()).expect("a status")
    };
    let meant = "x-conclave-command: 1\r\n";
    let commands = ["POST /hand-over", "POST /rekey"];
    let reads = ["GET /status", "GET /state-hash"];
    let foreign = [
        format!("Host: evil.example:{port}\r\n"),
        format!("Host: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n"),
        format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n"),
        "Host: localhost\r\nOrigin: null\r\n".to_owned(),
        "Host: localhost\r\nHost: evil.example\r\n".to_owned(),
        String::new(),
    ];
    for head in &foreign {
        for start in commands.into_iter().chain(reads) {
            // Two of them are no request at all for the library.
            assert!(matches!(ask(start, format!("{head}{meant}")).await, 400 | 403), "{start} {head:?}");
        }
        if !head.contains("localhost\r\nHost") {
            for probe in ["GET /metrics", "GET /live", "GET /ready"] {
                assert_eq!(ask(probe, head.clone()).await, 200, "{probe} {head:?}");
            }
        }
    }
    for host in [format!("localhost:{port}"), admin.to_string(), "[::1]:14182".to_owned(), "ops.example.com".to_owned()]
    {
        let head = format!("Host: {host}\r\n");
        // 409: there is no other replica to lead.
        assert_eq!(ask("POST /hand-over", format!("{head}{meant}")).await, 409, "{host}");
        assert_eq!(ask("POST /hand-over", head.clone()).await, 403, "{host}, without the header of commands");
        for start in reads {
            assert_eq!(ask(start, head.clone()).await, 200, "{start} {host}");
        }
    }
    bench.stop().await;
}

async fn raw(address: std::net::SocketAddr, request: String) -> String {
    let asked = actix_web::web::block(move || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    asked.await.expect("ran").expect("answered")
}

/// A post without the header that commands carry.
async fn posted_by_a_page(admin: std::net::SocketAddr) -> String {
    raw(admin, "POST /rekey HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".to_owned()).await
}

/// Promise P6.
#[actix_web::test]
async fn an_anonymous_request_writes_nothing_to_the_log() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    // What the founding itself writes is done once somebody is logged in.
    browser.log_in(&app, "alice", "/").await;
    let ticket = browser.cookies["_oauth2_proxy"].clone();
    assert_eq!(browser.get(&app, "/oauth2/sign_out").await.status, StatusCode::FOUND);
    let store = bench.node.service.store().expect("an open store");
    let before = store.state_hash();
    for turn in 0..50 {
        let mut anybody = Browser::default();
        let state = anybody.get(&app, "/oauth2/start?rd=%2Fx").await.state();
        let refused = anybody.get(&app, &format!("/oauth2/callback?error=access_denied&state={state}")).await;
        assert!(!refused.status.is_success());
        for uri in [
            CHECK,
            "/oauth2/sign_in",
            "/oauth2/sign_out?rd=%2F",
            "/oauth2/userinfo",
            "/oauth2/callback?code=alice&state=other",
            "/ping",
            "/ready",
            "/robots.txt",
            "/nowhere",
        ] {
            anybody.get(&app, uri).await;
        }
        // A dead ticket and a forged one are nobody's.
        for cookie in [ticket.clone(), format!("{turn}{}", &ticket[2..])] {
            anybody.cookies.insert("_oauth2_proxy".to_owned(), cookie);
            anybody.get(&app, CHECK).await;
            anybody.get(&app, "/oauth2/sign_out").await;
        }
    }
    assert_eq!(store.state_hash(), before, "nobody was logged in, and yet the log grew");
    browser.log_in(&app, "alice", "/").await;
    assert_ne!(store.state_hash(), before, "a login does write");
    bench.stop().await;
}
