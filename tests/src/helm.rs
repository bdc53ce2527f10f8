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

/// A program to run as the rendered container would: arguments and variables.
#[derive(Debug)]
pub struct Invocation {
    /// Arguments, with the pod's name filled in.
    pub args: Vec<String>,
    /// Variables that have a value in the render.
    pub variables: Vec<(String, String)>,
}

/// How pod `ordinal` of the rendered set starts the program, with its mounted files laid into `root`.
pub fn invocation(checked: &Checked, ordinal: usize, root: &Path) -> Result<Invocation, Failure> {
    let set = checked.kind("StatefulSet").next().ok_or("no StatefulSet")?;
    let pod = format!("{}-{ordinal}", set["metadata"]["name"].as_str().ok_or("no name")?);
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    lay_files(checked, set, root)?;
    let mount = |text: &str| text.replace("=/etc/", &format!("={}/etc/", root.display()));
    let args = container["args"].as_array().ok_or("no arguments")?.iter();
    let args = args.filter_map(Value::as_str).map(|arg| mount(&arg.replace("$(CONCLAVE_POD_NAME)", &pod))).collect();
    let mut variables = Vec::new();
    for variable in container["env"].as_array().ok_or("no variables")? {
        let name = variable["name"].as_str().ok_or("a variable without a name")?;
        let secret = &variable["valueFrom"]["secretKeyRef"];
        if let Some(value) = variable["value"].as_str() {
            variables.push((name.to_owned(), value.to_owned()));
        } else if let Some(value) = key_of(checked, "Secret", &secret["name"], &secret["key"])? {
            variables.push((name.to_owned(), value));
        }
    }
    Ok(Invocation { args, variables })
}

/// Writes what volumes made of rendered ConfigMaps and Secrets would show.
fn lay_files(checked: &Checked, set: &Value, root: &Path) -> Result<(), Failure> {
    let spec = &set["spec"]["template"]["spec"];
    let empty = Vec::new();
    for mount in spec["containers"][0]["volumeMounts"].as_array().unwrap_or(&empty) {
        let volumes = spec["volumes"].as_array().unwrap_or(&empty);
        let Some(volume) = volumes.iter().find(|volume| volume["name"] == mount["name"]) else { continue };
        let (kind, name) = match volume["secret"]["secretName"].as_str() {
            Some(name) => ("Secret", name),
            None => ("ConfigMap", volume["configMap"]["name"].as_str().unwrap_or_default()),
        };
        let Some(data) = checked.object(kind, name).and_then(|object| object["data"].as_object()) else { continue };
        let place = root.join(mount["mountPath"].as_str().ok_or("no place")?.trim_start_matches('/'));
        for key in data.keys() {
            let source = if kind == "Secret" { &volume["secret"] } else { &volume["configMap"] };
            let shown = source["items"][0]["path"].as_str().unwrap_or(key);
            let file = if mount["subPath"].is_string() { place.clone() } else { place.join(shown) };
            std::fs::create_dir_all(file.parent().ok_or("a file stands in a directory")?)?;
            let value = key_of(checked, kind, &Value::from(name), &Value::from(key.as_str()))?;
            std::fs::write(file, value.unwrap_or_default())?;
        }
    }
    Ok(())
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

fn key_of(checked: &Checked, kind: &str, name: &Value, key: &Value) -> Result<Option<String>, Failure> {
    let (Some(name), Some(key)) = (name.as_str(), key.as_str()) else { return Ok(None) };
    let Some(value) = checked.object(kind, name).and_then(|object| object["data"][key].as_str()) else {
        return Ok(None);
    };
    let bytes = if kind == "Secret" { STANDARD.decode(value)? } else { value.as_bytes().to_vec() };
    Ok(Some(String::from_utf8(bytes)?))
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
