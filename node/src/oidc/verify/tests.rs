//! The rules of an ID token one by one, over every kind of key.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

use super::super::tests::fake::{CLIENT, NOW};
use super::super::tests::keys::{TestKey, key_set, unsigned};
use super::*;
use crate::generated::{Edit, edited, edits};

const ISSUER: &str = "https://issuer.test";

static ALGS: LazyLock<Vec<(String, SigningAlg)>> = LazyLock::new(|| {
    ["RS256", "RS384", "PS256", "ES256", "ES384", "EdDSA"]
        .map(|name| (name.to_owned(), SigningAlg::parse(name).expect("known")))
        .into()
});

static AUD: LazyLock<[String; 1]> = LazyLock::new(|| ["aud".to_owned()]);

fn keys(of: &[TestKey]) -> Keys {
    let keys: Vec<_> = of.iter().map(|key| key.jwk(Some(key.alg()))).collect();
    Keys::parse(key_set(&keys).as_bytes()).expect("usable keys")
}

fn good() -> Value {
    json!({ "iss": ISSUER, "sub": "alice", "aud": CLIENT, "exp": NOW + 60, "iat": NOW, "nonce": "n1" })
}

fn login<'a>(nonce: Option<&'a str>, access_token: Option<&'a str>) -> Purpose<'a> {
    Purpose::Login { nonce, access_token }
}

fn usual<'a>() -> Expectations<'a> {
    Expectations {
        issuer: Some(ISSUER),
        client_id: CLIENT,
        extra_audiences: &[],
        audience_claims: &*AUD,
        algs: &ALGS,
        purpose: login(Some("n1"), None),
        now: Timestamp::from_secs(NOW),
    }
}

/// Verifies `token` under the usual expectations with `change` made to them.
fn check<'a>(token: &str, change: impl FnOnce(&mut Expectations<'a>)) -> Result<VerifiedClaims, InvalidIdToken> {
    let mut expected = usual();
    change(&mut expected);
    verify(token, &keys(&TestKey::ALL), &expected)
}

/// Verifies a token of the good claims with `name` replaced, or removed where `value` is null.
fn with(name: &str, value: Value) -> Result<VerifiedClaims, InvalidIdToken> {
    let mut claims = good();
    if value.is_null() {
        claims.as_object_mut().expect("an object").remove(name);
    } else {
        claims[name] = value;
    }
    check(&TestKey::P256.token(Some("ES256"), &claims), |_| {})
}

#[test]
fn every_kind_of_key_is_taken() {
    for key in TestKey::ALL {
        let verified = check(&key.token(Some(key.alg()), &good()), |_| {}).expect("good");
        assert_eq!((verified.subject.as_str(), verified.issuer.as_str()), ("alice", ISSUER), "{key:?}");
    }
    for alg in ["PS256", "RS384"] {
        let token = TestKey::Rsa.jwt(&json!({ "alg": alg, "kid": "RS256" }), &good());
        assert!(check(&token, |_| {}).is_ok(), "{alg}");
    }
}

#[test]
fn cve_2021_44878_only_listed_algorithms_are_taken() {
    let rs256 = TestKey::Rsa.token(None, &good());
    let es256: Vec<_> = ALGS.iter().filter(|(name, _)| name == "ES256").cloned().collect();
    let expected = Expectations { algs: &es256, ..usual() };
    let refused = verify(&rs256, &keys(&[TestKey::Rsa]), &expected).expect_err("RS256 is not listed");
    assert_eq!(refused, InvalidIdToken::Algorithm { found: "RS256".to_owned(), accepted: "ES256".to_owned() });
    for alg in ["none", "None", "HS256", "HS512", "ES512", "RS1", ""] {
        assert!(SigningAlg::parse(alg).is_none(), "{alg} cannot even be listed");
        for signature in ["", "AAAA"] {
            let token = format!("{}.{signature}", unsigned(&json!({ "alg": alg }), &good()));
            assert!(matches!(check(&token, |_| {}), Err(InvalidIdToken::Algorithm { .. })), "{alg}");
        }
    }
}

/// The classic confusion: an HMAC with the public key as the secret.
#[test]
fn a_public_key_is_no_shared_secret() {
    let message = unsigned(&json!({ "alg": "HS256", "kid": "RS256" }), &good());
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, TestKey::Rsa.public_pem().as_bytes());
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, message.as_bytes())));
    assert!(matches!(check(&token, |_| {}), Err(InvalidIdToken::Algorithm { .. })));
}

