//! Option table: pages that people see.

use crate::config::option::Kind::{Bool, Text};
use crate::config::option::Opt;

/// Rows of this part of the table.
pub(super) const ROWS: &[Opt] = &[
    Opt::oauth2_proxy("provider_display_name", "provider-display-name", Text, "")
        .help("Text on the sign-in button; also provider id"),
    Opt::oauth2_proxy("skip_provider_button", "skip-provider-button", Bool, "false")
        .help("Go straight to the IdP without the sign-in page"),
    Opt::oauth2_proxy("force_json_errors", "force-json-errors", Bool, "false")
        .help("JSON {} errors instead of pages/redirects on the proxy route")
        .later("Belongs to requests outside the proxy prefix, which are not answered for yet."),
    Opt::oauth2_proxy("custom_templates_dir", "custom-templates-dir", Text, "")
        .help("Directory with sign_in.html, error.html, robots.txt overrides (Go html/template)")
        .later("Pages have their own look; templates are not used yet."),
    Opt::oauth2_proxy("custom_sign_in_logo", "custom-sign-in-logo", Text, "")
        .help("File (.svg .png .jpg .jpeg), https:// URL, or \"-\" for none")
        .later("Pages have their own look; templates are not used yet."),
    Opt::oauth2_proxy("banner", "banner", Text, "")
        .help("HTML shown above the button; \"-\" hides; default lists email domains"),
    Opt::oauth2_proxy("footer", "footer", Text, "").help("HTML footer; \"-\" hides; default shows version"),
    Opt::oauth2_proxy("display_htpasswd_form", "display-htpasswd-form", Bool, "true")
        .help("Show username/password form when htpasswd_file is set"),
    Opt::oauth2_proxy("show_debug_on_error", "show-debug-on-error", Bool, "false")
        .help("Show raw error on the error page")
        .later("Error pages never show more than what to do; the log has the reason."),
];
