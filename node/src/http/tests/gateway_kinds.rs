//! Behind a gateway of a named kind: what its headers say reaches rules and return targets alike.

use actix_web::http::StatusCode;
use actix_web::test::TestRequest;

use super::support::{Bench, Browser};

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
