//! The command line: which command is meant, and what it exits with.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use crate::config::load::{self, Request};
use crate::config::{Config, ConfigError, check, data_dir, docs, help};
use crate::{app, dev, operator, telemetry};

/// Commands that are a first word; without one the process serves.
const COMMANDS: [&str; 4] = ["serve", "dev", "check-config", "cluster"];

/// Runs the command that the arguments, without the program's name, ask for.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args = match load::utf8_args(args) {
        Ok(args) => args,
        Err(error) => return refused(&error),
    };
    let (command, rest) = match args.split_first() {
        Some((first, rest)) if !first.starts_with('-') => (first.as_str(), rest),
        Some(_) | None => ("serve", args.as_slice()),
    };
    match command {
        "serve" => serve(rest),
        "dev" => finished(dev::run(rest)),
        "check-config" => {
            let (text, code) = check::report(rest, &|name| std::env::var_os(name));
            print!("{text}");
            ExitCode::from(code)
        }
        "cluster" => finished(operator::run(rest)),
        "version" => version(),
        "help" => usage(),
        "print-options" => {
            print!("{}", docs::page());
            ExitCode::SUCCESS
        }
        "print-metrics" => {
            print!("{}", crate::metrics::docs::page());
            ExitCode::SUCCESS
        }
        "verify-store" => match rest {
            [dir] => conclave_raft::verify::run_verify_store(Path::new(dir)),
            _ => refused(&ConfigError::usage("verify-store needs one directory")),
        },
        other => {
            let text = format!("unknown command {other:?}: there are {}; see --help", COMMANDS.join(", "));
            refused(&ConfigError::usage(text))
        }
    }
}

fn serve(args: &[String]) -> ExitCode {
    match load::from_process(args) {
        Ok(Request::Help) => usage(),
        Ok(Request::Version) => version(),
        Ok(Request::Tested(_)) => {
            println!("configuration is valid");
            ExitCode::SUCCESS
        }
        Ok(Request::Serve(config)) => serve_with(*config),
        Err(error) => refused(&error),
    }
}

fn serve_with(mut config: Config) -> ExitCode {
    let lines = match telemetry::start(&config.logging) {
        Ok(lines) => lines,
        Err(error) => return finished(Err(error)),
    };
    telemetry::abort_on_panic();
    if let Err(error) = data_dir::prepare(&mut config.cluster) {
        return refused(&error);
    }
    let code = finished(app::serve(config, lines.clone()));
    lines.flush();
    code
}

fn finished<E: std::fmt::Display>(outcome: Result<(), E>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conclave: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The reason of a refusal is always told, whatever the settings of logs say.
fn refused(error: &ConfigError) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(error.exit_code())
}

fn version() -> ExitCode {
    println!("conclave {}", env!("CARGO_PKG_VERSION"));
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    print!("{}", help::text());
    ExitCode::SUCCESS
}
