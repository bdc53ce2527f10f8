//! Reading the TOML file. Messages name lines and keys, never values, which may be secrets.

use std::collections::BTreeMap;
use std::path::Path;

use super::nearest::nearest;
use super::option::Opt;
use super::problem::Findings;
use super::table;
use super::value::Value;

/// Largest file that is read: far beyond any real one.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// A key that oauth2-proxy's documentation prints with dashes; it itself would refuse it.
const MISPRINTED_KEY: (&str, &str) = ("auth-request-response-mode", "auth_request_response_mode");

/// Values of the file by TOML name.
pub type FileValues = BTreeMap<&'static str, Value>;

/// Reads and checks the file.
pub fn read(path: &Path, findings: &mut Findings) -> FileValues {
    let place = path.display();
    let text = match std::fs::metadata(path).and_then(|meta| {
        if meta.len() > MAX_FILE_BYTES {
            return Err(std::io::Error::other("is larger than 4 MiB"));
        }
        std::fs::read_to_string(path)
    }) {
        Ok(text) => text,
        Err(error) => {
            findings.problem("config", format!("cannot read {place}: {error}"));
            return FileValues::new();
        }
    };
    match parse(&text) {
        Ok(table) => values(&table, findings),
        Err(error) => {
            findings.problem("config", format!("{place} is not TOML: {error}"));
            FileValues::new()
        }
    }
}

/// Reads the text, or says where it fails.
fn parse(text: &str) -> Result<toml::Table, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.parse::<toml::Table>().map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = text.get(..start).unwrap_or_default();
        let line_number = before.matches('\n').count() + 1;
        let line = text.lines().nth(line_number - 1).unwrap_or_default();
        let key = line.split(['=', ' ', '"']).next().unwrap_or_default();
        let key = table::by_name(key).map(|option| format!(" (`{}`)", option.name)).unwrap_or_default();
        format!("line {line_number}{key}: {}", error.message())
    })
}

/// Reads every key; all unknown ones are named.
fn values(table: &toml::Table, findings: &mut Findings) -> FileValues {
    let mut values = FileValues::new();
    for (key, raw) in table {
        let mut name = key.to_lowercase();
        if name == MISPRINTED_KEY.0 {
            findings.info(MISPRINTED_KEY.1, "written with dashes in the file; taken as documented");
            MISPRINTED_KEY.1.clone_into(&mut name);
        }
        let Some(option) = table::by_name(&name).filter(|option| option.in_file()) else {
            unknown(&name, findings);
            continue;
        };
        match Value::of_toml(option.kind, raw) {
            Ok(value) => {
                values.insert(option.name, value);
            }
            Err(error) => findings.problem(option.name, format!("{error} in the file")),
        }
    }
    values
}

fn unknown(name: &str, findings: &mut Findings) {
    let known = || table::all().filter(|option| option.in_file());
    let by_flag = known().find(|option| option.flag == name || option.flag.replace('-', "_") == name);
    let near: Option<&str> = by_flag.map(|option: &Opt| option.name);
    let hint = match near.or_else(|| nearest(name, known().map(|option| option.name))) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "see docs/options.md for all keys".to_owned(),
    };
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    findings.problem("config", format!("unknown key `{shown}` in the file: {hint}"));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::config::option::Kind;
    use crate::generated::{edited, edits};

    fn of(text: &str) -> (FileValues, String) {
        let mut findings = Findings::default();
        let values = match parse(text) {
            Ok(table) => values(&table, &mut findings),
            Err(error) => {
                findings.problem("config", error);
                FileValues::new()
            }
        };
        (values, findings.finish(None::<()>).expect_err("nothing is handed on").to_string())
    }

    #[test]
    fn keys_know_no_case_and_a_byte_order_mark_is_passed_over() {
        let (values, _) = of("\u{feff}PING_path = \"/p\"\r\n");
        assert!(values["ping_path"] == Value::Text("/p".to_owned()));
        let (values, text) = of("auth-request-response-mode = 'form_post'");
        assert!(values.contains_key("auth_request_response_mode"), "{text}");
    }

    #[test]
    fn every_unknown_key_is_named_with_the_nearest() {
        let (_, text) = of("email_domain = ['*']\ncookie-name = 'x'\nconfig = 'x'\n[providers]\nx = 1\n");
        for hint in ["did you mean `email_domains`?", "did you mean `cookie_name`?", "`config`", "`providers`"] {
            assert!(text.contains(hint), "{hint} in {text}");
        }
    }

    #[test]
    fn a_broken_line_is_named_without_its_value() {
        for broken in ["x", "client_secret = \"hunter2", "client_secret = hunter2", "client_secret hunter2"] {
            let (_, text) = of(&format!("cookie_name = 'a'\n{broken}\n"));
            assert!(text.contains("line 2") && !text.contains("hunter2"), "{text}");
        }
        assert!(of("cookie_name = 'a'\ncookie_name = 'b'\n").1.contains("`cookie_name`"));
    }

    const WORDS: [&str; 19] = [
        "\n",
        "=",
        "\"",
        "'",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        ",",
        "#",
        "\\",
        "\\u00",
        "true",
        "1e9",
        "1979-05-27",
        ".",
        "\r",
    ];

    fn lines(of: &[Index]) -> String {
        let options: Vec<&Opt> = table::all().filter(|option| option.in_file()).collect();
        let value = |option: &Opt| match option.kind {
            Kind::Bool => "true",
            Kind::Int => "200",
            Kind::Text => "\"text\"",
            Kind::Duration => "\"1h30m\"",
            Kind::List => "[\"a\", \"b\"]",
        };
        let line = |option: &&Opt| format!("{} = {}\n", option.name, value(option));
        of.iter().map(|index| line(index.get(&options))).collect()
    }

    proptest! {
        #![proptest_config(crate::generated::config())]

        #[test]
        fn generated_inputs_are_read_or_refused(of in prop::collection::vec(any::<Index>(), 1..5), edits in edits(&WORDS)) {
            let valid = lines(&of);
            prop_assert!(of.len() > 1 || parse(&valid).is_ok(), "{}", valid);
            let mut findings = Findings::default();
            match parse(&edited(&valid, &edits)) {
                Ok(table) => drop(values(&table, &mut findings)),
                Err(error) => prop_assert!(error.starts_with("line "), "{}", error),
            }
        }
    }
}
