//! Judges one scenario: Conclave's answers against recorded ones, or against those of a real oauth2-proxy played beside.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::compare::{differences, soften, unprotected};
use super::differs::{self, Table};
use super::mentions::Options;
use super::player::Stage;
use super::scenario::{self, Scenario};

/// The files of the corpus, in the order of recording.
const FILES: [&str; 3] = ["auth.json", "browser.json", "config.json"];

/// How a scenario ended.
#[derive(Debug)]
pub enum Verdict {
    /// Every answer is the recorded one.
    Passed,
    /// As `Passed`, but for answers that are different by design, each as the difference asks.
    ByDesign,
    /// Not built yet, and not played.
    Later,
    /// What is wrong, a line for each step.
    Failed(Vec<String>),
}

/// Where the programs are played.
#[derive(Debug)]
pub struct Stages {
    /// Conclave.
    pub ours: Stage,
    /// A real oauth2-proxy, whose answers then count instead of the recorded ones.
    pub real: Option<Stage>,
}

/// What the corpus and the lists beside it ask for.
#[derive(Debug)]
pub struct Judge {
    differs: Table,
    later: BTreeMap<String, String>,
    options: Options,
}

/// Every scenario of the corpus in `folder`, with the differences of our own list put in.
pub fn scenarios(folder: &Path) -> Vec<Scenario> {
    let mut own: BTreeMap<String, BTreeMap<String, String>> = read(&folder.join("ours.json"));
    let mut all: Vec<Scenario> = FILES.iter().flat_map(|file| scenario::load(&folder.join(file)).scenarios).collect();
    for scenario in &mut all {
        for (step, words) in own.remove(&scenario.name).unwrap_or_default() {
            let before = scenario.differs.insert(step.clone(), words);
            assert!(before.is_none(), "{} step {step}: the corpus itself says how it differs", scenario.name);
        }
    }
    assert!(own.is_empty(), "ours.json names scenarios that are not in the corpus: {:?}", own.keys());
    all
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Judge {
    /// Reads the lists in `folder`.
    pub fn load(folder: &Path) -> Self {
        Self {
            differs: differs::load(&folder.join("differs.json")),
            later: read(&folder.join("later.json")),
            options: Options::load(&folder.join("options.tsv")),
        }
    }

    /// Whether the scenario waits for a part that is not built yet.
    pub fn is_later(&self, scenario: &Scenario) -> bool {
        self.later.contains_key(&scenario.name)
    }

    fn expectation(&self, scenario: &Scenario, step: usize) -> Option<&differs::Expectation> {
        let words = scenario.differs.get(&step.to_string())?;
        let found = self.differs.get(words);
        assert!(found.is_some(), "differs.json says nothing of: {words}");
        found
    }

    fn must_end(&self, scenario: &Scenario) -> bool {
        match self.expectation(scenario, 0) {
            Some(asked) if asked.serves => false,
            Some(asked) if asked.exit.is_some() => true,
            Some(_) | None => scenario.expect_exit,
        }
    }

    /// Plays the scenario and judges it. With a real oauth2-proxy both play, and its answers are what counts.
    pub fn judge(&self, stages: &Stages, scenario: &Scenario) -> Verdict {
        let live = stages.real.as_ref().map(|real| self.live(real, scenario)).transpose();
        let wanted = match live {
            Ok(live) => live.unwrap_or_else(|| scenario.answers.clone()),
            Err(error) => return Verdict::Failed(vec![format!("the real oauth2-proxy: {error}")]),
        };
        let must_end = self.must_end(scenario);
        let is_asked_twice = |step: &usize| self.expectation(scenario, *step).is_some_and(|asked| asked.at_gateways);
        let twice: Vec<usize> = (0..scenario.steps.len()).filter(is_asked_twice).collect();
        let answers = match stages.ours.play(scenario, must_end, &twice) {
            Ok(answers) => answers,
            Err(error) => return Verdict::Failed(vec![error]),
        };
        let mut wrong = Vec::new();
        for (step, wanted) in wanted.iter().enumerate() {
            let ours = answers.get(step).unwrap_or(&Value::Null);
            let failure = match self.expectation(scenario, step) {
                Some(asked) => self.refusal(&asked.names, ours).or_else(|| asked.fails(wanted, ours)),
                None if must_end => self.end(wanted, ours),
                None => compare(scenario, step, wanted, ours),
            };
            let failure = failure.or_else(|| unprotected(ours, &turned_off(scenario)));
            wrong.extend(failure.map(|why| format!("step {step}: {why}")));
            if must_end || ours.get("not_started").is_some() {
                break;
            }
        }
        match (wrong.is_empty(), scenario.differs.is_empty()) {
            (false, _) => Verdict::Failed(wrong),
            (true, true) => Verdict::Passed,
            (true, false) => Verdict::ByDesign,
        }
    }

    /// The answers of a real oauth2-proxy in the form of the recorded ones. A refusal names what both name, the
    /// recording and the log of this run: which words of a log are options is a matter of reading.
    fn live(&self, real: &Stage, scenario: &Scenario) -> Result<Vec<Value>, String> {
        let answers = real.play(scenario, scenario.expect_exit, &[])?;
        if !scenario.expect_exit {
            return Ok(answers);
        }
        let (recorded, log) = (&scenario.answers[0], answers[0]["log"].as_str().unwrap_or_default());
        let names = recorded["names"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let names: Vec<&str> = names.filter(|name| self.options.mentioned(name, log)).collect();
        Ok(vec![json!({"exit": answers[0]["exit"], "names": names})])
    }

    fn end(&self, wanted: &Value, ours: &Value) -> Option<String> {
        if wanted["exit"] != ours["exit"] {
            return Some(format!("ended with {} instead of {}: {}", ours["exit"], wanted["exit"], ours["log"]));
        }
        let names = wanted["names"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.refusal(&names.map(str::to_owned).collect::<Vec<_>>(), ours)
    }

    fn refusal(&self, names: &[String], ours: &Value) -> Option<String> {
        let log = ours["log"].as_str().unwrap_or_default();
        let missing: Vec<&String> = names.iter().filter(|name| !self.options.mentioned(name, log)).collect();
        (!missing.is_empty()).then(|| format!("does not name {missing:?}: {log}"))
    }
}

fn compare(scenario: &Scenario, step: usize, wanted: &Value, ours: &Value) -> Option<String> {
    let path = scenario.steps.get(step).and_then(|step| step.path.as_deref()).unwrap_or_default();
    // `/sign_in/` or `/other/sign_in` is no endpoint: it is a proxied path, where nothing is deleted.
    let endpoint = path.split('?').next().unwrap_or_default();
    let prefix = prefix(scenario);
    let deletions = ["sign_out", "sign_in"].iter().any(|name| endpoint == format!("{prefix}/{name}"));
    let found = differences(&soften(wanted, deletions), &soften(ours, deletions));
    let shown = found.iter().take(4).map(|d| format!("{}: recorded {} ours {}", d.at, d.recorded, d.ours));
    (!found.is_empty()).then(|| shown.collect::<Vec<_>>().join("; "))
}

/// Where the scenario's endpoints lie, whichever way it says so.
fn prefix(scenario: &Scenario) -> &str {
    let flag = scenario.args.iter().find_map(|arg| arg.strip_prefix("--proxy-prefix="));
    let variable = || scenario.env.get("OAUTH2_PROXY_PROXY_PREFIX").map(String::as_str);
    let file = || {
        let mut lines = scenario.files.values().flat_map(|text| text.lines());
        lines.find_map(|line| line.strip_prefix("proxy_prefix")).and_then(|rest| rest.split('"').nth(1))
    };
    flag.or_else(variable).or_else(file).unwrap_or("/oauth2").trim_end_matches('/')
}

/// Protections of a login that the scenario turns off by name.
fn turned_off(scenario: &Scenario) -> Vec<&'static str> {
    let texts = || scenario.args.iter().chain(scenario.env.values()).chain(scenario.files.values());
    let says = |words: &[&str]| texts().any(|text| words.iter().any(|word| text.contains(word)));
    let mut off = Vec::new();
    if says(&["insecure-oidc-skip-nonce", "insecure_oidc_skip_nonce", "insecureSkipNonce"])
        || scenario.env.contains_key("OAUTH2_PROXY_INSECURE_OIDC_SKIP_NONCE")
    {
        off.push("nonce");
    }
    let plain = |text: &String| text.contains("plain") && text.contains("challenge");
    if texts().any(plain) || scenario.env.iter().any(|(name, value)| name.contains("CHALLENGE") && value == "plain") {
        off.push("code_challenge_method");
    }
    off
}
