//! The gateways that the notes are for: the real program where a package carries one, set up by what the note prints.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::envoy::{self, Setup};
use super::kube_api::KubeApi;
use super::stand::{APP_HOST, AUTH_HOST, DOMAIN, Plan, Stand};
use super::wire::Server;
use crate::kube::ingress::over_one_endpoint;
use crate::process::Process;
use crate::{Failure, ports, repository};

/// A gateway listens within this time.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// The Service's port, and the pods'.
const SERVICE_PORT: u16 = 80;
const PODS_PORT: u16 = 4180;

/// Where the app of a note runs.
const APP: (&str, &str) = ("apps", "app");

/// A kind of gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// nginx.
    Nginx,
    /// nginx as ingress-nginx configures it.
    IngressNginx,
    /// Traefik, with a Kubernetes API that holds the note's objects.
    Traefik,
    /// Caddy before the release that takes a client's own copies away by itself.
    OldCaddy,
    /// Caddy.
    Caddy,
    /// HAProxy as HAProxy Ingress configures it.
    Haproxy,
    /// A client that asks as Envoy does.
    Envoy,
}

/// A running gateway.
#[derive(Debug)]
pub struct Running {
    _process: Option<Process>,
    _server: Option<Server>,
    _api: Option<KubeApi>,
}

impl From<Process> for Running {
    fn from(process: Process) -> Self {
        Self { _process: Some(process), _server: None, _api: None }
    }
}

impl Front {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Nginx, Self::IngressNginx, Self::Traefik, Self::OldCaddy, Self::Caddy, Self::Haproxy, Self::Envoy];

    /// The value `gateway` whose note it is.
    pub const fn gateway(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::IngressNginx => "ingress-nginx",
            Self::Traefik => "traefik",
            Self::OldCaddy | Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }

    /// The host at which people log in: another one than the app's where the note has it so.
    pub const fn login_host(self) -> &'static str {
        match self {
            Self::IngressNginx | Self::Haproxy => AUTH_HOST,
            Self::Nginx | Self::Traefik | Self::OldCaddy | Self::Caddy | Self::Envoy => APP_HOST,
        }
    }

    /// Name of the stand's directory, and how browsers come.
    pub fn plan(self, name: &str) -> Plan<'_> {
        let scheme = if self == Self::Envoy { "http" } else { "https" };
        // ingress-nginx asks the pods themselves, at the port that the Service leads to.
        let port = if self == Self::IngressNginx { PODS_PORT } else { SERVICE_PORT };
        Plan { name, gateway: self.gateway(), scheme, login_host: self.login_host(), port }
    }

    /// The words that the note leaves to its reader, longer ones first.
    pub fn words(self, port: u16, app: SocketAddr) -> Vec<(&'static str, String)> {
        let owned = |word, value: &str| (word, value.to_owned());
        match self {
            Self::IngressNginx | Self::Haproxy => vec![
                ("AUTH-HOST-AND-PORT", format!("{AUTH_HOST}:{port}")),
                ("DOMAIN-AND-PORT", format!("{DOMAIN}:{port}")),
                owned("AUTH-HOST", AUTH_HOST),
                owned("DOMAIN", DOMAIN),
            ],
            Self::Traefik => vec![
                ("APP-HOST-AND-PORT", format!("{APP_HOST}:{port}")),
                owned("APP-HOST", APP_HOST),
                owned("APP-NAMESPACE", APP.0),
                owned("APP", APP.1),
            ],
            Self::Nginx | Self::OldCaddy | Self::Caddy => vec![("APP", app.to_string())],
            Self::Envoy => vec![
                owned("APP-HOST", APP_HOST),
                owned("APP-NAMESPACE", APP.0),
                owned("APP-ROUTE", APP.1),
                owned("GATEWAY-NAMESPACE", "infra"),
                owned("GATEWAY", "edge"),
            ],
        }
    }

    /// Starts it by the note of the stand.
    pub async fn start(self, stand: &Stand) -> Result<Running, Failure> {
        let listening = |process: Process| async move {
            let mut process = process;
            process.listening(stand.gateway, STARTS_WITHIN).await?;
            Ok::<_, Failure>(Running::from(process))
        };
        match self {
            Self::Nginx => listening(nginx(stand)?).await,
            Self::IngressNginx => listening(ingress_nginx(stand)?).await,
            Self::OldCaddy => listening(caddy(stand, "caddy-2.10")?).await,
            Self::Caddy => listening(caddy(stand, "caddy")?).await,
            Self::Haproxy => listening(haproxy(stand)?).await,
            Self::Traefik => {
                let (process, api) = traefik(stand).await?;
                Ok(Running { _api: Some(api), ..listening(process).await? })
            }
            Self::Envoy => {
                let setup = Setup::of(&stand.note.objects("yaml objects")?, &stand.release)?;
                let server = envoy::start(stand.gateway, setup, stand.service.http, stand.app).await?;
                Ok(Running { _process: None, _server: Some(server), _api: None })
            }
        }
    }
}

