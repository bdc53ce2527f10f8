//! Every recorded answer of a real oauth2-proxy, held against Conclave.
//!
//! `SCALE=1` plays every scenario, those of `tests/corpus/later.json` too: one of them that passes must leave that list.
//! Otherwise a third is played, chosen by `SEED`. `CORPUS_ONLY=TEXT` plays the scenarios whose name contains it. `LATER=1` plays
//! those of `later.json` alone and shows what they lack.
//! `OAUTH2_PROXY=PATH` plays each scenario against that oauth2-proxy too, with `redis-server` beside it: its answers
//! of this run then count instead of the recorded ones.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use conclave_tests::corpus::judge::{Judge, Stages, Verdict, scenarios};
use conclave_tests::corpus::player::{Stage, Subject};
use conclave_tests::corpus::scenario::Scenario;
use conclave_tests::{report, repository, target_dir};

/// Scenarios wait for processes more than they compute: more players than cores pay off.
const PLAYERS: u16 = 4;

/// First of the ports that the players use, ten each: five for Conclave, five for a real oauth2-proxy.
const FIRST_PORT: u16 = 19_300;

fn chosen(all: Vec<Scenario>, whole: bool, third: usize, judge: &Judge) -> Vec<Scenario> {
    let only = std::env::var("CORPUS_ONLY").ok();
    let later = std::env::var_os("LATER").is_some();
    let whole = whole || later || only.is_some();
    all.into_iter()
        .enumerate()
        .filter(|(index, _)| whole || index % 3 == third)
        .map(|(_, scenario)| scenario)
        .filter(|scenario| only.as_ref().is_none_or(|text| scenario.name.contains(text)))
        .filter(|scenario| !later || judge.is_later(scenario))
        .collect()
}

/// Several runs on one machine need ports apart: `CORPUS_PORT`.
fn first_port() -> u16 {
    std::env::var("CORPUS_PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(FIRST_PORT)
}

fn stages(player: u16) -> Stages {
    let built = target_dir().join("debug/conclave");
    let program = std::env::var_os("CONCLAVE_BIN").map_or(built, PathBuf::from);
    let base = first_port() + 10 * player;
    let provider = repository().join("tests/corpus/provider");
    let real = std::env::var_os("OAUTH2_PROXY").map(|path| Subject { program: PathBuf::from(path), ours: false });
    Stages {
        ours: Stage::new(Subject { program, ours: true }, &provider, base),
        real: real.map(|real| Stage::new(real, &provider, base + 5)),
    }
}

#[test]
fn recorded_answers() {
    let folder = repository().join("tests/corpus");
    let (all, judge) = (scenarios(&folder), Judge::load(&folder));
    let mut row = report::Scenario::begin("recorded_answers", all.len(), all.len() / 3, "scenarios");
    let whole = row.count() >= all.len();
    let third = row.scale.below(3);
    let scenarios = chosen(all, whole, third, &judge);
    let show_later = std::env::var_os("LATER").is_some();
    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for player in 0..PLAYERS {
            let (judge, next, verdicts, scenarios) = (&judge, &next, &verdicts, &scenarios);
            scope.spawn(move || {
                let stages = stages(player);
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = match (judge.is_later(scenario), show_later) {
                        (true, false) if whole => still_later(judge.judge(&stages, scenario)),
                        (true, false) => Verdict::Later,
                        (true, true) | (false, _) => judge.judge(&stages, scenario),
                    };
                    verdicts.lock().expect("no player panics").push((scenario.name.clone(), verdict));
                }
            });
        }
    });
    tell(&mut row, verdicts.into_inner().expect("no player panics"));
    row.passed();
}

/// A scenario of `later.json` is expected to fail: one that passes has been built meanwhile.
fn still_later(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Passed | Verdict::ByDesign => {
            Verdict::Failed(vec!["passes: take it out of tests/corpus/later.json".to_owned()])
        }
        Verdict::Later | Verdict::Failed(_) => Verdict::Later,
    }
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
    row.held("answers as recorded, or different by design", passed + by_design);
    assert_eq!(failed, 0, "answers differ from those of oauth2-proxy");
}
