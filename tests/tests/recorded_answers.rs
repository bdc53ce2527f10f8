//! Every recorded answer of a real oauth2-proxy, held against Conclave.
//!
//! `SCALE=1` plays every scenario; otherwise a third is played, another third each day. `OAUTH2_PROXY=PATH` plays
//! a real oauth2-proxy instead. `ONLY=TEXT` plays the scenarios whose name contains it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use conclave_tests::corpus::compare::{differences, soften, unprotected};
use conclave_tests::corpus::differs::{self, Table};
use conclave_tests::corpus::mentions::Options;
use conclave_tests::corpus::player::{Stage, Subject};
use conclave_tests::corpus::scenario::{self, Scenario};
use conclave_tests::{report, repository, target_dir};
use serde_json::Value;

/// Scenarios wait for processes more than they compute: more players than cores pay off.
const PLAYERS: usize = 4;

/// First of the ports that the players use, ten each.
const FIRST_PORT: u16 = 19_300;

/// How a scenario ended.
#[derive(Debug)]
enum Verdict {
    Passed,
    ByDesign,
    Later,
    Failed(Vec<String>),
}

struct Judge {
    differs: Table,
    later: BTreeMap<String, String>,
    options: Options,
    ours: bool,
}

impl Judge {
    fn load(ours: bool) -> Self {
        let folder = repository().join("tests/corpus");
        let later = std::fs::read_to_string(folder.join("later.json")).expect("the list of later scenarios");
        Self {
            differs: differs::load(&folder.join("differs.json")),
            later: serde_json::from_str(&later).expect("a map from scenario to reason"),
            options: Options::load(&folder.join("options.tsv")),
            ours,
        }
    }

    fn expectation(&self, scenario: &Scenario, step: usize) -> Option<&differs::Expectation> {
        let words = scenario.differs.get(&step.to_string())?;
        let found = self.differs.get(words);
        assert!(found.is_some(), "differs.json says nothing of: {words}");
        found
    }

    fn must_end(&self, scenario: &Scenario) -> bool {
        let asked = self.ours.then(|| self.expectation(scenario, 0)).flatten();
        match asked {
            Some(asked) if asked.serves => false,
            Some(asked) if asked.exit.is_some() => true,
            Some(_) | None => scenario.expect_exit,
        }
    }

