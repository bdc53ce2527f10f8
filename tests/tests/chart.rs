//! The chart: what it renders from many values, what it refuses, and that the program takes what it gives.
//! `UPDATE_GOLDEN=1` rewrites the golden files; what changed in them is for a person to read.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use conclave_tests::cluster::{Options, binary};
use conclave_tests::dashboard::{self, Query};
use conclave_tests::helm::{self, Checked, NAMESPACE, RELEASE};
use conclave_tests::kube::container::Program;
use conclave_tests::kube::manifest::{Invocation, StatefulSet};
use conclave_tests::process::run;
use conclave_tests::prometheus::Prometheus;
use conclave_tests::promql::{self, Families, Found, Matcher};
use conclave_tests::report::Scenario;
use conclave_tests::workdir::WorkDir;
use conclave_tests::world::World;
use conclave_tests::{Failure, http, repository, timing};
use regex::Regex;
use serde_json::Value;

/// An option that cannot be read at all ends with this code; one that cannot be served with 1.
const UNREADABLE: i32 = 2;

/// What an operator asks the dashboard, and the series that answers it.
const QUESTIONS: [(&str, &str); 16] = [
    ("who leads", "conclave_raft_role"),
    ("how many are ready", "conclave_ready"),
    ("whether every replica is fresh", "conclave_freshness_age_seconds"),
    ("whether replicas keep up", "conclave_raft_member_lag"),
    ("whether replicas reach each other", "conclave_peer_reachable"),
    ("which versions run", "conclave_build_info"),
    ("how many checks pass", "conclave_auth_checks_total"),
    ("why checks do not pass", "conclave_auth_denied_total"),
    ("how many logins succeed", "conclave_logins_total"),
    ("how many sessions there are", "conclave_sessions"),
    ("whether logins can begin", "conclave_provider_ready"),
    ("whether the provider answers", "conclave_provider_calls_total"),
    ("how fast the provider answers", "conclave_provider_call_seconds_bucket"),
    ("how long a flush takes", "conclave_flush_seconds_bucket"),
    ("how much disk is left", "conclave_disk_free_bytes"),
    ("how long browsers wait", "oauth2_proxy_response_duration_seconds_bucket"),
];

/// Queries that may have no answer in a sound cluster outside Kubernetes: nothing was refused between replicas, there is no
/// kubelet, no certificate changed, and no store is temporary.
const SILENT: [&str; 4] =
    ["Refused between replicas A", "Free on the volumes A", "What should stay at zero A", "What should stay at zero C"];

/// How long an answer of Prometheus may take to be there: scrapes are a second apart, and a replica notices a lost leader
/// within 15 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Alerts without an answer in a sound cluster, whatever else the machine does.
const SOUND: [&str; 9] = [
    "ConclaveNoLeader",
    "ConclaveMajorityLost",
    "ConclaveReplicaDown",
    "ConclaveStale",
    "ConclaveProviderFailing",
    "ConclaveLoginsFailing",
    "ConclaveFailingOpen",
    "ConclaveTemporaryStore",
    "ConclaveStorageNearlyFull",
];

/// With an answer once one of three is gone.
const ONE_LOST: [&str; 1] = ["ConclaveReplicaDown"];

/// And once two are.
const MAJORITY_LOST: [&str; 3] = ["ConclaveMajorityLost", "ConclaveNoLeader", "ConclaveStale"];

/// What an existing secret of a user would hold.
const CREDENTIALS: [(&str, &str); 3] = [
    ("OAUTH2_PROXY_CLIENT_ID", "client"),
    ("OAUTH2_PROXY_CLIENT_SECRET", "secret"),
    ("OAUTH2_PROXY_COOKIE_SECRET", "9f8e7d6c5b4a3928-1706f5e4d3c2b1a"),
];

