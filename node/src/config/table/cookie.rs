//! Option table: session and login cookies.

use crate::config::option::Kind::{Bool, Duration, Int, List, Text};
use crate::config::option::Opt;

/// Rows of this part of the table.
pub(super) const ROWS: &[Opt] = &[
    Opt::oauth2_proxy("cookie_name", "cookie-name", Text, "_oauth2_proxy")
        .help("Session cookie name; also redis key prefix and HMAC input"),
    Opt::oauth2_proxy("cookie_secret", "cookie-secret", Text, "")
        .help("16/24/32 bytes raw or base64url; required (or file)")
        .secret(),
    Opt::oauth2_proxy("cookie_secret_file", "cookie-secret-file", Text, "")
        .help("File with raw secret, re-read on every use")
        .remark("White space around the secret, such as a newline at the end, does not count."),
    Opt::oauth2_proxy("cookie_domains", "cookie-domain", List, "[]")
        .help("Candidate Domain values; longest suffix match on request host, else shortest"),
    Opt::oauth2_proxy("cookie_path", "cookie-path", Text, "/").help("Path attribute"),
    Opt::oauth2_proxy("cookie_expire", "cookie-expire", Duration, "168h")
        .help("Max-Age, signature age limit and store TTL; 0 = browser-session cookie with no expiry check")
        .remark("With 0 the cookie lasts as long as the browser, and the session 400 days."),
    Opt::oauth2_proxy("cookie_secure", "cookie-secure", Bool, "true")
        .help("Secure attribute; also forces https in derived redirect_uri"),
    Opt::oauth2_proxy("cookie_httponly", "cookie-httponly", Bool, "true").help("HttpOnly attribute"),
    Opt::oauth2_proxy("cookie_samesite", "cookie-samesite", Text, "")
        .help("lax, strict, none or empty (attribute omitted)"),
    Opt::oauth2_proxy("cookie_csrf_per_request", "cookie-csrf-per-request", Bool, "false")
        .help("Distinct CSRF cookie per login attempt")
        .mapped("Always on: each login attempt has its own cookie."),
    Opt::oauth2_proxy("cookie_csrf_per_request_limit", "cookie-csrf-per-request-limit", Int, "0")
        .help("Delete oldest CSRF cookies above this count (0 = no limit)")
        .mapped("Bounds the login cookies within 5, the most that are kept."),
    Opt::oauth2_proxy("cookie_csrf_expire", "cookie-csrf-expire", Duration, "15m")
        .help("Max-Age and validity of the CSRF cookie")
        .mapped("Bounds a login within 15 minutes, the longest that is kept."),
    Opt::oauth2_proxy("cookie_csrf_samesite", "cookie-csrf-samesite", Text, "")
        .help("SameSite for CSRF cookie; empty = cookie_samesite"),
];
