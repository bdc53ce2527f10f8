//! The typed configuration: what every other part of the process reads. Built once at start by `config::load`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::http::header::HeaderName;
use conclave_proto::admin_host::AdminHosts;
use conclave_proto::cookie::CookieAttributes;
use conclave_proto::forwarded::GatewayConfig;
use conclave_proto::htpasswd::LocalUsers;
use conclave_proto::id::{PeerName, ProviderId, SiteId};
use conclave_proto::keyring::CookieSecret;
use conclave_proto::login::LoginParameter;
use conclave_proto::logline::Template;
use conclave_proto::policy::{Pattern, Policy};
use conclave_proto::redirect::AllowedHosts;
use conclave_proto::time::Ttl;
use conclave_proto::upstream::Upstreams;

mod build;
pub mod check;
mod ciphers;
pub mod data_dir;
pub mod docs;
mod duration;
mod file;
mod flags;
pub mod headers;
pub mod help;
pub mod listen;
pub mod load;
mod nearest;
pub mod option;
pub mod problem;
pub mod secret;
mod settings;
pub mod structured;
pub mod table;
mod value;

pub use ciphers::cipher_suite_name;
pub use headers::HeaderConfig;
pub use listen::ListenAddress;
pub use problem::ConfigError;
pub use secret::{Secret, SecretSource, SecretUnreadable};

/// Everything the process was told, checked as a whole.
#[derive(Clone, Debug)]
pub struct Config {
    /// The service listener (`http_address`, or `https_address` where TLS files are set).
    pub http: HttpConfig,
    /// Peers, the store and its limits.
    pub cluster: ClusterConfig,
    /// The listener for operators; `None` = off.
    pub admin_address: Option<ListenAddress>,
    /// Under which names operators reach it.
    pub admin_hosts: AdminHosts,
    /// Further plain listener for `/metrics` (`metrics_address`); `None` = off.
    pub metrics_address: Option<ListenAddress>,
    /// Further listener for `/metrics` over HTTPS (`metrics_secure_address`); `None` = off.
    pub metrics_tls: Option<TlsConfig>,
    /// Which headers say what the original request was.
    pub gateway: GatewayConfig,
    /// Health endpoints.
    pub health: HealthConfig,
    /// Logs.
    pub logging: LoggingConfig,
    /// How long to keep accepting after going unready, before the stop.
    pub drain_delay: Ttl,
    /// What each site asks of a session; exactly one can be set today, named `default`.
    pub sites: Vec<SiteConfig>,
    /// Who vouches for people; exactly one can be set today.
    pub providers: Vec<ProviderConfig>,
    /// What to say in the log at start: options mapped, ignored or not served yet, and warnings.
    pub notices: Vec<Notice>,
}

/// The service listener.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where to listen; `None` = no plain listener (`http_address` empty or `-`).
    pub address: Option<ListenAddress>,
    /// Where gateways alone ask (`auth_address`); `None` = off.
    pub gateways: Option<GatewaysConfig>,
    /// Set where certificate and key are given. Beside `tls_cert_file` there is no plain listener.
    pub tls: Option<TlsConfig>,
    /// 308 to https for requests that came without it.
    pub force_https: bool,
    /// Header that carries the request id; `None` = each request gets a random one.
    pub request_id_header: Option<HeaderName>,
    /// Whether `;` separates query parameters.
    pub allow_query_semicolons: bool,
}

/// The listener for gateways alone.
#[derive(Clone, Debug)]
pub struct GatewaysConfig {
    /// Where to listen.
    pub address: ListenAddress,
    /// Whether it speaks TLS, with the settings of [`HttpConfig::tls`], which is then set.
    pub tls: bool,
}

/// The HTTPS listener.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// Where to listen.
    pub address: ListenAddress,
    /// PEM certificate chain.
    pub certificate: PemSource,
    /// PEM private key.
    pub key: PemSource,
    /// Refuse TLS 1.2.
    pub only_tls13: bool,
    /// Go's names of the suites that TLS 1.2 may use; empty = all that are sound.
    pub cipher_suites: Vec<String>,
}

/// Where PEM comes from.
#[derive(Clone, Debug)]
pub enum PemSource {
    /// A file, read at start and whenever it changes.
    File(PathBuf),
    /// Given directly.
    Given(Secret<String>),
}

impl fmt::Display for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Given(_) => f.write_str("the PEM text of the structured file"),
        }
    }
}

