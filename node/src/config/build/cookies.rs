//! Session and login cookies.

use conclave_proto::cookie::{CookieAttributes, SameSite, UnmetPrefix, check_cookie_name};
use conclave_proto::login::LONGEST_LOGIN;
use conclave_proto::time::Ttl;

use super::{Findings, NANOS_PER_MILLI, NANOS_PER_SECOND, Settings};
use crate::config::CookieConfig;
use crate::config::headers::Claim;

/// Most login cookies at once: more would not fit into the headers that gateways let through.
const LOGIN_LIMIT: usize = 5;

/// Cookies of the site.
pub(super) fn cookies(settings: &Settings, findings: &mut Findings) -> Option<CookieConfig> {
    let name = settings.text("cookie_name").to_owned();
    findings.take("cookie_name", check_cookie_name(&name));
    let same_site = same_site("cookie_samesite", settings, findings);
    let login_same_site = match settings.text("cookie_csrf_samesite") {
        "" => same_site,
        _ => self::same_site("cookie_csrf_samesite", settings, findings),
    };
    let lifetime = lifetime(settings, findings);
    let login_expire = login_expire(settings, findings);
    let attributes = CookieAttributes {
        path: settings.text("cookie_path").to_owned(),
        domains: settings.items("cookie_domains"),
        secure: settings.flag("cookie_secure"),
        http_only: settings.flag("cookie_httponly"),
        same_site: same_site.unwrap_or_default(),
    };
    if let Err(error) = attributes.check() {
        use conclave_proto::cookie::InvalidCookieAttribute as Invalid;
        let option = match &error {
            Invalid::Path(_) => "cookie_path",
            Invalid::Domain(_) => "cookie_domains",
        };
        findings.problem(option, error.to_string());
    }
    for unmet in attributes.unmet_by(&name) {
        let option = match unmet {
            UnmetPrefix::Secure => "cookie_secure",
            UnmetPrefix::Path => "cookie_path",
            UnmetPrefix::Domain => "cookie_domains",
            UnmetPrefix::HttpOnly => "cookie_httponly",
        };
        findings.problem(option, format!("{unmet}: `cookie_name` is {name:?}, choose another one or set this"));
    }
    if attributes.same_site == Some(SameSite::None) && !attributes.secure {
        findings.warning("cookie_samesite", "none without cookie_secure: browsers drop such a cookie");
    }
    // Only now: every problem above is told at once.
    let attributes = CookieAttributes { same_site: same_site?, ..attributes };
    let login_attributes = CookieAttributes { same_site: login_same_site?, ..attributes.clone() };
    let (expire, refresh) = lifetime?;
    Some(CookieConfig {
        name,
        attributes,
        login_attributes,
        expire,
        refresh,
        login_expire,
        minimal: settings.flag("session_cookie_minimal"),
        login_limit: login_limit(settings),
    })
}

#[expect(clippy::option_option, reason = "no attribute and a wrong one are two things")]
fn same_site(name: &'static str, settings: &Settings, findings: &mut Findings) -> Option<Option<SameSite>> {
    match settings.text(name) {
        "" => Some(None),
        "lax" => Some(Some(SameSite::Lax)),
        "strict" => Some(Some(SameSite::Strict)),
        "none" => Some(Some(SameSite::None)),
        _ => {
            findings.problem(name, "must be lax, strict, none or empty");
            None
        }
    }
}

/// Lifetime and refresh age; the latter must be the shorter, unless the cookie has no end.
fn lifetime(settings: &Settings, findings: &mut Findings) -> Option<(Ttl, Ttl)> {
    let (expire, refresh) = (settings.nanos("cookie_expire"), settings.nanos("cookie_refresh"));
    for (name, nanos) in [("cookie_expire", expire), ("cookie_refresh", refresh)] {
        if nanos > 0 && nanos < NANOS_PER_SECOND {
            let text = "is less than a second: a bare number in the file means nanoseconds, write \"1h\"";
            findings.problem(name, text);
            return None;
        }
    }
    if expire != 0 && refresh >= expire {
        findings.problem("cookie_refresh", "must be shorter than `cookie_expire`, which must not be negative");
        return None;
    }
    if refresh < 0 {
        findings.problem("cookie_refresh", "must not be negative");
        return None;
    }
    let ttl = |nanos: i64| u64::try_from(nanos / NANOS_PER_MILLI).ok().map(Ttl::from_millis);
    Some((ttl(expire)?, ttl(refresh)?))
}

/// Zero and negative ones mean no login could succeed, or no limit: both become the longest.
fn login_expire(settings: &Settings, findings: &mut Findings) -> Ttl {
    let nanos = settings.nanos("cookie_csrf_expire");
    let asked = u64::try_from(nanos / NANOS_PER_MILLI).map_or(Ttl::ZERO, Ttl::from_millis);
    if nanos < NANOS_PER_SECOND {
        findings.warning("cookie_csrf_expire", "is less than a second: 15m is used");
        return LONGEST_LOGIN;
    }
    if asked > LONGEST_LOGIN {
        findings.warning("cookie_csrf_expire", "is longer than 15m, the longest that a login may take: 15m is used");
    }
    asked.min(LONGEST_LOGIN)
}

/// Zero means no limit in oauth2-proxy; ours is the limit then.
fn login_limit(settings: &Settings) -> usize {
    let asked = usize::try_from(settings.int("cookie_csrf_per_request_limit")).unwrap_or(0);
    if asked == 0 { LOGIN_LIMIT } else { asked.min(LOGIN_LIMIT) }
}

/// Both kinds are known words, and nothing else is.
pub(super) fn check_store(settings: &Settings, findings: &mut Findings) {
    let kind = settings.text("session_store_type");
    if !matches!(kind, "cookie" | "redis") {
        findings.problem("session_store_type", format!("{kind:?} is no session store: give cookie or redis"));
    }
}

/// A session without tokens cannot be refreshed, nor can its tokens be handed on.
pub(super) fn check_minimal_session(settings: &Settings, findings: &mut Findings) {
    if !settings.flag("session_cookie_minimal") {
        return;
    }
    if settings.nanos("cookie_refresh") > 0 {
        findings.problem("session_cookie_minimal", "keeps no tokens, while `cookie_refresh` needs them: unset one");
    }
    let rules = settings.structured().map(|structured| &structured.headers);
    if rules.is_some_and(|rules| rules.claims().any(Claim::is_token)) {
        findings.problem("session_cookie_minimal", "keeps no tokens, while a header rule hands one out: unset one");
    }
    for name in ["pass_access_token", "pass_authorization_header", "set_authorization_header"] {
        if settings.flag(name) {
            findings
                .problem("session_cookie_minimal", format!("keeps no tokens, while `{name}` needs them: unset one"));
        }
    }
}
