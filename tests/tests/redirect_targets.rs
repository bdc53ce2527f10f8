//! No bad return target gets into a `Location`, by whichever way it comes in, and every good one does.

use std::net::SocketAddr;

use conclave_tests::browser::Robot;
use conclave_tests::gateway::APP_HOST;
use conclave_tests::login::CALLBACK;
use conclave_tests::lone::Lone;
use conclave_tests::provider::Provider;
use conclave_tests::report::Scenario;
use conclave_tests::targets::{self, ALLOWED};
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, http, ports};
use futures::stream::{self, StreamExt};
use reqwest::header::{HOST, HeaderValue, LOCATION};
use url::Url;
use url::form_urlencoded::byte_serialize;

/// Requests under way at once.
const AT_ONCE: usize = 16;

/// Bad targets that are tried as `rd` and as header in every run; a full run tries each in a login as well.
const LEAST: usize = 6_000;

/// How a target comes in.
#[derive(Clone, Copy, Debug)]
enum By {
    Parameter,
    Header,
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
        flags.push(format!("--redirect-url={origin}"));
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
        let request = match by {
            By::Parameter => {
                let rd: String = byte_serialize(target.as_bytes()).collect();
                self.client.get(format!("{url}?rd={rd}"))
            }
            By::Header => {
                let Ok(value) = HeaderValue::from_bytes(target.as_bytes()) else { return Ok(None) };
                self.client.get(url).header("X-Auth-Request-Redirect", value)
            }
        };
        let answer = request.header(HOST, host).send().await?;
        assert_eq!(answer.status().as_u16(), 302, "{by:?} {target:?}");
        let location = answer.headers().get(LOCATION).ok_or("a redirect has a Location")?;
        Ok(Some(location.to_str()?.to_owned()))
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
    let mut scenario = Scenario::begin("redirect_targets", LEAST, 100, "bad targets carried through whole logins");
    let stand = Stand::start().await?;
    let mut left = targets::bad(&stand.origin);
    let all = left.len();
    assert!(all >= LEAST, "only {all} bad targets");
    let bad: Vec<String> = (0..LEAST).map(|_| left.swap_remove(scenario.scale.below(left.len()))).collect();
    let good = targets::good();
    let stand = &stand;
    for by in [By::Parameter, By::Header] {
        let answers: Vec<_> = stream::iter(&bad)
            .map(|target| async move { Ok::<_, Failure>((target, stand.sent_to(by, target).await?)) })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let (mut tried, mut refused) = (0, 0);
        for answer in answers {
            let (target, Some(location)) = answer? else { continue };
            assert!(targets::stays(&stand.origin, &location), "{by:?} {target:?} leads to {location:?}");
            tried += 1;
            refused += usize::from(matches!(location.as_str(), "/" | "/oauth2/sign_out"));
        }
        scenario.figure(
            &format!("{by:?}: bad ones, refused, kept on the host"),
            format!("{tried}, {refused}, {}", tried - refused),
        );
        scenario.held(&format!("{by:?}: bad ones that lead nowhere else"), tried);
        assert!(tried * 10 > LEAST * 5, "most can be sent: {tried}");
        for target in good.iter().filter(|target| target.is_ascii() || matches!(by, By::Parameter)) {
            let location = stand.sent_to(by, target).await?.ok_or("good targets can be sent")?;
            assert_eq!(stand.lands(&location)?, stand.lands(target)?, "{by:?} {target:?}");
        }
    }
    scenario.figure("good ones, accepted", format!("{0}, {0}", good.len()));
    let mut robot = Robot::new("alice").via(&format!("{APP_HOST}:{}", stand.address().port()), stand.address());
    for target in bad.iter().take(scenario.count()) {
        let location = stand.login_ends(&mut robot, target).await?;
        assert!(targets::stays(&stand.origin, &location), "a login with {target:?} ends at {location:?}");
    }
    for target in good.iter().step_by(good.len() / 20) {
        let location = stand.login_ends(&mut robot, target).await?;
        assert_eq!(stand.lands(&location)?, stand.lands(target)?, "a login with {target:?}");
    }
    scenario.figure("codes granted", stand.provider.ledger().await?.codes.len());
    scenario.passed();
    Ok(())
}