#[test]
fn the_named_key_is_used_and_no_other() {
    let unknown = InvalidIdToken::UnknownKey("other".to_owned());
    assert_eq!(check(&TestKey::P256.token(Some("other"), &good()), |_| {}), Err(unknown.clone()));
    assert!(unknown.may_need_newer_keys());
    let crossed = TestKey::P256.token(Some("ES384"), &good());
    assert!(check(&crossed, |_| {}).expect_err("another key's id").may_need_newer_keys());
    assert!(check(&TestKey::P256.token(None, &good()), |_| {}).is_ok(), "no id: every key is tried");
    let unnamed = Keys::from_pem(TestKey::P256.public_pem().as_bytes()).expect("a key");
    let named = TestKey::P256.token(Some("any"), &good());
    assert!(signed(&named, &unnamed, &ALGS).is_ok(), "a key without an id is tried for every token");
}

#[test]
fn keys_come_from_pem_files_too() {
    for key in TestKey::ALL {
        let keys = Keys::from_pem(key.public_pem().as_bytes()).expect("a key");
        assert!(signed(&key.token(None, &good()), &keys, &ALGS).is_ok(), "{key:?}");
    }
    let both = format!("{}{}", TestKey::Rsa.public_pem(), TestKey::P384.public_pem());
    let both = Keys::from_pem(both.as_bytes()).expect("two keys");
    assert!(signed(&TestKey::P384.token(None, &good()), &both, &ALGS).is_ok());
    for odd in [
        "",
        "text",
        include_str!("../testdata/p256.pem"),
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ] {
        assert!(Keys::from_pem(odd.as_bytes()).is_err(), "{odd}");
    }
}

#[test]
fn keys_for_other_uses_prove_nothing() {
    for (field, value) in [("use", "enc"), ("alg", "RS384"), ("kty", "EC")] {
        let mut jwk = TestKey::Rsa.jwk(Some("k"));
        jwk[field] = json!(value);
        let parsed = Keys::parse(key_set(&[jwk, TestKey::P256.jwk(Some("x"))]).as_bytes()).expect("one is usable");
        assert!(signed(&TestKey::Rsa.token(Some("k"), &good()), &parsed, &ALGS).is_err(), "{field}");
    }
}

#[test]
fn every_changed_byte_is_noticed() {
    let token = TestKey::Ed25519.token(Some("EdDSA"), &good());
    for place in 0..token.len() {
        let mut damaged = token.clone().into_bytes();
        damaged[place] = if damaged[place] == b'A' { b'B' } else { b'A' };
        let damaged = String::from_utf8(damaged).expect("ASCII");
        assert!(check(&damaged, |_| {}).is_err(), "byte {place}");
    }
}

#[test]
fn other_kinds_of_token_are_refused() {
    let typed = |typ: &str| check(&TestKey::P256.jwt(&json!({ "alg": "ES256", "typ": typ }), &good()), |_| {});
    assert!(typed("JWT").is_ok() && typed("jwt").is_ok() && typed("application/jwt").is_ok());
    for typ in ["at+jwt", "logout+jwt", "AT+JWT", "application/at+jwt"] {
        assert_eq!(typed(typ), Err(InvalidIdToken::Type(typ.to_owned())));
    }
    let critical = TestKey::P256.jwt(&json!({ "alg": "ES256", "crit": ["b64"], "b64": false }), &good());
    assert_eq!(check(&critical, |_| {}), Err(InvalidIdToken::Critical));
    let encrypted = format!("{}.a.b.c", URL_SAFE_NO_PAD.encode("{\"alg\":\"RSA-OAEP\",\"enc\":\"A256GCM\"}"));
    assert_eq!(check(&encrypted, |_| {}), Err(InvalidIdToken::Encrypted));
    for odd in ["", ".", "..", "a.b.c", "e30.e30.e30", "e30"] {
        assert_eq!(check(odd, |_| {}), Err(InvalidIdToken::Malformed), "{odd}");
    }
}

#[test]
fn ghsa_2c7c_3mj9_8fqh_cve_2016_9121_cve_2016_9122_cve_2016_9123_cve_2024_28180_cve_2026_34986_only_signed_tokens_are_read()
 {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for header in [
        json!({ "alg": "PBES2-HS512+A256KW", "enc": "A256GCM", "p2c": 2_000_000_000, "p2s": "AAAA" }),
        json!({ "alg": "RSA-OAEP", "enc": "A128CBC-HS256", "zip": "DEF" }),
        json!({ "alg": "dir", "enc": "A256GCM" }),
        json!({ "alg": "ECDH-ES", "enc": "A128CBC-HS256", "epk": { "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" } }),
    ] {
        let token = format!("{}..AAAA.AAAA.AAAA", part(header.clone()));
        assert_eq!(check(&token, |_| {}), Err(InvalidIdToken::Encrypted), "{header}");
        let signed = TestKey::P256.jwt(&json!({ "alg": "ES256", "enc": header["enc"] }), &good());
        assert_eq!(check(&signed, |_| {}), Err(InvalidIdToken::Encrypted), "{header}");
    }
    // Several signatures, and a token in the other notation.
    let json_form = json!({ "payload": part(good()), "signatures": [{ "protected": "e30", "signature": "" }] });
    assert_eq!(check(&json_form.to_string(), |_| {}), Err(InvalidIdToken::Malformed));
}

