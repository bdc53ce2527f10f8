//! The StatefulSet as the chart renders it, run: each pod in a network namespace and a read-only root of its own, with the
//! arguments, variables, files, volumes and probes of the manifest, nginx configured from the rendered Ingress in front,
//! and what Kubernetes does to pods done to them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use conclave_tests::Failure;
use conclave_tests::browser::Robot;
use conclave_tests::check::Asker;
use conclave_tests::kube::example::WHOAMI;
use conclave_tests::kube::helm_test;
use conclave_tests::kube::manifest::StatefulSet;
use conclave_tests::kube::set::GATEWAYS;
use conclave_tests::kube::stage::{Stage, auth_page};
use conclave_tests::login::Login;
use conclave_tests::report::Scenario;
use conclave_tests::timing::now;
use conclave_tests::workdir::WorkDir;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// People of the group that the example lets in, as the provider knows them.
const PEOPLE: [&str; 2] = ["admins", "carol"];

/// Browsers of theirs.
const BROWSERS: usize = 6;

/// Somebody who is not in the group.
const OUTSIDER: &str = "alice";

/// A connection that is not refused but swallowed takes this long to count.
const SWALLOWED: Duration = Duration::from_secs(2);

/// A connection that is taken is made within this, on a loaded machine too.
const TAKEN: Duration = Duration::from_secs(20);

/// What was asked all the time, and how it ended.
#[derive(Default)]
struct Counts {
    pods: AtomicUsize,
    pages: AtomicUsize,
    failed: AtomicUsize,
}

type Known = watch::Receiver<BTreeMap<usize, Ipv4Addr>>;

