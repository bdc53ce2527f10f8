//! Loading: from the process's arguments and variables to a checked configuration.

use std::ffi::OsString;

use super::problem::{ConfigError, Findings};
use super::settings::{Settings, Variables};
use super::{Config, build};

/// What the flags ask for.
#[derive(Debug)]
pub enum Request {
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// `--config-test` on a configuration that can be served.
    Tested(Box<Config>),
    /// Serve.
    Serve(Box<Config>),
}

/// Reads everything and checks it as a whole.
pub fn load(args: &[String], variables: Variables<'_>) -> Result<Request, ConfigError> {
    let mut findings = Findings::default();
    let settings = Settings::load(args, variables, &mut findings);
    if findings.is_fine() && settings.help {
        return Ok(Request::Help);
    }
    if findings.is_fine() && settings.flag("version") {
        return Ok(Request::Version);
    }
    let config = build::config(&settings, &mut findings);
    let (mut config, notices) = findings.finish(config)?;
    config.notices = notices;
    let config = Box::new(config);
    Ok(if settings.flag("config_test") { Request::Tested(config) } else { Request::Serve(config) })
}

/// The same with the process's own variables.
pub fn from_process(args: &[String]) -> Result<Request, ConfigError> {
    load(args, &|name| std::env::var_os(name))
}

/// A configuration from flags alone; for tests and tools.
pub fn from_args(args: &[&str]) -> Result<Config, ConfigError> {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    match load(&args, &|_| None)? {
        Request::Serve(config) | Request::Tested(config) => Ok(*config),
        Request::Help | Request::Version => Err(ConfigError::single("", "help and version are no configuration")),
    }
}

/// Arguments as text.
pub fn utf8_args(args: impl Iterator<Item = OsString>) -> Result<Vec<String>, ConfigError> {
    let args: Result<Vec<String>, OsString> = args.map(OsString::into_string).collect();
    args.map_err(|_| ConfigError::single("", "an argument is not UTF-8"))
}

#[cfg(test)]
mod tests;