#[test]
fn cve_2025_27144_many_dots_are_no_token() {
    let token = format!("{}.{}", TestKey::P256.token(None, &good()), ".".repeat(1_000_000));
    assert_eq!(check(&token, |_| {}), Err(InvalidIdToken::Encrypted));
    assert_eq!(check(&".".repeat(1_000_000), |_| {}), Err(InvalidIdToken::Malformed));
}

#[test]
fn issuer_and_subject_are_exact() {
    assert!(matches!(with("iss", json!("https://issuer.test/")), Err(InvalidIdToken::Issuer { .. })));
    assert_eq!(with("iss", Value::Null), Err(InvalidIdToken::Claim("iss")));
    let other =
        TestKey::P256.token(None, &json!({ "iss": "x", "sub": "a", "aud": CLIENT, "exp": NOW + 1, "iat": NOW }));
    assert!(
        check(&other, |expected| (expected.issuer, expected.purpose) = (None, login(None, None))).is_ok(),
        "not compared"
    );
    for odd in [Value::Null, json!(""), json!(7), json!(["alice"]), json!("x".repeat(256))] {
        assert_eq!(with("sub", odd), Err(InvalidIdToken::Claim("sub")));
    }
    assert!(with("sub", json!("x".repeat(255))).is_ok());
}

#[test]
fn the_audience_is_this_client() {
    for odd in [json!("else"), json!(["else", "other"]), json!([]), json!(7), json!({ "a": CLIENT }), json!([[CLIENT]])]
    {
        assert!(matches!(with("aud", odd.clone()), Err(InvalidIdToken::Audience { .. })), "{odd}");
    }
    assert!(with("aud", json!(["else", CLIENT])).is_ok());
    assert_eq!(with("azp", json!("else")), Err(InvalidIdToken::AuthorizedParty("\"else\"".to_owned())));
    assert!(with("azp", json!(CLIENT)).is_ok());
    let extra = TestKey::P256.token(None, &{
        let mut claims = good();
        claims["aud"] = json!("api");
        claims
    });
    let extras = ["api".to_owned()];
    assert!(check(&extra, |expected| expected.extra_audiences = &extras).is_ok());
}

#[test]
fn the_first_audience_claim_present_counts() {
    let claims = ["client".to_owned(), "aud".to_owned()];
    let with_client = |value: Value| {
        let mut token = good();
        token["client"] = value;
        check(&TestKey::P256.token(None, &token), |expected| expected.audience_claims = &claims)
    };
    assert!(with_client(json!(CLIENT)).is_ok());
    assert!(matches!(with_client(json!("else")), Err(InvalidIdToken::Audience { .. })), "although aud fits");
    let without = TestKey::P256.token(None, &good());
    assert!(check(&without, |expected| expected.audience_claims = &claims).is_ok(), "then aud");
    let only = ["client".to_owned()];
    let refused = check(&without, |expected| expected.audience_claims = &only);
    assert_eq!(refused, Err(InvalidIdToken::NoAudience("client".to_owned())));
}

#[test]
fn cve_2026_25537_times_are_required_typed_and_checked() {
    assert_eq!(with("exp", json!(NOW)), Err(InvalidIdToken::Expired(0)), "no leeway");
    assert_eq!(with("exp", json!(NOW - 10)), Err(InvalidIdToken::Expired(10)));
    assert!(with("exp", json!(NOW as f64 + 1.5)).is_ok(), "fractions are allowed");
    for name in ["exp", "iat"] {
        assert_eq!(with(name, Value::Null), Err(InvalidIdToken::Claim(name)));
        for odd in [json!((NOW + 60).to_string()), json!(true), json!([NOW]), json!(-1), json!({})] {
            assert_eq!(with(name, odd.clone()), Err(InvalidIdToken::Claim(name)), "{name} {odd}");
        }
    }
    assert!(with("iat", json!(NOW + 300)).is_ok());
    assert_eq!(with("iat", json!(NOW + 301)), Err(InvalidIdToken::Future(301)));
    assert_eq!(with("nbf", json!(NOW + 400)), Err(InvalidIdToken::Future(400)));
    assert_eq!(with("nbf", json!("soon")), Err(InvalidIdToken::Claim("nbf")), "never as good as absent");
    assert!(with("exp", json!(1e300)).is_ok());
}

#[test]
fn the_nonce_is_this_logins() {
    for odd in [Value::Null, json!("n2"), json!(""), json!("n1 "), json!(1), json!(["n1"])] {
        assert_eq!(with("nonce", odd), Err(InvalidIdToken::Nonce));
    }
}

