//! A service with a note's values, a provider and an app; the gateway that the note sets up comes in front.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use serde_json::Value;
use url::Url;

use super::Note;
use super::wire::{self, Server};
use crate::browser::Robot;
use crate::helm::{self, Checked};
use crate::kube::ingress::Tls;
use crate::lone::Lone;
use crate::process::Process;
use crate::provider::Provider;
use crate::workdir::WorkDir;
use crate::{Failure, http, ports};

/// Host of the app.
pub const APP_HOST: &str = "app.example.test";

/// Host of all logins, where the note has one.
pub const AUTH_HOST: &str = "auth.example.test";

/// What both hosts share.
pub const DOMAIN: &str = "example.test";

/// The Services' names inside a cluster, as notes print them: of browsers, and of gateways.
const SERVICES: [&str; 2] = ["oauth2-proxy.auth.svc.cluster.local", "oauth2-proxy-auth.auth.svc.cluster.local"];

/// Port of the Service of gateways, and of the listener behind it.
const AUTH_PORT: u16 = 4183;

/// Everything but the gateway. Fields are dropped in this order.
#[derive(Debug)]
pub struct Stand {
    /// The service.
    pub service: Lone,
    /// What a chart with the note's values renders.
    pub release: Checked,
    /// The note with its words filled in.
    pub note: Note,
    /// Where the gateway is to listen.
    pub gateway: SocketAddr,
    /// Where the app listens.
    pub app: SocketAddr,
    /// For both hosts.
    pub tls: Tls,
    /// Logs and files.
    pub dir: WorkDir,
    certificate: CertificateDer<'static>,
    scheme: &'static str,
    hosts: PathBuf,
    _app: Server,
    _provider: Provider,
}

/// What a note is filled in with and where it runs.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'p> {
    /// Name of the stand's directory.
    pub name: &'p str,
    /// `gateway`.
    pub gateway: &'p str,
    /// How browsers reach the gateway.
    pub scheme: &'static str,
    /// The host at which people log in.
    pub login_host: &'p str,
    /// Port of the service's public listener.
    pub port: u16,
}

impl Stand {
    /// Starts all of it; `words` says what goes in for the words of the note, given the gateway's port and the app.
    pub async fn start(
        plan: Plan<'_>,
        note: &Note,
        words: impl Fn(u16, SocketAddr) -> Vec<(&'static str, String)>,
    ) -> Result<Self, Failure> {
        let dir = WorkDir::fresh(plan.name);
        let (gateway, app) = (ports::free_address(), ports::free_address());
        let words = words(gateway.port(), app);
        let words: Vec<(&str, &str)> = words.iter().map(|(word, value)| (*word, value.as_str())).collect();
        let note = note.filled(&words)?;
        let callback = format!("{}://{}:{}/oauth2/callback", plan.scheme, plan.login_host, gateway.port());
        let provider = Provider::start(&dir, &callback).await?;
        let values = dir.join("values.yaml");
        std::fs::write(&values, note.block("yaml values")?)?;
        let rendered = dir.join("rendered.yaml");
        let gateway_set = format!("gateway={}", plan.gateway);
        std::fs::write(&rendered, helm::template(&[&values], &["--set", &gateway_set])?)?;
        let release = helm::check(&rendered)?;
        let mut flags = flags(&helm::read_yaml(note.block("yaml values")?)?[0])?;
        let address = own_loopback();
        flags.extend([format!("--gateway={}", plan.gateway), "--skip-auth-route=^/open/".to_owned()]);
        flags.push(format!("--auth-address={address}:{AUTH_PORT}"));
        let service = SocketAddr::from((address, plan.port));
        let service = Lone::start_at(service, &dir, &provider.registration(), &flags).await?;
        let hosts = dir.join("hosts");
        std::fs::write(&hosts, format!("127.0.0.1 localhost\n{address} {}\n", SERVICES.join(" ")))?;
        let issued = rcgen::generate_simple_self_signed([APP_HOST, AUTH_HOST].map(str::to_owned))?;
        let tls = Tls { certificate: dir.join("tls.pem"), key: dir.join("tls.key") };
        std::fs::write(&tls.certificate, issued.cert.pem())?;
        std::fs::write(&tls.key, issued.signing_key.serialize_pem())?;
        let certificate = issued.cert.der().clone();
        let (_app, _provider, scheme) = (wire::app(app).await?, provider, plan.scheme);
        Ok(Self { service, release, note, gateway, app, tls, dir, certificate, scheme, hosts, _app, _provider })
    }

    /// Starts a program that finds the Services' names as programs in a cluster do.
    pub fn start_program(&self, name: &str, program: &[String]) -> Result<Process, Failure> {
        let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
        let mut args = ["--mount", "--propagation", "private", "sh", "-c", script].map(str::to_owned).to_vec();
        args.push(self.hosts.display().to_string());
        args.extend_from_slice(program);
        let (home, log) = (self.dir.sub("home"), self.dir.join(&format!("{name}.log")));
        Process::start_with(name, &log, "unshare".as_ref(), &args, |command| {
            command.env("HOME", &home).env("XDG_DATA_HOME", &home).env("XDG_CONFIG_HOME", &home);
        })
    }

    /// The address behind the Service, and its port.
    pub fn endpoint(&self) -> (Ipv4Addr, u16) {
        match self.service.http {
            SocketAddr::V4(address) => (*address.ip(), address.port()),
            SocketAddr::V6(_) => (Ipv4Addr::LOCALHOST, 0),
        }
    }

    /// A URL of one of the hosts, at the gateway.
    pub fn url(&self, host: &str, path: &str) -> Result<Url, Failure> {
        Ok(Url::parse(&format!("{}://{host}:{}{path}", self.scheme, self.gateway.port()))?)
    }

    /// A browser for which both hosts are the gateway.
    pub fn browser(&self, user: &str) -> Result<Robot, Failure> {
        let client = http::client_trusting(self.certificate.clone(), &[APP_HOST, AUTH_HOST], self.gateway)?;
        Ok(Robot::with_client(user, client))
    }
}

/// An address of this process: the Service's port is one that others may want as well.
fn own_loopback() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 44, high, low.max(1))
}

/// The program's flags for what a note's values ask for; every value has to be understood here.
fn flags(values: &Value) -> Result<Vec<String>, Failure> {
    let mut flags = Vec::new();
    for (name, value) in values.as_object().ok_or("values are a map")? {
        match (name.as_str(), value) {
            ("extraArgs", Value::Object(args)) => {
                for (flag, value) in args {
                    flags.push(format!("--{flag}={}", value.as_str().ok_or("an argument is text")?));
                }
            }
            ("config", Value::Object(config)) if config.keys().eq(["upstreams"]) => {
                let upstreams = config["upstreams"].as_array().into_iter().flatten().filter_map(Value::as_str);
                flags.extend(upstreams.map(|upstream| format!("--upstream={upstream}")));
            }
            // Read from the render by the gateways that they are for.
            ("ingress" | "gatewayApi", Value::Object(_)) => {}
            (other, _) => return Err(format!("the value {other} of a note is not understood here").into()),
        }
    }
    Ok(flags)
}
