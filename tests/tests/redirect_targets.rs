//! No bad return target gets into a `Location`, by whichever way it comes in, and every good one does.
//! Two URL parsers judge where a browser lands: Rust's, and the one of Node.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use conclave_tests::browser::Robot;
use conclave_tests::gateway::APP_HOST;
use conclave_tests::login::CALLBACK;
use conclave_tests::lone::Lone;
use conclave_tests::provider::Provider;
use conclave_tests::report::Scenario;
use conclave_tests::targets::{self, ALLOWED};
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, http, ports, repository};
use futures::stream::{self, StreamExt};
use reqwest::header::{CONTENT_TYPE, HOST, HeaderValue, LOCATION, ORIGIN};
use url::Url;
use url::form_urlencoded::byte_serialize;

/// Requests under way at once.
const AT_ONCE: usize = 16;

/// Bad targets that are tried by each way in every run.
const TARGETS: usize = 6_000;

/// Bad targets that must have been sent in every run, by all ways together.
const SENT: usize = 20_000;

/// How a target comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Parameter,
    Form,
    RedirectHeader,
    ForwardedUri,
    ForwardedHost,
}

const WAYS: [By; 5] = [By::Parameter, By::Form, By::RedirectHeader, By::ForwardedUri, By::ForwardedHost];

impl By {
    /// Whether that way brings a good target: the forwarded URI holds no host, and must begin with a path.
    fn carries(self, good: &str) -> bool {
        match self {
            Self::Parameter | Self::Form => true,
            Self::RedirectHeader => good.is_ascii(),
            Self::ForwardedUri => good.is_ascii() && good.starts_with('/'),
            Self::ForwardedHost => false,
        }
    }
}

/// The service and the URL that browsers know it by.
struct Stand {
    service: Lone,
    provider: Provider,
    origin: Url,
    client: reqwest::Client,
}

impl Stand {
    async fn start() -> Result<Self, Failure> {
        let dir = WorkDir::fresh("redirect_targets");
        let address = ports::free_address();
        let origin = Url::parse(&format!("http://{APP_HOST}:{}{CALLBACK}", address.port()))?;
        let provider = Provider::start(&dir, origin.as_str()).await?;
        let mut flags: Vec<String> = ALLOWED.iter().map(|allowed| format!("--whitelist-domain={allowed}")).collect();
        flags.extend([format!("--redirect-url={origin}"), "--reverse-proxy=true".to_owned()]);
        let service = Lone::start_at(address, &dir, &provider.registration(), &flags).await?;
        Ok(Self { service, provider, origin, client: http::client() })
    }

    fn address(&self) -> SocketAddr {
        self.service.http
    }

    /// Where a sign-out with this target leads; `None` where HTTP itself has no room for it.
    async fn sent_to(&self, by: By, target: &str) -> Result<Option<String>, Failure> {
        let host = format!("{APP_HOST}:{}", self.address().port());
        let url = format!("http://{}/oauth2/sign_out", self.address());
        let rd: String = byte_serialize(target.as_bytes()).collect();
        let header = match by {
            By::Parameter | By::Form => None,
            By::RedirectHeader => Some("X-Auth-Request-Redirect"),
            By::ForwardedUri => Some("X-Forwarded-Uri"),
            By::ForwardedHost => Some("X-Forwarded-Host"),
        };
        let request = match (by, header) {
            (By::Form, _) => {
                let form = self.client.post(url).header(ORIGIN, format!("http://{host}"));
                form.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(format!("rd={rd}"))
            }
            (_, None) => self.client.get(format!("{url}?rd={rd}")),
            (_, Some(name)) => {
                let Ok(value) = HeaderValue::from_bytes(target.as_bytes()) else { return Ok(None) };
                self.client.get(url).header(name, value)
            }
        };
        let answer = request.header(HOST, host).send().await?;
        assert_eq!(answer.status().as_u16(), 302, "{by:?} {target:?}");
        let location = answer.headers().get(LOCATION).ok_or("a redirect has a Location")?;
        Ok(Some(location.to_str()?.to_owned()))
    }

    /// Every bad target by one way: where they led, and how many were sent and refused.
    async fn try_bad(&self, by: By, bad: &[String]) -> Result<(BTreeSet<String>, usize, usize), Failure> {
        let answers: Vec<_> = stream::iter(bad)
            .map(|target| async move { Ok::<_, Failure>((target, self.sent_to(by, target).await?)) })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let (mut locations, mut sent, mut refused) = (BTreeSet::new(), 0, 0);
        for answer in answers {
            let (target, Some(location)) = answer? else { continue };
            assert!(targets::stays(&self.origin, &location), "{by:?} {target:?} leads to {location:?}");
            sent += 1;
            refused += usize::from(matches!(location.as_str(), "/" | "/oauth2/sign_out"));
            locations.insert(location);
        }
        Ok((locations, sent, refused))
    }

