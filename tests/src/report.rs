//! One row per scenario in `target/report/`: what was asked, what ran, what came out.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::scale::Scale;
use crate::timing;

/// As many digits of a commit as the table shows.
const SHORT_COMMIT: usize = 10;

/// How a scenario ended. One that neither passed nor failed did not reach its end: no pass either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Began and has not ended.
    Unknown,
    /// Every check held.
    Passed,
    /// Left out: a part is missing here. Never in CI.
    Skipped,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Name of the scenario, with a suffix where one file holds several.
    pub scenario: String,
    /// The count that the full run asks for.
    pub asked: usize,
    /// The count of this run.
    pub ran: usize,
    /// What is counted.
    pub unit: String,
    /// Name and value of each figure.
    pub figures: Vec<(String, String)>,
    /// The seed of its random choices.
    pub seed: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// How many checks held, of all kinds together.
    pub held: usize,
    /// Its end.
    pub verdict: Verdict,
    /// The commit that ran; empty until a full run writes its report.
    #[serde(default)]
    pub commit: String,
}

/// A scenario under way: leaves a row with verdict `unknown` until [`Scenario::passed`].
#[derive(Debug)]
pub struct Scenario {
    row: Row,
    begun: Instant,
    /// Counts and choices.
    pub scale: Scale,
}

impl Scenario {
    /// Begins `name`, which does `full` times `unit` in a full run and at least `least` times here.
    pub fn begin(name: &str, full: usize, least: usize, unit: &str) -> Self {
        let scale = Scale::from_env();
        let ran = scale.count(full, least);
        let row = Row {
            scenario: name.to_owned(),
            asked: full,
            ran,
            unit: unit.to_owned(),
            figures: Vec::new(),
            seed: scale.seed(),
            seconds: 0.0,
            held: 0,
            verdict: Verdict::Unknown,
            commit: String::new(),
        };
        println!("{name}: {ran} of {full} {unit}, SEED={}", scale.seed());
        let scenario = Self { row, begun: timing::now(), scale };
        scenario.row.write();
        scenario
    }

    /// How often this run repeats.
    pub fn count(&self) -> usize {
        self.row.ran
    }

    /// Adds a figure and prints it.
    pub fn figure(&mut self, name: &str, value: impl Display) {
        println!("{}: {name}: {value}", self.row.scenario);
        self.row.figures.push((name.to_owned(), value.to_string()));
    }

    /// `count` checks of `what` were asserted and held. None at all is a failure: the loop over them ran empty.
    pub fn held(&mut self, what: &str, count: usize) {
        assert!(count > 0, "{}: asserted over nothing: {what}", self.row.scenario);
        self.row.held += count;
        self.figure(what, count);
    }

    /// Every check held. A scenario that named none has asserted over nothing, and fails.
    pub fn passed(mut self) {
        assert!(self.row.held > 0, "{}: says of no check that it held", self.row.scenario);
        self.row.verdict = Verdict::Passed;
        self.row.seconds = self.begun.elapsed().as_secs_f64();
        println!("{}: passed in {:.1} s", self.row.scenario, self.row.seconds);
        self.row.write();
    }
}

impl Row {
    /// The row of a scenario that was left out, and why.
    pub fn skipped(scenario: &str, why: &str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            asked: 1,
            ran: 0,
            unit: "run".to_owned(),
            figures: vec![("skipped".to_owned(), why.to_owned())],
            seed: 0,
            seconds: 0.0,
            held: 0,
            verdict: Verdict::Skipped,
            commit: String::new(),
        }
    }

    /// Leaves the row in `target/report/`.
    pub fn write(&self) {
        let dir = report_dir();
        std::fs::create_dir_all(&dir).expect("the target directory can be written");
        let text = serde_json::to_string_pretty(self).expect("a row is plain data");
        std::fs::write(dir.join(format!("{}.json", self.scenario)), text).expect("the row can be written");
    }
}

/// The directory of the rows.
pub fn report_dir() -> PathBuf {
    crate::target_dir().join("report")
}

/// All rows in `dir`, by name.
pub fn rows(dir: &Path) -> std::io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "json") {
            let text = std::fs::read_to_string(&path)?;
            rows.push(serde_json::from_str(&text).map_err(std::io::Error::other)?);
        }
    }
    rows.sort_by(|a: &Row, b: &Row| a.scenario.cmp(&b.scenario));
    Ok(rows)
}

/// The rows of earlier sittings with those of this one in their places. A scenario's rows are replaced together, those
/// with a suffix too, so that one that is gone does not stay.
pub fn renewed(earlier: Vec<Row>, fresh: Vec<Row>) -> Vec<Row> {
    let file_of = |row: &Row| row.scenario.split('.').next().unwrap_or_default().to_owned();
    let files: Vec<String> = fresh.iter().map(file_of).collect();
    let mut rows: Vec<Row> = earlier.into_iter().filter(|row| !files.contains(&file_of(row))).chain(fresh).collect();
    rows.sort_by(|a, b| a.scenario.cmp(&b.scenario));
    rows
}

/// The rows as a Markdown table.
pub fn table(rows: &[Row]) -> String {
    let mut text =
        String::from("| Scenario | Verdict | Ran | Full count | Held | Seconds | Seed | Commit | Figures |\n");
    text.push_str("|---|---|---|---|---|---|---|---|---|\n");
    for row in rows {
        let figures: Vec<String> = row.figures.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let verdict = match row.verdict {
            Verdict::Passed => "passed",
            Verdict::Skipped => "skipped",
            Verdict::Unknown => "NOT PASSED",
        };
        text.push_str(&format!(
            "| {} | {verdict} | {} {} | {} | {} | {:.1} | {} | {} | {} |\n",
            row.scenario,
            row.ran,
            row.unit,
            row.asked,
            row.held,
            row.seconds,
            row.seed,
            row.commit.get(..SHORT_COMMIT).unwrap_or(&row.commit),
            figures.join("; ")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(scenario: &str, commit: &str) -> Row {
        Row { commit: commit.to_owned(), ..Row::skipped(scenario, "an example") }
    }

    #[test]
    fn a_sitting_replaces_the_rows_of_its_scenarios_and_keeps_the_others() {
        let earlier = vec![row("a", "1"), row("b", "1"), row("b.more", "1"), row("c", "1")];
        let rows = renewed(earlier, vec![row("b", "2"), row("b.other", "2")]);
        let seen: Vec<_> = rows.iter().map(|row| (row.scenario.as_str(), row.commit.as_str())).collect();
        assert_eq!(seen, [("a", "1"), ("b", "2"), ("b.other", "2"), ("c", "1")]);
    }

    #[test]
    #[should_panic(expected = "asserted over nothing")]
    fn a_scenario_that_held_nothing_is_refused() {
        let row = Row::skipped("nothing", "an example");
        Scenario { row, begun: timing::now(), scale: Scale::from_env() }.held("checks", 0);
    }

    #[test]
    #[should_panic(expected = "says of no check that it held")]
    fn a_scenario_that_names_no_check_has_not_passed() {
        let row = Row::skipped("nothing", "an example");
        Scenario { row, begun: timing::now(), scale: Scale::from_env() }.passed();
    }
}
