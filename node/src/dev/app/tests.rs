//! The demo app's page and its guards.

use std::net::TcpListener;
use std::sync::atomic::AtomicU16;

use actix_web::dev::{ServerHandle, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, test};
use serde_json::json;

use super::*;
use crate::dev::fleet::Order;
use crate::dev::guard;
use crate::dev::ports::ReplicaPorts;

const APP_PORT: u16 = 4080;

/// What the stand-ins for replicas answer to checks, and what they saw.
struct Script {
    status: [AtomicU16; REPLICAS],
    asked: parking_lot::Mutex<Vec<(usize, String, String)>>,
}

struct Stage {
    demo: Arc<Demo>,
    script: Arc<Script>,
    servers: Vec<ServerHandle>,
}

impl Stage {
    /// Three stand-ins on ports of their own; they answer checks as the script says.
    async fn set(lives: [Life; REPLICAS]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let script = Arc::new(Script {
            status: [const { AtomicU16::new(202) }; REPLICAS],
            asked: parking_lot::Mutex::new(Vec::new()),
        });
        let mut servers = Vec::new();
        let mut replicas = Vec::new();
        for index in 0..REPLICAS {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let seen = Arc::clone(&script);
            let server = HttpServer::new(move || {
                let seen = Arc::clone(&seen);
                App::new()
                    .route("/status", web::get().to(move || async move { HttpResponse::Ok().json(status(index)) }))
                    .route(
                        "/oauth2/auth",
                        web::get().to(move |http: HttpRequest| stand_in(index, Arc::clone(&seen), http)),
                    )
            });
            let server = server.workers(1).disable_signals().listen(listener).unwrap().run();
            servers.push(server.handle());
            actix_web::rt::spawn(server);
            replicas.push(ReplicaPorts {
                http: port,
                peer: 4181 + 100 * u16::try_from(index).unwrap(),
                admin: port,
                auth: port,
            });
        }
        let ports = Ports { app: APP_PORT, provider: 4090, replicas: replicas.try_into().unwrap() };
        let demo = Arc::new(Demo::new(ports, "the-token", FleetHandle::fixed(lives)).unwrap());
        Self { demo, script, servers }
    }

    async fn send(&self, request: test::TestRequest) -> ServiceResponse {
        let app = App::new()
            .wrap(from_fn(|request, next| guard::own_pages_only(APP_PORT, request, next)))
            .configure(|config| configure(config, &self.demo));
        let app = test::init_service(app).await;
        let request = request.insert_header((header::HOST, "localhost:4080"));
        test::call_service(&app, request.to_request()).await
    }

    async fn get(&self, uri: &str) -> (StatusCode, String, Option<String>) {
        let request = test::TestRequest::get().uri(uri).insert_header((header::COOKIE, "_conclave_dev=t; other=1"));
        let response = self.send(request).await;
        let location = response.headers().get(header::LOCATION).map(|value| value.to_str().unwrap().to_owned());
        let status = response.status();
        (status, String::from_utf8(test::read_body(response).await.to_vec()).unwrap(), location)
    }

    fn answer(&self, index: usize, status: u16) {
        self.script.status[index].store(status, Ordering::Relaxed);
    }

    async fn end(self) {
        for server in self.servers {
            server.stop(false).await;
        }
    }
}

fn status(index: usize) -> serde_json::Value {
    json!({
        "role": "follower", "term": 3, "leader": "localhost:4281", "applied": 40 + index, "last_log": 42,
        "fresh_age_ms": 100, "ready": true, "reasons": ["<one reason>"], "sessions": 7, "members": [],
    })
}

async fn stand_in(index: usize, script: Arc<Script>, http: HttpRequest) -> HttpResponse {
    let header = |name: &str| http.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    script.asked.lock().push((index, header("x-original-url"), header("cookie")));
    let status = StatusCode::from_u16(script.status[index].load(Ordering::Relaxed)).unwrap();
    HttpResponse::build(status)
        .insert_header(("x-auth-request-user", "alice"))
        .insert_header(("x-auth-request-email", "alice@example.test"))
        .insert_header(("x-auth-request-preferred-username", "<b>alice</b>"))
        .insert_header(("x-auth-request-groups", "staff,admins"))
        .insert_header(("set-cookie", "kept=1"))
        .finish()
}

const ALL: [Life; REPLICAS] = [Life::Running; REPLICAS];

#[actix_web::test]
async fn replicas_take_turns_and_get_what_nginx_sends() {
    let stage = Stage::set(ALL).await;
    let mut said = Vec::new();
    for _ in 0..3 {
        let (status, page, _) = stage.get("/a/b?x=1").await;
        assert_eq!(status, StatusCode::OK);
        said.push((1..=3).find(|number| page.contains(&format!("class=\"big\">Replica {number} "))).unwrap());
        assert!(page.contains("&lt;b&gt;alice&lt;/b&gt;") && !page.contains("<b>alice"), "escaped");
        assert!(page.contains("alice@example.test") && page.contains("<span class=\"chip\">admins</span>"));
    }
    said.sort_unstable();
    assert_eq!(said, [1, 2, 3]);
    let asked = stage.script.asked.lock().clone();
    assert!(asked.contains(&(0, "http://localhost:4080/a/b?x=1".to_owned(), "_conclave_dev=t; other=1".to_owned())));
    stage.end().await;
}

