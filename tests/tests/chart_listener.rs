//! What the chart makes of the listener for gateways: the Service that stays inside, the path that can be closed, who may
//! reach the port, and what the notes say of secrets.

use std::path::Path;

use conclave_tests::helm::{self, Checked, NAMESPACE, RELEASE};
use conclave_tests::kube::set::GATEWAYS;
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, repository};
use serde_json::Value;

fn render(dir: &WorkDir, more: &[&str]) -> Result<Checked, Failure> {
    let file = dir.join("render.yaml");
    std::fs::write(&file, helm::template(&[], more)?)?;
    let checked = helm::check(&file)?;
    assert!(checked.problems.is_empty(), "{:#?}", checked.problems);
    Ok(checked)
}

/// Names of the Services that lead to the gateways' port.
fn leading_to_gateways(checked: &Checked) -> Vec<&str> {
    let leads = |service: &&Value| service["spec"]["ports"].as_array().is_some_and(|ports| ports.iter().any(is_auth));
    checked.kind("Service").filter(leads).filter_map(|service| service["metadata"]["name"].as_str()).collect()
}

fn is_auth(port: &Value) -> bool {
    port["targetPort"] == "auth" || port["targetPort"] == 4183
}

#[test]
fn the_gateways_service_stays_inside() -> Result<(), Failure> {
    let dir = WorkDir::fresh("chart-listener-service");
    for kind in ["ClusterIP", "NodePort", "LoadBalancer"] {
        let kind = format!("service.type={kind},ingress.enabled=true,ingress.hosts={{a.example.com}}");
        let checked = render(&dir, &["--set", &kind])?;
        assert_eq!(leading_to_gateways(&checked), ["oauth2-proxy-auth"], "{kind}");
        let service = checked.object("Service", "oauth2-proxy-auth").ok_or("no Service")?;
        assert_eq!(
            (&service["spec"]["type"], &service["spec"]["ports"][0]["port"]),
            (&"ClusterIP".into(), &4183.into())
        );
        let routes: Vec<String> = checked.kind("Ingress").map(ToString::to_string).collect();
        assert!(routes.len() == 1 && !routes[0].contains("oauth2-proxy-auth"), "{routes:?}");
    }
    // Names of at most 63 characters, whatever the release is called.
    let long = format!("fullnameOverride={}", "n".repeat(63));
    for closed in ["true", "false"] {
        let checked = render(&dir, &["--set", &long, "--set", &format!("ingress.exposeAuth={closed}")])?;
        let names: Vec<&str> = checked.kind("Service").filter_map(|one| one["metadata"]["name"].as_str()).collect();
        assert!(names.iter().all(|name| name.len() <= 63), "{names:?}");
    }
    for (taken, said) in [
        ("cluster.peerPort=4183", "cluster.peerPort 4183 is the port of the listener for gateways"),
        ("containerPort=4183", "containerPort 4183 is the port of the listener for gateways"),
        ("extraArgs.auth-address=x", "extraArgs.auth-address is set by the chart"),
        ("extraArgs={--auth-address=x}", "--auth-address is set by the chart"),
    ] {
        let error = helm::template(&[], &["--set", taken]).expect_err(taken).to_string();
        assert!(error.contains(said), "{taken}: {error}");
    }
    Ok(())
}

/// The paths of an Ingress, each with its type and its backend's name.
fn paths(checked: &Checked) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let objects = checked.kind("Ingress").flat_map(|ingress| ingress["spec"]["rules"][0]["http"]["paths"].as_array());
    let paths = objects.flatten();
    paths
        .map(|path| (text(&path["path"]), text(&path["pathType"]), text(&path["backend"]["service"]["name"])))
        .collect()
}

