//! The ways in which a client tries to say what its request was: each asks for [`CLOSED`] and claims
//! [`OPEN`], the method OPTIONS, or the address [`INSIDER`].

use std::net::{IpAddr, Ipv4Addr};

/// What every way really asks for, or would get from a server that reads it otherwise than the rule.
pub const CLOSED: &str = "/secret/x";

/// What a way claims to ask for.
pub const OPEN: &str = "/open/x";

/// The address that needs no login.
pub const INSIDER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 7));

/// The address that the ways come from.
pub const OUTSIDER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// One way.
#[derive(Clone, Debug)]
pub struct Way {
    /// For the reader of a failure.
    pub name: String,
    /// The whole request; `{host}` stands for the gateway's `host:port`.
    pub request: String,
}

impl Way {
    fn new(name: impl Into<String>, request: impl Into<String>) -> Self {
        Self { name: name.into(), request: request.into() }
    }

    /// The request for a gateway known as `host`.
    pub fn bytes(&self, host: &str) -> Vec<u8> {
        self.request.replace("{host}", host).into_bytes()
    }
}

/// Every header that some gateway or framework takes for the original request, with what an
/// intruder would write there.
pub const HEADERS: [(&str, &str); 52] = [
    ("X-Original-URL", "http://{host}/open/x"),
    ("X-Original-URI", "/open/x"),
    ("X-Original-Url-Path", "/open/x"),
    ("X-Original-Path", "/open/x"),
    ("X-Original-Host", "{host}"),
    ("X-Original-Method", "OPTIONS"),
    ("X-Original-Proto", "https"),
    ("X-Original-Forwarded-For", "127.0.0.7"),
    ("X-Original-Remote-Addr", "127.0.0.7"),
    ("X-Forwarded-Uri", "/open/x"),
    ("X-Forwarded-Url", "http://{host}/open/x"),
    ("X-Forwarded-Path", "/open/x"),
    ("X-Forwarded-Prefix", "/open"),
    ("X-Forwarded-Method", "OPTIONS"),
    ("X-Forwarded-Host", "{host}/open/x?"),
    ("X-Forwarded-Proto", "https://{host}/open/x?"),
    ("X-Forwarded-Protocol", "https"),
    ("X-Forwarded-Scheme", "https"),
    ("X-Forwarded-Ssl", "on"),
    ("X-Forwarded-Port", "80/open/x"),
    ("X-Forwarded-Server", "{host}"),
    ("X-Forwarded-For", "127.0.0.7"),
    ("X-Forwarded", "for=127.0.0.7"),
    ("X-Forwarded-Client-Ip", "127.0.0.7"),
    ("X-Forwarded-User", "alice"),
    ("X-Forwarded-Email", "alice@example.test"),
    ("X-Forwarded-Access-Token", "x"),
    ("Forwarded", "for=127.0.0.7;proto=https;host=\"{host}\""),
    ("X-Real-IP", "127.0.0.7"),
    ("X-Client-IP", "127.0.0.7"),
    ("X-Cluster-Client-IP", "127.0.0.7"),
    ("X-ProxyUser-IP", "127.0.0.7"),
    ("X-Remote-Addr", "127.0.0.7"),
    ("X-Envoy-External-Address", "127.0.0.7"),
    ("X-Envoy-Original-Path", "/open/x"),
    ("True-Client-IP", "127.0.0.7"),
    ("CF-Connecting-IP", "127.0.0.7"),
    ("Fastly-Client-IP", "127.0.0.7"),
    ("Client-IP", "127.0.0.7"),
    ("Via", "1.1 127.0.0.7"),
    ("X-Rewrite-URL", "/open/x"),
    ("X-Scheme", "https"),
    ("X-Host", "{host}"),
    ("X-Sent-From", "nginx-ingress-controller"),
    ("X-Auth-Request-Redirect", "/open/x"),
    ("X-Auth-Request-User", "alice"),
    ("X-Auth-Request-Email", "alice@example.test"),
    ("X-Auth-Request-Groups", "admin"),
    ("X-HTTP-Method-Override", "OPTIONS"),
    ("X-HTTP-Method", "OPTIONS"),
    ("X-Method-Override", "OPTIONS"),
    ("Access-Control-Request-Method", "GET"),
];