/// Where a field that no schema knows is put in to see it refused: a kind, and a place in it.
const MISSPELT: [(&str, &str); 17] = [
    ("HTTPRoute", ""),
    ("HTTPRoute", "/metadata"),
    ("HTTPRoute", "/spec"),
    ("HTTPRoute", "/spec/parentRefs/0"),
    ("HTTPRoute", "/spec/rules/0"),
    ("HTTPRoute", "/spec/rules/0/matches/0/path"),
    ("HTTPRoute", "/spec/rules/0/backendRefs/0"),
    ("ServiceMonitor", "/spec"),
    ("ServiceMonitor", "/spec/selector"),
    ("ServiceMonitor", "/spec/endpoints/0"),
    ("PrometheusRule", "/spec"),
    ("PrometheusRule", "/spec/groups/0"),
    ("PrometheusRule", "/spec/groups/0/rules/0"),
    ("HelmRelease", "/spec"),
    ("HelmRelease", "/spec/chart/spec/sourceRef"),
    ("GitRepository", "/spec"),
    ("GitRepository", "/spec/ref"),
];

#[test]
fn chart_renders() -> Result<(), Failure> {
    let dir = WorkDir::fresh("chart");
    let mut custom = Custom::default();
    let cases = cases(&dir, &mut custom)?;
    let mut scenario = Scenario::begin("chart", cases.len(), cases.len(), "values files");
    assert!(cases.len() >= 20, "{} values files are too few", cases.len());
    let (mut objects, mut validations, mut starts) = (0, 0, 0);
    for (name, values) in &cases {
        helm::lint(values).map_err(|error| format!("{name}: {error}"))?;
        let text = helm::template(&[values], &[]).map_err(|error| format!("{name}: {error}"))?;
        golden(&format!("{name}.yaml"), &text)?;
        let file = dir.join(&format!("{name}.yaml"));
        std::fs::write(&file, &text)?;
        let checked = helm::check(&file)?;
        assert!(checked.problems.is_empty(), "{name}: {:#?}", checked.problems);
        invariants(name, &checked);
        if name.starts_with("templates") {
            templates(values, &checked)?;
        }
        starts += started(name, &checked, &dir)?;
        objects += checked.objects.len();
        validations += checked.validations;
        custom.add(&checked);
    }
    scenario.held("objects", objects);
    scenario.held("validations against 1.31 and 1.35", usize::try_from(validations)?);
    scenario.figure("custom resources held against their operators' schemas", custom.checked);
    scenario.figure("objects without a schema here", custom.without_schema);
    scenario.figure("misspelt fields found in custom resources", misspelt_fields_are_found(&custom, &dir)?);
    scenario.figure("renders that the program would serve", starts);
    scenario.held("values refused with a sentence", refusals()?);
    manifests_are_the_charts()?;
    scenario.passed();
    Ok(())
}

/// Custom resources of all renders and examples.
#[derive(Default)]
struct Custom {
    objects: Vec<Value>,
    checked: u64,
    without_schema: usize,
}

impl Custom {
    fn add(&mut self, checked: &Checked) {
        self.objects.extend(checked.objects.iter().filter(|object| is_custom(object)).cloned());
        self.checked += checked.custom;
        self.without_schema += checked.without_schema;
    }
}

fn is_custom(object: &Value) -> bool {
    MISSPELT.iter().any(|(kind, _)| object["kind"] == *kind)
}

/// A check that looks at nothing would find nothing wrong: with a field that does not exist in each of these places, the
/// same objects are refused, each with the field's name.
fn misspelt_fields_are_found(custom: &Custom, dir: &WorkDir) -> Result<usize, Failure> {
    let mut wrong = Vec::new();
    for (number, (kind, place)) in MISSPELT.iter().enumerate() {
        let fits = |object: &&Value| object["kind"] == *kind && object.pointer(place).is_some_and(Value::is_object);
        let mut object = custom.objects.iter().find(fits).ok_or_else(|| format!("no {kind} with {place}"))?.clone();
        let fields = object.pointer_mut(place).and_then(Value::as_object_mut).ok_or("an object")?;
        fields.insert(format!("misspelt{number}"), "x".into());
        wrong.push(format!("---\n{object}\n"));
    }
    let file = dir.join("misspelt.yaml");
    std::fs::write(&file, wrong.concat())?;
    let found = helm::check(&file)?;
    for (number, (kind, place)) in MISSPELT.iter().enumerate() {
        let wanted = format!("{place}/misspelt{number} is no field");
        let said = found.problems.iter().any(|problem| problem.contains(*kind) && problem.contains(&wanted));
        assert!(said, "{kind}: {wanted} is not among {:#?}", found.problems);
    }
    assert_eq!(found.problems.len(), MISSPELT.len(), "{:#?}", found.problems);
    Ok(MISSPELT.len())
}

