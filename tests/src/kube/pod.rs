//! One running pod, and the kubelet that probes it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::kube::container::Mount;
use crate::kube::manifest::{Probe, StatefulSet};
use crate::kube::network::Namespace;
use crate::kube::set::Surroundings;
use crate::process::{Process, tail};
use crate::{Failure, http};

/// Where the chart lets the admin listener be, inside the pod.
const ADMIN_PORT: u16 = 4182;

/// The endpoints of the set's Service: ready pods that are not being deleted, by ordinal.
pub type Endpoints = watch::Sender<BTreeMap<usize, Ipv4Addr>>;

/// A pod. Dropping it kills it.
#[derive(Debug)]
pub struct Pod {
    /// Its name, which stays when it is made anew.
    pub name: String,
    /// Its place in the set.
    pub ordinal: usize,
    /// Its network.
    pub namespace: Namespace,
    /// Its log, over all pods of that name.
    pub log: PathBuf,
    /// Its hosts file, which stands for the cluster's names.
    pub hosts: PathBuf,
    process: Process,
    kubelet: JoinHandle<()>,
    endpoints: Arc<Endpoints>,
    /// How often liveness failed for good, where a kubelet would have restarted it.
    lost: Arc<AtomicUsize>,
}

/// What its probes ask.
struct Probes {
    startup: Probe,
    liveness: Probe,
    readiness: Probe,
}

impl Pod {
    /// Starts a pod of the set in a namespace; `dir` keeps its claims.
    pub fn start(
        set: &StatefulSet<'_>,
        ordinal: usize,
        namespace: Namespace,
        dir: PathBuf,
        surroundings: &Surroundings,
        endpoints: &Arc<Endpoints>,
    ) -> Result<Self, Failure> {
        set.runs_whole()?;
        let name = format!("{}-{ordinal}", set.name()?);
        let mut container = set.contain(&dir, &surroundings.program)?;
        container.mounts.extend_from_slice(&surroundings.mounts);
        let file = dir.join("hosts");
        std::fs::write(&file, "127.0.0.1 localhost\n")?;
        container.mounts.push(Mount::read_only(&file, "/etc/hosts"));
        let invocation = set.invocation(&name)?;
        let mut command = namespace.entering().to_vec();
        command.extend(container.command(&invocation.command)?);
        let log = dir.join("log");
        let process = Process::start_with(&name, &log, command[0].as_ref(), &command[1..], |command| {
            command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(invocation.variables);
        })?;
        let probes = Probes {
            startup: set.probe("startupProbe")?,
            liveness: set.probe("livenessProbe")?,
            readiness: set.probe("readinessProbe")?,
        };
        let lost = Arc::new(AtomicUsize::new(0));
        let kubelet =
            Kubelet { ordinal, address: namespace.address, endpoints: Arc::clone(endpoints), lost: Arc::clone(&lost) };
        let kubelet = tokio::spawn(kubelet.run(probes));
        Ok(Self {
            name,
            ordinal,
            namespace,
            log,
            hosts: file,
            process,
            kubelet,
            endpoints: Arc::clone(endpoints),
            lost,
        })
    }

    /// Where its port of that number is.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.namespace.address, port))
    }

    /// `kubectl delete pod`: out of the endpoints and SIGTERM at once; gone within the grace period, by itself.
    pub async fn delete(mut self, grace: Duration) -> Result<(), Failure> {
        self.leave();
        let status = self.process.terminate(grace).await?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{} ended with {status}:\n{}", self.name, tail(&self.log)).into())
        }
    }

    /// The node's power fails: SIGKILL.
    pub fn kill(mut self) {
        self.leave();
        self.process.kill();
    }

    /// Fails with the log's tail if the program has ended by itself or its kubelet would have restarted it.
    pub fn check_alive(&mut self) -> Result<(), Failure> {
        if let Some(status) = self.process.ended() {
            return Err(format!("{} ended by itself with {status}:\n{}", self.name, tail(&self.log)).into());
        }
        match self.lost.load(Ordering::SeqCst) {
            0 => Ok(()),
            times => Err(format!("{}: liveness failed {times} times:\n{}", self.name, tail(&self.log)).into()),
        }
    }

    /// What `kubectl port-forward` to the admin listener brings: a JSON answer.
    pub async fn admin(&self, path: &str) -> Result<Value, Failure> {
        let [enter, name] = self.namespace.entering();
        let url = format!("http://127.0.0.1:{ADMIN_PORT}{path}");
        let output = tokio::process::Command::new(enter).args([&name, "curl", "-s", "-m", "2", &url]).output().await?;
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{}: {url}: {error}", self.name).into())
    }

    fn leave(&self) {
        self.kubelet.abort();
        self.endpoints.send_if_modified(|endpoints| endpoints.remove(&self.ordinal).is_some());
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The probes of one pod, each on its own period, as a kubelet runs them.
struct Kubelet {
    ordinal: usize,
    address: Ipv4Addr,
    endpoints: Arc<Endpoints>,
    lost: Arc<AtomicUsize>,
}

impl Kubelet {
    async fn run(self, probes: Probes) {
        self.until(&probes.startup, true).await;
        let (is_over, lost) = (AtomicBool::new(false), Arc::clone(&self.lost));
        let liveness = async {
            while !is_over.load(Ordering::SeqCst) {
                self.until(&probes.liveness, false).await;
                lost.fetch_add(1, Ordering::SeqCst);
            }
        };
        let readiness = async {
            loop {
                self.until(&probes.readiness, true).await;
                self.endpoints.send_if_modified(|endpoints| endpoints.insert(self.ordinal, self.address).is_none());
                self.until(&probes.readiness, false).await;
                self.endpoints.send_if_modified(|endpoints| endpoints.remove(&self.ordinal).is_some());
            }
        };
        tokio::join!(liveness, readiness);
    }

    /// Probes until it has succeeded, or failed, as often in a row as counts.
    async fn until(&self, probe: &Probe, wanted: bool) {
        let client = http::client_without_keep_alive();
        let url = format!("http://{}:{}{}", self.address, probe.port, probe.path);
        let enough = if wanted { probe.successes } else { probe.failures };
        let mut row = 0;
        loop {
            let answer = client.get(&url).timeout(probe.timeout).send().await;
            let is_good = answer.is_ok_and(|answer| (200..400).contains(&answer.status().as_u16()));
            row = if is_good == wanted { row + 1 } else { 0 };
            if row >= enough {
                return;
            }
            tokio::time::sleep(probe.period).await;
        }
    }
}
