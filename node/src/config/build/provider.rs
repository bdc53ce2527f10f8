//! The OpenID provider.

use std::path::PathBuf;

use conclave_proto::id::ProviderId;
use conclave_proto::login::LoginParameter;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use url::Url;

use super::{Findings, Settings, readable};
use crate::config::{
    ClaimRules, EndpointOverrides, PkceMode, ProviderConfig, ProviderKind, Secret, SecretSource, VerificationRules,
};

/// Served as generic OpenID Connect.
const GENERIC: [&str; 4] = ["oidc", "google", "keycloak-oidc", "entra-id"];

/// Known from oauth2-proxy and not served yet.
const UNSERVED: [&str; 13] = [
    "adfs",
    "azure",
    "bitbucket",
    "cidaas",
    "digitalocean",
    "facebook",
    "github",
    "gitlab",
    "keycloak",
    "linkedin",
    "login.gov",
    "nextcloud",
    "sourcehut",
];

/// Where provider google is found.
const GOOGLE_ISSUER: &str = "https://accounts.google.com";

/// Names of JWS algorithms.
const SIGNING_ALGS: [&str; 13] = [
    "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512",
];

/// What a file of a public key begins with somewhere.
const PUBLIC_KEY_HEADINGS: [&str; 3] =
    ["-----BEGIN PUBLIC KEY-----", "-----BEGIN RSA PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----"];

/// The one provider that options can describe.
pub(super) fn provider(settings: &Settings, findings: &mut Findings) -> Option<ProviderConfig> {
    let kind = kind(settings, findings);
    check_google(settings, findings);
    let several = settings.structured().is_some_and(|structured| structured.several_providers);
    if several && settings.flag("skip_provider_button") {
        findings.problem("skip_provider_button", "leaves nobody to choose between several providers: unset it");
    }
    check_keys_of_others(settings, findings);
    if settings.text("client_id").is_empty() {
        findings.problem("client_id", "is missing: give the client that the provider knows you as");
    }
    let client_secret = client_secret(settings, findings);
    let issuer_url = issuer(settings, findings);
    let endpoints = endpoints(settings, findings);
    if let Some(issuer) = &issuer_url {
        name_unencrypted(issuer, &endpoints, findings);
    }
    let verification = verification(settings, findings);
    let ca_files = ca_files(settings, findings);
    let pkce = pkce(settings, findings);
    let resource = url_option("resource", settings, findings);
    Some(ProviderConfig {
        id: id(settings),
        kind: kind?,
        display_name: settings.some_text("provider_display_name").unwrap_or_else(|| default_display_name(settings)),
        issuer_url: issuer_url?,
        client_id: settings.text("client_id").to_owned(),
        client_secret,
        scope: settings.some_text("scope").unwrap_or_else(|| default_scope(settings)),
        login_parameters: login_parameters(settings),
        response_mode: settings.some_text("auth_request_response_mode"),
        resource,
        pkce: pkce?,
        claims: claims(settings),
        endpoints,
        verification,
        ca_files: ca_files?,
        use_system_trust_store: settings.flag("use_system_trust_store"),
        insecure_skip_tls_verify: settings.flag("ssl_insecure_skip_verify"),
    })
}

/// The structured file's `id`, or the default.
pub(super) fn id(settings: &Settings) -> ProviderId {
    settings.structured().and_then(|structured| structured.provider_id.clone()).unwrap_or_default()
}

fn login_parameters(settings: &Settings) -> Vec<LoginParameter> {
    if let Some(structured) = settings.structured() {
        return structured.login_parameters.clone();
    }
    let prompt = settings.some_text("prompt").map(|prompt| LoginParameter::fixed("prompt", prompt));
    let approval = || settings.some_text("approval_prompt").unwrap_or_else(|| "force".to_owned());
    let mut parameters = vec![prompt.unwrap_or_else(|| LoginParameter::fixed("approval_prompt", approval()))];
    parameters.extend(settings.some_text("acr_values").map(|acr| LoginParameter::fixed("acr_values", acr)));
    parameters
}

