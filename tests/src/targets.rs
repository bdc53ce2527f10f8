//! Return targets: bad ones made of every trick that is known, and good ones that must not suffer.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

/// The list that targets are held against, as `whitelist_domains` writes it.
pub const ALLOWED: [&str; 5] = ["foo.bar", ".bar.foo", "port.bar:8080", "anyport.bar:*", "*.wildcard.bar"];

/// What lures a browser to somewhere else than it looks.
const LEADS: [&str; 62] = [
    "//",
    "///",
    "////",
    "/\\",
    "\\\\",
    "\\/",
    "/\\\\",
    "\\",
    "/\\/",
    "//\\",
    "/\t/",
    "/\n/",
    "/\r/",
    "/\r\n/",
    "/ /",
    "\t//",
    " //",
    "/\0/",
    "/\u{b}/",
    "/.//",
    "/..//",
    "/.\\",
    "/./\\",
    "/a//",
    "/a/..//",
    "/a/../\\",
    "/;/",
    "/;//",
    "/\u{a0}/",
    "/\u{3000}/",
    "/\u{200b}/",
    "\u{feff}//",
    "http://",
    "https://",
    "http:",
    "https:",
    "https:/",
    "https:///",
    "http:\\\\",
    "http:/\\",
    "HtTpS://",
    "hTTp:",
    "ht\ttps://",
    "\thttps://",
    " https://",
    "\u{1}https://",
    "ftp://",
    "javascript://",
    "data://",
    "vbscript://",
    "file://",
    "ws://",
    "view-source:http://",
    "url:http://",
    "http://http://",
    "https://foo.bar@",
    "https://foo.bar:80@",
    "https://foo.bar\\@",
    "https://foo.bar%5c@",
    "https://foo.bar;@",
    "https://foo.bar%00@",
    "//foo.bar@",
];

/// Hosts that are not on the list, many of which look as if they were.
const HOSTS: [&str; 26] = [
    "evil.test",
    "127.0.0.1",
    "[::1]",
    "2130706433",
    "0x7f.1",
    "evil.test:80",
    "evil.test:foo.bar",
    "badfoo.bar",
    "foo.bar.evil.test",
    "xbar.foo",
    "foo.barx",
    "foo.bar.",
    "bar.foo.",
    "port.bar",
    "port.bar:8081",
    "port.bar:08080.evil.test",
    "foo.bar:8080",
    "evil.test\u{3002}foo.bar",
    "evil.test\u{ff0e}foo.bar",
    "evil.test\u{ff0f}.bar.foo",
    "evil.test%2f.bar.foo",
    "evil.test\\.bar.foo",
    "evil.test#.bar.foo",
    "evil.test?.bar.foo",
    "wildcard.bar.evil.test",
    "ev\u{ad}il.test",
];

/// What stands behind the host.
const TAILS: [&str; 14] = [
    "",
    "/",
    "/%2f..",
    "/..",
    "?x=foo.bar",
    "#foo.bar",
    "/foo.bar",
    "/\\foo.bar",
    "\\.foo.bar",
    "%00.foo.bar",
    "%09.bar.foo",
    "%23.bar.foo",
    "/\r\nSet-Cookie:a=b",
    ":443",
];

/// Targets whose danger is no host.
const SCRIPTS: [&str; 16] = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "java\nscript:alert(1)",
    "\tjavascript:alert(1)",
    "javascript://foo.bar/%0aalert(1)",
    "javascript:alert(1)//http://foo.bar/",
    "data:text/html,<script>alert(1)</script>",
    "data:text/html;base64,PHNjcmlwdD4=",
    "DATA:,x",
    "vbscript:msgbox(1)",
    "mailto:a@foo.bar",
    "tel:1",
    "blob:https://foo.bar/x",
    "about:blank",
    "intent://foo.bar#Intent;end",
];

/// Separators and dots: what is worth hiding behind an escape.
const HIDDEN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Every distinct bad target: one that leads elsewhere as it stands, or decoded once or twice.
pub fn bad(origin: &Url) -> Vec<String> {
    let mut made = BTreeSet::new();
    for lead in LEADS {
        for host in HOSTS {
            for tail in TAILS {
                made.extend(spellings(&format!("{lead}{host}{tail}")));
            }
        }
    }
    for script in SCRIPTS {
        made.extend(spellings(script));
        made.extend(spellings(&format!("{script}#foo.bar")));
    }
    // A target in a target: the outer one is what counts.
    let inner: Vec<String> = ["//evil.test/", "https://evil.test/"].map(str::to_owned).to_vec();
    for nested in inner {
        made.extend(spellings(&format!("https://evil.test/oauth2/start?rd={nested}")));
        made.extend(spellings(&format!("//evil.test/?rd=https://foo.bar/{nested}")));
    }
    made.into_iter().filter(|raw| readings(raw).iter().any(|reading| !stays(origin, reading))).collect()
}