/// Every values file: the matrix, the examples, and what the HelmReleases among them hold.
fn cases(dir: &WorkDir, custom: &mut Custom) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut cases: Vec<(String, PathBuf)> =
        files("tests/chart/values")?.into_iter().map(|file| (stem(&file), file)).collect();
    cases.push(("manifests".to_owned(), repository().join("deploy/manifests/values.yaml")));
    for example in files("deploy/examples")?.into_iter().filter(|path| path.is_dir()) {
        let name = format!("example-{}", stem(&example));
        if example.join("values.yaml").is_file() {
            cases.push((name.clone(), example.join("values.yaml")));
        }
        for file in files_in(&example)?.into_iter().filter(|file| is_objects(file)) {
            let checked = helm::check(&file)?;
            assert!(checked.problems.is_empty(), "{}: {:#?}", file.display(), checked.problems);
            custom.add(&checked);
            if let Some(release) = checked.kind("HelmRelease").next() {
                let values = dir.join(&format!("{name}-{}.values.json", stem(&file)));
                std::fs::write(&values, release["spec"]["values"].to_string())?;
                cases.push((format!("{name}-{}", stem(&file)), values));
            }
        }
    }
    Ok(cases)
}

fn is_objects(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".yaml") && !matches!(name, "values.yaml" | "kustomization.yaml")
}

/// What has to hold of every render, whatever the values.
fn invariants(name: &str, checked: &Checked) {
    let set = checked.kind("StatefulSet").next().expect("a StatefulSet");
    let spec = &set["spec"];
    let pod = &spec["template"]["spec"];
    let replicas = spec["replicas"].as_u64().expect("a number of replicas");
    assert!(replicas % 2 == 1, "{name}: {replicas} replicas");
    assert_eq!(spec["podManagementPolicy"], "Parallel", "{name}");
    let peers = checked.object("Service", spec["serviceName"].as_str().expect("a Service")).expect("it is rendered");
    assert_eq!(peers["spec"]["clusterIP"], "None", "{name}");
    assert_eq!(peers["spec"]["publishNotReadyAddresses"], true, "{name}");
    for service in checked.kind("Service") {
        let is_closed = service["spec"]["ports"][0]["name"] == "closed";
        let leads_here = service["spec"]["selector"] == spec["selector"]["matchLabels"];
        assert!(leads_here || is_closed && service["spec"]["selector"].is_null(), "{name}: {service}");
        let ports = service["spec"]["ports"].as_array().expect("ports");
        let has_peers = ports.iter().any(|port| port["name"] == "peers");
        assert_eq!(has_peers, service["metadata"]["name"] == peers["metadata"]["name"], "{name}");
    }
    for (key, value) in spec["selector"]["matchLabels"].as_object().expect("labels") {
        assert_eq!(&spec["template"]["metadata"]["labels"][key], value, "{name}");
        for other in checked.kind("Pod") {
            assert!(key == "app.kubernetes.io/instance" || &other["metadata"]["labels"][key] != value, "{name}");
        }
    }
    match checked.kind("PodDisruptionBudget").next() {
        Some(budget) => {
            let away = budget["spec"]["maxUnavailable"].as_u64().expect("a number");
            assert!(replicas > 1 && away <= (replicas - 1) / 2, "{name}: {away} of {replicas} may be away");
        }
        None => assert_eq!(replicas, 1, "{name}: no budget"),
    }
    assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
    assert!(pod["securityContext"]["fsGroup"].is_u64(), "{name}: the volume cannot be written");
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    assert!(security["runAsNonRoot"] == true && security["readOnlyRootFilesystem"] == true, "{name}");
    assert!(["startupProbe", "livenessProbe", "readinessProbe"].iter().all(|probe| container[*probe].is_object()));
    for (place, key) in [
        ("/containers", "name"),
        ("/containers/0/env", "name"),
        ("/containers/0/volumeMounts", "mountPath"),
        ("/volumes", "name"),
    ] {
        let entries = pod.pointer(place).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let keys: BTreeSet<&str> = entries.iter().filter_map(|entry| entry[key].as_str()).collect();
        assert_eq!(
            keys.len(),
            entries.len(),
            "{name}: server-side apply refuses a {key} twice in {place}: {entries:#?}"
        );
    }
    let rendered = Value::from(checked.objects.clone()).to_string();
    assert!(
        !rendered.contains("redis-password") && !rendered.contains("wait-for-redis"),
        "{name}: an object for Redis"
    );
    let length = set["metadata"]["name"].as_str().expect("a name").len();
    assert!(length <= 52, "{name}: pods could not carry the set's name of {length} characters in a label");
}

