//! Which paths opening rules read, and as what: held against models of how servers resolve them.

use proptest::prelude::*;

use super::{asked, rules};
use crate::policy::path::percent_decode;

fn opens(rule: &str, uri: &str) -> bool {
    rules(&[rule]).open(&asked("GET", uri, true))
}

/// Rules that between them open every path that has readings at all.
const EVERY: [&str; 3] = [".*", "!=^/nothing", "GET!=\\.nothing$"];

/// S-6, S-9 and S-10, and the ways of writing one path as another.
#[test]
fn one_path_that_two_servers_could_read_differently_opens_nothing() {
    for uri in [
        // A `#`, raw anywhere or in any layer.
        "/open#/../secret",
        "/open#",
        "/open#frag",
        "/open/..#/../../secret",
        "/open?x#y",
        "/open?#",
        "/open%23",
        "/open%23/../secret",
        "/open%2523x",
        "/open%252523x",
        "/secret%23%2fopen",
        // Path parameters.
        "/admin/users;.css",
        "/admin/users;x=/a.css",
        "/api;x=1/users",
        "/api%3bx=1/users",
        "/api%3Bx=1/users",
        "/api%253bx=1/users",
        "/;/api/users",
        "/open/..;/secret",
        "/open/x;",
        // Backslashes.
        "/api\\users",
        "/api%5cusers",
        "/api%5Cusers",
        "/api%255cusers",
        "/open/..\\secret",
        // Dots and empty segments.
        "/open/../secret",
        "/open/..",
        "/open/.",
        "/./open",
        "/.",
        "/open/%2e%2e/secret",
        "/open/.%2E/secret",
        "/open/%252e%252e/secret",
        "/open/%25252e%2e/secret",
        "/open/..%2fsecret",
        "/open%2f..%2fsecret",
        "/open%252f..%252fsecret",
        "/open//secret",
        "/open/%2fsecret",
        "/open%2f/secret",
        "/open/%252fsecret",
        "/%2fopen",
        "/open/a%2f",
        "/open/a%252f",
        "//open",
        // An encoded question mark: who decodes first finds a query there.
        "/secret%3f/open",
        "/secret%253f/open",
        // Control characters.
        "/open%00",
        "/open%0a",
        "/open%09x",
        "/open%1f",
        "/open%7f",
        "/open%2500",
        // Bytes that are not UTF-8, or not yet.
        "/open%ff",
        "/open%e9",
        "/open%c3",
        "/open/..%c0%af../secret",
        "/open%25c0%25af",
        "/open%c3%25a9",
        // Broken escapes.
        "/open/%zz",
        "/open/%",
        "/open/%2",
        "/open/100%.txt",
        "/open/%u002e",
        // Too many layers.
        "/open/%25252525252525252541",
        // No paths.
        "open",
        "",
        "?/open",
        "*",
    ] {
        for rule in EVERY {
            assert!(!opens(rule, uri), "{rule} {uri:?}");
        }
    }
}

#[test]
fn one_path_with_one_reading_opens() {
    for uri in [
        "/",
        "/open",
        "/open/",
        "/%6fpen",
        "/open/a%20b",
        "/open/100%25.txt",
        "/open/50%25%2541",
        "/open/%2525",
        "/open/gr%C3%B6%C3%9Fe",
        "/open/größe",
        "/open/@scope%2fname",
        "/open/@scope%2Fname/-/name-1.0.0.tgz",
        "/.well-known/openid-configuration",
        "/open/.hidden/..a/a../...",
        "/open/~alice/a:b/c,d/e+f/g=h/(i)/j!/k*/l'm&n$",
        // The query is not looked at.
        "/open?",
        "/open?a;b",
        "/open?next=%23top",
        "/open?path=..\\x&//y/../z",
        "/open?q=%E9&r=%ff%00%0d%0a",
        "/open?%zz=%&100%",
        "/open?a?b??",
        "/open?url=https://a.test//b;c=%5C%2e%2e/",
    ] {
        for rule in EVERY {
            assert!(opens(rule, uri), "{rule} {uri:?}");
        }
    }
}

#[test]
fn one_path_of_several_readings_opens_where_the_rule_opens_each() {
    for (rule, uri, expected) in [
        ("^/open/[^/]+$", "/open/a%20b", true),
        ("^/open/a b$", "/open/a%20b", true),
        ("^/größe$", "/gr%C3%B6%C3%9Fe", true),
        ("^/100%\\.txt$", "/100%25.txt", true),
        // An encoded slash parts segments here, and is a letter there.
        ("^/@scope/name$", "/@scope%2fname", false),
        ("^/@scope%2fname$", "/@scope%2fname", false),
        ("^/@scope(/|%2[fF])name$", "/@scope%2Fname", true),
        ("^/open/[^/]+$", "/open/a%2fb", false),
        ("^/open/", "/open%2fx", false),
        ("^/open", "/open%2fx", true),
        ("!=^/api/", "/api%2fusers", false),
        ("!=^/api", "/api%2fusers", false),
        ("!=^/api%2f", "/api%2fusers", false),
        ("!=^/api/", "/x%2fapi", true),
        // Who decodes twice reads another path.
        ("^/%61pi/", "/%2561pi/users", false),
        ("!=^/api/", "/%2561pi/users", false),
        ("!=^/api/", "/api%252fusers", false),
        ("^/(%61|a)pi/", "/%2561pi/users", true),
        // Who takes raw bytes for Latin-1 reads another one, too.
        ("^/größe$", "/größe", false),
        ("^/gr[^/]+e$", "/größe", true),
        ("!=^/priv\u{c3}\u{a9}/", "/privé/x", false),
        ("!=^/privé/", "/privé/x", false),
    ] {
        assert_eq!(opens(rule, uri), expected, "{rule} {uri}");
    }
}

