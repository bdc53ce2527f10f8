//! Prints the table of the scenarios' rows; with `--write FILE` also a page with machine and commit.
//! Ends with 1 when a row is missing (`--expect NAMES`, comma-separated) or did not pass, and, with `CI` set, when one
//! was skipped. `--skip NAME WHY` only writes the row of a scenario that is left out.

use std::process::{Command, ExitCode};

use conclave_tests::report::{Row, Verdict, report_dir, rows, table};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name, why] = args.as_slice()
        && flag == "--skip"
    {
        Row::skipped(name, why).write();
        return ExitCode::SUCCESS;
    }
    let rows = rows(&report_dir()).unwrap_or_default();
    print!("{}", table(&rows));
    if let Some(file) = value_of(&args, "--write") {
        std::fs::write(file, page(&rows)).expect("the report can be written");
    }
    let missing: Vec<&str> = value_of(&args, "--expect")
        .into_iter()
        .flat_map(|names| names.split(','))
        .filter(|name| !rows.iter().any(|row| row.scenario.split('.').next() == Some(*name)))
        .collect();
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let (passed, skipped) = (count(Verdict::Passed), count(Verdict::Skipped));
    let failed = count(Verdict::Unknown) + missing.len();
    if !missing.is_empty() {
        println!("no row: {}", missing.join(", "));
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    let skips_allowed = std::env::var_os("CI").is_none();
    if skipped > 0 && !skips_allowed {
        println!("in CI no scenario may be skipped: install what the table names");
    }
    let sound = failed == 0 && passed > 0 && (skipped == 0 || skips_allowed);
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn value_of<'a>(args: &'a [String], name: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| arg == name)?;
    args.get(at + 1).map(String::as_str)
}

fn page(rows: &[Row]) -> String {
    let shell = |line: &str| {
        let output = Command::new("sh").args(["-c", line]).output().expect("sh runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    format!(
        "# Full run of the scenarios\n\nWritten by `make test-full`. Each row's seed repeats its choices: `SEED=N`.\n\n\
         - Commit: {}\n- Date: {}\n- Machine: {}, {} cores, {} memory, {}\n- Profile: {}\n\n{}",
        shell("git rev-parse HEAD"),
        shell("date -u +%Y-%m-%dT%H:%MZ"),
        shell("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1"),
        shell("nproc"),
        shell("awk '/MemTotal/ {printf \"%.0f GiB\", $2/1048576}' /proc/meminfo"),
        shell("uname -sr"),
        std::env::var("CONCLAVE_BIN").unwrap_or_else(|_| "dev".to_owned()),
        table(rows)
    )
}
