//! What Ingress objects and their annotations ask for.

use serde_json::Value;
use url::Url;

use crate::Failure;
use crate::helm::Checked;
use crate::kube::manifest::StatefulSet;

/// Begins the annotations of ingress-nginx.
const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// Stands for the controller's own address until it is known.
pub(super) const OWN_ADDRESS: &str = "@SELF@";

/// One path of one Ingress.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) host: String,
    pub(super) path: String,
    /// Whether the set's Service is behind it; else it is an app.
    pub(super) is_ours: bool,
    pub(super) auth: Option<Auth>,
}

/// What the annotations ask for.
#[derive(Clone, Debug)]
pub(super) struct Auth {
    /// Host of the auth-url.
    pub(super) host: String,
    /// Where that host is: the Service's pods, or this nginx, as the host of another Ingress.
    pub(super) target: String,
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
            let service = path["backend"]["service"]["name"].as_str().ok_or("a backend without a Service")?;
            let is_ours = checked.object("Service", service).is_some();
            let host = rule["host"].as_str().ok_or("a rule without a host")?.to_owned();
            let path = path["path"].as_str().ok_or("no path")?.to_owned();
            rules.push(Rule { host, path, is_ours, auth: auth.clone() });
        }
    }
    Ok(rules)
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
    let target = if url.scheme() == "https" {
        format!("https://{OWN_ADDRESS}:443")
    } else {
        leads_to_the_pods(&url, checked, set)?;
        "http://conclave".to_owned()
    };
    Ok(Some(Auth { host, target, path, signin, response_headers }))
}

/// An auth-url inside the cluster names the Service and a port of it that leads to the pods' public one.
fn leads_to_the_pods(url: &Url, checked: &Checked, set: &StatefulSet<'_>) -> Result<(), Failure> {
    let host = url.host_str().unwrap_or_default();
    let service = host.split('.').next().and_then(|name| checked.object("Service", name));
    let service = service.ok_or_else(|| format!("auth-url {url} names no Service of the render"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, namespace) = (text(&service["metadata"]["name"]), text(&service["metadata"]["namespace"]));
    assert!(
        host == format!("{name}.{namespace}.svc") || host.starts_with(&format!("{name}.{namespace}.svc.")),
        "{host}"
    );
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let port = ports.find(|port| port["port"].as_u64() == url.port_or_known_default().map(u64::from));
    let target = set.port(&port.ok_or_else(|| format!("{url} names no port of the Service"))?["targetPort"])?;
    assert_eq!(target, set.port(&"http".into())?, "the Service leads to another port");
    Ok(())
}