/// What oauth2-proxy's chart evaluates is evaluated, and nothing else: other programs' templates pass through values too.
fn templates(values: &Path, checked: &Checked) -> Result<(), Failure> {
    const EVALUATED: &str = "{{ `evaluated` }}";
    const KEPT: &str = "{{ `as it stands` }}";
    let given: String =
        std::fs::read_to_string(values)?.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let rendered = Value::from(checked.objects.clone()).to_string() + &helm::secrets(checked)?;
    assert!(!rendered.contains(EVALUATED), "{}: something is not evaluated", values.display());
    assert!(rendered.matches("evaluated").count() >= given.matches(EVALUATED).count(), "{}", values.display());
    let (given, kept) = (given.matches(KEPT).count(), rendered.matches(KEPT).count());
    assert_eq!(given, kept, "{}: values that have to stand as they are", values.display());
    Ok(())
}

/// Gives every pod's arguments, variables and files to the program. Returns 1 where it would serve with them.
fn started(name: &str, checked: &Checked, dir: &WorkDir) -> Result<usize, Failure> {
    let set = StatefulSet::of(checked)?;
    let mut served = 0;
    for ordinal in 0..set.replicas()? {
        let container = set.contain(&dir.sub(&format!("{name}-{ordinal}")), &Program::Binary(binary()))?;
        let Invocation { command: mut program, variables } = set.invocation(&format!("{}-{ordinal}", set.name()?))?;
        let args = program.split_off(1);
        // Overridden entry points are scripts of the user's own.
        program = vec!["/bin/conclave".to_owned(), "check-config".to_owned()];
        program.extend_from_slice(&args);
        let line = container.command(&program)?;
        // Placeholders stand where a user's own secrets would.
        let given = variables.iter().filter(|(_, value)| !value.bytes().all(|byte| byte == b'X'));
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(CREDENTIALS).envs(given);
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_ne!(output.status.code(), Some(UNREADABLE), "{name}: the program cannot read {args:?}:\n{text}");
        for own in ["`self`", "`peers`", "`peer_address`", "`data_dir`", "`gateway`"] {
            assert!(!text.contains(own), "{name}: {text}");
        }
        if let Some(notices) = variables.get("CONCLAVE_DEPLOYMENT_NOTICES") {
            for line in notices.lines() {
                assert!(
                    text.contains(&format!("note: deployment_notices: {line}")),
                    "{name}: {line} is not in\n{text}"
                );
            }
        }
        if name.starts_with("example-") || name == "manifests" {
            assert!(output.status.success(), "{name}: {text}");
        }
        served = usize::from(output.status.success());
    }
    Ok(served)
}

/// Each values file in `refused` says in its first line what helm has to say.
fn refusals() -> Result<usize, Failure> {
    let files = files("tests/chart/refused")?;
    for file in &files {
        let text = std::fs::read_to_string(file)?;
        let wanted = text.lines().next().and_then(|line| line.strip_prefix("# ")).ok_or("no sentence")?.to_owned();
        let said = helm::template(&[file], &[]).err().map(|error| error.to_string());
        let said = said.ok_or_else(|| format!("{} was rendered", file.display()))?;
        assert!(said.contains(&wanted), "{}: {said}", file.display());
    }
    Ok(files.len())
}

