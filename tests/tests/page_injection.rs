//! Markup in everything that a request says, at every page: none of it stands unescaped, as a real
//! browser's parser reads the pages, and every page carries the headers that would hold it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use std::time::Duration;

use conclave_tests::http::client;
use conclave_tests::lone::Lone;
use conclave_tests::pages::{self, HARMLESS, OwnLogin, Probe};
use conclave_tests::raw::exchange;
use conclave_tests::report::Scenario;
use conclave_tests::scale::Scale;
use conclave_tests::scripted::Scripted;
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, ports, repository};
use futures::stream::{self, StreamExt};
use serde::Deserialize;
use serde_json::json;
use url::Url;

/// Fewer would not be every page and parameter.
const LEAST: usize = 500;

/// Of them so many must have been answered with a page: the rest says nothing about escaping.
const LEAST_PAGES: usize = 300;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Longer than an answer takes, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Probes under way at once.
const AT_ONCE: usize = 8;

/// The form of local users stands on the sign-in page: a user whose password no probe says.
const LOCAL_USERS: &str = "carol:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n";

/// An answer on a connection of its own.
#[derive(Clone, Debug)]
struct Heard {
    name: String,
    status: u16,
    head: String,
    body: String,
}

impl Heard {
    fn read(name: &str, text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.get(9..12)?.parse().ok()?;
        Some(Self { name: name.to_owned(), status, head: head.to_owned(), body: body.to_owned() })
    }

    /// A header's value; empty when absent.
    fn header(&self, name: &str) -> &str {
        let named = |line: &&str| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        self.head.lines().find(named).and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
    }

    /// Whether it holds markup: a page, or the few words beside a redirect that no browser shows.
    fn is_markup(&self) -> bool {
        self.header("content-type").starts_with("text/html")
    }

    fn is_page(&self) -> bool {
        self.is_markup() && self.header("location").is_empty()
    }

    /// What is wrong with it, whatever its markup.
    fn wrong(&self) -> Option<String> {
        let missing = if self.is_page() { self.page_lacks() } else { self.other_is_unsafe() };
        missing.map(|what| format!("{} ({}): {what}", self.name, self.status))
    }

    fn page_lacks(&self) -> Option<String> {
        let policy = self.header("content-security-policy");
        let directives: BTreeSet<&str> = policy.split(';').map(str::trim).collect();
        let wanted = ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"];
        if let Some(lacking) = wanted.into_iter().find(|directive| !directives.contains(directive)) {
            return Some(format!("a page without {lacking}: {policy:?}"));
        }
        let of_others = |directive: &&&str| directive.contains("unsafe") || directive.starts_with("script-src");
        if let Some(loose) = directives.iter().find(of_others) {
            return Some(format!("a page that allows {loose}"));
        }
        if self.header("x-content-type-options") != "nosniff" {
            return Some("a page whose type may be guessed".to_owned());
        }
        if !self.header("cache-control").contains("no-store") {
            return Some("a page that may be stored".to_owned());
        }
        if !self.header("content-type").eq_ignore_ascii_case("text/html; charset=utf-8") {
            return Some("a page without its encoding".to_owned());
        }
        self.header("referrer-policy").is_empty().then(|| "a page without a Referrer-Policy".to_owned())
    }

    /// An answer that is no page must not be taken for one, and may lead to no script.
    fn other_is_unsafe(&self) -> Option<String> {
        let guessed = self.header("x-content-type-options") != "nosniff" && !self.is_markup();
        if self.body.contains('<') && (guessed || self.header("content-type").is_empty()) {
            return Some(format!("markup in an answer whose type may be guessed: {:?}", self.body));
        }
        let location = self.header("location");
        let base = Url::parse("http://app.example.test/").ok()?;
        let scheme = base.join(location).map_or_else(|_| "http".to_owned(), |url| url.scheme().to_owned());
        (!matches!(scheme.as_str(), "http" | "https")).then(|| format!("leads to {location}"))
    }
}

/// What the browser says of pages.
#[derive(Debug, Deserialize)]
struct Inspected {
    shapes: BTreeMap<String, BTreeSet<String>>,
    fired: BTreeSet<String>,
}

