//! A million generated inputs through each parser that reads what others send: no panic, and nothing
//! accepted that must not be. ID tokens, options and snapshots are held the same way beside their
//! code, by tests that this one starts.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::process;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conclave_proto::command::{Batch, Command, CreateSession, KeyEnvelope, Revoke, Tag, Tagged};
use conclave_proto::cookie::cookies_named;
use conclave_proto::forwarded::{
    Arrival, Endpoint, Gateway, GatewayConfig, HeaderView, OwnRequest, PeerAddress, TrustedProxies, default_targets,
    original_request,
};
use conclave_proto::id::{
    AttemptId, ClusterId, Epoch, FeatureLevel, KeyId, LogIndex, NodeId, PeerName, ProcessId, ProviderId, SessionKey,
    SiteId, SubjectKey,
};
use conclave_proto::keyring::{ClusterKey, CookieSecret, Keyring};
use conclave_proto::login::{LOGIN_ENTROPY, LoginAttempt, LoginCookieLimits, surplus_login_cookies};
use conclave_proto::policy::{OpeningRules, QueryConstraints};
use conclave_proto::redirect::{AllowedHosts, ReturnTo, Targets};
use conclave_proto::session::{BodyRow, IndexRow};
use conclave_proto::ticket::{TICKET_ENTROPY, Ticket};
use conclave_proto::time::{Timestamp, Ttl};
use conclave_proto::wire::{
    Answer, ClaimAnswer, ClaimQuestion, DiskRoom, FindSession, Forward, Forwarded, FoundSession, Frame, FrameHead,
    FrameKind, Hello, Ping, ReadIndexAnswer, Versioned,
};
use conclave_tests::mutate::Mutator;
use conclave_tests::report::Scenario;
use conclave_tests::scale::Scale;
use conclave_tests::targets::{self, ALLOWED};
use conclave_tests::{Failure, repository, timing};
use url::Url;

const NAME: &str = "_oauth2_proxy";
/// Inputs through each parser in a full run.
const FULL: usize = 1_000_000;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_123);

#[test]
fn generated_inputs() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("generated_inputs", FULL, 20_000, "inputs through each parser");
    let ring = ring()?;
    run(&mut scenario, "session cookie", &tickets(&ring), &mut |input, _| read_ticket(&ring, input));
    run(&mut scenario, "login cookie", &logins(&ring), &mut |input, _| read_login(&ring, input));
    let (configs, rules) = (gateways()?, OpeningRules::parse(&["^/open/"], &["GET!=^/secret"], true, &["192.0.2.7"])?);
    run(&mut scenario, "forwarded headers", &header_blocks(), &mut |input, scale| {
        read_request(&configs, &rules, input, scale)
    });
    let (hosts, origin) = (AllowedHosts::parse(&ALLOWED)?, Url::parse("https://service.test:4443/oauth2/callback")?);
    run(&mut scenario, "return target", &return_targets(&origin), &mut |input, _| read_target(&hosts, &origin, input));
    run(&mut scenario, "check's query", &queries(), &mut |input, _| {
        QueryConstraints::parse(&String::from_utf8_lossy(input)).unreadable().is_none()
    });
    run(&mut scenario, "peer frame", &frames()?, &mut |input, _| read_frame(input));
    run(&mut scenario, "rows and payloads", &rows(), &mut |input, _| read_row(input));
    // Built first, so that the seconds are those of the parsers and of cargo's start.
    cargo(&["--no-run"], "")?;
    for (name, test) in LIBRARIES {
        run_library(&mut scenario, name, test)?;
    }
    scenario.passed();
    Ok(())
}

/// Parsers that are nobody else's business: their tests stand beside them, and are run at this count too.
const LIBRARIES: [(&str, &str); 4] = [
    ("flags", "config::flags::tests::generated_inputs_are_read_or_refused"),
    ("TOML file", "config::file::tests::generated_inputs_are_read_or_refused"),
    ("ID token", "oidc::verify::tests::generated_inputs_are_no_id_tokens"),
    ("snapshot", "snapshot::format::tests::generated_inputs_are_read_or_refused"),
];