/// The plain manifests are what the chart renders, so that both change together.
fn manifests_are_the_charts() -> Result<(), Failure> {
    let values = repository().join("deploy/manifests/values.yaml");
    let rendered = helm::template(&[&values], &[])?;
    let lines = rendered.lines().filter(|line| !line.contains("helm.sh/") && !line.contains("managed-by: Helm"));
    let text: String = lines.map(|line| format!("{}\n", line.trim_end())).collect();
    same(&repository().join("deploy/manifests/conclave.yaml"), &text)
}

fn golden(name: &str, text: &str) -> Result<(), Failure> {
    let text: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    same(&repository().join("tests/chart/golden").join(name), &text)
}

fn same(file: &Path, text: &str) -> Result<(), Failure> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().ok_or("a file stands in a directory")?)?;
        return Ok(std::fs::write(file, text)?);
    }
    let kept =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}; UPDATE_GOLDEN=1", file.display()))?;
    if let Some((number, (old, new))) = kept.lines().zip(text.lines()).enumerate().find(|(_, (old, new))| old != new) {
        let line = number + 1;
        return Err(format!("{}:{line}: was {old:?}, is {new:?}; UPDATE_GOLDEN=1 takes it over", file.display()).into());
    }
    assert_eq!(kept.lines().count(), text.lines().count(), "{} has another length", file.display());
    Ok(())
}

#[test]
fn names_are_those_that_tutorials_use() -> Result<(), Failure> {
    let dir = WorkDir::fresh("chart-names");
    let file = dir.join("defaults.yaml");
    std::fs::write(&file, helm::template(&[], &[])?)?;
    let checked = helm::check(&file)?;
    let service = checked.object("Service", RELEASE).ok_or("no Service")?;
    assert_eq!(service["metadata"]["namespace"], NAMESPACE);
    assert_eq!(
        (&service["spec"]["ports"][0]["port"], &service["spec"]["ports"][0]["name"]),
        (&80.into(), &"http".into())
    );
    assert_eq!(service["spec"]["ports"][0]["targetPort"], "http");
    // A change of configuration alone restarts the pods, and nothing else does.
    let sum = |more: &[&str]| -> Result<Value, Failure> {
        std::fs::write(&file, helm::template(&[], more)?)?;
        let checked = helm::check(&file)?;
        let set = checked.kind("StatefulSet").next().ok_or("no StatefulSet")?;
        Ok(set["spec"]["template"].clone())
    };
    assert_eq!(sum(&[])?, sum(&["--set", "ingress.enabled=true,ingress.hosts={a.example.com}"])?);
    assert_ne!(sum(&[])?, sum(&["--set", "config.emailDomains={b.example.com}"])?);
    Ok(())
}

/// What the check of a render is worth: each of these mistakes is found, and nothing else.
#[test]
fn mistakes_in_a_render_are_found() -> Result<(), Failure> {
    let dir = WorkDir::fresh("chart-mistakes");
    let file = dir.join("rendered.yaml");
    let sound = helm::template(&[], &["--set", "metrics.serviceMonitor.enabled=true"])?;
    for (right, wrong, said) in [
        ("  replicas: 3\n", "  replicas: 3\n  replicas: 5\n", "replicas stands twice"),
        ("  replicas: 3\n", "  replicaz: 3\n", "replicaz"),
        ("  replicas: 3\n", "  replicas: three\n", "'three' is not of type 'integer'"),
        ("apiVersion: apps/v1\n", "apiVersion: apps/v9\n", "find schema for kind StatefulSet"),
        ("    interval: 30s\n", "    interval: soon\n", "/spec/endpoints/0/interval"),
        ("  endpoints:\n", "  endpoint:\n", "required"),
        ("monitoring.coreos.com/v1\n", "monitoring.coreos.com/v9\n", "monitoring.coreos.com/v9 has no schema"),
    ] {
        assert!(sound.contains(right), "{right}");
        std::fs::write(&file, sound.replacen(right, wrong, 1))?;
        let problems = helm::check(&file)?.problems.join("\n");
        assert!(problems.contains(said), "{wrong} is not refused with {said}: {problems}");
    }
    std::fs::write(&file, sound.replacen("monitoring.coreos.com/v1\n", "example.com/v1\n", 1))?;
    let unknown = helm::check(&file)?;
    assert_eq!((unknown.without_schema, unknown.custom, unknown.problems.len()), (1, 0, 0));
    Ok(())
}

