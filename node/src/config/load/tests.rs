//! The option table against oauth2-proxy's, the loading rules, and what the loader must never do.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use conclave_proto::forwarded::Gateway;
use conclave_proto::header_value::Unfitting;
use conclave_proto::time::Ttl;
use proptest::prelude::*;

use super::*;
use crate::config::ProviderConfig;
use crate::config::option::{Family, Kind};
use crate::config::table;
use crate::config::{Notice, NoticeLevel, PkceMode};

const TSV: &str = include_str!("../testdata/oauth2-proxy-options.tsv");

const SECRET: &str = "9f8e7d6c5b4a3928.1706f5e4d3c2b1a";

const BASE: [&str; 6] = [
    "--provider=oidc",
    "--oidc-issuer-url=https://id.test",
    "--client-id=c",
    "--client-secret=s",
    "--cookie-secret=9f8e7d6c5b4a3928.1706f5e4d3c2b1a",
    "--email-domain=*",
];

fn run(args: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    match load(&args, &|name| variables.get(name).map(OsString::from))? {
        Request::Serve(config) | Request::Tested(config) => Ok(*config),
        Request::Help | Request::Version => panic!("no configuration"),
    }
}

/// The base flags, further flags, variables and a file.
fn with(more: &[&str], variables: &[(&str, &str)], file: &str) -> Result<Config, ConfigError> {
    let here = tempfile::tempdir().expect("a directory");
    let path = here.path().join("op.cfg");
    std::fs::write(&path, file).expect("written");
    let config = format!("--config={}", path.display());
    let mut args = BASE.to_vec();
    args.push(&config);
    args.extend(more);
    run(&args, variables)
}

fn good(more: &[&str]) -> Config {
    with(more, &[], "").expect("valid")
}

fn bad(more: &[&str]) -> String {
    with(more, &[], "").expect_err("invalid").to_string()
}

#[test]
fn the_table_holds_every_row_of_oauth2_proxy() {
    let rows: Vec<Vec<&str>> = TSV.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 173);
    for row in &rows {
        let [toml, flag, variable, kind, default] = row[..5] else { panic!("short row") };
        let flag = flag.trim_start_matches("--");
        let option = match toml {
            "-" => table::by_flag(flag).next(),
            _ => table::by_name(toml),
        };
        let option = option.unwrap_or_else(|| panic!("{flag} is missing"));
        assert_eq!(option.flag, flag);
        assert_eq!(option.variable().as_deref().unwrap_or("-"), variable, "{flag}");
        assert_eq!(option.kind.name(), kind, "{flag}");
        assert_eq!(option.default, if default == "(empty)" { "" } else { default }, "{flag}");
    }
    let ours = table::all().filter(|option| option.family != Family::Conclave).count();
    assert_eq!(ours, rows.len(), "no other row claims to be oauth2-proxy's");
}