fn kind(settings: &Settings, findings: &mut Findings) -> Option<ProviderKind> {
    let name = settings.text("provider");
    if GENERIC.contains(&name) {
        if name != "oidc" {
            findings.warning("provider", format!("{name} is served as generic OpenID Connect, without its specials"));
        }
        return Some(ProviderKind::Oidc);
    }
    if UNSERVED.contains(&name) {
        let text = format!(
            "{name} is not served yet: where it speaks OpenID Connect use provider=oidc with its issuer, otherwise put \
             an OpenID provider such as Dex in between"
        );
        findings.problem("provider", text);
    } else {
        findings.problem("provider", format!("{name:?} is no provider: give one of {}", GENERIC.join(", ")));
    }
    None
}

/// Credentials and administrator go together, and there is one kind of credentials.
fn check_google(settings: &Settings, findings: &mut Findings) {
    if settings.text("provider") != "google" {
        return;
    }
    let admin = !settings.text("google_admin_email").is_empty();
    let key = settings.some_path("google_service_account_json");
    let ambient = settings.flag("google_use_application_default_credentials");
    if key.is_some() && ambient {
        let text = "and `google_use_application_default_credentials` are two kinds of credentials: choose one";
        findings.problem("google_service_account_json", text);
    }
    if admin && key.is_none() && !ambient {
        let text = "needs `google_service_account_json` or `google_use_application_default_credentials`";
        findings.problem("google_admin_email", text);
    }
    if !admin && (key.is_some() || ambient || settings.flag("google_use_organization_id")) {
        findings.problem("google_admin_email", "is missing: the Google options that are given need it");
    }
    if let Some(path) = key.filter(|path| readable("google_service_account_json", path, findings)) {
        let json = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
        if json.is_none() {
            findings.problem("google_service_account_json", format!("{} is no JSON", path.display()));
        }
    }
}

fn check_keys_of_others(settings: &Settings, findings: &mut Findings) {
    if !settings.text("jwt_key").is_empty() && !settings.text("jwt_key_file").is_empty() {
        findings.problem("jwt_key", "and `jwt_key_file` are both given: choose one");
    }
    if let Some(path) = settings.some_path("jwt_key_file") {
        readable("jwt_key_file", &path, findings);
    }
    for name in ["pubjwk_url", "validate_url"] {
        url_option(name, settings, findings);
    }
    let signature = settings.text("signature_key");
    let hashes = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];
    let known = signature.split_once(':').is_some_and(|(hash, _)| hashes.contains(&hash));
    if !signature.is_empty() && !known {
        findings.problem("signature_key", format!("must be HASH:KEY with one of {}", hashes.join(", ")));
    }
    if settings.flag("skip_jwt_bearer_tokens") {
        for pair in settings.items("extra_jwt_issuers") {
            if pair.split('=').filter(|part| !part.is_empty()).count() != 2 {
                findings.problem("extra_jwt_issuers", format!("{pair:?} must be ISSUER=AUDIENCE"));
            }
        }
    }
}

fn client_secret(settings: &Settings, findings: &mut Findings) -> Option<SecretSource> {
    if let Some(secret) = settings.some_text("client_secret") {
        return Some(SecretSource::Given(Secret::new(secret)));
    }
    let Some(path) = settings.some_path("client_secret_file") else {
        findings.problem("client_secret", "is missing, and so is `client_secret_file`: give the client's secret");
        return None;
    };
    readable("client_secret_file", &path, findings).then_some(SecretSource::File(path))
}

fn issuer(settings: &Settings, findings: &mut Findings) -> Option<String> {
    let raw = match settings.text("oidc_issuer_url") {
        "" if settings.text("provider") == "google" => GOOGLE_ISSUER,
        "" => {
            findings
                .problem("oidc_issuer_url", "is missing: give the provider's issuer, such as https://id.example.com");
            return None;
        }
        raw => raw,
    };
    let web = Url::parse(raw).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !web || !is_readable_url(raw) {
        findings.problem("oidc_issuer_url", "is no URL that begins with https:// or http://");
        return None;
    }
    Some(raw.to_owned())
}

