//! The chart as helm renders it, and the objects in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::{Failure, repository};

/// The release of all renders; names of objects follow from it.
pub const RELEASE: &str = "oauth2-proxy";

/// The namespace of all renders.
pub const NAMESPACE: &str = "auth";

/// What checking a render against schemas said.
#[derive(Debug)]
pub struct Checked {
    /// Every object.
    pub objects: Vec<Value>,
    /// How often an object was held against a schema of Kubernetes.
    pub validations: u64,
    /// Custom resources that were held against their operators' schemas.
    pub custom: u64,
    /// Objects for which there is no schema here.
    pub without_schema: usize,
    /// What is wrong.
    pub problems: Vec<String>,
}

impl Checked {
    /// The one object of a kind and name.
    pub fn object(&self, kind: &str, name: &str) -> Option<&Value> {
        self.objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    /// All objects of a kind.
    pub fn kind<'c>(&'c self, kind: &'c str) -> impl Iterator<Item = &'c Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }
}

/// Where the chart lies.
pub fn chart() -> PathBuf {
    repository().join("deploy/chart")
}

/// Runs helm with its state in the target directory.
pub fn helm(args: &[&str]) -> Result<Output, Failure> {
    let home = crate::target_dir().join("helm");
    let mut command = Command::new(repository().join(".tools/helm/helm"));
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(name, &home);
    }
    command.args(args).output().map_err(|error| format!("helm: {error}; tests/scripts/parts.sh fetches it").into())
}

/// `helm template`; the error is what helm says.
pub fn template(values: &[&Path], more: &[&str]) -> Result<String, Failure> {
    template_of(&chart(), values, more)
}

/// `helm template` of a chart that takes ours in.
pub fn template_of(chart: &Path, values: &[&Path], more: &[&str]) -> Result<String, Failure> {
    let mut args = vec!["template", RELEASE, text(chart)?, "--namespace", NAMESPACE];
    for file in values {
        args.extend(["--values", text(file)?]);
    }
    args.extend(more);
    said(&helm(&args)?)
}

/// `kubectl kustomize`: what `kubectl apply -k` would apply.
pub fn kustomize(folder: &Path) -> Result<String, Failure> {
    let kubectl = repository().join(".tools/helm/kubectl");
    let output = Command::new(kubectl).arg("kustomize").arg(folder).output();
    said(&output.map_err(|error| format!("kubectl: {error}; tests/scripts/parts.sh fetches it"))?)
}

/// `helm lint --strict`; the error is what helm says.
pub fn lint(values: &Path) -> Result<String, Failure> {
    said(&helm(&["lint", "--strict", text(&chart())?, "--values", text(values)?])?)
}

/// Checks objects in a file against strict schemas: Kubernetes' own, and those of custom resources' operators.
pub fn check(rendered: &Path) -> Result<Checked, Failure> {
    let python = repository().join(".tools/kubernetes/bin/python");
    let script = repository().join("tests/chart/check.py");
    let answer: Value = serde_json::from_str(&said(&Command::new(python).arg(script).arg(rendered).output()?)?)?;
    let list = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    Ok(Checked {
        objects: list("objects"),
        validations: answer["checked"].as_u64().ok_or("no count")?,
        custom: answer["custom"].as_u64().ok_or("no count")?,
        without_schema: list("without_schema").len(),
        problems: list("problems").iter().map(ToString::to_string).collect(),
    })
}

/// The documents of a YAML text.
pub fn read_yaml(text: &str) -> Result<Vec<Value>, Failure> {
    let python = repository().join(".tools/kubernetes/bin/python");
    let script = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.argv[1])), sys.stdout)";
    Ok(serde_json::from_str(&said(&Command::new(python).args(["-c", script, text]).output()?)?)?)
}

/// All that is in rendered Secrets, decoded.
pub fn secrets(checked: &Checked) -> Result<String, Failure> {
    let mut all = String::new();
    for secret in checked.kind("Secret") {
        for value in secret["data"].as_object().into_iter().flat_map(|data| data.values()) {
            all.push_str(std::str::from_utf8(&STANDARD.decode(value.as_str().unwrap_or_default())?)?);
        }
    }
    Ok(all)
}

fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| "a path is not UTF-8".into())
}

fn said(output: &Output) -> Result<String, Failure> {
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout.clone())?);
    }
    Err(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)).into())
}
