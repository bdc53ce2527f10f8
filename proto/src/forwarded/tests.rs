//! Which headers are believed, and from whom.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::gateway::Mark;
use super::*;
use crate::time::Boottime;

/// Headers as (lower-case name, value) pairs.
struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    fn new(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect())
    }
}

impl HeaderView for Headers {
    fn each<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        self.0.iter().filter(|(given, _)| given == name).for_each(|(_, value)| visit(value));
    }
}

const PROXY: PeerAddress = PeerAddress::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
const STRANGER: PeerAddress = PeerAddress::Ip(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)));
const OWN: OwnRequest<'static> = OwnRequest {
    arrival: Arrival::Shared,
    method: "GET",
    scheme: "http",
    host: "auth.svc:4180",
    uri: "/oauth2/auth?x=1",
};

fn config(gateway: Gateway, reverse_proxy: bool, trusted: &[&str]) -> GatewayConfig {
    let trusted = TrustedProxies::parse(trusted).unwrap();
    GatewayConfig { gateway, reverse_proxy, trusted, real_client_ip_header: "x-real-ip".to_owned() }
}

fn plain(trusted: &[&str]) -> GatewayConfig {
    config(Gateway::None, true, trusted)
}

fn opening_uri(
    config: &GatewayConfig,
    peer: PeerAddress,
    endpoint: Endpoint,
    pairs: &[(&str, &str)],
) -> Option<String> {
    let headers = Headers::new(pairs);
    let extracted = original_request(config, &peer, endpoint, OWN, &headers);
    extracted.request.opening.uri.map(|uri| uri.text.to_owned())
}

