//! Log lines: text in oauth2-proxy's forms, or JSON. No line holds a token, ticket, code or state; only
//! request lines and those about logins and refusals name people, by what the provider says of them.

use std::io;
use std::panic::PanicHookInfo;

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::audit;
use crate::config::{LogFormat, LoggingConfig};

mod file;
mod output;
pub mod stamp;
mod text;

pub use file::LogFile;
pub use output::{Lines, Stream};

/// The target of request lines; nothing else has it.
pub const REQUESTS: &str = "conclave::requests";

/// Raft's library reports every lost heartbeat to every peer; our own lines say once that a peer is gone.
const QUIET_LIBRARIES: &str = "openraft=off,sled=warn";

/// Where somebody looks for the cause of something, the libraries may speak.
const SPEAKING_LIBRARIES: &str = "openraft=info,sled=info";

/// Why no log can be written.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file.
    #[error("cannot write to {path} (logging_filename): {source}")]
    File {
        /// Which.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The thread that writes.
    #[error("the thread that writes the log does not start: {0}")]
    Thread(#[source] io::Error),
}

/// Starts logging for the whole process. A second call changes nothing of what was started.
pub fn start(config: &LoggingConfig) -> Result<Lines, LogError> {
    let file = config.file.clone().map(|file| {
        let path = file.path.display().to_string();
        LogFile::open(file, config.local_time).map_err(|source| LogError::File { path, source })
    });
    let lines = Lines::start(file.transpose()?).map_err(LogError::Thread)?;
    let filter = EnvFilter::builder().parse_lossy(directives(config));
    let events = output::Events { lines: lines.clone(), errors_to_out: config.errors_to_out };
    let builder = fmt().with_env_filter(filter).with_ansi(false).with_writer(events);
    // Another part of a test process may have started it already.
    let _ = match config.format {
        LogFormat::Text => {
            let (auth, standard) = (config.forms.auth.clone(), config.forms.standard.clone());
            builder.event_format(text::TextLines { auth, standard, local_time: config.local_time }).finish().try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).finish().try_init(),
    };
    Ok(lines)
}

/// The filter: a plain level gets the rules that make it bearable, a filter stands as it is given.
fn directives(config: &LoggingConfig) -> String {
    let mut parts = vec![config.level.clone()];
    if let Ok(level) = config.level.parse::<LevelFilter>() {
        if !config.standard {
            let others = [audit::TARGET, REQUESTS].map(|target| format!("{target}={level}"));
            parts = vec![level.min(LevelFilter::ERROR).to_string()];
            parts.extend(others);
        }
        let libraries = if level >= LevelFilter::DEBUG { SPEAKING_LIBRARIES } else { QUIET_LIBRARIES };
        parts.push(libraries.to_owned());
    }
    if !config.auth {
        parts.retain(|part| !part.starts_with(audit::TARGET));
        parts.push(format!("{}=off", audit::TARGET));
    }
    parts.join(",")
}

/// Makes a panic on any thread end the process, after a line that says where: a replica that lost a
/// thread would go on answering without knowing what it no longer does.
pub fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let text = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(%place, text, "panic: the process ends");
        eprintln!("panic at {place}: {text}");
        std::process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(level: &str, standard: bool, auth: bool) -> String {
        directives(&LoggingConfig { level: level.to_owned(), standard, auth, ..LoggingConfig::default() })
    }

    #[test]
    fn a_level_is_made_bearable_and_a_filter_stands() {
        assert_eq!(of("info", true, true), "info,openraft=off,sled=warn");
        assert_eq!(of("debug", true, true), "debug,openraft=info,sled=info");
        assert_eq!(of("warn,conclave=trace", true, true), "warn,conclave=trace");
    }

    #[test]
    fn parts_can_be_silenced() {
        assert_eq!(of("info", true, false), "info,openraft=off,sled=warn,conclave::audit=off");
        assert_eq!(
            of("info", false, true),
            "error,conclave::audit=info,conclave::requests=info,openraft=off,sled=warn"
        );
        assert_eq!(
            of("info", false, false),
            "error,conclave::requests=info,openraft=off,sled=warn,conclave::audit=off"
        );
        assert_eq!(of("off", false, true), "off,conclave::audit=off,conclave::requests=off,openraft=off,sled=warn");
    }
}
