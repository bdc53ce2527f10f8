//! Through a real nginx, set up in each way that has a kind: whatever a client says its request was, no rule opens
//! for it, and each rule opens for the request that it is there for. Behind a gateway of another kind none opens.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use conclave_tests::gateway::{Gateway, Kind, Place};
use conclave_tests::lone::{Lone, nobody};
use conclave_tests::raw::{Heard, exchange};
use conclave_tests::report::Scenario;
use conclave_tests::spoofs::{self, INSIDER, OUTSIDER, Way};
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, http, ports};
use futures::stream::{self, StreamExt};

/// nginx answers within its upstream's time; what is silent longer waits for more bytes.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Ways under way at once.
const AT_ONCE: usize = 8;

/// Anonymous checks at the public path, of four kinds.
const LOOP: usize = 40;

/// One opening rule, alone in a service of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Skip,
    SkipTail,
    Negated,
    Preflight,
    TrustedAddress,
}

const RULES: [Rule; 5] = [Rule::Skip, Rule::SkipTail, Rule::Negated, Rule::Preflight, Rule::TrustedAddress];

impl Rule {
    fn flag(self) -> String {
        match self {
            Self::Skip => "--skip-auth-route=GET=^/open/".to_owned(),
            Self::SkipTail => "--skip-auth-route=GET=/open/x$".to_owned(),
            Self::Negated => "--skip-auth-route=GET!=^/secret".to_owned(),
            Self::Preflight => "--skip-auth-preflight=true".to_owned(),
            Self::TrustedAddress => format!("--trusted-ip={INSIDER}"),
        }
    }

    /// The request that the rule is there for: method, target, from where.
    fn own(self) -> (&'static str, &'static str, IpAddr) {
        match self {
            Self::Skip => ("GET", "/open/y?z", OUTSIDER),
            Self::SkipTail => ("GET", "/a/open/x", OUTSIDER),
            Self::Negated => ("GET", "/public", OUTSIDER),
            Self::Preflight => ("OPTIONS", spoofs::CLOSED, OUTSIDER),
            Self::TrustedAddress => ("GET", spoofs::CLOSED, INSIDER),
        }
    }

    /// Whether the app may see this request of an outsider.
    fn is_for(self, kind: Kind, reached: &Reached) -> bool {
        let path = reached.path.as_str();
        let one_reading = !path.contains(['\\', '?', '#', ';']) && !path.contains("..");
        // Without a kind the method is the subrequest's own, as in oauth2-proxy: always GET.
        let get = kind == Kind::Plain || reached.method == "GET";
        match self {
            Self::Skip => get && one_reading && path.starts_with("/open/"),
            Self::SkipTail => get && one_reading && path.ends_with("/open/x"),
            Self::Negated => get && one_reading && !path.starts_with("/secret"),
            Self::Preflight => reached.method == "OPTIONS",
            Self::TrustedAddress => false,
        }
    }
}

/// A request as the app saw it.
#[derive(Debug)]
struct Reached {
    path: String,
    method: String,
}

/// Every request that reached the app on this connection.
fn reached(heard: &Heard) -> Vec<Reached> {
    let text = heard.text();
    let field = |echo: &str, name: &str| {
        let line = echo.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().to_owned()
    };
    let echoes = text.split("app\nuri=").skip(1);
    echoes.map(|echo| Reached { path: field(echo, "path="), method: field(echo, "method=") }).collect()
}

/// A service with one rule behind its own nginx.
struct Stand {
    kind: Kind,
    rule: Rule,
    place: Place,
    log: PathBuf,
    service: Lone,
    _gateway: Gateway,
}

impl Stand {
    /// With the value of `gateway` that fits.
    async fn start(kind: Kind, rule: Rule) -> Result<Self, Failure> {
        let fits = match kind {
            Kind::Ingress => "ingress-nginx",
            Kind::Guide => "nginx",
            Kind::Plain => "",
            Kind::Forward => "traefik",
        };
        Self::start_with(fits, kind, rule).await
    }