/// What a check of that kind carries when a browser asks for `/open` of `app.test`.
fn whole_set(gateway: Gateway) -> Vec<(&'static str, &'static str)> {
    let parts = [("x-forwarded-proto", "https"), ("x-forwarded-host", "app.test"), ("x-forwarded-uri", "/open")];
    let of_nginx = [("x-original-url", "https://app.test/open"), ("x-original-method", "GET")];
    let rest: &[(&str, &str)] = match gateway {
        Gateway::None | Gateway::IngressNginx | Gateway::Nginx => &[("x-real-ip", "198.51.100.7")],
        Gateway::Traefik | Gateway::Haproxy => &[("x-forwarded-method", "GET"), ("x-real-ip", "198.51.100.7")],
        Gateway::Caddy => &[("x-forwarded-method", "GET"), ("x-forwarded-for", "198.51.100.7")],
        Gateway::Envoy => return Vec::new(),
    };
    match gateway {
        Gateway::IngressNginx | Gateway::Nginx => [&of_nginx[..], rest].concat(),
        Gateway::None | Gateway::Traefik | Gateway::Caddy | Gateway::Envoy | Gateway::Haproxy => {
            [&parts[..], rest].concat()
        }
    }
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn original_urls_are_split_by_hand() {
    let split = split_url("https://app.test:8443/a/b%2Fc?d=//e").unwrap();
    assert_eq!((split.scheme, split.host, split.uri), ("https", "app.test:8443", "/a/b%2Fc?d=//e"));
    assert_eq!(split_url("http://[::1]:80/x").unwrap().host, "[::1]:80");
    assert_eq!(split_url("http://a_b.test/").unwrap().uri, "/");
    for bad in [
        "",
        "/open",
        "app.test/open",
        "://%zz",
        "http://app.test",
        "http:///open",
        "ftp://app.test/open",
        "HTTP://app.test/open",
        "http://app.test//open",
        "http://app.test/\\open",
        "http://app:80\\open/secret",
        "http://app:80?/open",
        "http://app:80?x=/open",
        "http://app:80#/open",
        "http://app:/open",
        "http://app:80:80/open",
        "http://user@app/open",
        "http://app%2f/open",
        "http://app test/open",
        "http://app.test/op en",
        "http://app.test/op\ten",
        "http://app.test/open\u{7f}",
        "http://[::1/open",
        "http://[x]/open",
        "http://app,other/open",
    ] {
        assert_eq!(split_url(bad), None, "{bad:?}");
    }
}

#[test]
fn nginx_reports_the_original_request_on_checks() {
    let config = config(Gateway::Nginx, false, &[]);
    let headers = Headers::new(&[
        ("x-original-url", "https://app.test/open?x=1"),
        ("x-original-method", "POST"),
        ("x-real-ip", "198.51.100.7"),
        ("x-forwarded-host", "client.test"),
        ("x-forwarded-for", "192.0.2.66"),
    ]);
    let found = original_request(&config, &PROXY, Endpoint::Auth, OWN, &headers);
    let uri = "/open?x=1";
    let opening = OpeningFacts {
        method: Some("POST"),
        uri: Some(OpeningUri { text: uri, reported: true }),
        client: ip("198.51.100.7"),
    };
    assert_eq!(
        found.request,
        OriginalRequest {
            method: Some("POST"),
            scheme: Some("https"),
            host: Some("app.test"),
            uri: Some(uri),
            client: ip("198.51.100.7"),
            opening,
        }
    );
    assert_eq!(found.notice, None);
}

#[test]
fn nginx_headers_of_a_stranger_say_nothing() {
    let config = config(Gateway::Nginx, true, &["10.0.0.0/8"]);
    let headers = Headers::new(&[
        ("x-original-url", "https://app.test/open"),
        ("x-original-method", "OPTIONS"),
        ("x-real-ip", "10.1.2.3"),
    ]);
    let found = original_request(&config, &STRANGER, Endpoint::Auth, OWN, &headers).request;
    assert_eq!((found.method, found.host, found.uri, found.opening.uri), (None, None, None, None));
    assert_eq!((found.client, found.opening.client), (ip("203.0.113.9"), ip("203.0.113.9")));
}

#[test]
fn nginx_pages_that_browsers_visit_are_known_by_host_and_forwarded_proto() {
    let config = config(Gateway::Nginx, false, &[]);
    let headers = Headers::new(&[
        ("x-forwarded-proto", "https"),
        ("x-original-url", "https://evil.test/open"),
        ("x-original-method", "OPTIONS"),
        ("x-forwarded-host", "evil.test"),
        ("x-real-ip", "198.51.100.7"),
    ]);
    let found = original_request(&config, &PROXY, Endpoint::Browser, OWN, &headers).request;
    assert_eq!((found.scheme, found.host, found.uri), (Some("https"), Some(OWN.host), Some(OWN.uri)));
    assert_eq!((found.method, found.client), (Some("GET"), ip("198.51.100.7")));
    assert_eq!(found.opening.uri, Some(OpeningUri { text: OWN.uri, reported: false }));
}

/// Through a real nginx these arrive in `X-Original-URL` when a client sends them as its `Host`.
#[test]
fn a_host_that_reshapes_the_url_opens_nothing() {
    let config = config(Gateway::Nginx, false, &["127.0.0.1"]);
    for url in ["http://app:80\\open/secret", "http://app:80?/open", "http://app/open?@/x/secret#", "http://:80/open"] {
        let uri = opening_uri(&config, PROXY, Endpoint::Auth, &[("x-original-url", url)]);
        assert!(uri.is_none() || url.starts_with("http://app/open?"), "{url}: {uri:?}");
    }
}

#[test]
fn a_header_given_twice_says_nothing() {
    let nginx = config(Gateway::Nginx, false, &[]);
    let twice = [("x-original-url", "http://app.test/open"), ("x-original-url", "http://app.test/open")];
    assert_eq!(opening_uri(&nginx, PROXY, Endpoint::Auth, &twice), None);
    let plain = plain(&["127.0.0.1"]);
    for endpoint in [Endpoint::Auth, Endpoint::Static] {
        let twice = [("x-forwarded-uri", "/open"), ("x-forwarded-uri", "/secret")];
        assert_eq!(opening_uri(&plain, PROXY, endpoint, &twice), None);
    }
    let methods =
        [("x-original-url", "http://app.test/"), ("x-original-method", "GET"), ("x-original-method", "OPTIONS")];
    let headers = Headers::new(&methods);
    assert_eq!(original_request(&nginx, &PROXY, Endpoint::Auth, OWN, &headers).request.method, None);
}

/// S-9: without a gateway kind a header opens only where somebody named the proxies.
#[test]
fn forwarded_uri_opens_only_from_named_proxies() {
    let header = [("x-forwarded-uri", "/open")];
    let named = plain(&["127.0.0.0/8"]);
    assert_eq!(opening_uri(&named, PROXY, Endpoint::Auth, &header).as_deref(), Some("/open"));
    assert_eq!(opening_uri(&named, STRANGER, Endpoint::Auth, &header), None);
    assert_eq!(opening_uri(&plain(&[]), PROXY, Endpoint::Auth, &header), None, "not named");
    assert_eq!(opening_uri(&plain(&[]), PROXY, Endpoint::Static, &header), None, "not named");
    let off = config(Gateway::None, false, &["127.0.0.1"]);
    assert_eq!(opening_uri(&off, PROXY, Endpoint::Auth, &header), None, "S-13: reverse_proxy is off");
    assert_eq!(opening_uri(&off, PROXY, Endpoint::Static, &header).as_deref(), Some(OWN.uri));
}

#[test]
fn on_a_check_the_own_url_never_counts() {
    for gateway in Gateway::ALL {
        let config = config(gateway, true, &["127.0.0.1"]);
        assert_eq!(opening_uri(&config, PROXY, Endpoint::Auth, &[]), None, "{gateway:?}");
    }
}

#[test]
fn where_the_url_goes_to_an_upstream_headers_do_not_count() {
    for gateway in Gateway::ALL.into_iter().filter(|kind| *kind != Gateway::Envoy) {
        let (config, header) = (config(gateway, true, &["127.0.0.1"]), whole_set(gateway));
        for endpoint in [Endpoint::Proxied, Endpoint::Browser] {
            assert_eq!(opening_uri(&config, PROXY, endpoint, &header).as_deref(), Some(OWN.uri), "{gateway:?}");
        }
        assert_eq!(opening_uri(&config, PROXY, Endpoint::Static, &header).as_deref(), Some("/open"), "{gateway:?}");
    }
}

/// A static path is a check for gateways: its own URL is not what they ask about, but for Envoy, which composes it.
#[test]
fn on_a_static_path_the_own_url_counts_where_no_gateway_reports_another() {
    for gateway in Gateway::ALL {
        let config = config(gateway, true, &["127.0.0.1"]);
        let expected = matches!(gateway, Gateway::None | Gateway::Envoy).then_some(OWN.uri);
        assert_eq!(opening_uri(&config, PROXY, Endpoint::Static, &[]).as_deref(), expected, "{gateway:?}");
        let expected = expected.filter(|_| gateway == Gateway::None);
        assert_eq!(opening_uri(&config, STRANGER, Endpoint::Static, &[]).as_deref(), expected, "{gateway:?}");
    }
}

/// Another server resolves what Envoy lets through, so that two readings of it open nothing.
#[test]
fn what_envoy_composes_is_reported() {
    let config = config(Gateway::Envoy, false, &[]);
    let headers = Headers::new(&[("x-envoy-external-address", "198.51.100.7"), ("x-forwarded-proto", "https")]);
    let own = OwnRequest { method: "POST", host: "app.test", uri: "/open?x=1", ..OWN };
    let found = original_request(&config, &PROXY, Endpoint::Static, own, &headers).request;
    assert_eq!((found.scheme, found.host, found.client), (Some("https"), Some("app.test"), ip("198.51.100.7")));
    let uri = Some(OpeningUri { text: "/open?x=1", reported: true });
    assert_eq!(found.opening, OpeningFacts { method: Some("POST"), uri, client: None }, "the address is for the log");
}

#[test]
fn forwarded_uris_begin_with_one_slash() {
    let named = plain(&["127.0.0.1"]);
    for bad in ["http://other.test/open", "//other.test/open", "/\\open", "open", "", "/o pen", "*"] {
        assert_eq!(opening_uri(&named, PROXY, Endpoint::Auth, &[("x-forwarded-uri", bad)]), None, "{bad:?}");
    }
}

#[test]
fn without_a_kind_the_method_is_the_checks_own() {
    let headers = Headers::new(&[("x-forwarded-method", "OPTIONS"), ("x-original-method", "OPTIONS")]);
    let found = original_request(&plain(&["127.0.0.1"]), &PROXY, Endpoint::Auth, OWN, &headers).request;
    assert_eq!((found.method, found.opening.method), (Some("GET"), Some("GET")));
}

#[test]
fn forwarded_host_and_proto_count_from_trusted_sources() {
    let headers = Headers::new(&[("x-forwarded-host", "app.test"), ("x-forwarded-proto", "https")]);
    let found = original_request(&plain(&[]), &PROXY, Endpoint::Browser, OWN, &headers).request;
    assert_eq!((found.scheme, found.host), (Some("https"), Some("app.test")));
    let found = original_request(&plain(&[]), &STRANGER, Endpoint::Browser, OWN, &headers).request;
    assert_eq!((found.scheme, found.host), (Some("http"), Some(OWN.host)));
    let odd = Headers::new(&[("x-forwarded-proto", "javascript")]);
    assert_eq!(original_request(&plain(&[]), &PROXY, Endpoint::Browser, OWN, &odd).request.scheme, Some("http"));
}

#[test]
fn traefik_and_caddy_report_in_parts() {
    let pairs = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "app.test"),
        ("x-forwarded-uri", "/a?b"),
        ("x-forwarded-method", "PUT"),
        ("x-real-ip", "198.51.100.1"),
        ("x-forwarded-for", "198.51.100.2"),
    ];
    let headers = Headers::new(&pairs);
    for (gateway, client) in [(Gateway::Traefik, "198.51.100.1"), (Gateway::Caddy, "198.51.100.2")] {
        let found = original_request(&config(gateway, false, &[]), &PROXY, Endpoint::Auth, OWN, &headers).request;
        assert_eq!((found.scheme, found.host, found.uri), (Some("https"), Some("app.test"), Some("/a?b")));
        assert_eq!((found.method, found.opening.client), (Some("PUT"), ip(client)));
    }
}

