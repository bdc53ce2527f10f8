//! Malformed cookies, states, codes, headers, URIs and peer messages: never a 2xx, never a crash.

use std::time::Duration;

use conclave_proto::id::{ClusterId, Epoch, NodeId, PeerName};
use conclave_proto::keyring::CookieSecret;
use conclave_proto::wire::{Answer, Frame, FrameHead, FrameKind, PeerRefusal};
use conclave_tests::browser::Robot;
use conclave_tests::check::{Asker, SESSION_COOKIE};
use conclave_tests::cluster::Options;
use conclave_tests::intruder::{Intruder, Shows};
use conclave_tests::login::{Login, Person};
use conclave_tests::report::Scenario;
use conclave_tests::scale::Scale;
use conclave_tests::world::World;
use conclave_tests::{Failure, raw};

/// What a person signed in may see and nobody else.
const CLOSED: &str = "/secret";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("bad_input", 5000, 300, "malformed requests of each kind");
    let count = scenario.count();
    let mut world = World::start("bad_input", &Options::default()).await?;
    let mut people = world.people(2).await?;
    let login = people[0].log_in(world.replica(0)).await?;
    let before = malformed(&world).await?;

    cookies(&world, &login, &mut scenario.scale, count).await?;
    original_urls(&world, &login, &mut scenario.scale, count).await?;
    callbacks(&world, &mut people[1], &mut scenario.scale, count / 10).await?;
    garbage(&world, &mut scenario.scale, count / 10).await?;
    let refused = peer_port(&world, &mut scenario.scale, count / 10).await?;

    for replica in &mut world.cluster.replicas {
        assert!(replica.runs(), "{} is alive", replica.name);
        assert_eq!(replica.ready_status().await, 200, "{} is ready", replica.name);
        let verdict = Asker::default().ask(replica.http, &login.ticket).await?;
        assert!(verdict.admits(&login.user), "and a good cookie is still good");
        let log = std::fs::read_to_string(&replica.log)?;
        assert!(!log.contains("panicked"), "{} panicked", replica.name);
    }
    let counted = malformed(&world).await? - before;
    assert!(counted >= 1.0, "malformed input is not counted");
    scenario.figure("counted in the metrics", counted);
    scenario.held("peer messages refused", refused);
    scenario.passed();
    Ok(())
}

/// The question of each frame that is sent.
const QUESTION: [u8; 16] = [7; 16];

/// Sum of the counter of malformed input over all replicas; the scenario fails where nothing was counted.
async fn malformed(world: &World) -> Result<f64, Failure> {
    let mut sum = 0.0;
    for replica in &world.cluster.replicas {
        sum += replica.metric("conclave_malformed_input_total").await?;
        sum += replica.metric("conclave_peer_refused_total").await.unwrap_or_default();
    }
    Ok(sum)
}

async fn cookies(world: &World, login: &Login, scale: &mut Scale, count: usize) -> Result<(), Failure> {
    let good = login.ticket.as_bytes();
    for turn in 0..count {
        let replica = world.replica(turn % 3);
        let value = bent_cookie(good, scale, turn);
        let header = [b"_oauth2_proxy=".as_slice(), &value].concat();
        let status = raw::get(replica, "/oauth2/auth", &[("Cookie", header)]).await?;
        let shown = String::from_utf8_lossy(&value);
        // 400: the HTTP layer itself refuses the bytes. Nothing else may come of it.
        assert!(matches!(status, Some(400 | 401 | 431)), "{status:?} to a cookie {shown:?}");
    }
    let many = vec![format!("{SESSION_COOKIE}=x"); 60].join("; ");
    let status = raw::get(world.replica(0), "/oauth2/auth", &[("Cookie", many.into_bytes())]).await?;
    assert_eq!(status, Some(401), "many of one name");
    Ok(())
}

/// A good cookie with one thing wrong, or something else altogether. Never the good value.
fn bent_cookie(good: &[u8], scale: &mut Scale, turn: usize) -> Vec<u8> {
    let mut bent = good.to_vec();
    match turn % 6 {
        0 => {
            let at = scale.below(bent.len());
            // Another letter of the alphabet: still well-formed base64.
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            if turn < 6 {
                bent.clear();
            }
        }
        1 => bent.truncate(scale.below(good.len())),
        2 => bent.extend((0..=scale.below(64)).map(|_| b'A')),
        3 => {
            let at = scale.below(bent.len());
            bent[at] = 0x80 | u8::try_from(scale.below(0x7f)).unwrap_or_default();
        }
        4 => bent = (0..scale.below(600)).map(|_| 0x21 + u8::try_from(scale.below(0x5d)).unwrap_or_default()).collect(),
        _ => {
            let (a, b) = (scale.below(bent.len()), scale.below(bent.len()));
            bent.swap(a, b);
        }
    }
    // The last letters of unpadded base64 may carry unused bits, but the format must be strict about
    // them: one ticket has one spelling.
    if bent == good { vec![b'='] } else { bent }
}

