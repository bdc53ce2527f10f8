//! Option table: sessions and the Redis that is not needed.

use crate::config::option::Kind::{Bool, Duration, Int, List, Text};
use crate::config::option::Opt;

/// Rows of this part of the table.
pub(super) const ROWS: &[Opt] = &[
    Opt::oauth2_proxy("backend_logout_url", "backend-logout-url", Text, "")
        .help("Server-side GET on sign-out; {id_token} replaced")
        .remark("Asked once the session has ended, for at most 5 seconds."),
    Opt::oauth2_proxy("cookie_refresh", "cookie-refresh", Duration, "0s")
        .help("Session age after which tokens are refreshed/validated; 0 = never; must be < cookie_expire")
        .later("Tokens are not refreshed yet: a session lives for cookie_expire."),
    Opt::oauth2_proxy("session_store_type", "session-store-type", Text, "cookie")
        .help("cookie or redis")
        .mapped("Whatever it says, sessions live in the cluster's own replicated store."),
    Opt::oauth2_proxy("session_cookie_minimal", "session-cookie-minimal", Bool, "false")
        .help("Cookie store: drop access/id/refresh tokens (not with cookie_refresh or token headers)")
        .mapped("The cookie is a ticket of at most 256 bytes in any case; sessions keep no tokens."),
    Opt::oauth2_proxy("redis_connection_url", "redis-connection-url", Text, "")
        .help("redis://, rediss:// or unix:// URL")
        .secret()
        .ignored("Not needed: sessions live in the cluster's own replicated store."),
    Opt::oauth2_proxy("redis_username", "redis-username", Text, "")
        .help("ACL user, overrides URL")
        .ignored("Not needed: sessions live in the cluster's own replicated store."),
    Opt::oauth2_proxy("redis_password", "redis-password", Text, "")
        .help("Password, overrides URL")
        .secret()
        .ignored("Not needed: sessions live in the cluster's own replicated store."),
    Opt::oauth2_proxy("redis_use_sentinel", "redis-use-sentinel", Bool, "false")
        .help("Connect through sentinels (excludes cluster)")
        .ignored("Not needed: sessions live in the cluster's own replicated store."),
    Opt::oauth2_proxy("redis_sentinel_password", "redis-sentinel-password", Text, "")
        .help("Password for sentinels only")
        .secret()
        .ignored("Not needed: sessions live in the cluster's own replicated store."),
    Opt::oauth2_proxy("redis_sentinel_master_name", "redis-sentinel-master-name", Text, "")
        .help("Sentinel master set name")
        .ignored("Not needed: sessions live in the cluster's own replicated store."),
    Opt::oauth2_proxy("redis_sentinel_connection_urls", "redis-sentinel-connection-urls", List, "[]")
        .help("Sentinel URLs (flag name is already plural)")
        .secret()
        .ignored("Not needed: sessions live in the cluster's own replicated store."),
    Opt::oauth2_proxy("redis_use_cluster", "redis-use-cluster", Bool, "false")
        .help("Redis Cluster client")
        .ignored("Not needed: sessions live in the cluster's own replicated store."),
    Opt::oauth2_proxy("redis_cluster_connection_urls", "redis-cluster-connection-urls", List, "[]")
        .help("Cluster node URLs (flag name is already plural)")
        .secret()
        .ignored("Not needed: sessions live in the cluster's own replicated store."),
    Opt::oauth2_proxy("redis_ca_path", "redis-ca-path", Text, "")
        .help("Extra CA PEM for redis TLS (added to system pool)")
        .ignored("Not needed: sessions live in the cluster's own replicated store."),
    Opt::oauth2_proxy("redis_insecure_skip_tls_verify", "redis-insecure-skip-tls-verify", Bool, "false")
        .help("Do not verify redis TLS")
        .ignored("Not needed: sessions live in the cluster's own replicated store."),
    Opt::oauth2_proxy("redis_connection_idle_timeout", "redis-connection-idle-timeout", Int, "0")
        .help("Idle connection seconds")
        .ignored("Not needed: sessions live in the cluster's own replicated store."),
];
