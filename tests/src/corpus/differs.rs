//! The answers that Conclave gives otherwise by design, each asserted as the difference asks.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::compare::{differences, soften};

/// What one kind of difference asks of our answer. An answer passes when every given part holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// JSON pointers into the answer and the value there; several maps are alternatives.
    #[serde(default)]
    pub any: Vec<BTreeMap<String, Value>>,
    /// Besides, the answer is the recorded one, deletions aside.
    #[serde(default)]
    pub as_recorded: bool,
    /// Asked of the listener for gateways, the same check is answered as recorded.
    #[serde(default)]
    pub at_gateways: bool,
    /// The most session cookies that may be set or deleted.
    pub most_cookies: Option<usize>,
    /// The program serves where oauth2-proxy ended.
    #[serde(default)]
    pub serves: bool,
    /// The program ends with this code, naming these options.
    pub exit: Option<i32>,
    /// Options that the refusal names.
    #[serde(default)]
    pub names: Vec<String>,
}

/// The expectation of each difference, by the corpus's own words.
pub type Table = BTreeMap<String, Expectation>;

/// Reads the table.
pub fn load(path: &Path) -> Table {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Expectation {
    /// Why the answer does not pass, or `None`.
    pub fn fails(&self, recorded: &Value, ours: &Value) -> Option<String> {
        if self.serves && ours.get("not_started").is_some() {
            return Some(format!("does not serve: {ours}"));
        }
        if let Some(code) = self.exit
            && ours["exit"] != code
        {
            return Some(format!("ended with {} instead of {code}", ours["exit"]));
        }
        if !self.any.is_empty() && !self.any.iter().any(|wanted| holds(wanted, ours)) {
            return Some(format!("none of the wanted answers: {ours}"));
        }
        let deviation = |ours: &Value| {
            let found = differences(&soften(recorded, false), &soften(ours, false));
            found.first().map(|first| format!("{} is {} instead of {}", first.at, first.ours, first.recorded))
        };
        if let Some(why) = self.as_recorded.then(|| deviation(ours)).flatten() {
            return Some(why);
        }
        if let Some(why) = self.at_gateways.then(|| deviation(&ours["gateways"])).flatten() {
            return Some(format!("at the listener for gateways: {why}"));
        }
        let cookies = ours["cookies"].as_array().map_or(0, |cookies| {
            cookies.iter().filter(|cookie| !cookie["name"].as_str().unwrap_or_default().ends_with("_csrf")).count()
        });
        match self.most_cookies {
            Some(most) if cookies > most => Some(format!("{cookies} cookies, at most {most} are allowed")),
            Some(_) | None => None,
        }
    }
}

fn holds(wanted: &BTreeMap<String, Value>, ours: &Value) -> bool {
    wanted.iter().all(|(pointer, value)| ours.pointer(pointer).unwrap_or(&Value::Null) == value)
}
