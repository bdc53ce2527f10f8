//! The demo provider as a client sees it.

use std::collections::HashMap;

use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::{App, test};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;

use super::*;
use crate::dev::args::Options;

const CALLBACK: &str = "http://localhost:4180/oauth2/callback";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-letters-00";
const SECRET: &str = "the+client/secret=";

fn provider() -> Arc<Provider> {
    let ports = Ports::plan(&Options::default()).unwrap();
    Arc::new(Provider::new(&ports, SECRET).unwrap())
}

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()))
}

fn authorize_query() -> HashMap<&'static str, String> {
    [
        ("response_type", "code".to_owned()),
        ("client_id", CLIENT_ID.to_owned()),
        ("redirect_uri", CALLBACK.to_owned()),
        ("scope", "openid email profile groups".to_owned()),
        ("state", "the state&".to_owned()),
        ("nonce", "the-nonce".to_owned()),
        ("code_challenge", challenge()),
        ("code_challenge_method", "S256".to_owned()),
    ]
    .into()
}

async fn send(provider: &Arc<Provider>, request: test::TestRequest) -> ServiceResponse {
    let app = test::init_service(App::new().configure(|config| configure(config, provider))).await;
    test::call_service(&app, request.to_request()).await
}

async fn show(provider: &Arc<Provider>, query: &HashMap<&'static str, String>) -> ServiceResponse {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    send(provider, test::TestRequest::get().uri(&format!("/authorize?{query}"))).await
}

async fn log_in(provider: &Arc<Provider>, request: &str, user: &str, password: &str) -> ServiceResponse {
    let form = [("request", request), ("username", user), ("password", password)];
    let origin = ("origin", "http://localhost:4090");
    send(provider, test::TestRequest::post().uri("/authorize").insert_header(origin).set_form(form)).await
}

async fn redeem(provider: &Arc<Provider>, basic: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
    let basic = ("authorization", format!("Basic {}", STANDARD.encode(basic)));
    let request = test::TestRequest::post().uri("/token").insert_header(basic).set_form(form);
    let response = send(provider, request).await;
    (response.status(), test::read_body_json(response).await)
}

fn credentials() -> String {
    format!("{CLIENT_ID}:{}", authorize::escape(SECRET))
}

fn location(response: &ServiceResponse) -> url::Url {
    url::Url::parse(response.headers().get(header::LOCATION).unwrap().to_str().unwrap()).unwrap()
}

