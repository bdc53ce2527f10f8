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
        .help("JSON {} errors instead of pages/redirects on the proxy route"),
    Opt::oauth2_proxy("custom_templates_dir", "custom-templates-dir", Text, "")
        .help("Directory with sign_in.html, error.html, robots.txt overrides (Go html/template)")
        .later("Pages have their own look; templates are not used yet."),
    Opt::oauth2_proxy("custom_sign_in_logo", "custom-sign-in-logo", Text, "")
        .help("File (.svg .png .jpg .jpeg), https:// URL, or \"-\" for none")
        .remark("Shown as a picture; a file of at most 256 KiB becomes part of the page."),
    Opt::oauth2_proxy("banner", "banner", Text, "")
        .help("HTML shown above the button; \"-\" hides; default lists email domains")
        .remark("Scripts, styles and pictures in it are kept out by the page's policy."),
    Opt::oauth2_proxy("footer", "footer", Text, "")
        .help("HTML footer; \"-\" hides; default shows version")
        .remark("Scripts, styles and pictures in it are kept out by the page's policy."),
    Opt::oauth2_proxy("display_htpasswd_form", "display-htpasswd-form", Bool, "true")
        .help("Show username/password form when htpasswd_file is set"),
    Opt::oauth2_proxy("show_debug_on_error", "show-debug-on-error", Bool, "false")
        .help("Show raw error on the error page")
        .remark("Adds what the log has as the reason; never a token, code or secret."),
];