    async fn start_with(named: &str, kind: Kind, rule: Rule) -> Result<Self, Failure> {
        let dir = WorkDir::fresh(&format!("spoofed_requests-{named}-{kind:?}-{rule:?}"));
        let mut flags = vec![rule.flag(), "--reverse-proxy=true".to_owned(), "--trusted-proxy-ip=127.0.0.1".to_owned()];
        if !named.is_empty() {
            flags.push(format!("--gateway={named}"));
        }
        let place = Place::draw();
        let service = Lone::start(&dir, &nobody(), &flags).await?;
        let gateway = Gateway::start_as(kind, &dir, place, &[service.http]).await?;
        Ok(Self { kind, rule, place, log: dir.join("conclave.log"), service, _gateway: gateway })
    }

    /// Checks at the public path by somebody unknown, whole, in part and empty: each is refused, and none of them
    /// closes the rule for others.
    async fn anonymous_loop(&self) -> Result<usize, Failure> {
        let parts = ["", "X-Forwarded-Uri: /open/x\r\n", "X-Original-Method: GET\r\n", "X-Real-IP: 127.0.0.7\r\n"];
        let lines = |turn: usize| parts[turn % parts.len()];
        let outcomes: Vec<_> = stream::iter(0..LOOP)
            .map(|turn| async move {
                let host = self.place.authority();
                let request =
                    format!("GET /oauth2/auth HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{}\r\n", lines(turn));
                exchange(OUTSIDER, self.place.address(), request.as_bytes(), PATIENCE).await
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        for heard in outcomes {
            assert_eq!(heard?.statuses(), [401], "{:?}", self.rule);
        }
        let log = std::fs::read_to_string(&self.log)?;
        let said =
            log.lines().filter(|line| line.contains("a check lacks") || line.contains("a check carries")).count();
        assert!((1..=2).contains(&said), "one line an hour for each of the two doubts, not {said}:\n{log}");
        Ok(LOOP)
    }

    /// Nothing reaches the app, not even the request that the rule is there for, and the log names `header`.
    async fn nothing_opens(&self, ways: &[Way], header: &str) -> Result<usize, String> {
        let (method, target, from) = self.rule.own();
        let own = format!("{method} {target} HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n\r\n");
        let own = Way { name: "the rule's own request".to_owned(), request: own };
        let of_outsiders = ways.iter().map(|way| (OUTSIDER, way));
        for (from, way) in of_outsiders.chain([(from, &own)]) {
            let bytes = way.bytes(&self.place.authority());
            let heard =
                exchange(from, self.place.address(), &bytes, PATIENCE).await.map_err(|error| error.to_string())?;
            if let Some(reached) = reached(&heard).first() {
                return Err(format!("{:?} {:?}: {} reached the app: {reached:?}", self.kind, self.rule, way.name));
            }
        }
        let log = std::fs::read_to_string(&self.log).map_err(|error| error.to_string())?;
        match log.lines().any(|line| line.contains(header) && line.contains("opens for it")) {
            true => Ok(ways.len() + 1),
            false => Err(format!("{:?} {:?}: no line names {header}:\n{log}", self.kind, self.rule)),
        }
    }

    /// The request that the rule is for opens, and the same from elsewhere or of another path does not.
    async fn rule_works(&self) -> Result<(), Failure> {
        let (method, target, from) = self.rule.own();
        let plain = |method: &str, target: &str| {
            format!("{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.place.authority())
        };
        let heard = exchange(from, self.place.address(), plain(method, target).as_bytes(), PATIENCE).await?;
        if self.kind == Kind::Plain && self.rule == Rule::Preflight {
            // auth_request asks with GET, and no header may say otherwise: only who comes without nginx is known.
            assert!(reached(&heard).is_empty(), "{:?}", heard.text());
            let url = format!("http://{}/oauth2/auth", self.service.http);
            let direct = http::client().request(reqwest::Method::OPTIONS, url).send().await?;
            assert_eq!(direct.status().as_u16(), 202, "the preflight rule opens");
        } else {
            assert_eq!(
                reached(&heard).len(),
                1,
                "{:?} {:?} opens for {method} {target}: {:?}",
                self.kind,
                self.rule,
                heard.text()
            );
        }
        let closed =
            exchange(OUTSIDER, self.place.address(), plain("GET", spoofs::CLOSED).as_bytes(), PATIENCE).await?;
        assert_eq!(closed.statuses(), [302], "{:?} {:?} sends others to the login", self.kind, self.rule);
        Ok(())
    }

    /// The first way that opened something, with what the app saw; otherwise how many nginx answered with 5xx.
    async fn try_way(&self, way: &Way) -> Result<bool, String> {
        let bytes = way.bytes(&self.place.authority());
        let heard = exchange(OUTSIDER, self.place.address(), &bytes, PATIENCE).await;
        let heard = heard.map_err(|error| format!("{}: {error}", way.name))?;
        match reached(&heard).into_iter().find(|reached| !self.rule.is_for(self.kind, reached)) {
            Some(reached) => {
                Err(format!("{:?} {:?} opened for {}: the app saw {reached:?}", self.kind, self.rule, way.name))
            }
            None => Ok(heard.statuses().iter().any(|status| *status >= 500)),
        }
    }

    /// The same header lines straight to the service, past nginx, from an address that is no proxy's.
    async fn try_direct(&self, way: &Way) -> Result<(), String> {
        let request = way.request.replacen(spoofs::CLOSED, "/oauth2/auth", 1);
        let bytes = Way { name: String::new(), request }.bytes(&self.place.authority());
        let heard = exchange(OUTSIDER, self.service.http, &bytes, PATIENCE).await;
        let statuses = heard.map_err(|error| format!("{}: {error}", way.name))?.statuses();
        match statuses.iter().all(|status| matches!(status, 400 | 401 | 403 | 431)) {
            true => Ok(()),
            false => Err(format!("{:?} {:?} answers {statuses:?} past nginx to {}", self.kind, self.rule, way.name)),
        }
    }
}

/// Promise P9, S-9, S-13 and S-17.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spoofed_requests() -> Result<(), Failure> {
    let ways = spoofs::all();
    let direct = spoofs::headers();
    let mut scenario = Scenario::begin("spoofed_requests", ways.len(), 200, "ways to say what the request was");
    let chosen = chosen(&ways, &mut scenario);
    let mut wrong = Vec::new();
    let (mut tried, mut past, mut broken, mut anonymous) = (0, 0, 0, 0);
    for kind in [Kind::Ingress, Kind::Guide, Kind::Plain, Kind::Forward] {
        for rule in RULES {
            let mut stand = Stand::start(kind, rule).await?;
            stand.rule_works().await?;
            let outcomes: Vec<_> =
                stream::iter(&chosen).map(|way| stand.try_way(way)).buffered(AT_ONCE).collect().await;
            tried += outcomes.len();
            broken += outcomes.iter().filter(|outcome| **outcome == Ok(true)).count();
            wrong.extend(outcomes.into_iter().filter_map(Result::err));
            let lines = direct.iter().filter(|way| chosen.iter().any(|chosen| chosen.name == way.name));
            let outcomes: Vec<_> =
                stream::iter(lines).map(|way| stand.try_direct(way)).buffered(AT_ONCE).collect().await;
            past += outcomes.len();
            wrong.extend(outcomes.into_iter().filter_map(Result::err));
            if kind == Kind::Ingress {
                anonymous += stand.anonymous_loop().await?;
            }
            stand.rule_works().await?;
            assert!(stand.service.runs(), "the service still runs");
        }
    }
    scenario.figure("rules", format!("{} behind 4 kinds of gateway", RULES.len()));
    scenario.held("tried through nginx", tried);
    scenario.held("tried past nginx", past);
    scenario.figure("of them answered 5xx by nginx", broken);
    scenario.held("anonymous checks at the public path", anonymous);
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    scenario.passed();
    Ok(())
}

/// Promise P9: a kind that is named where another one stands in front opens nothing, whatever a client writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p9_a_another_gateway_opens_nothing() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("another_gateway", 1, 1, "run");
    let ways: Vec<Way> = spoofs::headers().into_iter().filter(|way| way.name.contains("whole set")).collect();
    let mut asked = 0;
    for (named, kind, header) in [
        ("nginx", Kind::Plain, "X-Forwarded-Uri"),
        ("ingress-nginx", Kind::Forward, "X-Forwarded-Method"),
        ("traefik", Kind::Ingress, "X-Original-URL"),
        ("caddy", Kind::Ingress, "X-Original-URL"),
    ] {
        for rule in RULES {
            let stand = Stand::start_with(named, kind, rule).await?;
            asked += stand.nothing_opens(&ways, header).await?;
        }
    }
    scenario.held("requests, none of which reached the app", asked);
    scenario.passed();
    Ok(())
}

/// Promise P9: at the gateways' own listener a missing header closes its source, and the operator sees which.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p9_c_a_gateway_that_lacks_its_headers_is_closed() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("closed_gateway", 1, 1, "run");
    let (dir, checks) = (WorkDir::fresh("closed_gateway"), ports::free_address());
    let flags = [
        Rule::Skip.flag(),
        "--gateway=nginx".to_owned(),
        "--trusted-proxy-ip=127.0.0.0/8".to_owned(),
        format!("--auth-address={checks}"),
    ];
    let service = Lone::start(&dir, &nobody(), &flags).await?;
    let status = |from: IpAddr, to: SocketAddr, lines: &'static str| async move {
        let request = format!("GET /oauth2/auth HTTP/1.1\r\nHost: auth.test\r\nConnection: close\r\n{lines}\r\n");
        exchange(from, to, request.as_bytes(), PATIENCE).await.map(|heard| heard.statuses())
    };
    let whole = "X-Original-URL: http://app/open/x\r\nX-Original-Method: GET\r\nX-Real-IP: 203.0.113.9\r\n";
    for turn in 0..LOOP {
        assert_eq!(status(OUTSIDER, service.http, "").await?, [401], "turn {turn}");
    }
    assert_eq!(status(OUTSIDER, checks, whole).await?, [202], "the loop at the public port changed nothing");
    assert_eq!(status(OUTSIDER, checks, "X-Real-IP: 203.0.113.9\r\n").await?, [401]);
    for port in [checks, service.http] {
        assert_eq!(status(OUTSIDER, port, whole).await?, [401], "closed, whatever a client wrote");
        assert_eq!(status(INSIDER, port, whole).await?, [202], "another gateway");
    }
    let shown = http::client().get(format!("http://{}/status", service.admin)).send().await?.text().await?;
    assert!(shown.contains(&format!("\"closed_gateways\":[\"{OUTSIDER}\"]")), "{shown}");
    let log = std::fs::read_to_string(dir.join("conclave.log"))?;
    let said: Vec<&str> = log.lines().filter(|line| line.contains("10 minutes after the last such check")).collect();
    assert!(said.len() == 1 && said[0].contains(&OUTSIDER.to_string()), "{log}");
    scenario.held("anonymous checks at the public port that closed nothing", LOOP);
    scenario.passed();
    Ok(())
}

/// All ways of a full run; otherwise a random choice of as many as are to be tried.
fn chosen(ways: &[Way], scenario: &mut Scenario) -> Vec<Way> {
    let mut left: Vec<&Way> = ways.iter().collect();
    let mut chosen = Vec::with_capacity(scenario.count());
    while chosen.len() < scenario.count() && !left.is_empty() {
        let at = scenario.scale.below(left.len());
        chosen.push(left.swap_remove(at).clone());
    }
    chosen
}
