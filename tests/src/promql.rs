//! What labels a PromQL expression's answer has, as far as dashboards and alerts go: an expression that promtool takes
//! may still ask for labels that its metrics do not have, and then answers with nothing, or with one line for all.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use crate::Failure;

/// Labels that come with the scraping of a pod.
const TARGET: [&str; 7] = ["namespace", "job", "instance", "pod", "service", "endpoint", "container"];

/// Series of others, with their labels.
const OTHERS: [(&str, &str); 2] = [
    ("kubelet_volume_stats_available_bytes", "persistentvolumeclaim"),
    ("kubelet_volume_stats_capacity_bytes", "persistentvolumeclaim"),
];

/// Functions that leave the labels of their last argument as they are.
const PLAIN: [&str; 12] = [
    "rate",
    "irate",
    "increase",
    "changes",
    "delta",
    "abs",
    "floor",
    "ceil",
    "round",
    "max_over_time",
    "min_over_time",
    "avg_over_time",
];

/// Aggregations of one argument.
const AGGREGATIONS: [&str; 5] = ["sum", "min", "max", "avg", "count"];

/// Operators, the loosest first.
const OPERATORS: [&[&str]; 5] =
    [&["or"], &["and", "unless"], &["==", "!=", "<=", ">=", "<", ">"], &["+", "-"], &["*", "/", "%"]];

/// Every metric there is, with its labels.
#[derive(Debug)]
pub struct Families(BTreeMap<String, BTreeSet<String>>);

impl Families {
    /// Reads the table that `conclave print-metrics` prints.
    pub fn of(table: &str) -> Result<Self, Failure> {
        let row = Regex::new(r"(?m)^\| `(\w+)` \| (\w+) \| ([^|]*) \|")?;
        let label = Regex::new(r"`(\w+)`")?;
        let mut all = BTreeMap::new();
        for found in row.captures_iter(table) {
            let labels: BTreeSet<String> = label.captures_iter(&found[3]).map(|label| label[1].to_owned()).collect();
            if &found[2] == "histogram" {
                for end in ["sum", "count"] {
                    all.insert(format!("{}_{end}", &found[1]), labels.clone());
                }
                let bucket = labels.into_iter().chain(["le".to_owned()]).collect();
                all.insert(format!("{}_bucket", &found[1]), bucket);
            } else {
                all.insert(found[1].to_owned(), labels);
            }
        }
        for (name, label) in OTHERS {
            all.insert(name.to_owned(), BTreeSet::from([label.to_owned()]));
        }
        Ok(Self(all))
    }

    /// Labels of a series, those of scraping among them.
    pub fn labels(&self, series: &str) -> Result<BTreeSet<String>, String> {
        let own = self.0.get(series).ok_or_else(|| format!("{series} is no series"))?;
        Ok(own.iter().cloned().chain(TARGET.map(str::to_owned)).collect())
    }
}

/// A condition on one label of a series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Matcher {
    /// The series.
    pub series: String,
    /// Its label.
    pub label: String,
    /// `=`, `!=`, `=~` or `!~`.
    pub operator: String,
    /// What it is held against.
    pub value: String,
}

/// What reading an expression found.
#[derive(Debug, Default)]
pub struct Found {
    /// Labels of the answer; none for a number.
    pub labels: Option<BTreeSet<String>>,
    /// Every series that it reads.
    pub series: BTreeSet<String>,
    /// Every condition.
    pub matchers: BTreeSet<Matcher>,
}

/// Reads an expression; the error says which label is not there, or what cannot be read.
pub fn read(expression: &str, families: &Families) -> Result<Found, String> {
    let mut reader = Reader { tokens: tokens(expression)?, at: 0, families, found: Found::default() };
    let labels = reader.operation(0)?;
    match reader.peek() {
        Some(more) => Err(format!("{more} is too much in {expression}")),
        None => Ok(Found { labels, ..reader.found }),
    }
}

fn tokens(expression: &str) -> Result<Vec<String>, String> {
    let token = r#"^(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z_:][\w:]*|\d[\w.]*|[=!<>]=|[=!]~|[-+*/%<>=(){}\[\],])"#;
    let token = Regex::new(token).map_err(|error| error.to_string())?;
    let mut rest = expression.trim();
    let mut all = Vec::new();
    while !rest.is_empty() {
        let found = token.find(rest).ok_or_else(|| format!("{rest:?} cannot be read"))?;
        all.push(found.as_str().to_owned());
        rest = rest[found.end()..].trim_start();
    }
    Ok(all)
}

/// Labels of a value; none for a number.
type Labels = Option<BTreeSet<String>>;