fn client(config: &GatewayConfig, peer: PeerAddress, pairs: &[(&str, &str)]) -> (Option<IpAddr>, Option<IpAddr>) {
    let headers = Headers::new(pairs);
    let found = original_request(config, &peer, Endpoint::Auth, OWN, &headers).request;
    (found.client, found.opening.client)
}

#[test]
fn addresses_are_read_strictly() {
    let named = plain(&["127.0.0.1"]);
    for (text, expected) in [
        ("10.1.2.3", Some("10.1.2.3")),
        ("10.1.2.3:1234", Some("10.1.2.3")),
        (" 10.1.2.3 ", Some("10.1.2.3")),
        ("[2001:db8::1]:443", Some("2001:db8::1")),
        ("2001:db8::1", Some("2001:db8::1")),
        ("::ffff:10.1.2.3", Some("10.1.2.3")),
        ("010.1.2.3", None),
        ("10.1.2.03", None),
        ("10.1.2", None),
        ("10.1.2.3/32", None),
        ("0x0a010203", None),
        ("167838211", None),
        ("localhost", None),
        ("10.1.2.3x", None),
        ("fe80::1%eth0", None),
        ("[2001:db8::1]", None),
        ("10.1.2.3;8.8.8.8", None),
        ("10.1.2.3, 8.8.8.8", None),
        ("", None),
    ] {
        let expected = expected.map(|text| text.parse().unwrap());
        assert_eq!(client(&named, PROXY, &[("x-real-ip", text)]).1, expected, "{text:?}");
    }
    assert_eq!(client(&named, PROXY, &[]), (None, None), "the proxy is not the client");
}