#[test]
fn a_path_that_this_process_resolves_has_one_reading() {
    let open = rules(&["^/open", "/ok$"]);
    for (uri, opens) in [
        ("/open/..;/secret", true),
        ("/open/..%5csecret", true),
        ("/open%23frag", true),
        ("/open#frag", true),
        ("/secret%23/ok", false),
        ("/secret#/ok", false),
        ("/secret?x=/ok", false),
        ("/open/../secret", false),
        ("/open%23/../secret", false),
        ("/%2fopen/x", false),
        ("/open%00", false),
        ("/open/%zz", false),
    ] {
        assert_eq!(open.open(&asked("GET", uri, false)), opens, "{uri:?}");
    }
}

/// What a server makes of a path before it looks for a handler, one habit each.
const HABITS: [fn(&str) -> String; 13] = [
    |path| path.split('#').next().unwrap_or_default().to_owned(),
    |path| path.split('?').next().unwrap_or_default().to_owned(),
    decode_lossily,
    decode_latin,
    |path| path.replace('\\', "/"),
    |path| path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/"),
    |path| path.split(';').next().unwrap_or_default().to_owned(),
    |path| path.split('\0').next().unwrap_or_default().to_owned(),
    |path| path.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect(),
    without_empty,
    without_dots,
    |path| path.strip_suffix("%2f").unwrap_or(path).to_owned(),
    |path| path.trim_end_matches(|c: char| c.is_ascii_control()).to_owned(),
];

/// Deeper layers may hold a lone `%`, which is text.
fn decode_bytes(path: &str) -> Vec<u8> {
    let mut out = String::new();
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let sound = rest.as_bytes().get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
        out.push_str(if sound { "%" } else { "%25" });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    percent_decode(&out).expect("sound by now").into_owned()
}

fn decode_lossily(path: &str) -> String {
    String::from_utf8_lossy(&decode_bytes(path)).into_owned()
}

/// Takes raw bytes beyond ASCII for Latin-1 first.
fn decode_latin(path: &str) -> String {
    let latin: String = path.bytes().map(char::from).collect();
    decode_lossily(&latin)
}

fn without_empty(path: &str) -> String {
    let mut merged = path.to_owned();
    while merged.contains("//") {
        merged = merged.replace("//", "/");
    }
    merged
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            ".." => drop(kept.pop()),
            "." => {}
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_000))]

    /// Whatever habits a server has, in whatever order: what a rule opens stays what the rule is about.
    #[test]
    fn one_path_that_is_opened_stays_open_when_a_server_resolves_it(
        first in prop::sample::select(vec!["/open/", "/open", "/api", "/", "/x/"]),
        rest in prop::collection::vec(prop::sample::select(vec![
            "/", "/..", "/.", "..", ".", "%2e", "%2f", "%2F", "%252f", "%5c", "\\", "%23", "#", "%2523", "%3f", "?", ";",
            "%3b", "a", "secret", "api/", "open/", "%61", "%2561", "%25", "%", "%2", "%00", "%09", "%c3%a9", "%c3",
            "\u{e9}", "\u{c3}", "+", "~", ":",
        ]), 0..7),
        habits in prop::collection::vec(0_usize..HABITS.len(), 0..5),
    ) {
        let uri = format!("{first}{}", rest.concat());
        let mut resolved = uri.split('?').next().unwrap_or_default().to_owned();
        for habit in habits {
            resolved = HABITS[habit](&resolved);
        }
        if opens("^/open/", &uri) {
            prop_assert!(resolved.starts_with("/open/"), "{} is {}", uri, resolved);
        }
        if opens("!=^/api/", &uri) {
            prop_assert!(!resolved.starts_with("/api/"), "{} is {}", uri, resolved);
        }
    }

    /// Paths of ordinary letters are never ambiguous, whatever stands in the query.
    #[test]
    fn one_path_of_ordinary_letters_is_opened_whatever_the_query(
        path in "(/[a-zA-Z0-9_~:,+@!$&'()*=-]([a-zA-Z0-9._~:,+@!$&'()*=-]|%20|%C3%A9|%2f[a-z])*){0,5}",
        query in "([!-\"$-~\u{e9}]|%[0-9a-f]{2}){0,40}",
    ) {
        let uri = format!("/open{path}?{query}");
        prop_assert!(EVERY.iter().all(|rule| opens(rule, &uri)) && opens("^/open", &uri), "{}", uri);
    }
}
