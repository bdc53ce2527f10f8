//! Option table: what is proxied and how.

use crate::config::option::Kind::{Bool, Duration, List, Text};
use crate::config::option::Opt;

/// Rows of this part of the table.
pub(super) const ROWS: &[Opt] = &[
    Opt::oauth2_proxy("flush_interval", "flush-interval", Duration, "1s").help("How often a streamed upstream response is flushed to the client").later("Belongs to proxying upstreams, which is not served yet."),
    Opt::oauth2_proxy("pass_host_header", "pass-host-header", Bool, "true").help("Forward the client's Host header to the upstream (false = use upstream host)").later("Belongs to proxying upstreams, which is not served yet."),
    Opt::oauth2_proxy("proxy_websockets", "proxy-websockets", Bool, "true").help("Hand Upgrade: websocket requests to a websocket-capable reverse proxy").later("Belongs to proxying upstreams, which is not served yet."),
    Opt::oauth2_proxy("ssl_upstream_insecure_skip_verify", "ssl-upstream-insecure-skip-verify", Bool, "false").help("Do not verify upstream TLS certificates").later("Belongs to proxying upstreams, which is not served yet."),
    Opt::oauth2_proxy("upstreams", "upstream", List, "[]").help("Targets for authenticated traffic: http(s)://, unix://, file://[#path], static://CODE; path part selects the route. In auth_request setups usually static://202 or static://200").remark("static:// answers. Paths of http, https, unix and file upstreams are answered with 501 until proxying is served."),
    Opt::oauth2_proxy("upstream_timeout", "upstream-timeout", Duration, "30s").help("Longest wait for upstream response headers").later("Belongs to proxying upstreams, which is not served yet."),
    Opt::oauth2_proxy("disable_keep_alives", "disable-keep-alives", Bool, "false").help("Turn off connection reuse towards upstreams").later("Belongs to proxying upstreams, which is not served yet."),
    Opt::oauth2_proxy("signature_key", "signature-key", Text, "").help("Deprecated alg:key HMAC GAP-Signature on upstream requests").secret().later("Belongs to proxying upstreams, which is not served yet."),
];