/// Another chart may take this one in twice, each under an alias: their objects may not have the same names.
#[test]
fn aliases_keep_two_of_it_apart() -> Result<(), Failure> {
    let dir = WorkDir::fresh("chart-aliases");
    let charts = dir.sub("charts");
    std::fs::create_dir_all(&charts)?;
    std::os::unix::fs::symlink(helm::chart(), charts.join("conclave"))?;
    let twice = "dependencies:\n- {name: conclave, version: 0.x.x, alias: staff}\n- {name: conclave, version: 0.x.x, alias: guests}\n";
    std::fs::write(dir.join("Chart.yaml"), format!("apiVersion: v2\nname: both\nversion: 0.1.0\n{twice}"))?;
    let file = dir.join("rendered.yaml");
    std::fs::write(&file, helm::template_of(&dir.join("."), &[], &["--set", "staff.replicaCount=5"])?)?;
    let checked = helm::check(&file)?;
    assert!(checked.problems.is_empty(), "{:#?}", checked.problems);
    let names: BTreeSet<String> =
        checked.objects.iter().map(|object| format!("{}/{}", object["kind"], object["metadata"]["name"])).collect();
    assert_eq!(names.len(), checked.objects.len(), "{names:#?}");
    let replicas: BTreeSet<u64> =
        checked.kind("StatefulSet").filter_map(|set| set["spec"]["replicas"].as_u64()).collect();
    assert_eq!(replicas, BTreeSet::from([3, 5]));
    let selectors: BTreeSet<String> =
        checked.kind("StatefulSet").map(|set| set["spec"]["selector"].to_string()).collect();
    assert_eq!(selectors.len(), 2, "{selectors:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_and_dashboard_name_what_there_is() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("chart_monitoring", 1, 1, "cluster");
    let rules = rules()?;
    rules_are_tested(&rules)?;
    let mut world = World::start("chart-monitoring", &Options::default()).await?;
    world.people(1).await?;
    let metrics = world.cluster.replicas[0].admin_text("/metrics").await?;
    lint_metrics(&metrics)?;
    let reasons = reasons_are_explained(&metrics)?;
    let families = Families::of(&run_conclave(&["print-metrics"])?)?;
    let file = helm::chart().join("files/dashboard.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let problems = dashboard::problems(&dashboard)?;
    assert!(problems.is_empty(), "{problems:#?}");
    let queries = dashboard::queries(&dashboard)?;
    parsed(&queries)?;
    let mut read = queries_read(&queries, &families)?;
    read.extend(rules_read(&rules, &families)?);
    let series: BTreeSet<&String> = read.iter().flat_map(|found| &found.series).collect();
    let matchers: BTreeSet<&Matcher> = read.iter().flat_map(|found| &found.matchers).collect();
    values_exist(&matchers, &metrics)?;
    let targets: Vec<SocketAddr> = world.cluster.replicas.iter().map(|replica| replica.admin).collect();
    let prometheus = Prometheus::start(&world.dir, RELEASE, NAMESPACE, &targets).await?;
    let answers = answered(&world, &prometheus, &queries).await?;
    alerts_follow(&mut world, &prometheus, &rules).await?;
    scenario.held("alerts, each tested to fire and to be silent", rules.len());
    scenario.figure("alerts seen silent in a sound cluster", SOUND.len());
    scenario.figure("alerts seen to fire as replicas were killed", ONE_LOST.len() + MAJORITY_LOST.len());
    scenario.figure("reasons of a refusal that the guide explains", reasons);
    scenario.figure("queries of the dashboard", queries.len());
    scenario.figure("of them answered by a Prometheus at the cluster", answers);
    scenario.figure("series that alerts and dashboard read, with the labels that they ask for", series.len());
    scenario.passed();
    Ok(())
}

/// Holds the rules against promtool and their own tests, of which each has one that fires and one that does not.
fn rules_are_tested(rules: &[Rule]) -> Result<(), Failure> {
    let file = helm::chart().join("files/alerts.yaml");
    run("promtool", &["check", "rules", file.to_str().ok_or("a path")?])?;
    let file = repository().join("tests/chart/alerts_test.yaml");
    run("promtool", &["test", "rules", file.to_str().ok_or("a path")?])?;
    let tests = std::fs::read_to_string(file)?;
    for Rule { name, .. } in rules {
        let (fires, silent) =
            (format!("alertname: {name}\n    exp_alerts:\n"), format!("alertname: {name}\n    exp_alerts: []"));
        assert!(tests.contains(&fires) && tests.contains(&silent), "{name} is not tested both ways");
    }
    Ok(())
}

/// Every reason of a refusal stands in the guide. Returns how many there are.
fn reasons_are_explained(metrics: &str) -> Result<usize, Failure> {
    let guide = std::fs::read_to_string(repository().join("docs/operating.md"))?;
    let reason = Regex::new("conclave_auth_denied_total\\{reason=\"(\\w+)\"")?;
    let reasons: BTreeSet<String> = reason.captures_iter(metrics).map(|found| found[1].to_owned()).collect();
    for reason in &reasons {
        assert!(guide.contains(&format!("`{reason}`")), "docs/operating.md does not say what {reason} means");
    }
    Ok(reasons.len())
}

/// Reads each query for its labels, which the legend may show, and looks whether all questions are answered.
fn queries_read(queries: &[Query], families: &Families) -> Result<Vec<Found>, Failure> {
    let mut read = Vec::new();
    for query in queries {
        let found = promql::read(&query.expression, families).map_err(|error| format!("{}: {error}", query.place))?;
        let labels = found.labels.clone().unwrap_or_default();
        promql::within(&query.legend, &labels).map_err(|error| format!("{}: {error}", query.place))?;
        read.push(found);
    }
    let shown: BTreeSet<&str> = read.iter().flat_map(|found| &found.series).map(String::as_str).collect();
    for (question, series) in QUESTIONS {
        assert!(shown.contains(series), "the dashboard does not say {question}: {series}");
    }
    Ok(read)
}

/// Silent while all is well, and loud as replicas go, of which the last one was the leader.
async fn alerts_follow(world: &mut World, prometheus: &Prometheus, rules: &[Rule]) -> Result<(), Failure> {
    expect(prometheus, rules, &SOUND, false).await?;
    let leader = world.cluster.leader().await?;
    let others: Vec<usize> = (0..world.cluster.replicas.len()).filter(|index| *index != leader).collect();
    world.cluster.replicas[others[0]].kill();
    expect(prometheus, rules, &ONE_LOST, true).await?;
    world.cluster.replicas[others[1]].kill();
    expect(prometheus, rules, &MAJORITY_LOST, true).await
}

/// Waits until each of these alerts' expressions has an answer, or none. How long it has to hold is for the rules' tests.
async fn expect(prometheus: &Prometheus, rules: &[Rule], names: &[&str], fires: bool) -> Result<(), Failure> {
    for name in names {
        let rule = rules.iter().find(|rule| rule.name == *name).ok_or_else(|| format!("no alert {name}"))?;
        timing::until(&format!("{name}: {fires}"), PATIENCE, || async {
            let lines = prometheus.query(&rule.expression).await.ok()?;
            (lines.is_empty() != fires).then_some(())
        })
        .await?;
    }
    Ok(())
}

/// Has a Prometheus that scrapes the cluster answer each query. Returns how many had something to answer.
async fn answered(world: &World, prometheus: &Prometheus, queries: &[Query]) -> Result<usize, Failure> {
    let mut answers = 0;
    for Query { place, expression, .. } in queries {
        if SILENT.contains(&place.as_str()) {
            prometheus.query(expression).await?;
            continue;
        }
        // A rate needs two scrapes, and something that came between them.
        timing::until(place, PATIENCE, || async {
            http::client().get(format!("http://{}/oauth2/auth", world.replica(0))).send().await.ok()?;
            let lines = prometheus.query(expression).await.ok()?;
            (!lines.is_empty()).then_some(())
        })
        .await?;
        answers += 1;
    }
    Ok(answers)
}

/// Has promtool parse each expression, as that of a rule.
fn parsed(queries: &[Query]) -> Result<(), Failure> {
    let dir = WorkDir::fresh("chart-dashboard");
    let rules = queries.iter().enumerate().map(|(number, query)| {
        serde_json::json!({"record": format!("query:{number}"), "expr": query.expression, "labels": {"place": query.place}})
    });
    let file = dir.join("rules.json");
    let groups = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules.collect::<Vec<_>>()}]});
    std::fs::write(&file, groups.to_string())?;
    run("promtool", &["check", "rules", file.to_str().ok_or("a path")?])?;
    Ok(())
}

