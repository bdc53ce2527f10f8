//! The site: its paths, its policy, what its answers carry.

use std::path::Path;
use std::sync::Arc;

use conclave_proto::id::SiteId;
use conclave_proto::policy::{AuthenticatedEmails, EmailDomains, InvalidRule, OpeningRules, Pattern, Policy};
use conclave_proto::redirect::AllowedHosts;
use conclave_proto::upstream::Upstreams;

use super::{Findings, Settings, cookies, credentials, headers, provider, sign_in, upstreams};
use crate::config::{BearerConfig, SiteConfig};

/// The one site that options can describe.
pub(super) fn site(settings: &Settings, bearer: Option<BearerConfig>, findings: &mut Findings) -> Option<SiteConfig> {
    let cookie = cookies::cookies(settings, findings);
    let allowed_hosts = findings.take("whitelist_domains", AllowedHosts::parse(&settings.items("whitelist_domains")));
    let policy = policy(settings, findings);
    let local = credentials::local(settings, findings);
    let api_routes = patterns("api_routes", settings, findings);
    let proxy_prefix = proxy_prefix(settings, findings);
    let auth_ok_status = auth_ok_status(settings, findings);
    let redirect_url = provider::url_option("redirect_url", settings, findings);
    let backend_logout_url = provider::url_option("backend_logout_url", settings, findings);
    let upstreams = upstreams::upstreams(settings, findings);
    let logo = sign_in::logo(settings, findings);
    let hands_on = upstreams.as_ref().is_some_and(Upstreams::hands_on);
    let headers = headers::headers(settings, hands_on, findings);
    Some(SiteConfig {
        id: SiteId::default(),
        provider: provider::id(settings),
        proxy_prefix: proxy_prefix?,
        cookie: cookie?,
        allowed_hosts: allowed_hosts?,
        policy: policy?,
        bearer,
        local: local?,
        authenticated_emails_file: settings.some_path("authenticated_emails_file"),
        api_routes: api_routes?,
        redirect_url,
        relative_redirect_url: settings.flag("relative_redirect_url"),
        headers: headers?,
        skip_provider_button: settings.flag("skip_provider_button"),
        force_json_errors: settings.flag("force_json_errors"),
        encode_state: settings.flag("encode_state"),
        auth_ok_status: auth_ok_status?,
        banner: sign_in::banner(settings),
        footer: settings.some_text("footer"),
        logo: logo?,
        show_debug_on_error: settings.flag("show_debug_on_error"),
        backend_logout_url,
        upstreams: upstreams?,
    })
}

fn proxy_prefix(settings: &Settings, findings: &mut Findings) -> Option<String> {
    let prefix = settings.text("proxy_prefix").trim_end_matches('/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    if !prefix.is_empty() && (!prefix.starts_with('/') || !prefix.bytes().all(plain)) {
        findings.problem("proxy_prefix", "must be a path such as /oauth2");
        return None;
    }
    Some(prefix.to_owned())
}

fn auth_ok_status(settings: &Settings, findings: &mut Findings) -> Option<u16> {
    match settings.int("auth_ok_status") {
        202 => Some(202),
        200 => Some(200),
        _ => {
            findings.problem("auth_ok_status", "must be 202 or 200");
            None
        }
    }
}

fn policy(settings: &Settings, findings: &mut Findings) -> Option<Policy> {
    let domains = settings.items("email_domains");
    let emails_file = settings.some_path("authenticated_emails_file");
    let no_one = domains.is_empty() && emails_file.is_none() && settings.text("htpasswd_file").is_empty();
    if no_one {
        let text = "is missing, and so are `authenticated_emails_file` and `htpasswd_file`: nobody could log in; \
                    give email_domains = [\"*\"] to let in everyone that the provider vouches for";
        findings.problem("email_domains", text);
    }
    let emails = match emails_file {
        Some(path) => Some(emails(&path, findings)?),
        None => None,
    };
    Some(Policy {
        email_domains: EmailDomains::parse(&domains),
        authenticated_emails: emails.map(Arc::new),
        allowed_groups: settings.items("allowed_groups").into_iter().collect(),
        opening: opening(settings, findings)?,
    })
}

/// A malformed file lets nobody in, as in oauth2-proxy; one that cannot be read stops the start.
fn emails(path: &Path, findings: &mut Findings) -> Option<AuthenticatedEmails> {
    let option = "authenticated_emails_file";
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            findings.problem(option, format!("cannot read {}: {error}", path.display()));
            return None;
        }
    };
    Some(AuthenticatedEmails::parse(&text).unwrap_or_else(|error| {
        findings.warning(option, format!("{error}: it lets nobody in"));
        AuthenticatedEmails::default()
    }))
}

/// Each rule is tried by itself, so that every bad one is named.
fn opening(settings: &Settings, findings: &mut Findings) -> Option<OpeningRules> {
    let regex = settings.items("skip_auth_regex");
    let routes = settings.items("skip_auth_routes");
    let trusted = settings.items("trusted_ips");
    let preflight = settings.flag("skip_auth_preflight");
    let none: &[String] = &[];
    let alone = regex
        .chunks(1)
        .map(|one| OpeningRules::parse(one, none, false, none))
        .chain(routes.chunks(1).map(|one| OpeningRules::parse(none, one, false, none)))
        .chain(trusted.chunks(1).map(|one| OpeningRules::parse(none, none, false, one)));
    for error in alone.filter_map(Result::err) {
        match error {
            InvalidRule::Regex(error) => findings.problem("skip_auth_regex", error.to_string()),
            InvalidRule::Route(error) => findings.problem("skip_auth_routes", error.to_string()),
            InvalidRule::TrustedIp(error) => findings.problem("trusted_ips", error.to_string()),
        }
    }
    let rules = OpeningRules::parse(&regex, &routes, preflight, &trusted).ok()?;
    for method in rules.skip_rules().iter().filter_map(|rule| rule.odd_method()) {
        let text = format!("{method:?} before the = is taken as a method: write =PATTERN where the pattern holds a =");
        findings.warning("skip_auth_routes", text);
    }
    Some(rules)
}

fn patterns(name: &'static str, settings: &Settings, findings: &mut Findings) -> Option<Vec<Pattern>> {
    let items = settings.items(name);
    items.iter().map(|item| findings.take(name, Pattern::parse(item))).collect()
}
