//! The StatefulSet as the chart renders it, run: three pods with its arguments, variables and files, each with an address
//! and a hosts file of its own, nginx in front, and what Kubernetes does to pods done to them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use conclave_tests::check::Asker;
use conclave_tests::cluster::{READY_WITHIN, binary};
use conclave_tests::gateway::{Gateway, Place};
use conclave_tests::helm::{self, Checked, NAMESPACE, RELEASE};
use conclave_tests::login::{Login, Person};
use conclave_tests::process::{Process, tail};
use conclave_tests::provider::{Provider, Registration};
use conclave_tests::report::Scenario;
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, http, timing};
use tokio::task::AbortHandle;

/// Pods of the set.
const PODS: usize = 3;

/// The set's port inside a pod.
const HTTP_PORT: u16 = 4180;

/// terminationGracePeriodSeconds of the render: drain delay and 50 s.
const GRACE: Duration = Duration::from_secs(52);

/// How often readiness is looked at, which is sooner than the chart's probe.
const PROBE: Duration = Duration::from_millis(500);

/// One pod.
struct Pod {
    ordinal: usize,
    address: SocketAddr,
    dir: PathBuf,
    process: Option<Process>,
    /// Whether the Service would send requests here: ready, and not being deleted.
    endpoint: Arc<AtomicBool>,
    deleting: Arc<AtomicBool>,
}

impl Pod {
    /// Of `127.0.0.0/8` each has an address of its own, so all may listen on the same ports.
    fn new(ordinal: usize, dir: &WorkDir) -> Result<Self, Failure> {
        let ip = [127, 0, 77, 10 + u8::try_from(ordinal)?];
        Ok(Self {
            ordinal,
            address: SocketAddr::from((ip, HTTP_PORT)),
            dir: dir.sub(&format!("pod-{ordinal}")),
            process: None,
            endpoint: Arc::default(),
            deleting: Arc::default(),
        })
    }

    /// Creates the pod from a render; its volume stays what it was.
    fn create(&mut self, checked: &Checked, hosts: &str) -> Result<(), Failure> {
        let root = self.dir.join("root");
        let invocation = helm::invocation(checked, self.ordinal, &root)?;
        let ip = self.address.ip();
        let own = |arg: String| {
            arg.replace("0.0.0.0", &ip.to_string())
                .replace("admin-address=127.0.0.1", &format!("admin-address={ip}"))
                .replace("/var/lib/conclave", &self.dir.join("volume").display().to_string())
        };
        let (file, binary) = (self.dir.join("hosts"), binary());
        std::fs::write(&file, hosts)?;
        let line = format!("mount --bind '{}' /etc/hosts && exec '{}' \"$@\"", file.display(), binary.display());
        let mut args: Vec<String> = ["--mount", "sh", "-c", &line, "sh"].map(str::to_owned).to_vec();
        args.extend(invocation.args.into_iter().map(own));
        let (name, log) = (format!("{RELEASE}-{}", self.ordinal), self.dir.join("log"));
        self.deleting.store(false, Ordering::SeqCst);
        self.process = Some(Process::start_with(&name, &log, "unshare".as_ref(), &args, |command| {
            command.envs(invocation.variables);
        })?);
        Ok(())
    }

    /// `kubectl delete pod`: out of the Service, SIGTERM, and gone within the grace period.
    async fn delete(&mut self) -> Result<(), Failure> {
        self.deleting.store(true, Ordering::SeqCst);
        self.endpoint.store(false, Ordering::SeqCst);
        let mut process = self.process.take().ok_or("no such pod")?;
        let status = process.terminate(GRACE).await?;
        if status.success() { Ok(()) } else { Err(format!("{status}:\n{}", tail(process.log())).into()) }
    }

