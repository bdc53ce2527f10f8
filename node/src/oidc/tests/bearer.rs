//! Tokens that callers bring along: whose count, whom they name, and what forged ones cost.

use std::sync::Arc;

use conclave_proto::id::ProviderId;
use serde_json::{Value, json};

use super::super::{BearerError, NoObserver, TokenIssuer, extra_issuer, http_client};
use super::fake::{CLIENT, Fake, ManualClock, NOW, Scripted, config};
use super::keys::{TestKey, key_set};
use crate::config::{EndpointOverrides, ProviderConfig};

fn token(issuer: &str, change: Value) -> String {
    let mut claims = json!({ "iss": issuer, "sub": "robot", "aud": CLIENT, "exp": NOW + 60 });
    for (name, value) in change.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    TestKey::Rsa.token(Some("k1"), &claims)
}

#[tokio::test]
async fn a_token_names_who_its_claims_name() {
    let (fake, clock) = (Fake::start().await, ManualClock::new());
    let dir = tempfile::tempdir().expect("a directory");
    let provider = fake.provider(dir.path(), &clock, |_| {});
    let machine = token(&fake.issuer, json!({}));
    assert_eq!(provider.bearer(&machine), Err(BearerError::NotReady));
    let known = provider.bearer_anew(&machine).await.expect("the keys are fetched");
    assert_eq!((known.identity.user.as_str(), known.identity.email.as_str()), ("robot", "robot"));
    let person = token(&fake.issuer, json!({ "email": "u@x.test", "azp": "another", "groups": ["a", null] }));
    let known = provider.bearer(&person).expect("by the known keys");
    assert_eq!((known.identity.email.as_str(), known.identity.groups), ("u@x.test", vec!["a".to_owned()]));
    for (change, why) in [
        (json!({ "sub": null }), "sub"),
        (json!({ "sub": "" }), "sub"),
        (json!({ "aud": "other" }), "client"),
        (json!({ "exp": NOW }), "expired"),
        (json!({ "nbf": NOW + 301 }), "future"),
        (json!({ "email_verified": false }), "verified"),
    ] {
        let error = provider.bearer(&token(&fake.issuer, change.clone())).expect_err("refused").to_string();
        assert!(error.contains(why), "{change}: {error}");
    }
    assert_eq!(provider.bearer(&token("https://other.test", json!({}))), Err(BearerError::Issuer));
    let access = json!({ "iss": fake.issuer, "sub": "robot", "aud": CLIENT, "exp": NOW + 60 });
    for (typ, taken) in [("at+jwt", true), ("logout+jwt", false)] {
        let token = TestKey::Rsa.jwt(&json!({ "alg": "RS256", "kid": "k1", "typ": typ }), &access);
        assert_eq!(provider.bearer(&token).is_ok(), taken, "{typ}");
    }
}

#[tokio::test]
async fn a_logout_token_is_never_a_bearer_token() {
    let (fake, clock) = (Fake::start().await, ManualClock::new());
    let dir = tempfile::tempdir().expect("a directory");
    let provider = fake.provider(dir.path(), &clock, |_| {});
    provider.refresh_metadata().await.expect("discovery");
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let claims = |events: &Value| json!({ "iss": fake.issuer, "sub": "robot", "aud": CLIENT, "exp": NOW + 60, "sid": "s", "jti": "j", "events": events });
    for header in [json!({}), json!({ "typ": "JWT" }), json!({ "typ": "logout+jwt" }), json!({ "typ": "secevent+jwt" })]
    {
        let mut header = header;
        (header["alg"], header["kid"]) = (json!("RS256"), json!("k1"));
        for events in
            [&event, &json!({}), &json!({ "https://schemas.openid.net/secevent/caep/event-type/session-revoked": {} })]
        {
            let error = provider.bearer(&TestKey::Rsa.jwt(&header, &claims(events))).expect_err("refused").to_string();
            assert!(error.contains("logout") || error.contains("secevent"), "{header} {events}: {error}");
        }
    }
    let plain = TestKey::Rsa.jwt(&json!({ "alg": "RS256", "kid": "k1" }), &claims(&json!(["a", "b"])));
    assert!(provider.bearer(&plain).is_ok(), "a list of events is an application's own claim");
}

