//! `helm test`: the chart's test pod, run in a namespace of its own with the Services in front of the pods.

use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::Failure;
use crate::kube::set::{ClientService, Set};
use crate::kube::stage::Stage;

/// What stands in for the test pod's image, which is busybox as well.
const BUSYBOX: &str = "/usr/bin/busybox";

/// Programs of it that the test pod may call.
const APPLETS: [&str; 5] = ["sh", "wget", "grep", "echo", "cat"];

/// Runs the test pod to its end.
pub async fn run(stage: &Stage, dir: &Path) -> Result<Output, Failure> {
    let set = &stage.set;
    let pod = set.checked().kind("Pod").find(|pod| pod["metadata"]["annotations"]["helm.sh/hook"] == "test");
    let container = &pod.ok_or("no test pod in the render")?["spec"]["containers"][0];
    let namespace = stage.network.attach()?;
    // Each Service has an address of its own, behind which one pod is picked for each connection.
    let (mut rules, mut known) = (String::new(), "127.0.0.1 localhost\n".to_owned());
    for (place, service) in (0..).zip(set.services()?) {
        let virtual_address = stage.network.virtual_address(place);
        rules += &translation(set, &service, virtual_address);
        known += &format!("{virtual_address} {}\n", service.host);
    }
    let chain = format!("type nat hook output priority -100;\n{rules}");
    namespace.filter(&format!("table ip services {{\n chain output {{\n  {chain} }}\n}}\n"))?;
    let hosts = dir.join("hosts");
    std::fs::create_dir_all(dir)?;
    std::fs::write(&hosts, known)?;
    let list = |field: &str| container[field].as_array().into_iter().flatten().filter_map(Value::as_str);
    let [enter, network] = namespace.entering();
    let mount = format!("mount --bind '{}' /etc/hosts && exec \"$@\"", hosts.display());
    let mut command = Command::new(enter);
    command.args([&network, "unshare", "--mount", "sh", "-c", &mount, "sh"]).args(list("command")).args(list("args"));
    command.env_clear().env("PATH", format!("{}:/usr/bin:/bin", applets(dir)?.display()));
    for variable in container["env"].as_array().into_iter().flatten() {
        let (name, value) = (variable["name"].as_str(), variable["value"].as_str());
        command.env(name.ok_or("a variable without a name")?, value.ok_or("a variable without a value")?);
    }
    Ok(command.output().await?)
}

/// What kube-proxy does: from the Service's address and port to the ready pods'.
fn translation(set: &Set, service: &ClientService, virtual_address: Ipv4Addr) -> String {
    let endpoints = set.endpoints().borrow().clone();
    let map: Vec<String> = endpoints.values().enumerate().map(|(index, at)| format!("{index} : {at}")).collect();
    let pick = format!("numgen random mod {} map {{ {} }}", map.len(), map.join(", "));
    format!("  ip daddr {virtual_address} tcp dport {} dnat to {pick}:{}\n", service.port, service.target)
}

/// A directory in which busybox has the names of its programs.
fn applets(dir: &Path) -> Result<PathBuf, Failure> {
    let applets = dir.join("applets");
    std::fs::create_dir_all(&applets)?;
    for name in APPLETS {
        let link = applets.join(name);
        if std::fs::symlink_metadata(&link).is_err() {
            symlink(BUSYBOX, link)?;
        }
    }
    Ok(applets)
}
