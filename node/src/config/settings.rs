//! All sources merged: flag over variable over file over default.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::file::{self, FileValues};
use super::flags::{self, Flags};
use super::option::Opt;
use super::problem::Findings;
use super::structured::{self, Structured, is_replaced};
use super::table;
use super::value::Value;

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody gave it.
    Default,
    /// The structured file.
    Structured,
    /// The TOML file.
    File,
    /// A variable.
    Variable,
    /// A flag.
    Flag,
}

impl Origin {
    /// One word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Structured => "structured file",
            Self::File => "file",
            Self::Variable => "variable",
            Self::Flag => "flag",
        }
    }
}

#[derive(Debug)]
struct Setting {
    value: Value,
    origin: Origin,
}

/// Reads variables of the process.
pub type Variables<'v> = &'v dyn Fn(&str) -> Option<OsString>;

/// Every option with its value and where that came from.
#[derive(Debug)]
pub struct Settings {
    by_name: BTreeMap<&'static str, Setting>,
    structured: Option<Structured>,
    /// `--help` was asked for.
    pub help: bool,
}

impl Settings {
    /// Reads flags, variables and the file that a flag names.
    pub fn load(args: &[String], variables: Variables<'_>, findings: &mut Findings) -> Self {
        let Flags { values: mut given, help } = flags::parse(args, findings);
        let path_of = |given: &BTreeMap<_, _>, name| match given.get(name) {
            Some(Value::Text(path)) if !path.is_empty() => Some(PathBuf::from(path)),
            Some(_) | None => None,
        };
        let path = path_of(&given, "config");
        let mut in_file = path.map_or_else(FileValues::new, |path| file::read(&path, findings));
        let path = path_of(&given, "alpha_config");
        let convert = matches!(given.get("convert_config_to_alpha"), Some(Value::Bool(true)));
        if convert && path.is_some() {
            findings.problem("alpha_config", "and `convert_config_to_alpha` exclude each other: choose one");
        }
        let mut structured = path.filter(|_| !convert).map(|path| structured::read(&path, variables, findings));
        if structured.is_some() {
            refuse_replaced(&mut given, &mut in_file, findings);
        }
        let beside = structured.is_some();
        let mut in_structured = structured.as_mut().map(|read| std::mem::take(&mut read.values)).unwrap_or_default();
        let settings = table::all().map(|option| {
            let found = given
                .remove(option.name)
                .map(|value| (value, Origin::Flag))
                .or_else(|| in_structured.remove(option.name).map(|value| (value, Origin::Structured)))
                .or_else(|| {
                    let known = !(beside && is_replaced(option.name));
                    let value = known.then(|| variable(option, variables, findings)).flatten();
                    value.map(|value| (value, Origin::Variable))
                })
                .or_else(|| in_file.remove(option.name).map(|value| (value, Origin::File)));
            let (value, origin) = found.unwrap_or_else(|| (option.default_value(), Origin::Default));
            (option.name, Setting { value, origin })
        });
        Self { by_name: settings.collect(), structured, help }
    }

    /// What only the structured file can say, where there is one.
    pub fn structured(&self) -> Option<&Structured> {
        self.structured.as_ref()
    }

    fn get(&self, name: &'static str) -> &Setting {
        self.by_name.get(name).expect("only names of the option table are asked for, which loading the defaults shows")
    }

    /// Where an option's value came from.
    pub fn origin(&self, name: &'static str) -> Origin {
        self.get(name).origin
    }

    /// Whether somebody gave it.
    pub fn is_given(&self, name: &'static str) -> bool {
        self.origin(name) != Origin::Default
    }

    /// Every option that somebody gave, in the table's order.
    pub fn given(&self) -> impl Iterator<Item = (&'static Opt, Origin)> {
        table::all().map(|option| (option, self.origin(option.name))).filter(|(_, origin)| *origin != Origin::Default)
    }

    /// A boolean.
    pub fn flag(&self, name: &'static str) -> bool {
        match &self.get(name).value {
            Value::Bool(flag) => *flag,
            Value::Int(_) | Value::Text(_) | Value::Duration(_) | Value::List(_) => mismatch(name),
        }
    }

    /// A whole number.
    pub fn int(&self, name: &'static str) -> i64 {
        match &self.get(name).value {
            Value::Int(number) => *number,
            Value::Bool(_) | Value::Text(_) | Value::Duration(_) | Value::List(_) => mismatch(name),
        }
    }

    /// A text; may be empty.
    pub fn text(&self, name: &'static str) -> &str {
        match &self.get(name).value {
            Value::Text(text) => text,
            Value::Bool(_) | Value::Int(_) | Value::Duration(_) | Value::List(_) => mismatch(name),
        }
    }

    /// A text that says something.
    pub fn some_text(&self, name: &'static str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// A path that says something.
    pub fn some_path(&self, name: &'static str) -> Option<PathBuf> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(|text| Path::new(text).to_owned())
    }

    /// A duration in nanoseconds.
    pub fn nanos(&self, name: &'static str) -> i64 {
        match &self.get(name).value {
            Value::Duration(nanos) => *nanos,
            Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::List(_) => mismatch(name),
        }
    }

    /// A list.
    pub fn list(&self, name: &'static str) -> &[String] {
        match &self.get(name).value {
            Value::List(items) => items,
            Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::Duration(_) => mismatch(name),
        }
    }

    /// A list without its empty items, which a trailing comma in a variable makes.
    pub fn items(&self, name: &'static str) -> Vec<String> {
        self.list(name).iter().filter(|item| !item.is_empty()).cloned().collect()
    }
}

fn mismatch(name: &str) -> ! {
    unreachable!("{name} is read as another kind than the table says")
}

/// Beside a structured file the options that it replaces are unknown, as in oauth2-proxy; their
/// variables are passed over.
fn refuse_replaced(given: &mut BTreeMap<&'static str, Value>, in_file: &mut FileValues, findings: &mut Findings) {
    const INSTEAD: &str = "is unknown beside --alpha-config: say it in the structured file";
    for option in table::all().filter(|option| is_replaced(option.name)) {
        if given.remove(option.name).is_some() {
            findings.usage(option.name, format!("the flag --{} {INSTEAD}", option.flag));
        }
        if in_file.remove(option.name).is_some() {
            findings.problem(option.name, format!("the key {INSTEAD}"));
        }
    }
}

/// An empty variable counts as unset.
fn variable(option: &Opt, variables: Variables<'_>, findings: &mut Findings) -> Option<Value> {
    let name = option.variable()?;
    let raw = variables(&name)?;
    let Some(raw) = raw.to_str() else {
        findings.problem(option.name, format!("the variable {name} is not UTF-8"));
        return None;
    };
    if raw.is_empty() {
        return None;
    }
    match Value::of_string(option.kind, raw) {
        Ok(value) => Some(value),
        Err(error) => {
            findings.problem(option.name, format!("the variable {name} {error}"));
            None
        }
    }
}
