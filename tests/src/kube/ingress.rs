//! An ingress controller: nginx in a namespace of its own, configured from Ingress objects and their annotations as
//! ingress-nginx does, over the endpoints of the set's Service as they change.

mod configuration;
mod rules;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::helm::Checked;
use crate::kube::manifest::StatefulSet;
use crate::kube::network::Namespace;
use crate::process::Process;
use crate::{Failure, http, timing};
use configuration::configuration;
use rules::{Rule, rules_of};

/// What a cluster takes until a change of endpoints has reached every node and controller.
pub const PROPAGATION: Duration = Duration::from_millis(500);

/// nginx starts and has read its files.
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// Where nginx listens for browsers.
const HTTPS: u16 = 443;

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

/// Everything that a configuration is made of, but for the endpoints.
#[derive(Clone, Debug)]
struct Sites {
    rules: Vec<Rule>,
    outside: Vec<Outside>,
    tls: Tls,
    listen: SocketAddr,
    /// Behind every Service but the set's; nginx itself echoes where none is given.
    app: Option<SocketAddr>,
}

/// A running controller. Dropping it ends nginx.
#[derive(Debug)]
pub struct Ingress {
    /// Its network; nginx listens there on 443.
    pub namespace: Namespace,
    /// Endpoints as they have reached it.
    pub known: watch::Receiver<BTreeMap<usize, Ipv4Addr>>,
    _process: Process,
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
        let listen = SocketAddr::from((namespace.address, HTTPS));
        let sites = Sites { rules, outside, tls, listen, app: None };
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
        process.listening(listen, STARTS_WITHIN).await?;
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
        Ok(Self { namespace, known, _process: process, follower })
    }

    /// Waits until the endpoints as they are have reached it.
    pub async fn settled(&self, endpoints: &watch::Receiver<BTreeMap<usize, Ipv4Addr>>) -> Result<(), Failure> {
        timing::until("nginx to know the endpoints", STARTS_WITHIN, || async {
            (*self.known.borrow() == *endpoints.borrow()).then_some(())
        })
        .await
    }
}

/// nginx.conf for the Ingress objects of a render and one more, over one endpoint, with an app of one's own.
pub fn over_one_endpoint(
    (checked, protected): (&Checked, &Value),
    endpoint: Ipv4Addr,
    (listen, tls): (SocketAddr, Tls),
    app: SocketAddr,
) -> Result<String, Failure> {
    let set = StatefulSet::of(checked)?;
    let mut rules = Vec::new();
    for object in checked.kind("Ingress").chain([protected]) {
        rules.extend(rules_of(object, checked, &set)?);
    }
    let sites = Sites { rules, outside: Vec::new(), tls, listen, app: Some(app) };
    Ok(configuration(&sites, &BTreeMap::from([(0, endpoint)])))
}

impl Drop for Ingress {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// Waits until a reloaded nginx serves these endpoints: for a moment the old workers go on beside the new.
async fn taken_over(sites: &Sites, endpoints: &BTreeMap<usize, Ipv4Addr>) {
    let (client, url) = (http::client_without_keep_alive(), format!("http://{}:{STATUS_PORT}/", sites.listen.ip()));
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