/// Runs one of them; the seconds include the start of cargo.
fn run_library(scenario: &mut Scenario, name: &str, test: &str) -> Result<(), Failure> {
    let (begun, count) = (timing::now(), scenario.count());
    #[expect(clippy::cast_precision_loss)]
    let scale = count as f64 / FULL as f64;
    let text = cargo(&[test, "--", "--exact", "--nocapture"], &scale.to_string())?;
    assert!(text.contains(&format!("{count} of {FULL} inputs")), "{name} did not run: {text}");
    scenario.held(name, count);
    scenario.figure(&format!("{name}: time"), format!("{:.1} s", begun.elapsed().as_secs_f64()));
    Ok(())
}

/// What the tests of the libraries say when run with these arguments and this `SCALE`.
fn cargo(arguments: &[&str], scale: &str) -> Result<String, Failure> {
    let output = process::Command::new(std::env::var_os("CARGO").ok_or("cargo runs this")?)
        .args(["test", "--workspace", "--lib", "--quiet"])
        .args(arguments)
        .current_dir(repository())
        .env("SCALE", scale)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

fn run(scenario: &mut Scenario, name: &str, mutator: &Mutator, read: &mut dyn FnMut(&[u8], &mut Scale) -> bool) {
    let (begun, count) = (timing::now(), scenario.count());
    let mut accepted = 0;
    for seed in mutator.seeds() {
        assert!(
            read(seed, &mut scenario.scale),
            "{name}: the valid {:?} is not accepted",
            String::from_utf8_lossy(seed)
        );
    }
    for _ in 0..count {
        let input = mutator.next(&mut scenario.scale);
        accepted += usize::from(read(&input, &mut scenario.scale));
    }
    assert!(accepted > 0 && accepted < count, "{name}: {accepted} of {count} accepted says nothing");
    scenario.held(name, count);
    scenario.figure(&format!("{name}: accepted"), format!("{accepted}, {:.1} s", begun.elapsed().as_secs_f64()));
}

fn ring() -> Result<Keyring, Failure> {
    let (secret, cluster) = (CookieSecret::parse("0123456789abcdef0123456789abcdef")?, ClusterId::from_bytes([7; 16]));
    let envelope = ClusterKey::mint([9; 32]).wrap(&secret, cluster, [3; 12]);
    Ok(Keyring::open(&[secret], &[envelope], cluster, Epoch::new(1))?)
}

fn tickets(ring: &Keyring) -> Mutator {
    let ticket =
        |byte| Ticket::mint([byte; TICKET_ENTROPY], Epoch::new(1), NOW).with_index(LogIndex::new(u64::from(byte)));
    let seeds = (0..8).map(|byte| ticket(byte).encode(ring, NAME).into_bytes());
    Mutator::new(seeds, &["; ", "=", "_oauth2_proxy=", "\"", "A", "%3D", "\u{e9}", " ", "AAAA"])
}

/// A cookie line and each value in it: what opens is one of the values that were made.
fn read_ticket(ring: &Keyring, input: &[u8]) -> bool {
    let line = format!("a=b; {NAME}={}", String::from_utf8_lossy(input));
    let mut opened = false;
    for value in cookies_named(&line, NAME, 8) {
        let Ok(ticket) = Ticket::decode(value, ring, NAME) else { continue };
        assert_eq!(ticket.encode(ring, NAME), value, "one ticket has one spelling");
        opened = true;
    }
    // The same letters as bytes: what base64 would have refused reaches the format itself.
    if let Ok(made) = Ticket::decode(&URL_SAFE_NO_PAD.encode(input), ring, NAME) {
        panic!("{made:?} came out of nowhere");
    }
    opened
}

fn logins(ring: &Keyring) -> Mutator {
    let seed = |byte: u8| {
        let attempt =
            LoginAttempt::begin([byte; LOGIN_ENTROPY], NOW, ProviderId::default(), SiteId::default(), "/a?b=c");
        let name = login_name();
        attempt.seal(ring, &name, [byte; 12]).into_bytes()
    };
    Mutator::new((0..8).map(seed), &["; ", "=", "_csrf=", "A", "AZ", "\u{e9}", " ", "_oauth2_proxy_x_csrf=1; "])
}

fn login_name() -> String {
    LoginAttempt::cookie_name(NAME, "state")
}

fn read_login(ring: &Keyring, input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let name = login_name();
    let line = format!("{name}={text}; x={text}");
    surplus_login_cookies(&line, NAME, text.len(), LoginCookieLimits::default());
    // A callback's state may be any text.
    LoginAttempt::cookie_name(NAME, &text);
    let open = |value: &str| LoginAttempt::open(value, ring, &name, NOW, Ttl::from_secs(900));
    assert!(open(&URL_SAFE_NO_PAD.encode(input)).is_err(), "a login out of nowhere");
    let opened = cookies_named(&line, &name, 8).filter_map(|value| open(value).ok()).collect::<Vec<_>>();
    assert!(opened.iter().all(|attempt| attempt.target == "/a?b=c" && !attempt.matches_state(&text)));
    !opened.is_empty()
}

/// Headers by lower-case name.
struct Lines(BTreeMap<String, Vec<Vec<u8>>>);

impl HeaderView for Lines {
    fn each<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        self.0.get(name).into_iter().flatten().for_each(|value| visit(value));
    }
}

