//! Tables as Markdown, with the machine and the commit that they are of.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::service::PROGRAM;

/// One table of figures.
pub struct Table {
    /// What is measured, and under which conditions.
    pub title: String,
    /// What a reader needs to know about it.
    pub note: String,
    /// Heads of the columns.
    pub columns: Vec<String>,
    /// One cell for each column.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(title: &str, note: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Self { title: title.to_owned(), note: note.to_owned(), columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[String]) {
        self.rows.push(cells.to_vec());
    }

    /// As Markdown.
    pub fn to_markdown(&self) -> String {
        let mut out = format!("## {}\n\n{}\n\n", self.title, self.note);
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        out += &line(&self.columns);
        out += &format!("|{}\n", "---|".repeat(self.columns.len()));
        self.rows.iter().for_each(|row| out += &line(row));
        out
    }
}

/// All tables of one run.
pub struct Report {
    title: &'static str,
    command: &'static str,
    machine: Vec<(&'static str, String)>,
    tables: Vec<Table>,
}

impl Report {
    /// An empty report of this machine and commit, and the command that writes it.
    pub fn of_this_machine(title: &'static str, command: &'static str) -> Self {
        let mut machine = vec![
            ("Commit", commit()),
            ("Date", output("date", &["-u", "+%F %R UTC"])),
            ("Processor", format!("{} x {}", cores(), processor())),
            ("Memory", memory()),
            ("Kernel", read("/proc/sys/kernel/osrelease")),
            ("Compiler", output("rustc", &["--version"])),
        ];
        if let Ok(program) = std::env::var(PROGRAM) {
            machine.push(("Program", program));
        }
        Self { title, command, machine, tables: Vec::new() }
    }

    /// Adds a table.
    pub fn add(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// As Markdown.
    pub fn to_markdown(&self) -> String {
        let Self { title, command, .. } = self;
        let mut out = format!("# {title}\n\nWritten by `{command}`, with release builds.\n\n| | |\n|---|---|\n");
        for (name, value) in &self.machine {
            let _ = writeln!(out, "| {name} | {value} |");
        }
        for table in &self.tables {
            let _ = write!(out, "\n{}", table.to_markdown());
        }
        out
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn processor() -> String {
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

fn memory() -> String {
    let info = read("/proc/meminfo");
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    total.map_or_else(|| "unknown".to_owned(), |kib: u64| format!("{} GiB", kib.div_ceil(1024 * 1024)))
}

fn commit() -> String {
    let id = output("git", &["rev-parse", "--short=12", "HEAD"]);
    let changed = !output("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
    if changed { format!("{id}, with changes") } else { id }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn output(program: &str, args: &[&str]) -> String {
    let ran = Command::new(program).args(args).output();
    ran.map(|ran| String::from_utf8_lossy(&ran.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new("T", "N.", &["a", "b"]);
        table.row(&["1".to_owned(), "2".to_owned()]);
        assert_eq!(table.to_markdown(), "## T\n\nN.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n");
    }
}
