//! Configurations as tutorials print them run unchanged: from a stranger to a logged-in request
//! through nginx, and `check-config` has an answer for every option.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use conclave_tests::browser::Robot;
use conclave_tests::cluster::binary;
use conclave_tests::gateway::{APP_HOST, Gateway, Place, Seen};
use conclave_tests::process::Process;
use conclave_tests::provider::Provider;
use conclave_tests::report::Scenario;
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, ports, repository};

/// A start includes founding and discovery.
const START: Duration = Duration::from_secs(30);

/// The other host of a provider's callback.
const AUTH_SITE: &str = "auth.example.test";

/// One tutorial: its files, and who may log in by it.
struct Tutorial {
    name: &'static str,
    environment: Option<&'static str>,
    flags: Option<&'static str>,
    file: Option<&'static str>,
    user: &'static str,
    /// Whether its settings tell the app who it is.
    identifies: bool,
    /// Whether the way back may lead to the page that was asked for: its host is on the list.
    returns: bool,
}

const TUTORIALS: [Tutorial; 4] = [
    Tutorial {
        name: "variables of a Deployment",
        environment: Some("deployment.env"),
        flags: None,
        file: None,
        user: "alice",
        identifies: true,
        returns: true,
    },
    Tutorial {
        name: "a file with groups",
        environment: None,
        flags: None,
        file: Some("groups.toml"),
        user: "developers",
        identifies: true,
        returns: true,
    },
    Tutorial {
        name: "callback under another host",
        environment: None,
        flags: None,
        file: Some("two-hosts.toml"),
        user: "alice",
        identifies: true,
        returns: true,
    },
    Tutorial {
        name: "flags beside a file",
        environment: None,
        flags: Some("flags.args"),
        file: Some("flags.toml"),
        user: "alice",
        identifies: false,
        returns: false,
    },
];

/// A tutorial with the addresses filled in.
struct Filled {
    args: Vec<String>,
    environment: BTreeMap<String, String>,
    /// Names of the options given, in their TOML spelling.
    options: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tutorials() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("tutorials", TUTORIALS.len(), TUTORIALS.len(), "configurations");
    let mut answered = 0;
    for (index, tutorial) in TUTORIALS.iter().enumerate() {
        answered += run(index, tutorial).await.map_err(|error| format!("{}: {error}", tutorial.name))?;
    }
    scenario.held("logged in through nginx", TUTORIALS.len());
    scenario.held("options that check-config answers for", answered);
    scenario.passed();
    Ok(())
}

async fn run(index: usize, tutorial: &Tutorial) -> Result<usize, Failure> {
    let dir = WorkDir::fresh(&format!("tutorial-{index}"));
    let place = Place::draw();
    let port = place.address().port();
    // TLS ends in front of nginx there, so the callback may be derived as https.
    let sites = [APP_HOST, AUTH_SITE].map(|host| format!("{host}:{port}"));
    let callbacks: Vec<String> = ["http", "https"]
        .iter()
        .flat_map(|scheme| sites.iter().map(move |site| format!("{scheme}://{site}/oauth2/callback")))
        .collect();
    let provider = Provider::start(&dir, &callbacks.join(",")).await?;
    let address = ports::free_address();
    let filled = fill(tutorial, &dir, &|text| {
        text.replace("@ISSUER@", &provider.registration().issuer)
            .replace("@HTTP_ADDRESS@", &address.to_string())
            .replace("@AUTHORITY@", &place.authority())
            .replace("@PORT@", &port.to_string())
            .replace("@COOKIE_SECRET@", "kJ0yq2mV5r8s1tWb4nXe7uZa3cDf6gHi")
    })?;
    let answered = check_config(&filled)?;

    let mut serving = filled.args.clone();
    serving.push(format!("--data-dir={}", dir.sub("data").display()));
    serving.push("--admin-address=-".to_owned());
    let mut process = Process::start_with("conclave", &dir.join("conclave.log"), &binary(), &serving, |command| {
        command.envs(&filled.environment);
    })?;
    process.listening(address, START).await?;
    let gateway = Gateway::start(&dir, place, &[address]).await?;
    let mut robot = Robot::new(tutorial.user);
    for site in &sites {
        robot.route(site, gateway.address());
    }
    let url = place.url("/deep/page?x=1");
    let stranger = robot.get(&url).await?;
    assert_eq!(stranger.status, 302, "{}: a stranger is sent to the login", tutorial.name);
    let landed = robot.open(&url).await?;
    if tutorial.returns {
        assert_eq!(landed.url.path(), "/deep/page", "{}: back at the page", tutorial.name);
    }
    let page = robot.get(&url).await?;
    let seen = Seen::of(&page).ok_or_else(|| format!("not the app: {} {}", page.status, page.body))?;
    let known = if tutorial.identifies { tutorial.user } else { "" };
    assert_eq!((seen.uri.as_str(), seen.user.as_str()), ("/deep/page?x=1", known), "{}", tutorial.name);
    Ok(answered)
}

fn fixture(name: &str) -> Result<String, Failure> {
    let path: PathBuf = repository().join("tests/fixtures/tutorials").join(name);
    Ok(std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?)
}

fn fill(tutorial: &Tutorial, dir: &WorkDir, place: &dyn Fn(&str) -> String) -> Result<Filled, Failure> {
    let mut filled = Filled { args: Vec::new(), environment: BTreeMap::new(), options: Vec::new() };
    if let Some(name) = tutorial.environment {
        for line in place(&fixture(name)?).lines() {
            let (variable, value) = line.split_once('=').ok_or("a line without =")?;
            filled.environment.insert(variable.to_owned(), value.to_owned());
            let option = variable.strip_prefix("OAUTH2_PROXY_").ok_or("not a variable of oauth2-proxy")?;
            filled.options.push(option.to_ascii_lowercase());
        }
    }
    if let Some(name) = tutorial.flags {
        for line in place(&fixture(name)?).lines() {
            let flag = line.trim_start_matches('-').split('=').next().unwrap_or_default();
            filled.options.push(flag.replace('-', "_"));
            filled.args.push(line.to_owned());
        }
    }
    if let Some(name) = tutorial.file {
        let text = place(&fixture(name)?);
        filled.options.extend(text.lines().filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())));
        let path = dir.join(name);
        std::fs::write(&path, text)?;
        filled.args.push(format!("--config={}", path.display()));
    }
    Ok(filled)
}

/// Every option has its line, and nothing is wrong. Says how many there are.
fn check_config(filled: &Filled) -> Result<usize, Failure> {
    let mut command = std::process::Command::new(binary());
    let output = command.arg("check-config").args(&filled.args).envs(&filled.environment).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && output.stderr.is_empty(), "{text}");
    assert!(text.ends_with("configuration is valid\n"), "{text}");
    for option in &filled.options {
        let answer = text.lines().find_map(|line| line.strip_prefix(&format!("{option}: ")));
        let answer = answer.ok_or_else(|| format!("no answer for {option}:\n{text}"))?;
        let words = ["honoured", "mapped", "ignored", "not yet"];
        assert!(words.iter().any(|word| answer.starts_with(word)), "{option}: {answer}");
    }
    assert!(!text.contains("kJ0yq2mV5r8s") && !text.contains("rp-secret"), "secrets never print");
    Ok(filled.options.len())
}
