//! The whole way of a code, good and bad.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use conclave_proto::login::LoginParameter;
use conclave_proto::session::Identity;
use conclave_proto::time::Timestamp;
use serde_json::{Value, json};

use super::super::{ExchangeError, InvalidIdToken, InvalidIss, Provider, SessionClaims, TokenError, UserinfoError};
use super::fake::{CLIENT, Fake, ManualClock, NOW, REDIRECT, Scripted, attempt};
use super::keys::{TestKey, key_set, unsigned};
use crate::config::{PkceMode, ProviderConfig};

const DEADLINE: Duration = Duration::from_secs(20);

/// A provider whose metadata is known, with `change` made to its configuration.
async fn ready(fake: &Fake, change: impl FnOnce(&mut ProviderConfig)) -> std::sync::Arc<dyn Provider> {
    let dir = tempfile::tempdir().expect("a directory");
    let provider = fake.provider(dir.path(), &ManualClock::new(), change);
    provider.refresh_metadata().await.expect("discovery");
    provider
}

async fn exchange(provider: &dyn Provider) -> Result<SessionClaims, ExchangeError> {
    provider.exchange("code-1", &attempt(), REDIRECT, DEADLINE).await
}

/// Exchanges at a provider that issues an ID token of the good claims with `change` made to them.
async fn with_claims(change: impl FnOnce(&mut Value)) -> Result<SessionClaims, ExchangeError> {
    let fake = Fake::start().await;
    let mut claims = fake.claims(&attempt());
    change(&mut claims);
    fake.issue(&claims);
    exchange(&*ready(&fake, |_| {}).await).await
}

fn query(url: &str) -> BTreeMap<String, String> {
    url::Url::parse(url).expect("a URL").query_pairs().into_owned().collect()
}

fn refused(outcome: Result<SessionClaims, ExchangeError>) -> InvalidIdToken {
    match outcome {
        Err(ExchangeError::IdToken(invalid)) => invalid,
        other => panic!("not refused for its ID token: {other:?}"),
    }
}