    /// Which of these locations lead off the list by the URL parser of Node.
    fn off_the_list(&self, locations: &BTreeSet<String>) -> Result<Vec<String>, Failure> {
        let question = serde_json::json!({
            "origin": self.origin.as_str(), "allowed": ALLOWED, "locations": locations,
        });
        let script = repository().join("tests/scripts/judge_targets.mjs");
        let mut judge = Command::new("node").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        judge.stdin.take().ok_or("a pipe")?.write_all(question.to_string().as_bytes())?;
        let output = judge.wait_with_output()?;
        assert!(output.status.success(), "the judge ended with {}", output.status);
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The URL that a browser goes to, in lower case: escapes may be written either way.
    fn lands(&self, location: &str) -> Result<String, Failure> {
        Ok(self.origin.join(location)?.as_str().to_ascii_lowercase())
    }

    /// Where a whole login that was begun with this target ends.
    async fn login_ends(&self, robot: &mut Robot, target: &str) -> Result<String, Failure> {
        let rd: String = byte_serialize(target.as_bytes()).collect();
        robot.jar.forget(APP_HOST);
        robot.visited.clear();
        let callback = robot.open_until(&self.origin.join(&format!("/oauth2/start?rd={rd}"))?, CALLBACK).await?;
        let answer = robot.get(&callback).await?;
        assert_eq!(answer.status, 302, "{target:?}");
        Ok(answer.header("location").to_owned())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirect_targets() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("redirect_targets", TARGETS, 100, "bad targets carried through whole logins");
    let stand = Stand::start().await?;
    let mut left = targets::bad(&stand.origin);
    let all = left.len();
    assert!(all >= TARGETS, "only {all} bad targets");
    let bad: Vec<String> = (0..TARGETS).map(|_| left.swap_remove(scenario.scale.below(left.len()))).collect();
    let good = targets::good();
    let (mut locations, mut total) = (BTreeSet::new(), 0);
    for by in WAYS {
        let (led_to, sent, refused) = stand.try_bad(by, &bad).await?;
        scenario.figure(
            &format!("{by:?}: bad ones, refused, kept on the host"),
            format!("{sent}, {refused}, {}", sent - refused),
        );
        scenario.held(&format!("{by:?}: bad ones that lead nowhere else"), sent);
        locations.extend(led_to);
        total += sent;
        for target in good.iter().filter(|target| by.carries(target)) {
            let location = stand.sent_to(by, target).await?.ok_or("good targets can be sent")?;
            assert_eq!(stand.lands(&location)?, stand.lands(target)?, "{by:?} {target:?}");
        }
    }
    assert!(total >= SENT, "only {total} were sent");
    let control = BTreeSet::from(["https://evil.test/".to_owned(), "/\\evil.test".to_owned(), "/a".to_owned()]);
    assert_eq!(stand.off_the_list(&control)?, ["/\\evil.test", "https://evil.test/"], "the judge tells them apart");
    let off = stand.off_the_list(&locations)?;
    scenario.figure(
        "bad ones sent, different Locations, off the list",
        format!("{total}, {}, {}", locations.len(), off.len()),
    );
    assert!(off.is_empty(), "{off:?}");
    scenario.figure("good ones, accepted", format!("{0}, {0}", good.len()));
    let mut robot = Robot::new("alice").via(&format!("{APP_HOST}:{}", stand.address().port()), stand.address());
    let mut ends = BTreeSet::new();
    for target in bad.iter().take(scenario.count()) {
        let location = stand.login_ends(&mut robot, target).await?;
        assert!(targets::stays(&stand.origin, &location), "a login with {target:?} ends at {location:?}");
        ends.insert(location);
    }
    assert_eq!(stand.off_the_list(&ends)?, [""; 0], "logins stay on the list");
    for target in good.iter().step_by(good.len() / 20) {
        let location = stand.login_ends(&mut robot, target).await?;
        assert_eq!(stand.lands(&location)?, stand.lands(target)?, "a login with {target:?}");
    }
    scenario.figure("codes granted", stand.provider.ledger().await?.codes.len());
    scenario.passed();
    Ok(())
}