fn endpoints(settings: &Settings, findings: &mut Findings) -> EndpointOverrides {
    let endpoints = EndpointOverrides {
        keys_suffice: false,
        skip_discovery: settings.flag("skip_oidc_discovery"),
        login_url: url_option("login_url", settings, findings),
        redeem_url: url_option("redeem_url", settings, findings),
        profile_url: url_option("profile_url", settings, findings),
        validate_url: settings.some_text("validate_url"),
        jwks_url: url_option("oidc_jwks_url", settings, findings),
        public_key_files: settings.items("oidc_public_key_files").into_iter().map(PathBuf::from).collect(),
    };
    if endpoints.skip_discovery {
        check_without_discovery(&endpoints, findings);
    }
    endpoints
}

/// Endpoints given by hand are the operator's own choice (a provider's Service inside the cluster), and said.
fn name_unencrypted(issuer: &str, endpoints: &EndpointOverrides, findings: &mut Findings) {
    if !issuer.starts_with("https://") {
        return;
    }
    let given = [
        ("login_url", &endpoints.login_url),
        ("redeem_url", &endpoints.redeem_url),
        ("profile_url", &endpoints.profile_url),
        ("oidc_jwks_url", &endpoints.jwks_url),
    ];
    for (name, url) in given {
        if url.as_deref().is_some_and(|url| url.starts_with("http://")) {
            let text = "is not https, though the issuer is: who reads or changes that traffic can log in as anyone";
            findings.warning(name, text);
        }
    }
}

