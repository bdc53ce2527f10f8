//! Prints the table of the scenarios' rows. With `--write FILE` it renews their rows in FILE.json, where the rows of
//! earlier sittings stay, and writes FILE.md from it: a full run may take several sittings, each row with its commit.
//! Ends with 1 when a row is missing (`--expect NAMES`, comma-separated) or did not pass, and, with `CI` set, when one
//! was skipped. `--skip NAME WHY` only writes the row of a scenario that is left out.

use std::path::Path;
use std::process::{Command, ExitCode};

use conclave_tests::report::{Row, Verdict, renewed, report_dir, rows, table};

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
        write(Path::new(file), rows.clone());
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

fn write(file: &Path, fresh: Vec<Row>) {
    let data = file.with_extension("json");
    let earlier = std::fs::read_to_string(&data).map_or_else(|_| Vec::new(), |text| read(&data, &text));
    let commit = shell("git rev-parse HEAD");
    let fresh = fresh.into_iter().map(|row| Row { commit: commit.clone(), ..row }).collect();
    let rows = renewed(earlier, fresh);
    let text = serde_json::to_string_pretty(&rows).expect("rows are plain data");
    std::fs::write(&data, text + "\n").expect("the rows can be written");
    std::fs::write(file.with_extension("md"), page(&rows)).expect("the report can be written");
}

fn read(file: &Path, text: &str) -> Vec<Row> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().expect("sh runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn page(rows: &[Row]) -> String {
    format!(
        "# Full run of the scenarios\n\nWritten by `make test-full`, in one sitting or several (`ONLY=\"NAME…\"` renews the \
         rows of those). Each row's seed repeats its choices: `SEED=N`.\n\n\
         - Last sitting: {}\n- Machine: {}, {} cores, {} memory, {}\n- Profile: {}\n\n{}",
        shell("date -u +%Y-%m-%dT%H:%MZ"),
        shell("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1"),
        shell("nproc"),
        shell("awk '/MemTotal/ {printf \"%.0f GiB\", $2/1048576}' /proc/meminfo"),
        shell("uname -sr"),
        std::env::var("CONCLAVE_BIN").unwrap_or_else(|_| "dev".to_owned()),
        table(rows)
    )
}
