//! Option table: listeners, health paths and the gateway in front.

use crate::config::option::Kind::{Bool, List, Text};
use crate::config::option::Opt;

/// Rows of this part of the table.
pub(super) const ROWS: &[Opt] = &[
    Opt::oauth2_proxy("metrics_address", "metrics-address", Text, "").help("host:port of the plain-HTTP Prometheus listener; empty = off"),
    Opt::oauth2_proxy("metrics_secure_address", "metrics-secure-address", Text, "").help("host:port of the HTTPS Prometheus listener"),
    Opt::oauth2_proxy("metrics_tls_cert_file", "metrics-tls-cert-file", Text, "").help("PEM certificate for the HTTPS metrics listener"),
    Opt::oauth2_proxy("metrics_tls_key_file", "metrics-tls-key-file", Text, "").help("PEM key for the HTTPS metrics listener"),
    Opt::oauth2_proxy("http_address", "http-address", Text, "127.0.0.1:4180").help("Plain listener: [http://]host:port, unix://path[,mode=0777], fd:N (systemd), \"-\" or empty = off; ignored when TLS cert/key set"),
    Opt::oauth2_proxy("https_address", "https-address", Text, ":443").help("TLS listener, used only if tls_cert_file or tls_key_file is set"),
    Opt::oauth2_proxy("tls_cert_file", "tls-cert-file", Text, "").help("PEM certificate for the service listener (switches service to HTTPS only)"),
    Opt::oauth2_proxy("tls_key_file", "tls-key-file", Text, "").help("PEM key for the service listener"),
    Opt::oauth2_proxy("tls_min_version", "tls-min-version", Text, "").help("TLS1.2 or TLS1.3; empty means TLS1.2"),
    Opt::oauth2_proxy("tls_cipher_suites", "tls-cipher-suite", List, "[]").help("Go cipher-suite names allowed for TLS1.2; empty = library default").remark("Of the suites with forward secrecy and authenticated encryption; those of TLS 1.3 are always on."),
    Opt::oauth2_proxy("proxy_prefix", "proxy-prefix", Text, "/oauth2").help("Root of own endpoints"),
    Opt::oauth2_proxy("ping_path", "ping-path", Text, "/ping").help("Liveness path (exact escaped path)"),
    Opt::oauth2_proxy("ping_user_agent", "ping-user-agent", Text, "").help("If set, ping_path answers only for this exact User-Agent"),
    Opt::oauth2_proxy("ready_path", "ready-path", Text, "/ready").help("Readiness path (checks the session store)"),
    Opt::oauth2_proxy("reverse_proxy", "reverse-proxy", Bool, "false").help("Trust X-Forwarded-* and the real-IP header (subject to trusted_proxy_ips)").remark("Forwarded headers count only from trusted_proxy_ips, or from private addresses while that is unset."),
    Opt::oauth2_proxy("real_client_ip_header", "real-client-ip-header", Text, "X-Real-IP").help("X-Forwarded-For, X-Real-IP, X-ProxyUser-IP, X-Envoy-External-Address or CF-Connecting-IP; first comma item used").remark("Read from trusted sources only, from the right; with gateway set, that gateway's own header counts instead."),
    Opt::oauth2_proxy("trusted_proxy_ips", "trusted-proxy-ip", List, "[]").help("Peers whose X-Forwarded-* count; unset with reverse_proxy = everyone, with a warning").remark("Rules that open without a login believe a forwarded header only where this or gateway is given; with gateway alone, from every private address."),
    Opt::oauth2_proxy("force_https", "force-https", Bool, "false").help("308 to https for non-https requests").remark("The auth endpoint answers checks all the same: a redirect there would break every site."),
    Opt::oauth2_proxy("allow_query_semicolons", "allow-query-semicolons", Bool, "false").help("Treat ; in queries as Go did before 1.17 (as &)"),
    Opt::oauth2_proxy("gcp_healthchecks", "gcp-healthchecks", Bool, "false").help("Deprecated: adds /liveness_check and /readiness_check, all health paths then need UA GoogleHC/1.0 (or ping_user_agent)"),
];
