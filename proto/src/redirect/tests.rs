//! Return targets: recorded, published and generated ones.

use proptest::prelude::*;

use super::*;
use crate::policy::percent_decode;

const RECORDED: &str = include_str!("../../testdata/return_targets.tsv");
const OPEN_REDIRECTS: &str = include_str!("../../testdata/open_redirects.txt");

/// The list that the payloads of [`OPEN_REDIRECTS`] were made for.
const PAYLOAD_HOSTS: [&str; 11] = [
    "foo.bar",
    ".bar.foo",
    "port.bar:8080",
    ".sub.port.bar:8080",
    "anyport.bar:*",
    ".sub.anyport.bar:*",
    "www.whitelisteddomain.tld",
    "*.wildcard.sub.port.bar:8080",
    "*.wildcard.sub.anyport.bar:*",
    "*.wildcard.bar",
    "*.wildcard.proxy.foo.bar",
];

fn hosts(list: &[&str]) -> AllowedHosts {
    AllowedHosts::parse(list).unwrap()
}

/// As seen from a host that no test names, under a prefix that none does.
fn within(hosts: &AllowedHosts) -> Targets<'_> {
    Targets { hosts, prefix: "/own-pages", own_hosts: &["service.test:4443"] }
}

fn decode(text: &str) -> String {
    String::from_utf8(percent_decode(text).unwrap().into_owned()).unwrap()
}

/// As Go's `http.Redirect` sends it: the recordings of sign-in starts hold the raw target instead.
fn as_sent(recorded: &str) -> String {
    escape_non_ascii(&relative::checked(recorded).unwrap_or_default())
}

#[test]
fn recorded_targets_end_where_they_ended() {
    let mut tried = 0;
    for line in RECORDED.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t').map(decode);
        let (list, raw, expected) = (columns.next().unwrap(), columns.next().unwrap(), columns.next().unwrap());
        let list: Vec<&str> = list.split(',').filter(|entry| !entry.is_empty()).collect();
        let got = ReturnTo::first_of([raw.as_str()], &within(&hosts(&list)));
        let raw_state = if expected.starts_with('/') { as_sent(&expected) } else { escape_non_ascii(&expected) };
        assert!(got.as_str() == expected || got.as_str() == raw_state, "{list:?} {raw:?}: {got} != {expected}");
        tried += 1;
    }
    assert!(tried > 200, "only {tried} recorded targets");
}

/// S-3, and with it CVE-2020-5233 and CVE-2020-11053: raw, and decoded as often as a browser or a
/// second proxy might.
#[test]
fn no_payload_of_the_open_redirect_list_is_accepted() {
    let hosts = hosts(&PAYLOAD_HOSTS);
    let payloads: Vec<&str> = OPEN_REDIRECTS.lines().skip(1).collect();
    assert_eq!(payloads.len(), 559);
    for payload in payloads {
        let spaced = payload.replace('+', " ");
        let decoded = percent_decode(&spaced).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let decoded = decoded.expect("the list is form-encoded");
        assert!(ReturnTo::parse(&decoded, &within(&hosts)).is_err(), "accepted {payload}");
        assert_lands_on_an_allowed_host(payload, &hosts, &PAYLOAD_HOSTS);
    }
}

