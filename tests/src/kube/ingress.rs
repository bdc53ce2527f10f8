//! An ingress controller: nginx in a namespace of its own, configured from Ingress objects and their annotations as
//! ingress-nginx does, over the endpoints of the set's Service as they change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

use crate::helm::Checked;
use crate::kube::manifest::StatefulSet;
use crate::kube::network::Namespace;
use crate::process::Process;
use crate::{Failure, http, timing};

/// What a cluster takes until a change of endpoints has reached every node and controller.
pub const PROPAGATION: Duration = Duration::from_millis(500);

/// nginx starts and has read its files.
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// Begins the annotations of ingress-nginx.
const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// Where the app behind every other Service listens, inside the controller's namespace.
const APP: &str = "127.0.0.1:8080";

/// Stands for the controller's own address until it is known.
const OWN_ADDRESS: &str = "@SELF@";

/// Where nginx says which endpoints it serves.
const STATUS_PORT: u16 = 8081;

/// As many answers in a row from new workers mean that the old ones have stopped accepting.
const STEADY: u32 = 5;

/// A host that is served besides those of the Ingress objects, by a server elsewhere.
#[derive(Clone, Debug)]
pub struct Outside {
    /// Its name.
    pub host: String,
    /// Its server, over plain HTTP.
    pub server: SocketAddr,
}

/// Files of a certificate for all hosts.
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM chain.
    pub certificate: PathBuf,
    /// PEM key.
    pub key: PathBuf,
}

/// One path of one Ingress.
#[derive(Clone, Debug)]
struct Rule {
    host: String,
    path: String,
    /// Whether the set's Service is behind it; else it is an app.
    is_ours: bool,
    auth: Option<Auth>,
}

/// What the annotations ask for.
#[derive(Clone, Debug)]
struct Auth {
    /// Host of the auth-url.
    host: String,
    /// Where that host is: the Service's pods, or this nginx, as the host of another Ingress.
    target: String,
    /// Its path and query.
    path: String,
    signin: String,
    response_headers: Vec<String>,
}

/// Everything that a configuration is made of, but for the endpoints.
#[derive(Clone, Debug)]
struct Sites {
    rules: Vec<Rule>,
    outside: Vec<Outside>,
    tls: Tls,
    listen: Ipv4Addr,
    port: u16,
}

/// A running controller. Dropping it ends nginx.
#[derive(Debug)]
pub struct Ingress {
    /// Its network; nginx listens there on 443.
    pub namespace: Namespace,
    /// Endpoints as they have reached it.
    pub known: watch::Receiver<BTreeMap<usize, Ipv4Addr>>,
    process: Process,
    follower: JoinHandle<()>,
}

impl Ingress {
    /// Starts nginx for all Ingress objects of the render and of `apps`, and follows the endpoints.
    pub async fn start(
        dir: &Path,
        namespace: Namespace,
        (checked, apps): (&Checked, &[Checked]),
        (tls, outside): (Tls, Vec<Outside>),
        mut endpoints: watch::Receiver<BTreeMap<usize, Ipv4Addr>>,
    ) -> Result<Self, Failure> {
        let set = StatefulSet::of(checked)?;
        let mut rules = Vec::new();
        for object in checked.kind("Ingress").chain(apps.iter().flat_map(|apps| apps.kind("Ingress"))) {
            rules.extend(rules_of(object, checked, &set)?);
        }
        // A host outside is its own server, whatever an example puts behind it.
        rules.retain(|rule| outside.iter().all(|outside| outside.host != rule.host));
        let port = set.port(&"http".into())?;
        let sites = Sites { rules, outside, tls, listen: namespace.address, port };
        std::fs::create_dir_all(dir)?;
        let file = dir.join("nginx.conf");
        let first = endpoints.borrow_and_update().clone();
        std::fs::write(&file, configuration(&sites, &first))?;
        let mut command = namespace.entering().to_vec();
        let prefix = format!("{}/", dir.display());
        command.extend(["nginx", "-p", &prefix, "-c"].map(str::to_owned));
        command.push(file.display().to_string());
        let process = Process::start("ingress", &dir.join("log"), command[0].as_ref(), &command[1..])?;
        let mut process = process.with_children();
        process.listening(SocketAddr::from((namespace.address, 443)), STARTS_WITHIN).await?;
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw).ok_or("no process id")?;
        let (tell, known) = watch::channel(first);
        let follower = tokio::spawn(async move {
            while endpoints.changed().await.is_ok() {
                tokio::time::sleep(PROPAGATION).await;
                let now = endpoints.borrow_and_update().clone();
                // From here on there may be nobody to ask.
                if now.is_empty() {
                    tell.send_replace(now.clone());
                }
                let is_written = std::fs::write(&file, configuration(&sites, &now)).is_ok();
                if !is_written || kill_process(pid, Signal::HUP).is_err() {
                    return;
                }
                taken_over(&sites, &now).await;
                tell.send_replace(now);
            }
        });
        Ok(Self { namespace, known, process, follower })
    }

    /// Waits until the endpoints as they are have reached it.
    pub async fn settled(&self, endpoints: &watch::Receiver<BTreeMap<usize, Ipv4Addr>>) -> Result<(), Failure> {
        timing::until("nginx to know the endpoints", STARTS_WITHIN, || async {
            (*self.known.borrow() == *endpoints.borrow()).then_some(())
        })
        .await
    }

    /// nginx, for faults.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Drop for Ingress {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// Waits until a reloaded nginx serves these endpoints: for a moment the old workers go on beside the new.