#[test]
fn the_check_can_be_closed_to_visitors() -> Result<(), Failure> {
    let dir = WorkDir::fresh("chart-listener-closed");
    let base = "ingress.enabled=true,ingress.hosts={a.example.com},ingress.path=/,ingress.pathType=Prefix";
    let open = render(&dir, &["--set", base])?;
    assert_eq!(paths(&open), [("/".to_owned(), "Prefix".to_owned(), "oauth2-proxy".to_owned())]);
    assert!(open.object("Service", "oauth2-proxy-closed").is_none());
    for (more, path) in [
        ("x=y", "/oauth2/auth"),
        ("extraArgs.proxy-prefix=/sso/", "/sso/auth"),
        ("extraArgs={--proxy-prefix=/sso}", "/sso/auth"),
        ("extraEnv[0].name=OAUTH2_PROXY_PROXY_PREFIX,extraEnv[0].value=/sso", "/sso/auth"),
        ("config.configFile=proxy_prefix = \"/sso\"", "/sso/auth"),
    ] {
        let closed = render(&dir, &["--set", base, "--set", "ingress.exposeAuth=false", "--set", more])?;
        let first = paths(&closed).into_iter().next().ok_or("no path")?;
        assert_eq!(first, (path.to_owned(), "Exact".to_owned(), "oauth2-proxy-closed".to_owned()), "{more}");
        let service = closed.object("Service", "oauth2-proxy-closed").ok_or("no closed Service")?;
        assert!(service["spec"]["selector"].is_null(), "pods are behind it: {service}");
    }
    let route = "gatewayApi.enabled=true,gatewayApi.gatewayRef.name=g,ingress.exposeAuth=false";
    let route = render(&dir, &["--set", route])?;
    let first = route.kind("HTTPRoute").next().ok_or("no HTTPRoute")?["spec"]["rules"][0].clone();
    assert_eq!(first["matches"][0]["path"]["type"], "Exact");
    assert_eq!(first["backendRefs"][0]["name"], "oauth2-proxy-closed");
    Ok(())
}

/// Who may reach the gateways' port by the policy: the `from` of each rule that names it; null is everybody.
fn may_ask(checked: &Checked) -> Vec<Value> {
    let policies = checked.kind("NetworkPolicy").flat_map(|policy| policy["spec"]["ingress"].as_array()).flatten();
    let names =
        |rule: &&Value| rule["ports"].as_array().is_some_and(|all| all.iter().any(|port| port["port"] == "auth"));
    policies.filter(names).map(|rule| rule["from"].clone()).collect()
}

/// Whether the policy lets every pod reach that TCP port, which the container may give a name.
fn is_open_to_strangers(checked: &Checked, name: &str, number: u64) -> bool {
    let rules: Vec<&Value> =
        checked.kind("NetworkPolicy").flat_map(|policy| policy["spec"]["ingress"].as_array()).flatten().collect();
    let is_it = |port: &Value| match port["port"].as_u64() {
        Some(first) => (first..=port["endPort"].as_u64().unwrap_or(first)).contains(&number),
        None => port["port"] == name,
    };
    let ports = rules.iter().filter(|rule| rule["from"].is_null()).flat_map(|rule| rule["ports"].as_array()).flatten();
    ports.filter(|port| port["protocol"] == "TCP").any(is_it)
}

#[test]
fn peer_port_policy_closes_it_by_default_and_nothing_else() -> Result<(), Failure> {
    let dir = WorkDir::fresh("chart-listener-peers");
    let asked = |set: &str| render(&dir, &["--set", set]);
    let others = [("", 1), ("http", 4180), ("", 4182), ("auth", 4183), ("", 9999), ("metrics", 44180), ("", 65535)];
    let closed = |checked: &Checked, peers: u64| -> Vec<u64> {
        let all = others.into_iter().chain([("peers", peers)]);
        all.filter(|(name, number)| !is_open_to_strangers(checked, name, *number)).map(|(_, number)| number).collect()
    };
    let plain = asked("replicaCount=3")?;
    let policy = plain.kind("NetworkPolicy").next().ok_or("no policy by default")?;
    let set = plain.kind("StatefulSet").next().ok_or("no set")?;
    let own = serde_json::json!([{"podSelector": {"matchLabels": set["spec"]["selector"]["matchLabels"]}}]);
    assert_eq!(policy["spec"]["ingress"][0]["from"], own, "the replicas reach each other");
    assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], "peers");
    assert_eq!(policy["spec"]["policyTypes"], serde_json::json!(["Ingress"]), "what leaves is as it was");
    assert_eq!(closed(&plain, 4181), [4181]);
    let mut moved = asked("cluster.peerPort=4999")?;
    assert!(is_open_to_strangers(&moved, "", 4181) && closed(&moved, 4999) == [4999]);
    moved = asked("cluster.peerPort=65534")?;
    assert_eq!(closed(&moved, 65534), [65534]);
    let scraped = asked("networkPolicy.metrics[0].podSelector.matchLabels.app=prometheus")?;
    assert_eq!(closed(&scraped, 4181), [44180, 4181]);
    let policy = scraped.kind("NetworkPolicy").next().ok_or("no policy")?;
    let rules = policy["spec"]["ingress"].as_array().ok_or("no rules")?;
    let named = rules.iter().find(|rule| rule["ports"][0]["port"] == "metrics").ok_or("no rule for scrapers")?;
    assert_eq!(named["from"], serde_json::json!([{"podSelector": {"matchLabels": {"app": "prometheus"}}}]));
    let both = asked(
        "networkPolicy.metrics[0].podSelector.matchLabels.app=a,networkPolicy.gateways[0].podSelector.matchLabels.app=b",
    )?;
    assert_eq!(closed(&both, 4181), [4183, 44180, 4181]);
    assert!(asked("networkPolicy.create=false")?.kind("NetworkPolicy").next().is_none());
    Ok(())
}