    async fn wait_ready(&self) -> Result<(), Failure> {
        let begun = timing::now();
        while !self.endpoint.load(Ordering::SeqCst) {
            if begun.elapsed() > READY_WITHIN {
                return Err(format!("pod {} is not ready:\n{}", self.ordinal, tail(&self.dir.join("log"))).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Kubernetes' side of readiness, for as long as the scenario lasts.
    fn probe(&self) {
        let (endpoint, deleting) = (Arc::clone(&self.endpoint), Arc::clone(&self.deleting));
        let (client, url) = (http::client(), format!("http://{}/ready", self.address));
        tokio::spawn(async move {
            loop {
                let answer = client.get(&url).timeout(Duration::from_secs(2)).send().await;
                let ready = answer.is_ok_and(|answer| answer.status().is_success());
                endpoint.store(ready && !deleting.load(Ordering::SeqCst), Ordering::SeqCst);
                tokio::time::sleep(PROBE).await;
            }
        });
    }
}

/// The chart's render for this provider.
fn render(dir: &WorkDir, place: Place, provider: &Registration, domain: &str) -> Result<Checked, Failure> {
    let values = serde_json::json!({
        "gateway": "nginx",
        "cluster": {"drainDelaySeconds": 2},
        "config": {
            "clientID": provider.client_id, "clientSecret": provider.client_secret,
            "cookieSecret": "9f8e7d6c5b4a3928-1706f5e4d3c2b1a", "emailDomains": ["*", domain],
        },
        "extraArgs": {
            "provider": "oidc", "oidc-issuer-url": provider.issuer, "cookie-secure": "false",
            "redirect-url": place.callback(), "whitelist-domain": place.authority(), "reverse-proxy": "true",
            "trusted-proxy-ip": "127.0.0.0/8", "set-xauthrequest": "true", "skip-provider-button": "true",
        },
    });
    let (values_file, file) = (dir.join("values.json"), dir.join("render.yaml"));
    std::fs::write(&values_file, values.to_string())?;
    std::fs::write(&file, helm::template(&[&values_file], &[])?)?;
    helm::check(&file)
}

/// Checks every session at every endpoint, over and over.
#[derive(Default)]
struct Watch {
    asked: AtomicUsize,
    failed: AtomicUsize,
}

fn watch(pods: &[Pod], logins: Vec<Login>) -> (Arc<Watch>, AbortHandle) {
    let watch = Arc::new(Watch::default());
    let places: Vec<_> = pods.iter().map(|pod| (pod.address, Arc::clone(&pod.endpoint))).collect();
    let (counts, asker) = (Arc::clone(&watch), Asker::default());
    let task = tokio::spawn(async move {
        loop {
            for (address, endpoint) in &places {
                for login in &logins {
                    if !endpoint.load(Ordering::SeqCst) {
                        break;
                    }
                    let verdict = asker.ask(*address, &login.ticket).await;
                    counts.asked.fetch_add(1, Ordering::SeqCst);
                    if !verdict.as_ref().is_ok_and(|verdict| verdict.status == 202) {
                        eprintln!("{address}: {verdict:?}");
                        counts.failed.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    (watch, task.abort_handle())
}

async fn all_known(pods: &[Pod], logins: &[Login], after: &str) -> Result<(), Failure> {
    let asker = Asker::default();
    for pod in pods {
        pod.wait_ready().await?;
        for login in logins {
            let verdict = asker.ask(pod.address, &login.ticket).await?;
            assert_eq!(verdict.status, 202, "after {after}, pod {} does not know {}", pod.ordinal, login.user);
        }
    }
    Ok(())
}

/// What a StatefulSet's RollingUpdate does: from the last to the first, each ready before the next.
async fn roll(pods: &mut [Pod], checked: &Checked, hosts: &str) -> Result<(), Failure> {
    for pod in pods.iter_mut().rev() {
        pod.delete().await?;
        pod.create(checked, hosts)?;
        pod.wait_ready().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rendered_set() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("rendered_set", 5, 5, "things done to the pods");
    let (dir, place) = (WorkDir::fresh("rendered-set"), Place::draw());
    let provider = Provider::start(&dir, &place.callback()).await?;
    let checked = render(&dir, place, &provider.registration(), "one.test")?;
    let mut pods = (0..PODS).map(|ordinal| Pod::new(ordinal, &dir)).collect::<Result<Vec<_>, _>>()?;
    let mut hosts = "127.0.0.1 localhost\n".to_owned();
    for pod in &pods {
        hosts += &format!("{} {RELEASE}-{}.{RELEASE}-peers.{NAMESPACE}.svc\n", pod.address.ip(), pod.ordinal);
    }

    // Install: all at once.
    for pod in &mut pods {
        pod.create(&checked, &hosts)?;
        pod.probe();
    }
    all_known(&pods, &[], "install").await?;
    let addresses: Vec<_> = pods.iter().map(|pod| pod.address).collect();
    let gateway = Gateway::start(&dir, place, &addresses).await?;
    let mut logins = Vec::new();
    for (index, person) in Person::many(6, place).iter_mut().enumerate() {
        // Half of them through nginx, as browsers come.
        let through = if index.is_multiple_of(2) { gateway.address() } else { pods[index % PODS].address };
        logins.push(person.log_in(through).await?);
    }
    all_known(&pods, &logins, "logging in").await?;
    let (watched, watching) = watch(&pods, logins.clone());

    roll(&mut pods, &checked, &hosts).await?;
    all_known(&pods, &logins, "a rolling update").await?;

    pods[1].delete().await?;
    pods[1].create(&checked, &hosts)?;
    all_known(&pods, &logins, "deleting a pod").await?;

    for pod in &mut pods {
        pod.deleting.store(true, Ordering::SeqCst);
        pod.endpoint.store(false, Ordering::SeqCst);
    }
    futures::future::try_join_all(pods.iter_mut().map(Pod::delete)).await?;
    for pod in &mut pods {
        pod.create(&checked, &hosts)?;
    }
    all_known(&pods, &logins, "deleting all pods").await?;

    let changed = render(&dir, place, &provider.registration(), "two.test")?;
    let template = |checked: &Checked| checked.kind("StatefulSet").next().map(|set| set["spec"]["template"].clone());
    assert_ne!(template(&checked), template(&changed), "a change of configuration has to restart the pods");
    roll(&mut pods, &changed, &hosts).await?;
    all_known(&pods, &logins, "a change of configuration").await?;

    watching.abort();
    let (asked, failed) = (watched.asked.load(Ordering::SeqCst), watched.failed.load(Ordering::SeqCst));
    scenario.figure("sessions kept", logins.len());
    scenario.figure("checks at ready pods", asked);
    scenario.figure("failed checks", failed);
    assert!(asked > 1000 && failed == 0, "{failed} of {asked} checks failed");
    scenario.passed();
    Ok(())
}
