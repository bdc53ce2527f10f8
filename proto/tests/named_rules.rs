//! The rules that published advisories stand for, each under its id (`tests/named_rules.tsv` lists
//! them all): those that pure functions hold.

use std::net::{IpAddr, Ipv4Addr};

use conclave_proto::forwarded::{
    Arrival, Endpoint, Gateway, GatewayConfig, HeaderView, OriginalRequest, OwnRequest, PeerAddress, TrustedProxies,
    original_request,
};
use conclave_proto::id::{ClusterId, Epoch, ProviderId, SiteId};
use conclave_proto::keyring::{ClusterKey, CookieSecret, Keyring};
use conclave_proto::login::{LOGIN_ENTROPY, LoginAttempt};
use conclave_proto::policy::{
    Decision, EmailDomains, Known, OpeningRules, Policy, QueryConstraints, decide, login_allowed,
};
use conclave_proto::redirect::{AllowedHosts, ReturnTo, Targets};
use conclave_proto::session::Identity;
use conclave_proto::ticket::{TICKET_ENTROPY, Ticket};
use conclave_proto::time::{Timestamp, Ttl};

const PROXY: PeerAddress = PeerAddress::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
const STRANGER: PeerAddress = PeerAddress::Ip(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)));
const OWN: OwnRequest<'static> =
    OwnRequest { arrival: Arrival::Shared, method: "GET", scheme: "http", host: "auth.svc", uri: "/oauth2/auth" };
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_123);

struct Headers<'h>(&'h [(&'h str, &'h str)]);

impl HeaderView for Headers<'_> {
    fn each<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        self.0.iter().filter(|(given, _)| *given == name).for_each(|(_, value)| visit(value.as_bytes()));
    }
}

fn gateway(kind: Gateway, reverse_proxy: bool) -> GatewayConfig {
    let trusted = TrustedProxies::parse(&["127.0.0.1"]).expect("an address");
    GatewayConfig { gateway: kind, reverse_proxy, trusted, real_client_ip_header: "x-forwarded-for".to_owned() }
}

fn opens(rules: &OpeningRules, config: &GatewayConfig, peer: PeerAddress, headers: &[(&str, &str)]) -> bool {
    let headers = Headers(headers);
    rules.open(&original_request(config, &peer, Endpoint::Auth, OWN, &headers).request.opening)
}

/// Whether nginx reporting that path opens a rule.
fn path_opens(pattern: &str, uri: &str) -> bool {
    let rules = OpeningRules::parse(&[pattern], &[], false, &[]).expect("a pattern");
    let url = format!("http://app.test{uri}");
    opens(&rules, &gateway(Gateway::Nginx, false), PROXY, &[("x-original-url", &url), ("x-original-method", "GET")])
}

fn is_return_target(raw: &str, allowed: &[&str]) -> bool {
    let hosts = AllowedHosts::parse(allowed).expect("hosts");
    ReturnTo::parse(raw, &Targets { hosts: &hosts, prefix: "/oauth2", own_hosts: &["service.test"] }).is_ok()
}

fn person(email: &str, groups: &[&str]) -> Identity {
    Identity {
        user: "u".to_owned(),
        email: email.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        preferred_username: String::new(),
        groups_claimed: true,
    }
}

fn ring() -> Keyring {
    let (secret, cluster) =
        (CookieSecret::parse("0123456789abcdef0123456789abcdef").expect("a secret"), ClusterId::from_bytes([7; 16]));
    let envelope = ClusterKey::mint([9; 32]).wrap(&secret, cluster, [3; 12]);
    Keyring::open(&[secret], &[envelope], cluster, Epoch::new(1)).expect("the envelope opens")
}

#[test]
fn s_01_ghsa_qqxw_m5fj_f7gv_cve_2020_5233_a_backslash_is_no_path() {
    assert!(is_return_target("/evil.test", &[]));
    for raw in ["/\\evil.test", "/\\\\evil.test", "\\/evil.test", "\\\\evil.test", "/a/\\evil.test"] {
        assert!(!is_return_target(raw, &[]), "{raw}");
    }
}

