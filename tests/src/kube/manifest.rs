//! What a rendered StatefulSet says of its pods: read out of the manifest, so that a change of the chart changes the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::Failure;
use crate::helm::Checked;
use crate::kube::container::{Container, Mount, Program, own_by_group};

/// Where the image keeps its program; a manifest's `command` takes its place.
const ENTRY_POINT: &str = "/bin/conclave";

/// The name of the one node.
const NODE: &str = "node";

/// One HTTP probe, with Kubernetes' defaults filled in.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Path to ask for.
    pub path: String,
    /// Port of the container.
    pub port: u16,
    /// Between two looks.
    pub period: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Failures in a row that count.
    pub failures: u32,
    /// Successes in a row that count.
    pub successes: u32,
}

/// A StatefulSet out of a render.
#[derive(Debug)]
pub struct StatefulSet<'c> {
    checked: &'c Checked,
    set: &'c Value,
}

/// A pod's program: arguments and variables as the container gets them.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The program and its arguments, with variables filled in.
    pub command: Vec<String>,
    /// Variables that have a value in the render.
    pub variables: BTreeMap<String, String>,
}

impl<'c> StatefulSet<'c> {
    /// The render's only one.
    pub fn of(checked: &'c Checked) -> Result<Self, Failure> {
        let set = checked.kind("StatefulSet").next().ok_or("no StatefulSet")?;
        Ok(Self { checked, set })
    }

