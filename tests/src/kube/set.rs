//! The controller of a StatefulSet: makes pods, replaces them one at a time, and keeps names and filters true.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::cluster::READY_WITHIN;
use crate::helm::Checked;
use crate::kube::container::{Mount, Program};
use crate::kube::manifest::StatefulSet;
use crate::kube::network::Network;
use crate::kube::pod::{Endpoints, Pod};
use crate::process::tail;
use crate::workdir::WorkDir;
use crate::{Failure, http, timing};

/// What pods find that the manifest does not say.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Further hosts that they can resolve.
    pub names: Vec<(String, Ipv4Addr)>,
    /// What lies over the image.
    pub mounts: Vec<Mount>,
    /// The image.
    pub program: Program,
    /// Where the gateway is: the only pod of [`GATEWAYS`].
    pub gateway: Ipv4Addr,
}

/// The namespace in which a network policy looks for gateways.
pub const GATEWAYS: &str = "ingress-nginx";

/// A Service that leads to the pods.
#[derive(Clone, Debug)]
pub struct ClientService {
    /// Its name inside the cluster.
    pub host: String,
    /// Its first port.
    pub port: u16,
    /// The pods' port behind it.
    pub target: u16,
}

/// A StatefulSet that is applied. Dropping it ends its pods.
#[derive(Debug)]
pub struct Set {
    /// The running pods by ordinal; a deleted one is missing until it is made anew.
    pub pods: BTreeMap<usize, Pod>,
    endpoints: Arc<Endpoints>,
    checked: Checked,
    dir: PathBuf,
    surroundings: Surroundings,
    network: Arc<Network>,
    /// The pod that the network has parted from all others.
    parted: Option<usize>,
}

impl Set {
    /// Takes a render; [`Set::fill`] makes its pods, all at once, as `podManagementPolicy: Parallel` has it.
    pub fn apply(
        dir: &WorkDir,
        network: &Arc<Network>,
        checked: Checked,
        surroundings: Surroundings,
    ) -> Result<Self, Failure> {
        let parallel = checked.kind("StatefulSet").all(|set| set["spec"]["podManagementPolicy"] == "Parallel");
        assert!(parallel, "this controller makes all pods at once");
        let endpoints = Arc::new(watch::Sender::new(BTreeMap::new()));
        let (dir, network) = (dir.sub("pods"), Arc::clone(network));
        Ok(Self { pods: BTreeMap::new(), endpoints, checked, dir, surroundings, network, parted: None })
    }

    /// Who is ready, as it changes.
    pub fn endpoints(&self) -> watch::Receiver<BTreeMap<usize, Ipv4Addr>> {
        self.endpoints.subscribe()
    }

    /// All rendered objects.
    pub fn checked(&self) -> &Checked {
        &self.checked
    }

