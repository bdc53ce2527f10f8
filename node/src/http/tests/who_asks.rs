//! Who caused a request, and what it may change.

use actix_web::http::StatusCode;
use actix_web::test::TestRequest;

use super::credentials::{SHA_PW, form};
use super::support::{Bench, Browser};

const CHECK: &str = "/oauth2/auth";
const COOKIE: &str = "_oauth2_proxy";

/// What a browser says of a navigation that another site caused.
const FOREIGN: [(&str, &str); 3] =
    [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];

/// What no person sees as a page: each by itself.
const UNSEEN: [&[(&str, &str)]; 5] = [
    &[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")],
    &[("Sec-Fetch-Dest", "empty")],
    &[("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Purpose", "prefetch;prerender")],
    &[("Purpose", "prefetch")],
    &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")],
];

fn get(uri: &str, sent: &[(&str, &str)]) -> TestRequest {
    sent.iter().fold(TestRequest::get().uri(uri), |request, header| request.insert_header(*header))
}

fn sent_with(request: TestRequest, sent: &[(&str, &str)]) -> TestRequest {
    sent.iter().fold(request, |request, header| request.insert_header(*header))
}

/// A node with the local user `joe`, and the directory of his file.
async fn with_joe(flags: &[&str]) -> (Bench, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("users");
    std::fs::write(&file, format!("joe:{SHA_PW}\n")).expect("written");
    let flag = format!("--htpasswd-file={}", file.display());
    let flags: Vec<&str> = flags.iter().copied().chain([flag.as_str()]).collect();
    (Bench::start(&flags).await, directory)
}

#[actix_web::test]
async fn a_password_comes_from_here() {
    let (bench, _directory) = with_joe(&[]).await;
    let app = bench.app().await;
    let signs = |sent: &'static [(&'static str, &'static str)]| sent_with(form("username=joe&password=pw"), sent);
    let foreign: [&'static [(&'static str, &'static str)]; 6] = [
        &FOREIGN,
        &[("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],
        &[("Sec-Fetch-Site", "cross-site"), ("Origin", "http://app.test")],
        &[("Origin", "https://evil.test")],
        &[("Origin", "null")],
        &[("Sec-Purpose", "prefetch")],
    ];
    for sent in foreign {
        let mut victim = Browser::default();
        let seen = victim.send(&app, signs(sent)).await;
        assert_eq!((seen.status, seen.set_cookies().len()), (StatusCode::FORBIDDEN, 0), "{sent:?}: {}", seen.body);
    }
    let own: [&'static [(&'static str, &'static str)]; 4] = [
        &[],
        &[("Origin", "http://app.test")],
        &[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "navigate"), ("Origin", "null")],
        &[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")],
    ];
    for sent in own {
        let seen = Browser::default().send(&app, signs(sent)).await;
        assert_eq!(seen.status, StatusCode::FOUND, "{sent:?}: {}", seen.body);
    }
    let page = Browser::default().get(&app, "/oauth2/sign_in").await;
    assert_eq!(page.header("referrer-policy"), Some("same-origin"), "or the form's own POST has the Origin null");
    bench.stop().await;
}

#[actix_web::test]
async fn a_session_ends_by_what_comes_from_here() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    let mut alice = Browser::default();
    alice.log_in(&app, "alice", "/").await;
    for path in ["/oauth2/sign_out", "/oauth2/sign_in"] {
        for sent in UNSEEN.iter().copied().chain([FOREIGN.as_slice()]) {
            let seen = alice.send(&app, get(path, sent)).await;
            assert!(seen.set_cookies().is_empty() && seen.header("location").is_none(), "{path} {sent:?}: {seen:?}");
            assert_eq!(alice.get(&app, CHECK).await.status, StatusCode::ACCEPTED, "{path} {sent:?}");
        }
        let posted = sent_with(TestRequest::post().uri(path), &FOREIGN);
        assert!(alice.send(&app, posted).await.set_cookies().is_empty());
        let posted = TestRequest::post().uri(path).insert_header(("Origin", "https://evil.test"));
        assert!(alice.send(&app, posted).await.set_cookies().is_empty());
        assert_eq!(alice.get(&app, CHECK).await.status, StatusCode::ACCEPTED, "{path}");
    }
    for (method, sent) in [
        ("GET", [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]),
        ("GET", [("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]),
        ("POST", [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")]),
    ] {
        let mut browser = Browser::default();
        browser.log_in(&app, "alice", "/").await;
        let mut kept = browser.clone();
        let request = get("/oauth2/sign_out", &sent).method(method.parse().expect("a method"));
        assert_eq!(browser.send(&app, request).await.status, StatusCode::FOUND, "{method} {sent:?}");
        assert_eq!(kept.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED, "{method} {sent:?}");
    }
    bench.stop().await;
}

#[actix_web::test]
async fn a_foreign_sign_out_is_confirmed_and_keeps_rd() {
    let bench = Bench::start(&["--whitelist-domain=idp.test"]).await;
    let app = bench.app().await;
    let mut alice = Browser::default();
    alice.log_in(&app, "alice:40", "/").await;
    let mut kept = alice.clone();
    let rd = "https%3A%2F%2Fidp.test%2Fend%3Fhint%3D%7Bid_token%7D%26x%3D%22";
    let page = alice.send(&app, get(&format!("/oauth2/sign_out?rd={rd}"), &FOREIGN)).await;
    assert_eq!((page.status, page.header("referrer-policy")), (StatusCode::OK, Some("same-origin")));
    let field = "name=\"rd\" value=\"https://idp.test/end?hint={id_token}&amp;x=&quot;\"";
    let form = "<form method=\"POST\" action=\"/oauth2/sign_out\">";
    assert!(page.body.contains(field) && page.body.contains(form), "{}", page.body);
    assert_eq!(kept.get(&app, CHECK).await.status, StatusCode::ACCEPTED);
    let pressed = TestRequest::post()
        .uri("/oauth2/sign_out")
        .insert_header(("Content-Type", "application/x-www-form-urlencoded"))
        .insert_header(("Sec-Fetch-Site", "same-origin"))
        .insert_header(("Sec-Fetch-Mode", "navigate"))
        .insert_header(("Sec-Fetch-Dest", "document"))
        .set_payload(format!("rd={rd}"));
    let out = alice.send(&app, pressed).await;
    let to = out.header("location").unwrap_or_default();
    assert!(to.starts_with("https://idp.test/end?hint=") && !to.contains('{'), "{to}");
    assert_eq!(kept.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED);
    bench.stop().await;
}

#[actix_web::test]
async fn a_login_ends_the_older_session_of_its_browser_and_no_other() {
    let (bench, _directory) = with_joe(&[]).await;
    let app = bench.app().await;
    let mut other = Browser::default();
    other.log_in(&app, "alice", "/").await;
    let mut browser = Browser::default();
    let mut older = Vec::new();
    for user in ["alice", "bob"] {
        browser.log_in(&app, user, "/").await;
        older.push(browser.clone());
    }
    browser.send(&app, form("username=joe&password=pw")).await;
    for (index, older) in older.iter_mut().enumerate() {
        assert_eq!(older.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED, "the {index}. session");
    }
    assert_eq!(browser.get(&app, CHECK).await.header("x-auth-request-user"), Some("joe"));
    assert_eq!(other.get(&app, CHECK).await.status, StatusCode::ACCEPTED, "another browser's session lives on");

    // What does not authenticate ends nothing, and a login that makes no session ends none.
    let mut forged = other.clone();
    let value = forged.cookies[COOKIE].clone();
    let last = if value.ends_with('A') { "B" } else { "A" };
    forged.cookies.insert(COOKIE.to_owned(), format!("{}{last}", &value[..value.len() - 1]));
    forged.log_in(&app, "bob", "/").await;
    let mut failing = other.clone();
    let state = failing.get(&app, "/oauth2/start").await.state();
    assert!(failing.get(&app, &format!("/oauth2/callback?code=down&state={state}")).await.status.is_server_error());
    assert_eq!(other.get(&app, CHECK).await.status, StatusCode::ACCEPTED);
    bench.stop().await;
}

#[actix_web::test]
async fn a_login_begins_for_what_can_show_a_page() {
    let bench = Bench::start(&["--skip-provider-button=true"]).await;
    let app = bench.app().await;
    let worker: &[(&str, &str)] =
        &[("Sec-Fetch-Dest", "empty"), ("Sec-Fetch-Mode", "navigate"), ("Upgrade-Insecure-Requests", "1")];
    let frame: &[(&str, &str)] = &[("Sec-Fetch-Dest", "iframe"), ("Sec-Fetch-Mode", "navigate")];
    for path in ["/oauth2/start", "/oauth2/sign_in", "/page"] {
        for sent in [worker, frame, &FOREIGN, &[]] {
            let seen = Browser::default().send(&app, get(path, sent)).await;
            assert_eq!((seen.status, seen.set_cookies().len()), (StatusCode::FOUND, 1), "{path} {sent:?}");
        }
        for dest in ["image", "script", "style", "font", "manifest", "worker", "serviceworker", "empty"] {
            let seen = Browser::default().send(&app, get(path, &[("Sec-Fetch-Dest", dest)])).await;
            assert_eq!((seen.status, seen.set_cookies().len()), (StatusCode::UNAUTHORIZED, 0), "{path} {dest}");
        }
    }
    let mut browser = Browser::default();
    let state = browser.send(&app, get("/oauth2/start", &[("Sec-Fetch-Dest", "document")])).await.state();
    for _ in 0..12 {
        browser.send(&app, get("/oauth2/start", &[("Sec-Fetch-Dest", "image")])).await;
    }
    let back = browser.send(&app, get(&format!("/oauth2/callback?code=alice&state={state}"), &FOREIGN)).await;
    assert_eq!(
        back.status,
        StatusCode::FOUND,
        "another tab's pictures push no login out, and the provider is another site"
    );
    bench.stop().await;
}

#[actix_web::test]
async fn the_id_token_goes_to_provider_origins_only() {
    let flags =
        ["--whitelist-domain=.test", "--whitelist-domain=idp.test:8443", "--backend-logout-url=http://127.0.0.1:1/out"];
    let bench = Bench::start(&flags).await;
    let app = bench.app().await;
    for (target, named) in [
        ("https://idp.test/end?t={id_token}", true),
        ("https://end.idp.test/session/end?t={id_token}", true),
        ("https://ok.test/steal?t={id_token}", false),
        ("http://idp.test/end?t={id_token}", false),
        ("https://idp.test:8443/end?t={id_token}", false),
        ("https://idp.test.evil.test/end?t={id_token}", false),
        ("/bye?t={id_token}", false),
    ] {
        let mut alice = Browser::default();
        alice.log_in(&app, "alice:40", "/").await;
        let encoded: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
        let out = alice.get(&app, &format!("/oauth2/sign_out?rd={encoded}")).await;
        let to = out.header("location").expect("a redirect").to_owned();
        let (before, after) = target.split_once("{id_token}").expect("the placeholder");
        assert!(to.starts_with(before) && to.ends_with(after), "{target} became {to}");
        assert_eq!(!to.contains("{id_token}"), named, "{target} became {to}");
    }
    bench.stop().await;
}

/// What SECURITY.md says plainly: a stateless token is not ended by a sign-out.
#[actix_web::test]
async fn an_id_token_outlives_its_session_as_a_bearer_token() {
    let bench = Bench::start(&["--skip-jwt-bearer-tokens"]).await;
    let app = bench.app().await;
    let mut alice = Browser::default();
    alice.log_in(&app, "alice", "/").await;
    alice.get(&app, "/oauth2/sign_out").await;
    assert_eq!(alice.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED, "the session has ended");
    let bearer = get(CHECK, &[("Authorization", "Bearer eyJ9.eyJ9.good")]);
    assert_eq!(
        Browser::default().send(&app, bearer).await.status,
        StatusCode::ACCEPTED,
        "the token counts until it expires"
    );
    drop(app);
    bench.stop().await;
    let bench = Bench::start(&[]).await;
    let bearer = get(CHECK, &[("Authorization", "Bearer eyJ9.eyJ9.good")]);
    let seen = Browser::default().send(&bench.app().await, bearer).await;
    assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "and not where bearer tokens are off");
    bench.stop().await;
}

#[actix_web::test]
async fn no_source_leads_back_into_the_own_prefix() {
    let flags = ["--reverse-proxy=true", "--trusted-proxy-ip=127.0.0.1", "--whitelist-domain=app.test"];
    let bench = Bench::start(&flags).await;
    let app = bench.app().await;
    for own in ["/oauth2/sign_out", "/oauth2/start?rd=/x", "/oauth2/sign_in", "http://app.test/oauth2/sign_out"] {
        let encoded: String = url::form_urlencoded::byte_serialize(own.as_bytes()).collect();
        let query = format!("?rd={encoded}");
        let sources: [(&str, &[(&str, &str)]); 3] = [
            (&query, &[]),
            ("", &[("X-Auth-Request-Redirect", own)]),
            ("", &[("X-Forwarded-Uri", own), ("X-Forwarded-Host", "app.test")]),
        ];
        for (query, sent) in sources {
            let peer = || "127.0.0.1:9".parse().expect("an address");
            let out = get(&format!("/oauth2/sign_out{query}"), sent).peer_addr(peer());
            let out = Browser::default().send(&app, out).await;
            assert_eq!(out.header("location"), Some("/"), "sign_out {own} {sent:?}");
            let mut browser = Browser::default();
            let start = get(&format!("/oauth2/start{query}"), sent).peer_addr(peer());
            let state = browser.send(&app, start).await.state();
            let back = browser.get(&app, &format!("/oauth2/callback?code=alice&state={state}")).await;
            assert_eq!(back.header("location"), Some("/"), "start {own} {sent:?}");
            let page = get(&format!("/oauth2/sign_in{query}"), sent).peer_addr(peer());
            let page = Browser::default().send(&app, page).await;
            assert!(page.body.contains("name=\"rd\" value=\"/\""), "sign_in {own} {sent:?}: {}", page.body);
        }
    }
    bench.stop().await;
}

#[actix_web::test]
async fn broken_parameters_end_no_sign_out_and_stop_no_login() {
    let bench = Bench::start(&[]).await;
    let app = bench.app().await;
    for query in ["rd=%E9", "x=%zz", "a;b", "rd=/caf%E9?n=%E9", "%", "x=%ff&rd=/bye;x"] {
        let mut browser = Browser::default();
        browser.log_in(&app, "alice", "/").await;
        let mut kept = browser.clone();
        let out = browser.get(&app, &format!("/oauth2/sign_out?{query}")).await;
        assert_eq!(out.status, StatusCode::FOUND, "{query}: {}", out.body);
        assert!(browser.cookies.is_empty(), "{query}");
        assert_eq!(kept.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED, "{query}");
        assert_eq!(browser.get(&app, &format!("/oauth2/start?{query}")).await.status, StatusCode::FOUND, "{query}");
        assert_eq!(browser.get(&app, &format!("/oauth2/sign_in?{query}")).await.status, StatusCode::OK, "{query}");
        let page = browser.get(&app, &format!("/page?{query}")).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{query}");
        assert!(page.body.contains("<h1>Sign in</h1>"), "{query}: {}", page.body);
    }
    let target = "/caf%E9?n=%E9";
    let seen = Browser::default().log_in(&app, "alice", target).await;
    assert_eq!(seen.header("location"), Some(target), "an old URL's page is found again, byte for byte");

    let mut browser = Browser::default();
    browser.log_in(&app, "alice", "/").await;
    let mut kept = browser.clone();
    let fat = TestRequest::post()
        .uri("/oauth2/sign_out")
        .insert_header(("Content-Type", "application/x-www-form-urlencoded"))
        .set_payload("a".repeat(70 * 1024));
    let out = browser.send(&app, fat).await;
    assert_eq!((out.status, browser.cookies.len()), (StatusCode::PAYLOAD_TOO_LARGE, 0));
    assert_eq!(kept.get(&app, CHECK).await.status, StatusCode::UNAUTHORIZED);
    bench.stop().await;
}
