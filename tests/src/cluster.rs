//! Replicas as real processes of the built binary: started, killed, paused, restarted, asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::gateway::Place;
use crate::links::Links;
use crate::process::{Process, tail};
use crate::provider::Registration;
use crate::workdir::WorkDir;
use crate::{Failure, http, ports, target_dir, timing};

/// Founding three replicas takes a few elections and key exchanges, in a debug build on a loaded machine.
pub const READY_WITHIN: Duration = Duration::from_secs(60);

/// How a cluster differs from three replicas side by side with the defaults.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Further flags, for every replica.
    pub flags: Vec<String>,
    /// A proxy on every directed link; those to and from this replica delay by so much each way,
    /// from before the first start.
    pub slow: Option<(usize, Duration)>,
    /// Data directories, one per replica; by default in the scenario's directory.
    pub data_dirs: Vec<PathBuf>,
}

impl Options {
    /// Adds a flag.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }
}

/// One replica.
#[derive(Debug)]
pub struct Replica {
    /// Its name among the peers.
    pub name: String,
    /// Its public listener.
    pub http: SocketAddr,
    /// Its peer listener.
    pub peer: SocketAddr,
    /// Its admin listener.
    pub admin: SocketAddr,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Its log, over all its starts.
    pub log: PathBuf,
    args: Vec<String>,
    hosts: Option<PathBuf>,
    process: Option<Process>,
    client: reqwest::Client,
}

impl Replica {
    /// Starts the process; does not wait for anything.
    pub fn start(&mut self) -> Result<(), Failure> {
        let binary = binary();
        let process = match &self.hosts {
            None => Process::start(&self.name, &self.log, &binary, &self.args)?,
            Some(hosts) => {
                let line =
                    format!("mount --bind '{}' /etc/hosts && exec '{}' \"$@\"", hosts.display(), binary.display());
                let mut args: Vec<String> = ["--mount", "sh", "-c", &line, "sh"].map(str::to_owned).to_vec();
                args.extend_from_slice(&self.args);
                Process::start(&self.name, &self.log, "unshare".as_ref(), &args)?
            }
        };
        self.process = Some(process);
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Whether a process was started and not killed.
    pub fn runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.ended().is_none())
    }

    /// The process.
    pub fn process(&mut self) -> Result<&mut Process, Failure> {
        self.process.as_mut().ok_or_else(|| format!("{} does not run", self.name).into())
    }

    /// Adds a flag for this replica alone, from its next start on.
    pub fn flag(&mut self, flag: String) {
        self.args.push(flag);
    }

    /// SIGSTOP.
    pub fn pause(&mut self) -> Result<(), Failure> {
        self.process()?.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn resume(&mut self) -> Result<(), Failure> {
        self.process()?.signal(Signal::CONT)
    }

    /// Status code of `/ready`; 0 when nothing answers.
    pub async fn ready_status(&self) -> u16 {
        let asked = self.client.get(format!("http://{}/ready", self.http)).timeout(Duration::from_secs(2)).send().await;
        asked.map_or(0, |answer| answer.status().as_u16())
    }

    /// Waits until it is ready; fails with its log's tail.
    pub async fn wait_ready(&mut self, limit: Duration) -> Result<(), Failure> {
        let begun = timing::now();
        loop {
            if self.ready_status().await == 200 {
                return Ok(());
            }
            if !self.runs() {
                return Err(format!("{} ended:\n{}", self.name, tail(&self.log)).into());
            }
            if begun.elapsed() > limit {
                return Err(format!("{} is not ready after {limit:?}:\n{}", self.name, tail(&self.log)).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A JSON answer of the admin listener.
    pub async fn admin(&self, path: &str) -> Result<Value, Failure> {
        Ok(serde_json::from_str(&self.admin_text(path).await?)?)
    }

    /// A text answer of the admin listener.
    pub async fn admin_text(&self, path: &str) -> Result<String, Failure> {
        let url = format!("http://{}{path}", self.admin);
        let answer = self.client.get(url).timeout(Duration::from_secs(5)).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            return Err(format!("{path} of {} answers {status}: {text}", self.name).into());
        }
        Ok(text)
    }

    /// Sum over all labels of a metric.
    pub async fn metric(&self, name: &str) -> Result<f64, Failure> {
        let text = self.admin_text("/metrics").await?;
        let lines = text
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' ')));
        let values: Vec<f64> = lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        if values.is_empty() {
            Err(format!("no metric {name} at {}", self.name).into())
        } else {
            Ok(values.iter().sum())
        }
    }

    /// Sum over the lines of a metric that have that label, such as `reason="ended"`.
    pub async fn metric_with(&self, name: &str, label: &str) -> Result<f64, Failure> {
        let text = self.admin_text("/metrics").await?;
        let labelled =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') && rest.contains(label));
        let values: Vec<f64> =
            text.lines().filter(labelled).filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        if values.is_empty() {
            Err(format!("no {name} with {label} at {}", self.name).into())
        } else {
            Ok(values.iter().sum())
        }
    }

    /// Index and hash of the replicated state.
    pub async fn state_hash(&self) -> Result<(u64, String), Failure> {
        let value = self.admin("/state-hash").await?;
        let index = value["index"].as_u64().ok_or("no index in /state-hash")?;
        let hash = value["hash"].as_str().ok_or("no hash in /state-hash")?;
        Ok((index, hash.to_owned()))
    }
}

