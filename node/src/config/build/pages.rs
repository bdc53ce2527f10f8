//! Page templates: mistakes in them show at start.

use std::path::Path;

use super::{Findings, Settings};

/// The templates that a folder may hold.
const TEMPLATES: [&str; 2] = ["sign_in.html", "error.html"];

/// Words that an action of a template may begin with, and the functions that oauth2-proxy adds.
const ACTIONS: &[&str] = &[
    "define", "template", "block", "if", "else", "end", "range", "with", "break", "continue", "and", "or", "not", "eq",
    "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "print", "printf", "println", "html", "js", "urlquery",
    "call", "ToUpper", "ToLower",
];

/// Actions that an `end` closes.
const OPENERS: [&str; 5] = ["define", "block", "if", "range", "with"];

/// The templates.
pub(super) fn check(settings: &Settings, findings: &mut Findings) {
    let Some(folder) = settings.some_path("custom_templates_dir") else { return };
    for name in TEMPLATES {
        check_template_file(&folder.join(name), findings);
    }
}

/// A template that is not there is the one that comes with the program.
fn check_template_file(path: &Path, findings: &mut Findings) {
    if !path.is_file() {
        return;
    }
    let checked = std::fs::read_to_string(path).map_err(|error| error.to_string()).and_then(|text| balanced(&text));
    if let Err(why) = checked {
        findings.problem("custom_templates_dir", format!("{}: {why}", path.display()));
    }
}

/// Whether every action is closed, known and ended.
fn balanced(template: &str) -> Result<(), String> {
    let (mut rest, mut open) = (template, 0_usize);
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((inside, next)) = after.split_once("}}") else { return Err("{{ without }}".to_owned()) };
        rest = next;
        let inside = inside.trim_matches(|c: char| c == '-' || c.is_whitespace());
        let word: String = inside.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if inside.starts_with("/*") || word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        if !ACTIONS.contains(&word.as_str()) && !matches!(word.as_str(), "true" | "false" | "nil") {
            return Err(format!("no function {word:?}"));
        }
        if OPENERS.contains(&word.as_str()) {
            open += 1;
        } else if word == "end" {
            open = open.checked_sub(1).ok_or("an {{end}} ends nothing")?;
        }
    }
    if open == 0 { Ok(()) } else { Err(format!("{open} times {{{{end}}}} is missing")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_ended_and_of_known_functions() {
        for good in [
            "<p>",
            "{{define \"a\"}}{{if eq .A 1}}{{ .B }}{{else if .C}}{{ToUpper .D}}{{end}}{{- end -}}",
            "{{/* x */}}",
        ] {
            assert_eq!(balanced(good), Ok(()), "{good}");
        }
        for bad in ["{{if .A}}", "{{.A", "{{Title .A}}", "{{end}}"] {
            assert!(balanced(bad).is_err(), "{bad}");
        }
    }
}