/// Asks every pod that nginx knows to be ready about every session, over and over.
async fn ask_pods(known: Known, port: u16, logins: Vec<Login>, counts: Arc<Counts>) {
    let asker = Asker::without_keep_alive();
    loop {
        let ready: Vec<Ipv4Addr> = known.borrow().values().copied().collect();
        for address in ready {
            for login in &logins {
                if !known.borrow().values().any(|one| *one == address) {
                    break;
                }
                let verdict = asker.ask(SocketAddr::from((address, port)), &login.ticket).await;
                counts.pods.fetch_add(1, Ordering::SeqCst);
                if !verdict.as_ref().is_ok_and(|verdict| verdict.admits(&login.user)) {
                    eprintln!("{address}: {verdict:?}");
                    counts.failed.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Asks for the app's page through nginx as a browser does, unless nginx knows of no pod.
async fn ask_pages(known: Known, mut robot: Robot, counts: Arc<Counts>) {
    loop {
        let before = known.borrow().len();
        let answer = robot.get(&WHOAMI.page()).await;
        let is_good = answer.as_ref().is_ok_and(|answer| answer.status == 200 && answer.body.contains(&robot.user));
        if before > 0 && !known.borrow().is_empty() {
            counts.pages.fetch_add(1, Ordering::SeqCst);
            if !is_good {
                eprintln!("through nginx: {answer:?}");
                counts.failed.fetch_add(1, Ordering::SeqCst);
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn all_known(stage: &Stage, logins: &[Login], after: &str) -> Result<(), Failure> {
    let asker = Asker::default();
    for address in stage.set.addresses()? {
        for login in logins {
            let verdict = asker.ask(address, &login.ticket).await?;
            assert!(
                verdict.admits(&login.user),
                "after {after}, {address} answers {} for {}",
                verdict.status,
                login.user
            );
        }
    }
    Ok(())
}

/// The network policy: who is not a replica finds the peer port silent, and the public one open; the gateways' port is
/// open to every pod while no gateways are named.
async fn policy_holds(stage: &Stage, are_gateways_named: bool) -> Result<usize, Failure> {
    let stranger = stage.network.attach()?;
    let mut closed = 0;
    for pod in stage.set.pods.values() {
        for (port, is_open) in [("http", true), ("auth", !are_gateways_named), ("metrics", true), ("peers", false)] {
            let within = if is_open { TAKEN } else { SWALLOWED };
            let target = pod.at(stage.set.manifest()?.port(&port.into())?);
            let mut dial = stranger.entering().to_vec();
            let line = format!("exec 3<>/dev/tcp/{}/{}", target.ip(), target.port());
            dial.extend(["timeout".to_owned(), within.as_secs().to_string(), "bash".to_owned(), "-c".to_owned(), line]);
            let reached = tokio::process::Command::new(&dial[0]).args(&dial[1..]).output().await?.status.success();
            assert_eq!(reached, is_open, "port {port} of {} from a stranger", pod.name);
            closed += usize::from(!is_open);
        }
    }
    Ok(closed)
}

/// With `ingress.exposeAuth=false` the check cannot be asked through nginx, in any spelling, while the paths beside it
/// are open.
async fn check_is_closed(robot: &Robot) -> Result<(), Failure> {
    for path in ["/oauth2/auth", "/oauth2/auth?x=1", "/oauth2/%61uth", "/oauth2//auth", "/oauth2/x/../auth"] {
        let answer = robot.clone().get(&auth_page(path)).await?;
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
    }
    let beside = robot.clone().get(&auth_page("/oauth2/userinfo")).await?;
    assert_eq!(beside.status, 200, "{}", beside.body);
    Ok(())
}

/// `helm test` passes.
async fn helm_test_passes(stage: &Stage, dir: &WorkDir) -> Result<(), Failure> {
    let output = helm_test::run(stage, &dir.join("helm-test")).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("401 at") && said.contains("404 at"), "helm test: {said}{error}");
    Ok(())
}

async fn log_in(stage: &Stage) -> Result<(Vec<Robot>, Vec<Login>), Failure> {
    let (mut robots, mut logins) = (Vec::new(), Vec::new());
    for turn in 0..BROWSERS {
        let mut robot = stage.browser(PEOPLE[turn % PEOPLE.len()])?;
        logins.push(stage.log_in(&mut robot).await?);
        robots.push(robot);
    }
    let mut outsider = stage.browser(OUTSIDER)?;
    assert_eq!(outsider.open(&WHOAMI.page()).await?.status, 403, "not in the group");
    Ok((robots, logins))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rendered_set() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("rendered_set", 10, 1, "s of draining and of waiting between two pods");
    let dir = WorkDir::fresh("rendered-set");
    let seconds = scenario.count();
    let cluster = json!({"drainDelaySeconds": seconds.max(2), "minReadySeconds": seconds});
    let mut begun = now();
    let mut took = |scenario: &mut Scenario, what: &str| {
        scenario.figure(what, format!("{:.1} s", begun.elapsed().as_secs_f64()));
        begun = now();
    };
    let mut stage = Stage::install_with(WHOAMI, &dir, &cluster, &["--set", "ingress.exposeAuth=false"]).await?;
    took(&mut scenario, "install");
    let (robots, logins) = log_in(&stage).await?;
    all_known(&stage, &logins, "logging in").await?;
    check_is_closed(&robots[0]).await?;
    let port = stage.set.manifest()?.port(&"http".into())?;
    let (counts, known) = (Arc::new(Counts::default()), stage.ingress.known.clone());
    let mut watching: Vec<JoinHandle<()>> =
        vec![tokio::spawn(ask_pods(known.clone(), port, logins.clone(), Arc::clone(&counts)))];
    watching.extend(robots.into_iter().map(|robot| tokio::spawn(ask_pages(known.clone(), robot, Arc::clone(&counts)))));
    let mut closed = policy_holds(&stage, false).await?;
    helm_test_passes(&stage, &dir).await?;
    took(&mut scenario, "logging in");

    assert_eq!(stage.set.roll().await?, 3);
    all_known(&stage, &logins, "a rolling update").await?;
    took(&mut scenario, "a rolling update");

    stage.set.delete(1).await?;
    stage.set.fill().await?;
    all_known(&stage, &logins, "deleting a pod").await?;
    took(&mut scenario, "deleting a pod");

    stage.set.delete_all().await?;
    stage.set.fill().await?;
    all_known(&stage, &logins, "deleting all pods").await?;
    took(&mut scenario, "deleting all pods");

    let elsewhere = stage.render(&["--set", "ingress.annotations.note=changed"])?;
    assert_eq!(stage.set.upgrade(elsewhere).await?, 0, "nothing that the pods are made of has changed");
    let label = "networkPolicy.gateways[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name";
    let gateways = format!("{label}={GATEWAYS}");
    let shown = "extraArgs.banner=Welcome,extraArgs.skip-provider-button=false";
    let changed = stage.render(&["--set", &gateways, "--set-string", shown])?;
    assert_eq!(stage.set.upgrade(changed).await?, 3, "a change of configuration restarts the pods");
    all_known(&stage, &logins, "a change of configuration").await?;
    assert!(sign_in_page(&stage).await?.contains("Welcome"), "the new configuration is not served");
    closed += policy_holds(&stage, true).await?;
    took(&mut scenario, "a change of configuration");

    for pod in stage.set.pods.values_mut() {
        pod.check_alive()?;
    }
    for task in watching {
        task.abort();
        let _ = task.await;
    }
    scenario.held("sessions kept", logins.len());
    let count = |which: &AtomicUsize| which.load(Ordering::SeqCst);
    scenario.held("checks at pods known to be ready", count(&counts.pods));
    scenario.held("pages through nginx", count(&counts.pages));
    scenario.figure("failed", count(&counts.failed));
    scenario.held("ports found closed to strangers", closed);
    assert_eq!(count(&counts.failed), 0, "failed checks");
    assert!(count(&counts.pods) > 1000 && count(&counts.pages) > 1000, "hardly anything was asked");
    scenario.passed();
    Ok(())
}

async fn sign_in_page(stage: &Stage) -> Result<String, Failure> {
    Ok(stage.browser(OUTSIDER)?.get(&auth_page("/oauth2/sign_in")).await?.body)
}

/// What the runner reads it reads of the manifest: another one gives another pod.
#[test]
fn the_runner_follows_the_manifest() -> Result<(), Failure> {
    let dir = WorkDir::fresh("rendered-set-manifest");
    let file = dir.join("render.yaml");
    let more = ["--set", "readinessProbe.periodSeconds=7,replicaCount=5,containerPort=4190,cluster.peerPort=4999"];
    std::fs::write(&file, conclave_tests::helm::template(&[], &more)?)?;
    let checked = conclave_tests::helm::check(&file)?;
    let set = StatefulSet::of(&checked)?;
    set.runs_whole()?;
    assert_eq!((set.replicas()?, set.hosts()?.len()), (5, 5));
    let probe = set.probe("readinessProbe")?;
    assert_eq!((probe.port, probe.period, probe.path.as_str()), (4190, Duration::from_secs(7), "/ready"));
    assert_eq!(set.port(&"peers".into())?, 4999);
    let invocation = set.invocation("oauth2-proxy-3")?;
    assert!(
        invocation
            .command
            .iter()
            .any(|argument| argument.contains("--self=oauth2-proxy-3.") && argument.ends_with(":4999"))
    );
    std::fs::write(&file, conclave_tests::helm::template(&[], &["--set", "lifecycle.preStop.sleep.seconds=5"])?)?;
    let checked = conclave_tests::helm::check(&file)?;
    assert!(StatefulSet::of(&checked)?.runs_whole().is_err(), "a part of the pod would be left out unnoticed");
    Ok(())
}
