//! Headers on answers and upstream requests.

use super::{Findings, Settings};
use crate::config::{HeaderConfig, Secret};

/// What answers and upstream requests carry.
pub(super) fn headers(settings: &Settings) -> HeaderConfig {
    HeaderConfig {
        set_xauthrequest: settings.flag("set_xauthrequest"),
        pass_access_token: settings.flag("pass_access_token"),
        set_authorization_header: settings.flag("set_authorization_header"),
        pass_authorization_header: settings.flag("pass_authorization_header"),
        set_basic_auth: settings.flag("set_basic_auth"),
        pass_basic_auth: settings.flag("pass_basic_auth"),
        pass_user_headers: settings.flag("pass_user_headers"),
        prefer_email_to_user: settings.flag("prefer_email_to_user"),
        basic_auth_password: settings.some_text("basic_auth_password").map(Secret::new),
        skip_auth_strip_headers: settings.flag("skip_auth_strip_headers"),
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
