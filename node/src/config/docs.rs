//! `docs/options.md`, from the option table.

use std::fmt::Write;

use super::option::{Family, Opt};
use super::table;

const INTRODUCTION: &str = "\
# Options

Made from the option table in the code by `conclave print-options`; do not edit.

Every option is a flag, a variable and a TOML key. A flag counts over a variable, a variable over the file
(`--config FILE`), the file over the default. An empty variable counts as unset. Lists: a flag may repeat and takes
commas (quotes keep one: `'\"a,b\"'`), a variable is split at commas, an array in the file stands as it is. Durations are
Go's: `15m`, `1h30m`, `168h`. `conclave check-config [FLAGS]` says what becomes of each option that is given.

The last column says what Conclave does with an option: honoured, mapped to something else, ignored because it is not
needed, refused, or not yet (read and checked, and without effect so far).
";

/// The whole page.
pub fn page() -> String {
    let mut out = INTRODUCTION.to_owned();
    for section in table::SECTIONS {
        let mut rows = section.rows.iter().filter(|option| !option.hidden).peekable();
        if rows.peek().is_some() {
            let _ = write!(out, "\n## {}\n\n", section.title);
            out.push_str("| Option | Variable | Type | Default | Meaning | Standing |\n|---|---|---|---|---|---|\n");
        }
        rows.for_each(|option| row(&mut out, option));
    }
    out
}

fn row(out: &mut String, option: &Opt) {
    let names = match option.family {
        Family::FlagOnly => format!("`--{}`", option.flag),
        Family::Oauth2Proxy | Family::Conclave => format!("`{}`<br>`--{}`", option.name, option.flag),
    };
    let variable = option.variable().map_or_else(|| "-".to_owned(), |name| format!("`{name}`"));
    let default = if matches!(option.default, "" | "[]") { "-".to_owned() } else { format!("`{}`", option.default) };
    let standing = match option.standing.sentence() {
        "" => option.standing.word().to_owned(),
        sentence => format!("{}: {sentence}", option.standing.word()),
    };
    let cells = [names, variable, option.kind.name().to_owned(), default, option.help.to_owned(), standing];
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/options.md");
        let stored = std::fs::read_to_string(path).expect("docs/options.md");
        assert!(stored == page(), "docs/options.md is old: cargo run -- print-options > docs/options.md");
    }
}
