//! Request targets: those with one reading for every server, and those that servers cut, drop or resolve differently.

use crate::scale::Scale;

/// Targets that each server reads alike: path, and the resource that it is once decoded.
const CLEAN_PATHS: [(&str, &str); 27] = [
    ("/open", "/open"),
    ("/open/", "/open/"),
    ("/open/a", "/open/a"),
    ("/open/a/b/c.css", "/open/a/b/c.css"),
    ("/open/a%20b", "/open/a b"),
    ("/open/%20", "/open/ "),
    ("/open/gr%C3%B6%C3%9Fe", "/open/größe"),
    ("/open/%e6%97%a5%e6%9c%ac/%F0%9F%9A%80", "/open/日本/🚀"),
    ("/open/@scope%2fname", "/open/@scope/name"),
    ("/open/@scope%2Fname/-/name-1.0.0.tgz", "/open/@scope/name/-/name-1.0.0.tgz"),
    ("/open/.well-known/openid-configuration", "/open/.well-known/openid-configuration"),
    ("/open/.git/..a/a../...", "/open/.git/..a/a../..."),
    ("/open/~alice/", "/open/~alice/"),
    ("/open/a:b:80", "/open/a:b:80"),
    ("/open/a,b,,c", "/open/a,b,,c"),
    ("/open/a+b++c", "/open/a+b++c"),
    ("/open/a=b&c=d", "/open/a=b&c=d"),
    ("/open/(a)!'*'$@", "/open/(a)!'*'$@"),
    ("/open/%28a%29%21", "/open/(a)!"),
    ("/open/100%25.txt", "/open/100%.txt"),
    ("/open/100%25", "/open/100%"),
    ("/%6fpen/%61", "/open/a"),
    ("/open/%41%5a%7e", "/open/AZ~"),
    ("/open/%22%3C%3E%5E%60%7B%7C%7D", "/open/\"<>^`{|}"),
    ("/open/http:%2fa", "/open/http:/a"),
    ("/open/0123456789abcdef-_.", "/open/0123456789abcdef-_."),
    ("/openly/index.html5", "/openly/index.html5"),
];

/// Queries with everything that a path may not have.
const QUERIES: [&str; 24] = [
    "",
    "?",
    "?a=b&c=d",
    "?a;b;c=;",
    "?next=%23top",
    "?x=%2523",
    "?x=\\..\\y",
    "?x=%5C..%5c",
    "?next=//a.test//b",
    "?next=/../../secret",
    "?next=https://app.test:8443/a/./b/../c",
    "?n=%E9&m=%ff%c3",
    "?c=%00%01%09%0a%0d%1f%7f",
    "?u=%C3%B6+%20",
    "?a?b??",
    "?%2e%2e%2f",
    "?q=@scope%2fname~:,+",
    "?p=100%25",
    "?sig=t=1,v1=ab==;v0=cd",
    "?/open/../secret",
    "?;",
    "?..",
    "?%3b%3B%3f%3F",
    "?x[]=1&y={a|b}^`",
];

/// A target that means the same to every server.
#[derive(Clone, Debug)]
pub struct Clean {
    /// As it is sent.
    pub target: String,
    /// What it is, decoded once.
    pub resource: &'static str,
}

/// Each clean path with each query.
pub fn clean() -> Vec<Clean> {
    let with = |(path, resource): (&str, &'static str)| {
        QUERIES.map(|query| Clean { target: format!("{path}{query}"), resource })
    };
    CLEAN_PATHS.into_iter().flat_map(with).collect()
}

/// What may stand where a path seems to end.
const ENDS: [&str; 16] = [
    "#", ";", "\\", "%23", "%3b", "%3B", "%5c", "%3f", "%00", "%0a", "%09", "%2523", "%253b", "%255c", "%ff", "%c0%af",
];

/// What leads from one segment to the next, or out of it.
const STEPS: [&str; 22] = [
    "/",
    "//",
    "/./",
    "/../",
    "/%2e/",
    "/%2e%2e/",
    "/.%2E/",
    "%2f",
    "%2F",
    "%2f..%2f",
    "/..%2f",
    "%2f../",
    "\\..\\",
    "%5c..%5c",
    "/..;/",
    "/..;a=b/",
    "/.;/",
    "/..%00/",
    "/..%09/",
    "/%252e%252e/",
    "%252f..%252f",
    "/..%c0%af../",
];

/// Targets by which a client may reach `hidden` by what looks like `shown`: both begin with a slash.
pub fn disguises(shown: &str, hidden: &str) -> Vec<String> {
    let mut all = Vec::new();
    for end in ENDS {
        all.push(format!("{hidden}{end}{shown}"));
        all.push(format!("{hidden}{end}.css"));
        all.push(format!("{hidden}{end}x=/a.css"));
        all.push(format!("{hidden}{end}/a.css"));
        for step in STEPS {
            all.push(format!("{shown}{end}{step}{}", &hidden[1..]));
            all.push(format!("{shown}{end}{step}..{hidden}"));
        }
    }
    for step in STEPS {
        all.push(format!("{shown}{step}..{hidden}"));
        all.push(format!("{shown}{step}{}", &hidden[1..]));
        all.push(format!("{step}{}", &hidden[1..]));
        all.push(format!("/x{step}{}", &hidden[1..]));
        all.push(hidden.replacen('/', step, 2));
        all.push(format!("{}{}", &hidden[..1], hidden[1..].replacen('/', step, 1)));
    }
    let (first, rest) = hidden[1..].split_once('/').unwrap_or((&hidden[1..], ""));
    for end in ENDS {
        all.push(format!("/{first}{end}/{rest}"));
        all.push(format!("/{first}{end}x=1/{rest}"));
        all.push(format!("/{end}{hidden}"));
        all.push(format!("/{end}/..{hidden}"));
    }
    let byte = |letter: char, times: usize| format!("%{}{:02x}", "25".repeat(times), u32::from(letter));
    for times in 0..4 {
        all.push(format!("/{}{}", byte(char::from(hidden.as_bytes()[1]), times), &hidden[2..]));
        all.push(format!("/{}", hidden[1..].replace('/', &byte('/', times))));
        all.push(format!("{shown}/{0}{0}{hidden}", byte('.', times)));
    }
    all.retain(|target| target.starts_with('/'));
    all
}

/// A target of random parts.
pub fn random(scale: &mut Scale) -> String {
    const STARTS: [&str; 8] = ["/open", "/open/", "/api", "/api/", "/", "/a.css", "/admin/users", "/secret/x"];
    const PARTS: [&str; 24] = [
        "a",
        "x.css",
        "open",
        "api",
        "secret",
        "/",
        "/",
        ".",
        "..",
        "%2e",
        "%25",
        "%61",
        "%2561",
        "%",
        "+",
        "~",
        ":",
        "%20",
        "%C3%A9",
        "\u{e9}",
        "%c3",
        "?",
        "?x=/a.css",
        "'",
    ];
    let mut target = STARTS[scale.below(STARTS.len())].to_owned();
    for _ in 0..scale.below(6) {
        target.push_str(match scale.below(4) {
            0 => ENDS[scale.below(ENDS.len())],
            1 => STEPS[scale.below(STEPS.len())],
            _ => PARTS[scale.below(PARTS.len())],
        });
    }
    target
}
