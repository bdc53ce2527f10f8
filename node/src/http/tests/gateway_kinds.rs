//! Behind a gateway of a named kind: what its headers say reaches rules and return targets alike.

use actix_web::http::StatusCode;
use actix_web::test::TestRequest;

use super::support::{Bench, Browser};

/// A check as ingress-nginx sends it about a page that a rule opens.
const OPEN: [(&str, &str); 3] =
    [("X-Original-URL", "http://app.test/open"), ("X-Original-Method", "GET"), ("X-Real-IP", "203.0.113.9")];

/// What each kind sends where a `static://` upstream answers its checks.
const ASKED: [(&str, &[(&str, &str)]); 3] = [
    (
        "--gateway=traefik",
        &[
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "app.example.test"),
            ("X-Forwarded-Uri", "/deep/path?x=1&y=%20z"),
            ("X-Forwarded-Method", "GET"),
        ],
    ),
    (
        "--gateway=ingress-nginx",
        &[("X-Original-URL", "https://app.example.test/deep/path?x=1&y=%20z"), ("X-Original-Method", "GET")],
    ),
    (
        "--reverse-proxy",
        &[
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "app.example.test"),
            ("X-Forwarded-Uri", "/deep/path?x=1&y=%20z"),
        ],
    ),
];

fn asked(headers: &[(&'static str, &'static str)]) -> TestRequest {
    headers.iter().fold(TestRequest::get().uri("/"), |request, header| request.insert_header(*header))
}

#[actix_web::test]
async fn p9_d_a_login_from_a_static_path_comes_back_to_the_page_asked_for() {
    for (gateway, headers) in ASKED {
        let flags = ["--upstream=static://202", "--skip-provider-button", "--whitelist-domain=.example.test", gateway];
        let bench = Bench::start(&flags).await;
        let app = bench.app().await;
        let mut browser = Browser::default();
        let start = browser.send(&app, asked(headers)).await;
        assert_eq!(start.status, StatusCode::FOUND, "{gateway}: {start:?}");
        let back = browser.get(&app, &format!("/oauth2/callback?code=alice&state={}", start.state())).await;
        let target = "https://app.example.test/deep/path?x=1&y=%20z";
        assert_eq!((back.status, back.header("location")), (StatusCode::FOUND, Some(target)), "{gateway}");
        bench.stop().await;
    }
}

#[actix_web::test]
async fn p9_b_a_check_at_a_static_path_is_not_about_that_path() {
    let flags = ["--upstream=static://202", "--gateway=traefik", "--skip-auth-route=!=^/secret"];
    let bench = Bench::start(&flags).await;
    let app = bench.app().await;
    let mut nobody = Browser::default();
    assert_eq!(nobody.get(&app, "/").await.status, StatusCode::FORBIDDEN, "the path that it asks at");
    let [(_, headers), ..] = ASKED;
    assert_eq!(nobody.send(&app, asked(headers)).await.status, StatusCode::ACCEPTED);
    let forged = asked(headers).insert_header(("X-Original-URL", "http://app.example.test/open"));
    assert_eq!(nobody.send(&app, forged).await.status, StatusCode::FORBIDDEN);
    bench.stop().await;
    let bench = Bench::start(&["--upstream=static://200", "--gateway=envoy", "--skip-auth-route=!=^/secret"]).await;
    let app = bench.app().await;
    assert_eq!(nobody.get(&app, "/open/x").await.status, StatusCode::OK, "Envoy asks at the original path");
    assert_eq!(nobody.get(&app, "/secret/x").await.status, StatusCode::FORBIDDEN);
    assert_eq!(nobody.get(&app, "/oauth2/auth").await.status, StatusCode::UNAUTHORIZED);
    bench.stop().await;
}

fn check(headers: &[(&'static str, &'static str)]) -> TestRequest {
    headers.iter().fold(TestRequest::get().uri("/oauth2/auth"), |request, header| request.insert_header(*header))
}

#[actix_web::test]
async fn p9_c_a_missing_header_closes_a_source_at_the_gateways_listener_alone() {
    let bench = Bench::start(&["--gateway=ingress-nginx", "--skip-auth-route=^/open"]).await;
    let (public, gateways) = (bench.app().await, bench.gateways_app().await);
    let source = |last: u8| std::net::SocketAddr::from(([10, 0, 0, last], 4000));
    let (mut nobody, closed) = (Browser::default(), || bench.node.service.gateways.closed());
    // Whatever a visitor can send: at the public port anything, at the other through the gateway.
    for headers in [&OPEN[..0], &OPEN[..1], &OPEN[1..]] {
        let seen = nobody.send(&public, check(headers).peer_addr(source(1))).await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{headers:?}");
    }
    let forged = check(&OPEN).insert_header(("X-Forwarded-Uri", "/open"));
    assert_eq!(nobody.send(&gateways, forged.peer_addr(source(1))).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(closed(), Vec::<String>::new());
    for last in [1, 2] {
        let seen = nobody.send(&gateways, check(&OPEN).peer_addr(source(last))).await;
        assert_eq!(seen.status, StatusCode::ACCEPTED);
    }
    // A gateway that hands the address on as the client wrote it lacks the header on other checks.
    let seen = nobody.send(&gateways, check(&OPEN[..2]).peer_addr(source(1))).await;
    assert_eq!((seen.status, closed()), (StatusCode::UNAUTHORIZED, vec!["10.0.0.1".to_owned()]));
    for (last, expected) in [(1, StatusCode::UNAUTHORIZED), (2, StatusCode::ACCEPTED)] {
        let asked = || check(&OPEN).peer_addr(source(last));
        assert_eq!(nobody.send(&gateways, asked()).await.status, expected, "of gateway {last}");
        assert_eq!(nobody.send(&public, asked()).await.status, expected, "of gateway {last} at the public port");
    }
    let mut alice = Browser::default();
    alice.log_in(&public, "alice", "/").await;
    let seen = alice.send(&gateways, check(&OPEN).peer_addr(source(1))).await;
    assert_eq!(seen.status, StatusCode::ACCEPTED, "a session passes as ever");
    bench.node.service.observe();
    let metrics = bench.node.service.metrics.render();
    for line in [
        "conclave_closed_gateways 1",
        "conclave_doubtful_checks_total{reason=\"missing_header\"} 4",
        "conclave_doubtful_checks_total{reason=\"foreign_header\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    bench.stop().await;
}
