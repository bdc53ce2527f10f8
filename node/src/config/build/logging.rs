//! Logs, and the templates of log lines.

use super::{Findings, Settings};
use crate::config::{LogFormat, LoggingConfig};

/// Fields of oauth2-proxy's log lines.
const TEMPLATE_FIELDS: &[&str] = &[
    "Client",
    "File",
    "Host",
    "Message",
    "Protocol",
    "RequestDuration",
    "RequestID",
    "RequestMethod",
    "RequestURI",
    "ResponseSize",
    "Status",
    "StatusCode",
    "Timestamp",
    "Upstream",
    "UserAgent",
    "Username",
];

/// What is logged and how.
pub(super) fn logging(settings: &Settings, findings: &mut Findings) -> Option<LoggingConfig> {
    for name in ["auth_logging_format", "request_logging_format", "standard_logging_format"] {
        if let Err(text) = check_template(settings.text(name)) {
            findings.problem(name, text);
        }
    }
    check_log_file(settings, findings);
    let format = match settings.text("log_format") {
        "text" | "" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => {
            findings.problem("log_format", "must be text or json");
            None
        }
    };
    let level = settings.text("log_level").to_owned();
    // The library's parser cuts inside a character where it looks for a span after a letter beyond ASCII.
    if !level.is_ascii() {
        findings.problem("log_level", "holds more than ASCII: give error, warn, info, debug or trace");
    } else if let Err(error) = level.parse::<tracing_subscriber::EnvFilter>() {
        findings.problem("log_level", format!("{error}: give error, warn, info, debug or trace"));
    }
    Some(LoggingConfig {
        format: format?,
        level,
        standard: settings.flag("standard_logging"),
        auth: settings.flag("auth_logging"),
        requests: settings.flag("request_logging"),
        exclude_paths: settings.items("exclude_logging_paths"),
        silence_ping: settings.flag("silence_ping_logging"),
    })
}

/// Not written to, but a folder that is not there is a mistake in any case.
fn check_log_file(settings: &Settings, findings: &mut Findings) {
    let Some(path) = settings.some_path("logging_filename") else { return };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        findings.problem("logging_filename", format!("the folder of {} is not there", path.display()));
    }
}

/// The templates are Go's; fields in plain braces are what they are made of.
fn check_template(template: &str) -> Result<(), String> {
    let mut rest = template;
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((inside, next)) = after.split_once("}}") else {
            return Err("the template has {{ without }}".to_owned());
        };
        let inside = inside.trim_matches(|c: char| c == '-' || c.is_whitespace());
        if let Some(field) = inside.strip_prefix('.').filter(|field| !TEMPLATE_FIELDS.contains(field)) {
            return Err(format!("the template has no field {field:?}: there are {}", TEMPLATE_FIELDS.join(", ")));
        }
        rest = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_closed_and_of_known_fields() {
        assert!(check_template("[{{.Timestamp}}] {{- .Message -}} x").is_ok());
        assert!(check_template("{{.Message").is_err());
        assert!(check_template("{{.Nonesuch}}").is_err());
    }
}
