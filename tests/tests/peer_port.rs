//! Strangers at the peer port of three replicas: each is refused in the handshake, or before anything of
//! its message is read; and a crowd that only holds connections keeps no replica from its peers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use conclave_proto::id::{ClusterId, Epoch, NodeId, PeerName};
use conclave_proto::keyring::CookieSecret;
use conclave_proto::wire::{Answer, Frame, FrameHead, FrameKind, MAX_FRAME, PeerRefusal};
use conclave_tests::check::Asker;
use conclave_tests::cluster::{Options, READY_WITHIN};
use conclave_tests::intruder::{Intruder, OddLeaf, Shows, Validity};
use conclave_tests::login::Person;
use conclave_tests::report::Scenario;
use conclave_tests::world::World;
use conclave_tests::{Failure, raw, timing};
use rustls::version::{TLS12, TLS13};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections that say nothing, at each peer port: more than the listener takes.
const IDLE: usize = 1_500;

/// A connection that the listener closed is opened again after this.
const OPENED_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How long they are held in a full run, in seconds.
const HELD: usize = 60;

/// A killed replica comes back within this while they are held: its peers call it, and it calls them.
const BACK_WITHIN: Duration = Duration::from_secs(30);

/// A payload of the right version that no question has: another refusal than `Malformed` shows that it
/// was not read.
const UNREADABLE: [u8; 64] = {
    let mut payload = [0xff; 64];
    payload[0] = 1;
    payload
};

/// A stranger and the replica that it calls, with the names that a sound question would hold.
struct Stage<'w> {
    world: &'w World,
    secret: CookieSecret,
    other_secret: CookieSecret,
    target: PeerName,
    sender: PeerName,
    third: PeerName,
    unknown: PeerName,
    head: FrameHead,
}

impl<'w> Stage<'w> {
    async fn set(world: &'w World) -> Result<Self, Failure> {
        let [target, sender, third] = [0, 1, 2].map(|index| PeerName::parse(&world.cluster.replicas[index].name));
        let (target, sender, third) = (target?, sender?, third?);
        let (own, status) =
            (world.cluster.replicas[0].admin("/status").await?, world.cluster.replicas[1].admin("/status").await?);
        let node = |status: &serde_json::Value| -> Result<NodeId, Failure> {
            Ok(NodeId::new(status["node_id"].as_str().ok_or("no node_id")?.parse()?))
        };
        let cluster = cluster_id(own["cluster"].as_str().ok_or("no cluster")?)?;
        let head = FrameHead {
            cluster: Some(cluster),
            // A cluster begins in its first epoch, and no rekey has ended all sessions of this one.
            epoch: Epoch::new(1),
            from: node(&status)?,
            from_name: sender.clone(),
            to: Some(node(&own)?),
            to_name: target.clone(),
            question: [7; 16],
            kind: FrameKind::Vote,
        };
        Ok(Self {
            world,
            secret: CookieSecret::parse(&world.cluster.secret)?,
            other_secret: CookieSecret::parse("fedcba9876543210fedcba9876543210")?,
            target,
            sender,
            third,
            unknown: PeerName::parse("x.test:1")?,
            head,
        })
    }

    fn intruder(&self, shows: Shows<'_>) -> Result<Intruder, Failure> {
        Intruder::new(&self.secret, &self.target, self.world.cluster.replicas[0].peer, shows)
    }

