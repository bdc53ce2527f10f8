//! `--help`, from the option table.

use std::fmt::Write;

use super::option::{Kind, Opt};
use super::table;

/// Column at which the explanations begin.
const INDENT: usize = 6;

/// Widest line.
const WIDTH: usize = 100;

const USAGE: &str = "\
Conclave: a clustered session service for Kubernetes ingress.

Usage:
  conclave [FLAGS]                serve
  conclave dev                    three replicas, a demo provider and a demo app on this machine
  conclave check-config [FLAGS]   say of every option given what becomes of it
  conclave cluster COMMAND        ask a running replica: status, hand-over, rekey

Every flag is also a variable and a TOML key (--config FILE): flag over variable over file over default.
";

/// The whole text.
pub fn text() -> String {
    let mut out = USAGE.to_owned();
    for section in table::SECTIONS {
        let mut rows = section.rows.iter().filter(|option| !option.hidden).peekable();
        if rows.peek().is_some() {
            let _ = write!(out, "\n{}:\n", section.title);
        }
        rows.for_each(|option| row(&mut out, option));
    }
    out
}

fn row(out: &mut String, option: &Opt) {
    let value = match option.kind {
        Kind::Bool => String::new(),
        Kind::Int | Kind::Text | Kind::Duration | Kind::List => format!(" {}", option.kind.name()),
    };
    let default = match option.default {
        "" | "[]" | "false" => String::new(),
        default => format!(" (default {default})"),
    };
    let _ = writeln!(out, "  --{}{value}", option.flag);
    let mut line = String::new();
    for word in option.help.split_whitespace().chain(default.split_whitespace()) {
        if !line.is_empty() && INDENT + line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(out, "{:INDENT$}{line}", "");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(out, "{:INDENT$}{line}", "");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_stands_there_but_the_hidden_ones() {
        let text = text();
        for option in table::all() {
            let line = format!("  --{}", option.flag);
            let there = text.lines().any(|l| l == line || l.starts_with(&format!("{line} ")));
            assert_eq!(there, !option.hidden, "{}", option.flag);
        }
        assert!(text.lines().all(|line| line.len() <= 140), "no line runs away");
    }
}
