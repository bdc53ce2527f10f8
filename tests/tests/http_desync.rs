//! Requests that two HTTP parsers may cut differently, on raw sockets at the service itself: refused,
//! or answered once; never answered for somebody else, and never left hanging. And through nginx: however
//! a request is written, the app sees the identity that the service named, and none that the client wrote.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use conclave_tests::check::SESSION_COOKIE;
use conclave_tests::gateway::{Gateway, Place};
use conclave_tests::login::Person;
use conclave_tests::lone::{Lone, nobody};
use conclave_tests::raw::{Heard, exchange};
use conclave_tests::report::Scenario;
use conclave_tests::scripted::{PERSON, Scripted};
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, http, timing};
use futures::stream::{self, StreamExt};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Longer than the service waits for the head or the body of a request.
const PATIENCE: Duration = Duration::from_secs(20);

/// Fewer requests would not be every trick, at the service itself and through nginx.
const LEAST: (usize, usize) = (39, 34);

/// The identity headers that the gateway hands to the app.
const IDENTITY: [&str; 3] = ["X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups"];

/// What an intruder would like to be.
const LIE: &str = "root";

/// What a probe may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Every answer is a refusal of the HTTP layer, or the connection is closed without one.
    Refused,
    /// At most one answer, of `/oauth2/auth`: 401. A second one would be somebody else's.
    OnceOrRefused,
}

/// One probe: its name, what may come of it, its bytes.
type Probe = (String, Expected, Vec<u8>);

/// A request that opens where it is taken for one of its own: the mark of a smuggled request.
const SMUGGLED: &str = "GET /ping HTTP/1.1\r\nHost: a\r\n\r\n";

fn auth(lines: &str) -> String {
    format!("GET /oauth2/auth HTTP/1.1\r\n{lines}\r\n")
}