    /// The manifest.
    pub fn manifest(&self) -> Result<StatefulSet<'_>, Failure> {
        StatefulSet::of(&self.checked)
    }

    /// How many checks each pod has let through, by its own metrics.
    pub async fn checks_allowed(&self) -> Result<BTreeMap<usize, u64>, Failure> {
        const LINE: &str = "conclave_auth_checks_total{result=\"allowed\"} ";
        let port = self.manifest()?.port(&"metrics".into())?;
        let client = http::client();
        let mut allowed = BTreeMap::new();
        for pod in self.pods.values() {
            let text = client.get(format!("http://{}/metrics", pod.at(port))).send().await?.text().await?;
            let count = text.lines().find_map(|line| line.strip_prefix(LINE)).ok_or("no count of allowed checks")?;
            allowed.insert(pod.ordinal, count.parse()?);
        }
        Ok(allowed)
    }

    /// The public port of all pods.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>, Failure> {
        let port = self.manifest()?.port(&"http".into())?;
        Ok(self.pods.values().map(|pod| pod.at(port)).collect())
    }

    /// The Services with an address of their own that lead to the pods: what clients ask, and what gateways ask.
    pub fn services(&self) -> Result<Vec<ClientService>, Failure> {
        let manifest = self.manifest()?;
        let leads_here = |service: &&Value| {
            service["spec"]["clusterIP"] != "None" && &service["spec"]["selector"] == manifest.selector()
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let services = self.checked.kind("Service").filter(leads_here).map(|service| {
            let port = &service["spec"]["ports"][0];
            let number = port["port"].as_u64().ok_or("a Service without a port")?;
            let (name, namespace) = (text(&service["metadata"]["name"]), text(&service["metadata"]["namespace"]));
            let (port, target) = (u16::try_from(number)?, manifest.port(&port["targetPort"])?);
            Ok(ClientService { host: format!("{name}.{namespace}.svc"), port, target })
        });
        services.collect()
    }

    /// Makes every pod that is missing, and waits until all are ready.
    pub async fn fill(&mut self) -> Result<(), Failure> {
        let missing: Vec<usize> =
            (0..self.manifest()?.replicas()?).filter(|one| !self.pods.contains_key(one)).collect();
        for ordinal in missing {
            self.make(ordinal)?;
        }
        self.wait_ready().await
    }

    /// Makes one pod that is missing; does not wait.
    pub fn make(&mut self, ordinal: usize) -> Result<(), Failure> {
        let manifest = StatefulSet::of(&self.checked)?;
        let (namespace, dir) = (self.network.attach()?, self.dir.join(ordinal.to_string()));
        std::fs::create_dir_all(&dir)?;
        let pod = Pod::start(&manifest, ordinal, namespace, dir, &self.surroundings, &self.endpoints)?;
        self.pods.insert(ordinal, pod);
        self.publish()
    }

    /// `kubectl delete pod`, until it is gone.
    pub async fn delete(&mut self, ordinal: usize) -> Result<(), Failure> {
        let grace = self.manifest()?.grace();
        self.pods.remove(&ordinal).ok_or("no such pod")?.delete(grace).await
    }

    /// `kubectl delete pods --all`, until they are gone.
    pub async fn delete_all(&mut self) -> Result<(), Failure> {
        let grace = self.manifest()?.grace();
        let pods = std::mem::take(&mut self.pods);
        futures::future::try_join_all(pods.into_values().map(|pod| pod.delete(grace))).await.map(drop)
    }

    /// Applies another render: where it changes the pods, they are replaced from the last to the first, each ready for
    /// `minReadySeconds` before the next. Says how many were.
    pub async fn upgrade(&mut self, checked: Checked) -> Result<usize, Failure> {
        let is_same = StatefulSet::of(&checked)?.template() == self.manifest()?.template();
        self.checked = checked;
        if is_same { Ok(0) } else { self.roll().await }
    }

    /// `kubectl rollout restart`.
    pub async fn roll(&mut self) -> Result<usize, Failure> {
        let (count, min_ready) = (self.manifest()?.replicas()?, self.manifest()?.min_ready());
        for ordinal in (0..count).rev() {
            self.delete(ordinal).await?;
            self.make(ordinal)?;
            self.wait_ready().await?;
            tokio::time::sleep(min_ready).await;
        }
        Ok(count)
    }

    /// `kill -9` in these pods; they stay away until [`Set::fill`].
    pub fn kill(&mut self, ordinals: &[usize]) {
        let killed: Vec<Pod> = ordinals.iter().filter_map(|ordinal| self.pods.remove(ordinal)).collect();
        killed.into_iter().for_each(Pod::kill);
    }

    /// Parts one pod from all others, or nobody; clients reach all of them as before.
    pub fn part(&mut self, ordinal: Option<usize>) -> Result<(), Failure> {
        self.parted = ordinal;
        self.publish()
    }

    /// The pod that says that it leads, once exactly one does.
    pub async fn leader(&self) -> Result<usize, Failure> {
        timing::until("a leader", READY_WITHIN, || async {
            let mut leaders = Vec::new();
            for pod in self.pods.values() {
                if pod.admin("/status").await.is_ok_and(|status| status["role"] == "leader") {
                    leaders.push(pod.ordinal);
                }
            }
            if leaders.len() == 1 { leaders.first().copied() } else { None }
        })
        .await
    }

    /// Where a pod's claim lies.
    pub fn claim(&self, ordinal: usize) -> PathBuf {
        claim(&self.dir, ordinal)
    }

    /// Waits until every pod that there is is an endpoint.
    pub async fn wait_ready(&mut self) -> Result<(), Failure> {
        let begun = timing::now();
        loop {
            let ready = self.endpoints.borrow().clone();
            let Some(waited) = self.pods.values_mut().find(|pod| !ready.contains_key(&pod.ordinal)) else {
                return Ok(());
            };
            waited.check_alive()?;
            if begun.elapsed() > READY_WITHIN {
                return Err(format!("{} is not ready:\n{}", waited.name, tail(&waited.log)).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Names resolve to the pods that there are, and the network policy knows their addresses.
    fn publish(&self) -> Result<(), Failure> {
        let manifest = self.manifest()?;
        let mut hosts = "127.0.0.1 localhost\n".to_owned();
        for (ordinal, host) in manifest.hosts()?.iter().enumerate() {
            if let Some(pod) = self.pods.get(&ordinal) {
                hosts += &format!("{} {host}\n", pod.namespace.address);
            }
        }
        for (name, address) in &self.surroundings.names {
            hosts += &format!("{address} {name}\n");
        }
        let filter = self.filter(&manifest)?;
        for pod in self.pods.values() {
            // In place: a mount shows the file that it was made of.
            std::fs::write(&pod.hosts, &hosts)?;
            let cut = if self.parted == Some(pod.ordinal) { self.cut_off() } else { String::new() };
            pod.namespace.filter(&format!("{filter}{cut}"))?;
        }
        Ok(())
    }

    /// Drops whatever comes from pods, on connections that stand as well.
    fn cut_off(&self) -> String {
        let addresses = self.addresses_of_pods();
        let chain = format!("type filter hook input priority -1; policy accept;\n  ip saddr {{ {addresses} }} drop");
        format!("table ip cut {{\n chain input {{\n  {chain}\n }}\n}}\n")
    }

    fn addresses_of_pods(&self) -> String {
        let addresses: Vec<String> = self.pods.values().map(|pod| pod.namespace.address.to_string()).collect();
        addresses.join(", ")
    }

    /// The rules of the rendered NetworkPolicy, as nft takes them; a kubelet always gets through. Empty without a policy.
    fn filter(&self, manifest: &StatefulSet<'_>) -> Result<String, Failure> {
        let Some(policy) = self.checked.kind("NetworkPolicy").next() else { return Ok(String::new()) };
        let spec = &policy["spec"];
        assert_eq!(&spec["podSelector"]["matchLabels"], manifest.selector(), "a policy for other pods");
        assert!(spec["egress"].is_null(), "what leaves a pod is not filtered here");
        let mut rules =
            "table ip ingress_policy {\n chain input {\n  type filter hook input priority 0; policy drop;\n".to_owned();
        rules += &format!(
            "  ct state established,related accept\n  iif lo accept\n  ip saddr {} accept\n",
            self.network.node()
        );
        for rule in spec["ingress"].as_array().into_iter().flatten() {
            let from = self.sources(&rule["from"], manifest)?;
            for port in rule["ports"].as_array().into_iter().flatten() {
                let protocol = port["protocol"].as_str().unwrap_or("TCP").to_ascii_lowercase();
                let which = match (&port["port"], port["endPort"].as_u64()) {
                    (Value::Null, _) => format!("meta l4proto {protocol}"),
                    (first, None) => format!("{protocol} dport {}", manifest.port(first)?),
                    (first, Some(last)) => format!("{protocol} dport {}-{last}", manifest.port(first)?),
                };
                rules += &format!("  {from}{which} accept\n");
            }
        }
        Ok(rules + " }\n}\n")
    }

    /// Where a rule lets packets come from.
    fn sources(&self, from: &Value, manifest: &StatefulSet<'_>) -> Result<String, Failure> {
        let Some(peers) = from.as_array() else { return Ok(String::new()) };
        let gateways = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": GATEWAYS}}});
        if peers == &[gateways] {
            return Ok(format!("ip saddr {} ", self.surroundings.gateway));
        }
        if !peers.iter().all(|peer| &peer["podSelector"]["matchLabels"] == manifest.selector()) {
            return Err(format!("only the set's own pods or the gateways can be named here, not {from}").into());
        }
        Ok(format!("ip saddr {{ {} }} ", self.addresses_of_pods()))
    }
}

/// Where the claim of a pod lies below the directory of the set's pods: there before the pod is, if a disk is to be.
pub fn claim(pods: &Path, ordinal: usize) -> PathBuf {
    pods.join(ordinal.to_string()).join("claim-data")
}