/// Three replicas.
#[derive(Debug)]
pub struct Cluster {
    /// In the order of their names.
    pub replicas: Vec<Replica>,
    /// The slow network, if asked for.
    pub links: Option<Links>,
    /// The cookie secret of all replicas.
    pub secret: String,
}

/// How many replicas every scenario has.
pub const REPLICAS: usize = 3;

impl Cluster {
    /// Lays the cluster out without starting it.
    pub async fn lay(dir: &WorkDir, place: Place, provider: &Registration, options: &Options) -> Result<Self, Failure> {
        let ports: Vec<u16> = (0..REPLICAS).map(|_| ports::free()).collect();
        let links = match options.slow {
            Some((replica, delay)) => Some(Links::open(&ports).await?.delayed_around(replica, delay)),
            None => None,
        };
        let hosts: Vec<String> = (0..REPLICAS)
            .map(|index| if links.is_some() { format!("conclave-{index}.peers.test") } else { "127.0.0.1".to_owned() })
            .collect();
        let peers: Vec<String> = hosts.iter().zip(&ports).map(|(host, port)| format!("{host}:{port}")).collect();
        let secret = fresh_secret();
        let common = common_flags(place, provider, &peers, &secret, options);
        let mut replicas = Vec::new();
        for index in 0..REPLICAS {
            let own = if links.is_some() { Links::own_address(index) } else { Ipv4Addr::LOCALHOST };
            let peer = SocketAddr::from((own, ports[index]));
            let hosts_file = dir.join(&format!("hosts-{index}"));
            if let Some(links) = &links {
                std::fs::write(&hosts_file, links.hosts_for(index, &hosts))?;
            }
            let data_dir = options.data_dirs.get(index).cloned().unwrap_or_else(|| dir.sub(&format!("data-{index}")));
            let mut replica = Replica {
                name: peers[index].clone(),
                http: ports::free_address(),
                peer,
                admin: ports::free_address(),
                data_dir,
                log: dir.join(&format!("replica-{index}.log")),
                args: common.clone(),
                hosts: links.is_some().then_some(hosts_file),
                process: None,
                client: http::client(),
            };
            replica.args.extend(own_flags(&replica));
            replicas.push(replica);
        }
        Ok(Self { replicas, links, secret })
    }

    /// Starts every replica and waits until all are ready.
    pub async fn start(&mut self) -> Result<(), Failure> {
        for replica in &mut self.replicas {
            replica.start()?;
        }
        self.wait_ready(READY_WITHIN).await
    }