async fn taken_over(sites: &Sites, endpoints: &BTreeMap<usize, Ipv4Addr>) {
    let (client, url) = (http::client_without_keep_alive(), format!("http://{}:{STATUS_PORT}/", sites.listen));
    let wanted = told(endpoints);
    let mut row = 0;
    while row < STEADY {
        let answer = match client.get(&url).send().await {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        };
        row = if answer == wanted { row + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// How nginx names the endpoints that it serves.
fn told(endpoints: &BTreeMap<usize, Ipv4Addr>) -> String {
    format!("{endpoints:?}")
}

/// Every path of an Ingress object.
fn rules_of(object: &Value, checked: &Checked, set: &StatefulSet<'_>) -> Result<Vec<Rule>, Failure> {
    let auth = auth_of(object, checked, set)?;
    let mut rules = Vec::new();
    for rule in object["spec"]["rules"].as_array().into_iter().flatten() {
        for path in rule["http"]["paths"].as_array().into_iter().flatten() {
            let service = path["backend"]["service"]["name"].as_str().ok_or("a backend without a Service")?;
            let is_ours = checked.object("Service", service).is_some();
            let host = rule["host"].as_str().ok_or("a rule without a host")?.to_owned();
            let path = path["path"].as_str().ok_or("no path")?.to_owned();
            rules.push(Rule { host, path, is_ours, auth: auth.clone() });
        }
    }
    Ok(rules)
}

/// The annotations of ingress-nginx, each of which has to be understood here.
fn auth_of(object: &Value, checked: &Checked, set: &StatefulSet<'_>) -> Result<Option<Auth>, Failure> {
    let (mut url, mut signin, mut response_headers) = (None, String::new(), Vec::new());
    for (name, value) in object["metadata"]["annotations"].as_object().into_iter().flatten() {
        let Some(name) = name.strip_prefix(PREFIX) else { continue };
        let value = value.as_str().ok_or("an annotation is text")?;
        match name {
            "auth-url" => url = Some(Url::parse(value)?),
            "auth-signin" => signin = value.to_owned(),
            "auth-response-headers" => response_headers = value.split(',').map(|one| one.trim().to_owned()).collect(),
            other => return Err(format!("{PREFIX}{other} is not understood here").into()),
        }
    }
    let Some(url) = url else { return Ok(None) };
    let host = url.host_str().unwrap_or_default().to_owned();
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let target = if url.scheme() == "https" {
        format!("https://{OWN_ADDRESS}:443")
    } else {
        leads_to_the_pods(&url, checked, set)?;
        "http://conclave".to_owned()
    };
    Ok(Some(Auth { host, target, path, signin, response_headers }))
}

/// An auth-url inside the cluster names the Service and a port of it that leads to the pods' public one.
fn leads_to_the_pods(url: &Url, checked: &Checked, set: &StatefulSet<'_>) -> Result<(), Failure> {
    let host = url.host_str().unwrap_or_default();
    let service = host.split('.').next().and_then(|name| checked.object("Service", name));
    let service = service.ok_or_else(|| format!("auth-url {url} names no Service of the render"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, namespace) = (text(&service["metadata"]["name"]), text(&service["metadata"]["namespace"]));
    assert!(
        host == format!("{name}.{namespace}.svc") || host.starts_with(&format!("{name}.{namespace}.svc.")),
        "{host}"
    );
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let port = ports.find(|port| port["port"].as_u64() == url.port_or_known_default().map(u64::from));
    let target = set.port(&port.ok_or_else(|| format!("{url} names no port of the Service"))?["targetPort"])?;
    assert_eq!(target, set.port(&"http".into())?, "the Service leads to another port");
    Ok(())
}

/// nginx.conf as ingress-nginx v1.15 would generate it, in plain nginx. Without endpoints, as there, 503.
fn configuration(sites: &Sites, endpoints: &BTreeMap<usize, Ipv4Addr>) -> String {
    let mut text = include_str!("ingress/head.conf")
        .replace("@APP@", APP)
        .replace("@STATUS@", &format!("{}:{STATUS_PORT}", sites.listen))
        .replace("@ENDPOINTS@", &told(endpoints));
    if !endpoints.is_empty() {
        text += "    upstream conclave {\n        zone conclave 64k;\n";
        for address in endpoints.values() {
            writeln!(text, "        server {address}:{} max_fails=0;", sites.port).expect("a string takes all");
        }
        text += "    }\n";
    }
    let hosts: BTreeSet<&str> = sites.rules.iter().map(|rule| rule.host.as_str()).collect();
    for host in hosts {
        let rules = sites.rules.iter().filter(|rule| rule.host == host);
        let locations: String = rules.map(|rule| location(sites, rule, endpoints.is_empty())).collect();
        text += &server(sites, host, &locations);
    }
    for outside in &sites.outside {
        let target = format!("http://{}", outside.server);
        text += &server(
            sites,
            &outside.host,
            &include_str!("ingress/backend.conf").replace("@PATH@", "/").replace("@TARGET@", &target),
        );
    }
    text + "}\n"
}

fn server(sites: &Sites, host: &str, locations: &str) -> String {
    include_str!("ingress/server.conf")
        .replace("@LISTEN@", &sites.listen.to_string())
        .replace("@HOST@", host)
        .replace("@CERTIFICATE@", &sites.tls.certificate.display().to_string())
        .replace("@KEY@", &sites.tls.key.display().to_string())
        .replace("@LOCATIONS@", locations)
}

fn location(sites: &Sites, rule: &Rule, is_empty: bool) -> String {
    let target = if rule.is_ours { "http://conclave" } else { "http://app" };
    if is_empty && (rule.is_ours || rule.auth.is_some()) {
        return format!("        location {} {{ return 503; }}\n", rule.path);
    }
    let Some(auth) = &rule.auth else {
        return include_str!("ingress/backend.conf").replace("@PATH@", &rule.path).replace("@TARGET@", target);
    };
    let mut headers = String::new();
    for (index, name) in auth.response_headers.iter().enumerate() {
        let variable = name.to_ascii_lowercase().replace('-', "_");
        writeln!(headers, "            auth_request_set $authHeader{index} $upstream_http_{variable};")
            .expect("a string");
        writeln!(headers, "            proxy_set_header '{name}' $authHeader{index};").expect("a string takes all");
    }
    include_str!("ingress/protected.conf")
        .replace("@PATH@", &rule.path)
        .replace("@TARGET@", target)
        .replace("@AUTH_HOST@", &auth.host)
        .replace("@AUTH_TARGET@", &auth.target.replace(OWN_ADDRESS, &sites.listen.to_string()))
        .replace("@AUTH_PATH@", &auth.path)
        .replace("@SIGNIN@", &auth.signin)
        .replace("@HEADERS@", &headers)
}