#[test]
fn names_are_unique_and_every_default_is_of_its_kind() {
    let mut names: Vec<&str> = table::all().map(|option| option.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    for option in table::all() {
        let _ = option.default_value();
        assert!(!option.help.is_empty(), "{}", option.name);
    }
}

#[test]
fn flag_over_variable_over_file_over_default() {
    let file = "ping_path = '/file'\ncookie_expire = '3h'\nwhitelist_domains = ['file.test']\n";
    let path = |more: &[&str], variables: &[(&str, &str)]| with(more, variables, file).expect("valid").health.ping_path;
    assert_eq!(good(&[]).health.ping_path, "/ping");
    assert_eq!(path(&[], &[]), "/file");
    assert_eq!(path(&[], &[("OAUTH2_PROXY_PING_PATH", "")]), "/file");
    assert_eq!(path(&[], &[("OAUTH2_PROXY_PING_PATH", "/env")]), "/env");
    assert_eq!(path(&["--ping-path=/flag"], &[("OAUTH2_PROXY_PING_PATH", "/env")]), "/flag");
    assert_eq!(path(&["--ping-path="], &[("OAUTH2_PROXY_PING_PATH", "/env")]), "");
    assert_eq!(path(&["--ping-path=/ping"], &[]), "/ping");
    let expire = with(&["--cookie-expire=0"], &[("OAUTH2_PROXY_COOKIE_EXPIRE", "2h")], file).expect("valid");
    assert_eq!(expire.sites[0].cookie.max_age(), None);
    let hosts = with(&[], &[("OAUTH2_PROXY_WHITELIST_DOMAINS", "env.test,x.test")], file).expect("valid");
    let allowed = &hosts.sites[0].allowed_hosts;
    assert!(allowed.allow("x.test") && !allowed.allow("file.test"));
}

#[test]
fn our_own_options_are_flags_variables_and_keys() {
    let file = "peers = ['a.test', 'b.test:9']\nself = 'a.test'\ngateway = 'nginx'\n";
    let variables = [("CONCLAVE_MAX_STALENESS", "2s"), ("OAUTH2_PROXY_DRAIN_DELAY", "1s"), ("CONCLAVE_GATEWAY", "")];
    let config = with(&["--raft-timeouts=wide-area", "--auth-ok-status=200"], &variables, file).expect("valid");
    assert_eq!(config.cluster.self_name.as_str(), "a.test:4181");
    assert_eq!(config.cluster.peers.len(), 2);
    assert_eq!(config.cluster.max_staleness, Ttl::from_secs(2));
    assert_eq!(config.drain_delay, Ttl::from_secs(10), "our options take no variable of oauth2-proxy's");
    assert_eq!((config.gateway.gateway, config.sites[0].auth_ok_status), (Gateway::Nginx, 200));
}

#[test]
fn every_problem_is_told_at_once_with_its_option() {
    let error = run(
        &[
            "--cookie-secret=short",
            "--cookie-samesite=odd",
            "--trusted-ip=h.test",
            "--trusted-proxy-ip=10.0.0.1/8",
            "--signature-key=nocolon",
            "--cookie-refresh=200h",
            "--gateway=apache",
            "--peers=a.test",
        ],
        &[("OAUTH2_PROXY_REAL_CLIENT_IP_HEADER", "X-No"), ("OAUTH2_PROXY_REVERSE_PROXY", "true")],
    )
    .expect_err("invalid");
    let text = error.to_string();
    assert!(text.starts_with("invalid configuration:\n"), "{text}");
    for option in [
        "cookie_secret",
        "cookie_samesite",
        "trusted_ips",
        "trusted_proxy_ips",
        "signature_key",
        "cookie_refresh",
        "cookie_expire",
        "gateway",
        "self",
        "real_client_ip_header",
        "client_id",
        "client_secret",
        "client_secret_file",
        "email_domains",
        "authenticated_emails_file",
    ] {
        assert!(text.contains(&format!("`{option}`")), "{option} in {text}");
    }
    assert_eq!(error.exit_code(), 1);
}

/// As a cookie that browsers drop: each login would end where it began, and nothing would say why.
#[test]
fn a_prefix_browsers_drop_is_refused() {
    let refused = |more: &[&str]| with(more, &[], "").map(drop).map_err(|error| error.to_string());
    let secure = ["--cookie-secure=true", "--cookie-path=/", "--cookie-httponly=true"];
    for (name, flag, option) in [
        ("__Host-a", "--cookie-secure=false", "cookie_secure"),
        ("__Host-a", "--cookie-path=/app", "cookie_path"),
        ("__Host-a", "--cookie-domain=example.test", "cookie_domains"),
        ("__Secure-a", "--cookie-secure=false", "cookie_secure"),
        ("__secure-a", "--cookie-secure=false", "cookie_secure"),
        ("__Http-a", "--cookie-httponly=false", "cookie_httponly"),
    ] {
        let name = format!("--cookie-name={name}");
        let more: Vec<&str> = secure.into_iter().chain([name.as_str(), flag]).collect();
        let text = refused(&more).expect_err("refused");
        assert!(text.contains(&format!("`{option}`: must be")) && text.contains("`cookie_name`"), "{more:?}: {text}");
        assert_eq!(refused(&more[..4]), Ok(()), "{name} without {flag}");
    }
    for flag in ["--cookie-path=/app", "--cookie-domain=example.test"] {
        assert_eq!(refused(&["--cookie-name=__Secure-a", "--cookie-secure=true", flag]), Ok(()), "{flag}");
        assert_eq!(refused(&["--cookie-name=_oauth2_proxy", "--cookie-secure=false", flag]), Ok(()), "{flag}");
    }
}

#[test]
fn a_flag_that_cannot_be_read_exits_as_oauth2_proxy_does() {
    let code = |more: &[&str]| with(more, &[], "").expect_err("invalid").exit_code();
    assert_eq!(code(&["--cookie-secure=yes"]), 2);
    assert_eq!(code(&["--cookie-expire=3600"]), 2);
    assert_eq!(code(&["--no-such-flag", "--help"]), 2);
    assert_eq!(code(&["--api-route=\"^/x"]), 2);
    assert_eq!(with(&[], &[], "no_such_key = 1").expect_err("invalid").exit_code(), 1);
}

#[test]
fn start_up_checks_of_oauth2_proxy() {
    let table: &[(&[&str], &str)] = &[
        (&["--cookie-name=a=b"], "cookie_name"),
        (&["--cookie-expire=-1h"], "cookie_expire"),
        (&["--cookie-csrf-samesite=odd"], "cookie_csrf_samesite"),
        (&["--session-cookie-minimal", "--cookie-refresh=1h"], "session_cookie_minimal"),
        (&["--session-cookie-minimal", "--pass-access-token"], "session_cookie_minimal"),
        (&["--set-basic-auth", "--set-authorization-header", "--basic-auth-password=x"], "set_basic_auth"),
        (&["--basic-auth-password=x", "--pass-authorization-header"], "pass_basic_auth"),
        (&["--set-basic-auth"], "basic_auth_password"),
        (&["--oidc-enabled-signing-alg=rs256"], "oidc_enabled_signing_algs"),
        (&["--api-route=^/("], "api_routes"),
        (&["--skip-auth-route=^/(?!x)"], "skip_auth_routes"),
        (&["--skip-auth-regex=^/(a)\\1"], "skip_auth_regex"),
        (&["--trusted-ip=10.0.0.1/8"], "trusted_ips"),
        (&["--trusted-proxy-ip=10.0.0.0/33"], "trusted_proxy_ips"),
        (&["--upstream=ftp://h.test/"], "upstreams"),
        (&["--upstream=static://200", "--upstream=static://202"], "upstreams"),
        (&["--redirect-url=http://h.test/%zz"], "redirect_url"),
        (&["--oidc-issuer-url=idp.test"], "oidc_issuer_url"),
        (&["--provider=okta"], "provider"),
        (&["--provider=github"], "provider"),
        (&["--github-org=o"], "github_org"),
        (&["--allowed-role=r"], "allowed_roles"),
        (&["--skip-oidc-discovery"], "oidc_jwks_url"),
        (&["--provider-ca-file=/nowhere/ca"], "provider_ca_files"),
        (&["--authenticated-emails-file=/nowhere/mails"], "authenticated_emails_file"),
        (&["--cookie-secret=", "--cookie-secret-file=/nowhere/key"], "cookie_secret_file"),
        (&["--tls-cert-file=/nowhere/c"], "tls_key_file"),
        (&["--force-https"], "force_https"),
        (&["--http-address=nonsense"], "http_address"),
        (&["--http-address=-"], "http_address"),
        (&["--metrics-address=nonsense"], "metrics_address"),
        (&["--standard-logging-format={{.Message"], "standard_logging_format"),
        (&["--convert-config-to-alpha"], "convert_config_to_alpha"),
        (&["--max-staleness=0"], "max_staleness"),
        (&["--peers=a.test,b.test", "--self=c.test"], "self"),
    ];
    for (flags, option) in table {
        let text = bad(flags);
        assert!(text.contains(&format!("`{option}`")), "{flags:?}: {text}");
    }
}

#[test]
fn members_need_a_secret_that_cannot_be_guessed() {
    let placeholder = "--cookie-secret=0123456789abcdef0123456789abcdef";
    assert!(with(&[placeholder], &[], "").is_ok());
    assert!(bad(&[placeholder, "--peers=a.test", "--self=a.test"]).contains("placeholder"));
    // 16 bytes with its newline, as oauth2-proxy counts.
    let here = tempfile::tempdir().expect("a directory");
    std::fs::write(here.path().join("key"), "q7sZ1nGd0kV4mXw\n").expect("written");
    let short = format!("--cookie-secret-file={}", here.path().join("key").display());
    let short = ["--cookie-secret=", &short];
    assert!(with(&short, &[], "").is_ok());
    let text = bad(&[&short[..], &["--peers=a.test", "--self=a.test"]].concat());
    assert!(text.contains("`cookie_secret`: has fewer than 16 bytes when decoded"), "{text}");
    let previous = "--cookie-secret-previous=aaaaaaaaaaaaaaaa";
    let text = bad(&[previous, "--peers=a.test", "--self=a.test"]);
    assert!(text.contains("`cookie_secret_previous`") && !text.contains("aaaa"), "{text}");
}

#[test]
fn key_guess_members_are_warned_of_secrets_that_look_typed() {
    let warnings = |flags: &[&str]| -> Vec<String> {
        let notices = good(flags).notices;
        let warnings = notices.iter().filter(|notice| notice.level == NoticeLevel::Warning);
        let secrets = warnings.filter(|notice| notice.option.starts_with("cookie_secret"));
        secrets.map(|notice| format!("{} {}", notice.option, notice.text)).collect()
    };
    let member = ["--peers=a.test", "--self=a.test"];
    assert_eq!(warnings(&member), [""; 0], "32 bytes of many kinds");
    let typed = ["--cookie-secret=mysupersecretkey", "--cookie-secret-previous=companysecret742"];
    assert_eq!(warnings(&typed), [""; 0], "a replica on its own has no peer port");
    let said = warnings(&[&typed[..], &member[..]].concat());
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].starts_with("cookie_secret has 16 bytes") && said[1].contains("few different"), "{said:?}");
    assert!(said[2].starts_with("cookie_secret_previous has 16 bytes"), "{said:?}");
    assert!(!said.concat().contains("mysuper") && !said.concat().contains("company"), "{said:?}");
}