fn framing_probes() -> Vec<Probe> {
    let mut probes: Vec<Probe> = Vec::new();
    let mut add = |name: &str, expected, text: String| probes.push((name.to_owned(), expected, text.into_bytes()));
    let posted = |lines: &str, body: &str| format!("POST /oauth2/auth HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}");
    use Expected::{OnceOrRefused, Refused};

    // A body that is announced and does not come, or comes as a request.
    add("GET with Content-Length 5 and no body", OnceOrRefused, auth("Host: a\r\nContent-Length: 5\r\n"));
    let length = SMUGGLED.len();
    add(
        "a body that is a request",
        OnceOrRefused,
        auth(&format!("Host: a\r\nContent-Length: {length}\r\n")) + SMUGGLED,
    );
    add("a posted body that is a request", OnceOrRefused, posted(&format!("Content-Length: {length}\r\n"), SMUGGLED));
    add("a chunked body that is a request", OnceOrRefused, {
        posted("Transfer-Encoding: chunked\r\n", &format!("{length:x}\r\n{SMUGGLED}\r\n0\r\n\r\n"))
    });

    // Two framings.
    for (name, framing) in [
        ("TE and CL", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"),
        ("CL and TE", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
        ("two lengths", "Content-Length: 0\r\nContent-Length: 40\r\n"),
        ("two lengths in one", "Content-Length: 0, 40\r\n"),
        ("a length with a sign", "Content-Length: +0\r\n"),
        ("a negative length", "Content-Length: -1\r\n"),
        ("a length in hexadecimal", "Content-Length: 0x0\r\n"),
        ("a length with a blank inside", "Content-Length: 1 0\r\n"),
        ("a length beyond 64 bits", "Content-Length: 18446744073709551616\r\n"),
        ("an unknown coding", "Transfer-Encoding: xchunked\r\n"),
        ("chunked and then another", "Transfer-Encoding: chunked, identity\r\n"),
        ("two codings", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n"),
        ("a coding after a vertical tab", "Transfer-Encoding:\u{b}chunked\r\n"),
        ("a coding with a blank before the colon", "Transfer-Encoding : chunked\r\n"),
        ("a folded coding", "Transfer-Encoding:\r\n chunked\r\n"),
        (
            "a coding in HTTP/1.0's place",
            "Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\nContent-Length: 4\r\n",
        ),
    ] {
        add(name, Refused, posted(framing, &format!("0\r\n\r\n{SMUGGLED}")));
        add(&format!("{name}, on GET"), Refused, auth(&format!("Host: a\r\n{framing}")) + "0\r\n\r\n" + SMUGGLED);
    }

    // Chunks.
    for (name, body) in [
        ("a chunk size beyond 64 bits", "10000000000000000\r\nx\r\n0\r\n\r\n".to_owned()),
        ("a chunk size with a sign", "+1\r\nx\r\n0\r\n\r\n".to_owned()),
        ("a chunk size with 0x", "0x1\r\nx\r\n0\r\n\r\n".to_owned()),
        ("a chunk that is longer than it says", format!("1\r\nxyz\r\n0\r\n\r\n{SMUGGLED}")),
        ("a chunk after bare LF", format!("1\nx\n0\n\n{SMUGGLED}")),
        ("oversize chunk extensions", format!("1;{}\r\nx\r\n0\r\n\r\n", "a=b;".repeat(20_000))),
        ("chunk extensions with a bare CR", format!("1;a\rb\r\nx\r\n0\r\n\r\n{SMUGGLED}")),
        ("a trailer that is a header", format!("0\r\nHost: b\r\nContent-Length: {length}\r\n\r\n")),
        ("no last chunk", "1\r\nx\r\n".to_owned()),
    ] {
        add(name, OnceOrRefused, posted("Transfer-Encoding: chunked\r\nConnection: close\r\n", &body));
    }
    probes
}

fn head_probes() -> Vec<Probe> {
    use Expected::{OnceOrRefused, Refused};
    let mut probes: Vec<Probe> = Vec::new();
    let mut add = |name: &str, expected, text: String| probes.push((name.to_owned(), expected, text.into_bytes()));

    // Lines.
    add("obs-fold", Refused, auth("Host: a\r\nX-A: b\r\n c\r\n"));
    add("obs-fold of the first header", Refused, auth(" Host: a\r\nX-A: b\r\n"));
    add("a bare LF in the head", OnceOrRefused, "GET /oauth2/auth HTTP/1.1\nHost: a\n\n".to_owned());
    add("a bare CR in a value", Refused, auth("Host: a\r\nX-A: b\rX-C: d\r\n"));
    add("a NUL in a value", Refused, auth("Host: a\r\nX-A: b\0c\r\n"));
    add("a header without a name", Refused, auth("Host: a\r\n: b\r\n"));
    add("a header without a colon", Refused, auth("Host: a\r\nX-A\r\n"));
    add("a blank in a name", Refused, auth("Host: a\r\nX A: b\r\n"));
    add("two Hosts", Refused, auth("Host: a\r\nHost: b\r\n"));
    add("no Host", OnceOrRefused, auth("X-A: b\r\n"));
    add("a Host that is none", OnceOrRefused, auth("Host: a b/c?d\r\n"));
    add(
        "an absolute target",
        OnceOrRefused,
        "GET http://b/oauth2/auth HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
    );
    add("an absolute target of another path", OnceOrRefused, {
        "GET http://b\\ping/oauth2/auth HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned()
    });
    add(
        "a target without a slash",
        Refused,
        "GET oauth2/auth HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
    );
    add("CONNECT", OnceOrRefused, "CONNECT a:80 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned());
    add("a tab in the request line", Refused, "GET\t/oauth2/auth\tHTTP/1.1\r\nHost: a\r\n\r\n".to_owned());
    add(
        "two blanks in the request line",
        OnceOrRefused,
        "GET  /oauth2/auth HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
    );
    add("an unknown version", Refused, "GET /oauth2/auth HTTP/3.7\r\nHost: a\r\n\r\n".to_owned());
    add("HTTP/2 without asking", Refused, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned());
    add("an upgrade to h2c", OnceOrRefused, {
        auth(
            "Host: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        )
    });
    add("a head that never ends", Refused, "GET /oauth2/auth HTTP/1.1\r\nHost: a\r\nX-A: ".to_owned());

    // Sizes.
    add("a header of 100 KiB", Refused, auth(&format!("Host: a\r\nX-A: {}\r\n", "b".repeat(100 * 1024))));
    add(
        "a head of 2 MiB",
        Refused,
        auth(&format!("Host: a\r\n{}", "X-A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n".repeat(60_000))),
    );
    add("a thousand headers", Refused, auth(&format!("Host: a\r\n{}", "X-A: b\r\n".repeat(1000))));
    add(
        "a target of 100 KiB",
        Refused,
        format!("GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "a".repeat(100 * 1024)),
    );
    probes
}

/// What is wrong with what came back, if anything is.
fn wrong(expected: Expected, heard: &Heard, took: Duration) -> Option<String> {
    let statuses = heard.statuses();
    let refused = |status: &u16| (400..=501).contains(status);
    let fits = match expected {
        Expected::Refused => statuses.iter().all(refused),
        Expected::OnceOrRefused => statuses.len() <= 1 && statuses.iter().all(refused),
    };
    if !fits || heard.text().contains("\r\n\r\nOK") {
        return Some(format!("answered {statuses:?}: {:?}", heard.text().chars().take(300).collect::<String>()));
    }
    if statuses.is_empty() && !heard.closed {
        return Some(format!("neither answered nor closed within {took:?}"));
    }
    None
}

/// Header lines in which a client names itself, and requests that carry them where a parser may overlook
/// them; `{host}` and `{path}` are left open.
fn forged_identities() -> Vec<(String, String)> {
    let mut made = Vec::new();
    let get = |lines: &str| format!("GET {{path}} HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n{lines}\r\n");
    for name in IDENTITY {
        let (lower, upper, under) = (name.to_lowercase(), name.to_uppercase(), name.replace('-', "_"));
        let dotted = name.replace('-', ".");
        for (how, lines) in [
            ("once", format!("{name}: {LIE}\r\n")),
            ("twice", format!("{name}: {LIE}\r\n{name}: {LIE}\r\n")),
            ("in small letters", format!("{lower}: {LIE}\r\n")),
            ("in capitals", format!("{upper}: {LIE}\r\n")),
            ("with underscores", format!("{under}: {LIE}\r\n")),
            ("with dots", format!("{dotted}: {LIE}\r\n")),
            ("after an empty one", format!("{name}:\r\n{name}: {LIE}\r\n")),
            ("after a tab", format!("{name}:\t{LIE}\r\n")),
            ("folded", format!("{name}:\r\n {LIE}\r\n")),
            ("folded into another", format!("X-A: b\r\n {name}: {LIE}\r\n")),
            ("with a blank before the colon", format!("{name} : {LIE}\r\n")),
            ("after a bare LF", format!("X-A: b\n{name}: {LIE}\r\n")),
            ("after a bare CR", format!("X-A: b\r{name}: {LIE}\r\n")),
            ("after a NUL", format!("X-A: b\0\r\n{name}: {LIE}\r\n")),
            ("for the next hop only", format!("Connection: {name}\r\n{name}: {LIE}\r\n")),
            ("in the cookie", format!("X-A: b\r\nCookie2: {name}={LIE}\r\n{name}: {LIE}\r\n")),
        ] {
            made.push((format!("{name} {how}"), get(&lines)));
        }
        let inner = get(&format!("{name}: {LIE}\r\n"));
        let sent =
            |framing: &str, body: &str| format!("POST {{path}} HTTP/1.1\r\nHost: {{host}}\r\n{framing}\r\n{body}");
        let length = inner.len();
        made.push((format!("{name} in a body"), sent(&format!("Content-Length: {length}\r\n"), &inner)));
        made.push((format!("{name} behind no body"), sent("Content-Length: 0\r\n", &inner)));
        for (how, framing) in [
            ("two framings", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"),
            ("an odd coding", "Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n"),
            ("chunks", "Transfer-Encoding: chunked\r\n"),
        ] {
            made.push((format!("{name} behind {how}"), sent(framing, &format!("0\r\n\r\n{inner}"))));
        }
        made.push((format!("{name} in HTTP/1.0"), get(&format!("{name}: {LIE}\r\n")).replace("HTTP/1.1", "HTTP/1.0")));
        made.push((format!("{name} as a trailer"), {
            sent("Transfer-Encoding: chunked\r\nConnection: close\r\n", &format!("0\r\n{name}: {LIE}\r\n\r\n"))
        }));
    }
    made
}

/// What the app behind nginx saw of each request on a connection: user, address and groups.
fn identities(heard: &Heard) -> Vec<[String; 3]> {
    let text = heard.text();
    let field =
        |echo: &str, name: &str| echo.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
    let echoes = text.split("app\nuri=").skip(1);
    echoes.map(|echo| ["user=", "email=", "groups="].map(|name| field(echo, name))).collect()
}

/// Forged identities through nginx as ingress-nginx, with a session and on an open route without one. How many
/// were sent, how many the app saw, and those that showed it another identity.
async fn through_nginx() -> Result<(usize, usize, Vec<String>), Failure> {
    let dir = WorkDir::fresh("http_desync-nginx");
    let (provider, place) = (Scripted::start(&dir).await?, Place::draw());
    let mut flags =
        ["--gateway=nginx", "--reverse-proxy=true", "--trusted-proxy-ip=127.0.0.1"].map(str::to_owned).to_vec();
    flags.extend(["--set-xauthrequest=true".to_owned(), "--skip-auth-route=^/open/".to_owned()]);
    flags.push(format!("--redirect-url={}", place.callback()));
    let service = Lone::start(&dir, &provider.registration(), &flags).await?;
    let _gateway = Gateway::start(&dir, place, &[service.http]).await?;
    let login = Person::new(PERSON, place).log_in(place.address()).await?;
    let session = format!("Cookie: {SESSION_COOKIE}={}\r\nConnection: close\r\n", login.ticket);
    let own = [PERSON, "alice@example.test", "staff"].map(str::to_owned);
    let (mut sent, mut seen, mut wrong) = (0, 0, Vec::new());
    for (name, template) in forged_identities() {
        for (path, known) in [("/home", true), ("/open/x", false)] {
            let filled = template.replace("{host}", &place.authority()).replace("{path}", path);
            // Into the first head, and into that of a request behind it.
            let filled = if known { filled.replace("Connection: close\r\n", &session) } else { filled };
            let heard = exchange(HERE, place.address(), filled.as_bytes(), PATIENCE).await?;
            let expected = if known { own.clone() } else { ["", "", ""].map(str::to_owned) };
            let identities = identities(&heard);
            (sent, seen) = (sent + 1, seen + identities.len());
            let lies = identities.into_iter().find(|identity| *identity != expected);
            wrong.extend(lies.map(|identity| format!("{name}, {path}: the app saw {identity:?}")));
        }
    }
    Ok((sent, seen, wrong))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_desync_rustsec_2021_0020_rustsec_2021_0078_rustsec_2021_0079() -> Result<(), Failure> {
    let probes: Vec<Probe> = framing_probes().into_iter().chain(head_probes()).collect();
    assert!(probes.len() >= LEAST.0, "only {} probes", probes.len());
    let mut scenario =
        Scenario::begin("http_desync", probes.len(), probes.len(), "requests that parsers cut differently");
    let mut service = Lone::start(&WorkDir::fresh("http_desync"), &nobody(), &[]).await?;
    let address = service.http;
    let outcomes: Vec<_> = stream::iter(&probes)
        .map(|(name, expected, bytes)| async move {
            let begun = timing::now();
            let heard = exchange(HERE, address, bytes, PATIENCE).await?;
            Ok::<_, Failure>((name, wrong(*expected, &heard, begun.elapsed()), heard))
        })
        .buffered(8)
        .collect()
        .await;
    let (mut failures, mut closed, mut answered) = (Vec::new(), 0, 0);
    for outcome in outcomes {
        let (name, wrong, heard) = outcome?;
        closed += usize::from(heard.statuses().is_empty());
        answered += heard.statuses().len();
        failures.extend(wrong.map(|wrong| format!("{name}: {wrong}")));
    }
    let ping = http::client().get(format!("http://{address}/ping")).send().await?;
    assert_eq!(ping.status().as_u16(), 200, "a sound request is answered");
    assert!(service.runs(), "the service still runs");
    scenario.held("refused with a status", answered);
    scenario.figure("closed without one", closed);
    let (sent, seen, lies) = through_nginx().await?;
    scenario.figure("forged identities through nginx, seen by the app", format!("{sent}, {seen}"));
    assert!(sent >= LEAST.1 && seen >= LEAST.1, "only {sent} were sent and {seen} seen");
    failures.extend(lies);
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), probes.len() + sent, failures.join("\n"));
    scenario.held("forged identities that the app did not believe", seen);
    scenario.passed();
    Ok(())
}
