//! Through a real nginx, set up in both ways: whatever a client says its request was, no rule opens
//! for it, and each rule opens for the request that it is there for.

use std::net::IpAddr;
use std::time::Duration;

use conclave_tests::gateway::{Gateway, Kind, Place};
use conclave_tests::lone::{Lone, nobody};
use conclave_tests::raw::{Heard, exchange};
use conclave_tests::report::Scenario;
use conclave_tests::spoofs::{self, INSIDER, OUTSIDER, Way};
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, http};
use futures::stream::{self, StreamExt};

/// nginx answers within its upstream's time; what is silent longer waits for more bytes.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Ways under way at once.
const AT_ONCE: usize = 8;

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
            Self::SkipTail => get && !path.contains(['?', '#']) && path.ends_with("/open/x"),
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
    service: Lone,
    _gateway: Gateway,
}

impl Stand {
    async fn start(kind: Kind, rule: Rule) -> Result<Self, Failure> {
        let dir = WorkDir::fresh(&format!("spoofed_requests-{kind:?}-{rule:?}"));
        let mut flags = vec![rule.flag(), "--reverse-proxy=true".to_owned(), "--trusted-proxy-ip=127.0.0.1".to_owned()];
        if kind == Kind::Ingress {
            flags.push("--gateway=nginx".to_owned());
        }
        let place = Place::draw();
        let service = Lone::start(&dir, &nobody(), &flags).await?;
        let gateway = Gateway::start_as(kind, &dir, place, &[service.http]).await?;
        Ok(Self { kind, rule, place, service, _gateway: gateway })
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
    let (mut tried, mut past, mut broken) = (0, 0, 0);
    for kind in [Kind::Ingress, Kind::Plain] {
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
            stand.rule_works().await?;
            assert!(stand.service.runs(), "the service still runs");
        }
    }
    scenario.figure("rules", format!("{} behind 2 kinds of nginx", RULES.len()));
    scenario.held("tried through nginx", tried);
    scenario.held("tried past nginx", past);
    scenario.figure("of them answered 5xx by nginx", broken);
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
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