    /// Waits until all are ready.
    pub async fn wait_ready(&mut self, limit: Duration) -> Result<(), Failure> {
        for replica in &mut self.replicas {
            replica.wait_ready(limit).await?;
        }
        Ok(())
    }

    /// SIGKILL to all.
    pub fn kill_all(&mut self) {
        for replica in &mut self.replicas {
            if let Some(process) = &mut replica.process {
                process.kill_now();
            }
        }
        self.replicas.iter_mut().for_each(Replica::kill);
    }

    /// Public listeners.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.replicas.iter().map(|replica| replica.http).collect()
    }

    /// Waits until some running replica leads and says so.
    pub async fn leader(&self) -> Result<usize, Failure> {
        timing::until("a leader", READY_WITHIN, || self.leader_now()).await
    }

    /// The replica that says that it leads, if exactly one does.
    pub async fn leader_now(&self) -> Option<usize> {
        let mut leaders = Vec::new();
        for (index, replica) in self.replicas.iter().enumerate() {
            if replica.process.is_some()
                && let Ok(status) = replica.admin("/status").await
                && status["role"].as_str().is_some_and(|role| role.eq_ignore_ascii_case("leader"))
            {
                leaders.push(index);
            }
        }
        if leaders.len() == 1 { leaders.first().copied() } else { None }
    }

    /// Waits until all running replicas stand at one index with one hash.
    pub async fn wait_equal_hashes(&self, limit: Duration) -> Result<(u64, String), Failure> {
        timing::until("equal state hashes", limit, || async {
            let mut hashes = Vec::new();
            for replica in self.replicas.iter().filter(|replica| replica.process.is_some()) {
                hashes.push(replica.state_hash().await.ok()?);
            }
            let first = hashes.first()?.clone();
            hashes.iter().all(|hash| *hash == first).then_some(first)
        })
        .await
    }
}

/// What an oauth2-proxy in the same place is given as well.
pub fn settings_of_both(place: Place, provider: &Registration, secret: &str) -> Vec<String> {
    vec![
        "--provider=oidc".to_owned(),
        format!("--oidc-issuer-url={}", provider.issuer),
        format!("--client-id={}", provider.client_id),
        format!("--client-secret={}", provider.client_secret),
        format!("--cookie-secret={secret}"),
        "--cookie-secure=false".to_owned(),
        "--email-domain=*".to_owned(),
        format!("--redirect-url={}", place.callback()),
        format!("--whitelist-domain={}", place.authority()),
        "--scope=openid email profile groups".to_owned(),
        "--skip-provider-button=true".to_owned(),
        "--set-xauthrequest=true".to_owned(),
        "--reverse-proxy=true".to_owned(),
    ]
}

fn common_flags(
    place: Place,
    provider: &Registration,
    peers: &[String],
    secret: &str,
    options: &Options,
) -> Vec<String> {
    let mut flags = settings_of_both(place, provider, secret);
    flags.extend([
        "--gateway=ingress-nginx".to_owned(),
        "--trusted-proxy-ip=127.0.0.0/8".to_owned(),
        "--skip-auth-route=GET=^/open/".to_owned(),
        format!("--peers={}", peers.join(",")),
    ]);
    flags.extend_from_slice(&options.flags);
    flags
}

fn own_flags(replica: &Replica) -> Vec<String> {
    vec![
        format!("--http-address={}", replica.http),
        format!("--self={}", replica.name),
        format!("--peer-address={}", replica.peer),
        format!("--admin-address={}", replica.admin),
        format!("--data-dir={}", replica.data_dir.display()),
    ]
}

/// 32 random bytes as oauth2-proxy's documentation makes them.
fn fresh_secret() -> String {
    let mut bytes = [0_u8; 32];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).expect("the system has randomness");
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes)
}

/// The binary under test: `CONCLAVE_BIN`, or the dev profile's.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("CONCLAVE_BIN").map_or_else(|| target_dir().join("debug/conclave"), PathBuf::from);
    assert!(Path::new(&path).exists(), "no binary at {}: `cargo build -p conclave` makes it", path.display());
    path
}