#[tokio::test]
async fn the_browser_is_sent_with_pkce_state_and_nonce() {
    let fake = Fake::start().await;
    let provider =
        ready(&fake, |config| config.login_parameters.push(LoginParameter::fixed("acr_values", "gold"))).await;
    let url = provider.authorize_url(&attempt(), REDIRECT, &[]).expect("ready");
    assert!(url.starts_with(&format!("{}/authorize?acr_values=gold&approval_prompt=force&client_id=", fake.issuer)));
    let attempt = attempt();
    let challenge = attempt.code_challenge();
    let expected = [
        ("acr_values", "gold"),
        ("approval_prompt", "force"),
        ("client_id", CLIENT),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("nonce", attempt.nonce()),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", "openid email profile"),
        ("state", attempt.state()),
        ("tenant", "a b"),
    ];
    assert_eq!(query(&url), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

#[tokio::test]
async fn pkce_follows_what_the_provider_says() {
    let challenge = async |methods: Option<Value>, mode: PkceMode| {
        let fake = Fake::start().await;
        let mut metadata = fake.metadata();
        match methods {
            Some(methods) => metadata["code_challenge_methods_supported"] = methods,
            None => _ = metadata.as_object_mut().expect("an object").remove("code_challenge_methods_supported"),
        }
        fake.answer("/.well-known/openid-configuration", Scripted::json(metadata));
        fake.issue(&fake.claims(&attempt()));
        let provider = ready(&fake, |config| config.pkce = mode).await;
        let sent = query(&provider.authorize_url(&attempt(), REDIRECT, &[]).expect("ready"));
        exchange(&*provider).await.expect("a session");
        let verifier = fake.asked("/token")[0].field("code_verifier");
        assert_eq!(verifier.is_some(), sent.contains_key("code_challenge"), "a verifier goes with a challenge");
        sent.get("code_challenge_method").cloned()
    };
    let s256 = Some("S256".to_owned());
    assert_eq!(challenge(None, PkceMode::WhereAllowed).await, s256);
    assert_eq!(challenge(Some(json!(["plain", "S256"])), PkceMode::Plain).await, s256);
    assert_eq!(challenge(Some(json!(["plain"])), PkceMode::S256).await, s256);
    assert_eq!(challenge(Some(json!(["plain"])), PkceMode::Plain).await, Some("plain".to_owned()));
    assert_eq!(challenge(Some(json!(["plain"])), PkceMode::WhereAllowed).await, None);
}

#[tokio::test]
async fn a_good_code_becomes_an_identity() {
    let fake = Fake::start().await;
    fake.issue(&fake.claims(&attempt()));
    let provider = ready(&fake, |_| {}).await;
    let session = exchange(&*provider).await.expect("a session");
    let identity = Identity {
        user: "alice".to_owned(),
        email: "alice@example.test".to_owned(),
        groups: vec!["staff".to_owned()],
        preferred_username: "al".to_owned(),
        groups_claimed: true,
    };
    assert_eq!((session.identity, session.subject.as_str(), session.issuer), (identity, "alice", fake.issuer.clone()));
    assert_eq!((session.sid.as_deref(), session.access_token.as_deref()), (Some("session-1"), Some("at-1")));
    assert_eq!(session.refresh_token.as_deref(), Some("rt-1"));
    assert_eq!(session.token_expires_at, Some(Timestamp::from_secs(NOW + 300)));

    let asked = fake.asked("/token");
    assert_eq!(asked.len(), 1, "a code is sent once");
    let basic = format!("Basic {}", STANDARD.encode("client%2F1:s3cret%2B%2F%3D"));
    assert_eq!(asked[0].header("authorization"), Some(basic.as_str()), "form-encoded, as RFC 6749 2.3.1 asks");
    let fields = ["grant_type", "code", "redirect_uri", "code_verifier"].map(|name| asked[0].field(name));
    let expected = ["authorization_code", "code-1", REDIRECT, attempt().verifier()].map(|text| Some(text.to_owned()));
    assert_eq!(fields, expected);
    assert_eq!(asked[0].field("client_secret"), None);
    assert_eq!(fake.asked("/userinfo").len(), 0, "nothing was missing");
}

#[tokio::test]
async fn the_secret_goes_where_the_provider_wants_it() {
    let fake = Fake::start().await;
    let mut metadata = fake.metadata();
    metadata["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
    fake.answer("/.well-known/openid-configuration", Scripted::json(metadata));
    fake.issue(&fake.claims(&attempt()));
    exchange(&*ready(&fake, |_| {}).await).await.expect("a session");
    let asked = fake.asked("/token");
    assert_eq!((asked.len(), asked[0].header("authorization")), (1, None));
    assert_eq!(asked[0].field("client_id").as_deref(), Some(CLIENT));
    assert_eq!(asked[0].field("client_secret").as_deref(), Some(super::fake::SECRET));
}

#[tokio::test]
async fn a_provider_that_does_not_say_is_tried_both_ways_once() {
    let fake = Fake::start().await;
    let mut metadata = fake.metadata();
    metadata.as_object_mut().expect("an object").remove("token_endpoint_auth_methods_supported");
    fake.answer("/.well-known/openid-configuration", Scripted::json(metadata));
    let good = json!({ "id_token": TestKey::Rsa.token(Some("k1"), &fake.claims(&attempt())) });
    let bad = Scripted::status(401, json!({ "error": "invalid_client" }));
    fake.answers("/token", vec![bad, Scripted::json(good)]);
    let provider = ready(&fake, |_| {}).await;
    exchange(&*provider).await.expect("a session");
    exchange(&*provider).await.expect("a session");
    let in_body: Vec<_> = fake.asked("/token").iter().map(|asked| asked.field("client_secret").is_some()).collect();
    assert_eq!(in_body, [false, true, true], "Basic first; what worked is remembered");
}

#[tokio::test]
async fn a_refused_code_is_not_sent_again() {
    let fake = Fake::start().await;
    let said = json!({ "error": "invalid_grant", "error_description": "code code-1 was\nused" });
    fake.answer("/token", Scripted::status(400, said));
    let error = exchange(&*ready(&fake, |_| {}).await).await.expect_err("refused");
    assert_eq!(fake.asked("/token").len(), 1);
    let text = error.to_string();
    assert!(text.contains("invalid_grant") && text.contains("code *** was used"), "{text}");
    assert!(!text.contains("code-1") && !text.contains('\n') && !error.is_outage() && !error.is_refusal(), "{text}");
}

#[tokio::test]
async fn each_failure_of_the_token_endpoint_has_its_name() {
    let outcome = async |answer: Scripted| {
        let fake = Fake::start().await;
        fake.answer("/token", answer);
        exchange(&*ready(&fake, |_| {}).await).await.expect_err("fails")
    };
    let unknown = outcome(Scripted::status(401, json!({ "error": "invalid_client" }))).await;
    assert!(unknown.to_string().contains("check client_id and client_secret"), "{unknown}");
    let broken = outcome(Scripted::status(500, "<html>")).await;
    assert!(broken.is_outage(), "{broken}");
    let empty = outcome(Scripted::status(400, "")).await;
    assert!(matches!(empty, ExchangeError::Token(TokenError::Refused { .. })) && !empty.is_outage(), "{empty}");
    let moved = Scripted { headers: "location: http://127.0.0.1:1/\r\n".to_owned(), ..Scripted::status(302, "") };
    assert!(matches!(outcome(moved).await, ExchangeError::Token(TokenError::Redirect(_))));
    assert!(matches!(outcome(Scripted::json("nonsense")).await, ExchangeError::Token(TokenError::Malformed)));
    let plain = outcome(Scripted::json(json!({ "access_token": "a" }))).await;
    assert!(matches!(plain, ExchangeError::Token(TokenError::NoIdToken)));
    let huge = outcome(Scripted::json("x".repeat(2 * 1024 * 1024))).await;
    assert!(huge.to_string().contains("more than 1048576 bytes"), "{huge}");
}

#[tokio::test]
async fn s_23_a_provider_that_never_answers_costs_the_deadline_only() {
    let fake = Fake::start().await;
    let provider = ready(&fake, |_| {}).await;
    let outcome = provider.exchange("code-1", &attempt(), REDIRECT, Duration::from_millis(50)).await;
    let error = outcome.expect_err("no answer");
    assert!(matches!(error, ExchangeError::Deadline) && error.is_outage());
}

/// The negative cases of the certification plan for basic relying parties, by their module names.
#[tokio::test]
async fn certification_cases_of_the_id_token() {
    let bad = async |change: &dyn Fn(&mut Value)| refused(with_claims(change).await);
    let drop = |name: &'static str| move |claims: &mut Value| _ = claims.as_object_mut().expect("object").remove(name);
    // oidcc-client-test-invalid-iss
    let other = bad(&|claims| claims["iss"] = json!("https://other.test")).await;
    assert_eq!(other, InvalidIdToken::Issuer { found: "https://other.test".to_owned() });
    // oidcc-client-test-missing-sub
    assert_eq!(bad(&drop("sub")).await, InvalidIdToken::Claim("sub"));
    // oidcc-client-test-invalid-aud, -missing-aud
    assert!(matches!(bad(&|claims| claims["aud"] = json!("else")).await, InvalidIdToken::Audience { .. }));
    assert!(matches!(bad(&drop("aud")).await, InvalidIdToken::NoAudience(_)));
    // oidcc-client-test-missing-iat
    assert_eq!(bad(&drop("iat")).await, InvalidIdToken::Claim("iat"));
    // oidcc-client-test-nonce-invalid
    assert_eq!(bad(&|claims| claims["nonce"] = json!("else")).await, InvalidIdToken::Nonce);
    assert_eq!(bad(&drop("nonce")).await, InvalidIdToken::Nonce);
    // oidcc-client-test-invalid-athash
    assert_eq!(bad(&|claims| claims["at_hash"] = json!("AAAA")).await, InvalidIdToken::AccessToken);
    assert_eq!(bad(&drop("exp")).await, InvalidIdToken::Claim("exp"));
}

#[tokio::test]
async fn certification_cases_of_the_signature() {
    let fake = Fake::start().await;
    let provider = ready(&fake, |_| {}).await;
    let claims = fake.claims(&attempt());
    // oidcc-client-test-idtoken-sig-none
    fake.issue_token(&format!("{}.", unsigned(&json!({ "alg": "none" }), &claims)));
    assert!(matches!(refused(exchange(&*provider).await), InvalidIdToken::Algorithm { .. }));
    // oidcc-client-test-invalid-sig-hs256: the provider lists HS256, we never take it.
    fake.issue_token(&format!("{}.AAAA", unsigned(&json!({ "alg": "HS256" }), &claims)));
    assert!(matches!(refused(exchange(&*provider).await), InvalidIdToken::Algorithm { .. }));
    // oidcc-client-test-invalid-sig-rs256
    let good = TestKey::Rsa.token(Some("k1"), &claims);
    let forged = TestKey::Rsa.token(Some("k1"), &json!({ "iss": fake.issuer }));
    let (_, wrong) = forged.rsplit_once('.').expect("a JWT");
    let (message, _) = good.rsplit_once('.').expect("a JWT");
    fake.issue_token(&format!("{message}.{wrong}"));
    assert_eq!(refused(exchange(&*provider).await), InvalidIdToken::Signature);
    // oidcc-client-test-kid-absent-single-jwks
    fake.issue_token(&TestKey::Rsa.token(None, &claims));
    assert!(exchange(&*provider).await.is_ok());
}

/// oidcc-client-test-kid-absent-multiple-jwks: all keys of the kind are tried.
#[tokio::test]
async fn a_token_without_a_key_id_is_tried_with_every_key() {
    let fake = Fake::start().await;
    let keys = [TestKey::P384.jwk(Some("a")), TestKey::Ed25519.jwk(Some("b")), TestKey::Rsa.jwk(Some("c"))];
    fake.answer("/keys", Scripted::json(key_set(&keys)));
    fake.issue_token(&TestKey::Rsa.token(None, &fake.claims(&attempt())));
    assert!(exchange(&*ready(&fake, |_| {}).await).await.is_ok());
}

#[tokio::test]
async fn userinfo_fills_what_the_id_token_lacks() {
    let fake = Fake::start().await;
    let mut claims = fake.claims(&attempt());
    for claim in ["email", "email_verified", "groups"] {
        claims.as_object_mut().expect("an object").remove(claim);
    }
    fake.issue(&claims);
    let userinfo = json!({ "sub": "alice", "email": "a@example.test", "groups": ["g"], "preferred_username": "else" });
    fake.answer("/userinfo", Scripted::json(userinfo));
    let identity = exchange(&*ready(&fake, |_| {}).await).await.expect("a session").identity;
    assert_eq!((identity.email.as_str(), identity.groups), ("a@example.test", vec!["g".to_owned()]));
    assert_eq!(identity.preferred_username, "al", "the ID token's own claims win");
    assert_eq!(fake.asked("/userinfo")[0].header("authorization"), Some("Bearer at-1"));
}

#[tokio::test]
async fn userinfo_about_somebody_else_or_in_ruins_fails_the_login() {
    let outcome = async |answer: Scripted| {
        let fake = Fake::start().await;
        let mut claims = fake.claims(&attempt());
        claims.as_object_mut().expect("an object").remove("groups");
        fake.issue(&claims);
        fake.answer("/userinfo", answer);
        exchange(&*ready(&fake, |_| {}).await).await.expect_err("fails")
    };
    // oidcc-client-test-userinfo-invalid-sub
    let other = outcome(Scripted::json(json!({ "sub": "bob", "groups": ["admin"] }))).await;
    assert!(matches!(other, ExchangeError::Userinfo(UserinfoError::Subject)) && other.is_refusal());
    let nobody = outcome(Scripted::json(json!({ "groups": ["admin"] }))).await;
    assert!(matches!(nobody, ExchangeError::Userinfo(UserinfoError::Subject)));
    assert!(outcome(Scripted::status(503, "")).await.is_outage());
    assert!(!outcome(Scripted::status(403, "")).await.is_outage());
    let jwt = "content-type: application/jwt\r\n".to_owned();
    let unsigned = format!("{}.", unsigned(&json!({ "alg": "none" }), &json!({ "sub": "alice" })));
    let unsigned = outcome(Scripted { headers: jwt, ..Scripted::json(unsigned) }).await;
    assert!(matches!(unsigned, ExchangeError::Userinfo(UserinfoError::Signature(_))), "{unsigned}");
}

/// oidcc-client-test-userinfo-signed
#[tokio::test]
async fn signed_userinfo_is_verified() {
    let fake = Fake::start().await;
    let mut claims = fake.claims(&attempt());
    claims.as_object_mut().expect("an object").remove("groups");
    fake.issue(&claims);
    let signed = TestKey::Rsa.token(Some("k1"), &json!({ "sub": "alice", "groups": ["g"] }));
    let jwt = "content-type: application/jwt; charset=utf-8\r\n".to_owned();
    fake.answer("/userinfo", Scripted { headers: jwt, ..Scripted::json(signed) });
    let session = exchange(&*ready(&fake, |_| {}).await).await.expect("a session");
    assert_eq!(session.identity.groups, ["g"]);
}

#[tokio::test]
async fn userinfo_is_not_asked_where_that_was_ruled_out() {
    let fake = Fake::start().await;
    let mut claims = fake.claims(&attempt());
    claims.as_object_mut().expect("an object").remove("groups");
    fake.issue(&claims);
    let session = exchange(&*ready(&fake, |config| config.claims.skip_userinfo = true).await).await.expect("a session");
    assert!(!session.identity.groups_claimed && fake.asked("/userinfo").is_empty());
}

#[tokio::test]
async fn the_nonce_can_be_left_out_by_name_only() {
    let fake = Fake::start().await;
    let mut claims = fake.claims(&attempt());
    claims.as_object_mut().expect("an object").remove("nonce");
    fake.issue(&claims);
    let provider = ready(&fake, |config| config.verification.skip_nonce = true).await;
    assert!(!query(&provider.authorize_url(&attempt(), REDIRECT, &[]).expect("ready")).contains_key("nonce"));
    assert!(exchange(&*provider).await.is_ok());
}

#[tokio::test]
async fn the_iss_parameter_is_held_against_the_issuer() {
    let fake = Fake::start().await;
    let provider = ready(&fake, |_| {}).await;
    assert_eq!(provider.check_iss(Some(&fake.issuer)), Ok(()));
    assert_eq!(provider.check_iss(None), Err(InvalidIss::Missing), "this provider always sends one");
    let other = format!("{}/", fake.issuer);
    assert_eq!(provider.check_iss(Some(&other)), Err(InvalidIss::Other { found: other.clone() }));
    let mut metadata = fake.metadata();
    metadata.as_object_mut().expect("an object").remove("authorization_response_iss_parameter_supported");
    fake.answer("/.well-known/openid-configuration", Scripted::json(metadata));
    provider.refresh_metadata().await.expect("discovery");
    assert_eq!(provider.check_iss(None), Ok(()), "a provider that never sends one");
    assert_eq!(provider.check_iss(Some("x")), Err(InvalidIss::Other { found: "x".to_owned() }));
}

#[tokio::test]
async fn a_public_client_names_itself_in_the_body() {
    let fake = Fake::start().await;
    fake.issue(&fake.claims(&attempt()));
    exchange(&*ready(&fake, |config| config.client_secret = None).await).await.expect("a session");
    let asked = fake.asked("/token");
    assert_eq!((asked[0].header("authorization"), asked[0].field("client_id").as_deref()), (None, Some(CLIENT)));
}