/// S-17.
#[test]
fn address_headers_of_strangers_are_ignored() {
    let header = [("x-real-ip", "10.1.2.3"), ("x-forwarded-for", "10.1.2.3")];
    let peer = ip("203.0.113.9");
    assert_eq!(client(&plain(&["127.0.0.1"]), STRANGER, &header), (peer, peer));
    assert_eq!(client(&config(Gateway::None, false, &[]), STRANGER, &header), (peer, peer));
    assert_eq!(client(&plain(&[]), PROXY, &header), (ip("10.1.2.3"), None), "believed in the log, not by rules");
    assert_eq!(client(&plain(&[]), PeerAddress::Unix, &header), (ip("10.1.2.3"), None));
    assert_eq!(client(&config(Gateway::None, false, &[]), PeerAddress::Unix, &header), (None, None));
}

/// S-17.
#[test]
fn the_rightmost_hop_that_is_no_proxy_is_the_client() {
    let mut named = plain(&["127.0.0.1", "10.9.0.0/16"]);
    named.real_client_ip_header = "x-forwarded-for".to_owned();
    for (values, expected) in [
        (vec!["10.1.2.3"], Some("10.1.2.3")),
        (vec!["10.1.2.3, 8.8.8.8"], Some("8.8.8.8")),
        (vec!["8.8.8.8, 10.1.2.3"], Some("10.1.2.3")),
        (vec!["10.1.2.3, 127.0.0.1"], Some("10.1.2.3")),
        (vec!["8.8.8.8, 10.1.2.3, 10.9.1.1, 127.0.0.1"], Some("10.1.2.3")),
        (vec!["nonsense, 10.1.2.3"], Some("10.1.2.3")),
        (vec!["10.1.2.3, nonsense"], None),
        (vec!["10.1.2.3, nonsense, 127.0.0.1"], None),
        (vec!["10.1.2.3", "8.8.8.8"], Some("8.8.8.8")),
        (vec!["8.8.8.8", "10.1.2.3"], Some("10.1.2.3")),
        (vec![",10.1.2.3"], Some("10.1.2.3")),
        (vec!["10.1.2.3,"], None),
        (vec!["127.0.0.1"], Some("127.0.0.1")),
        (vec![], None),
    ] {
        let pairs: Vec<_> = values.iter().map(|value| ("x-forwarded-for", *value)).collect();
        let expected = expected.map(|text| text.parse().unwrap());
        assert_eq!(client(&named, PROXY, &pairs).1, expected, "{values:?}");
    }
}