#[test]
fn admin_hosts_are_names_without_ports() {
    for odd in ["ops.example.com:4182", "*", "http://ops"] {
        assert!(bad(&[&format!("--admin-hosts={odd}")]).contains("`admin_hosts`"), "{odd}");
    }
    let config = good(&["--admin-hosts=ops.example.com", "--admin-address=10.0.0.1:4182"]);
    for host in ["ops.example.com", "10.0.0.1:4182", "localhost:4182"] {
        assert_eq!(config.admin_hosts.check([host.as_bytes()], false), Ok(()), "{host}");
    }
}

#[test]
fn secrets_come_from_files_too() {
    let here = tempfile::tempdir().expect("a directory");
    let path = here.path().join("key");
    std::fs::write(&path, format!("{SECRET}\n")).expect("written");
    let file = format!("--cookie-secret-file={}", path.display());
    let client = format!("--client-secret-file={}", path.display());
    let config = good(&["--cookie-secret=", &file, "--client-secret=", &client]);
    assert_eq!(config.cluster.secrets[0].bytes(), SECRET.as_bytes());
    let secret = config.providers[0].client_secret.as_ref().expect("given").read().expect("readable");
    assert_eq!(secret.expose(), SECRET);
    assert!(!format!("{config:?}").contains(SECRET));
}

