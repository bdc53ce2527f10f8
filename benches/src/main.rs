//! `conclave-bench`: ratios and rates of the hot paths, measured with release builds on one machine.
//!
//! Each subject prints a table; `--report FILE` writes all tables of the run with the machine and
//! the commit. Figures of different runs or machines say little about each other; ratios within one
//! run do.

mod apply;
mod auth_check;
mod bare;
mod fixture;
mod log_append;
mod login;
mod measure;
mod peers;
mod report;
mod service;
mod sizing;
mod ticket;
mod usage;
mod wrk;

use std::process::ExitCode;

use report::{Report, Table};

/// Why a measurement could not be made.
type Failure = Box<dyn std::error::Error>;

/// A subject's name and its measurement.
type Subject = (&'static str, fn() -> Result<Vec<Table>, Failure>);

const SUBJECTS: [Subject; 6] = [
    ("auth_check", auth_check::run),
    ("ticket", ticket::run),
    ("apply", apply::run),
    ("log_append", log_append::run),
    ("login", login::run),
    (SIZING, sizing::run),
];

/// Has a report of its own: it says how much, not how fast, takes minutes, and wants 8 GiB of disk.
const SIZING: &str = "sizing";

const USAGE: &str = "\
usage: conclave-bench [--report FILE] [SUBJECT...]

subjects: auth_check ticket apply log_append login sizing; all but sizing without an argument.
auth_check needs wrk and taskset; it and sizing the binary $CONCLAVE_BIN (default: conclave beside this program).";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let ran = match args.first().map(String::as_str) {
        Some(bare::COMMAND) => bare::serve(&args[1..]),
        Some(_) | None => measure_all(&args),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conclave-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all(args: &[String]) -> Result<(), Failure> {
    let (file, names) = match args {
        [flag, file, names @ ..] if flag == "--report" => (Some(file), names),
        names => (None, names),
    };
    let unknown = names.iter().find(|name| SUBJECTS.iter().all(|(subject, _)| subject != name));
    if unknown.is_some() {
        return Err(USAGE.into());
    }
    let (title, command) = if names == [SIZING] { ("Sizing", "make sizing") } else { ("Benchmarks", "make bench") };
    let mut report = Report::of_this_machine(title, command);
    for (name, run) in SUBJECTS {
        if names.iter().any(|wanted| wanted == name) || (names.is_empty() && name != SIZING) {
            for table in run()? {
                println!("{}", table.to_markdown());
                report.add(table);
            }
        }
    }
    if let Some(file) = file {
        std::fs::write(file, report.to_markdown())?;
        println!("written to {file}");
    }
    Ok(())
}