/// Peers, the store and its limits.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// This replica's name: one of `peers`, or a fixed name for a cluster of one.
    pub self_name: PeerName,
    /// All members including this one; empty = a cluster of one without a peer listener.
    pub peers: Vec<PeerName>,
    /// Where the peer listener binds.
    pub peer_address: SocketAddr,
    /// Where the store lives.
    pub data_dir: DataDir,
    /// The ring of cookie secrets, the active one first (`cookie_secret`, then `cookie_secret_previous`).
    pub secrets: Vec<CookieSecret>,
    /// Heartbeat and election times.
    pub timeouts: TimeoutPreset,
    /// B: past this age an answer about sessions is 503.
    pub max_staleness: Ttl,
    /// What may be added to B while no leader can be asked; 0 = nothing.
    pub fail_open_max: Ttl,
    /// Most sessions of one person; 0 = no limit.
    pub sessions_per_person: u32,
    /// A snapshot is due after so many bytes of log.
    pub snapshot_log_bytes: u64,
    /// And at most this often.
    pub snapshot_min_interval: Ttl,
}

/// The store's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataDir {
    /// As configured; checked to be writable.
    Kept(PathBuf),
    /// A cluster of one could not write there: a temporary directory, so a restart ends all sessions.
    Temporary {
        /// The directory in use.
        path: PathBuf,
        /// The one that was asked for.
        wanted: PathBuf,
        /// Why it could not be had.
        why: String,
    },
}

impl DataDir {
    /// The directory in use.
    pub fn path(&self) -> &std::path::Path {
        match self {
            Self::Kept(path) | Self::Temporary { path, .. } => path,
        }
    }
}

/// Heartbeat and election times by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeoutPreset {
    /// Replicas within one region.
    #[default]
    Lan,
    /// Round trips of up to 600 ms.
    WideArea,
}

/// Health endpoints.
#[derive(Clone, Debug, Default)]
pub struct HealthConfig {
    /// Liveness path.
    pub ping_path: String,
    /// Only this User-Agent gets an answer on `ping_path`; empty = everyone.
    pub ping_user_agent: String,
    /// Readiness path.
    pub ready_path: String,
    /// Adds `/liveness_check` and `/readiness_check` for `GoogleHC/1.0`.
    pub gcp_healthchecks: bool,
}

impl HealthConfig {
    /// Every path that is answered for health alone.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.live_paths().chain(std::iter::once(self.ready_path.as_str()))
    }

    /// The paths that say that the process lives.
    pub fn live_paths(&self) -> impl Iterator<Item = &str> {
        let gcp: &[&str] = if self.gcp_healthchecks { &["/liveness_check", "/readiness_check"] } else { &[] };
        std::iter::once(self.ping_path.as_str()).chain(gcp.iter().copied())
    }

    /// Whether they answer this client: where a User-Agent is wanted, it counts besides the path.
    pub fn answers(&self, user_agent: Option<&str>) -> bool {
        let gcp = self.gcp_healthchecks.then_some("GoogleHC/1.0");
        let own = Some(self.ping_user_agent.as_str()).filter(|agent| !agent.is_empty());
        let mut wanted = gcp.into_iter().chain(own).peekable();
        wanted.peek().is_none() || wanted.any(|agent| Some(agent) == user_agent)
    }
}

/// Logs.
#[derive(Clone, Debug, Default)]
pub struct LoggingConfig {
    /// Text or JSON.
    pub format: LogFormat,
    /// A tracing filter, such as `info` or `info,conclave=debug`.
    pub level: String,
    /// Lines about running (`standard_logging`).
    pub standard: bool,
    /// Lines about logins, denials and sign-outs (`auth_logging`).
    pub auth: bool,
    /// One line per HTTP request (`request_logging`).
    pub requests: bool,
    /// Exact paths without a request line.
    pub exclude_paths: Vec<String>,
    /// No request lines for ping and ready.
    pub silence_ping: bool,
    /// Local time, not UTC, in text lines and in the names of rotated files.
    pub local_time: bool,
    /// Errors go to standard output with the rest.
    pub errors_to_out: bool,
    /// A file in place of the standard streams.
    pub file: Option<LogFileConfig>,
    /// Forms of text lines.
    pub forms: LineForms,
}

/// Forms of the three kinds of text lines.
#[derive(Clone, Debug)]
pub struct LineForms {
    /// `standard_logging_format`.
    pub standard: Template,
    /// `auth_logging_format`.
    pub auth: Template,
    /// `request_logging_format`.
    pub request: Template,
}

/// The log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFileConfig {
    /// Where.
    pub path: PathBuf,
    /// Larger it does not grow, unless by a single line.
    pub max_bytes: usize,
    /// Rotated files older than this go; `None` = they stay.
    pub max_age: Option<Ttl>,
    /// Rotated files kept; 0 = all of them.
    pub max_backups: usize,
    /// Compress rotated files.
    pub compress: bool,
}

