//! Which options a refusal mentions: the same reading for oauth2-proxy's words and ours.

use std::path::Path;

use regex::Regex;

/// Every spelling of an option and its TOML name.
#[derive(Clone, Debug)]
pub struct Options(Vec<(String, String)>);

impl Options {
    /// Reads the list of options (TOML name, flag, …, tab-separated, one header line).
    pub fn load(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut names = Vec::new();
        for line in text.lines().skip(1) {
            let mut cells = line.split('\t');
            let (toml, flag) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
            let toml = toml.replace('-', "_");
            if let Some(flag) = flag.strip_prefix("--") {
                names.push((flag.replace('-', "_"), toml.clone()));
            }
            names.push((toml.clone(), toml));
        }
        Self(names)
    }

    /// Whether `log` mentions the option. A usage text does not count, nor does a one-word name (`scope`) but as
    /// `--flag`, `"quoted"` or `name=`.
    pub fn mentioned(&self, option: &str, log: &str) -> bool {
        let usage = Regex::new(r"(?m)^(Usage of .*| +(-\w, )?--[a-z].*)$").expect("a constant pattern");
        let flag = Regex::new(r"--([a-z][\w-]+)").expect("a constant pattern");
        let log = usage.replace_all(log, "");
        let log = flag.replace_all(&log, "\"$1\"").replace('-', "_");
        let spellings = self.0.iter().filter(|(_, toml)| toml == option).map(|(spelling, _)| spelling);
        spellings.into_iter().any(|spelling| {
            let word = regex::escape(spelling);
            let pattern = if spelling.contains('_') {
                format!(r"(?:^|\W){word}(?:\W|$)")
            } else {
                format!(r#"["'`]{word}["'`]|(?:^|\W){word}="#)
            };
            Regex::new(&pattern).expect("an escaped name").is_match(&log)
        })
    }
}
