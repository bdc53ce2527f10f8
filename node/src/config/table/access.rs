//! Option table: who may come in, and what needs no login.

use crate::config::option::Kind::{Bool, List, Text};
use crate::config::option::Opt;

/// What rules on URLs are held against.
const PATH_RULE: &str = "Held against the decoded path, query left out. A path that two servers could read differently opens nothing, with `!=` either: `#`, `;`, `\\`, an encoded `?`, control characters, bytes that are not UTF-8, empty or dot segments, in any layer of encoding. An encoded slash opens only where the rule matches it as `/` and as it is written. `!=` opens every path but those that it names.";

/// Rows of this part of the table.
pub(super) const ROWS: &[Opt] = &[
    Opt::oauth2_proxy("allowed_groups", "allowed-group", List, "[]").help("Session must have at least one of these groups"),
    Opt::oauth2_proxy("allowed_roles", "allowed-role", List, "[]").help("keycloak-oidc: realm role \"r\" or client role \"client:r\", stored as group role:...").refused("Roles of provider keycloak-oidc are not read yet, so it is refused rather than passed over: use allowed_groups."),
    Opt::oauth2_proxy("trusted_ips", "trusted-ip", List, "[]").help("Client IPs/CIDRs that need no login").remark("Counts only addresses that trusted proxies vouch for."),
    Opt::oauth2_proxy("authenticated_emails_file", "authenticated-emails-file", Text, "").help("CSV file of allowed emails, reloaded on change"),
    Opt::oauth2_proxy("email_domains", "email-domain", List, "[]").help("Allowed email domains; * = all; .dom or *.dom = subdomains"),
    Opt::oauth2_proxy("whitelist_domains", "whitelist-domain", List, "[]").help("Hosts allowed as absolute redirect targets; .dom/*.dom subdomains; :port or :*"),
    Opt::oauth2_proxy("htpasswd_file", "htpasswd-file", Text, "").help("Static users (bcrypt or {SHA}), reloaded on change").remark("A hash of another kind, or of a cost over 16, is passed over with a warning."),
    Opt::oauth2_proxy("htpasswd_user_groups", "htpasswd-user-group", List, "[]").help("Groups given to htpasswd sessions"),
    Opt::oauth2_proxy("api_routes", "api-route", List, "[]").help("Regexes on request URI: unauthenticated gives 401 JSON instead of login page"),
    Opt::oauth2_proxy("skip_auth_regex", "skip-auth-regex", List, "[]").help("Deprecated path regexes open to everyone").remark(PATH_RULE),
    Opt::oauth2_proxy("skip_auth_routes", "skip-auth-route", List, "[]").help("[METHOD]=regex, METHOD!=regex, regex, !=regex: open paths (path only, no query/fragment)").remark(PATH_RULE),
    Opt::oauth2_proxy("skip_jwt_bearer_tokens", "skip-jwt-bearer-tokens", Bool, "false").help("Accept verified JWT bearer tokens as sessions"),
    Opt::oauth2_proxy("bearer_token_login_fallback", "bearer-token-login-fallback", Bool, "true").help("false = bad bearer token gives 403 at once"),
    Opt::oauth2_proxy("extra_jwt_issuers", "extra-jwt-issuers", List, "[]").help("issuer=audience pairs also accepted as bearer tokens"),
    Opt::oauth2_proxy("skip_auth_preflight", "skip-auth-preflight", Bool, "false").help("OPTIONS requests need no login"),
];
