//! Metadata and keys: outages, what is kept across restarts, rotation, and how often is asked.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::super::metadata::{InvalidMetadata, Metadata};
use super::super::{DiscoveryError, ExchangeError, InvalidIdToken, Provider, ProviderError, refresh_delay};
use super::fake::{Fake, ManualClock, REDIRECT, Scripted, attempt, config};
use super::keys::{TestKey, key_set};

const METADATA: &str = "/.well-known/openid-configuration";
const PATIENCE: Duration = Duration::from_secs(20);

async fn exchange(provider: &dyn Provider) -> Result<(), ExchangeError> {
    provider.exchange("code-1", &attempt(), REDIRECT, PATIENCE).await.map(|_| ())
}

fn is_unknown_key(outcome: Result<(), ExchangeError>) -> bool {
    matches!(outcome, Err(ExchangeError::IdToken(InvalidIdToken::UnknownKey(_))))
}

#[tokio::test]
async fn a_provider_that_is_down_at_start_delays_logins_only() {
    let (fake, clock) = (Fake::start().await, ManualClock::new());
    let dir = tempfile::tempdir().expect("a directory");
    fake.answer(METADATA, Scripted::status(503, ""));
    let provider = fake.provider(dir.path(), &clock, |_| {});
    let outage = provider.refresh_metadata().await.expect_err("down");
    assert!(matches!(*outage, DiscoveryError::Status { .. }), "{outage}");
    assert!(!provider.ready());
    let error = provider.authorize_url(&attempt(), REDIRECT, &[]).expect_err("not ready");
    assert!(matches!(error, ProviderError::NotReady(Some(_))));
    assert!(error.to_string().contains("503"), "says why: {error}");
    assert!(exchange(&*provider).await.expect_err("not ready").is_outage());

    fake.answer(METADATA, Scripted::json(fake.metadata()));
    assert!(!provider.prepare(PATIENCE).await, "it failed a moment ago");
    clock.pass(1);
    assert!(provider.prepare(PATIENCE).await && provider.ready());
    assert!(provider.authorize_url(&attempt(), REDIRECT, &[]).is_ok());
}