impl Lines {
    fn of(block: &[u8]) -> Self {
        let mut lines = BTreeMap::<String, Vec<Vec<u8>>>::new();
        for line in block.split(|byte| *byte == b'\n') {
            let mut parts = line.splitn(2, |byte| *byte == b':');
            let name = String::from_utf8_lossy(parts.next().unwrap_or_default()).to_ascii_lowercase();
            lines.entry(name).or_default().push(parts.next().unwrap_or_default().to_vec());
        }
        Self(lines)
    }
}

fn gateways() -> Result<Vec<GatewayConfig>, Failure> {
    let trusted = TrustedProxies::parse(&["127.0.0.1"])?;
    let config = |gateway, address: &str| GatewayConfig {
        gateway,
        reverse_proxy: true,
        trusted: trusted.clone(),
        real_client_ip_header: address.to_owned(),
    };
    let known = Gateway::ALL.into_iter().map(|kind| config(kind, "x-forwarded-for"));
    Ok(known.chain([config(Gateway::None, "x-real-ip")]).collect())
}

fn header_blocks() -> Mutator {
    let blocks = [
        "x-original-url:http://app.test:80/open/x?y\nx-original-method:GET\nx-real-ip:192.0.2.7",
        "x-forwarded-uri:/open/x\nx-forwarded-host:app.test\nx-forwarded-proto:https\nx-forwarded-method:GET",
        "x-forwarded-for:192.0.2.7, 198.51.100.1:80, [2001:db8::1]:80, 127.0.0.1\nx-envoy-external-address:192.0.2.7",
        "x-original-url:https://[::1]:8443/open/%2e%2e/secret\nx-original-method:GET\nx-real-ip:192.0.2.7",
        "x-forwarded-uri:/open/..;/x%23%3f\nx-forwarded-host:[::1]:8443\nx-forwarded-proto:https\nx-forwarded-method:GET",
    ];
    let words = [
        "\n",
        ":",
        "/",
        "//",
        "\\",
        "%2f",
        "%5c",
        "%2e",
        "..",
        "?",
        "#",
        "%",
        "%zz",
        "%00",
        "[",
        "]",
        "@",
        ",",
        "\u{e9}",
        "\u{0}",
        "x-original-url:",
        "x-forwarded-uri:",
        "https://",
        "::ffff:192.0.2.7",
        "999",
        ":65536",
    ];
    Mutator::new(blocks.iter().map(|block| block.as_bytes().to_vec()), &words)
}