fn doubt_of(config: &GatewayConfig, arrival: Arrival, pairs: &[(&str, &str)]) -> Option<Doubt> {
    let (own, headers) = (OwnRequest { arrival, ..OWN }, Headers::new(pairs));
    let found = original_request(config, &PROXY, Endpoint::Auth, own, &headers);
    if found.notice.is_some() && config.gateway != Gateway::None {
        assert_eq!(found.request.opening, OpeningFacts::default(), "{config:?} {pairs:?}");
    }
    assert_eq!(original_request(config, &STRANGER, Endpoint::Auth, own, &headers).notice, None);
    assert_eq!(original_request(config, &PROXY, Endpoint::Proxied, own, &headers).notice, None);
    found.notice.map(|notice| notice.doubt)
}

#[test]
fn p9_a_a_check_with_another_gateways_header_opens_nothing() {
    let original = [("X-Original-URL", "http://app.test/open"), ("X-Original-Method", "GET")];
    let forwarded = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/open")];
    for gateway in Gateway::ALL {
        let (config, whole) = (config(gateway, true, &["127.0.0.1"]), whole_set(gateway));
        for arrival in [Arrival::Shared, Arrival::GatewaysOnly] {
            assert_eq!(doubt_of(&config, arrival, &whole), None, "{gateway:?}");
        }
        let strange: Vec<_> = match gateway {
            Gateway::IngressNginx | Gateway::Nginx => forwarded.to_vec(),
            Gateway::None | Gateway::Traefik | Gateway::Caddy | Gateway::Haproxy => original.to_vec(),
            Gateway::Envoy => [original, forwarded].concat(),
        };
        for (name, value) in strange {
            let lower = name.to_ascii_lowercase();
            let mut pairs = whole.clone();
            pairs.push((lower.as_str(), value));
            assert_eq!(doubt_of(&config, Arrival::Shared, &pairs), Some(Doubt::Foreign(name)), "{gateway:?}");
            assert_eq!(opening_uri(&config, PROXY, Endpoint::Auth, &pairs), None, "{gateway:?} {name}");
            assert_eq!(opening_uri(&config, PROXY, Endpoint::Static, &pairs), None, "{gateway:?} {name}");
            // A gateway that clears it has dropped it.
            pairs.pop();
            pairs.push((lower.as_str(), " "));
            assert_eq!(doubt_of(&config, Arrival::Shared, &pairs), None, "{gateway:?} {name}");
        }
    }
}

