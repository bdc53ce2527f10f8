//! Logs, and the forms of log lines.

use conclave_proto::logline::{LineKind, Template};
use conclave_proto::time::Ttl;

use super::{Findings, Settings};
use crate::config::{LineForms, LogFileConfig, LogFormat, LoggingConfig, table};

/// Megabytes of a log file where none are given, as in oauth2-proxy.
const DEFAULT_FILE_MEGABYTES: i64 = 100;

const MEGABYTE: usize = 1024 * 1024;
const SECONDS_PER_DAY: u64 = 86_400;

/// What is logged and how.
pub(super) fn logging(settings: &Settings, findings: &mut Findings) -> Option<LoggingConfig> {
    let forms = forms(settings, findings);
    let file = file(settings, findings);
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
        local_time: settings.flag("logging_local_time"),
        errors_to_out: settings.flag("errors_to_info_log"),
        file: file?,
        forms: forms?,
    })
}

/// The file and its limits. The outer option is empty after a problem.
#[expect(clippy::option_option, reason = "none and wrong are two things")]
fn file(settings: &Settings, findings: &mut Findings) -> Option<Option<LogFileConfig>> {
    let Some(path) = settings.some_path("logging_filename") else { return Some(None) };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        findings.problem("logging_filename", format!("the folder of {} is not there", path.display()));
        return None;
    }
    let megabytes = match settings.int("logging_max_size") {
        0 => DEFAULT_FILE_MEGABYTES,
        given => given,
    };
    let max_bytes = count("logging_max_size", megabytes, findings).map(|size| size.saturating_mul(MEGABYTE));
    let days = count("logging_max_age", settings.int("logging_max_age"), findings)?;
    let max_age = (days > 0).then(|| Ttl::from_secs((days as u64).saturating_mul(SECONDS_PER_DAY)));
    let max_backups = count("logging_max_backups", settings.int("logging_max_backups"), findings);
    let compress = settings.flag("logging_compress");
    Some(Some(LogFileConfig { path, max_bytes: max_bytes?, max_age, max_backups: max_backups?, compress }))
}

fn count(name: &'static str, given: i64, findings: &mut Findings) -> Option<usize> {
    findings.take(name, usize::try_from(given).map_err(|_| "must not be negative"))
}

fn forms(settings: &Settings, findings: &mut Findings) -> Option<LineForms> {
    let mut form = |name, kind| findings.take(name, Template::parse(settings.text(name), kind));
    let standard = form("standard_logging_format", LineKind::Standard);
    let auth = form("auth_logging_format", LineKind::Auth);
    let request = form("request_logging_format", LineKind::Request);
    Some(LineForms { standard: standard?, auth: auth?, request: request? })
}

/// Those of the option table.
impl Default for LineForms {
    fn default() -> Self {
        let form = |name, kind| {
            let text = table::by_name(name).map_or("", |option| option.default);
            Template::parse(text, kind).expect("the table's templates are sound, which a test holds")
        };
        Self {
            standard: form("standard_logging_format", LineKind::Standard),
            auth: form("auth_logging_format", LineKind::Auth),
            request: form("request_logging_format", LineKind::Request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;

    fn built(args: &[&str]) -> (Option<LoggingConfig>, Findings) {
        let mut findings = Findings::default();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let settings = Settings::load(&args, &|_| None, &mut findings);
        let config = logging(&settings, &mut findings);
        (config, findings)
    }

    #[test]
    fn the_defaults_are_oauth2_proxys() {
        let config = built(&[]).0.expect("built");
        assert!(config.requests && config.auth && config.standard && config.local_time && config.file.is_none());
        let forms = LineForms::default();
        assert_eq!((&config.forms.request, &config.forms.auth), (&forms.request, &forms.auth));
    }

    #[test]
    fn a_file_has_its_limits() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.log");
        let flag = format!("--logging-filename={}", path.display());
        let file =
            built(&[&flag, "--logging-max-size=0", "--logging-max-age=0"]).0.expect("built").file.expect("a file");
        assert_eq!((file.max_bytes, file.max_age, file.path.as_path()), (100 * MEGABYTE, None, path.as_path()));
        for wrong in ["--logging-max-size=-1", "--logging-max-age=-1", "--logging-max-backups=-1"] {
            assert!(built(&[&flag, wrong]).0.is_none(), "{wrong}");
        }
        assert!(built(&[&format!("--logging-filename={}/missing/a.log", dir.path().display())]).0.is_none());
    }

    #[test]
    fn templates_that_cannot_be_served_are_named() {
        for name in ["standard", "auth", "request"] {
            let (config, findings) = built(&[&format!("--{name}-logging-format={{{{printf .Message}}}}")]);
            assert!(config.is_none());
            let error = findings.finish(config).map(|_| ()).expect_err("refused").to_string();
            assert!(error.contains(&format!("`{name}_logging_format`")) && error.contains("printf"), "{error}");
        }
    }
}