fn sent(provider: &ProviderConfig) -> Vec<(&str, &str)> {
    conclave_proto::login::login_parameters(&provider.login_parameters, &[])
}

#[test]
fn defaults_are_the_safe_ones() {
    let provider = &good(&[]).providers[0];
    assert_eq!((provider.pkce, provider.verification.skip_nonce), (PkceMode::WhereAllowed, false));
    assert_eq!(provider.scope, "openid email profile");
    assert_eq!(sent(provider), [("approval_prompt", "force")]);
    let config = good(&["--insecure-oidc-skip-nonce", "--allowed-group=g", "--prompt=login", "--user-id-claim=upn"]);
    let provider = &config.providers[0];
    assert!(provider.verification.skip_nonce);
    assert_eq!(provider.scope, "openid email profile groups");
    assert_eq!(sent(provider), [("prompt", "login")]);
    assert_eq!(provider.claims.email, "upn");
    let warned = |notice: &Notice| notice.option == "insecure_oidc_skip_nonce" && notice.level == NoticeLevel::Warning;
    assert!(config.notices.iter().any(warned));
}

#[test]
fn login_cookies_stay_within_bounds() {
    let bounds = |more: &[&str]| {
        let cookie = good(more).sites[0].cookie.clone();
        (cookie.login_expire.as_secs(), cookie.login_limit)
    };
    assert_eq!(bounds(&[]), (900, 5));
    assert_eq!(bounds(&["--cookie-csrf-expire=5m", "--cookie-csrf-per-request-limit=2"]), (300, 2));
    assert_eq!(bounds(&["--cookie-csrf-expire=24h", "--cookie-csrf-per-request-limit=99"]), (900, 5));
    assert_eq!(bounds(&["--cookie-csrf-expire=0", "--cookie-csrf-per-request-limit=-1"]), (900, 5));
}

