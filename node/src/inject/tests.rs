//! Tests of the headers that the rules make of a session.

use conclave_proto::header_value::Unfitting;
use conclave_proto::session::Identity;

use super::*;
use crate::config::Secret;

fn body() -> SessionBody {
    SessionBody {
        identity: Identity {
            user: "u1".to_owned(),
            email: "u1@example.test".to_owned(),
            groups: vec!["a".to_owned(), "b".to_owned(), "größe".to_owned()],
            preferred_username: String::new(),
            groups_claimed: true,
        },
        issuer: "https://idp.test".to_owned(),
        id_token: "id.to.ken".to_owned(),
        access_token: "access".to_owned(),
        refresh_token: String::new(),
        token_expires_at: None,
        additional_claims: vec![("dept".to_owned(), r#""lab""#.to_owned())],
        local_line: None,
    }
}

fn texts(headers: &InjectedHeaders) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

#[test]
fn headers_follow_the_rules() {
    let bare = answer_headers(&HeaderConfig::default(), &body()).expect("fits").headers;
    assert_eq!(texts(bare.at(Arrival::Shared)), pairs([("gap-auth", "u1@example.test")]));
    let settings = HeaderConfig {
        answers: vec![
            HeaderRule::of_claim("X-Auth-Request-User", Claim::User, ""),
            HeaderRule::of_claim("X-Auth-Request-Preferred-Username", Claim::PreferredUsername, ""),
            HeaderRule::of_claim("X-Auth-Request-Groups", Claim::Groups, ""),
            HeaderRule::of_claim("X-Dept", Claim::Additional("dept".to_owned()), "of "),
            HeaderRule::of_claim("X-None", Claim::Additional("none".to_owned()), "of "),
            HeaderRule::basic(Claim::Email, Secret::new("pw".to_owned())),
        ],
        ..HeaderConfig::default()
    };
    let expected = pairs([
        ("x-auth-request-user", "u1"),
        ("x-auth-request-preferred-username", ""),
        ("x-auth-request-groups", "a,b,größe"),
        ("x-dept", "of lab"),
        ("x-none", ""),
        ("authorization", "Basic dTFAZXhhbXBsZS50ZXN0OnB3"),
        ("gap-auth", "u1@example.test"),
    ]);
    let found = answer_headers(&settings, &body()).expect("fits").headers;
    assert_eq!(texts(found.at(Arrival::GatewaysOnly)), expected);
    let withheld = |(name, value): (String, String)| {
        let value = if name == "authorization" { String::new() } else { value };
        (name, value)
    };
    let public: Vec<_> = expected.into_iter().map(withheld).collect();
    assert_eq!(texts(found.at(Arrival::Shared)), public);
}

#[test]
fn several_sources_share_a_header_and_secrets_leave_it_where_they_may_not_go() {
    let secret = || ValueSource::Secret(Secret::new("end".to_owned()));
    let mut both = HeaderRule::of_claim("X-All", Claim::User, "");
    both.values.push(secret());
    let alone = HeaderRule { name: "X-Key".to_owned(), values: vec![secret()], ..both.clone() };
    let answers = vec![both, alone, HeaderRule::of_claim("X-User", Claim::User, "")];
    let settings = HeaderConfig { answers, ..HeaderConfig::default() };
    let found = answer_headers(&settings, &body()).expect("fits").headers;
    let gap = ("gap-auth", "u1@example.test");
    let whole = pairs([("x-all", "u1,end"), ("x-key", "end"), ("x-user", "u1"), gap]);
    assert_eq!(texts(found.at(Arrival::GatewaysOnly)), whole);
    let public = pairs([("x-all", "u1"), ("x-key", ""), ("x-user", "u1"), gap]);
    assert_eq!(texts(found.at(Arrival::Shared)), public);
    assert!(found.withheld_at(Arrival::Shared) && !found.withheld_at(Arrival::GatewaysOnly));
    let nobody = pairs([("x-all", ""), ("x-key", ""), ("x-user", "")]);
    assert_eq!(texts(&headers_of_nobody(&settings).expect("fits")), nobody);
    assert_eq!(found.head_bytes(), head_bytes(found.at(Arrival::GatewaysOnly)));
    assert!(found.weight() > found.head_bytes(), "both forms are in memory");
}

#[test]
fn p5_a_every_configured_header_stands_on_every_allowed_answer_and_takes_no_credentials_away() {
    let rules = [
        HeaderRule::of_claim("X-Groups", Claim::Groups, "of "),
        HeaderRule::of_claim("Authorization", Claim::IdToken, "Bearer "),
        HeaderRule::of_claim("X-User", Claim::User, ""),
        HeaderRule::of_claim("x-user", Claim::PreferredUsername, ""),
    ];
    let settings = HeaderConfig { answers: rules.to_vec(), ..HeaderConfig::default() };
    let nobody = injected(&settings, None, Secrets::Told).expect("fits");
    assert_eq!(texts(&nobody), pairs([("x-groups", ""), ("x-user", "")]));
    let mut body = body();
    body.identity.groups.clear();
    body.id_token.clear();
    let somebody = injected(&settings, Some(&body), Secrets::Told).expect("fits");
    assert_eq!(texts(&somebody), pairs([("x-groups", ""), ("authorization", ""), ("x-user", "u1")]));
}

fn answered(rules: Vec<HeaderRule>, unfitting: Unfitting, body: &SessionBody) -> Result<Made, UnfitClaim> {
    answer_headers(&HeaderConfig { answers: rules, unfitting, ..HeaderConfig::default() }, body)
}

fn unfit(claim: &str, why: Unfit) -> UnfitClaim {
    UnfitClaim { claim: claim.to_owned(), why }
}

#[test]
fn a_claim_cannot_forge_a_header() {
    let mut body = body();
    body.identity.groups = vec![" x\r\nX-Forged: 1\n".to_owned()];
    let rules = || vec![HeaderRule::of_claim("X-Groups", Claim::Groups, "")];
    let old = answered(rules(), Unfitting::AsOauth2Proxy, &body).expect("as oauth2-proxy");
    let forged = pairs([("x-groups", "x  X-Forged: 1"), ("gap-auth", "u1@example.test")]);
    assert_eq!((texts(old.headers.at(Arrival::Shared)), old.left_out), (forged, Vec::new()));
    let made = answered(rules(), Unfitting::LeftOut, &body).expect("never ends a login");
    let without = pairs([("x-groups", ""), ("gap-auth", "u1@example.test")]);
    assert_eq!(texts(made.headers.at(Arrival::Shared)), without);
    assert_eq!(made.left_out, [LeftOut { claim: "groups".to_owned(), values: 1 }]);
    body.identity.groups.push("x\0".to_owned());
    let refused = answered(rules(), Unfitting::AsOauth2Proxy, &body).map(drop);
    assert_eq!(refused, Err(unfit("groups", Unfit::Control)));
}

#[test]
fn as_it_is_only_claims_that_are_handed_out_are_looked_at() {
    let mut body = body();
    body.identity.preferred_username = "admin\n".to_owned();
    body.identity.user = " alice".to_owned();
    body.identity.groups = vec!["x,admins".to_owned()];
    let none = answered(Vec::new(), Unfitting::Refused, &body).expect("nothing but the e-mail address is handed out");
    assert!(none.left_out.is_empty());
    for (claim, name, why) in [
        (Claim::User, "sub", Unfit::Blank),
        (Claim::PreferredUsername, "preferred_username", Unfit::Control),
        (Claim::Groups, "groups", Unfit::Comma),
    ] {
        let rule = HeaderRule::of_claim("X-A", claim, "");
        let error = answered(vec![rule.clone()], Unfitting::Refused, &body).map(drop);
        assert_eq!(error, Err(unfit(name, why)));
        let settings = HeaderConfig { requests: vec![rule], unfitting: Unfitting::Refused, ..HeaderConfig::default() };
        assert!(answer_headers(&settings, &body).is_ok(), "{name}: no upstream gets it");
        let error = answer_headers(&HeaderConfig { hands_on: true, ..settings }, &body).map(drop);
        assert_eq!(error, Err(unfit(name, why)), "an upstream gets it");
    }
    body.identity.email = "u1@example.test ".to_owned();
    let error = answered(Vec::new(), Unfitting::LeftOut, &body).map(drop);
    assert_eq!(error, Err(unfit("email", Unfit::Blank)), "every answer names it in GAP-Auth");
}

#[test]
fn as_it_is_a_value_beside_others_is_one_of_a_list() {
    let mut body = body();
    body.identity.user = "x,admins".to_owned();
    body.additional_claims = vec![("name".to_owned(), r#""Doe, Jane""#.to_owned())];
    let name = || Claim::Additional("name".to_owned());
    let alone = vec![HeaderRule::of_claim("X-User", Claim::User, ""), HeaderRule::of_claim("X-Name", name(), "")];
    let made = answered(alone, Unfitting::LeftOut, &body).expect("each has a header of its own");
    let expected = pairs([("x-user", "x,admins"), ("x-name", "Doe, Jane"), ("gap-auth", "u1@example.test")]);
    assert_eq!(texts(made.headers.at(Arrival::Shared)), expected);
    let beside = |claim| {
        let mut rule = HeaderRule::of_claim("X-All", Claim::Email, "");
        rule.values.extend(HeaderRule::of_claim("", claim, "").values);
        vec![rule]
    };
    let error = answered(beside(Claim::User), Unfitting::LeftOut, &body).map(drop);
    assert_eq!(error, Err(unfit("sub", Unfit::Comma)));
    let made = answered(beside(name()), Unfitting::LeftOut, &body).expect("never ends a login");
    assert_eq!(made.left_out, [LeftOut { claim: "name".to_owned(), values: 1 }]);
    let made = answered(beside(Claim::User), Unfitting::Encoded, &body).expect("encoded");
    assert_eq!(texts(made.headers.at(Arrival::Shared))[0].1, "u1@example.test,x%2Cadmins");
    let basic = vec![HeaderRule::basic(Claim::User, Secret::new("pw".to_owned()))];
    body.identity.user = "system:robot".to_owned();
    let error = answered(basic, Unfitting::LeftOut, &body).map(drop);
    assert_eq!(error, Err(unfit("sub", Unfit::Colon)), "whoever reads it would take the user to be system");
}