    /// Its name; `-0` and so on make the pods'.
    pub fn name(&self) -> Result<&'c str, Failure> {
        text(&self.set["metadata"]["name"])
    }

    /// How many pods.
    pub fn replicas(&self) -> Result<usize, Failure> {
        number(&self.set["spec"]["replicas"])
    }

    /// Names of all pods under the headless Service.
    pub fn hosts(&self) -> Result<Vec<String>, Failure> {
        let (name, service) = (self.name()?, text(&self.set["spec"]["serviceName"])?);
        let namespace = text(&self.set["metadata"]["namespace"])?;
        let headless = self.checked.object("Service", service).ok_or("the headless Service is not rendered")?;
        assert_eq!((&headless["spec"]["clusterIP"], &headless["spec"]["selector"]), (&"None".into(), self.selector()));
        Ok((0..self.replicas()?).map(|ordinal| format!("{name}-{ordinal}.{service}.{namespace}.svc")).collect())
    }

    /// Labels that select its pods.
    pub fn selector(&self) -> &'c Value {
        &self.set["spec"]["selector"]["matchLabels"]
    }

    /// What pods are made of; another one means other pods.
    pub fn template(&self) -> &'c Value {
        &self.set["spec"]["template"]
    }

    /// How long a pod has to have been ready before the next is replaced.
    pub fn min_ready(&self) -> Duration {
        Duration::from_secs(self.set["spec"]["minReadySeconds"].as_u64().unwrap_or_default())
    }

    /// How long a pod may take to end.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.pod()["terminationGracePeriodSeconds"].as_u64().unwrap_or(30))
    }

    /// The container's port of that name or number.
    pub fn port(&self, port: &Value) -> Result<u16, Failure> {
        if let Some(number) = port.as_u64() {
            return Ok(u16::try_from(number)?);
        }
        let mut ports = self.container()["ports"].as_array().into_iter().flatten();
        let found = ports.find(|one| &one["name"] == port).ok_or_else(|| format!("no port {port}"))?;
        number(&found["containerPort"])
    }

    /// `startupProbe`, `livenessProbe` or `readinessProbe`.
    pub fn probe(&self, name: &str) -> Result<Probe, Failure> {
        let probe = &self.container()[name];
        let get = &probe["httpGet"];
        let or = |field: &str, default: u64| probe[field].as_u64().unwrap_or(default);
        if get["scheme"].as_str().is_some_and(|scheme| scheme != "HTTP") || or("initialDelaySeconds", 0) > 0 {
            return Err(format!("{name}: this kubelet probes over HTTP and at once: {probe}").into());
        }
        Ok(Probe {
            path: text(&get["path"])?.to_owned(),
            port: self.port(&get["port"])?,
            period: Duration::from_secs(or("periodSeconds", 10)),
            timeout: Duration::from_secs(or("timeoutSeconds", 1)),
            failures: u32::try_from(or("failureThreshold", 3))?,
            successes: u32::try_from(or("successThreshold", 1))?,
        })
    }

    /// Fails on parts of a pod that nothing here would run.
    pub fn runs_whole(&self) -> Result<(), Failure> {
        let (pod, container) = (self.pod(), self.container());
        let left_out = [
            ("initContainers", !pod["initContainers"].is_null()),
            ("further containers", pod["containers"].as_array().is_none_or(|all| all.len() != 1)),
            ("lifecycle", !container["lifecycle"].is_null()),
            ("envFrom", !container["envFrom"].is_null()),
        ];
        match left_out.iter().find(|(_, is_there)| *is_there) {
            Some((what, _)) => Err(format!("{what}: not run here").into()),
            None => Ok(()),
        }
    }

    /// How a pod calls its program.
    pub fn invocation(&self, pod: &str) -> Result<Invocation, Failure> {
        let container = self.container();
        let mut variables = BTreeMap::new();
        for variable in container["env"].as_array().into_iter().flatten() {
            let (name, source) = (text(&variable["name"])?, &variable["valueFrom"]);
            let value = match (variable["value"].as_str(), source["fieldRef"]["fieldPath"].as_str()) {
                (Some(value), _) => Some(value.to_owned()),
                (None, Some("metadata.name")) => Some(pod.to_owned()),
                (None, Some("spec.nodeName")) => Some(NODE.to_owned()),
                (None, Some(field)) => return Err(format!("{name}: {field} is not filled in here").into()),
                (None, None) => self.secret_value(&source["secretKeyRef"])?,
            };
            variables.extend(value.map(|value| (name.to_owned(), value)));
        }
        let list = |name: &str| container[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut command: Vec<String> = list("command").map(str::to_owned).collect();
        if command.is_empty() {
            command.push(ENTRY_POINT.to_owned());
        }
        command.extend(list("args").map(|argument| filled(argument, &variables)));
        Ok(Invocation { command, variables })
    }

    /// The pod's container, with its files laid under `dir` and its claims at `dir/claim-NAME`.
    pub fn contain(&self, dir: &Path, program: &Program) -> Result<Container, Failure> {
        let (pod, security) = (self.pod(), &self.container()["securityContext"]);
        let mut container = Container::of(program, dir.join("root"))?;
        assert_eq!(security["readOnlyRootFilesystem"], true, "the root here cannot be written");
        container.user = (number(&security["runAsUser"])?, number(&security["runAsGroup"])?);
        container.fs_group = pod["securityContext"]["fsGroup"].as_u64();
        for mount in self.container()["volumeMounts"].as_array().into_iter().flatten() {
            let at = text(&mount["mountPath"])?;
            let Some(source) = self.volume(&mount["name"], dir, container.fs_group)? else { continue };
            let source = mount["subPath"].as_str().map_or(source.clone(), |path| source.join(path));
            let writable = mount["readOnly"] != true && text(&mount["name"])? == "data";
            container.mounts.push(Mount { source, at: at.to_owned(), writable });
        }
        Ok(container)
    }

    /// What a volume shows, laid out; none for objects that the user has made himself.
    fn volume(&self, name: &Value, dir: &Path, group: Option<u64>) -> Result<Option<PathBuf>, Failure> {
        let label = text(name)?;
        let claims = self.set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
        if claims.into_iter().any(|claim| &claim["metadata"]["name"] == name) {
            let place = dir.join(format!("claim-{label}"));
            std::fs::create_dir_all(&place)?;
            own_by_group(&place, group.ok_or("a claim without a group that may write it")?)?;
            return Ok(Some(place));
        }
        let mut volumes = self.pod()["volumes"].as_array().into_iter().flatten();
        let volume = volumes.find(|volume| &volume["name"] == name).ok_or_else(|| format!("no volume {label}"))?;
        let (kind, source) = if volume["secret"].is_object() {
            ("Secret", &volume["secret"])
        } else {
            ("ConfigMap", &volume["configMap"])
        };
        let object = source["secretName"].as_str().or(source["name"].as_str()).unwrap_or_default();
        let Some(data) = self.checked.object(kind, object).and_then(contents) else { return Ok(None) };
        let place = dir.join(format!("volume-{label}"));
        std::fs::create_dir_all(&place)?;
        for (key, value) in data {
            let mut items = source["items"].as_array().into_iter().flatten();
            let path =
                items.find(|item| item["key"] == key.as_str()).map_or(Ok(key.as_str()), |item| text(&item["path"]));
            std::fs::write(place.join(path?), decoded(kind, value)?)?;
        }
        Ok(Some(place))
    }

    fn secret_value(&self, reference: &Value) -> Result<Option<String>, Failure> {
        let object = self.checked.object("Secret", reference["name"].as_str().unwrap_or_default());
        let value = object.map(|object| &object["data"][reference["key"].as_str().unwrap_or_default()]);
        let value = value.filter(|value| value.is_string());
        value.map(|value| Ok(String::from_utf8(decoded("Secret", value)?)?)).transpose()
    }

    fn pod(&self) -> &'c Value {
        &self.template()["spec"]
    }

    fn container(&self) -> &'c Value {
        &self.pod()["containers"][0]
    }
}

/// `$(NAME)` as a kubelet fills it in.
fn filled(argument: &str, variables: &BTreeMap<String, String>) -> String {
    let fill = |text: String, (name, value): (&String, &String)| text.replace(&format!("$({name})"), value);
    variables.iter().fold(argument.to_owned(), fill)
}

fn contents(object: &Value) -> Option<&Map<String, Value>> {
    object["data"].as_object()
}

fn decoded(kind: &str, value: &Value) -> Result<Vec<u8>, Failure> {
    let value = text(value)?;
    if kind == "Secret" { Ok(STANDARD.decode(value)?) } else { Ok(value.as_bytes().to_vec()) }
}

fn text(value: &Value) -> Result<&str, Failure> {
    value.as_str().ok_or_else(|| format!("text expected, not {value}").into())
}

fn number<N: TryFrom<u64>>(value: &Value) -> Result<N, Failure> {
    let number = value.as_u64().and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| format!("a number expected, not {value}").into())
}