async fn original_urls(world: &World, login: &Login, scale: &mut Scale, count: usize) -> Result<(), Failure> {
    let fixed = [
        "http://app.example.test\\open/x",
        "http://app.example.test:80\\open/x",
        "http://app.example.test?/open/x",
        "http://app.example.test#/open/x",
        "http://app.example.test/secret?/open/",
        "http://app.example.test/open/../secret",
        "http://app.example.test/open/%2e%2e/secret",
        "http://app.example.test/open/..%2fsecret",
        "http://app.example.test//open/x",
        "http://app.example.test/open/./x",
        "/open/x",
        "//app.example.test/open/x",
        "open/x",
        "",
        "http:///open/x",
        "http://app.example.test:99999999/open/x",
        "http://a b/open/x",
        "javascript:/open/x",
    ];
    for (turn, url) in fixed.iter().cycle().take(fixed.len().max(count / 4)).enumerate() {
        let replica = world.replica(turn % 3);
        let headers = |cookie: &str| {
            vec![
                ("X-Original-URL", url.as_bytes().to_vec()),
                ("X-Original-Method", b"GET".to_vec()),
                ("X-Real-IP", b"127.0.0.1".to_vec()),
                ("Cookie", format!("{SESSION_COOKIE}={cookie}").into_bytes()),
            ]
        };
        let status = raw::get(replica, "/oauth2/auth", &headers("")).await?;
        assert!(matches!(status, Some(400 | 401)), "{status:?} to {url:?} without a session");
        if turn < fixed.len() {
            let status = raw::get(replica, "/oauth2/auth", &headers(&login.ticket)).await?;
            assert_eq!(status, Some(202), "with a session, {url:?} opens nothing but passes");
        }
    }
    for turn in 0..count {
        let mut url = format!("http://app.example.test{CLOSED}/open/").into_bytes();
        for _ in 0..=scale.below(4) {
            let at = 7 + scale.below(url.len() - 7);
            url.insert(at, u8::try_from(scale.below(256)).unwrap_or_default());
        }
        url.retain(|byte| !matches!(byte, b'\r' | b'\n'));
        let twice = turn % 5 == 0;
        let mut headers = vec![("X-Original-URL", url.clone()), ("X-Original-Method", b"GET".to_vec())];
        if twice {
            headers.push(("X-Original-URL", b"http://app.example.test/open/x".to_vec()));
        }
        let status = raw::get(world.replica(turn % 3), "/oauth2/auth", &headers).await?;
        assert!(matches!(status, Some(400 | 401)), "{status:?} to {:?}", String::from_utf8_lossy(&url));
    }
    Ok(())
}

async fn callbacks(world: &World, person: &mut Person, scale: &mut Scale, count: usize) -> Result<(), Failure> {
    for turn in 0..count {
        let replica = world.replica(turn % 3);
        let good = person.begin(replica).await?;
        let mut bent = good.clone();
        let pairs: Vec<(String, String)> = good.query_pairs().into_owned().collect();
        bent.query_pairs_mut()
            .clear()
            .extend_pairs(pairs.iter().filter_map(|(name, value)| bend(name, value, turn, scale)));
        if turn % 9 == 8 {
            person.robot.jar.forget(conclave_tests::gateway::APP_HOST);
        }
        let answer = person.robot.get(&bent).await?;
        assert!(!(200..400).contains(&answer.status), "{} to {}", answer.status, bent.query().unwrap_or_default());
        assert!(person.robot.jar.value(SESSION_COOKIE).is_none(), "and no session comes of it");
    }
    let replica = world.replica(0);
    let start = world.place.url("/oauth2/start?rd=https%3A%2F%2Fevil.test%2F");
    let mut robot = Robot::new("mallory").via(&world.place.authority(), replica);
    let callback = robot.open_until(&start, conclave_tests::login::CALLBACK).await?;
    let answer = robot.get(&callback).await?;
    assert_eq!(answer.location().map(|to| to.path().to_owned()).as_deref(), Some("/"), "a foreign target becomes /");
    assert_ne!(answer.location().and_then(|to| to.host_str().map(str::to_owned)).as_deref(), Some("evil.test"));
    Ok(())
}

/// One parameter of a callback, bent by the turn; `None` leaves it out.
fn bend(name: &str, value: &str, turn: usize, scale: &mut Scale) -> Option<(String, String)> {
    let same = (name.to_owned(), value.to_owned());
    match (turn % 9, name) {
        (0, "state") | (1, "code") => None,
        (2, "state") | (3, "code") => Some((name.to_owned(), String::new())),
        (4, "state") => Some((name.to_owned(), format!("{value}A"))),
        (5, "state") => Some((name.to_owned(), "é\u{0}%ff".to_owned())),
        (6, "code") => Some((name.to_owned(), "x".repeat(1 + scale.below(6000)))),
        (7, "iss") => Some((name.to_owned(), "https://evil.test".to_owned())),
        _ => Some(same),
    }
}