#[test]
fn p9_b_a_check_without_its_gateways_header_opens_nothing() {
    for gateway in Gateway::ALL {
        let (config, whole) = (config(gateway, true, &["127.0.0.1"]), whole_set(gateway));
        for left_out in 0..whole.len() {
            let mut pairs = whole.clone();
            let (name, _) = pairs.remove(left_out);
            let always = gateway.always().iter().find(|always| always.name == name);
            let expected = always.map(|always| Doubt::Missing(always.shown));
            assert_eq!(doubt_of(&config, Arrival::Shared, &pairs), expected, "{gateway:?} without {name}");
            let address = gateway.always_address().filter(|always| always.name == name);
            let expected = expected.or(address.map(|always| Doubt::Missing(always.shown)));
            assert_eq!(doubt_of(&config, Arrival::GatewaysOnly, &pairs), expected, "{gateway:?} without {name}");
        }
        // HAProxy writes an empty one for a request that has no path: not evidence, and nothing opens.
        if let Some(first) = gateway.always().first() {
            let blank = |(name, value)| (name, if name == first.name { "" } else { value });
            let pairs: Vec<_> = whole.iter().copied().map(blank).collect();
            assert_eq!(doubt_of(&config, Arrival::GatewaysOnly, &pairs), Some(Doubt::Empty(first.shown)));
        }
        // One that cannot be read is there: a client can do that to it.
        let odd: Vec<_> = whole.iter().map(|(name, _)| (*name, "\u{1}")).collect();
        assert_eq!(doubt_of(&config, Arrival::GatewaysOnly, &odd), None, "{gateway:?}");
    }
}

/// Which header it is may be a client's choice among four names; what to do about it is not.
#[test]
fn p9_e_notices_are_worded_by_the_configuration() {
    for configured in Gateway::ALL {
        for arrival in [Arrival::Shared, Arrival::GatewaysOnly] {
            let said = |doubt| GatewayNotice { configured, arrival, doubt }.to_string();
            let [one, other, ..] = configured.foreign() else { panic!("two at least") };
            let alike = |mark: &Mark| said(Doubt::Foreign(mark.shown)).replace(one.shown, other.shown);
            assert_eq!(alike(one), alike(other));
            for name in configured.foreign().iter().map(|mark| mark.shown) {
                let text = said(Doubt::Foreign(name));
                assert!(text.contains(name) && (text.contains("gateway=") || text.contains("in gateway")), "{text}");
            }
            for name in configured.always().iter().map(|mark| mark.shown) {
                let (text, visitor) = (said(Doubt::Missing(name)), "a visitor");
                assert!(text.contains(name) && text.contains(configured.name()), "{text}");
                assert_eq!(text.contains(visitor), arrival == Arrival::Shared, "{text}");
                assert_eq!(text.contains("10 minutes"), arrival == Arrival::GatewaysOnly, "{text}");
            }
        }
    }
}

#[test]
fn p9_c_a_missing_header_is_evidence_only_where_no_visitor_can_cause_it() {
    for (arrival, doubt, evidence) in [
        (Arrival::GatewaysOnly, Doubt::Missing("X-Original-URL"), true),
        (Arrival::GatewaysOnly, Doubt::Foreign("X-Forwarded-Uri"), false),
        (Arrival::GatewaysOnly, Doubt::Empty("X-Original-URL"), false),
        (Arrival::Shared, Doubt::Missing("X-Original-URL"), false),
        (Arrival::Shared, Doubt::Foreign("X-Forwarded-Uri"), false),
    ] {
        let notice = GatewayNotice { configured: Gateway::Nginx, arrival, doubt };
        assert_eq!(notice.is_evidence(), evidence, "{notice:?}");
    }
}

#[test]
fn closed_sources_open_again_and_are_bounded() {
    let source = |last: u32| PeerAddress::Ip(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + last)));
    let at = |seconds: u64| Boottime::from_millis(1000 * seconds);
    let mut closed = ClosedSources::default();
    assert!(closed.close(source(1), at(0)) && !closed.close(source(1), at(300)));
    assert!(closed.is_closed(source(1), at(899)) && !closed.is_closed(source(2), at(300)));
    let mapped = PeerAddress::Ip("::ffff:10.0.0.1".parse().unwrap());
    assert!(closed.is_closed(mapped, at(899)), "the same address");
    assert!(!closed.is_closed(source(1), at(900)), "ten minutes after the last such check");
    assert!(closed.close(source(1), at(1000)), "and closes anew");
    for last in 2..=1025 {
        closed.close(source(last), at(1000 + u64::from(last)));
    }
    assert!(!closed.is_closed(source(1), at(1500)), "the oldest goes");
    assert!(closed.is_closed(source(1025), at(2100)) && closed.is_closed(source(2), at(1500)));
    assert_eq!(closed.closed(at(1500)).count(), MAX_CLOSED);
}