/// Lets Chromium read all pages and open those named.
fn inspect(pages: &[(String, String)], open: &[String]) -> Result<Inspected, Failure> {
    let pages: Vec<_> = pages.iter().map(|(name, html)| json!({ "name": name, "html": html })).collect();
    let script = repository().join("tests/scripts/inspect_pages.mjs");
    let mut browser = Command::new("node").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let question = json!({ "pages": pages, "open": open }).to_string();
    browser.stdin.take().ok_or("a pipe")?.write_all(question.as_bytes())?;
    let output = browser.wait_with_output()?;
    assert!(output.status.success(), "the browser ended with {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A service that shows every page it has.
async fn service(provider: &Scripted) -> Result<Lone, Failure> {
    let dir = WorkDir::fresh("page_injection-service");
    let users = dir.join("users");
    std::fs::write(&users, LOCAL_USERS)?;
    let address = ports::free_address();
    let flags = [
        format!("--redirect-url=http://{address}/oauth2/callback"),
        format!("--htpasswd-file={}", users.display()),
        "--skip-provider-button=false".to_owned(),
        "--whitelist-domain=ok.test".to_owned(),
        "--reverse-proxy=true".to_owned(),
    ];
    Lone::start_at(address, &dir, &provider.registration(), &flags).await
}

/// Begins a login: its state and cookie.
async fn own_login(service: &Lone, issuer: &str) -> Result<OwnLogin, Failure> {
    let answer = client().get(format!("http://{}/oauth2/start?rd=%2F", service.http)).send().await?;
    let text = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let location = Url::parse(text("location"))?;
    let state = location.query_pairs().find(|(name, _)| name == "state").ok_or("a state")?.1.into_owned();
    let cookie = text("set-cookie").split(';').next().unwrap_or_default().to_owned();
    assert!(cookie.contains("_csrf="), "a login has a cookie: {cookie:?}");
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    Ok(OwnLogin { state: encoded(&state), issuer: encoded(issuer), cookie })
}

async fn hear(service: &Lone, probes: &[Probe]) -> Result<Vec<Heard>, Failure> {
    let answers: Vec<_> = stream::iter(probes)
        .map(|probe| async move {
            let heard = exchange(HERE, service.http, &probe.bytes, PATIENCE).await?;
            Heard::read(&probe.name, &heard.text())
                .ok_or_else(|| Failure::from(format!("{} is not answered: {:?}", probe.name, heard.text())))
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    answers.into_iter().collect()
}

fn pages_of(heard: &[Heard]) -> Vec<(String, String)> {
    heard.iter().filter(|heard| heard.is_markup()).map(|page| (page.name.clone(), page.body.clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_injection() -> Result<(), Failure> {
    let provider = Scripted::start(&WorkDir::fresh("page_injection")).await?;
    let mut service = service(&provider).await?;
    let login = own_login(&service, &provider.registration().issuer).await?;
    let host = service.http.to_string();
    let probes = pages::probes(&host, &login);
    assert!(probes.len() >= LEAST, "only {} probes", probes.len());
    let mut scenario = Scenario::begin("page_injection", probes.len(), probes.len(), "requests with markup in them");

    let plain = hear(&service, &pages::probes_of(HARMLESS, &host, &login)).await?;
    let heard = hear(&service, &probes).await?;
    let mut failures: Vec<String> = heard.iter().chain(&plain).filter_map(Heard::wrong).collect();
    let described = plain.iter().any(|page| page.name.starts_with("error_description") && page.body.contains(HARMLESS));
    assert!(described, "the text of a probe gets onto pages");
    let (sound, mut read) = (pages_of(&plain), pages_of(&heard));
    assert!(read.len() >= LEAST_PAGES, "only {} pages", read.len());
    scenario.figure("answered with a page, otherwise", format!("{}, {}", read.len(), heard.len() - read.len()));

    let full = read.len();
    let opened = Scale::from_env().count(full, 30);
    let mut open: Vec<String> = Vec::new();
    let mut left: Vec<&String> = read.iter().map(|(name, _)| name).collect();
    for _ in 0..opened {
        open.push(left.swap_remove(scenario.scale.below(left.len())).clone());
    }
    let control = "a page with markup put in on purpose".to_owned();
    let tampered = sound.first().ok_or("a sound page")?.1.replace("<h1>", &format!("<h1>{}", pages::CONTROL));
    open.push(control.clone());
    read.push((control.clone(), tampered));
    read.extend(sound.iter().cloned());
    let inspected = tokio::task::spawn_blocking(move || inspect(&read, &open)).await??;

    let shapes = |names: &[(String, String)]| -> BTreeSet<String> {
        names.iter().filter_map(|(name, _)| inspected.shapes.get(name)).flatten().cloned().collect()
    };
    let allowed = shapes(&sound);
    assert!(allowed.contains("form action") && !allowed.contains("script"), "{allowed:?}");
    let mut odd = inspected.shapes.iter().filter(|(_, shape)| !shape.is_subset(&allowed)).map(|(name, _)| name.clone());
    let unescaped: BTreeSet<String> = odd.by_ref().collect();
    assert!(unescaped.contains(&control) && inspected.fired.contains(&control), "the browser finds what is there");
    let others = |names: &BTreeSet<String>| names.iter().filter(|name| **name != control).cloned().collect::<Vec<_>>();
    scenario.figure("pages with markup of a request, as Chromium reads them", others(&unescaped).len());
    scenario.figure("opened in Chromium without their policy, scripts that ran", {
        format!("{opened} of {full}, {}", others(&inspected.fired).len())
    });
    failures.extend(others(&unescaped).into_iter().map(|name| format!("markup stands in {name}")));
    failures.extend(others(&inspected.fired).into_iter().map(|name| format!("a script runs in {name}")));
    assert!(service.runs(), "the service lives on");
    assert!(failures.is_empty(), "{}:\n{}", failures.len(), failures.join("\n"));
    scenario.held("answers without markup of the request", heard.len());
    scenario.passed();
    Ok(())
}