#[test]
fn notices_say_what_is_ignored_and_what_is_not_served_yet() {
    let config =
        good(&["--redis-connection-url=redis://x", "--session-store-type=redis", "--validate-url=https://x.test/"]);
    let level = |name: &str| config.notices.iter().find(|notice| notice.option == name).map(|notice| notice.level);
    assert_eq!(level("redis_connection_url"), Some(NoticeLevel::Info));
    assert_eq!(level("session_store_type"), Some(NoticeLevel::Info));
    assert_eq!(level("validate_url"), Some(NoticeLevel::Warning));
    assert_eq!(level("client_id"), None);
}

#[test]
fn help_version_and_config_test_are_requests() {
    let request = |args: &[&str]| {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        load(&args, &|_| None)
    };
    assert!(matches!(request(&["--help"]), Ok(Request::Help)));
    assert!(matches!(request(&["--version", "--cookie-samesite=odd"]), Ok(Request::Version)));
    assert!(request(&["--config-test"]).is_err());
    let mut args = BASE.to_vec();
    args.push("--config-test");
    assert!(matches!(request(&args), Ok(Request::Tested(_))));
}

/// What is planted must not show in any message, however the configuration is broken.
const PLANTED: &str = "hunter2hunter2";

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("true".to_owned()),
        Just("-1h".to_owned()),
        Just("\"".to_owned()),
        "[ -~]{0,12}",
        "\\PC{0,12}",
    ]
}

fn secret_value() -> impl Strategy<Value = String> {
    (any_value(), any_value()).prop_map(|(before, after)| format!("{before}{PLANTED}{after}"))
}

/// A value for an option: planted for secret ones, anything else for the others.
fn setting() -> impl Strategy<Value = (usize, String, String)> {
    (0..table::all().count(), secret_value(), any_value())
}

fn chosen((index, secret, plain): &(usize, String, String)) -> (&'static crate::config::option::Opt, String) {
    let option = table::all().nth(*index).expect("in range");
    (option, if option.secret { secret.clone() } else { plain.clone() })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_loader_never_panics_and_never_prints_a_secret(
        flags in prop::collection::vec(setting(), 0..6),
        variables in prop::collection::vec(setting(), 0..6),
        keys in prop::collection::vec((setting(), 0..4u8), 0..6),
        broken in prop::option::of("[ -~]{0,20}"),
    ) {
        let args: Vec<String> = flags.iter().map(chosen).filter(|(option, _)| option.name != "config")
            .map(|(option, value)| format!("--{}={value}", option.flag)).collect();
        let variables: BTreeMap<String, String> = variables.iter().map(chosen)
            .filter_map(|(option, value)| Some((option.variable()?, value))).collect();
        let mut file = String::new();
        for (setting, form) in &keys {
            let (option, value) = chosen(setting);
            let quoted = format!("{value:?}");
            let line = match form {
                0 => format!("{} = {quoted}\n", option.name),
                1 => format!("{} = [{quoted}]\n", option.name),
                2 => format!("{} = {value}\n", option.name),
                _ => format!("{} {quoted}\n", option.name),
            };
            file.push_str(&line);
        }
        file.push_str(broken.as_deref().unwrap_or_default());
        let here = tempfile::tempdir().expect("a directory");
        let path = here.path().join("op.cfg");
        std::fs::write(&path, &file).expect("written");
        let mut args = args;
        args.push(format!("--config={}", path.display()));
        let outcome = load(&args, &|name| variables.get(name).map(OsString::from));
        let said = match &outcome {
            Ok(request) => format!("{request:?}"),
            Err(error) => format!("{error}{error:?}"),
        };
        prop_assert!(!said.contains(PLANTED), "{said}");
        let (report, _) = crate::config::check::report(&args, &|name| variables.get(name).map(OsString::from));
        prop_assert!(!report.contains(PLANTED), "{report}");
    }
}

#[test]
fn the_hidden_kind_of_option_is_the_exception() {
    let hidden: Vec<&str> = table::all().filter(|option| option.hidden).map(|option| option.name).collect();
    assert_eq!(hidden, ["snapshot_min_interval"]);
    assert!(table::by_name("client_secret").is_some_and(|option| option.secret && option.kind == Kind::Text));
    assert!(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).is_dir());
}

