//! Headers on answers and upstream requests: what the options mean as rules.

use super::{Findings, Settings};
use crate::config::Secret;
use crate::config::headers::{Claim, ClientCopies, HeaderConfig, HeaderRule};

/// What answers and upstream requests carry.
pub(super) fn headers(settings: &Settings) -> HeaderConfig {
    if let Some(structured) = settings.structured() {
        return structured.headers.clone();
    }
    HeaderConfig {
        answers: answers(settings),
        requests: requests(settings),
        prefer_email_to_user: settings.flag("prefer_email_to_user"),
    }
}

fn answers(settings: &Settings) -> Vec<HeaderRule> {
    let mut rules = Vec::new();
    if settings.flag("set_xauthrequest") {
        rules.push(HeaderRule::of_claim("X-Auth-Request-User", Claim::User, ""));
        rules.push(HeaderRule::of_claim("X-Auth-Request-Email", Claim::Email, ""));
        rules.push(HeaderRule::of_claim("X-Auth-Request-Preferred-Username", Claim::PreferredUsername, ""));
        rules.push(HeaderRule::of_claim("X-Auth-Request-Groups", Claim::Groups, ""));
        if settings.flag("pass_access_token") {
            rules.push(HeaderRule::of_claim("X-Auth-Request-Access-Token", Claim::AccessToken, ""));
        }
    }
    if settings.flag("set_authorization_header") {
        rules.push(HeaderRule::of_claim("Authorization", Claim::IdToken, "Bearer "));
    }
    if settings.flag("set_basic_auth") {
        rules.extend(basic(settings));
    }
    rules
}

fn requests(settings: &Settings) -> Vec<HeaderRule> {
    let prefer_email = settings.flag("prefer_email_to_user");
    let mut rules = Vec::new();
    if settings.flag("pass_basic_auth") {
        rules.extend(basic(settings));
    }
    if settings.flag("pass_basic_auth") || settings.flag("pass_user_headers") {
        rules.push(HeaderRule::of_claim("X-Forwarded-Groups", Claim::Groups, ""));
        let user = if prefer_email { Claim::Email } else { Claim::User };
        rules.push(HeaderRule::of_claim("X-Forwarded-User", user, ""));
        if !prefer_email {
            rules.push(HeaderRule::of_claim("X-Forwarded-Email", Claim::Email, ""));
        }
        rules.push(HeaderRule::of_claim("X-Forwarded-Preferred-Username", Claim::PreferredUsername, ""));
    }
    if settings.flag("pass_access_token") {
        rules.push(HeaderRule::of_claim("X-Forwarded-Access-Token", Claim::AccessToken, ""));
    }
    if settings.flag("pass_authorization_header") {
        rules.push(HeaderRule::of_claim("Authorization", Claim::IdToken, "Bearer "));
    }
    if !settings.flag("skip_auth_strip_headers") {
        rules.iter_mut().for_each(|rule| rule.client_copies = ClientCopies::Kept);
    }
    rules
}

/// `Authorization: Basic`, where there is a password for it.
fn basic(settings: &Settings) -> Option<HeaderRule> {
    let password = settings.some_text("basic_auth_password")?;
    let claim = if settings.flag("prefer_email_to_user") { Claim::Email } else { Claim::User };
    Some(HeaderRule::basic(claim, Secret::new(password)))
}

/// Each header whose secret goes out at the gateways' listener alone, with the option that brings it.
pub(super) fn name_withheld(headers: &HeaderConfig, has_listener: bool, findings: &mut Findings) {
    for HeaderRule { name, .. } in headers.secret_answers() {
        if has_listener {
            let text = format!("the secret in the header {name} goes out there alone: let the gateway ask there");
            findings.info("auth_address", text);
        } else {
            let text = format!(
                "is off, and the secret in the header {name} goes out there alone: set it, for example to \
                 127.0.0.1:4183, and let the gateway ask there"
            );
            findings.warning("auth_address", text);
        }
    }
}

/// Two settings that write one header, and Basic without its password.
pub(super) fn check_clashes(settings: &Settings, findings: &mut Findings) {
    let password = !settings.text("basic_auth_password").is_empty();
    if settings.flag("set_basic_auth") && settings.flag("set_authorization_header") {
        let text = "and `set_authorization_header` both write the Authorization header of answers: choose one";
        findings.problem("set_basic_auth", text);
    }
    if password && settings.flag("pass_basic_auth") && settings.flag("pass_authorization_header") {
        let text = "and `pass_authorization_header` both write the Authorization header upstream: set one to false";
        findings.problem("pass_basic_auth", text);
    }
    if settings.flag("set_basic_auth") && !password {
        findings.problem("basic_auth_password", "is missing, while `set_basic_auth` needs it");
    }
}
