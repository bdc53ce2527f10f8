//! Requests outside the prefix.

use actix_web::http::{Method, StatusCode};
use actix_web::test::TestRequest;

use super::support::{Bench, Browser, Seen};

fn get(uri: &str) -> TestRequest {
    TestRequest::get().uri(uri)
}

fn outcome(seen: &Seen) -> (u16, Option<&str>) {
    (seen.status.as_u16(), seen.header("location"))
}

#[actix_web::test]
async fn who_may_pass_gets_the_upstreams_answer() {
    let bench = Bench::start(&["--upstream=static://202", "--upstream=file:///dev/null"]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    browser.log_in(&app, "alice", "/").await;
    let page = browser.get(&app, "/any/path?x=1").await;
    assert_eq!((page.status, page.body.as_str()), (StatusCode::ACCEPTED, "Authenticated"));
    assert_eq!(page.header("x-auth-request-user"), Some("alice"));
    assert_eq!(page.header("cache-control"), None);
    assert!(page.set_cookies().is_empty());
    let refused = browser.get(&app, "/?allowed_groups=nosuch").await;
    assert_eq!((refused.status, refused.body.as_str()), (StatusCode::FORBIDDEN, "Forbidden\n"));
    // There an empty constraint belongs to the application.
    assert_eq!(browser.get(&app, "/?allowed_groups=").await.status, StatusCode::ACCEPTED);
    let nothing = browser.get(&app, "/dev/null").await;
    assert_eq!(nothing.status, StatusCode::NOT_IMPLEMENTED, "{nothing:?}");
    bench.stop().await;
}

#[actix_web::test]
async fn nobody_is_asked_to_sign_in_and_keeps_the_cookies() {
    let bench = Bench::start(&["--upstream=static://202", "--api-route=^/api"]).await;
    let app = bench.app().await;
    let mut nobody = Browser::default();
    let page = nobody.get(&app, "/page?x=1").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.body.contains("action=\"/oauth2/start\"") && page.body.contains("value=\"/page?x=1\""));
    assert!(page.header("cache-control").is_some_and(|value| value.contains("no-store")));
    let unknown = TestRequest::get().uri("/page").insert_header(("Cookie", "_oauth2_proxy=garbage"));
    assert!(nobody.send(&app, unknown).await.set_cookies().is_empty());
    let under_prefix = nobody.get(&app, "/oauth2/nosuch").await;
    assert!(under_prefix.body.contains("value=\"/\""), "a return to the prefix would start another login");
    for (uri, accept, status) in [
        ("/api/x", "text/html", 401),
        ("/x", "application/json", 401),
        ("/x", "text/html,application/json", 401),
        ("/x", "text/html, application/json;q=0.9", 403),
        ("/x", "Application/JSON", 403),
        ("/x?y=/api", "*/*", 403),
    ] {
        let seen = nobody.send(&app, get(uri).insert_header(("Accept", accept))).await;
        assert_eq!(seen.status.as_u16(), status, "{uri} {accept}");
        assert_eq!(seen.body == "{}", status == 401, "{uri} {accept}");
    }
    let unreadable = nobody.get(&app, "/x?%zz").await;
    assert_eq!(unreadable.status, StatusCode::FORBIDDEN);
    assert!(unreadable.body.contains("<h1>Sign in</h1>"), "the query is the application's affair");
    bench.stop().await;
}

#[actix_web::test]
async fn without_the_button_it_goes_straight_to_the_provider() {
    let bench = Bench::start(&["--upstream=static://202", "--skip-provider-button=true"]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    let sent = browser.get(&app, "/deep/path?x=1").await;
    assert!(sent.header("location").is_some_and(|to| to.starts_with("https://idp.test/authorize")), "{sent:?}");
    let back = browser.get(&app, &format!("/oauth2/callback?code=alice&state={}", sent.state())).await;
    assert_eq!(outcome(&back), (302, Some("/deep/path?x=1")));
    let script = get("/x").insert_header(("Sec-Fetch-Dest", "empty"));
    let refused = Browser::default().send(&app, script).await;
    assert_eq!((outcome(&refused), refused.set_cookies().len()), ((401, None), 0));
    bench.stop().await;
}

#[actix_web::test]
async fn a_rule_that_refuses_is_named_and_the_cookie_stays() {
    let bench = Bench::start(&["--upstream=static://202"]).await;
    let mut browser = Browser::default();
    browser.log_in(&bench.app().await, "alice", "/").await;
    let bench = Bench::restart(bench.halt().await, &["--upstream=static://202", "--allowed-group=nosuch"]).await;
    bench.until_ready().await;
    let app = bench.app().await;
    let page = browser.get(&app, "/page").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.body.contains("in none of the groups that allowed_groups names"), "{}", page.body);
    assert!(page.body.contains("action=\"/page\"") && page.set_cookies().is_empty());
    // A program that only asks for JSON gets the page; force_json_errors decides.
    let asked = browser.send(&app, get("/page").insert_header(("Accept", "application/json"))).await;
    assert!(asked.status == StatusCode::FORBIDDEN && asked.body.contains("<html"));
    bench.stop().await;
}