/// An alert.
struct Rule {
    name: String,
    expression: String,
    annotations: String,
}

/// Every rule as the chart renders it.
fn rules() -> Result<Vec<Rule>, Failure> {
    let dir = WorkDir::fresh("chart-rules");
    let file = dir.join("rules.yaml");
    std::fs::write(&file, helm::template(&[], &["--set", "metrics.prometheusRule.enabled=true"])?)?;
    let checked = helm::check(&file)?;
    let object = checked.kind("PrometheusRule").next().ok_or("no rules")?;
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("a rule without a name or expression");
    let rules = object["spec"]["groups"][0]["rules"].as_array().ok_or("no rules")?.iter().map(|rule| {
        let annotations = rule["annotations"].to_string();
        Ok(Rule { name: text(&rule["alert"])?, expression: text(&rule["expr"])?, annotations })
    });
    rules.collect()
}

/// Reads each rule for its labels, which its sentences may show.
fn rules_read(rules: &[Rule], families: &Families) -> Result<Vec<Found>, Failure> {
    let named = Regex::new(r"\$labels\.(\w+)")?;
    let mut read = Vec::new();
    for Rule { name, expression, annotations } in rules {
        let found = promql::read(expression, families).map_err(|error| format!("{name}: {error}"))?;
        let shown = named.captures_iter(annotations).map(|label| label[1].to_owned()).collect();
        let labels = found.labels.clone().unwrap_or_default();
        promql::within(&shown, &labels).map_err(|error| format!("{name}: {error}"))?;
        read.push(found);
    }
    Ok(read)
}