/// The block as each kind of gateway would have sent it, and as a stranger did.
fn read_request(configs: &[GatewayConfig], rules: &OpeningRules, block: &[u8], scale: &mut Scale) -> bool {
    let other = [Endpoint::Browser, Endpoint::Proxied, Endpoint::Static][scale.below(3)];
    let peer = [PeerAddress::Unix, PeerAddress::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST))][scale.below(2)];
    let stranger = PeerAddress::Ip(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)));
    let lines = Lines::of(block);
    let own = OwnRequest {
        arrival: Arrival::Shared,
        method: "GET",
        scheme: "http",
        host: "auth.test",
        uri: "/oauth2/auth?x=/open/",
    };
    let mut told = false;
    for config in configs {
        let _ = original_request(config, &peer, other, own, &lines);
        let request = original_request(config, &peer, Endpoint::Auth, own, &lines).request;
        if let Some(uri) = request.opening.uri.filter(|uri| uri.reported) {
            let plain = uri.text.starts_with('/') && !uri.text.starts_with("//") && !uri.text.starts_with("/\\");
            assert!(plain && !uri.text.bytes().any(|byte| byte.is_ascii_control()), "{uri:?}");
        }
        let _ = rules.open(&request.opening);
        told |= request.client.is_some() || request.opening.uri.is_some_and(|uri| uri.reported);
        for target in default_targets(config, &peer, other, own, &lines, "/oauth2") {
            let _ = ReturnTo::parse(&target, &within(&AllowedHosts::default()));
        }
        let by_stranger = original_request(config, &stranger, Endpoint::Auth, own, &lines).request;
        assert!(
            by_stranger.opening.uri.is_none() && !rules.open(&by_stranger.opening),
            "a stranger's headers open nothing"
        );
    }
    told
}

fn return_targets(origin: &Url) -> Mutator {
    let words = [
        "/",
        "//",
        "\\",
        "@",
        ":",
        "?",
        "#",
        "..",
        ".",
        "%2f",
        "%5c",
        "%09",
        " ",
        "\t",
        "\r\n",
        "\u{0}",
        "\u{3002}",
        "\u{ff0f}",
        "\u{ad}",
        "http://",
        "https://",
        "javascript:",
        "foo.bar",
        ".bar.foo",
        "evil.test",
        ":8080",
        ":443",
        "[::1]",
        "user:pw@",
        "xn--",
        "%",
    ];
    let good = targets::good().into_iter().filter(|target| targets::stays(origin, target));
    Mutator::new(good.map(String::into_bytes), &words)
}

fn within(hosts: &AllowedHosts) -> Targets<'_> {
    Targets { hosts, prefix: "/oauth2", own_hosts: &["service.test"] }
}

fn read_target(hosts: &AllowedHosts, origin: &Url, input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let Ok(target) = ReturnTo::parse(&text, &within(hosts)) else { return false };
    let location = target.as_str();
    assert!(location.bytes().all(|byte| (b' '..0x7f).contains(&byte)), "{text:?} gives {location:?}");
    assert!(origin.join(location).is_ok() && targets::stays(origin, location), "{text:?} leads to {location:?}");
    true
}

fn queries() -> Mutator {
    let queries = ["allowed_groups=a,b&allowed_emails=a%40b.test", "allowed_email_domains=b.test,*.c.test&x=y", "x"];
    let words = [
        "&",
        "=",
        ";",
        ",",
        "%",
        "%2c",
        "%zz",
        "+",
        "allowed_groups",
        "allowed_emails=",
        "allowed_email_domains=",
        "%00",
        "\u{e9}",
    ];
    Mutator::new(queries.iter().map(|query| query.as_bytes().to_vec()), &words)
}

