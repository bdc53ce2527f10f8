//! What Ingress objects and their annotations ask for.

use serde_json::Value;
use url::Url;

use crate::Failure;
use crate::helm::Checked;
use crate::kube::manifest::StatefulSet;

/// Begins the annotations of ingress-nginx.
const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// One path of one Ingress.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) host: String,
    /// As it stands after `location`.
    pub(super) path: String,
    pub(super) backend: Backend,
    pub(super) auth: Option<Auth>,
}

/// What is behind a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    /// A port of the set's pods, through a Service of the render.
    Pods(u16),
    /// A Service of the render without pods.
    Nowhere,
    /// An app.
    App,
}

/// What the annotations ask for.
#[derive(Clone, Debug)]
pub(super) struct Auth {
    /// Host of the auth-url.
    pub(super) host: String,
    /// Where that host is: a port of the pods, or else this nginx, as the host of another Ingress.
    pub(super) pods: Option<u16>,
    /// Its path and query.
    pub(super) path: String,
    pub(super) signin: String,
    pub(super) response_headers: Vec<String>,
}

/// Every path of an Ingress object.
pub(super) fn rules_of(object: &Value, checked: &Checked, set: &StatefulSet<'_>) -> Result<Vec<Rule>, Failure> {
    let auth = auth_of(object, checked, set)?;
    let mut rules = Vec::new();
    for rule in object["spec"]["rules"].as_array().into_iter().flatten() {
        for path in rule["http"]["paths"].as_array().into_iter().flatten() {
            let backend = backend_of(&path["backend"]["service"], checked, set)?;
            let host = rule["host"].as_str().ok_or("a rule without a host")?.to_owned();
            let exact = if path["pathType"] == "Exact" { "= " } else { "" };
            let path = format!("{exact}{}", path["path"].as_str().ok_or("no path")?);
            rules.push(Rule { host, path, backend, auth: auth.clone() });
        }
    }
    Ok(rules)
}

/// What a path leads to.
fn backend_of(service: &Value, checked: &Checked, set: &StatefulSet<'_>) -> Result<Backend, Failure> {
    let name = service["name"].as_str().ok_or("a backend without a Service")?;
    match checked.object("Service", name) {
        None => Ok(Backend::App),
        Some(found) if found["spec"]["selector"].is_null() => Ok(Backend::Nowhere),
        Some(found) => Ok(Backend::Pods(port_behind(found, service["port"]["number"].as_u64(), set)?)),
    }
}

/// The pods' port behind a port of a Service, which leads to pods of the set.
fn port_behind(service: &Value, port: Option<u64>, set: &StatefulSet<'_>) -> Result<u16, Failure> {
    assert_eq!(&service["spec"]["selector"], set.selector(), "a Service for other pods");
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let found = ports.find(|one| one["port"].as_u64() == port);
    set.port(&found.ok_or_else(|| format!("no port {port:?} at the Service"))?["targetPort"])
}

/// The annotations of ingress-nginx, each of which has to be understood here.
fn auth_of(object: &Value, checked: &Checked, set: &StatefulSet<'_>) -> Result<Option<Auth>, Failure> {
    let (mut url, mut signin, mut response_headers) = (None, String::new(), Vec::new());
    for (name, value) in object["metadata"]["annotations"].as_object().into_iter().flatten() {
        let Some(name) = name.strip_prefix(PREFIX) else { continue };
        let value = value.as_str().ok_or("an annotation is text")?;
        match name {
            "auth-url" => url = Some(Url::parse(value)?),
            "auth-signin" => signin = value.to_owned(),
            "auth-response-headers" => response_headers = value.split(',').map(|one| one.trim().to_owned()).collect(),
            other => return Err(format!("{PREFIX}{other} is not understood here").into()),
        }
    }
    let Some(url) = url else { return Ok(None) };
    let host = url.host_str().unwrap_or_default().to_owned();
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let pods = if url.scheme() == "https" { None } else { Some(asks_the_pods(&url, checked, set)?) };
    Ok(Some(Auth { host, pods, path, signin, response_headers }))
}

/// An auth-url inside the cluster names a Service and a port of it that leads to the pods: which of theirs.
fn asks_the_pods(url: &Url, checked: &Checked, set: &StatefulSet<'_>) -> Result<u16, Failure> {
    let host = url.host_str().unwrap_or_default();
    let service = host.split('.').next().and_then(|name| checked.object("Service", name));
    let service = service.ok_or_else(|| format!("auth-url {url} names no Service of the render"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, namespace) = (text(&service["metadata"]["name"]), text(&service["metadata"]["namespace"]));
    assert!(
        host == format!("{name}.{namespace}.svc") || host.starts_with(&format!("{name}.{namespace}.svc.")),
        "{host}"
    );
    port_behind(service, url.port_or_known_default().map(u64::from), set)
}