/// A value that nothing ever has would make a panel empty and an alert silent. Some show themselves only once something
/// was counted, so the code that counts is asked as well.
fn values_exist(matchers: &BTreeSet<&Matcher>, metrics: &str) -> Result<(), Failure> {
    let code = std::fs::read_to_string(repository().join("node/src/metrics.rs"))?;
    for matcher in matchers.iter().filter(|matcher| matcher.operator == "=") {
        let Matcher { series, label, value, .. } = matcher;
        let shown =
            metrics.lines().any(|line| line.starts_with(series) && line.contains(&format!("{label}=\"{value}\"")));
        assert!(shown || code.contains(&format!("\"{value}\"")), "{series}: {label} is never {value:?}");
    }
    Ok(())
}

fn run_conclave(args: &[&str]) -> Result<String, Failure> {
    Ok(String::from_utf8(Command::new(binary()).args(args).output()?.stdout)?)
}

/// `promtool check metrics`, which reads from its input.
fn lint_metrics(metrics: &str) -> Result<(), Failure> {
    let dir = WorkDir::fresh("chart-metrics");
    let file = dir.join("metrics");
    std::fs::write(&file, metrics)?;
    let output = Command::new("promtool").args(["check", "metrics"]).stdin(std::fs::File::open(&file)?).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("promtool: {}", String::from_utf8_lossy(&output.stderr)).into())
}

fn stem(path: &Path) -> String {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned()
}

fn files(under: &str) -> Result<Vec<PathBuf>, Failure> {
    files_in(&repository().join(under))
}

fn files_in(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Failure>>()?;
    files.sort();
    Ok(files)
}
