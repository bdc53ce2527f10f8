//! Tests of reading structured files.

use std::ffi::OsString;

use crate::config::headers::{Claim, ValueSource};
use crate::config::load::{Request, load};
use crate::config::{Config, ConfigError};

const GOOD: &str = "
server:
  bindAddress: 127.0.0.1:0
upstreamConfig:
  upstreams:
    - {id: root, path: /, static: true, staticCode: 202}
providers:
  - id: main
    provider: oidc
    clientID: $RP
    clientSecret: hunter2
    oidcConfig: {issuerURL: 'https://id.test', audienceClaims: [aud, azp]}
    additionalClaims: [dept]
";

fn loaded_with(yaml: &str, further: &[&str]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.yaml");
    std::fs::write(&path, yaml).expect("written");
    let mut args = vec![
        format!("--alpha-config={}", path.display()),
        "--cookie-secret=0123456789abcdef0123456789abcdef".to_owned(),
        "--email-domain=*".to_owned(),
    ];
    args.extend(further.iter().map(|flag| (*flag).to_owned()));
    let variables = |name: &str| (name == "RP").then(|| OsString::from("rp"));
    match load(&args, &variables)? {
        Request::Serve(config) | Request::Tested(config) => Ok(*config),
        Request::Help | Request::Version => panic!("not asked for"),
    }
}

fn refusal(yaml: &str, further: &[&str]) -> (String, u8) {
    let error = loaded_with(yaml, further).expect_err("refused");
    (error.to_string(), error.exit_code())
}

#[test]
fn it_becomes_the_same_configuration() {
    let rules = "
injectResponseHeaders:
  - name: X-Team
    values:
      - claimSource: {claim: team.name, prefix: 'of '}
      - secretSource: {value: a$$b}
";
    let config = loaded_with(&format!("{GOOD}{rules}"), &["--cookie-name=portal"]).expect("good");
    let (provider, site) = (&config.providers[0], &config.sites[0]);
    assert_eq!((provider.id.as_str(), site.provider.as_str()), ("main", "main"));
    assert_eq!((provider.client_id.as_str(), provider.issuer_url.as_str()), ("rp", "https://id.test"));
    assert_eq!(provider.claims.audience, ["aud", "azp"]);
    assert_eq!(provider.claims.additional, ["dept", "team.name"]);
    assert!(provider.login_parameters.is_empty(), "approval_prompt belongs to the options");
    assert_eq!(site.cookie.name, "portal");
    let rule = &site.headers.answers[0];
    assert_eq!((rule.name.as_str(), rule.values.len()), ("X-Team", 2));
    let ValueSource::Secret(secret) = &rule.values[1] else { panic!("a secret") };
    assert_eq!(secret.expose(), "a$b");
    assert!(
        matches!(&rule.values[0], ValueSource::Claim { claim: Claim::Additional(name), .. } if name == "team.name")
    );
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn options_that_it_replaces_are_unknown_beside_it() {
    let (text, code) = refusal(GOOD, &["--client-id=x", "--set-xauthrequest"]);
    assert_eq!(code, 2);
    assert!(text.contains("`client_id`: the flag --client-id is unknown beside --alpha-config"), "{text}");
    assert!(text.contains("`set_xauthrequest`"), "{text}");
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let wrong = "
server: {bindAdress: x}
injectRequestHeaders:
  - values: []
  - name: X-A
    values: [{claimSource: {claim: email}, secretSource: {value: x}}]
  - name: X-B
    values: [{secretSource: {value: x, fromEnv: RP}}, {claimSource: {claim: refresh_token}}]
providers:
  - {id: main, clientID: 7, clientSecret: s, nosuch: 1, loginURLParameters: [{name: p, allow: [{pattern: '('}]}]}
  - {id: main}
";
    let (text, code) = refusal(wrong, &[]);
    assert_eq!(code, 1);
    for part in [
        "unknown key `bindAdress` in server: did you mean `bindAddress`?",
        "injectRequestHeaders[0].name must be the name of a header",
        "injectRequestHeaders[1].values[0].claimSource: give one of",
        "injectRequestHeaders[2].values[0].secretSource: has several sources",
        "refresh_token is not handed out",
        "providers[0].clientID must be text",
        "unknown key `nosuch` in providers[0]",
        "providers[0].loginURLParameters[0].allow[0].pattern",
        "providers[1].id stands there twice",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn what_is_no_yaml_is_told_without_its_text() {
    for broken in
        ["x: hunter2: y\n", "x: \"hunter2\n", "server:\n\thunter2: x\n", "a: hunter2\na: hunter2\n", "- hunter2\n"]
    {
        let (text, code) = refusal(broken, &[]);
        assert_eq!(code, 1);
        assert!(text.contains("`alpha_config`") && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn both_listeners_serve_and_a_secure_one_needs_its_certificate() {
    let secure = "  secureBindAddress: 127.0.0.1:0\n";
    let (text, _) = refusal(&GOOD.replace("upstreamConfig:", &format!("{secure}upstreamConfig:")), &[]);
    assert!(text.contains("server.tls: secureBindAddress needs cert and key"), "{text}");
    let tls = format!("{secure}  tls: {{cert: {{value: c}}, key: {{fromEnv: RP}}, minVersion: TLS1.3}}\n");
    let config = loaded_with(&GOOD.replace("upstreamConfig:", &format!("{tls}upstreamConfig:")), &[]).expect("good");
    assert!(config.http.address.is_some());
    assert!(config.http.tls.expect("secure").only_tls13);
}