fn frames() -> Result<Mutator, Failure> {
    let (from, to) = (PeerName::parse("a.test:4181")?, PeerName::parse("b.test:4181")?);
    let mut seeds = Vec::new();
    for kind in FrameKind::ALL {
        let head = FrameHead {
            cluster: Some(ClusterId::from_bytes([1; 16])),
            epoch: Epoch::new(1),
            from: NodeId::new(1),
            from_name: from.clone(),
            to: Some(NodeId::new(2)),
            to_name: to.clone(),
            question: [5; 16],
            kind,
        };
        seeds.push(Frame { head, payload: ping().to_bytes() }.encode()?);
    }
    Ok(Mutator::new(
        seeds,
        &["\u{1}", "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}", "\u{7f}\u{7f}\u{7f}\u{7f}", "a.test:1", "\u{1}\u{1}"],
    ))
}

fn read_frame(input: &[u8]) -> bool {
    let _ = Answer::decode(input, &[5; 16]);
    let Ok((_, payload)) = Frame::decode_head(input) else { return false };
    read_row(payload);
    true
}

fn ping() -> Ping {
    Ping { clock: NOW, answers: true, keys: vec![KeyId::from_bytes([1; 4]); 3], room: DiskRoom::Low }
}

fn rows() -> Mutator {
    let tag = Tag { process: ProcessId::from_bytes([2; 16]), sequence: 1, known_time: NOW };
    let create = CreateSession {
        key: SessionKey::from_bytes([1; 32]),
        attempt: AttemptId::from_bytes([2; 16]),
        epoch: Epoch::new(1),
        provider: ProviderId::default(),
        site: SiteId::default(),
        lifetime: Ttl::from_secs(60),
        subject: SubjectKey::from_bytes([3; 32]),
        sid: None,
        label: vec![4; 40],
        body: vec![5; 90],
        replaces: Vec::new(),
        sessions_per_person: 7,
    };
    let envelope = KeyEnvelope { key_id: KeyId::from_bytes([1; 4]), sealed: vec![1; 61] };
    let commands = [
        Command::CreateSession(create),
        Command::Revoke(Revoke::Session(SessionKey::from_bytes([1; 32]))),
        Command::ExpireUpTo { limit: 10 },
        Command::SetEnvelopes { epoch: Epoch::new(1), remove: vec![KeyId::from_bytes([1; 4])], put: vec![envelope] },
        Command::RaiseFeatureLevel(FeatureLevel::new(1)),
    ];
    let tagged: Vec<Tagged> = commands.into_iter().map(|command| Tagged { tag, command }).collect();
    let forward = Forward { commands: tagged.clone(), patience: Ttl::from_secs(5) };
    let claim = ClaimQuestion {
        attempt: AttemptId::from_bytes([2; 16]),
        token: [3; 16],
        client: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    };
    let seeds = [Batch::new(NOW, tagged).to_bytes(), forward.to_bytes(), claim.to_bytes(), ping().to_bytes()];
    Mutator::new(
        seeds,
        &[
            "\u{0}",
            "\u{1}",
            "\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}",
            "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}",
        ],
    )
}

/// Everything that crosses between replicas or lies on a disk, read from the same bytes.
fn read_row(input: &[u8]) -> bool {
    let batch = Batch::from_bytes(input);
    if let Ok(batch) = &batch {
        let _ = (batch.is_understood(), batch.is_within_limits());
        assert_eq!(batch.to_bytes(), input, "one batch has one spelling");
    }
    let others = [
        Forward::from_bytes(input).is_ok(),
        Forwarded::from_bytes(input).is_ok(),
        ClaimQuestion::from_bytes(input).is_ok(),
        ClaimAnswer::from_bytes(input).is_ok(),
        Ping::from_bytes(input).is_ok(),
        Hello::from_bytes(input).is_ok(),
        FindSession::from_bytes(input).is_ok(),
        FoundSession::from_bytes(input).is_ok(),
        ReadIndexAnswer::from_bytes(input).is_ok(),
        IndexRow::from_bytes(input).is_ok(),
        BodyRow::from_bytes(input).is_ok(),
    ];
    batch.is_ok() || others.contains(&true)
}
