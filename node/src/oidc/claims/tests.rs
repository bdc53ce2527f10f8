//! The claim rules, case by case.

use proptest::prelude::*;
use serde_json::json;

use super::super::tests::fake::config;
use super::*;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

/// The identity from an ID token, and userinfo where given.
fn identity_of(
    id_token: Value,
    userinfo: Option<Value>,
    change: impl FnOnce(&mut ProviderConfig),
) -> Result<Identity, InvalidClaims> {
    let mut config = config("https://issuer.test");
    change(&mut config);
    let (id_token, userinfo) = (object(id_token), userinfo.map(object));
    identity("alice", &Sources { id_token: &id_token, userinfo: userinfo.as_ref() }, &config)
}

fn groups(value: Value) -> Vec<String> {
    identity_of(json!({ "email": "a@x.test", "groups": value }), None, |_| {}).expect("an identity").groups
}

#[test]
fn groups_of_any_shape_become_text() {
    assert_eq!(groups(json!(["a", "b,c"])), ["a", "b,c"]);
    assert_eq!(groups(json!("solo")), ["solo"]);
    let nested = json!([{ "id": 1, "name": "obj" }, "plain", 7, true]);
    assert_eq!(groups(nested), ["{\"id\":1,\"name\":\"obj\"}", "plain", "7", "true"]);
    assert_eq!(groups(json!({ "name": "lab" })), ["{\"name\":\"lab\"}"]);
    assert_eq!(groups(json!(true)), ["true"]);
    assert_eq!(groups(json!([])), Vec::<String>::new());
}

#[test]
fn no_groups_claim_differs_from_no_groups() {
    let claimed = |claims: Value| identity_of(claims, None, |_| {}).expect("an identity").groups_claimed;
    assert!(claimed(json!({ "email": "a", "groups": [] })));
    assert!(!claimed(json!({ "email": "a" })) && !claimed(json!({ "email": "a", "groups": null })));
}

#[test]
fn claims_are_found_by_name_before_path() {
    let email = |path: &str, claims: Value| {
        identity_of(claims, None, |config| config.claims.email = path.to_owned()).map(|identity| identity.email)
    };
    assert_eq!(email("dept.name", json!({ "dept": { "name": "lab" } })).as_deref(), Ok("lab"));
    assert_eq!(email("a.b.c", json!({ "a": { "b": { "c": "deep" } } })).as_deref(), Ok("deep"));
    assert_eq!(email("a.b", json!({ "a.b": "exact", "a": { "b": "path" } })).as_deref(), Ok("exact"));
    assert_eq!(email("id", json!({ "id": 7 })).as_deref(), Ok("7"), "scalars become text");
    for claims in [json!({}), json!({ "a": "x" }), json!({ "a": { "b": null } }), json!({ "a": { "b": "" } })] {
        assert_eq!(email("a.b", claims), Err(InvalidClaims::NoEmail { claim: "a.b".to_owned() }));
    }
}

#[test]
fn the_id_token_wins_over_userinfo() {
    let userinfo = json!({ "email": "u@x.test", "groups": ["u"], "preferred_username": "u" });
    let identity = identity_of(json!({ "email": "i@x.test", "groups": null }), Some(userinfo), |_| {});
    let identity = identity.expect("an identity");
    assert_eq!((identity.email.as_str(), identity.preferred_username.as_str()), ("i@x.test", "u"));
    assert_eq!((identity.user.as_str(), identity.groups), ("alice", vec!["u".to_owned()]));
}

#[test]
fn an_address_the_provider_does_not_vouch_for_is_refused() {
    let verified = |value: Value| identity_of(json!({ "email": "a@x.test", "email_verified": value }), None, |_| {});
    for yes in [json!(true), json!("true"), json!("True"), json!(1), Value::Null] {
        assert!(verified(yes.clone()).is_ok(), "{yes}");
    }
    for no in [json!(false), json!("false"), json!(0), json!("no"), json!([true]), json!({})] {
        assert_eq!(verified(no.clone()), Err(InvalidClaims::EmailNotVerified), "{no}");
    }
    let unverified = json!({ "email": "a@x.test", "upn": "a@x.test", "email_verified": false });
    let other_claim = identity_of(unverified.clone(), None, |config| config.claims.email = "upn".to_owned());
    assert!(other_claim.is_ok(), "it speaks of `email` only");
    let allowed = identity_of(unverified, None, |config| config.verification.allow_unverified_email = true);
    assert!(allowed.is_ok());
    let by_userinfo = identity_of(json!({ "email": "a@x.test" }), Some(json!({ "email_verified": false })), |_| {});
    assert_eq!(by_userinfo, Err(InvalidClaims::EmailNotVerified));
}

#[test]
fn userinfo_is_wanted_for_what_is_missing() {
    let full = json!({ "email": "a", "groups": [], "preferred_username": "p", "email_verified": true });
    let wanted = |claims: &Value| wants_userinfo(&object(claims.clone()), &config("https://issuer.test"));
    assert!(!wanted(&full));
    for claim in ["email", "groups", "preferred_username", "email_verified"] {
        let mut less = full.clone();
        less.as_object_mut().expect("an object").remove(claim);
        assert!(wanted(&less), "{claim}");
    }
}

proptest! {
    #[test]
    fn any_path_is_looked_up(path in ".*", key in ".*") {
        let claims = object(json!({ key.clone(): { key: "x" }, "email": "a" }));
        let _ = lookup(&claims, &path);
    }
}