#[test]
fn return_targets_from_forwarded_headers() {
    let pairs = [("x-forwarded-host", "app.test"), ("x-forwarded-proto", "https"), ("x-forwarded-uri", "/fwd?x=1")];
    let headers = Headers::new(&pairs);
    let own = OwnRequest { uri: "/oauth2/start", ..OWN };
    let named = plain(&["127.0.0.1"]);
    let targets = |config, peer| default_targets(config, &peer, Endpoint::Browser, own, &headers, "/oauth2");
    assert_eq!(targets(&named, PROXY), ["https://app.test/fwd?x=1", "/fwd?x=1"]);
    assert_eq!(targets(&named, STRANGER), ["/"]);
    for gateway in [Gateway::IngressNginx, Gateway::Traefik, Gateway::Caddy, Gateway::Envoy] {
        let kind = config(gateway, true, &[]);
        assert_eq!(default_targets(&kind, &PROXY, Endpoint::Browser, own, &headers, "/oauth2"), ["/"], "{gateway:?}");
    }
    let page = OwnRequest { uri: "/oauth2x?y", ..OWN };
    assert_eq!(default_targets(&named, &STRANGER, Endpoint::Browser, page, &headers, "/oauth2"), ["/oauth2x?y"]);
}

/// Rules and targets read one URL: who logs in at a `static://` path comes back to the page that was asked for.
#[test]
fn p9_d_rules_and_return_targets_have_one_reader() {
    let own = OwnRequest { uri: "/", ..OWN };
    for gateway in Gateway::ALL.into_iter().filter(|kind| *kind != Gateway::Envoy) {
        let (config, headers) = (config(gateway, true, &["127.0.0.1"]), Headers::new(&whole_set(gateway)));
        let targets = |peer| default_targets(&config, &peer, Endpoint::Static, own, &headers, "/oauth2");
        let found = original_request(&config, &PROXY, Endpoint::Static, own, &headers).request;
        let (host, uri) = (found.host.expect("a host"), found.uri.expect("a URI"));
        assert_eq!(targets(PROXY), [format!("https://{host}{uri}"), uri.to_owned()], "{gateway:?}");
        assert_eq!((host, uri), ("app.test", "/open"), "{gateway:?}");
        assert_eq!(targets(STRANGER), ["/"], "{gateway:?}");
    }
}

#[test]
fn networks_are_canonical() {
    let net = Cidr::parse("10.0.0.0/8").unwrap();
    assert!(net.contains("10.255.0.1".parse().unwrap()) && !net.contains("11.0.0.0".parse().unwrap()));
    assert!(net.contains("::ffff:10.0.0.1".parse().unwrap()));
    assert!(Cidr::parse("::ffff:10.1.2.3").unwrap().contains("10.1.2.3".parse().unwrap()));
    assert!(Cidr::parse("::ffff:10.0.0.0/104").unwrap().contains("10.1.2.3".parse().unwrap()));
    let everything = Cidr::parse("::/0").unwrap();
    assert!(everything.contains("2001:db8::1".parse().unwrap()) && !everything.contains("10.0.0.1".parse().unwrap()));
    let canonical = InvalidCidr::NotCanonical { given: "10.0.0.1/8".to_owned(), meant: "10.0.0.0/8".to_owned() };
    assert_eq!(Cidr::parse("10.0.0.1/8"), Err(canonical));
    for bad in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0/8", "x", "::/129", "10.0.0.0/8/8"]
    {
        assert_eq!(Cidr::parse(bad), Err(InvalidCidr::Unreadable(bad.to_owned())), "{bad:?}");
    }
}

#[test]
fn the_usual_proxies_are_trusted_while_none_is_named() {
    let usual = TrustedProxies::default();
    for near in [
        "127.0.0.1",
        "::1",
        "10.2.3.4",
        "172.31.0.1",
        "192.168.1.1",
        "100.100.0.1",
        "169.254.1.1",
        "fd00::1",
        "fe80::1",
    ] {
        assert!(usual.contains(&PeerAddress::Ip(near.parse().unwrap())), "{near}");
    }
    for far in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1"] {
        assert!(!usual.contains(&PeerAddress::Ip(far.parse().unwrap())), "{far}");
    }
    assert!(usual.contains(&PeerAddress::Unix) && !usual.explicit());
    let named = TrustedProxies::parse(&["192.0.2.1"]).unwrap();
    assert!(named.explicit() && !named.contains(&PROXY));
}