fn parameter(url: &url::Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

async fn body(response: ServiceResponse) -> String {
    String::from_utf8(test::read_body(response).await.to_vec()).unwrap()
}

/// The hidden field of a login page.
async fn request_name(response: ServiceResponse) -> String {
    let page = body(response).await;
    page.split("name=\"request\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

async fn code(provider: &Arc<Provider>, user: &str) -> String {
    let request = request_name(show(provider, &authorize_query()).await).await;
    let answer = log_in(provider, &request, user, user).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let back = location(&answer);
    assert_eq!(parameter(&back, "state").as_deref(), Some("the state&"));
    assert_eq!(parameter(&back, "iss").as_deref(), Some("http://localhost:4090"));
    assert!(back.as_str().starts_with(CALLBACK));
    parameter(&back, "code").unwrap()
}

fn form(code: &str) -> Vec<(&'static str, String)> {
    vec![
        ("grant_type", "authorization_code".to_owned()),
        ("code", code.to_owned()),
        ("redirect_uri", CALLBACK.to_owned()),
        ("code_verifier", VERIFIER.to_owned()),
    ]
}

fn pairs<'f>(form: &'f [(&'static str, String)]) -> Vec<(&'static str, &'f str)> {
    form.iter().map(|(key, value)| (*key, value.as_str())).collect()
}

/// Verifies with the published key, and returns the claims.
async fn verified(provider: &Arc<Provider>, token: &str) -> Value {
    let keys: Value = test::read_body_json(send(provider, test::TestRequest::get().uri("/jwks")).await).await;
    let key = &keys["keys"][0];
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let point = [vec![4], part("x"), part("y")].concat();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), &signature).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert_eq!((&header["alg"], &header["kid"]), (&json!("ES256"), &key["kid"]));
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[actix_web::test]
async fn a_login_gives_a_token_that_the_published_key_verifies() {
    let provider = provider();
    let code = code(&provider, "alice").await;
    let (status, tokens) = redeem(&provider, &credentials(), &pairs(&form(&code))).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    let claims = verified(&provider, tokens["id_token"].as_str().unwrap()).await;
    assert_eq!(claims["iss"], "http://localhost:4090");
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!(CLIENT_ID), &json!("alice")));
    assert_eq!((&claims["nonce"], &claims["email"]), (&json!("the-nonce"), &json!("alice@example.test")));
    assert_eq!(claims["groups"], json!(["staff", "admins"]));
    assert!(claims["exp"].as_u64() > claims["iat"].as_u64());

    let bearer = ("authorization", format!("Bearer {}", tokens["access_token"].as_str().unwrap()));
    let answer = send(&provider, test::TestRequest::get().uri("/userinfo").insert_header(bearer)).await;
    let about: Value = test::read_body_json(answer).await;
    assert_eq!((&about["sub"], &about["preferred_username"]), (&claims["sub"], &json!("alice")));
}

#[actix_web::test]
async fn a_code_works_once_and_only_for_its_maker() {
    let provider = provider();
    let spent = code(&provider, "bob").await;
    assert_eq!(redeem(&provider, &credentials(), &pairs(&form(&spent))).await.0, StatusCode::OK);
    assert_eq!(redeem(&provider, &credentials(), &pairs(&form(&spent))).await.1["error"], "invalid_grant");

    for (name, wrong) in [
        ("code_verifier", "another-verifier"),
        ("code_verifier", ""),
        ("redirect_uri", "http://localhost:4280/oauth2/callback"),
        ("code", "nonsense"),
    ] {
        let mut form = form(&code(&provider, "bob").await);
        form.iter_mut().filter(|(key, _)| *key == name).for_each(|(_, value)| *value = wrong.to_owned());
        let (status, answer) = redeem(&provider, &credentials(), &pairs(&form)).await;
        assert_eq!((status, &answer["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")), "{name}={wrong}");
    }
    let fresh = code(&provider, "bob").await;
    for basic in [format!("{CLIENT_ID}:wrong"), format!("other:{SECRET}"), "nonsense".to_owned(), String::new()] {
        let (status, _) = redeem(&provider, &basic, &pairs(&form(&fresh))).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{basic}");
    }
    let mut in_the_form = form(&fresh);
    in_the_form.extend([("client_id", CLIENT_ID.to_owned()), ("client_secret", SECRET.to_owned())]);
    let request = test::TestRequest::post().uri("/token").set_form(&in_the_form);
    assert_eq!(send(&provider, request).await.status(), StatusCode::OK, "a refused client spends no code");
}

#[actix_web::test]
async fn only_alice_and_bob_come_in() {
    let provider = provider();
    let request = request_name(show(&provider, &authorize_query()).await).await;
    for (user, password) in [("alice", "bob"), ("alice", ""), ("mallory", "mallory"), ("Alice", "Alice"), ("", "")] {
        assert_eq!(log_in(&provider, &request, user, password).await.status(), StatusCode::UNAUTHORIZED, "{user}");
    }
    assert_eq!(log_in(&provider, &request, " alice ", "alice").await.status(), StatusCode::SEE_OTHER);
    assert_eq!(log_in(&provider, &request, "alice", "alice").await.status(), StatusCode::BAD_REQUEST, "used up");
}

#[actix_web::test]
async fn a_login_form_from_elsewhere_is_refused() {
    let provider = provider();
    let request = request_name(show(&provider, &authorize_query()).await).await;
    let form = [("request", request.as_str()), ("username", "alice"), ("password", "alice")];
    let answer = send(&provider, test::TestRequest::post().uri("/authorize").set_form(form)).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}

#[actix_web::test]
async fn bad_requests_go_back_to_the_client_or_nowhere() {
    let provider = provider();
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("scope", "email", "invalid_scope"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("prompt", "none", "login_required"),
    ] {
        let mut query = authorize_query();
        query.insert(name, value.to_owned());
        let answer = show(&provider, &query).await;
        assert_eq!(parameter(&location(&answer), "error").as_deref(), Some(error), "{name}");
    }
    for (name, value) in [("redirect_uri", "http://evil.test/"), ("client_id", "other")] {
        let mut query = authorize_query();
        query.insert(name, value.to_owned());
        let answer = show(&provider, &query).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert!(answer.headers().get(header::LOCATION).is_none());
    }
}

#[actix_web::test]
async fn signing_out_leads_back_to_the_app_only() {
    let provider = provider();
    let uri = |target: &str| format!("/end_session?state=s&post_logout_redirect_uri={}", authorize::escape(target));
    let answer = send(&provider, test::TestRequest::get().uri(&uri("http://localhost:4080/bye?x"))).await;
    assert_eq!(location(&answer).as_str(), "http://localhost:4080/bye?x&state=s");
    for elsewhere in ["http://evil.test/", "http://localhost:40800/", "http://localhost:4080/\r\nx: y", ""] {
        let answer = send(&provider, test::TestRequest::get().uri(&uri(elsewhere))).await;
        assert!(answer.headers().get(header::LOCATION).is_none(), "{elsewhere}");
    }
}

#[actix_web::test]
async fn discovery_names_this_issuer_and_what_it_serves() {
    let provider = provider();
    let path = "/.well-known/openid-configuration";
    let metadata: Value = test::read_body_json(send(&provider, test::TestRequest::get().uri(path)).await).await;
    assert_eq!(metadata["issuer"], "http://localhost:4090");
    for (name, method) in [("jwks_uri", "GET"), ("userinfo_endpoint", "GET"), ("end_session_endpoint", "GET")] {
        let url = url::Url::parse(metadata[name].as_str().unwrap()).unwrap();
        let request = test::TestRequest::with_uri(url.path()).method(method.parse().unwrap());
        assert_ne!(send(&provider, request).await.status(), StatusCode::NOT_FOUND, "{name}");
    }
}