#[actix_web::test]
async fn opening_rules_see_the_url_that_is_asked_for() {
    let flags = [
        "--upstream=static://202",
        "--upstream=http://app.test/app/",
        "--skip-auth-route=GET=^/(app/)?open",
        "--skip-auth-preflight=true",
        "--reverse-proxy=true",
        "--trusted-proxy-ip=127.0.0.1",
    ];
    let bench = Bench::start(&flags).await;
    let app = bench.app().await;
    let peer: std::net::SocketAddr = "127.0.0.1:9".parse().expect("an address");
    for (uri, header, status) in [
        ("/open/x", None, 202),
        ("/secret", None, 403),
        ("/secret", Some("/open/x"), 202),
        ("/open/x", Some("/secret"), 403),
        ("/open/%2e%2e/secret", None, 403),
        // To a server a request goes with its own URL: no header says otherwise.
        ("/app/secret", Some("/app/open"), 403),
        ("/app/open", Some("/secret"), 501),
    ] {
        let request = get(uri).peer_addr(peer);
        let request = match header {
            Some(value) => request.insert_header(("X-Forwarded-Uri", value)),
            None => request,
        };
        assert_eq!(Browser::default().send(&app, request).await.status.as_u16(), status, "{uri} {header:?}");
    }
    let preflight = TestRequest::default().uri("/secret").method(Method::OPTIONS).peer_addr(peer);
    assert_eq!(Browser::default().send(&app, preflight).await.status, StatusCode::ACCEPTED);
    let post = TestRequest::post().uri("/open/x").peer_addr(peer);
    assert_eq!(Browser::default().send(&app, post).await.status, StatusCode::FORBIDDEN);
    bench.stop().await;
}

#[actix_web::test]
async fn ghsa_6jwx_7vp4_9847_paths_are_compared_as_they_are_on_the_wire() {
    let bench = Bench::start(&["--upstream=static://202", "--upstream=http://a.test/only/exactly/"]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    for (uri, to) in [
        ("//evil.test/x", "/evil.test/x"),
        ("//\\evil.test", "/%5Cevil.test"),
        ("/oauth2//auth", "/oauth2/auth"),
        ("/oauth2/x/../start?rd=%2Fx", "/oauth2/start?rd=%2Fx"),
        ("/x//y?z=//w", "/x/y?z=//w"),
    ] {
        assert_eq!(outcome(&browser.get(&app, uri).await), (301, Some(to)), "{uri}");
    }
    // What only looks like an endpoint is none.
    for uri in ["/oauth2/%61uth", "/oauth2/auth/", "/OAUTH2/auth", "/oauth2/userinfo/", "/%72obots.txt"] {
        assert_eq!(outcome(&browser.get(&app, uri).await), (403, None), "{uri}");
    }
    assert_eq!(browser.get(&app, "/%").await.status, StatusCode::BAD_REQUEST);
    browser.log_in(&app, "alice", "/").await;
    let cleaned = browser.get(&app, "/%2f%2fevil.test").await;
    assert_eq!(outcome(&cleaned), (301, Some("/evil.test")));
    assert_eq!(cleaned.header("gap-auth"), Some("alice@example.test"));
    bench.stop().await;
}

#[actix_web::test]
async fn without_an_upstream_there_is_nothing_there() {
    let bench = Bench::start(&["--upstream=http://a.test/only/"]).await;
    let app = bench.app().await;
    let mut browser = Browser::default();
    browser.log_in(&app, "alice", "/").await;
    let nothing = browser.get(&app, "/x").await;
    assert_eq!((nothing.status, nothing.body.as_str()), (StatusCode::NOT_FOUND, "404 page not found\n"));
    assert_eq!(outcome(&browser.get(&app, "/only?x=1").await), (301, Some("/only/?x=1")));
    let server = browser.get(&app, "/only/x").await;
    assert_eq!(server.status, StatusCode::NOT_IMPLEMENTED);
    assert!(server.body.contains("http:// upstream"), "{}", server.body);
    bench.stop().await;
}

#[actix_web::test]
async fn what_cannot_be_known_is_not_denied() {
    let flags = ["--upstream=static://202"];
    let bench = Bench::start(&flags).await;
    let mut browser = Browser::default();
    browser.log_in(&bench.app().await, "alice", "/").await;
    let directory = bench.halt().await;
    std::fs::remove_dir_all(directory.path().join("store")).expect("a store to lose");
    let bench = Bench::restart(directory, &flags).await;
    let app = bench.app().await;
    let page = browser.get(&app, "/page").await;
    assert_eq!((page.status, page.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("2")));
    assert!(page.set_cookies().is_empty());
    let json = browser.send(&app, get("/page").insert_header(("Accept", "application/json"))).await;
    assert_eq!((json.status, json.body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "{}"));
    assert_eq!(Browser::default().get(&app, "/page").await.status, StatusCode::FORBIDDEN);
    bench.stop().await;
}

#[actix_web::test]
async fn health_checks_have_paths_and_agents_of_their_own() {
    let bench = Bench::start(&["--upstream=static://202", "--gcp-healthchecks=true", "--ping-user-agent=probe"]).await;
    let app = bench.app().await;
    for (uri, agent, status) in [
        ("/ping", "probe", 200),
        ("/ping", "GoogleHC/1.0", 200),
        ("/liveness_check", "GoogleHC/1.0", 200),
        ("/readiness_check", "probe", 200),
        ("/ping", "curl", 403),
        ("/liveness_check", "curl", 403),
        ("/ready", "curl", 200),
        // A health checker's name opens nothing else (CVE-2026-34457).
        ("/oauth2/auth", "GoogleHC/1.0", 401),
        ("/", "GoogleHC/1.0", 403),
    ] {
        let seen = Browser::default().send(&app, get(uri).insert_header(("User-Agent", agent))).await;
        assert_eq!(seen.status.as_u16(), status, "{uri} {agent}");
    }
    bench.stop().await;
}
