//! The corpus as data: scenarios, their steps and the recorded answers.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// One file of the corpus.
#[derive(Debug, Deserialize)]
pub struct Corpus {
    /// In the order of recording.
    pub scenarios: Vec<Scenario>,
}

/// A configuration, the steps played against it, and what a real oauth2-proxy answered.
#[derive(Clone, Debug, Deserialize)]
pub struct Scenario {
    /// Unique; says what is tried.
    pub name: String,
    /// Flags added to the base ones; one given here replaces the base one of its name.
    #[serde(default)]
    pub args: Vec<String>,
    /// Base flags to leave out, without dashes.
    #[serde(default)]
    pub without: Vec<String>,
    /// `false`: no base flags at all.
    #[serde(default = "yes")]
    pub base: bool,
    /// Environment of the program.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Files in the working directory.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// The program must end by itself.
    #[serde(default)]
    pub expect_exit: bool,
    /// What to do.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// What oauth2-proxy answered, normalised.
    pub answers: Vec<Value>,
    /// Flags that Conclave gets in addition.
    #[serde(default)]
    pub ours: Vec<String>,
    /// Step number -> how and why Conclave answers otherwise.
    #[serde(default)]
    pub differs: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

/// One step. Exactly one of `path`, `login`, `begin`, `callback`, `write` and `sleep` is given.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Step {
    /// One request.
    pub path: Option<String>,
    /// Its method; GET unless given.
    pub method: Option<String>,
    /// Its body.
    pub body: Option<String>,
    /// Further response headers to compare.
    #[serde(default)]
    pub want: Vec<String>,
    /// Claims of a bearer token that the provider signs.
    pub bearer: Option<Value>,
    /// A whole login as this user.
    pub login: Option<String>,
    /// A login up to the callback, kept for a later step.
    pub begin: Option<String>,
    /// Where a login starts.
    pub start: Option<String>,
    /// The kept callback, possibly tampered with.
    pub callback: Option<Tamper>,
    /// Files to write.
    pub write: Option<BTreeMap<String, String>>,
    /// Seconds to wait.
    pub sleep: Option<f64>,
    /// Whose cookie jar.
    #[serde(rename = "as")]
    pub who: Option<String>,
    /// Request headers; a list repeats the header.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderValues>,
    /// Sent instead of the jar; empty for none.
    pub cookie: Option<String>,
    /// The answer's cookies are not kept.
    #[serde(default)]
    pub keep_jar: bool,
}

/// One value or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum HeaderValues {
    /// The header once.
    One(String),
    /// The header repeated.
    Many(Vec<String>),
}

impl HeaderValues {
    /// The values in order.
    pub fn iter(&self) -> std::slice::Iter<'_, String> {
        match self {
            Self::One(value) => std::slice::from_ref(value).iter(),
            Self::Many(values) => values.iter(),
        }
    }
}

/// Changes to a callback.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Tamper {
    /// Query parameters to set.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Query parameters to leave out.
    #[serde(default)]
    pub drop: Vec<String>,
    /// Replaces what follows the state's colon.
    pub state_redirect: Option<String>,
    /// `POST` sends the query as a form.
    pub method: Option<String>,
}

/// Reads one file of the corpus.
pub fn load(path: &Path) -> Corpus {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
