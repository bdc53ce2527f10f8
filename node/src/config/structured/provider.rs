//! Providers of a structured file. As in oauth2-proxy the first one counts.

use std::collections::BTreeSet;

use conclave_proto::id::ProviderId;
use conclave_proto::login::{AllowedValue, LoginParameter};
use conclave_proto::policy::Pattern;

use super::fields::Fields;
use super::{OPTION, Reader};
use crate::config::problem::Findings;

/// Fields of a provider and the options that mean the same.
const FIELDS: &[(&str, &str)] = &[
    ("provider", "provider"),
    ("name", "provider_display_name"),
    ("clientID", "client_id"),
    ("clientSecret", "client_secret"),
    ("clientSecretFile", "client_secret_file"),
    ("caFiles", "provider_ca_files"),
    ("useSystemTrustStore", "use_system_trust_store"),
    ("loginURL", "login_url"),
    ("authRequestResponseMode", "auth_request_response_mode"),
    ("redeemURL", "redeem_url"),
    ("profileURL", "profile_url"),
    ("skipClaimsFromProfileURL", "skip_claims_from_profile_url"),
    ("resource", "resource"),
    ("validateURL", "validate_url"),
    ("scope", "scope"),
    ("allowedGroups", "allowed_groups"),
    ("code_challenge_method", "code_challenge_method"),
    ("backendLogoutURL", "backend_logout_url"),
];

/// The same of the mappings inside a provider.
const INNER: &[(&str, &[(&str, &str)])] = &[
    (
        "oidcConfig",
        &[
            ("issuerURL", "oidc_issuer_url"),
            ("insecureAllowUnverifiedEmail", "insecure_oidc_allow_unverified_email"),
            ("insecureSkipIssuerVerification", "insecure_oidc_skip_issuer_verification"),
            ("insecureSkipNonce", "insecure_oidc_skip_nonce"),
            ("skipDiscovery", "skip_oidc_discovery"),
            ("jwksURL", "oidc_jwks_url"),
            ("publicKeyFiles", "oidc_public_key_files"),
            ("publicKeys", "oidc_public_key_files"),
            ("emailClaim", "oidc_email_claim"),
            ("groupsClaim", "oidc_groups_claim"),
            ("userIDClaim", "user_id_claim"),
            ("audienceClaims", "oidc_audience_claims"),
            ("extraAudiences", "oidc_extra_audiences"),
            ("enabledSigningAlgs", "oidc_enabled_signing_algs"),
        ],
    ),
    ("keycloakConfig", &[("groups", "keycloak_groups"), ("roles", "allowed_roles")]),
    ("azureConfig", &[("tenant", "azure_tenant"), ("graphGroupField", "azure_graph_group_field")]),
    (
        "microsoftEntraIDConfig",
        &[("allowedTenants", "entra_id_allowed_tenants"), ("federatedTokenAuth", "entra_id_federated_token_auth")],
    ),
    ("bitbucketConfig", &[("team", "bitbucket_team"), ("repository", "bitbucket_repository")]),
    (
        "githubConfig",
        &[
            ("org", "github_org"),
            ("team", "github_team"),
            ("repo", "github_repo"),
            ("token", "github_token"),
            ("users", "github_users"),
        ],
    ),
    ("gitlabConfig", &[("group", "gitlab_groups"), ("projects", "gitlab_projects")]),
    (
        "googleConfig",
        &[
            ("group", "google_groups"),
            ("adminEmail", "google_admin_email"),
            ("serviceAccountJson", "google_service_account_json"),
            ("useApplicationDefaultCredentials", "google_use_application_default_credentials"),
            ("targetPrincipal", "google_target_principal"),
            ("useOrganizationID", "google_use_organization_id"),
            ("adminAPIUserScope", "google_admin_api_user_scope"),
        ],
    ),
    ("loginGovConfig", &[("jwtKey", "jwt_key"), ("jwtKeyFile", "jwt_key_file"), ("pubjwkURL", "pubjwk_url")]),
];

impl Reader<'_> {
    /// Reads the list; ids are each given once.
    pub(super) fn providers(&mut self, items: Vec<Fields<'_>>, findings: &mut Findings) {
        let several = items.len() > 1;
        let mut ids = BTreeSet::new();
        for (at, mut item) in items.into_iter().enumerate() {
            let id = item.text("id", findings).unwrap_or_default();
            let place = item.place("id");
            match ProviderId::parse(&id) {
                Ok(parsed) if at == 0 => self.structured.provider_id = Some(parsed),
                Ok(_) => {}
                Err(error) => findings.problem(OPTION, format!("{place} {error}")),
            }
            if !ids.insert(id) {
                findings.problem(OPTION, format!("{place} stands there twice"));
            }
            if at == 0 {
                self.provider(item, findings);
            } else {
                // Held to the same rules, so that no mistake waits in it, and then left aside.
                let mut other = Reader { variables: self.variables, structured: super::Structured::default() };
                other.provider(item, findings);
            }
        }
        self.structured.several_providers = several;
        if several {
            findings.warning(OPTION, "names several providers: only the first is served");
        }
    }

    fn provider(&mut self, mut item: Fields<'_>, findings: &mut Findings) {
        self.copy(&mut item, FIELDS, findings);
        for (name, pairs) in INNER {
            let mut inner = item.child(name, findings);
            self.copy(&mut inner, pairs, findings);
            inner.finish(findings);
        }
        let mut adfs = item.child("ADFSConfig", findings);
        adfs.flag("skipScope", findings);
        adfs.finish(findings);
        self.structured.additional_claims = item.texts("additionalClaims", findings).unwrap_or_default();
        let at = item.place("loginURLParameters");
        for parameter in item.children("loginURLParameters", findings) {
            let Some(parameter) = login_parameter(parameter, findings) else { continue };
            if self.structured.login_parameters.iter().any(|other| other.name == parameter.name) {
                findings.problem(OPTION, format!("{at}: {} stands there twice", parameter.name));
            }
            self.structured.login_parameters.push(parameter);
        }
        item.finish(findings);
    }
}

fn login_parameter(mut fields: Fields<'_>, findings: &mut Findings) -> Option<LoginParameter> {
    let name = fields.text("name", findings).unwrap_or_default();
    let at = fields.place("name");
    let default = fields.texts("default", findings).unwrap_or_default();
    let rules = fields.children("allow", findings);
    fields.finish(findings);
    if name.is_empty() {
        findings.problem(OPTION, format!("{at} is missing"));
        return None;
    }
    let allow: Vec<Option<_>> = rules.into_iter().map(|rule| allowed_value(rule, findings)).collect();
    Some(LoginParameter { name, default, allow: allow.into_iter().collect::<Option<_>>()? })
}

fn allowed_value(mut fields: Fields<'_>, findings: &mut Findings) -> Option<AllowedValue> {
    let value = fields.text("value", findings);
    let pattern = fields.text("pattern", findings);
    let at = fields.place("pattern");
    fields.finish(findings);
    match (value, pattern) {
        (Some(value), None) => Some(AllowedValue::Exactly(value)),
        (None, Some(pattern)) => match Pattern::parse(&pattern) {
            Ok(pattern) => Some(AllowedValue::Matching(pattern)),
            Err(error) => {
                findings.problem(OPTION, format!("{at}: {error}"));
                None
            }
        },
        (None, None) | (Some(_), Some(_)) => {
            findings.problem(OPTION, format!("{at}: give one of value and pattern"));
            None
        }
    }
}