/// Every way.
pub fn all() -> Vec<Way> {
    let mut ways = headers();
    ways.extend(hop_by_hop());
    ways.extend(hosts());
    ways.extend(targets());
    ways.extend(lines());
    ways
}

/// Those that are header lines alone, which can be sent to the service itself as well.
pub fn headers() -> Vec<Way> {
    let everything: String = HEADERS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut ways = vec![
        Way::new("every header", get(&everything)),
        Way::new("every header, underscores", get(&underscored(&everything))),
        Way::new("every header twice", get(&everything.repeat(2))),
    ];
    ways.extend(whole_sets());
    for (name, value) in HEADERS {
        ways.push(Way::new(name, get(&format!("{name}: {value}\r\n"))));
        ways.push(Way::new(format!("{name} twice"), get(&format!("{name}: {value}\r\n{name}: {value}\r\n"))));
        ways.push(Way::new(format!("{name} after an empty one"), get(&format!("{name}:\r\n{name}: {value}\r\n"))));
        ways.push(Way::new(format!("{name} in odd case"), get(&format!("{}: {value}\r\n", odd_case(name)))));
        ways.push(Way::new(format!("{name} with underscores"), get(&underscored(&format!("{name}: {value}\r\n")))));
        ways.push(Way::new(format!("{name} as a list"), get(&format!("{name}: {value}, {value}\r\n"))));
        ways.push(Way::new(format!("{name} after a tab"), get(&format!("{name}:\t{value}\t\r\n"))));
        ways.push(Way::new(format!("{name} folded"), get(&format!("{name}: x\r\n {value}\r\n"))));
        ways.push(Way::new(format!("{name} folded into another"), get(&format!("X-A: b\r\n\t{name}: {value}\r\n"))));
        ways.push(Way::new(format!("{name} with a blank before the colon"), get(&format!("{name} : {value}\r\n"))));
        ways.push(Way::new(format!("{name} after a bare LF"), get(&format!("X-A: b\n{name}: {value}\r\n"))));
        ways.push(Way::new(format!("{name} after a bare CR"), get(&format!("X-A: b\r{name}: {value}\r\n"))));
    }
    ways
}

/// The whole set of one kind of gateway, with a method that a rule on the URL takes and with one that opens by itself.
fn whole_sets() -> Vec<Way> {
    let sets = [
        ("nginx's", "X-Original-URL: http://{host}/open/x\r\nX-Original-Method: "),
        (
            "Traefik's",
            "X-Forwarded-Proto: http\r\nX-Forwarded-Host: {host}\r\nX-Forwarded-Uri: /open/x\r\nX-Forwarded-Method: ",
        ),
    ];
    let addresses = format!("X-Real-IP: {INSIDER}\r\nX-Forwarded-For: {INSIDER}\r\n");
    let of = |(whose, set): (&str, &str), method: &str| {
        Way::new(format!("{whose} whole set, {method}"), get(&format!("{set}{method}\r\n{addresses}")))
    };
    sets.into_iter().flat_map(|set| ["GET", "OPTIONS"].map(|method| of(set, method))).collect()
}

