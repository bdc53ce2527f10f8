//! Option table: the OpenID provider.

use crate::config::option::Kind::{Bool, List, Text};
use crate::config::option::Opt;

/// Rows of this part of the table.
pub(super) const ROWS: &[Opt] = &[
    Opt::oauth2_proxy("client_id", "client-id", Text, "").help("OAuth client identifier; required; also the expected audience"),
    Opt::oauth2_proxy("client_secret", "client-secret", Text, "").help("OAuth client secret; required unless client_secret_file, login.gov, or entra-id federated auth").secret(),
    Opt::oauth2_proxy("client_secret_file", "client-secret-file", Text, "").help("File re-read on every token call; used verbatim (no newline trim); ignored if client_secret set").remark("Read anew on each token call."),
    Opt::oauth2_proxy("provider", "provider", Text, "google").help("adfs azure bitbucket cidaas digitalocean entra-id facebook github gitlab google keycloak keycloak-oidc linkedin login.gov nextcloud oidc sourcehut").remark("oidc; google, keycloak-oidc and entra-id as generic OpenID Connect; the others are refused until they are served."),
    Opt::oauth2_proxy("provider_ca_files", "provider-ca-file", List, "[]").help("PEM CAs for calls to the provider (replaces system roots unless use_system_trust_store)"),
    Opt::oauth2_proxy("use_system_trust_store", "use-system-trust-store", Bool, "false").help("Add system roots to provider_ca_files"),
    Opt::oauth2_proxy("oidc_issuer_url", "oidc-issuer-url", Text, "").help("Issuer; discovery at <issuer>/.well-known/openid-configuration"),
    Opt::oauth2_proxy("insecure_oidc_allow_unverified_email", "insecure-oidc-allow-unverified-email", Bool, "false").help("Accept email_verified=false"),
    Opt::oauth2_proxy("insecure_oidc_skip_issuer_verification", "insecure-oidc-skip-issuer-verification", Bool, "false").help("Do not compare discovery issuer or token iss"),
    Opt::oauth2_proxy("insecure_oidc_skip_nonce", "insecure-oidc-skip-nonce", Bool, "true").help("true = neither send nor check nonce").remark("The nonce is checked unless this is set to true by name; oauth2-proxy leaves it out by default."),
    Opt::oauth2_proxy("skip_oidc_discovery", "skip-oidc-discovery", Bool, "false").help("Use login_url/redeem_url/oidc_jwks_url given by hand"),
    Opt::oauth2_proxy("oidc_jwks_url", "oidc-jwks-url", Text, "").help("Signing keys when discovery is skipped"),
    Opt::oauth2_proxy("oidc_email_claim", "oidc-email-claim", Text, "email").help("Claim (or dotted path) for session email; when not \"email\" the email_verified check is off"),
    Opt::oauth2_proxy("oidc_groups_claim", "oidc-groups-claim", Text, "groups").help("Claim (or dotted path) for session groups"),
    Opt::oauth2_proxy("oidc_audience_claims", "oidc-audience-claim", List, "[aud]").help("Claims tried in order as audience"),
    Opt::oauth2_proxy("oidc_extra_audiences", "oidc-extra-audience", List, "[]").help("Further accepted audience values"),
    Opt::oauth2_proxy("oidc_public_key_files", "oidc-public-key-file", List, "[]").help("PEM public keys instead of JWKS (with skip_oidc_discovery; excludes oidc_jwks_url)"),
    Opt::oauth2_proxy("oidc_enabled_signing_algs", "oidc-enabled-signing-alg", List, "[]").help("Accepted JWS algs, intersected with discovery list"),
    Opt::oauth2_proxy("login_url", "login-url", Text, "").help("Authorization endpoint (ignored when OIDC discovery runs)"),
    Opt::oauth2_proxy("auth_request_response_mode", "auth-request-response-mode", Text, "").help("response_mode sent to the IdP (docs misprint the toml key with hyphens)"),
    Opt::oauth2_proxy("redeem_url", "redeem-url", Text, "").help("Token endpoint (ignored when discovery runs)"),
    Opt::oauth2_proxy("profile_url", "profile-url", Text, "").help("Userinfo endpoint (ignored when discovery runs)"),
    Opt::oauth2_proxy("skip_claims_from_profile_url", "skip-claims-from-profile-url", Bool, "false").help("Never call userinfo for claims absent from the id_token"),
    Opt::oauth2_proxy("resource", "resource", Text, "").help("RFC8707-like resource (azure v1, adfs scope prefix, generic redeem)"),
    Opt::oauth2_proxy("validate_url", "validate-url", Text, "").help("Endpoint called to check an access token").later("Access tokens are not checked there yet; it matters to refreshing only."),
    Opt::oauth2_proxy("scope", "scope", Text, "").help("Scopes requested; provider default if empty (\"openid email profile\", plus \" groups\" if allowed_groups set, for oidc)"),
    Opt::oauth2_proxy("prompt", "prompt", Text, "").help("prompt= parameter; suppresses approval_prompt"),
    Opt::oauth2_proxy("approval_prompt", "approval-prompt", Text, "force").help("approval_prompt= parameter; even if emptied, falls back to force when prompt is empty"),
    Opt::oauth2_proxy("user_id_claim", "user-id-claim", Text, "email").help("Deprecated: when oidc_email_claim is default and this is not \"email\", it becomes the email claim").mapped("Becomes oidc_email_claim where that stands at its default."),
    Opt::oauth2_proxy("acr_values", "acr-values", Text, "").help("acr_values= parameter"),
    Opt::oauth2_proxy("code_challenge_method", "code-challenge-method", Text, "").help("PKCE: S256 or plain; empty = off even if discovery advertises it").remark("S256 is used wherever the provider allows it, given or not; plain only where it is asked for."),
    Opt::oauth2_proxy("force_code_challenge_method", "force-code-challenge-method", Text, "").help("Deprecated alias of code_challenge_method").mapped("Becomes code_challenge_method where that is empty."),
    Opt::oauth2_proxy("redirect_url", "redirect-url", Text, "").help("Full callback URL sent to the IdP; empty = derived from request host"),
    Opt::oauth2_proxy("relative_redirect_url", "relative-redirect-url", Bool, "false").help("Send redirect_url without adding scheme/host"),
    Opt::oauth2_proxy("ssl_insecure_skip_verify", "ssl-insecure-skip-verify", Bool, "false").help("Do not verify provider TLS certificates"),
    Opt::oauth2_proxy("encode_state", "encode-state", Bool, "false").help("base64url-encode the state parameter").ignored("The state is opaque and safe in a URL as it is."),
];