#[test]
fn targets_that_upstream_tests_for() {
    let hosts = hosts(&PAYLOAD_HOSTS);
    let accepted = [
        "/redirect",
        "http://foo.bar/redirect",
        "https://baz.bar.foo/redirect",
        "http://bar.foo/redirect",
        "http://port.bar:8080/redirect",
        "http://foo.sub.port.bar:8080/redirect",
        "http://anyport.bar:8081/redirect",
        "http://a.sub.anyport.bar:8080/redirect",
        "https://foo.wildcard.bar/redirect",
        "http://wildcard.bar/redirect",
        "http://wildcard.sub.anyport.bar:4242/redirect",
    ];
    for raw in accepted {
        assert_eq!(ReturnTo::parse(raw, &within(&hosts)).map(|target| target.to_string()).as_deref(), Ok(raw));
    }
    let refused = [
        ("", InvalidReturnTo::Empty),
        ("//redirect", InvalidReturnTo::Ambiguous),
        ("http://baz.foo.bar/redirect", InvalidReturnTo::Host),
        ("http://foo.bar.evil.corp/redirect", InvalidReturnTo::Host),
        ("http://evil.corp/redirect?rd=foo.bar", InvalidReturnTo::Host),
        ("http://foo.bar:3838/redirect", InvalidReturnTo::Host),
        ("http://port.bar:3838/redirect", InvalidReturnTo::Host),
        ("/\\evil.com", InvalidReturnTo::Ambiguous),
        ("/ /evil.com", InvalidReturnTo::Ambiguous),
        ("/ \\evil.com", InvalidReturnTo::Ambiguous),
        ("/\t/evil.com", InvalidReturnTo::Control),
        ("/\u{b}\\evil.com", InvalidReturnTo::Control),
        ("/\0/evil.com", InvalidReturnTo::Control),
        ("/\t\t\\\t\t/evil.com", InvalidReturnTo::Control),
        ("/./\\evil.com", InvalidReturnTo::Ambiguous),
        ("/./../../\\evil.com", InvalidReturnTo::Ambiguous),
        ("foo.bar/redirect", InvalidReturnTo::Scheme),
        ("javascript:alert(1)", InvalidReturnTo::Scheme),
        ("data://foo.bar/x", InvalidReturnTo::Scheme),
        ("HTTPS://foo.bar/", InvalidReturnTo::Scheme),
        ("https:///foo.bar", InvalidReturnTo::Malformed),
        ("https://foo.bar\\@evil.test/", InvalidReturnTo::Malformed),
        ("https://evil.test\\.bar.foo/", InvalidReturnTo::Malformed),
        ("https://evil.test／.bar.foo/", InvalidReturnTo::Malformed),
        ("https://evil%2ftest.bar.foo/", InvalidReturnTo::Malformed),
        ("https://anyport.bar:65536/", InvalidReturnTo::Malformed),
        ("https://evil.test。bar.foo/", InvalidReturnTo::Host),
    ];
    for (raw, why) in refused {
        assert_eq!(ReturnTo::parse(raw, &within(&hosts)), Err(why), "{raw:?}");
    }
}

/// S-4 (CVE-2021-21291), and the suffix confusion of other proxies.
#[test]
fn a_listed_domain_admits_no_name_that_merely_ends_so() {
    let hosts = hosts(&[".example.com", "*.star.com"]);
    for raw in ["https://badexample.com/", "https://xstar.com/", "https://example.com.evil.test/"] {
        assert_eq!(ReturnTo::parse(raw, &within(&hosts)), Err(InvalidReturnTo::Host), "{raw}");
    }
    assert!(ReturnTo::parse("https://app.example.com/", &within(&hosts)).is_ok());
}

#[test]
fn ingress_nginx_targets_arrive_decoded_once() {
    let hosts = hosts(&["app.test:8088"]);
    let once = decode("http://app.test:8088%2Fa%2Fb%2520c%3Fx%3D1");
    assert_eq!(ReturnTo::parse(&once, &within(&hosts)).unwrap().as_str(), "http://app.test:8088/a/b%20c?x=1");
    assert_eq!(ReturnTo::parse("http://app.test:8088%2Fa", &within(&hosts)), Err(InvalidReturnTo::Malformed));
    assert!(ReturnTo::parse("http://app.test:8088/a%2Fb?x", &within(&hosts)).is_ok());
}

#[test]
fn long_targets_are_refused_before_they_are_read() {
    let fits = format!("/{}", "x".repeat(MAX_RETURN_TO - 1));
    assert!(ReturnTo::parse(&fits, &within(&AllowedHosts::default())).is_ok());
    assert_eq!(ReturnTo::parse(&format!("{fits}x"), &within(&AllowedHosts::default())), Err(InvalidReturnTo::TooLong));
}