/// A program that `parts.sh` installs.
fn tool(name: &str) -> Result<String, Failure> {
    let path = repository().join(".tools/gateways/bin").join(name);
    if !path.exists() {
        return Err(format!("{} is missing: tests/scripts/parts.sh installs it", path.display()).into());
    }
    Ok(path.display().to_string())
}

fn ingress_nginx(stand: &Stand) -> Result<Process, Failure> {
    let annotations = &stand.note.objects("yaml annotations")?[0];
    let path = json!({"path": "/", "backend": {"service": {"name": APP.1}}});
    let app = json!({
        "metadata": {"annotations": annotations},
        "spec": {"rules": [{"host": APP_HOST, "http": {"paths": [path]}}]},
    });
    let listen = (stand.gateway, stand.tls.clone());
    let text = over_one_endpoint((&stand.release, &app), stand.endpoint().0, listen, stand.app)?;
    run_nginx(stand, &text)
}

fn nginx(stand: &Stand) -> Result<Process, Failure> {
    let text = include_str!("nginx.conf")
        .replace("@LISTEN@", &stand.gateway.to_string())
        .replace("@HOST@", APP_HOST)
        .replace("@CERTIFICATE@", &stand.tls.certificate.display().to_string())
        .replace("@KEY@", &stand.tls.key.display().to_string())
        .replace("@NOTE@", stand.note.block("nginx")?);
    run_nginx(stand, &text)
}

fn run_nginx(stand: &Stand, text: &str) -> Result<Process, Failure> {
    let home = stand.dir.sub("nginx");
    std::fs::write(home.join("nginx.conf"), text)?;
    let prefix = format!("{}/", home.display());
    let process = stand.start_program("nginx", &["nginx", "-p", &prefix, "-c", "nginx.conf"].map(str::to_owned))?;
    Ok(process.with_children())
}

async fn traefik(stand: &Stand) -> Result<(Process, KubeApi), Failure> {
    let mut objects = stand.note.objects("yaml objects")?;
    let (address, port) = stand.endpoint();
    objects.extend(service(("auth", "oauth2-proxy"), SocketAddr::from((address, port))));
    objects.extend(service(APP, stand.app));
    let at = ports::free_address();
    let api = KubeApi::start(at, objects).await?;
    let tls = stand.dir.join("traefik-tls.yaml");
    let files = json!({"certFile": stand.tls.certificate, "keyFile": stand.tls.key});
    std::fs::write(&tls, json!({"tls": {"stores": {"default": {"defaultCertificate": files}}}}).to_string())?;
    let mut program = vec![
        tool("traefik")?,
        format!("--entrypoints.websecure.address={}", stand.gateway),
        format!("--providers.kubernetescrd.endpoint=http://{at}"),
        // YAML takes JSON in.
        format!("--providers.file.filename={}", tls.display()),
        "--global.checknewversion=false".to_owned(),
        "--global.sendanonymoususage=false".to_owned(),
    ];
    program.extend(stand.note.block("text arguments")?.lines().map(str::to_owned));
    Ok((stand.start_program("traefik", &program)?, api))
}