    fn judge(&self, stage: &Stage, scenario: &Scenario) -> Verdict {
        let must_end = self.must_end(scenario);
        let answers = match stage.play(scenario, must_end) {
            Ok(answers) => answers,
            Err(error) => return Verdict::Failed(vec![error]),
        };
        let mut wrong = Vec::new();
        for (step, recorded) in scenario.answers.iter().enumerate() {
            let ours = answers.get(step).unwrap_or(&Value::Null);
            let failure = match self.ours.then(|| self.expectation(scenario, step)).flatten() {
                Some(asked) => self.refusal(&asked.names, ours).or_else(|| asked.fails(recorded, ours)),
                None if must_end => self.end(recorded, ours),
                None => self.compare(scenario, step, recorded, ours),
            };
            let failure = failure.or_else(|| self.ours.then(|| unprotected(ours, &turned_off(scenario))).flatten());
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

    fn compare(&self, scenario: &Scenario, step: usize, recorded: &Value, ours: &Value) -> Option<String> {
        let path = scenario.steps.get(step).and_then(|step| step.path.as_deref()).unwrap_or_default();
        // `/sign_in/` is no endpoint: it is a proxied path, where nothing is deleted.
        let endpoint = path.split('?').next().unwrap_or_default();
        let deletions = endpoint.ends_with("/sign_out") || endpoint.ends_with("/sign_in");
        let (recorded, ours) = match self.ours {
            true => (soften(recorded, deletions), soften(ours, deletions)),
            false => (recorded.clone(), ours.clone()),
        };
        let found = differences(&recorded, &ours);
        let shown = found.iter().take(4).map(|d| format!("{}: recorded {} ours {}", d.at, d.recorded, d.ours));
        (!found.is_empty()).then(|| shown.collect::<Vec<_>>().join("; "))
    }

    fn end(&self, recorded: &Value, ours: &Value) -> Option<String> {
        if recorded["exit"] != ours["exit"] {
            return Some(format!("ended with {} instead of {}: {}", ours["exit"], recorded["exit"], ours["log"]));
        }
        let names = recorded["names"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.refusal(&names.map(str::to_owned).collect::<Vec<_>>(), ours)
    }

    fn refusal(&self, names: &[String], ours: &Value) -> Option<String> {
        let log = ours["log"].as_str().unwrap_or_default();
        let missing: Vec<&String> = names.iter().filter(|name| !self.options.mentioned(name, log)).collect();
        (!missing.is_empty()).then(|| format!("does not name {missing:?}: {log}"))
    }
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

fn all() -> Vec<Scenario> {
    let folder = repository().join("tests/corpus");
    let files = ["auth.json", "browser.json", "config.json"];
    files.iter().flat_map(|file| scenario::load(&folder.join(file)).scenarios).collect()
}

fn chosen(all: Vec<Scenario>, whole: bool) -> Vec<Scenario> {
    let only = std::env::var("ONLY").ok();
    let whole = whole || only.is_some();
    let day = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    let third = usize::try_from(day % 3).unwrap_or(0);
    all.into_iter()
        .enumerate()
        .filter(|(index, _)| whole || index % 3 == third)
        .map(|(_, scenario)| scenario)
        .filter(|scenario| only.as_ref().is_none_or(|text| scenario.name.contains(text)))
        .collect()
}

/// Several runs on one machine need ports apart: `CORPUS_PORT`.
fn first_port() -> u16 {
    std::env::var("CORPUS_PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(FIRST_PORT)
}

fn subject() -> Subject {
    match std::env::var_os("OAUTH2_PROXY") {
        Some(path) => Subject { program: PathBuf::from(path), ours: false },
        None => {
            let built = target_dir().join("debug/conclave");
            Subject { program: std::env::var_os("CONCLAVE_BIN").map_or(built, PathBuf::from), ours: true }
        }
    }
}

#[test]
fn recorded_answers() {
    let all = all();
    let mut row = report::Scenario::begin("recorded_answers", all.len(), all.len() / 3, "scenarios");
    let whole = row.count() >= all.len();
    let (subject, scenarios) = (subject(), chosen(all, whole));
    let judge = Judge::load(subject.ours);
    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for player in 0..PLAYERS {
            let base = first_port() + 10 * u16::try_from(player).expect("few players");
            let (subject, judge, next, verdicts, scenarios) = (&subject, &judge, &next, &verdicts, &scenarios);
            scope.spawn(move || {
                let stage = Stage::new(subject.clone(), &repository().join("tests/corpus/provider"), base);
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = match judge.later.get(&scenario.name) {
                        Some(_) if subject.ours => Verdict::Later,
                        Some(_) | None => judge.judge(&stage, scenario),
                    };
                    verdicts.lock().expect("no player panics").push((scenario.name.clone(), verdict));
                }
            });
        }
    });
    tell(&mut row, verdicts.into_inner().expect("no player panics"));
    row.passed();
}

fn tell(row: &mut report::Scenario, verdicts: Vec<(String, Verdict)>) {
    let (mut passed, mut by_design, mut later, mut failed) = (0, 0, 0, 0);
    for (name, verdict) in &verdicts {
        match verdict {
            Verdict::Passed => passed += 1,
            Verdict::ByDesign => by_design += 1,
            Verdict::Later => later += 1,
            Verdict::Failed(why) => {
                failed += 1;
                println!("DIFF {name}\n     {}", why.join("\n     "));
            }
        }
    }
    let played = verdicts.len();
    let counts = format!("{played}, {passed} passed, {by_design} different by design, {later} later, {failed} failed");
    row.figure("played", counts);
    assert_eq!(failed, 0, "answers differ from the recorded ones");
}
