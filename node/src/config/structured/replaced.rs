//! Options that the structured file takes the place of.

/// Options of listeners, headers, upstreams and providers.
const NAMES: &[&str] = &[
    "metrics_address",
    "metrics_secure_address",
    "metrics_tls_cert_file",
    "metrics_tls_key_file",
    "http_address",
    "https_address",
    "tls_cert_file",
    "tls_key_file",
    "tls_min_version",
    "tls_cipher_suites",
    "flush_interval",
    "pass_host_header",
    "proxy_websockets",
    "ssl_upstream_insecure_skip_verify",
    "upstreams",
    "upstream_timeout",
    "disable_keep_alives",
    "pass_basic_auth",
    "pass_access_token",
    "pass_user_headers",
    "pass_authorization_header",
    "set_basic_auth",
    "set_xauthrequest",
    "set_authorization_header",
    "prefer_email_to_user",
    "basic_auth_password",
    "skip_auth_strip_headers",
    "client_id",
    "client_secret",
    "client_secret_file",
    "provider",
    "provider_display_name",
    "provider_ca_files",
    "use_system_trust_store",
    "login_url",
    "auth_request_response_mode",
    "redeem_url",
    "profile_url",
    "skip_claims_from_profile_url",
    "resource",
    "validate_url",
    "scope",
    "prompt",
    "approval_prompt",
    "user_id_claim",
    "allowed_groups",
    "allowed_roles",
    "acr_values",
    "code_challenge_method",
    "force_code_challenge_method",
    "backend_logout_url",
    "insecure_oidc_allow_unverified_email",
    "insecure_oidc_skip_issuer_verification",
    "insecure_oidc_skip_nonce",
    "skip_oidc_discovery",
    "jwt_key",
    "jwt_key_file",
    "pubjwk_url",
];

/// Particular providers' options by what they begin with.
const PREFIXES: &[&str] = &["oidc_", "azure_", "entra_id_", "bitbucket_", "github_", "gitlab_", "google_", "keycloak_"];

/// Whether an option is unknown beside a structured file.
pub fn is_replaced(option: &str) -> bool {
    NAMES.contains(&option) || PREFIXES.iter().any(|prefix| option.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table;

    #[test]
    fn every_name_is_an_options() {
        for name in NAMES {
            assert!(table::by_name(name).is_some(), "{name}");
        }
        assert!(is_replaced("github_org") && !is_replaced("cookie_name"));
    }
}