#[test]
fn s_02_ghsa_j7px_6hwj_hpjg_cve_2020_11053_white_space_hides_no_slash() {
    for raw in [
        "/\n/evil.test",
        "/\t\\evil.test",
        "/\u{b}/evil.test",
        "/\u{c}/evil.test",
        "/ /evil.test",
        "/\r\n/evil.test",
        "/\t/\tevil.test",
    ] {
        assert!(!is_return_target(raw, &[]), "{raw:?}");
    }
}

#[test]
fn s_03_ghsa_5m6c_jp6f_2vcv_cve_2020_4037_dots_and_slashes_lead_nowhere() {
    assert!(is_return_target("/a.b/c", &[]));
    for raw in [
        "//evil.test",
        "///evil.test",
        "/./\\evil.test",
        "/.//evil.test",
        "/..//evil.test",
        "/a/..//evil.test",
        "/././/evil.test",
    ] {
        assert!(!is_return_target(raw, &[]), "{raw}");
    }
}

#[test]
fn s_04_ghsa_4mf2_f3wh_gvf2_cve_2021_21291_a_domain_ends_at_a_label() {
    for allowed in [".example.com", "*.example.com"] {
        assert!(is_return_target("https://app.example.com/", &[allowed]));
        for raw in ["https://badexample.com/", "https://example.com.evil.test/", "https://evil.test/.example.com"] {
            assert!(!is_return_target(raw, &[allowed]), "{raw}");
        }
    }
}

#[test]
fn s_05_ghsa_652x_m2gr_hppm_cve_2021_21411_a_group_rule_restricts() {
    let mut policy = Policy { email_domains: EmailDomains::parse(&["*"]), ..Policy::default() };
    policy.allowed_groups.insert("staff".to_owned());
    assert!(login_allowed(&policy, Known::by_provider(&person("a@b.test", &["staff"]))).is_ok());
    for groups in [&[][..], &["other"], &["Staff"], &["staff "], &["sta", "ff"]] {
        assert!(login_allowed(&policy, Known::by_provider(&person("a@b.test", groups))).is_err(), "{groups:?}");
    }
}

#[test]
fn s_06_ghsa_7rh7_c77v_6434_cve_2025_54576_a_query_is_no_path() {
    let pattern = "^/api/.*/status";
    assert!(path_opens(pattern, "/api/v1/status"));
    for uri in
        ["/api/secret?x=/status", "/api/secret?/a/status", "/api/secret?x=1&y=/v1/status", "/api/secret%3fx=/v1/status"]
    {
        assert!(!path_opens(pattern, uri), "{uri}");
    }
    for query in ["a;b", "next=%23top", "x=\\y", "url=//a/../b", "q=%E9", "%00", "?"] {
        assert!(path_opens(pattern, &format!("/api/v1/status?{query}")), "{query} takes nothing away either");
    }
}