    /// Strangers whom the handshake refuses; their names.
    async fn handshakes(&self) -> Result<Vec<&'static str>, Failure> {
        let sound = || OddLeaf::sound(&self.secret, &self.sender);
        let odd = [
            ("a certificate that signs itself", OddLeaf { signer: None, ..sound() }),
            ("a certificate of another secret", OddLeaf { signer: Some(&self.other_secret), ..sound() }),
            ("a certificate that has expired", OddLeaf { validity: Validity::Past, ..sound() }),
            ("a certificate of the future", OddLeaf { validity: Validity::Future, ..sound() }),
            ("a certificate for servers alone", OddLeaf { server_only: true, ..sound() }),
        ];
        let mut refused = Vec::new();
        let outcome = self.intruder(Shows::Nothing)?.post(vec![1]).await;
        assert!(outcome.is_err(), "no certificate: {outcome:?}");
        refused.push("no certificate");
        for (name, leaf) in &odd {
            let outcome = self.intruder(Shows::Odd(leaf))?.post(vec![1]).await;
            assert!(outcome.is_err(), "{name}: {outcome:?}");
            refused.push(name);
        }
        let replica = &self.world.cluster.replicas[0];
        let good = sound();
        for (version, lets_in) in [(&TLS12, false), (&TLS13, true)] {
            let shows = Shows::Odd(&good);
            let old = Intruder::speaking(version, &self.secret, &self.target, replica.peer, shows)?;
            assert_eq!(old.post(vec![1]).await.is_ok(), lets_in, "{version:?}, with a sound certificate");
        }
        refused.push("TLS 1.2");
        let plain = b"POST /peer HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
        assert_eq!(raw::send(replica.peer, plain).await?, None, "plain HTTP");
        refused.push("plain HTTP");
        Ok(refused)
    }

    /// Strangers whom the handshake lets in and the head of their message gives away; their names.
    async fn messages(&self) -> Result<Vec<&'static str>, Failure> {
        let sound = OddLeaf::sound(&self.secret, &self.sender);
        let [third, two, unknown, own] =
            [vec![&self.third], vec![&self.third, &self.sender], vec![&self.unknown], vec![&self.target]]
                .map(|names| OddLeaf { names, ..sound.clone() });
        let head = &self.head;
        let elsewhere = NodeId::new(head.to.map_or(1, NodeId::get) ^ 1);
        let messages: [(&'static str, &OddLeaf<'_>, FrameHead, PeerRefusal); 11] = [
            ("a certificate of another peer", &third, head.clone(), PeerRefusal::UnknownSender),
            ("a certificate of two peers", &two, head.clone(), PeerRefusal::UnknownSender),
            ("a peer that is not configured", &unknown, self.named(&self.unknown), PeerRefusal::UnknownSender),
            ("the replica's own name", &own, self.named(&self.target), PeerRefusal::UnknownSender),
            ("a name that the certificate lacks", &sound, self.named(&self.third), PeerRefusal::UnknownSender),
            (
                "another id under a peer's name",
                &sound,
                FrameHead { from: elsewhere, ..head.clone() },
                PeerRefusal::UnknownSender,
            ),
            (
                "another recipient's name",
                &sound,
                FrameHead { to_name: self.third.clone(), ..head.clone() },
                PeerRefusal::WrongRecipient,
            ),
            (
                "another recipient's id",
                &sound,
                FrameHead { to: Some(elsewhere), ..head.clone() },
                PeerRefusal::WrongRecipient,
            ),
            ("no cluster", &sound, FrameHead { cluster: None, ..head.clone() }, PeerRefusal::WrongCluster),
            (
                "another cluster",
                &sound,
                FrameHead { cluster: Some(ClusterId::from_bytes([9; 16])), ..head.clone() },
                PeerRefusal::WrongCluster,
            ),
            ("an old epoch", &sound, FrameHead { epoch: Epoch::new(0), ..head.clone() }, PeerRefusal::OldEpoch),
        ];
        // The control: with nothing wrong the payload is read, and it alone is refused.
        assert_eq!(self.refusal(&sound, head.clone()).await?, Some(PeerRefusal::Malformed), "the control");
        let mut refused = Vec::new();
        for (name, leaf, head, expected) in messages {
            assert_eq!(self.refusal(leaf, head).await?, Some(expected), "{name}");
            refused.push(name);
        }
        Ok(refused)
    }

    /// Messages that are none; their names.
    async fn garbage(&self) -> Result<Vec<&'static str>, Failure> {
        let sound = OddLeaf::sound(&self.secret, &self.sender);
        let intruder = self.intruder(Shows::Odd(&sound))?;
        let frame = Frame { head: self.head.clone(), payload: UNREADABLE.to_vec() }.encode()?;
        let mut another_version = frame.clone();
        another_version[0] = 0xff;
        let mut unknown_kind = frame.clone();
        unknown_kind[1..3].copy_from_slice(&u16::MAX.to_le_bytes());
        for (name, bytes) in [
            ("nothing", Vec::new()),
            ("garbage", vec![0xa5; 4096]),
            ("half a head", frame[..20].to_vec()),
            ("another version", another_version),
        ] {
            let (status, body) = intruder.post(bytes).await?;
            assert!(status == 400 && body.is_empty(), "{name}: {status}");
        }
        let (status, body) = intruder.post(unknown_kind).await?;
        assert!(status == 400 || !is_taken(&body), "an unknown kind: {status}");
        for size in [MAX_FRAME + 1, 8 * 1024 * 1024] {
            // The connection may be cut while the rest is still on its way.
            let outcome = intruder.post(vec![1; size]).await;
            assert!(outcome.as_ref().map_or(true, |(status, _)| *status == 413), "{size} bytes: {outcome:?}");
        }
        Ok(vec!["nothing", "garbage", "half a head", "another version", "an unknown kind", "too much", "far too much"])
    }

    fn named(&self, sender: &PeerName) -> FrameHead {
        FrameHead { from_name: sender.clone(), ..self.head.clone() }
    }

    async fn refusal(&self, leaf: &OddLeaf<'_>, head: FrameHead) -> Result<Option<PeerRefusal>, Failure> {
        let frame = Frame { head, payload: UNREADABLE.to_vec() }.encode()?;
        let (status, body) = self.intruder(Shows::Odd(leaf))?.post(frame).await?;
        assert_eq!(status, 200, "a frame is answered with a frame");
        Ok(Answer::decode(&body, &self.head.question)?.payload.err())
    }
}