/// Every distinct good target.
pub fn good() -> Vec<String> {
    let paths = [
        "/",
        "/a",
        "/a/b/c",
        "/a?x=1",
        "/a?x=1&y=2",
        "/a#b",
        "/a?x#y",
        "/a%20b",
        "/a%2Fb",
        "/%C3%A4",
        "/ä",
        "/a+b",
        "/a;b=c",
        "/a:b",
        "/@a",
        "/~a",
        "/.a",
        "/a.",
        "/a..b",
        "/...",
        "/a?u=https%3A%2F%2Fx.test%2F",
        "/a?rd=%2Fb",
        "/a/",
        "/%40x",
        "/a'b",
        "/a(b)",
        "/a*b",
        "/a!b",
        "/a,b",
        "/a$b",
        "/a&b",
        "/a=b",
        "/a%252Fb",
        "/-",
        "/_",
        "/0",
        "/a?b=c/d",
    ];
    let hosts = [
        "http://foo.bar",
        "https://foo.bar",
        "https://x.bar.foo",
        "https://bar.foo",
        "http://port.bar:8080",
        "http://anyport.bar",
        "http://anyport.bar:1",
        "https://anyport.bar:65535",
        "https://a.wildcard.bar",
        "https://a.b.wildcard.bar",
    ];
    let on_hosts = hosts.iter().flat_map(|host| paths.iter().map(move |path| format!("{host}{path}")));
    paths.iter().map(|path| (*path).to_owned()).chain(on_hosts).collect()
}

/// Whether a browser at `origin` that is sent to `location` stays there or goes to an allowed host.
pub fn stays(origin: &Url, location: &str) -> bool {
    let Ok(landed) = origin.join(location) else { return true };
    landed.origin() == origin.origin() || is_allowed(&landed)
}

fn is_allowed(landed: &Url) -> bool {
    let (Some(host), true) = (landed.host_str(), matches!(landed.scheme(), "http" | "https")) else { return false };
    ALLOWED.iter().any(|entry| {
        let (name, port) = entry.split_once(':').map_or((*entry, None), |(name, port)| (name, Some(port)));
        let below = name.trim_start_matches('*').strip_prefix('.');
        let host_fits = below.map_or(host == name, |name| host == name || host.ends_with(&format!(".{name}")));
        let port_fits = match port {
            Some("*") => true,
            Some(wanted) => landed.port().is_some_and(|port| port.to_string() == wanted),
            None => landed.port().is_none(),
        };
        host_fits && port_fits
    })
}

/// As it stands, escaped once and twice, in both cases of the escapes' letters, and behind a plain first letter.
fn spellings(raw: &str) -> [String; 7] {
    let once = utf8_percent_encode(raw, HIDDEN).to_string();
    let twice = utf8_percent_encode(&once, HIDDEN).to_string();
    let slashes = raw.replace('/', "%2f").replace('\\', "%5C");
    let lower = once.chars().enumerate().map(|(at, c)| if at % 2 == 0 { c.to_ascii_lowercase() } else { c }).collect();
    let behind = |escaped: &str, first: char| {
        let length = utf8_percent_encode(first.encode_utf8(&mut [0; 4]), HIDDEN).to_string().len();
        format!("{first}{}", &escaped[length..])
    };
    let first = raw.chars().next().unwrap_or('/');
    let after_once = behind(&once, first);
    let after_twice = utf8_percent_encode(&after_once[first.len_utf8()..], HIDDEN).to_string();
    [raw.to_owned(), after_once, format!("{first}{after_twice}"), once, twice, slashes, lower]
}

fn readings(raw: &str) -> [String; 3] {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let once = decode(raw);
    let twice = decode(&once);
    [raw.to_owned(), once, twice]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_is_bad_and_good_is_good() {
        let origin = Url::parse("http://app.example.test:4180/oauth2/callback").expect("valid");
        for (location, kept) in [
            ("/a", true),
            ("https://x.bar.foo/", true),
            ("//evil.test", false),
            ("/\\evil.test", false),
            ("https://port.bar/", false),
            ("javascript:alert(1)", false),
            ("https://foo.bar@evil.test/", false),
        ] {
            assert_eq!(stays(&origin, location), kept, "{location}");
        }
        assert!(bad(&origin).len() >= 5_000, "{}", bad(&origin).len());
        let good = good();
        assert!(good.len() >= 100 && good.iter().all(|good| stays(&origin, good)));
    }
}
