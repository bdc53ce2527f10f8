//! What is wrong with a configuration: every problem at once, each with the option's name and what to do.

use std::fmt;

use super::{Notice, NoticeLevel};

/// Exit code of a flag that cannot be read, as oauth2-proxy has it.
const EXIT_USAGE: u8 = 2;

/// Exit code of a configuration that cannot be served.
const EXIT_INVALID: u8 = 1;

/// One thing that is wrong. The text never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The option's TOML name; empty if it is about none.
    pub option: String,
    /// What is wrong and what to do.
    pub text: String,
    /// A flag could not be read at all.
    pub usage: bool,
}

/// A configuration that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// One problem.
    pub fn single(option: &str, text: impl Into<String>) -> Self {
        Self { problems: vec![Problem { option: option.to_owned(), text: text.into(), usage: false }] }
    }

    /// A command line that cannot be read.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { problems: vec![Problem { option: String::new(), text: text.into(), usage: true }] }
    }

    /// All that is wrong.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What the process exits with.
    pub fn exit_code(&self) -> u8 {
        if self.problems.iter().any(|problem| problem.usage) { EXIT_USAGE } else { EXIT_INVALID }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid configuration:")?;
        for problem in &self.problems {
            match problem.option.as_str() {
                "" => write!(f, "\n  {}", problem.text)?,
                option => write!(f, "\n  `{option}`: {}", problem.text)?,
            }
        }
        Ok(())
    }
}

/// Gathers problems and notices while a configuration is read.
#[derive(Debug, Default)]
pub struct Findings {
    problems: Vec<Problem>,
    notices: Vec<Notice>,
}

impl Findings {
    /// Something that stops the start.
    pub fn problem(&mut self, option: &str, text: impl Into<String>) {
        self.problems.push(Problem { option: option.to_owned(), text: text.into(), usage: false });
    }

    /// A flag that cannot be read.
    pub fn usage(&mut self, option: &str, text: impl Into<String>) {
        self.problems.push(Problem { option: option.to_owned(), text: text.into(), usage: true });
    }

    /// Something to look at.
    pub fn warning(&mut self, option: &str, text: impl Into<String>) {
        self.notices.push(Notice { level: NoticeLevel::Warning, option: option.to_owned(), text: text.into() });
    }

    /// Something to know.
    pub fn info(&mut self, option: &str, text: impl Into<String>) {
        self.notices.push(Notice { level: NoticeLevel::Info, option: option.to_owned(), text: text.into() });
    }

    /// An option that is given and changes nothing, since another option leaves it without effect.
    pub fn without_effect(&mut self, option: &str, text: impl Into<String>) {
        self.notices.push(Notice { level: NoticeLevel::WithoutEffect, option: option.to_owned(), text: text.into() });
    }

    /// The value, or a problem with the option and nothing.
    pub fn take<T, E: fmt::Display>(&mut self, option: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.problem(option, error.to_string())).ok()
    }

    /// Whether nothing stops the start so far.
    pub fn is_fine(&self) -> bool {
        self.problems.is_empty()
    }

    /// What there is to say.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Hands on a value that may be served, with the notices; or every problem.
    pub fn finish<T>(self, value: Option<T>) -> Result<(T, Vec<Notice>), ConfigError> {
        match value {
            Some(value) if self.problems.is_empty() => Ok((value, self.notices)),
            Some(_) | None => Err(ConfigError { problems: self.problems }),
        }
    }
}