async fn garbage(world: &World, scale: &mut Scale, count: usize) -> Result<(), Failure> {
    for turn in 0..count {
        let replica = &world.cluster.replicas[turn % 3];
        let length = 1 + scale.below(3000);
        let mut bytes: Vec<u8> = (0..length).map(|_| u8::try_from(scale.below(256)).unwrap_or_default()).collect();
        if turn % 2 == 0 {
            bytes.splice(0..0, *b"GET /oauth2/auth HTTP/1.1\r\n");
            // An end to the head, so that the service answers at once.
            bytes.extend_from_slice(b"\r\n\r\n");
        } else {
            bytes.extend_from_slice(b"\r\n\r\n");
        }
        for address in [replica.http, replica.admin, replica.peer] {
            let status = raw::send(address, &bytes).await?;
            assert!(status.is_none_or(|status| status >= 300), "{status:?} to garbage at {address}");
        }
    }
    Ok(())
}

async fn peer_port(world: &World, scale: &mut Scale, count: usize) -> Result<usize, Failure> {
    let secret = CookieSecret::parse(&world.cluster.secret)?;
    let other = CookieSecret::parse("fedcba9876543210fedcba9876543210")?;
    let [target, sender] = [0, 1].map(|index| &world.cluster.replicas[index]);
    let (to, from) = (PeerName::parse(&target.name)?, PeerName::parse(&sender.name)?);
    let before = target.admin("/status").await?["term"].clone();
    for shows in [Shows::Nothing, Shows::Leaf { secret: &other, name: &from }] {
        let outcome = Intruder::new(&secret, &to, target.peer, shows)?.post(vec![1]).await;
        assert!(outcome.is_err(), "{shows:?} does not get past the handshake: {outcome:?}");
    }
    let insider = Intruder::new(&secret, &to, target.peer, Shows::Leaf { secret: &secret, name: &from })?;
    let strange =
        Intruder::new(&secret, &to, target.peer, Shows::Leaf { secret: &secret, name: &PeerName::parse("x:1")? })?;
    let status = sender.admin("/status").await?;
    let node = NodeId::new(status["node_id"].as_str().ok_or("no node_id")?.parse()?);
    let frame = |cluster: u8, from: &PeerName| Frame {
        head: FrameHead {
            cluster: Some(ClusterId::from_bytes([cluster; 16])),
            epoch: Epoch::new(1),
            from: node,
            from_name: from.clone(),
            to: None,
            to_name: to.clone(),
            question: QUESTION,
            kind: FrameKind::Vote,
        },
        payload: vec![0xff; 100],
    };
    let refusal = |bytes: &[u8]| Answer::decode(bytes, &QUESTION).map(|answer| answer.payload.err());
    let (_, body) = insider.post(frame(9, &from).encode()?).await?;
    assert_eq!(refusal(&body)?, Some(PeerRefusal::WrongCluster), "another cluster's vote is not even parsed");
    let (_, body) = strange.post(frame(9, &from).encode()?).await?;
    assert_eq!(refusal(&body)?, Some(PeerRefusal::UnknownSender), "a certificate of another name");
    let mut refused = 4;
    let sound = frame(9, &from).encode()?;
    for turn in 0..count {
        let bytes = if turn % 2 == 0 { noise(scale) } else { spoilt(&sound, scale) };
        let outcome = insider.post(bytes).await?;
        assert!(outcome.0 >= 400 || !accepted(&outcome.1), "garbage is refused: {}", outcome.0);
        refused += 1;
    }
    let huge = insider.post(vec![1; 8 * 1024 * 1024]).await;
    assert!(huge.is_err() || huge.is_ok_and(|(status, _)| status >= 400), "an oversized body is refused");
    tokio::time::timeout(Duration::from_secs(5), target.admin("/status")).await??;
    assert_eq!(target.admin("/status").await?["term"], before, "and no vote was cast");
    Ok(refused + 1)
}

/// Random bytes behind a version that is known.
fn noise(scale: &mut Scale) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        (0..scale.below(4000)).map(|_| u8::try_from(scale.below(256)).unwrap_or_default()).collect();
    if let Some(version) = bytes.first_mut() {
        *version = 1;
    }
    bytes
}

/// A frame for another cluster with some bytes changed, but for its question: an answer can be held against that.
fn spoilt(sound: &[u8], scale: &mut Scale) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    let question = bytes.windows(QUESTION.len()).position(|window| window == QUESTION).unwrap_or(bytes.len());
    for _ in 0..=scale.below(8) {
        let at = scale.below(bytes.len());
        if !(question..question + QUESTION.len()).contains(&at) {
            bytes[at] = u8::try_from(scale.below(256)).unwrap_or_default();
        }
    }
    bytes
}

/// Whether an answer's bytes carry a payload rather than a refusal. Noise has no question, so its answer can only echo
/// zeroes; a spoilt frame keeps the question.
fn accepted(bytes: &[u8]) -> bool {
    [QUESTION, [0; 16]]
        .iter()
        .any(|question| Answer::decode(bytes, question).is_ok_and(|answer| answer.payload.is_ok()))
}