/// The look of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// What one site asks of a session.
#[derive(Clone, Debug)]
pub struct SiteConfig {
    /// Its name; `default` while only one can be set.
    pub id: SiteId,
    /// The provider that its logins go to.
    pub provider: ProviderId,
    /// Root of the service's own paths, such as `/oauth2`: begins with a slash, ends without one.
    pub proxy_prefix: String,
    /// Session and login cookies.
    pub cookie: CookieConfig,
    /// Hosts allowed as absolute return targets (`whitelist_domains`).
    pub allowed_hosts: AllowedHosts,
    /// Who may come in.
    pub policy: Policy,
    /// Tokens that callers bring along; `None` = they count for nothing.
    pub bearer: Option<BearerConfig>,
    /// Users of the operator's own; `None` = there are none.
    pub local: Option<LocalConfig>,
    /// File of allowed e-mail addresses behind `policy`, to be read again when it changes.
    pub authenticated_emails_file: Option<PathBuf>,
    /// Expressions on the URI: 401 JSON instead of the sign-in page on proxied paths.
    pub api_routes: Vec<Pattern>,
    /// The callback's full URL, or only its path; `None` = derived from the request.
    pub redirect_url: Option<String>,
    /// Send `redirect_url` as it is, without scheme and host.
    pub relative_redirect_url: bool,
    /// What the answers and upstream requests carry.
    pub headers: HeaderConfig,
    /// Go to the provider without the sign-in page.
    pub skip_provider_button: bool,
    /// Answer `{}` with 401/403 instead of pages and redirects on proxied paths.
    pub force_json_errors: bool,
    /// Wrap the state in base64url, as some providers need.
    pub encode_state: bool,
    /// Status of an allowed check on `/auth`: 202, or 200 for gateways that need it.
    pub auth_ok_status: u16,
    /// Text over the sign-in button, as HTML; `Some("-")` and `None` = none.
    pub banner: Option<String>,
    /// Footer of pages, as HTML; `None` = the default, `Some("-")` = none.
    pub footer: Option<String>,
    /// Picture on the sign-in page.
    pub logo: Option<Logo>,
    /// Show the reason of an error on the page.
    pub show_debug_on_error: bool,
    /// Fetched from the server side at sign-out; `{id_token}` is replaced.
    pub backend_logout_url: Option<String>,
    /// Where allowed requests outside the prefix go.
    pub upstreams: Upstreams,
}

/// A picture on the sign-in page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logo {
    /// Part of the page: a `data:` URL.
    Inline(String),
    /// Fetched by the browser: an `https://` URL.
    Linked(String),
}

/// Tokens that callers bring along (`skip_jwt_bearer_tokens`).
#[derive(Clone, Debug)]
pub struct BearerConfig {
    /// Issuers besides the provider, each with its audiences as client id and extra audiences.
    pub issuers: Vec<ProviderConfig>,
    /// Whether an `Authorization` header that names nobody counts for nothing; otherwise it is refused.
    pub login_fallback: bool,
}

/// Users of the operator's own (`htpasswd_file`).
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// The file, to be read again when it changes.
    pub file: PathBuf,
    /// Its users at start.
    pub users: Arc<LocalUsers>,
    /// Groups of all of them.
    pub groups: Vec<String>,
    /// Whether the sign-in page shows fields for name and password.
    pub show_form: bool,
    /// Whether the name counts as the address of those who come with Basic credentials.
    pub name_is_email: bool,
}

/// Session and login cookies of a site.
#[derive(Clone, Debug)]
pub struct CookieConfig {
    /// Name of the session cookie; login cookies derive theirs from it.
    pub name: String,
    /// Attributes of the session cookie.
    pub attributes: CookieAttributes,
    /// Attributes of login cookies: the same but for `SameSite` (`cookie_csrf_samesite`).
    pub login_attributes: CookieAttributes,
    /// Lifetime of a session and `Max-Age`; zero = browser-session cookie, and the session itself
    /// lives for `LONGEST_LIFETIME`.
    pub expire: Ttl,
    /// Age after which tokens are refreshed; zero = never.
    pub refresh: Ttl,
    /// How long a login may take: at most 15 minutes.
    pub login_expire: Ttl,
    /// Sessions keep no tokens.
    pub minimal: bool,
    /// Most login cookies at once: 1 to 5.
    pub login_limit: usize,
}

impl CookieConfig {
    /// How long a session lives from its creation.
    pub fn session_lifetime(&self) -> Ttl {
        if self.expire == Ttl::ZERO { conclave_proto::session::LONGEST_LIFETIME } else { self.expire }
    }