#[test]
fn the_gateways_listener_has_the_certificate_of_the_service() {
    let here = tempfile::tempdir().expect("a directory");
    let pem = here.path().join("tls.pem");
    std::fs::write(&pem, "").expect("written");
    let tls = [format!("--tls-cert-file={}", pem.display()), format!("--tls-key-file={}", pem.display())];
    let speaks_tls = |address: &str, more: &[String]| {
        let address = format!("--auth-address={address}");
        let mut flags = vec![address.as_str()];
        flags.extend(more.iter().map(String::as_str));
        good(&flags).http.gateways.map(|gateways| gateways.tls)
    };
    assert!(good(&[]).http.gateways.is_none());
    assert_eq!(speaks_tls("-", &tls), None);
    assert_eq!(speaks_tls("0.0.0.0:4183", &[]), Some(false));
    assert_eq!(speaks_tls("0.0.0.0:4183", &tls), Some(true));
    assert_eq!(speaks_tls("https://0.0.0.0:4183", &tls), Some(true));
    assert_eq!(speaks_tls("http://0.0.0.0:4183", &tls), Some(false));
    assert_eq!(speaks_tls("unix:///run/auth.sock", &tls), Some(false));
    assert!(bad(&["--auth-address=https://0.0.0.0:4183"]).contains("`auth_address`: says https"));
    assert!(bad(&["--auth-address=4183"]).contains("`auth_address`"));
}

#[test]
fn values_that_no_list_can_hold_are_left_out_unless_the_option_says_otherwise() {
    let headers = |more: &[&str]| good(more).sites[0].headers.clone();
    assert_eq!(headers(&[]).unfitting, Unfitting::LeftOut);
    assert_eq!(headers(&["--list-separator-in-values=encode"]).unfitting, Unfitting::Encoded);
    assert!(bad(&["--list-separator-in-values=drop"]).contains("list_separator_in_values"));
    let old = good(&["--list-separator-in-values=as-oauth2-proxy"]);
    let warned = |notice: &Notice| notice.option == "list_separator_in_values" && notice.level == NoticeLevel::Warning;
    assert!(old.notices.iter().any(warned), "two people can have one name: {:?}", old.notices);
    assert!(!headers(&["--upstream=static://202"]).hands_on, "no request goes anywhere");
    assert!(headers(&["--upstream=http://app.test/"]).hands_on);
}

#[test]
fn each_header_whose_secret_is_withheld_is_named_with_the_option() {
    let basic = ["--set-basic-auth=true", "--basic-auth-password=hunter2"];
    let said = |more: &[&str]| {
        let flags: Vec<&str> = basic.iter().chain(more).copied().collect();
        good(&flags).notices.into_iter().filter(|notice| notice.option == "auth_address").collect::<Vec<_>>()
    };
    let off = said(&[]);
    assert_eq!((off.len(), off[0].level), (1, NoticeLevel::Warning), "{off:?}");
    assert!(off[0].text.contains("header Authorization") && off[0].text.contains("is off"), "{off:?}");
    let on = said(&["--auth-address=127.0.0.1:4183"]);
    assert_eq!((on.len(), on[0].level), (1, NoticeLevel::Info), "{on:?}");
    assert!(good(&["--set-xauthrequest=true"]).notices.iter().all(|notice| notice.option != "auth_address"));
    assert!(off.iter().chain(&on).all(|notice| !notice.text.contains("hunter2")));

    let here = tempfile::tempdir().expect("a directory");
    let file = here.path().join("alpha.yaml");
    let text = "server: {bindAddress: 127.0.0.1:0}\nproviders:\n- {id: main, provider: oidc, clientID: rp, \
                clientSecret: secret, oidcConfig: {issuerURL: 'https://id.test'}}\ninjectResponseHeaders:\n\
                - {name: X-Key, values: [{secretSource: {value: hunter2}}]}\n\
                - {name: X-User, values: [{claimSource: {claim: user}}]}\n\
                - {name: X-Login, values: [{claimSource: {claim: user, basicAuthPassword: {value: hunter2}}}]}\n";
    std::fs::write(&file, text).expect("written");
    let alpha = format!("--alpha-config={}", file.display());
    let config = run(&[&alpha, BASE[4], BASE[5]], &[]).expect("valid");
    let named: Vec<&str> =
        config.notices.iter().filter(|n| n.option == "auth_address").map(|n| n.text.as_str()).collect();
    assert_eq!(named.len(), 2, "{named:?}");
    assert!(named[0].contains("header X-Key") && named[1].contains("header X-Login"), "{named:?}");
}
