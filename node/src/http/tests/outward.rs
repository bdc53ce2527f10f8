//! What leaves the service besides answers to who asked: words to the provider, and to whom secrets go.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::test::{self, TestRequest};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::support::{Bench, Browser, Directory};
use crate::http::{self, Listener, Serves};

/// A server that answers 200 and notes what was asked.
struct Ear {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Ear {
    async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = vec![0; 16 * 1024];
                let count = stream.read(&mut bytes).await.unwrap_or(0);
                let line = String::from_utf8_lossy(&bytes[..count]).lines().next().unwrap_or_default().to_owned();
                notes.lock().push(line);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
            }
        });
        Self { url, heard }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock())
    }
}

#[actix_web::test]
async fn the_provider_is_told_of_a_sign_out_whoever_it_was() {
    let ear = Ear::listen().await;
    let flag = format!("--backend-logout-url={}/out?hint={{id_token}}", ear.url);
    let bench = Bench::start(&[&flag, "--skip-jwt-bearer-tokens", "--whitelist-domain=idp.test"]).await;
    let app = bench.app().await;
    let out = "/oauth2/sign_out?rd=https%3A%2F%2Fidp.test%2Fbye%3Ft%3D%7Bid_token%7D";
    let mut alice = Browser::default();
    alice.log_in(&app, "alice:40", "/").await;
    let mut later = Browser::default();
    later.log_in(&app, "bob:40", "/").await;

    let seen = alice.get(&app, out).await;
    let told = ear.take();
    let token = told[0].strip_prefix("GET /out?hint=").and_then(|rest| rest.split(' ').next()).expect("the token");
    assert_eq!((told.len(), token.len()), (1, 40), "{told:?}");
    assert_eq!(seen.header("location"), Some(format!("https://idp.test/bye?t={token}").as_str()));
    assert_eq!(alice.get(&app, out).await.status, StatusCode::FOUND);
    assert!(ear.take().is_empty(), "nobody's sign-out is nobody's affair");

    let bearer = TestRequest::get().uri(out).insert_header(("Authorization", "Bearer eyJ9.eyJ9.good"));
    let seen = Browser::default().send(&app, bearer).await;
    assert_eq!(seen.header("location"), Some("https://idp.test/bye?t=eyJ9.eyJ9.good"));
    assert_eq!(ear.take(), ["GET /out?hint=eyJ9.eyJ9.good HTTP/1.1"]);
    let forged = TestRequest::get().uri(out).insert_header(("Authorization", "Bearer eyJ9.eyJ9.bad"));
    Browser::default().send(&app, forged).await;
    assert!(ear.take().is_empty());
    drop(app);

    let bench =
        Bench::restart(bench.halt().await, &[&flag, "--allowed-group=alice", "--whitelist-domain=idp.test"]).await;
    bench.until_ready().await;
    let seen = later.get(&bench.app().await, out).await;
    assert_eq!(
        seen.header("location"),
        Some("https://idp.test/bye?t={id_token}"),
        "who may not pass has no token to name"
    );
    assert_eq!(ear.take().len(), 1, "but the provider is told");
    bench.stop().await;
}

#[actix_web::test]
async fn a_provider_that_does_not_listen_keeps_nobody_signed_in() {
    let bench = Bench::start(&["--backend-logout-url=http://127.0.0.1:1/out?hint={id_token}"]).await;
    let app = bench.app().await;
    let mut alice = Browser::default();
    alice.log_in(&app, "alice:40", "/").await;
    let mut kept = alice.clone();
    let out = tokio::time::timeout(Duration::from_secs(10), alice.get(&app, "/oauth2/sign_out")).await;
    assert_eq!(out.expect("in time").status, StatusCode::FOUND);
    assert_eq!(kept.get(&app, "/oauth2/auth").await.status, StatusCode::UNAUTHORIZED);
    bench.stop().await;
}

#[actix_web::test]
async fn the_reason_of_a_failure_stands_on_the_page_where_it_is_asked_for() {
    for (flag, shown) in [("--show-debug-on-error=false", false), ("--show-debug-on-error=true", true)] {
        let bench = Bench::start(&[flag]).await;
        let app = bench.app().await;
        let mut browser = Browser::default();
        let state = browser.get(&app, "/oauth2/start").await.state();
        let page = browser.get(&app, &format!("/oauth2/callback?code=down&state={state}")).await;
        assert!(page.status.is_server_error(), "{page:?}");
        let reason = "answers took too long altogether";
        assert_eq!(page.body.contains(reason), shown, "{flag}: {}", page.body);
        bench.stop().await;
    }
}

#[actix_web::test]
async fn force_https_goes_by_what_the_listener_speaks() {
    let flags = ["--upstream=static://202", "--reverse-proxy=true", "--trusted-proxy-ip=127.0.0.1"];
    let bench = Bench::changed(Directory::fresh(), &flags, |config| config.http.force_https = true).await;
    bench.until_ready().await;
    let service = Arc::clone(&bench.node.service);
    let peer: std::net::SocketAddr = "127.0.0.1:9".parse().expect("an address");
    for (listener, proto, secure) in [
        (Listener::Plain, None, false),
        (Listener::Tls, None, true),
        (Listener::Plain, Some("https"), true),
        (Listener::Plain, Some("HTTPS"), true),
        (Listener::Tls, Some("http"), false),
    ] {
        let app = test::init_service(http::app(&service, Serves::All(listener))).await;
        for uri in ["/page?x=1", "/oauth2/start", "/ping"] {
            let request = TestRequest::get().uri(uri).peer_addr(peer);
            let request =
                proto.into_iter().fold(request, |request, proto| request.insert_header(("X-Forwarded-Proto", proto)));
            let seen = Browser::default().send(&app, request).await;
            let sent = seen.status == StatusCode::PERMANENT_REDIRECT;
            assert_eq!(sent, !secure, "{listener:?} {proto:?} {uri}: {seen:?}");
            let to = format!("https://app.test{uri}");
            assert!(!sent || seen.header("location") == Some(to.as_str()), "{seen:?}");
        }
        let check = Browser::default().get(&app, "/oauth2/auth").await;
        assert_eq!(check.status, StatusCode::UNAUTHORIZED, "a check is never sent anywhere");
    }
    bench.stop().await;
}