#[test]
fn cve_2026_28498_at_hash_binds_the_access_token() {
    let hash = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref()[..16].to_vec();
    let token = |hash: Value| {
        let mut claims = good();
        claims["at_hash"] = hash;
        TestKey::P256.token(None, &claims)
    };
    let good = token(json!(URL_SAFE_NO_PAD.encode(hash("at-1"))));
    let checked = |token: &str, access: Option<&'static str>| {
        check(token, |expected| expected.purpose = login(Some("n1"), access)).map(|_| ())
    };
    assert_eq!(checked(&good, Some("at-1")), Ok(()));
    assert_eq!(checked(&good, None), Ok(()), "none came");
    assert_eq!(checked(&good, Some("at-2")), Err(InvalidIdToken::AccessToken));
    for odd in [json!(""), json!("!"), json!(7), json!(URL_SAFE_NO_PAD.encode(&hash("at-1")[..8]))] {
        assert_eq!(checked(&token(odd), Some("at-1")), Err(InvalidIdToken::AccessToken));
    }
    let mut sha512 = self::good();
    let half = &ring::digest::digest(&ring::digest::SHA512, b"at-1").as_ref()[..32].to_vec();
    sha512["at_hash"] = json!(URL_SAFE_NO_PAD.encode(half));
    assert_eq!(checked(&TestKey::Ed25519.token(None, &sha512), Some("at-1")), Ok(()), "Ed25519 hashes with SHA-512");
}

#[test]
fn messages_are_one_line_whatever_the_token_says() {
    let errors = [
        with("iss", json!("a\nb\r\u{1b}[31m")).expect_err("refused"),
        with("aud", json!("a\nb")).expect_err("refused"),
        with("azp", json!("a\nb")).expect_err("refused"),
        check(&TestKey::P256.token(Some("a\nb"), &good()), |_| {}).expect_err("refused"),
        check(&format!("{}.", unsigned(&json!({ "alg": "a\nb" }), &good())), |_| {}).expect_err("refused"),
    ];
    for error in errors {
        assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_refused(token in ".{0,200}", header in "[ -~]{0,80}", payload in "[ -~]{0,80}") {
        let refused = check(&token, |_| {}).is_err();
        prop_assert!(refused);
        let parts = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let refused = check(&format!("{parts}.AAAA"), |_| {}).is_err();
        prop_assert!(refused);
    }

    #[test]
    fn any_key_set_and_key_file_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".*") {
        let _ = Keys::parse(&bytes);
        let _ = Keys::parse(key_set(&[json!({ "kty": "RSA", "n": text.clone(), "e": text })]).as_bytes());
        let _ = super::super::spki::key(&bytes);
        let _ = Keys::from_pem(&bytes);
    }

    #[test]
    fn any_signed_claims_are_read_or_refused(name in "(iss|sub|aud|azp|exp|iat|nbf|nonce|at_hash)", value in ".*", number in any::<f64>()) {
        let _ = with(&name, json!(value));
        let _ = with(&name, json!(number));
    }
}

/// What may stand in a header or among claims.
const WORDS: [&str; 22] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "1e400",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    ".",
    "..",
    "none",
    "HS256",
    "\"crit\":[]",
    "\"enc\":1",
    "\"aud\":[]",
    "\"exp\":0.5",
];

/// Signed with a good key, but over whatever the edits made of header and claims; or with a signature
/// that the edits reach as well.
fn edited_token(header: &[Edit], claims: &[Edit], whole: &[Edit]) -> String {
    let part = |value: &Value, edits: &[Edit]| URL_SAFE_NO_PAD.encode(edited(&value.to_string(), edits));
    let message = format!("{}.{}", part(&json!({ "alg": "EdDSA", "typ": "JWT" }), header), part(&good(), claims));
    let signature = TestKey::Ed25519.sign("EdDSA", message.as_bytes());
    edited(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)), whole)
}

static ONE_KEY: LazyLock<Keys> = LazyLock::new(|| keys(&[TestKey::Ed25519]));

proptest! {
    #![proptest_config(crate::generated::config())]

    #[test]
    fn generated_inputs_are_no_id_tokens(
        header in edits(&WORDS), claims in edits(&WORDS), whole in prop_oneof![3 => Just(Vec::new()), 1 => edits(&WORDS)]
    ) {
        let token = edited_token(&header, &claims, &whole);
        if let Ok(verified) = verify(&token, &ONE_KEY, &usual()) {
            // What was accepted still says all that it must.
            prop_assert_eq!(verified.issuer.as_str(), ISSUER);
            prop_assert_eq!(verified.all["nonce"].as_str(), Some("n1"));
            prop_assert!(verified.all["exp"].as_f64().is_some_and(|exp| exp > 1.0));
        }
    }
}