#[tokio::test]
async fn nobody_listening_is_named_with_its_cause() {
    let (fake, clock) = (Fake::start().await, ManualClock::new());
    let dir = tempfile::tempdir().expect("a directory");
    let provider = fake.provider(dir.path(), &clock, |config| config.issuer_url = "http://127.0.0.1:1".to_owned());
    let error = provider.refresh_metadata().await.expect_err("nobody there").to_string();
    assert!(error.starts_with("http://127.0.0.1:1/.well-known/openid-configuration cannot be reached: "), "{error}");
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_restart_works_with_what_was_known() {
    let (fake, clock) = (Fake::start().await, ManualClock::new());
    let dir = tempfile::tempdir().expect("a directory");
    fake.issue(&fake.claims(&attempt()));
    fake.provider(dir.path(), &clock, |_| {}).refresh_metadata().await.expect("discovery");

    fake.answer(METADATA, Scripted::status(503, ""));
    fake.answer("/keys", Scripted::status(503, ""));
    let restarted = fake.provider(dir.path(), &clock, |_| {});
    assert!(restarted.ready());
    restarted.refresh_metadata().await.expect_err("down");
    assert!(exchange(&*restarted).await.is_ok(), "the kept keys verify");

    let other_issuer = fake.provider(dir.path(), &clock, |config| config.issuer_url.push('/'));
    assert!(!other_issuer.ready(), "kept for another issuer");
    for entry in std::fs::read_dir(dir.path()).expect("a directory") {
        std::fs::write(entry.expect("an entry").path(), "{\"version\":1").expect("written");
    }
    assert!(!fake.provider(dir.path(), &clock, |_| {}).ready(), "a torn file is as good as none");
}

/// oidcc-client-test-discovery-issuer-mismatch
#[tokio::test]
async fn the_issuer_must_be_exactly_the_configured_one() {
    let (fake, clock) = (Fake::start().await, ManualClock::new());
    let dir = tempfile::tempdir().expect("a directory");
    let slash = fake.provider(dir.path(), &clock, |config| config.issuer_url.push('/'));
    let error = slash.refresh_metadata().await.expect_err("differs by a slash").to_string();
    assert!(error.contains("set oidc_issuer_url to exactly that") && error.contains(&fake.issuer), "{error}");
    let relaxed = fake.provider(dir.path(), &clock, |config| {
        config.issuer_url.push('/');
        config.verification.skip_issuer = true;
    });
    relaxed.refresh_metadata().await.expect("not compared");
}

const ENDPOINTS: [&str; 5] =
    ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint"];

fn document(issuer: &str, endpoint: impl Fn(&str) -> String) -> Vec<u8> {
    let mut document = json!({ "issuer": issuer });
    for field in ENDPOINTS {
        document[field] = json!(endpoint(field));
    }
    document.to_string().into_bytes()
}

#[test]
fn https_issuer_names_https_endpoints_only() {
    let issuer = "https://id.test";
    let secure = |field: &str| format!("{issuer}/{field}");
    let parse = |issuer: &str, json: &[u8]| Metadata::parse(json, &config(issuer));
    assert!(parse(issuer, &document(issuer, secure)).is_ok());
    for plain in ENDPOINTS {
        let json =
            document(issuer, |field| if field == plain { format!("HTTP://id.test/{field}") } else { secure(field) });
        let error = parse(issuer, &json).expect_err("in the clear");
        let found = format!("HTTP://id.test/{plain}");
        assert_eq!(error, InvalidMetadata::Unencrypted { field: plain, found });
        assert!(error.to_string().contains(plain) && error.to_string().contains("https"), "{error}");
    }
    let mut lenient = config(issuer);
    lenient.verification.skip_issuer = true;
    let json = document("http://other.test", |field| format!("http://other.test/{field}"));
    assert!(
        Metadata::parse(&json, &lenient).is_err(),
        "the configured issuer counts, whatever the document calls itself"
    );
}

#[test]
fn https_issuer_rule_leaves_loopback_and_the_operators_own_endpoints() {
    let local = "http://127.0.0.1:5556";
    assert!(Metadata::parse(&document(local, |field| format!("{local}/{field}")), &config(local)).is_ok());
    assert!(Metadata::parse(&document(local, |field| format!("https://id.test/{field}")), &config(local)).is_ok());
    let issuer = "https://id.test";
    let mut inside = config(issuer);
    inside.endpoints.profile_url = Some("http://keycloak.auth.svc/userinfo".to_owned());
    let mut json: serde_json::Value =
        serde_json::from_slice(&document(issuer, |field| format!("{issuer}/{field}"))).expect("JSON");
    json["userinfo_endpoint"].take();
    let metadata = Metadata::parse(json.to_string().as_bytes(), &inside).expect("the operator chose it");
    assert_eq!(metadata.userinfo.map(String::from).as_deref(), Some("http://keycloak.auth.svc/userinfo"));
}

#[tokio::test]
async fn odd_metadata_is_refused_and_the_last_good_stays() {
    let (fake, clock) = (Fake::start().await, ManualClock::new());
    let dir = tempfile::tempdir().expect("a directory");
    let provider = fake.provider(dir.path(), &clock, |_| {});
    provider.refresh_metadata().await.expect("discovery");
    let mut ftp = fake.metadata();
    ftp["token_endpoint"] = json!("ftp://x/");
    let mut symmetric = fake.metadata();
    symmetric["id_token_signing_alg_values_supported"] = json!(["HS256", "none"]);
    let redirect = Scripted { headers: format!("location: {}/keys\r\n", fake.issuer), ..Scripted::status(302, "") };
    let odd = [Scripted::json("<html>"), Scripted::json(ftp), Scripted::json(symmetric), redirect];
    for answer in odd {
        fake.answer(METADATA, answer);
        let error = provider.refresh_metadata().await.expect_err("refused").to_string();
        assert!(!error.contains('\n') && provider.ready(), "{error}");
    }
    fake.answer(METADATA, Scripted::json(fake.metadata()));
    for keys in ["{}", "{\"keys\":[]}", &key_set(&[json!({ "kty": "oct", "k": "AAAA" })])] {
        fake.answer("/keys", Scripted::json(keys));
        let error = provider.refresh_metadata().await.expect_err("no keys");
        assert!(matches!(*error, DiscoveryError::Keys { .. }), "{error}");
    }
}

/// oidcc-client-test-signing-key-rotation, -just-before-signing
#[tokio::test]
async fn s_20_an_unknown_key_is_fetched_at_once_and_then_seldom() {
    let (fake, clock) = (Fake::start().await, ManualClock::new());
    let dir = tempfile::tempdir().expect("a directory");
    let provider = fake.provider(dir.path(), &clock, |_| {});
    provider.refresh_metadata().await.expect("discovery");
    assert_eq!(fake.asked("/keys").len(), 1);

    fake.answer("/keys", Scripted::json(key_set(&[TestKey::P256.jwk(Some("k2"))])));
    fake.issue_token(&TestKey::P256.token(Some("k2"), &fake.claims(&attempt())));
    assert!(exchange(&*provider).await.is_ok(), "the rotated key was fetched");
    assert_eq!(fake.asked("/keys").len(), 2);

    fake.issue_token(&TestKey::Rsa.token(Some("k3"), &fake.claims(&attempt())));
    for _ in 0..5 {
        assert!(is_unknown_key(exchange(&*provider).await));
    }
    clock.pass(29);
    assert!(is_unknown_key(exchange(&*provider).await));
    assert_eq!(fake.asked("/keys").len(), 2, "a flood of unknown keys causes no calls");
    clock.pass(1);
    assert!(is_unknown_key(exchange(&*provider).await));
    assert_eq!(fake.asked("/keys").len(), 3);
}

#[tokio::test]
async fn a_signature_that_fails_under_a_known_id_asks_for_newer_keys_too() {
    let (fake, clock) = (Fake::start().await, ManualClock::new());
    let dir = tempfile::tempdir().expect("a directory");
    let other = json!({ "kty": "RSA", "e": "AQAB", "kid": "k1", "n": "wyx3vQ".repeat(57) });
    fake.answer("/keys", Scripted::json(key_set(&[other])));
    let provider = fake.provider(dir.path(), &clock, |_| {});
    provider.refresh_metadata().await.expect("discovery");
    fake.answer("/keys", Scripted::json(key_set(&[TestKey::Rsa.jwk(Some("k1"))])));
    fake.issue(&fake.claims(&attempt()));
    assert!(exchange(&*provider).await.is_ok());
}

#[tokio::test]
async fn many_who_ask_at_once_share_one_answer() {
    let (fake, clock) = (Fake::start().await, ManualClock::new());
    let dir = tempfile::tempdir().expect("a directory");
    let provider = fake.provider(dir.path(), &clock, |_| {});
    let prepared = futures::future::join_all((0..20).map(|_| provider.prepare(PATIENCE))).await;
    assert!(prepared.into_iter().all(|ready| ready));
    assert_eq!((fake.asked(METADATA).len(), fake.asked("/keys").len()), (1, 1));

    fake.issue_token(&TestKey::P256.token(Some("k2"), &fake.claims(&attempt())));
    fake.answer("/keys", Scripted::json(key_set(&[TestKey::P256.jwk(Some("k2"))])));
    let logins = futures::future::join_all((0..20).map(|_| exchange(&*provider))).await;
    assert!(logins.iter().all(Result::is_ok));
    assert_eq!(fake.asked("/keys").len(), 2);
}

#[tokio::test]
async fn keys_and_endpoints_can_be_given_by_hand() {
    let (fake, clock) = (Fake::start().await, ManualClock::new());
    let dir = tempfile::tempdir().expect("a directory");
    let pem = dir.path().join("key.pem");
    std::fs::write(&pem, TestKey::Rsa.public_pem()).expect("written");
    fake.issue(&fake.claims(&attempt()));
    let (login, redeem) = (format!("{}/authorize", fake.issuer), format!("{}/token", fake.issuer));
    let provider: Arc<dyn Provider> = fake.provider(dir.path(), &clock, |config| {
        config.endpoints.skip_discovery = true;
        config.endpoints.login_url = Some(login);
        config.endpoints.redeem_url = Some(redeem);
        config.endpoints.public_key_files = vec![pem];
    });
    assert!(provider.prepare(PATIENCE).await);
    assert!(exchange(&*provider).await.is_ok());
    assert_eq!((fake.asked(METADATA).len(), fake.asked("/keys").len()), (0, 0));
}

#[test]
fn pauses_grow_and_end() {
    let seconds: Vec<_> = (0..9).map(|failures| refresh_delay(failures).as_secs()).collect();
    assert_eq!(seconds, [3600, 1, 2, 4, 8, 16, 30, 30, 30]);
    assert_eq!(refresh_delay(u32::MAX).as_secs(), 30);
}
