//! Option table: Conclave's own.

use crate::config::option::Kind::{Duration, Int, List, Text};
use crate::config::option::Opt;

/// Rows of this part of the table.
pub(super) const ROWS: &[Opt] = &[
    Opt::conclave("peers", "peers", List, "[]")
        .help("All replicas, this one included, as HOST[:PORT] with stable names; empty = a cluster of one"),
    Opt::conclave("self", "self", Text, "").help("This replica's own name among the peers"),
    Opt::conclave("peer_address", "peer-address", Text, "127.0.0.1:4181")
        .help("IP:PORT of the listener for the other replicas; always mutual TLS"),
    Opt::conclave("data_dir", "data-dir", Text, "/var/lib/conclave")
        .help("Directory of the replicated store; a cluster of one that cannot write there takes a temporary one"),
    Opt::conclave("admin_address", "admin-address", Text, "127.0.0.1:4182")
        .help("host:port or unix://path of the listener for operators and metrics; \"-\" or empty = off"),
    Opt::conclave("admin_hosts", "admin-hosts", List, "[]").help(
        "Further names under which operators reach the admin listener, without a port: commands, /status and /state-hash \
         want a Host that is loopback, the admin address or one of these",
    ),
    Opt::conclave("auth_address", "auth-address", Text, "").help(
        "[http:// or https://]host:port or unix://path of a listener for gateways that answers the auth endpoint alone; \
         with TLS where the service has a certificate, unless it says http://. Only there do answers carry the \
         secrets of header rules. \"-\" or empty = off",
    ),
    Opt::conclave("gateway", "gateway", Text, "").help(
        "Kind of gateway in front: ingress-nginx, nginx (a plain one with the block of docs/operating.md), traefik, \
         caddy, envoy or haproxy; says which headers name the original request. Empty = as oauth2-proxy",
    ),
    Opt::conclave("max_staleness", "max-staleness", Duration, "1m").help(
        "Longest time a replica without a leader goes on answering for sessions; after a sign-out no replica allows \
         a check later than this",
    ),
    Opt::conclave("fail_open_max", "fail-open-max", Duration, "0s")
        .help("Added to max_staleness while no leader can be asked; weakens sign-out by as much"),
    Opt::conclave("sessions_per_person", "sessions-per-person", Int, "1000").help(
        "Most sessions of one person; a login beyond them ends the oldest ones, at most 16 at a time. 0 = no limit",
    ),
    Opt::conclave("raft_timeouts", "raft-timeouts", Text, "lan")
        .help("Heartbeat and election times: lan, or wide-area for round trips of up to 600 ms"),
    Opt::conclave("drain_delay", "drain-delay", Duration, "10s")
        .help("How long to go on accepting after going unready, before stopping"),
    Opt::conclave("list_separator_in_values", "list-separator-in-values", Text, "omit").help(
        "What becomes of a group, or another claim's value, that cannot stand in a header as it is: a comma in a value \
         of a list, control characters, blanks at its ends, an empty value of a list. omit: the header lacks it, which \
         the log and conclave_claim_values_left_out_total say. encode: its offending bytes, and each %, as %XX; \
         applications have to decode every value. refuse: the login is refused. as-oauth2-proxy: commas stay, line \
         breaks become blanks, blanks at the ends go, of user, e-mail and preferred user name too. With the others \
         these three reach applications as they are, or the login is refused",
    ),
    Opt::conclave("auth_ok_status", "auth-ok-status", Int, "202")
        .help("Status of an allowed check on the auth endpoint: 202, or 200 for gateways that need it"),
    Opt::conclave("deployment_notices", "deployment-notices", Text, "").help(
        "What the chart that started this process ignored or changed, one sentence a line; said in the log at start",
    ),
    Opt::conclave("cookie_secret_previous", "cookie-secret-previous", List, "[]")
        .help("Older cookie secrets that are still accepted while cookie_secret is being changed")
        .secret(),
    Opt::conclave("log_format", "log-format", Text, "text").help("Form of log lines: text or json"),
    Opt::conclave("log_level", "log-level", Text, "info")
        .help("error, warn, info, debug or trace, or a filter such as info,conclave=debug"),
    Opt::conclave("snapshot_log_bytes", "snapshot-log-bytes", Int, "67108864")
        .help("Build a snapshot after so many bytes of log"),
    Opt::conclave("snapshot_min_interval", "snapshot-min-interval", Duration, "10m")
        .help("Build snapshots at most this often")
        .hidden(),
];