#[test]
fn s_09_ghsa_7x63_xv5r_3p2x_cve_2026_40575_a_strangers_uri_opens_nothing() {
    let rules = OpeningRules::parse(&["^/open/"], &["GET!=^/secret"], true, &["192.0.2.7"]).expect("rules");
    let headers = [
        ("x-forwarded-uri", "/open/x"),
        ("x-original-url", "http://app.test/open/x"),
        ("x-forwarded-method", "OPTIONS"),
        ("x-original-method", "OPTIONS"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-real-ip", "192.0.2.7"),
    ];
    for kind in Gateway::ALL {
        assert!(!opens(&rules, &gateway(kind, true), STRANGER, &headers), "{kind:?}");
    }
    assert!(opens(&rules, &gateway(Gateway::None, true), PROXY, &headers), "from the proxy it does");
    // Nobody named the proxies: a client behind them may have written the header.
    let usual = GatewayConfig { trusted: TrustedProxies::default(), ..gateway(Gateway::None, true) };
    assert!(!opens(&rules, &usual, PROXY, &headers));
}

#[test]
fn s_10_ghsa_pxq7_h93f_9jrg_cve_2026_41059_a_path_with_a_number_sign_opens_nothing() {
    assert!(path_opens("/bar$", "/foo/bar") && path_opens("^/foo$", "/foo?x=%23/bar"));
    for uri in [
        "/foo/secret#/bar",
        "/foo/secret%23/bar",
        "/foo/secret%23%2fbar",
        "/foo/secret?x#/bar",
        "/foo#/../secret/flag.txt",
        "/foo#",
        "/foo%23",
        "/foo%2523/../secret",
    ] {
        for pattern in ["/bar$", "^/foo$", "^/foo"] {
            assert!(!path_opens(pattern, uri), "{pattern} {uri}");
        }
    }
}

#[test]
fn one_path_that_two_servers_could_read_differently_opens_nothing() {
    for (opens, uri) in [
        ("^/open$", "/open#/../secret/flag.txt"),
        ("\\.css$", "/admin/users;.css"),
        ("\\.css$", "/admin/users;x=/a.css"),
        ("\\.css$", "/admin/users%3b.css"),
        ("\\.css$", "/admin/users\\.css"),
    ] {
        assert!(!path_opens(opens, uri), "{opens} {uri}");
    }
    let rules = OpeningRules::parse(&[], &["!=^/api/"], false, &[]).expect("a rule");
    let asked = |uri: &str| {
        let url = format!("http://app.test{uri}");
        opens(&rules, &gateway(Gateway::Nginx, false), PROXY, &[("x-original-url", &url), ("x-original-method", "GET")])
    };
    assert!(asked("/x") && asked("/x?a;b\\c//%23%E9..") && asked("/@scope%2fname"));
    for uri in [
        "/api/users",
        "/api;x=1/users",
        "/api%3bx=1/users",
        "/api\\users",
        "/api%5cusers",
        "/;/api/users",
        "/x#/../api/users",
        "/%2561pi/users",
        "/api%2fusers",
        "/x/..%2fapi/users",
    ] {
        assert!(!asked(uri), "{uri}");
    }
    // What reads no URI goes on.
    let rules = OpeningRules::parse::<&str>(&[], &[], true, &["192.0.2.7"]).expect("rules");
    let headers = |method, address| {
        [("x-original-url", "http://app.test/a;b#c"), ("x-original-method", method), ("x-real-ip", address)]
    };
    let config = gateway(Gateway::Nginx, false);
    assert!(opens(&rules, &config, PROXY, &headers("OPTIONS", "198.51.100.1")), "preflight");
    assert!(opens(&rules, &config, PROXY, &headers("GET", "192.0.2.7")), "a trusted address");
}

#[test]
fn s_11_ghsa_c5c4_8r6x_56w3_cve_2026_40574_an_address_has_one_at() {
    let domains = EmailDomains::parse(&["company.com"]);
    assert!(domains.allow("a@company.com"));
    for email in [
        "attacker@evil.com@company.com",
        "a@evil.com@company.com@",
        "@evil.com@company.com",
        "company.com",
        "a@evilcompany.com",
    ] {
        assert!(!domains.allow(email), "{email}");
    }
}

#[test]
fn s_13_without_reverse_proxy_no_forwarded_header_counts() {
    let rules = OpeningRules::parse(&["^/open/"], &["GET!=^/secret"], true, &["192.0.2.7"]).expect("rules");
    let headers = [
        ("x-forwarded-uri", "/open/x"),
        ("x-forwarded-host", "other.test"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-original-url", "http://app.test/open/x"),
    ];
    let config = gateway(Gateway::None, false);
    assert!(!opens(&rules, &config, PROXY, &headers));
    let view = Headers(&headers);
    let request: OriginalRequest<'_> = original_request(&config, &PROXY, Endpoint::Browser, OWN, &view).request;
    assert_eq!((request.host, request.scheme, request.uri), (Some(OWN.host), Some(OWN.scheme), Some(OWN.uri)));
}

#[test]
fn s_16_a_login_cookie_is_no_session_and_no_digit_moves() {
    let ring = ring();
    let ticket = Ticket::mint([1; TICKET_ENTROPY], Epoch::new(1), NOW).encode(&ring, "_oauth2_proxy");
    assert!(Ticket::decode(&ticket, &ring, "_oauth2_proxy").is_ok());
    assert!(Ticket::decode(&ticket, &ring, "_oauth2_prox").is_err(), "another name");
    let attempt = LoginAttempt::begin([2; LOGIN_ENTROPY], NOW, ProviderId::default(), SiteId::default(), "/");
    let name = LoginAttempt::cookie_name("_oauth2_proxy", attempt.state());
    let login = attempt.seal(&ring, &name, [4; 12]);
    let lifetime = Ttl::from_secs(900);
    assert!(LoginAttempt::open(&login, &ring, &name, NOW, lifetime).is_ok());
    assert!(LoginAttempt::open(&login, &ring, "_oauth2_proxy", NOW, lifetime).is_err());
    assert!(Ticket::decode(&login, &ring, &name).is_err() && Ticket::decode(&login, &ring, "_oauth2_proxy").is_err());
    assert!(LoginAttempt::open(&ticket, &ring, "_oauth2_proxy", NOW, lifetime).is_err());
}

#[test]
fn s_17_the_rightmost_hop_that_is_no_proxy_is_the_client() {
    let rules = OpeningRules::parse(&[], &[], false, &["192.0.2.7"]).expect("rules");
    let config = gateway(Gateway::None, true);
    assert!(opens(&rules, &config, PROXY, &[("x-forwarded-for", "192.0.2.7")]));
    assert!(
        !opens(&rules, &config, PROXY, &[("x-forwarded-for", "192.0.2.7, 198.51.100.1")]),
        "the client wrote the left one"
    );
    assert!(!opens(&rules, &config, PROXY, &[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-for", "198.51.100.1")]));
    for header in ["x-forwarded-for", "x-real-ip"] {
        assert!(!opens(&rules, &config, STRANGER, &[(header, "192.0.2.7")]), "{header} of a stranger");
    }
}

#[test]
fn s_25_an_empty_constraint_lets_nobody_in() {
    let (policy, who) =
        (Policy { email_domains: EmailDomains::parse(&["*"]), ..Policy::default() }, person("a@b.test", &["staff"]));
    let headers = Headers(&[]);
    let request = original_request(&gateway(Gateway::None, false), &PROXY, Endpoint::Auth, OWN, &headers).request;
    let answer =
        |query: &str| decide(&policy, &request, &QueryConstraints::parse(query), Some(Known::by_provider(&who)));
    assert_eq!(answer("allowed_groups=staff"), Decision::Allow);
    for query in
        ["allowed_groups=", "allowed_emails", "allowed_email_domains=,", "allowed_groups=%zz", "allowed_groups=;x"]
    {
        assert!(matches!(answer(query), Decision::Forbid(_)), "{query}");
    }
}

#[test]
fn cve_2021_32637_an_original_url_that_cannot_be_read_opens_nothing() {
    let rules = OpeningRules::parse(&[], &["GET!=^/secret"], false, &[]).expect("rules");
    let asked = |url: &str| {
        opens(&rules, &gateway(Gateway::Nginx, false), PROXY, &[("x-original-url", url), ("x-original-method", "GET")])
    };
    assert!(asked("http://app.test/x"));
    for url in [
        "",
        "http://",
        "http://app.test",
        "http://app.test:x/",
        "://app.test/",
        "http://app.test/%",
        "http://app.test/%zz",
        "/x",
        "http://a b/x",
    ] {
        assert!(!asked(url), "{url}");
    }
}

#[test]
fn cve_2023_33189_paths_that_two_servers_read_differently_open_nothing() {
    assert!(path_opens("^/open/", "/open/a/b"));
    for uri in [
        "/open/../secret",
        "/open/%2e%2e/secret",
        "/open/..%2fsecret",
        "/open/..;/secret",
        "/open/..%5csecret",
        "/open//secret",
        "//open/x",
        "/open/..%c0%af../secret",
    ] {
        assert!(!path_opens("^/open/", uri), "{uri}");
    }
}

#[test]
fn cve_2019_14857_cve_2019_20479_cve_2021_32786_extra_slashes_and_backslashes_lead_nowhere() {
    for raw in [
        "///evil.test",
        "////evil.test",
        "/\\/evil.test",
        "https:///evil.test",
        "https:/evil.test",
        "https:evil.test",
        "https:\\\\evil.test",
        "http://foo.bar\\@evil.test/",
    ] {
        assert!(!is_return_target(raw, &["foo.bar"]), "{raw}");
    }
}

#[test]
fn cve_2022_23527_a_tab_between_slashes_leads_nowhere() {
    for raw in ["/\t/evil.test", "/\t\\evil.test", "\t//evil.test", "/\t\t//evil.test"] {
        assert!(!is_return_target(raw, &[]), "{raw:?}");
    }
}

#[test]
fn cve_2021_39191_cve_2021_29456_cve_2017_1000070_only_listed_hosts_are_targets() {
    for raw in [
        "https://evil.test/",
        "https://foo.bar@evil.test/",
        "https://evil.test#foo.bar",
        "https://evil.test/?foo.bar",
        "javascript:alert(1)",
        "data:text/html,x",
    ] {
        assert!(!is_return_target(raw, &["foo.bar"]), "{raw}");
    }
    assert!(is_return_target("https://foo.bar/", &["foo.bar"]));
}

#[test]
fn cve_2021_29652_a_flipped_bit_is_noticed() {
    let ring = ring();
    let ticket = Ticket::mint([1; TICKET_ENTROPY], Epoch::new(1), NOW).encode(&ring, "c");
    for at in 0..ticket.len() {
        for bit in 0..7 {
            let mut bytes = ticket.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(flipped) = String::from_utf8(bytes) else { continue };
            assert!(Ticket::decode(&flipped, &ring, "c").is_err(), "bit {bit} of letter {at}");
        }
    }
}

#[test]
fn cve_2017_1000069_a_login_is_bound_to_its_browser() {
    let ring = ring();
    let begin = |byte| LoginAttempt::begin([byte; LOGIN_ENTROPY], NOW, ProviderId::default(), SiteId::default(), "/");
    let (mine, theirs) = (begin(1), begin(2));
    let name = LoginAttempt::cookie_name("c", mine.state());
    let opened =
        LoginAttempt::open(&mine.seal(&ring, &name, [5; 12]), &ring, &name, NOW, Ttl::from_secs(900)).expect("mine");
    assert!(opened.matches_state(mine.state()) && !opened.matches_state(theirs.state()));
    let forged = theirs.seal(&ring, &LoginAttempt::cookie_name("c", theirs.state()), [5; 12]);
    assert!(LoginAttempt::open(&forged, &ring, &name, NOW, Ttl::from_secs(900)).is_err(), "under another state's name");
}

#[test]
fn cve_2026_48794_no_spelling_of_a_host_gets_around_a_rule() {
    assert!(is_return_target("https://app.foo.bar/", &[".foo.bar"]));
    for raw in ["https://EVIL.test/", "https://app.foo.bar.evil.test/", "https://appfoo.BAR/", "https://A.evil.TEST./"]
    {
        assert!(!is_return_target(raw, &[".foo.bar"]), "{raw}");
    }
    // Rules that open see no host at all: none of its spellings opens or closes anything.
    let rules = OpeningRules::parse(&["^/open/"], &[], false, &[]).expect("rules");
    let config = gateway(Gateway::Nginx, false);
    for host in ["app.test", "APP.test", "app.test.", "app.test:443", "a.B.app.test"] {
        for (path, expected) in [("/open/x", true), ("/secret", false)] {
            let url = format!("https://{host}{path}");
            let headers = [("x-original-url", url.as_str()), ("x-original-method", "GET")];
            assert_eq!(opens(&rules, &config, PROXY, &headers), expected, "{url}");
        }
    }
}

#[test]
fn cve_2026_47203_a_person_is_issuer_and_subject_exactly() {
    let key = ClusterKey::mint([9; 32]);
    let alice = key.subject_key("https://issuer.test", "rp", "alice");
    assert_eq!(alice, key.subject_key("https://issuer.test", "rp", "alice"));
    for (issuer, client, subject) in [
        ("https://issuer.test", "rp", "Alice"),
        ("https://issuer.test", "rp", "alice "),
        ("https://issuer.test", "rp", "alice@example.test"),
        ("https://issuer.test/", "rp", "alice"),
        ("https://other.test", "rp", "alice"),
        ("https://issuer.test", "other", "alice"),
    ] {
        assert_ne!(alice, key.subject_key(issuer, client, subject), "{issuer} {client} {subject:?}");
    }
}
