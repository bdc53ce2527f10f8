//! Tests of cookies: oauth2-proxy's form of `Set-Cookie`, its choice of domain, and odd headers.

use proptest::prelude::*;

use super::*;

fn attributes() -> CookieAttributes {
    CookieAttributes {
        path: "/".to_owned(),
        domains: Vec::new(),
        secure: true,
        http_only: true,
        same_site: Some(SameSite::Lax),
    }
}

#[test]
fn attributes_stand_in_the_order_of_oauth2_proxy() {
    let week = Some(Ttl::from_secs(604_800));
    let cookie = SetCookie::set("_oauth2_proxy", "v", &attributes(), Some(".example.test"), week);
    assert_eq!(
        cookie.header_value(),
        "_oauth2_proxy=v; Path=/; Domain=example.test; Max-Age=604800; HttpOnly; Secure; SameSite=Lax"
    );
    let plain = CookieAttributes { secure: false, http_only: false, same_site: None, ..attributes() };
    assert_eq!(SetCookie::set("a", "b", &plain, None, None).header_value(), "a=b; Path=/");
    let strict = CookieAttributes { path: "/app".to_owned(), same_site: Some(SameSite::Strict), ..plain };
    assert_eq!(SetCookie::delete("a", &strict, None).header_value(), "a=; Path=/app; Max-Age=0; SameSite=Strict");
    assert!(!format!("{cookie:?}").contains("\"v\""), "values do not print");
}

#[test]
fn the_longest_fitting_domain_is_taken() {
    let domains = [".example.test", "sub.example.test"].map(str::to_owned);
    for (host, expected) in [
        ("app.example.test", ".example.test"),
        ("a.sub.example.test", "sub.example.test"),
        ("sub.example.test", "sub.example.test"),
        ("other.test", ".example.test"),
        ("example.test", ".example.test"),
        ("badexample.test", ".example.test"),
        ("app.example.test:8080", ".example.test"),
        ("A.Sub.Example.Test", "sub.example.test"),
        ("[::1]:4180", ".example.test"),
    ] {
        assert_eq!(domain_for_host(&domains, host), Some(expected), "{host}");
    }
    assert_eq!(domain_for_host(&[], "app.example.test"), None);
}

#[test]
fn a_host_on_no_list_gets_the_shortest() {
    let domains = [".example.test", "app.example.test", "other.test"].map(str::to_owned);
    assert_eq!(domain_for_host(&domains, "localhost"), Some("other.test"));
    assert_eq!(domain_for_host(&domains, "notother.test"), Some("other.test"));
    assert_eq!(domain_for_host(&domains, "x.example.test"), Some(".example.test"));
}

#[test]
fn all_cookies_of_a_name_are_found_up_to_a_limit() {
    let header = "a=1; b=2;a=3 ; aa=4; =5; a; a=x=y";
    let found = |limit| cookies_named(header, "a", limit).collect::<Vec<_>>();
    assert_eq!(found(8), ["1", "3", "x=y"]);
    assert_eq!(found(2), ["1", "3"]);
    assert_eq!(cookies_named(header, "A", 8).count(), 0, "names know case");
}

#[test]
fn names_are_tokens() {
    assert_eq!(check_cookie_name("__Host-session"), Ok(()));
    assert_eq!(check_cookie_name(""), Err(InvalidCookieName::Empty));
    assert_eq!(check_cookie_name("a b"), Err(InvalidCookieName::Character(' ')));
    assert_eq!(check_cookie_name("a;b"), Err(InvalidCookieName::Character(';')));
    assert_eq!(check_cookie_name("ä"), Err(InvalidCookieName::Character('ä')));
    assert_eq!(check_cookie_name(&"a".repeat(256)), Ok(()));
    assert_eq!(check_cookie_name(&"a".repeat(257)), Err(InvalidCookieName::TooLong));
}

#[test]
fn a_prefix_says_which_attributes_browsers_demand() {
    use UnmetPrefix::{Domain, HttpOnly, Path, Secure};
    let bare = CookieAttributes {
        path: "/app".to_owned(),
        domains: vec!["example.test".to_owned()],
        secure: false,
        http_only: false,
        same_site: None,
    };
    for (name, unmet) in [
        ("__Host-a", [Secure, Path, Domain].as_slice()),
        ("__hOST-a", &[Secure, Path, Domain]),
        ("__Secure-a", &[Secure]),
        ("__Http-a", &[Secure, HttpOnly]),
        ("__Host-Http-a", &[Secure, Path, Domain, HttpOnly]),
        ("_Host-a", &[]),
        ("__Host", &[]),
        ("a__Host-", &[]),
    ] {
        assert_eq!(bare.unmet_by(name), unmet, "{name}");
        assert!(attributes().unmet_by(name).is_empty(), "{name}");
    }
    let no_path = CookieAttributes { path: String::new(), ..attributes() };
    assert_eq!(no_path.unmet_by("__Host-a"), [Path], "the attribute has to stand there");
}

#[test]
fn an_empty_path_sends_no_attribute() {
    let bare = CookieAttributes { path: String::new(), ..attributes() };
    assert_eq!(bare.check(), Ok(()));
    assert!(!SetCookie::delete("a", &bare, None).header_value().contains("Path"));
}

#[test]
fn attributes_cannot_break_the_header() {
    assert_eq!(attributes().check(), Ok(()));
    for path in ["app", "/a;Secure", "/a\r\nX: y", "/a b"] {
        let bad = CookieAttributes { path: path.to_owned(), ..attributes() };
        assert_eq!(bad.check(), Err(InvalidCookieAttribute::Path(path.to_owned())));
    }
    for domain in ["", ".", "a;b", "a b", "a:80"] {
        let bad = CookieAttributes { domains: vec!["ok.test".to_owned(), domain.to_owned()], ..attributes() };
        assert_eq!(bad.check(), Err(InvalidCookieAttribute::Domain(domain.to_owned())));
    }
}

proptest! {
    #[test]
    fn any_header_is_read(header in ".*", name in ".*", domains in proptest::collection::vec(".*", 0..4)) {
        prop_assert!(cookies_named(&header, &name, MAX_COOKIES_TRIED).count() <= MAX_COOKIES_TRIED);
        prop_assert_eq!(domain_for_host(&domains, &header).is_none(), domains.is_empty());
    }
}