#[test]
fn gateway_names_go_both_ways() {
    for gateway in Gateway::ALL {
        assert_eq!(Gateway::parse(gateway.name()), Ok(gateway));
    }
    assert!(Gateway::parse("apache").is_err());
}

const NAMES: [&str; 9] = [
    "x-original-url",
    "x-original-method",
    "x-real-ip",
    "x-forwarded-uri",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-method",
    "x-forwarded-for",
    "x-envoy-external-address",
];

/// What a kind reads on a check.
fn own_names(gateway: Gateway) -> &'static [&'static str] {
    match gateway {
        Gateway::None => &["x-forwarded-uri", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"],
        Gateway::IngressNginx | Gateway::Nginx => {
            &["x-original-url", "x-original-method", "x-real-ip", "x-forwarded-proto"]
        }
        Gateway::Traefik | Gateway::Haproxy => {
            &["x-forwarded-uri", "x-forwarded-method", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"]
        }
        Gateway::Caddy => {
            &["x-forwarded-uri", "x-forwarded-method", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-for"]
        }
        Gateway::Envoy => &["x-envoy-external-address", "x-forwarded-proto"],
    }
}

fn any_headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let value = prop_oneof![
        any::<Vec<u8>>(),
        "https?://[a-z:0-9.\\\\?#@%\\[\\]]{0,6}/[/a-z.%?#\\\\]{0,6}".prop_map(String::into_bytes),
        "[0-9a-f.:, \\[\\]]{0,12}".prop_map(String::into_bytes),
    ];
    prop::collection::vec((prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned), value), 0..6)
}

fn any_gateway() -> impl Strategy<Value = Gateway> {
    prop::sample::select(Gateway::ALL.to_vec())
}

fn any_endpoint() -> impl Strategy<Value = Endpoint> {
    prop::sample::select(vec![Endpoint::Auth, Endpoint::Browser, Endpoint::Proxied, Endpoint::Static])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// P9: nothing that a stranger sends changes anything.
    #[test]
    fn a_strangers_headers_change_nothing(pairs in any_headers(), gateway in any_gateway(), endpoint in any_endpoint()) {
        let config = config(gateway, true, &["10.0.0.0/8"]);
        let (with, without) = (Headers(pairs), Headers(Vec::new()));
        let with = original_request(&config, &STRANGER, endpoint, OWN, &with);
        prop_assert_eq!(with, original_request(&config, &STRANGER, endpoint, OWN, &without));
    }

    /// P9: headers outside a kind's own set change nothing, or close the one check that carries them.
    #[test]
    fn other_headers_only_close(pairs in any_headers(), gateway in any_gateway(), at_static in any::<bool>()) {
        let own_set: Vec<_> = pairs.iter().filter(|(name, _)| own_names(gateway).contains(&name.as_str())).cloned().collect();
        let config = config(gateway, true, &["127.0.0.1"]);
        let endpoint = if at_static { Endpoint::Static } else { Endpoint::Auth };
        let (all, few) = (Headers(pairs), Headers(own_set));
        let all = original_request(&config, &PROXY, endpoint, OWN, &all).request;
        let few = original_request(&config, &PROXY, endpoint, OWN, &few).request;
        let closed = OriginalRequest { opening: closed_by_doubt(gateway, few.opening), ..few.clone() };
        prop_assert!(all == few || all == closed, "{all:?} is neither {few:?} nor {closed:?}");
    }

    #[test]
    fn what_was_split_is_what_was_given(whole in "https?://[a-z:0-9.\\\\?#@%\\[\\]-]{0,8}/[/a-z.%?# \\\\é]{0,8}") {
        if let Some(split) = split_url(&whole) {
            prop_assert_eq!(format!("{}://{}{}", split.scheme, split.host, split.uri), whole.clone());
            // Names that end in a number are addresses to the URL standard.
            if let Ok(seen) = ::url::Url::parse(&whole) && let Some(seen) = seen.domain() {
                prop_assert_eq!(Some(seen), split.host.split(':').next());
            }
        }
    }
}
