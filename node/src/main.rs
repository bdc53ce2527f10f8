//! The program `conclave`.

use std::process::ExitCode;

fn main() -> ExitCode {
    conclave::cli::run(std::env::args_os().skip(1))
}
