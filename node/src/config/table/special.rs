//! Option table: options of particular providers.

use crate::config::option::Kind::{Bool, List, Text};
use crate::config::option::Opt;

/// Rows of this part of the table.
pub(super) const ROWS: &[Opt] = &[
    Opt::oauth2_proxy("keycloak_groups", "keycloak-group", List, "[]").help("Legacy keycloak provider: allowed groups (copied for keycloak-oidc config but not enforced there; use allowed_groups)").refused("Would restrict who comes in and cannot be enforced yet, so it is refused rather than passed over: use allowed_groups with the groups claim."),
    Opt::oauth2_proxy("azure_tenant", "azure-tenant", Text, "common").help("azure: tenant in default v1 login/redeem URLs").later("Belongs to provider azure, which is not served yet."),
    Opt::oauth2_proxy("azure_graph_group_field", "azure-graph-group-field", Text, "").help("azure v2: Graph attribute used as group name (id default, displayName, other)").later("Belongs to provider azure, which is not served yet."),
    Opt::oauth2_proxy("entra_id_allowed_tenants", "entra-id-allowed-tenant", List, "[]").help("entra-id: tenant ids accepted in the iss claim").refused("Would restrict who comes in and cannot be enforced yet, so it is refused rather than passed over: use allowed_groups with the groups claim."),
    Opt::oauth2_proxy("entra_id_federated_token_auth", "entra-id-federated-token-auth", Bool, "false").help("entra-id: authenticate client with JWT from $AZURE_FEDERATED_TOKEN_FILE instead of a secret").refused("A client assertion is not sent yet: give client_secret."),
    Opt::oauth2_proxy("bitbucket_team", "bitbucket-team", Text, "").help("bitbucket: require membership of this team").refused("Would restrict who comes in and cannot be enforced yet, so it is refused rather than passed over: use allowed_groups with the groups claim."),
    Opt::oauth2_proxy("bitbucket_repository", "bitbucket-repository", Text, "").help("bitbucket: require contributor access to owner/repo").refused("Would restrict who comes in and cannot be enforced yet, so it is refused rather than passed over: use allowed_groups with the groups claim."),
    Opt::oauth2_proxy("github_org", "github-org", Text, "").help("github: require this organisation").refused("Would restrict who comes in and cannot be enforced yet, so it is refused rather than passed over: use allowed_groups with the groups claim."),
    Opt::oauth2_proxy("github_team", "github-team", Text, "").help("github: comma list of team slugs (org:team form if no org set)").refused("Would restrict who comes in and cannot be enforced yet, so it is refused rather than passed over: use allowed_groups with the groups claim."),
    Opt::oauth2_proxy("github_repo", "github-repo", Text, "").help("github: require collaborator/push (or private pull) on owner/repo").refused("Would restrict who comes in and cannot be enforced yet, so it is refused rather than passed over: use allowed_groups with the groups claim."),
    Opt::oauth2_proxy("github_token", "github-token", Text, "").help("github: token used for the collaborator check").secret().later("Belongs to provider github, which is not served yet."),
    Opt::oauth2_proxy("github_users", "github-user", List, "[]").help("github: logins always admitted").later("Belongs to provider github, which is not served yet."),
    Opt::oauth2_proxy("gitlab_groups", "gitlab-group", List, "[]").help("gitlab: allowed groups").refused("Would restrict who comes in and cannot be enforced yet, so it is refused rather than passed over: use allowed_groups with the groups claim."),
    Opt::oauth2_proxy("gitlab_projects", "gitlab-project", List, "[]").help("gitlab: allowed group/project[=10|20|30|40] minimum access level, default 20").refused("Would restrict who comes in and cannot be enforced yet, so it is refused rather than passed over: use allowed_groups with the groups claim."),
    Opt::oauth2_proxy("google_group", "google-group", List, "[]").help("Deprecated spelling; env OAUTH2_PROXY_GOOGLE_GROUP / toml google_group; overrides google_groups with a warning").refused("Would restrict who comes in and cannot be enforced yet, so it is refused rather than passed over: use allowed_groups with the groups claim."),
    Opt::oauth2_proxy("google_groups", "google-group", List, "[]").help("google: allowed Workspace groups (needs admin API credentials)").refused("Would restrict who comes in and cannot be enforced yet, so it is refused rather than passed over: use allowed_groups with the groups claim."),
    Opt::oauth2_proxy("google_admin_email", "google-admin-email", Text, "").help("google: admin user impersonated for Directory API").later("Belongs to provider google, which is not served yet."),
    Opt::oauth2_proxy("google_service_account_json", "google-service-account-json", Text, "").help("google: path of service-account key").later("Belongs to provider google, which is not served yet."),
    Opt::oauth2_proxy("google_use_application_default_credentials", "google-use-application-default-credentials", Bool, "false").help("google: use ADC/Workload Identity instead of key file (flag is declared as string)").later("Belongs to provider google, which is not served yet."),
    Opt::oauth2_proxy("google_target_principal", "google-target-principal", Text, "").help("google: service account impersonated with ADC").later("Belongs to provider google, which is not served yet."),
    Opt::oauth2_proxy("google_use_organization_id", "google-use-organization-id", Bool, "false").help("google: take preferred username from externalIds type organization (flag is declared as string)").later("Belongs to provider google, which is not served yet."),
    Opt::oauth2_proxy("google_admin_api_user_scope", "google-admin-api-user-scope", Text, "").help("google: Directory user scope: readonly (default), user, cloud").later("Belongs to provider google, which is not served yet."),
    Opt::oauth2_proxy("jwt_key", "jwt-key", Text, "").help("login.gov: RSA private key PEM").secret().later("Belongs to provider login.gov, which is not served yet."),
    Opt::oauth2_proxy("jwt_key_file", "jwt-key-file", Text, "").help("login.gov: RSA private key file").later("Belongs to provider login.gov, which is not served yet."),
    Opt::oauth2_proxy("pubjwk_url", "pubjwk-url", Text, "").help("login.gov: JWKS used for id_token check").later("Belongs to provider login.gov, which is not served yet."),
];