#[test]
fn a_policy_opens_the_gateways_port_to_gateways() -> Result<(), Failure> {
    let dir = WorkDir::fresh("chart-listener-policy");
    let gateways = "networkPolicy.gateways[0].podSelector.matchLabels.app=gateway";
    let own = "networkPolicy.ingress[0].ports[0].port=http";
    let asked = |more: &[&str]| -> Result<Vec<Value>, Failure> {
        let mut flags = vec!["--set", "networkPolicy.create=true"];
        flags.extend(more.iter().flat_map(|one| ["--set", *one]));
        Ok(may_ask(&render(&dir, &flags)?))
    };
    let named = serde_json::json!([{"podSelector": {"matchLabels": {"app": "gateway"}}}]);
    assert_eq!(asked(&[])?, [Value::Null]);
    for more in [&[gateways][..], &[gateways, own]] {
        assert_eq!(asked(more)?, std::slice::from_ref(&named), "{more:?}");
    }
    assert_eq!(asked(&[own])?, [] as [Value; 0], "rules of the user's own are all there is");
    let (file, rendered) = (dir.join("guide.yaml"), dir.join("guide-render.yaml"));
    std::fs::write(&file, guide_block("networkPolicy:")?)?;
    std::fs::write(&rendered, helm::template(&[&file], &[])?)?;
    let label = serde_json::json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": GATEWAYS}}}]);
    assert_eq!(may_ask(&helm::check(&rendered)?), [label], "the guide's lines, as printed");
    Ok(())
}

/// The block of the operating guide that begins so.
fn guide_block(first: &str) -> Result<String, Failure> {
    let guide = std::fs::read_to_string(repository().join("docs/operating.md"))?;
    let block = guide.split("```yaml\n").find(|block| block.starts_with(first));
    let block = block.and_then(|block| block.split("```").next());
    Ok(block.ok_or_else(|| format!("the guide has no block {first}"))?.to_owned())
}

fn notes(values: &Path, more: &[&str]) -> Result<String, Failure> {
    let chart = repository().join("deploy/chart");
    let (chart, values) = (chart.display().to_string(), values.display().to_string());
    let mut args = vec!["install", "--dry-run=client", RELEASE, &chart, "--namespace", NAMESPACE, "--values", &values];
    args.extend(more);
    let output = helm::helm(&args)?;
    let text = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (_, notes) = text.split_once("\nNOTES:\n").ok_or("no notes")?;
    Ok(notes.to_owned())
}

#[test]
fn notes_name_each_withheld_secret() -> Result<(), Failure> {
    let dir = WorkDir::fresh("chart-listener-notes");
    let file = dir.join("values.yaml");
    let rules = "injectResponseHeaders:\n\
                 - {name: X-Key, values: [{secretSource: {value: hunter2}}]}\n\
                 - {name: X-User, values: [{claimSource: {claim: user}}]}\n\
                 - {name: X-Login, values: [{claimSource: {claim: user, basicAuthPassword: {value: hunter2}}}]}\n";
    let indented = |by: &str| rules.lines().map(|line| format!("{by}{line}\n")).collect::<String>();
    let alpha = ["X-Key", "X-Login"].as_slice();
    for (values, named) in [
        ("{}\n".to_owned(), [].as_slice()),
        (format!("alphaConfig:\n  enabled: true\n  configData:\n{}", indented("    ")), alpha),
        (format!("alphaConfig:\n  enabled: true\n  configFile: |\n{}", indented("    ")), alpha),
        ("extraArgs: {set-basic-auth: true, basic-auth-password: hunter2}\n".to_owned(), &["Authorization"]),
        ("extraArgs: [--set-basic-auth]\n".to_owned(), &["Authorization"]),
        ("config: {configFile: \"set_basic_auth = true\"}\n".to_owned(), &["Authorization"]),
        ("extraArgs: {set-basic-auth: false}\n".to_owned(), &[]),
    ] {
        std::fs::write(&file, &values)?;
        let said = notes(&file, &[])?;
        let found: Vec<&str> = said.lines().filter_map(|line| line.trim().strip_prefix("* header ")).collect();
        assert_eq!(found, named, "{values}{said}");
        assert!(said.contains("http://oauth2-proxy-auth.auth.svc.cluster.local:4183/oauth2/auth"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let closed = notes(&file, &["--set", "ingress.exposeAuth=false"])?;
    assert!(closed.contains("ingress.exposeAuth=false: /oauth2/auth is closed"), "{closed}");
    Ok(())
}
