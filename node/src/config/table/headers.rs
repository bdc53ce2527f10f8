//! Option table: headers on answers and upstream requests.

use crate::config::option::Kind::{Bool, Text};
use crate::config::option::Opt;

/// Rows of this part of the table.
pub(super) const ROWS: &[Opt] = &[
    Opt::oauth2_proxy("pass_basic_auth", "pass-basic-auth", Bool, "true").help("Send Basic Authorization (only with basic_auth_password) and X-Forwarded-User/Email/Groups/Preferred-Username to the upstream request").later("Belongs to proxying upstreams, which is not served yet."),
    Opt::oauth2_proxy("pass_access_token", "pass-access-token", Bool, "false").help("Adds X-Forwarded-Access-Token to upstream; together with set_xauthrequest also X-Auth-Request-Access-Token on responses"),
    Opt::oauth2_proxy("pass_user_headers", "pass-user-headers", Bool, "true").help("Send X-Forwarded-User/Email/Groups/Preferred-Username to the upstream (implied by pass_basic_auth)").later("Belongs to proxying upstreams, which is not served yet."),
    Opt::oauth2_proxy("pass_authorization_header", "pass-authorization-header", Bool, "false").help("Send Authorization: Bearer <id_token> to the upstream").later("Belongs to proxying upstreams, which is not served yet."),
    Opt::oauth2_proxy("set_basic_auth", "set-basic-auth", Bool, "false").help("Response header Authorization: Basic base64(user:basic_auth_password)"),
    Opt::oauth2_proxy("set_xauthrequest", "set-xauthrequest", Bool, "false").help("Response headers X-Auth-Request-User, -Email, -Preferred-Username, -Groups for nginx auth_request_set"),
    Opt::oauth2_proxy("set_authorization_header", "set-authorization-header", Bool, "false").help("Response header Authorization: Bearer <id_token>"),
    Opt::oauth2_proxy("prefer_email_to_user", "prefer-email-to-user", Bool, "false").help("Use email instead of user for X-Forwarded-User and Basic username (X-Forwarded-Email is then dropped); htpasswd sessions get email=user"),
    Opt::oauth2_proxy("basic_auth_password", "basic-auth-password", Text, "").help("Password half of the generated Basic header").secret(),
    Opt::oauth2_proxy("skip_auth_strip_headers", "skip-auth-strip-headers", Bool, "true").help("Remove client-supplied copies of any header the proxy injects into the upstream request (dash/underscore/case-insensitive); false keeps them").later("Belongs to proxying upstreams, which is not served yet."),
];
