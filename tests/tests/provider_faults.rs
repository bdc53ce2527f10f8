//! A provider that does wrong in every way that is scripted: logins are refused or harmless, no
//! request goes where a redirect led, and the process lives on in bounded memory.

use conclave_tests::browser::Robot;
use conclave_tests::check::{Asker, SESSION_COOKIE};
use conclave_tests::gateway::APP_HOST;
use conclave_tests::http::Answer;
use conclave_tests::login::CALLBACK;
use conclave_tests::lone::Lone;
use conclave_tests::report::Scenario;
use conclave_tests::scale::Scale;
use conclave_tests::scripted::{LoginFault, PERSON, Scripted};
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, ports};
use futures::stream::{self, StreamExt};
use url::Url;

/// Fewer faults would not be every way.
const LEAST: usize = 25;

/// Services under way at once, each before a provider with another fault.
const AT_ONCE: usize = 4;

/// How much more than at its start a process may ever have held, in KiB: several answers of the largest
/// size that is read, and what parsing them takes, in a build with debug assertions.
const MOST_GROWTH: u64 = 64 * 1024;

/// A service of its own before the scripted provider.
struct Stand {
    service: Lone,
    origin: Url,
    begun_with: u64,
}

impl Stand {
    async fn start(name: &str, provider: &Scripted, issuer: Option<&str>) -> Result<Self, Failure> {
        let dir = WorkDir::fresh(&format!("provider_faults-{name}"));
        let address = ports::free_address();
        let origin = Url::parse(&format!("http://{APP_HOST}:{}{CALLBACK}", address.port()))?;
        let registration = issuer.map_or_else(|| provider.registration(), |fault| provider.registration_with(fault));
        let flags = [format!("--redirect-url={origin}"), "--set-xauthrequest=true".to_owned()];
        let service = Lone::start_at(address, &dir, &registration, &flags).await?;
        let begun_with = memory(service.id(), "VmRSS")?;
        Ok(Self { service, origin, begun_with })
    }

    /// A login in which the provider does that wrong: the last answer.
    async fn log_in(&self, fault: &str) -> Result<(Robot, Answer), Failure> {
        let mut robot = Robot::new(PERSON).via(&format!("{APP_HOST}:{}", self.service.http.port()), self.service.http);
        let begun = robot.get(&self.origin.join("/oauth2/start?rd=%2Fhome")?).await?;
        let Some(mut login_page) = begun.location().filter(|_| begun.status == 302) else { return Ok((robot, begun)) };
        login_page.query_pairs_mut().append_pair("fault", fault);
        let callback = robot.open_until(&login_page, CALLBACK).await?;
        let answer = robot.get(&callback).await?;
        Ok((robot, answer))
    }

    /// KiB that it ever held beyond those of its start.
    fn growth(&self) -> Result<u64, Failure> {
        Ok(memory(self.service.id(), "VmHWM")?.saturating_sub(self.begun_with))
    }
}

/// KiB in that line of a process's status.
fn memory(process: u32, field: &str) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).ok_or("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// What is wrong with how a login ended, if anything is.
async fn wrong(stand: &Stand, fault: &LoginFault) -> Result<Option<String>, Failure> {
    let (robot, answer) = stand.log_in(&fault.name).await?;
    let ticket = robot.jar.value(SESSION_COOKIE);
    let fits = match (fault.harmless, ticket) {
        (true, Some(ticket)) => Asker::default().ask(stand.service.http, ticket).await?.admits(PERSON),
        (false, None) => matches!(answer.status, 403 | 500 | 502 | 503) && answer.header("location").is_empty(),
        (true, None) | (false, Some(_)) => false,
    };
    let page: String = answer.body.chars().take(200).collect();
    Ok((!fits).then(|| format!("{}: {} {page}", fault.name, answer.status)))
}

/// A service before a provider whose documents have that fault: what is wrong with it, and its growth.
async fn behind(provider: &Scripted, fault: &str) -> Result<(Option<String>, u64), Failure> {
    let mut stand = Stand::start(fault, provider, Some(fault)).await?;
    let refused = LoginFault { name: fault.to_owned(), harmless: false };
    let mut failure = wrong(&stand, &refused).await?;
    if !stand.service.runs() || Asker::default().ask(stand.service.http, "").await?.status != 401 {
        failure = Some(format!("{fault}: the service no longer answers checks"));
    }
    Ok((failure, stand.growth()?))
}

/// As many of `all` as are to run, drawn by chance.
fn drawn<T: Clone>(all: &[T], count: usize, scale: &mut Scale) -> Vec<T> {
    let mut left = all.to_vec();
    (0..count.min(left.len())).map(|_| left.swap_remove(scale.below(left.len()))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provider_faults() -> Result<(), Failure> {
    let mut provider = Scripted::start(&WorkDir::fresh("provider_faults")).await?;
    let provided = provider.faults().await?;
    let faulty: Vec<&LoginFault> = provided.logins.iter().filter(|fault| fault.name != "sound").collect();
    let all = faulty.len() + provided.documents.len();
    assert!(all >= LEAST, "only {all} faults");
    // Each fault of documents costs a start of the service: a short run draws from them. The rest is cheap.
    let documents = Scale::from_env().count(provided.documents.len(), 6);
    let count = faulty.len() + documents;
    let mut scenario = Scenario::begin("provider_faults", all, count, "faults of a provider");
    let chosen = drawn(&provided.documents, documents, &mut scenario.scale);

    let mut stand = Stand::start("logins", &provider, None).await?;
    let sound = LoginFault { name: "sound".to_owned(), harmless: true };
    assert_eq!(wrong(&stand, &sound).await?, None, "a sound provider logs in");
    let outcomes: Vec<_> = stream::iter(&faulty).map(|fault| wrong(&stand, fault)).buffered(AT_ONCE).collect().await;
    let mut failures: Vec<String> =
        outcomes.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    assert_eq!(wrong(&stand, &sound).await?, None, "a sound provider still logs in");
    assert!(stand.service.runs(), "the service lives on");
    let harmless = faulty.iter().filter(|fault| fault.harmless).count();
    scenario.figure("faults of a login, of them harmless", format!("{}, {harmless}", faulty.len()));
    let mut growth = stand.growth()?;

    let outcomes: Vec<_> =
        stream::iter(&chosen).map(|fault| behind(&provider, fault)).buffered(AT_ONCE).collect().await;
    for outcome in outcomes {
        let (failure, grown) = outcome?;
        failures.extend(failure);
        growth = growth.max(grown);
    }
    scenario.figure("faults of documents", format!("{} of {}", chosen.len(), provided.documents.len()));
    scenario.figure("most memory beyond that of the start", format!("{:.1} MiB", growth as f64 / 1024.0));
    assert!(growth <= MOST_GROWTH, "{growth} KiB");
    let astray = provider.astray().await?;
    scenario.figure("requests to where redirects lead", astray);
    assert_eq!(astray, 0, "redirects are not followed");
    assert!(provider.runs(), "the provider is there");
    assert!(failures.is_empty(), "{}:\n{}", failures.len(), failures.join("\n"));
    scenario.held("faults refused or harmless", faulty.len() + chosen.len());
    scenario.passed();
    Ok(())
}