#[test]
fn the_first_valid_candidate_counts() {
    let hosts = AllowedHosts::default();
    assert_eq!(ReturnTo::first_of(["", "//evil.test", "/a", "/b"], &within(&hosts)).as_str(), "/a");
    assert_eq!(ReturnTo::first_of(["https://evil.test"], &within(&hosts)), ReturnTo::root());
}

#[test]
fn addresses_and_international_names_are_compared_as_browsers_read_them() {
    let hosts = hosts(&["[::1]:8080", "127.0.0.1:*", "bücher.test"]);
    for raw in ["https://[::1]:8080/", "https://127.0.0.1:9/", "https://bücher.test/"] {
        assert!(ReturnTo::parse(raw, &within(&hosts)).is_ok(), "{raw}");
    }
    for raw in ["https://[::1]/", "https://127.1/", "https://0x7f000001/", "https://2130706433/"] {
        assert!(ReturnTo::parse(raw, &within(&hosts)).is_err(), "{raw}");
    }
}

/// The promise about every accepted target, by the browser's own reading of it.
fn assert_lands_on_an_allowed_host(raw: &str, hosts: &AllowedHosts, list: &[&str]) {
    let Ok(target) = ReturnTo::parse(raw, &within(hosts)) else { return };
    assert!(target.as_str().bytes().all(|byte| (b' '..0x7f).contains(&byte)), "{raw:?} gave {target}");
    let origin = Url::parse("https://service.test:4443/oauth2/callback").unwrap();
    let landed = origin.join(target.as_str()).unwrap();
    if raw.starts_with('/') {
        assert_eq!(landed.origin(), origin.origin(), "{raw:?} leaves the host");
        return;
    }
    assert!(matches!(landed.scheme(), "http" | "https"), "{raw:?}");
    let host = landed.host_str().unwrap().trim_matches(['[', ']']);
    let port = landed.port();
    let allowed = list.iter().any(|entry| {
        let (name, wanted) = match entry.rsplit_once(':') {
            Some((name, wanted)) => (name, Some(wanted)),
            None => (*entry, None),
        };
        let below = name.starts_with(['*', '.']);
        let name = name.trim_start_matches('*').trim_start_matches('.').trim_matches(['[', ']']);
        let host_fits = host == name || (below && host.ends_with(&format!(".{name}")));
        let port_fits = match wanted {
            Some("*") => true,
            Some(wanted) => port.map(|port| port.to_string()).as_deref() == Some(wanted),
            None => port.is_none(),
        };
        host_fits && port_fits
    });
    assert!(allowed, "{raw:?} lands on {landed}");
}