fn check_without_discovery(endpoints: &EndpointOverrides, findings: &mut Findings) {
    for (name, url) in [("login_url", &endpoints.login_url), ("redeem_url", &endpoints.redeem_url)] {
        if url.is_none() {
            findings.warning(name, "is missing, while `skip_oidc_discovery` leaves it to be given: no login can work");
        }
    }
    match (&endpoints.jwks_url, endpoints.public_key_files.as_slice()) {
        (None, []) => findings
            .problem("oidc_jwks_url", "is missing, and so is `oidc_public_key_files`: without discovery give one"),
        (Some(_), [_, ..]) => {
            findings.problem("oidc_jwks_url", "and `oidc_public_key_files` are both given: choose one")
        }
        (Some(_), []) | (None, [_, ..]) => {}
    }
    for path in &endpoints.public_key_files {
        let option = "oidc_public_key_files";
        if !readable(option, path, findings) {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if !PUBLIC_KEY_HEADINGS.iter().any(|heading| text.contains(heading)) {
            findings.problem(option, format!("{} holds no public key in PEM", path.display()));
        }
    }
}

fn verification(settings: &Settings, findings: &mut Findings) -> VerificationRules {
    let signing_algs = settings.items("oidc_enabled_signing_algs");
    for alg in signing_algs.iter().filter(|alg| !SIGNING_ALGS.contains(&alg.as_str())) {
        let text = format!("{alg:?} is no algorithm: give some of {}", SIGNING_ALGS.join(", "));
        findings.problem("oidc_enabled_signing_algs", text);
    }
    let skip_nonce = settings.is_given("insecure_oidc_skip_nonce") && settings.flag("insecure_oidc_skip_nonce");
    let relaxed = [
        ("insecure_oidc_skip_nonce", skip_nonce),
        ("insecure_oidc_skip_issuer_verification", settings.flag("insecure_oidc_skip_issuer_verification")),
        ("ssl_insecure_skip_verify", settings.flag("ssl_insecure_skip_verify")),
    ];
    for (name, _) in relaxed.into_iter().filter(|(_, on)| *on) {
        findings.warning(name, "relaxes a check that keeps logins safe");
    }
    VerificationRules {
        extra_audiences: settings.items("oidc_extra_audiences"),
        signing_algs,
        allow_unverified_email: settings.flag("insecure_oidc_allow_unverified_email"),
        skip_issuer: settings.flag("insecure_oidc_skip_issuer_verification"),
        skip_nonce,
    }
}

fn ca_files(settings: &Settings, findings: &mut Findings) -> Option<Vec<PathBuf>> {
    let option = "provider_ca_files";
    let mut fine = true;
    let paths: Vec<PathBuf> = settings.items(option).into_iter().map(PathBuf::from).collect();
    for path in &paths {
        if !readable(option, path, findings) {
            fine = false;
            continue;
        }
        let first = CertificateDer::pem_file_iter(path).ok().and_then(|mut certificates| certificates.next());
        if !matches!(first, Some(Ok(_))) {
            findings.problem(option, format!("{} holds no certificate in PEM", path.display()));
            fine = false;
        }
    }
    fine.then_some(paths)
}

fn pkce(settings: &Settings, findings: &mut Findings) -> Option<PkceMode> {
    let (name, method) = match settings.text("code_challenge_method") {
        "" => ("force_code_challenge_method", settings.text("force_code_challenge_method")),
        method => ("code_challenge_method", method),
    };
    match method {
        "" => Some(PkceMode::WhereAllowed),
        "S256" => Some(PkceMode::S256),
        "plain" => Some(PkceMode::Plain),
        _ => {
            findings.problem(name, "must be S256 or plain");
            None
        }
    }
}

/// The old `user_id_claim` counts only where the new option stands at its default.
fn claims(settings: &Settings) -> ClaimRules {
    let (email, user_id) = (settings.text("oidc_email_claim"), settings.text("user_id_claim"));
    let email = if email == "email" && !user_id.is_empty() { user_id } else { email };
    ClaimRules {
        email: email.to_owned(),
        groups: settings.some_text("oidc_groups_claim").unwrap_or_else(|| "groups".to_owned()),
        audience: settings.items("oidc_audience_claims"),
        told: settings.structured().map(|structured| structured.additional_claims.clone()).unwrap_or_default(),
        additional: additional_claims(settings),
        skip_userinfo: settings.flag("skip_claims_from_profile_url"),
    }
}

/// Those that the structured file lists, and those that its header rules name.
fn additional_claims(settings: &Settings) -> Vec<String> {
    let Some(structured) = settings.structured() else { return Vec::new() };
    let listed = structured.additional_claims.iter().map(String::as_str);
    let mut names: Vec<String> = Vec::new();
    for name in listed.chain(structured.headers.additional_claims()) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn default_scope(settings: &Settings) -> String {
    let groups = if settings.items("allowed_groups").is_empty() { "" } else { " groups" };
    format!("openid email profile{groups}")
}

fn default_display_name(settings: &Settings) -> String {
    match settings.text("provider") {
        "google" => "Google".to_owned(),
        "keycloak-oidc" => "Keycloak OIDC".to_owned(),
        "entra-id" => "Microsoft Entra ID".to_owned(),
        _ => "OpenID Connect".to_owned(),
    }
}

/// A URL that may be relative; a problem where it cannot be read.
pub(super) fn url_option(name: &'static str, settings: &Settings, findings: &mut Findings) -> Option<String> {
    let raw = settings.some_text(name)?;
    if !is_readable_url(&raw) {
        findings.problem(name, "is no readable URL");
        return None;
    }
    Some(raw)
}

/// Stricter than the `url` crate, which mends what is broken: no white space, every `%` an escape.
pub(super) fn is_readable_url(raw: &str) -> bool {
    let bad_byte = |c: char| c.is_whitespace() || c.is_control();
    let escapes = raw.split('%').skip(1).all(|part| {
        let digits = part.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    });
    let parsed = Url::parse(raw);
    let relative = matches!(parsed, Err(url::ParseError::RelativeUrlWithoutBase));
    !raw.contains(bad_byte) && escapes && (parsed.is_ok() || relative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_not_mended() {
        for good in ["https://id.test/auth?x=%20", "/cb", "urn:resource", "http://[::1]/"] {
            assert!(is_readable_url(good), "{good}");
        }
        for bad in ["http://[::1", "http://h.test/%zz", "http://a b/cb", "http://h.test/%2"] {
            assert!(!is_readable_url(bad), "{bad}");
        }
    }
}