/// A Service on port 80 and its one endpoint.
fn service((namespace, name): (&str, &str), at: SocketAddr) -> [Value; 2] {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
        "endpoints": [{"addresses": [at.ip()], "conditions": {"ready": true}}],
        "ports": [{"name": "http", "port": at.port(), "protocol": "TCP"}],
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": at.ip(), "ports": [{"name": "http", "port": 80}]},
    });
    [service, slice]
}

fn caddy(stand: &Stand, program: &str) -> Result<Process, Failure> {
    let (certificate, key) = (stand.tls.certificate.display(), stand.tls.key.display());
    let site = stand.note.block("caddyfile")?;
    let text = format!(
        "{{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}}\nhttps://{APP_HOST}:{} {{\n\tbind 127.0.0.1\n\ttls {certificate} {key}\n{site}}}\n",
        stand.gateway.port()
    );
    let file = stand.dir.join("Caddyfile");
    std::fs::write(&file, text)?;
    let file = file.display().to_string();
    stand.start_program("caddy", &[tool(program)?, "run".to_owned(), "--config".to_owned(), file])
}

fn haproxy(stand: &Stand) -> Result<Process, Failure> {
    let annotations = &stand.note.objects("yaml annotations")?[0];
    let annotation = |name: &str| {
        let value = annotations[format!("haproxy-ingress.github.io/{name}")].as_str();
        value.ok_or_else(|| format!("no annotation {name}"))
    };
    if annotations.as_object().is_none_or(|all| all.len() != 3) {
        return Err("an annotation is not understood here".into());
    }
    let url = annotation("auth-url")?.strip_prefix("http://").ok_or("auth-url is no http URL")?;
    let (auth, path) = url.split_once('/').ok_or("auth-url has no path")?;
    let early =
        stand.note.objects("yaml configmap")?[0]["config-frontend-early"].as_str().unwrap_or_default().to_owned();
    let ours = stand.release.kind("Ingress").next().ok_or("the values bring no Ingress")?;
    let rule = &ours["spec"]["rules"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let folder = repository().join("tests/src/notes/haproxy");
    let both = stand.dir.join("tls-both.pem");
    let pem = [std::fs::read(&stand.tls.certificate)?, std::fs::read(&stand.tls.key)?].concat();
    std::fs::write(&both, pem)?;
    let (address, port) = stand.endpoint();
    let configuration = include_str!("haproxy/haproxy.cfg")
        .replace("@LUA@", &folder.join("auth-intercept.lua").display().to_string())
        .replace("@LISTEN@", &stand.gateway.to_string())
        .replace("@CERTIFICATE@", &both.display().to_string())
        .replace("@EARLY@", &early)
        .replace("@AUTH_HOST@", &text(&rule["host"]))
        .replace("@PATH@", &text(&rule["http"]["paths"][0]["path"]))
        .replace("@APP_HOST@", APP_HOST)
        .replace("@AUTH_PATH@", &format!("/{path}"))
        .replace("@SUCCEED@", annotation("auth-headers-succeed")?)
        .replace("@SIGNIN@", annotation("auth-signin")?)
        .replace("@APP@", &stand.app.to_string())
        .replace("@CONCLAVE@", &format!("{address}:{port}"))
        .replace("@AUTH@", auth);
    let file = stand.dir.join("haproxy.cfg");
    std::fs::write(&file, configuration)?;
    stand.start_program(
        "haproxy",
        &["haproxy".to_owned(), "-db".to_owned(), "-f".to_owned(), file.display().to_string()],
    )
}