    /// `Max-Age` of the session cookie; `None` = until the browser closes.
    pub fn max_age(&self) -> Option<Ttl> {
        (self.expire != Ttl::ZERO).then_some(self.expire)
    }
}

/// Who vouches for people.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// `default`, or the alpha configuration's `id`.
    pub id: ProviderId,
    /// Which implementation.
    pub kind: ProviderKind,
    /// Text on the sign-in button.
    pub display_name: String,
    /// Issuer exactly as configured (a trailing slash counts).
    pub issuer_url: String,
    /// OAuth client identifier, the expected audience.
    pub client_id: String,
    /// OAuth client secret; `None` = public client.
    pub client_secret: Option<SecretSource>,
    /// Scopes, separated by spaces; defaults already filled in.
    pub scope: String,
    /// Parameters of the authorization request besides the protocol's own, such as `prompt`.
    pub login_parameters: Vec<LoginParameter>,
    /// `response_mode` parameter.
    pub response_mode: Option<String>,
    /// `resource` parameter.
    pub resource: Option<String>,
    /// PKCE.
    pub pkce: PkceMode,
    /// Which claims mean what.
    pub claims: ClaimRules,
    /// Endpoints given by hand.
    pub endpoints: EndpointOverrides,
    /// Checks that were relaxed, and further accepted values.
    pub verification: VerificationRules,
    /// PEM files of CAs for calls to the provider; empty = system roots.
    pub ca_files: Vec<PathBuf>,
    /// System roots besides `ca_files`.
    pub use_system_trust_store: bool,
    /// Do not verify the provider's TLS certificate.
    pub insecure_skip_tls_verify: bool,
}

/// Which implementation serves a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProviderKind {
    /// Generic OpenID Connect.
    #[default]
    Oidc,
    /// OpenID Connect of Keycloak with roles.
    KeycloakOidc,
}

/// Proof key for code exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PkceMode {
    /// S256 wherever the provider allows it (does not say that it lacks it).
    #[default]
    WhereAllowed,
    /// S256 in any case (`code_challenge_method=S256`).
    S256,
    /// `plain`, for a provider that knows nothing else.
    Plain,
}

/// Which claims mean what.
#[derive(Clone, Debug)]
pub struct ClaimRules {
    /// E-mail: a claim or a dotted path.
    pub email: String,
    /// Groups: a claim or a dotted path.
    pub groups: String,
    /// Tried in order for the audience.
    pub audience: Vec<String>,
    /// Further claims that `/oauth2/userinfo` tells.
    pub told: Vec<String>,
    /// Further claims that sessions keep: those, and what a header rule names.
    pub additional: Vec<String>,
    /// Never ask userinfo for what the ID token lacks.
    pub skip_userinfo: bool,
}

/// Endpoints given by hand; discovery's win unless it is skipped.
#[derive(Clone, Debug, Default)]
pub struct EndpointOverrides {
    /// Where discovery fails, what stands here will do: of an issuer only the keys are needed.
    pub keys_suffice: bool,
    /// No discovery: what is needed stands here.
    pub skip_discovery: bool,
    /// Authorization endpoint.
    pub login_url: Option<String>,
    /// Token endpoint.
    pub redeem_url: Option<String>,
    /// Userinfo endpoint.
    pub profile_url: Option<String>,
    /// Checks access tokens.
    pub validate_url: Option<String>,
    /// Signing keys.
    pub jwks_url: Option<String>,
    /// PEM public keys in place of `jwks_url`.
    pub public_key_files: Vec<PathBuf>,
}

/// Checks that were relaxed, and further accepted values.
#[derive(Clone, Debug, Default)]
pub struct VerificationRules {
    /// Accepted besides `client_id`.
    pub extra_audiences: Vec<String>,
    /// Accepted JWS algorithms; empty = what discovery says.
    pub signing_algs: Vec<String>,
    /// Take `email_verified: false`.
    pub allow_unverified_email: bool,
    /// Do not compare issuers.
    pub skip_issuer: bool,
    /// Neither send nor check the nonce: only where it was asked for by name.
    pub skip_nonce: bool,
}

/// A line for the log at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How loud.
    pub level: NoticeLevel,
    /// The option it is about, in its TOML spelling; empty if about none.
    pub option: String,
    /// One sentence, without any secret.
    pub text: String,
}

/// How loud a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeLevel {
    /// For information.
    Info,
    /// Something to look at.
    Warning,
    /// The option changes nothing, as another one is set.
    WithoutEffect,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.option.is_empty() { f.write_str(&self.text) } else { write!(f, "{}: {}", self.option, self.text) }
    }
}
