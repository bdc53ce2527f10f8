//! Credentials besides the session cookie: tokens of issuers, and users of the operator's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use conclave_proto::htpasswd::LocalUsers;
use conclave_proto::id::ProviderId;
use url::Url;

use super::provider::is_readable_url;
use super::{Findings, Settings};
use crate::config::{BearerConfig, EndpointOverrides, LocalConfig, ProviderConfig, VerificationRules};

/// Where an issuer without metadata has its keys.
const USUAL_KEYS: &str = "/.well-known/jwks.json";

/// Tokens that callers bring along; `None` where they count for nothing.
pub(super) fn bearer(
    settings: &Settings,
    provider: Option<&ProviderConfig>,
    findings: &mut Findings,
) -> Option<BearerConfig> {
    if !settings.flag("skip_jwt_bearer_tokens") {
        return None;
    }
    let mut audiences = BTreeMap::<String, Vec<String>>::new();
    // What is no pair was told when the provider was read.
    let pairs = settings.items("extra_jwt_issuers");
    for (issuer, audience) in pairs.iter().filter_map(|pair| pair.split_once('=')) {
        let web = Url::parse(issuer).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !web || !is_readable_url(issuer) {
            findings.problem("extra_jwt_issuers", format!("{issuer:?} is no URL that begins with https:// or http://"));
        }
        audiences.entry(issuer.to_owned()).or_default().push(audience.to_owned());
    }
    let provider = provider?;
    let issuers = audiences.into_iter().map(|(issuer, audiences)| extra_issuer(provider, issuer, audiences));
    Some(BearerConfig { issuers: issuers.collect(), login_fallback: settings.flag("bearer_token_login_fallback") })
}

/// An issuer as the provider would be configured that it is; nobody logs in there.
fn extra_issuer(provider: &ProviderConfig, issuer: String, mut audiences: Vec<String>) -> ProviderConfig {
    let digest = ring::digest::digest(&ring::digest::SHA256, issuer.as_bytes());
    let short: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let client_id = audiences.remove(0);
    audiences.extend(provider.verification.extra_audiences.iter().cloned());
    ProviderConfig {
        id: ProviderId::parse(&format!("issuer-{short}")).expect("few letters are a name"),
        client_id,
        client_secret: None,
        endpoints: EndpointOverrides {
            keys_suffice: true,
            jwks_url: Some(format!("{}{USUAL_KEYS}", issuer.trim_end_matches('/'))),
            // Every provider's metadata name these; an issuer's need not, and they are never visited.
            login_url: Some(issuer.clone()),
            redeem_url: Some(issuer.clone()),
            ..EndpointOverrides::default()
        },
        verification: VerificationRules { extra_audiences: audiences, ..VerificationRules::default() },
        issuer_url: issuer,
        ..provider.clone()
    }
}

/// Users of the operator's own. A file without a usable one stops the start.
pub(super) fn local(settings: &Settings, findings: &mut Findings) -> Option<Option<LocalConfig>> {
    let option = "htpasswd_file";
    let Some(file) = settings.some_path(option) else { return Some(None) };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => {
            findings.problem(option, format!("cannot read {}: {error}", file.display()));
            return None;
        }
    };
    let users = match LocalUsers::parse(&text).and_then(LocalUsers::some) {
        Ok(users) => users,
        Err(error) => {
            findings.problem(option, format!("{} {error}", file.display()));
            return None;
        }
    };
    if !users.skipped.is_empty() {
        let text = format!("no bcrypt or {{SHA}} hash on the lines {:?}: these users cannot sign in", users.skipped);
        findings.warning(option, text);
    }
    Some(Some(LocalConfig {
        file,
        users: Arc::new(users),
        groups: settings.items("htpasswd_user_groups"),
        show_form: settings.flag("display_htpasswd_form"),
        name_is_email: settings.flag("prefer_email_to_user"),
    }))
}