/// As `/status` prints it: hexadecimal.
fn cluster_id(text: &str) -> Result<ClusterId, Failure> {
    let mut bytes = [0; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        let digits = text.get(at * 2..at * 2 + 2).ok_or("a cluster id has 32 digits")?;
        *byte = u8::from_str_radix(digits, 16)?;
    }
    Ok(ClusterId::from_bytes(bytes))
}

fn is_taken(body: &[u8]) -> bool {
    Answer::decode(body, &[7; 16]).is_ok_and(|answer| answer.payload.is_ok())
}

/// Holds one connection that says nothing, and opens another when it is closed.
async fn hold(address: SocketAddr, opened: Arc<AtomicUsize>) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            opened.fetch_add(1, Ordering::Relaxed);
            let mut ignored = [0; 64];
            while stream.read(&mut ignored).await.is_ok_and(|count| count > 0) {}
        }
        tokio::time::sleep(OPENED_AGAIN_AFTER).await;
    }
}

/// Holds connections at every peer port until it is dropped.
struct Crowd {
    opened: Arc<AtomicUsize>,
    _holders: JoinSet<()>,
}

impl Crowd {
    /// Comes, and waits until as many connections are open as each port was promised. Those that a full
    /// listener does not take wait in the kernel.
    async fn gather(world: &World) -> Result<Self, Failure> {
        let (opened, mut holders) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        for replica in &world.cluster.replicas {
            (0..IDLE).for_each(|_| drop(holders.spawn(hold(replica.peer, Arc::clone(&opened)))));
        }
        let crowd = Self { opened, _holders: holders };
        timing::until("the crowd", READY_WITHIN, || async { (crowd.opened() >= IDLE).then_some(()) }).await?;
        Ok(crowd)
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }
}

/// While a crowd holds connections: checks, logins and the loss of a replica, for so long.
async fn under_a_crowd(world: &mut World, time: Duration) -> Result<(usize, Duration), Failure> {
    let mut person = Person::new("person-0", world.place);
    let (begun, mut rounds) = (timing::now(), 0);
    while begun.elapsed() < time || rounds == 0 {
        for index in 0..world.cluster.replicas.len() {
            let login = person.log_in(world.replica(index)).await?;
            for replica in world.cluster.addresses() {
                let verdict = Asker::default().ask(replica, &login.ticket).await?;
                assert!(verdict.admits(&login.user), "{} at {replica} under the crowd", verdict.status);
            }
        }
        rounds += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let follower = world.cluster.leader().await.map(|leader| (leader + 1) % world.cluster.replicas.len())?;
    world.cluster.replicas[follower].kill();
    world.cluster.replicas[follower].start()?;
    let killed = timing::now();
    world.cluster.replicas[follower].wait_ready(BACK_WITHIN).await?;
    Ok((rounds * 3, killed.elapsed()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_port() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("peer_port", HELD, 5, "seconds under a crowd of idle connections");
    let options = Options::default().flag("--max-staleness=5s");
    let mut world = World::start("peer_port", &options).await?;
    let login = world.people(1).await?[0].log_in(world.replica(0)).await?;
    let term = world.cluster.replicas[0].admin("/status").await?["term"].clone();

    let stage = Stage::set(&world).await?;
    let (handshakes, messages, garbage) = (stage.handshakes().await?, stage.messages().await?, stage.garbage().await?);
    scenario.held("refused in the handshake", handshakes.len());
    scenario.held("refused by the head of the message", messages.len());
    scenario.held("refused as no message", garbage.len());
    let counted: f64 = world.cluster.replicas[0].metric("conclave_peer_refused_total").await?;
    scenario.figure("counted in the metrics", counted);
    assert_eq!(world.cluster.replicas[0].admin("/status").await?["term"], term, "and no vote was cast");

    let crowd = Crowd::gather(&world).await?;
    let time = Duration::from_secs(u64::try_from(scenario.count())?);
    let (logins, back) = under_a_crowd(&mut world, time).await?;
    scenario.held("logins under the crowd, each honoured by every replica", logins);
    scenario.figure("a killed replica was ready again after", format!("{:.1} s", back.as_secs_f64()));
    scenario.figure(
        "idle connections wanted at each peer port, opened at all three",
        format!("{IDLE}, {}", crowd.opened()),
    );
    drop(crowd);

    for replica in &mut world.cluster.replicas {
        assert!(replica.runs(), "{} is alive", replica.name);
        let verdict = Asker::default().ask(replica.http, &login.ticket).await?;
        assert_eq!(verdict.status, 202, "and a good cookie is still good at {}", replica.name);
    }
    world.cluster.wait_equal_hashes(READY_WITHIN).await?;
    scenario.passed();
    Ok(())
}