/// Headers that the client declares to be for the next hop only, so that a gateway drops its own.
fn hop_by_hop() -> Vec<Way> {
    let request = |connection: &str, more: &str| {
        format!("GET {CLOSED} HTTP/1.1\r\nHost: {{host}}\r\nConnection: close, {connection}\r\n{more}\r\n")
    };
    let mut ways = vec![
        Way::new("Connection: X-Real-IP, Cookie", request("X-Real-IP, Cookie", "X-Real-IP: 127.0.0.7\r\n")),
        Way::new("Connection: every header", {
            let names: Vec<&str> = HEADERS.iter().map(|(name, _)| *name).collect();
            request(&names.join(", "), "X-Original-URL: http://{host}/open/x\r\nX-Forwarded-Uri: /open/x\r\n")
        }),
        Way::new("Upgrade", request("Upgrade", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n")),
    ];
    for (name, value) in HEADERS {
        ways.push(Way::new(format!("Connection: {name}"), request(name, &format!("{name}: {value}\r\n"))));
    }
    ways
}

/// `Host` is the one part of the original URL that a gateway takes from the client.
fn hosts() -> Vec<Way> {
    let values = [
        "{host}\\open/x",
        "{host}\\open\\x",
        "{host}?",
        "{host}?/open/x",
        "{host}#",
        "{host}#/open/x",
        "{host}/open/x",
        "{host}/open/x?",
        "{host}/open/x#",
        "{host};/open/x",
        "{host}%2fopen%2fx%3f",
        "{host}%5copen",
        "{host},{host}/open/x?",
        "{host} /open/x?",
        "{host}\t/open/x?",
        "{host}@app.example.test/open/x?",
        "a@{host}",
        "app.example.test:80:80",
        "app.example.test:",
        "app.example.test:/open/x?",
        "app.example.test:99999",
        "app.example.test.",
        "APP.EXAMPLE.TEST",
        "[::1]/open/x?",
        "[::1\\open/x?",
        "127.0.0.7",
        "..",
        "app.example.test/open/x?:80",
        "http://app.example.test/open/x?",
        "app.example.test\\open/x?:80",
        "app.example.test\u{2044}open\u{2044}x\u{ff1f}",
        "",
    ];
    let with = |value: &str, first: &str, more: &str| {
        format!("GET {first} HTTP/1.1\r\nHost: {value}\r\nConnection: close\r\n{more}\r\n")
    };
    let mut ways: Vec<Way> =
        values.iter().map(|value| Way::new(format!("Host: {value:?}"), with(value, CLOSED, ""))).collect();
    for value in values {
        let target = format!("http://{{host}}{CLOSED}");
        ways.push(Way::new(format!("absolute target, Host: {value:?}"), with(value, &target, "")));
    }
    ways.push(Way::new("two Hosts", with("{host}", CLOSED, "Host: {host}\\open/x?\r\n")));
    ways.push(Way::new("two Hosts, the odd one first", with("{host}\\open/x?", CLOSED, "Host: {host}\r\n")));
    ways.push(Way::new("no Host", format!("GET {CLOSED} HTTP/1.0\r\n\r\n")));
    ways.push(Way::new("folded Host", with("{host}\r\n /open/x?", CLOSED, "")));
    ways
}

/// Request targets of which two servers may think differently.
fn targets() -> Vec<Way> {
    let targets = [
        "/open/../secret/x",
        "/open/x/../../secret/x",
        "/open/./../secret/x",
        "/open//../secret/x",
        "/open/%2e%2e/secret/x",
        "/open/%2E%2e/secret/x",
        "/open/.%2e/secret/x",
        "/open/%2e./secret/x",
        "/open/..%2fsecret/x",
        "/open/..%2Fsecret%2Fx",
        "/open%2f../secret/x",
        "/open%2f..%2fsecret/x",
        "/open/..;/secret/x",
        "/open/..;a=b/secret/x",
        "/open/.;/../secret/x",
        "/open/..\\secret/x",
        "/open\\..\\secret\\x",
        "/open/..%5csecret/x",
        "/open/..%5Csecret%5cx",
        "/open/%5c../secret/x",
        "/open/..%00/secret/x",
        "/open/..%09/secret/x",
        "/open/..%0d%0a/secret/x",
        "/open/..#/../../secret/x",
        "/open/..%23/../../secret/x",
        "/open/..?/../../secret/x",
        "/open/..%3f/../../secret/x",
        "//open/../secret/x",
        "//secret/x",
        "///secret//x",
        "/./secret/x",
        "/%2e/secret/x",
        "/%2e%2fsecret/x",
        "/a/../secret/x",
        "/;/../secret/x",
        "/%73ecret/x",
        "/secret%2fx",
        "/secret/x?/open/x",
        "/secret/x?a=/open/x",
        "/secret/x#/open/x",
        "/secret/x%23/open/x",
        "/secret/x%23%2fopen%2fx",
        "/secret/x%3f/open/x",
        "/secret/x;/open/../x",
        "/secret/x;/open/x",
        "/secret/x;x=/open/x",
        "/secret/x%3b/open/x",
        "/secret/x\\open/x",
        "/secret/x%5copen/x",
        "/secret;x=1/x",
        "/secret%3bx=1/x",
        "/secret\\x",
        "/secret%5cx",
        "/;/secret/x",
        "/%2573ecret/x",
        "/secret%252fx",
        "/open/x#/../../secret/x",
        "/open/x%23/../../secret/x",
        "/open/x#",
        "/public#/../secret/x",
        "/public?#/../secret/x",
        "/secret/x%00/open/x",
        "/secret/x%0a/open/x",
        "/secret/x%0d%0aX-Forwarded-Uri:%20/open/x",
        "/secret/x%09/open/x",
        "/secret/../secret/x",
        "/secret/x/../../open/../secret/x",
        "/secret/x%2f..%2f..%2fopen%2f..%2fsecret",
        "/open/..%c0%af../secret/x",
        "/secret/x%",
        "/secret/x%zz/open/x",
        "/secret/x\u{7f}/open/x",
        "http://{host}/secret/x",
        "http://{host}\\open/../secret/x",
        "http://{host}#/open/x",
        "http://app.example.test:80/open/../secret/x",
        "http:///secret/x",
        "http:/secret/x",
        "https://{host}/secret/x",
        "ftp://{host}/secret/x",
        "//{host}/secret/x",
        "secret/x",
        "*",
    ];
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n\r\n");
    targets.iter().map(|target| Way::new(format!("target {target:?}"), get(target))).collect()
}

/// Request lines, methods and framings.
fn lines() -> Vec<Way> {
    let line = |line: &str| format!("{line}\r\nHost: {{host}}\r\nConnection: close\r\n\r\n");
    let hidden = "GET /open/x HTTP/1.1\r\nHost: {host}\r\nX-Original-URL: http://{host}/open/x\r\n\r\n";
    let body = |framing: &str, body: &str| {
        format!("POST {CLOSED} HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n{framing}\r\n\r\n{body}")
    };
    vec![
        Way::new("two targets", line(&format!("GET {CLOSED} {OPEN} HTTP/1.1"))),
        Way::new("a tab in the line", line(&format!("GET {CLOSED}\t{OPEN} HTTP/1.1"))),
        Way::new("a bare CR in the line", line(&format!("GET {CLOSED}\r{OPEN} HTTP/1.1"))),
        Way::new("HTTP/1.0", line(&format!("GET {CLOSED} HTTP/1.0"))),
        Way::new("HTTP/0.9", format!("GET {CLOSED}\r\n")),
        Way::new("an unknown version", line(&format!("GET {CLOSED} HTTP/1.9"))),
        Way::new("lower-case method", line(&format!("options {CLOSED} HTTP/1.1"))),
        Way::new("method with more", line(&format!("OPTIONSX {CLOSED} HTTP/1.1"))),
        Way::new("HEAD", line(&format!("HEAD {CLOSED} HTTP/1.1"))),
        Way::new("POST", line(&format!("POST {CLOSED} HTTP/1.1"))),
        Way::new("TRACE", line(&format!("TRACE {CLOSED} HTTP/1.1"))),
        Way::new("CONNECT", line("CONNECT {host} HTTP/1.1")),
        Way::new("an empty line first", format!("\r\n{}", line(&format!("GET {CLOSED} HTTP/1.1")))),
        Way::new("X-HTTP-Method-Override in the query", line("GET /secret/x?_method=OPTIONS HTTP/1.1")),
        Way::new("a body that is a request", body(&format!("Content-Length: {}", hidden.len()), hidden)),
        Way::new("a chunked body that is a request", {
            body("Transfer-Encoding: chunked", &format!("0\r\n\r\n{hidden}"))
        }),
        Way::new("both framings", body("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n")),
    ]
}

fn get(lines: &str) -> String {
    format!("GET {CLOSED} HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n{lines}\r\n")
}

fn underscored(lines: &str) -> String {
    let line = |line: &str| line.split_once(':').map(|(name, value)| format!("{}:{value}\r\n", name.replace('-', "_")));
    lines.lines().filter_map(line).collect()
}

fn odd_case(name: &str) -> String {
    let swap = |(at, c): (usize, char)| if at % 2 == 0 { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
    name.chars().enumerate().map(swap).collect()
}