#[tokio::test]
async fn ghsa_wcvh_g65p_v576_a_token_for_somebody_else_names_nobody() {
    let (fake, clock) = (Fake::start().await, ManualClock::new());
    let dir = tempfile::tempdir().expect("a directory");
    let provider = fake.provider(dir.path(), &clock, |_| {});
    provider.refresh_metadata().await.expect("discovery");
    assert!(provider.bearer(&token(&fake.issuer, json!({}))).is_ok(), "the control");
    for aud in [Value::Null, json!(""), json!("other"), json!([]), json!(["other"]), json!([[CLIENT]]), json!(7)] {
        assert!(provider.bearer(&token(&fake.issuer, json!({ "aud": aud }))).is_err(), "aud {aud}");
    }
    let without = TestKey::Rsa.token(Some("k1"), &json!({ "iss": fake.issuer, "sub": "robot", "exp": NOW + 60 }));
    assert!(provider.bearer(&without).is_err(), "no aud");
    for iss in [Value::Null, json!(""), json!("https://other.test"), json!(format!("{}/", fake.issuer)), json!(["x"])] {
        assert!(provider.bearer(&token(&fake.issuer, json!({ "iss": iss }))).is_err(), "iss {iss}");
    }
    let without = TestKey::Rsa.token(Some("k1"), &json!({ "aud": CLIENT, "sub": "robot", "exp": NOW + 60 }));
    assert!(provider.bearer(&without).is_err(), "no iss");
}

#[tokio::test]
async fn a_flood_of_unknown_keys_costs_one_fetch_in_a_while() {
    let (fake, clock) = (Fake::start().await, ManualClock::new());
    let dir = tempfile::tempdir().expect("a directory");
    let provider = fake.provider(dir.path(), &clock, |_| {});
    provider.refresh_metadata().await.expect("discovery");
    let before = fake.asked("/keys").len();
    let claims = json!({ "iss": fake.issuer, "sub": "robot", "aud": CLIENT, "exp": NOW + 6000 });
    for number in 0..20 {
        let forged = TestKey::Rsa.token(Some(&format!("forged-{number}")), &claims);
        assert!(provider.bearer(&forged).expect_err("unknown").may_need_newer_keys());
        assert!(provider.bearer_anew(&forged).await.is_err());
    }
    let foreign = TestKey::Rsa.token(Some("forged"), &json!({ "iss": "https://other.test", "sub": "x" }));
    assert!(!provider.bearer(&foreign).expect_err("foreign").may_need_newer_keys());
    assert_eq!(fake.asked("/keys").len(), before + 1);
    fake.answer("/keys", Scripted::json(key_set(&[TestKey::Rsa.jwk(Some("k2"))])));
    clock.pass(31);
    let rotated = TestKey::Rsa.token(Some("k2"), &claims);
    assert!(provider.bearer_anew(&rotated).await.is_ok(), "a new key is found after a while");
    assert!(provider.bearer(&TestKey::Rsa.token(Some("k1"), &claims)).is_err(), "the old one is gone");
}

fn extra(fake: &Fake, clock: &Arc<ManualClock>, dir: &std::path::Path) -> Arc<dyn TokenIssuer> {
    let base = config(&fake.issuer);
    let config = ProviderConfig {
        id: ProviderId::parse("issuer-1").expect("a name"),
        endpoints: EndpointOverrides {
            keys_suffice: true,
            login_url: Some(fake.issuer.clone()),
            redeem_url: Some(fake.issuer.clone()),
            jwks_url: Some(format!("{}/.well-known/jwks.json", fake.issuer)),
            ..EndpointOverrides::default()
        },
        ..base
    };
    let http = http_client(&config).expect("a client");
    extra_issuer(&config, http, dir, Arc::clone(clock) as _, Arc::new(NoObserver))
}

#[tokio::test]
async fn an_extra_issuer_needs_no_metadata_and_its_claims_have_their_types() {
    let (fake, clock) = (Fake::start().await, ManualClock::new());
    let dir = tempfile::tempdir().expect("a directory");
    fake.answer("/.well-known/openid-configuration", Scripted::status(404, ""));
    fake.answer("/.well-known/jwks.json", Scripted::json(key_set(&[TestKey::Rsa.jwk(Some("k1"))])));
    let issuer = extra(&fake, &clock, dir.path());
    let known = issuer.bearer_anew(&token(&fake.issuer, json!({ "groups": ["a"] }))).await.expect("by its keys");
    assert_eq!(
        (known.identity.user.as_str(), known.identity.email.as_str(), known.identity.groups.len()),
        ("robot", "robot", 1)
    );
    for change in [json!({ "groups": "a" }), json!({ "groups": [1] }), json!({ "email_verified": "false" })] {
        assert!(issuer.bearer(&token(&fake.issuer, change.clone())).is_err(), "{change}");
    }
    assert!(issuer.bearer(&token(&fake.issuer, json!({ "email": "u@x.test", "email_verified": true }))).is_ok());
}
