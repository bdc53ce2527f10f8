//! What becomes of each option that was given: notices at start, and a refusal where one cannot be served.

use super::{Findings, Settings};
use crate::config::option::Standing;

/// Options that let fewer people in. Where one cannot be enforced it must not be passed over, for
/// that would let everyone in.
const RESTRICTORS: &[&str] = &[
    "allowed_roles",
    "bitbucket_repository",
    "bitbucket_team",
    "entra_id_allowed_tenants",
    "github_org",
    "github_repo",
    "github_team",
    "gitlab_groups",
    "gitlab_projects",
    "google_group",
    "google_groups",
    "keycloak_groups",
];

/// Adds a notice, a warning or a problem for each option given.
pub(super) fn check(settings: &Settings, findings: &mut Findings) {
    for (option, _) in settings.given() {
        match option.standing {
            Standing::Honoured(_) => {}
            Standing::Mapped(text) | Standing::Ignored(text) => findings.info(option.name, text),
            Standing::Refused(text) if RESTRICTORS.contains(&option.name) => {
                refuse_restrictor(option.name, text, settings, findings)
            }
            Standing::Refused(text) => refuse_action(option.name, text, settings, findings),
            Standing::Later(text) => findings.warning(option.name, text),
        }
    }
}

/// Hands on what the chart has to say: under continuous delivery nobody sees what an install prints.
pub(super) fn deployment_notices(settings: &Settings, findings: &mut Findings) {
    for line in settings.text("deployment_notices").lines().map(str::trim).filter(|line| !line.is_empty()) {
        findings.info("deployment_notices", line);
    }
}

/// An empty one restricts nobody, here as there.
fn refuse_restrictor(name: &'static str, text: &str, settings: &Settings, findings: &mut Findings) {
    use crate::config::option::Kind;
    let empty = match crate::config::table::by_name(name).map(|option| option.kind) {
        Some(Kind::List) => settings.items(name).is_empty(),
        Some(Kind::Text) => settings.text(name).is_empty(),
        Some(Kind::Bool | Kind::Int | Kind::Duration) | None => false,
    };
    if !empty {
        findings.problem(name, text);
    }
}

fn refuse_action(name: &'static str, text: &str, settings: &Settings, findings: &mut Findings) {
    use crate::config::option::Kind;
    let off = match crate::config::table::by_name(name).map(|option| option.kind) {
        Some(Kind::Bool) => !settings.flag(name),
        Some(Kind::Text) => settings.text(name).is_empty(),
        Some(Kind::List | Kind::Int | Kind::Duration) | None => false,
    };
    if !off {
        findings.problem(name, text);
    }
}