fn fragment() -> impl Strategy<Value = String> {
    let pieces = [
        "http://",
        "https://",
        "/",
        "//",
        "\\",
        "@",
        ":",
        "?",
        "#",
        ".",
        "..",
        "%2f",
        "%5c",
        "%09",
        " ",
        "\t",
        "\u{3002}",
        "\u{ff0f}",
        "foo.bar",
        ".bar.foo",
        "evil.test",
        "anyport.bar",
        ":8080",
        ":443",
        "[::1]",
        "user:pw@",
        "a",
        ";",
        "ß",
        "javascript:",
        "℀",
        "%",
        "\u{ad}",
        "xn--",
        "0x7f.1",
        "\u{200d}",
    ];
    prop_oneof![8 => prop::sample::select(pieces.to_vec()).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn accepted_targets_resolve_to_an_allowed_host(pieces in prop::collection::vec(fragment(), 0..8)) {
        assert_lands_on_an_allowed_host(&pieces.concat(), &hosts(&PAYLOAD_HOSTS), &PAYLOAD_HOSTS);
    }

    #[test]
    fn targets_that_name_a_listed_host_somewhere_resolve_to_it(
        before in "[a-z@:/.\\\\#?%]{0,6}", host in prop::sample::select(PAYLOAD_HOSTS.to_vec()), after in "[a-z@:/.\\\\#?%0-9]{0,8}"
    ) {
        let host = host.trim_start_matches('*').trim_end_matches(":*");
        assert_lands_on_an_allowed_host(&format!("https://{before}{host}{after}"), &hosts(&PAYLOAD_HOSTS), &PAYLOAD_HOSTS);
    }

    #[test]
    fn accepted_paths_stay_on_the_host(path in "/[/\\\\. a?#%@:\u{a0}]{0,10}") {
        assert_lands_on_an_allowed_host(&path, &AllowedHosts::default(), &[]);
    }

    #[test]
    fn an_accepted_target_is_accepted_again_and_stays(pieces in prop::collection::vec(fragment(), 0..6)) {
        let hosts = hosts(&PAYLOAD_HOSTS);
        if let Ok(target) = ReturnTo::parse(&pieces.concat(), &within(&hosts)) && target.as_str().len() <= MAX_RETURN_TO {
            let again = ReturnTo::parse_again(target.as_str(), &within(&hosts));
            prop_assert_eq!(again.as_ref(), Ok(&target), "{}", target);
        }
    }
}

/// Of every source: `rd`, `X-Auth-Request-Redirect`, the forwarded URL and the own one all come through here.
#[test]
fn no_target_leads_back_into_the_own_prefix() {
    let hosts = hosts(&["app.test", ".app.test", "app.test:8443", "idp.test"]);
    let targets = Targets { hosts: &hosts, prefix: "/oauth2", own_hosts: &["app.test:8443", ""] };
    for raw in [
        "/oauth2/sign_out",
        "/oauth2/start?rd=/x",
        "/oauth2/sign_in#x",
        "/oauth2/",
        "/oauth2\\sign_out",
        "/%2e%2e/oauth2/sign_out",
        "/a/%2E%2e/oauth2/sign_out",
        "/oauth2/auth/../sign_out",
        "https://app.test:8443/oauth2/sign_out?rd=/",
        "http://app.test:8443/oauth2/start",
        "https://u@app.test:8443/oauth2/start",
    ] {
        assert!(ReturnTo::parse(raw, &targets).is_err(), "{raw}");
        assert_eq!(ReturnTo::first_of([raw, "/next"], &targets).as_str(), "/next", "{raw}");
        assert_eq!(ReturnTo::first_of([raw, raw], &targets), ReturnTo::root(), "{raw}");
    }
    for raw in [
        "/oauth2",
        "/oauth2x/sign_out",
        "/OAUTH2/sign_out",
        "/x?rd=/oauth2/sign_out",
        "https://idp.test/oauth2/v1/logout?x",
        "https://other.app.test/oauth2/sign_out",
        "https://app.test/oauth2/sign_out",
    ] {
        assert_eq!(ReturnTo::parse(raw, &targets).map(|target| target.to_string()).as_deref(), Ok(raw));
    }
    let bare = Targets { own_hosts: &["", "app.test"], ..targets };
    assert!(ReturnTo::parse("https://app.test:8443/oauth2/start", &bare).is_err(), "a Host without its port");
    let at_the_root = Targets { prefix: "", ..targets };
    assert_eq!(ReturnTo::parse("/start?x", &at_the_root), Err(InvalidReturnTo::OwnPrefix));
    assert!(ReturnTo::parse("/page", &at_the_root).is_ok());
}

#[test]
fn a_target_is_at_an_origin_by_the_browsers_reading() {
    let hosts = hosts(&["idp.test", "idp.test:8443", "evil.test", "idp.test.evil.test"]);
    let at = |raw: &str, own: &str| {
        let target = ReturnTo::parse(raw, &within(&hosts)).expect(raw);
        target.leads_to(&["https://idp.test/realms/x".to_owned(), "nonsense".to_owned()], own)
    };
    assert!(at("https://idp.test/end?t={id_token}", "https://app.test"));
    assert!(at("/end", "https://idp.test"), "the provider may be on this very host");
    for raw in
        ["http://idp.test/", "https://idp.test:8443/", "https://evil.test/?idp.test", "https://idp.test.evil.test/"]
    {
        assert!(!at(raw, "https://app.test"), "{raw}");
    }
    assert!(!at("/end", "https://app.test") && !at("/end", "://"));
}
