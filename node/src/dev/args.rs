//! Arguments of `conclave dev`.

use thiserror::Error;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Print [`HELP`].
    Help,
    /// Run the demonstration.
    Run(Options),
    /// Become a replica that ends with its parent: how the demonstration starts its children.
    Adopt {
        /// Process id of the demonstration.
        parent: u32,
        /// The replica's own flags.
        flags: Vec<String>,
    },
}

/// Ports to use; tests move them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// The demo app; the provider takes the port ten above.
    pub(super) app_port: u16,
    /// The first replica; each further one is a hundred above, with its other ports next to it.
    pub(super) base_port: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self { app_port: 4080, base_port: 4180 }
    }
}

/// Why the arguments were refused.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum InvalidArguments {
    /// Not an option of this command.
    #[error("conclave dev does not know {0:?}; see conclave dev --help")]
    Unknown(String),
    /// No number, or one that leaves no room for the ports above it.
    #[error("{option} needs a port from 1 to {highest}, not {value:?}")]
    Port {
        /// Which option.
        option: &'static str,
        /// Highest possible value.
        highest: u16,
        /// What was given.
        value: String,
    },
}

/// The first word of a child's arguments.
pub(super) const ADOPT: &str = "--adopted-by";

const APP_PORT: &str = "--app-port";
const BASE_PORT: &str = "--base-port";

/// The provider stands ten ports above the app.
const HIGHEST_APP_PORT: u16 = u16::MAX - 10;

/// The third replica's port for gateways stands 203 above the base.
const HIGHEST_BASE_PORT: u16 = u16::MAX - 203;

/// For `conclave dev --help`.
pub(super) const HELP: &str = "\
Usage: conclave dev

Starts three replicas, a demo OpenID provider and a demo app behind the login, all on this machine,
and prints where to click. Needs nothing else. Ctrl-C stops everything.

  Demo app   http://localhost:4080
  Replicas   http://localhost:4180  http://localhost:4280  http://localhost:4380
  Users      alice and bob; each password equals the name
";

pub(super) fn parse(args: &[String]) -> Result<Command, InvalidArguments> {
    if let [first, parent, flags @ ..] = args
        && first == ADOPT
        && let Ok(parent) = parent.parse()
    {
        return Ok(Command::Adopt { parent, flags: flags.to_vec() });
    }
    let mut options = Options::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (arg.as_str(), None),
        };
        match name {
            "--help" | "-h" => return Ok(Command::Help),
            APP_PORT | BASE_PORT => {
                let value = value.or_else(|| rest.next().map(String::as_str));
                match name {
                    APP_PORT => options.app_port = port(APP_PORT, value, HIGHEST_APP_PORT)?,
                    _ => options.base_port = port(BASE_PORT, value, HIGHEST_BASE_PORT)?,
                }
            }
            _ => return Err(InvalidArguments::Unknown(arg.clone())),
        }
    }
    Ok(Command::Run(options))
}

fn port(option: &'static str, value: Option<&str>, highest: u16) -> Result<u16, InvalidArguments> {
    let value = value.unwrap_or_default();
    let fits = value.parse::<u16>().ok().filter(|port| (1..=highest).contains(port));
    fits.ok_or_else(|| InvalidArguments::Port { option, highest, value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, InvalidArguments> {
        parse(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn ports_are_read_in_both_forms() {
        let options = Options { app_port: 5000, base_port: 6000 };
        assert_eq!(parsed(&["--app-port", "5000", "--base-port=6000"]), Ok(Command::Run(options)));
        let options = Options { app_port: 5000, base_port: 6000 };
        assert_eq!(parsed(&["--app-port=5000", "--base-port", "6000"]), Ok(Command::Run(options)));
        assert_eq!(parsed(&[]), Ok(Command::Run(Options::default())));
        assert_eq!(parsed(&["--help"]), Ok(Command::Help));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert_eq!(parsed(&["--peers"]), Err(InvalidArguments::Unknown("--peers".to_owned())));
        for args in [&["--app-port"][..], &["--app-port=x"], &["--base-port", "65400"], &["--base-port=0"]] {
            assert!(matches!(parsed(args), Err(InvalidArguments::Port { .. })), "{args:?}");
        }
    }

    #[test]
    fn a_childs_flags_are_not_looked_at() {
        let flags = vec!["--help".to_owned(), "--x".to_owned()];
        assert_eq!(parsed(&[ADOPT, "7", "--help", "--x"]), Ok(Command::Adopt { parent: 7, flags }));
    }
}