struct Reader<'f> {
    tokens: Vec<String>,
    at: usize,
    families: &'f Families,
    found: Found,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Result<String, String> {
        let token = self.tokens.get(self.at).cloned().ok_or("the expression ends too early")?;
        self.at += 1;
        Ok(token)
    }

    fn takes(&mut self, token: &str) -> bool {
        let there = self.peek() == Some(token);
        self.at += usize::from(there);
        there
    }

    fn expects(&mut self, token: &str) -> Result<(), String> {
        if self.takes(token) { Ok(()) } else { Err(format!("{token} is missing before {:?}", self.peek())) }
    }

    fn operation(&mut self, level: usize) -> Result<Labels, String> {
        let Some(operators) = OPERATORS.get(level) else { return self.value() };
        let mut left = self.operation(level + 1)?;
        while let Some(operator) = self.peek().filter(|token| operators.contains(token)).map(str::to_owned) {
            self.at += 1;
            self.takes("bool");
            let on = if self.takes("on") { Some(self.names()?) } else { None };
            let right = self.operation(level + 1)?;
            left = joined(&operator, on, left, right)?;
        }
        Ok(left)
    }

    fn value(&mut self) -> Result<Labels, String> {
        let token = self.next()?;
        if token == "(" {
            let inner = self.operation(0)?;
            self.expects(")")?;
            return Ok(inner);
        }
        if token.starts_with(|first: char| first.is_ascii_digit()) {
            return Ok(None);
        }
        if AGGREGATIONS.contains(&token.as_str()) {
            return self.aggregation();
        }
        if self.takes("(") {
            return self.function(&token);
        }
        self.selector(token)
    }

    fn aggregation(&mut self) -> Result<Labels, String> {
        let before = if self.takes("by") { Some(self.names()?) } else { None };
        self.expects("(")?;
        let of = self.operation(0)?.ok_or("an aggregation of a number")?;
        self.expects(")")?;
        let by = if before.is_none() && self.takes("by") { Some(self.names()?) } else { before }.unwrap_or_default();
        within(&by, &of)?;
        Ok(Some(by))
    }

    fn function(&mut self, name: &str) -> Result<Labels, String> {
        let mut arguments = vec![self.operation(0)?];
        while self.takes(",") {
            arguments.push(self.operation(0)?);
        }
        self.expects(")")?;
        let last = arguments.pop().flatten();
        match name {
            "vector" => Ok(Some(BTreeSet::new())),
            "histogram_quantile" => {
                let mut labels = last.ok_or("a quantile of a number")?;
                if labels.remove("le") { Ok(Some(labels)) } else { Err("a quantile of buckets without le".to_owned()) }
            }
            _ if PLAIN.contains(&name) => Ok(last),
            _ => Err(format!("{name} is no function that is known here")),
        }
    }

    fn selector(&mut self, series: String) -> Result<Labels, String> {
        let labels = self.families.labels(&series)?;
        if self.takes("{") {
            while !self.takes("}") {
                let (label, operator, value) = (self.next()?, self.next()?, self.next()?);
                within(&BTreeSet::from([label.clone()]), &labels).map_err(|error| format!("{series}: {error}"))?;
                let value = value.trim_matches(['"', '\'']).to_owned();
                self.found.matchers.insert(Matcher { series: series.clone(), label, operator, value });
                self.takes(",");
            }
        }
        if self.takes("[") {
            self.next()?;
            self.expects("]")?;
        }
        self.found.series.insert(series);
        Ok(Some(labels))
    }

    fn names(&mut self) -> Result<BTreeSet<String>, String> {
        self.expects("(")?;
        let mut names = BTreeSet::new();
        while !self.takes(")") {
            names.insert(self.next()?);
            self.takes(",");
        }
        Ok(names)
    }
}

/// Two sides meet where all their labels are equal, or those after `on`.
fn joined(operator: &str, on: Option<BTreeSet<String>>, left: Labels, right: Labels) -> Result<Labels, String> {
    let (left, right) = match (left, right) {
        (Some(left), Some(right)) => (left, right),
        (left, right) => return Ok(left.or(right)),
    };
    match on {
        Some(on) => {
            within(&on, &left)?;
            within(&on, &right)?;
            Ok(Some(if ["and", "unless"].contains(&operator) { left } else { on }))
        }
        None if operator == "or" => Ok(Some(left.union(&right).cloned().collect())),
        None if left == right => Ok(Some(left)),
        None => Err(format!("{operator} never meets: {left:?} on one side, {right:?} on the other")),
    }
}

/// That there are all these labels.
pub fn within(wanted: &BTreeSet<String>, there: &BTreeSet<String>) -> Result<(), String> {
    match wanted.iter().find(|label| !there.contains(*label)) {
        Some(label) => Err(format!("there is no label {label} among {there:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "| `a_total` | counter | `result`, `why` | x |\n| `up` | gauge | - | x |\n| `h` | histogram | `call` | x |";

    fn labels(expression: &str) -> Result<Vec<String>, String> {
        let families = Families::of(TABLE).map_err(|error| error.to_string())?;
        Ok(read(expression, &families)?.labels.into_iter().flatten().collect())
    }

    #[test]
    fn labels_of_an_answer() {
        assert_eq!(labels("sum by (why) (rate(a_total{result=\"x\"}[5m])) > 0"), Ok(vec!["why".into()]));
        assert_eq!(labels("max(up) or vector(0)"), Ok(vec![]));
        assert_eq!(labels("sum(up) by (job) / max by (job) (count by (job, pod) (up))"), Ok(vec!["job".into()]));
        assert_eq!(labels("histogram_quantile(0.9, sum by (call, le) (rate(h_bucket[1m])))"), Ok(vec!["call".into()]));
        assert_eq!(labels("up and on (job) up").map(|labels| labels.len()), Ok(7));
        assert_eq!(labels("1 - sum by (job) (up) * 2"), Ok(vec!["job".into()]));
    }

    #[test]
    fn what_is_not_there_is_said() {
        for (wrong, said) in [
            ("sum by (reason) (a_total)", "no label reason"),
            ("a_total{reason=\"x\"}", "no label reason"),
            ("b_total", "b_total is no series"),
            ("sum by (job, pod) (max by (job) (up))", "no label pod"),
            ("histogram_quantile(0.9, sum by (call) (rate(h_bucket[1m])))", "without le"),
            ("rate(h[1m])", "h is no series"),
            ("sum by (job) (up) / sum(up)", "never meets"),
            ("up / on (why) up", "no label why"),
            ("sum(up", "is missing"),
            ("up up", "too much"),
            ("nothing(up)", "no function"),
        ] {
            let error = labels(wrong).expect_err(wrong);
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }
}