#[actix_web::test]
async fn the_cards_tell_leader_progress_and_reasons() {
    let stage = Stage::set([Life::Running, Life::Running, Life::Stopped]).await;
    let (status, page, _) = stage.get(CLUSTER_PAGE).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("Replica 2 leads in term 3; the log holds 42 entries."), "{page}");
    assert!(page.contains("&lt;one reason&gt;") && page.contains("<b>41</b>"));
    assert!(
        page.contains("<span class=\"badge\">leader</span>") && page.contains("<span class=\"badge\">stopped</span>")
    );
    assert_eq!((page.matches("value=\"stop\"").count(), page.matches("value=\"start\"").count()), (2, 1));
    let (status, fragment, _) = stage.get(&format!("{FRAGMENT}?back=cluster")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains(&fragment), "one drawing for both");
    assert!(!stage.demo.all_ready().await, "one is stopped");
    stage.end().await;
}

#[actix_web::test]
async fn who_is_not_logged_in_goes_to_sign_in_and_comes_back() {
    let stage = Stage::set([Life::Stopped, Life::Running, Life::Running]).await;
    (0..REPLICAS).for_each(|index| stage.answer(index, 401));
    let (status, _, location) = stage.get("/a?x=/y&z=%20").await;
    assert_eq!(status, StatusCode::FOUND);
    let location = url::Url::parse(&location.unwrap()).unwrap();
    assert_eq!(location.port(), Some(stage.demo.ports.replicas[1].http), "a replica that runs");
    assert_eq!(location.path(), "/oauth2/start");
    let target = location.query_pairs().find(|(key, _)| key == "rd").unwrap().1.into_owned();
    assert_eq!(target, "http://localhost:4080/a?x=/y&z=%20");
    stage.end().await;
}

#[actix_web::test]
async fn a_replica_that_cannot_know_is_passed_over() {
    let stage = Stage::set(ALL).await;
    stage.answer(0, 503);
    stage.answer(1, 503);
    for _ in 0..3 {
        assert_eq!(stage.get("/").await.0, StatusCode::OK);
    }
    stage.answer(2, 503);
    let (status, page, _) = stage.get("/").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.contains("your cookie is untouched"));
    stage.answer(1, 403);
    stage.answer(2, 500);
    stage.answer(0, 403);
    let pages = [stage.get("/").await, stage.get("/").await, stage.get("/").await];
    assert!(pages.iter().any(|(_, page, _)| page.contains("a rule refuses")));
    assert!(pages.iter().any(|(_, page, _)| page.contains("Replica 3 answered 500")));
    assert!(pages.iter().all(|(status, _, _)| *status == StatusCode::SERVICE_UNAVAILABLE));
    stage.end().await;
}

#[actix_web::test]
async fn without_replicas_the_page_still_offers_the_buttons() {
    let stage = Stage::set([Life::Stopped, Life::Ended, Life::Stopped]).await;
    let (status, page, _) = stage.get("/").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page.matches("value=\"start\"").count(), 3);
    assert!(stage.script.asked.lock().is_empty());
    stage.end().await;
}

#[actix_web::test]
async fn buttons_need_their_token_and_their_page() {
    let stage = Stage::set(ALL).await;
    let press = |token: &str, replica: &str, action: &str, origin: Option<&str>| {
        let form = [("token", token), ("replica", replica), ("action", action), ("back", "cluster")];
        let request = test::TestRequest::post().uri(buttons::PATH).set_form(form);
        match origin {
            Some(origin) => request.insert_header((header::ORIGIN, origin)),
            None => request,
        }
    };
    let own = Some("http://localhost:4080");
    for (request, expected) in [
        (press("wrong", "1", "stop", own), StatusCode::FORBIDDEN),
        (press("", "1", "stop", own), StatusCode::FORBIDDEN),
        (press("the-token", "1", "stop", None), StatusCode::FORBIDDEN),
        (press("the-token", "1", "stop", Some("null")), StatusCode::FORBIDDEN),
        (press("the-token", "1", "stop", Some("http://evil.test")), StatusCode::FORBIDDEN),
        (press("the-token", "0", "stop", own), StatusCode::NOT_FOUND),
        (press("the-token", "4", "start", own), StatusCode::NOT_FOUND),
        (press("the-token", "1", "dance", own), StatusCode::BAD_REQUEST),
        // A genuine press reaches the fleet, which has no thread here.
        (press("the-token", "1", "stop", own), StatusCode::SERVICE_UNAVAILABLE),
        (test::TestRequest::get().uri(buttons::PATH), StatusCode::NOT_FOUND),
    ] {
        let status = stage.send(request).await.status();
        assert!(status == expected || (expected == StatusCode::NOT_FOUND && status == StatusCode::OK), "{status}");
    }
    assert!(stage.demo.fleet.order(Order::Stop(0)).await.is_err());
    stage.end().await;
}

#[actix_web::test]
async fn every_answer_keeps_other_sites_out() {
    let stage = Stage::set(ALL).await;
    let response = stage.send(test::TestRequest::get().uri("/")).await;
    let policy = response.headers().get(header::CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(response.headers().get(header::SET_COOKIE).unwrap(), "kept=1");
    let app = App::new()
        .wrap(from_fn(|request, next| guard::own_pages_only(APP_PORT, request, next)))
        .configure(|config| configure(config, &stage.demo));
    let app = test::init_service(app).await;
    let rebound = test::TestRequest::get().uri("/").insert_header((header::HOST, "evil.test:4080"));
    assert_eq!(test::call_service(&app, rebound.to_request()).await.status(), StatusCode::FORBIDDEN);
    stage.end().await;
}
