//! Option table: logs.

use crate::config::option::Kind::{Bool, Int, List, Text};
use crate::config::option::Opt;

/// Rows of this part of the table.
pub(super) const ROWS: &[Opt] = &[
    Opt::oauth2_proxy("auth_logging", "auth-logging", Bool, "true").help("Log authentication outcomes"),
    Opt::oauth2_proxy("auth_logging_format", "auth-logging-format", Text, "{{.Client}} - {{.RequestID}} - {{.Username}} [{{.Timestamp}}] [{{.Status}}] {{.Message}}").help("Go text/template for auth lines").remark("Of Go's templates: text, fields, {{if .Field}} with {{else}} and {{end}}, trim marks. With log_format=json the fields stand in JSON."),
    Opt::oauth2_proxy("request_logging", "request-logging", Bool, "true").help("Log each HTTP request").remark("Values of code, state and tokens in the URI are left out. A log that is read too slowly loses request lines, counted in conclave_log_lines_dropped_total."),
    Opt::oauth2_proxy("request_logging_format", "request-logging-format", Text, "{{.Client}} - {{.RequestID}} - {{.Username}} [{{.Timestamp}}] {{.Host}} {{.RequestMethod}} {{.Upstream}} {{.RequestURI}} {{.Protocol}} {{.UserAgent}} {{.StatusCode}} {{.ResponseSize}} {{.RequestDuration}}").help("Go text/template for request lines").remark("Of Go's templates: text, fields, {{if .Field}} with {{else}} and {{end}}, trim marks. With log_format=json the fields stand in JSON."),
    Opt::oauth2_proxy("standard_logging", "standard-logging", Bool, "true").help("Log runtime messages"),
    Opt::oauth2_proxy("standard_logging_format", "standard-logging-format", Text, "[{{.Timestamp}}] [{{.File}}] {{.Message}}").help("Go text/template for runtime lines").remark("Of Go's templates: text, fields, {{if .Field}} with {{else}} and {{end}}, trim marks. With log_format=json the fields stand in JSON."),
    Opt::oauth2_proxy("errors_to_info_log", "errors-to-info-log", Bool, "false").help("Write errors to stdout channel instead of stderr"),
    Opt::oauth2_proxy("exclude_logging_paths", "exclude-logging-path", List, "[]").help("Exact paths not request-logged"),
    Opt::oauth2_proxy("logging_local_time", "logging-local-time", Bool, "true").help("Local time (true) or UTC in logs and rotated names").remark("Of text lines; JSON has UTC with its zone."),
    Opt::oauth2_proxy("silence_ping_logging", "silence-ping-logging", Bool, "false").help("Do not request-log ping and ready"),
    Opt::oauth2_proxy("request_id_header", "request-id-header", Text, "X-Request-Id").help("Header used as request id (else random UUID)"),
    Opt::oauth2_proxy("logging_filename", "logging-filename", Text, "").help("Log file; empty = stdout/stderr"),
    Opt::oauth2_proxy("logging_max_size", "logging-max-size", Int, "100").help("Rotate at this many MB"),
    Opt::oauth2_proxy("logging_max_age", "logging-max-age", Int, "7").help("Days to keep rotated files"),
    Opt::oauth2_proxy("logging_max_backups", "logging-max-backups", Int, "0").help("Rotated files kept; 0 = no limit by count"),
    Opt::oauth2_proxy("logging_compress", "logging-compress", Bool, "false").help("gzip rotated files"),
];
