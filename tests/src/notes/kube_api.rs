//! As much of a Kubernetes API as a gateway's controller reads: lists of objects, and watches that say nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::wire::{Request, Response};
use crate::Failure;

/// Kinds that controllers list, by their name in a path; a list without objects needs its kind as well.
const KINDS: [(&str, &str); 15] = [
    ("configmaps", "ConfigMap"),
    ("endpointslices", "EndpointSlice"),
    ("ingressroutes", "IngressRoute"),
    ("ingressroutetcps", "IngressRouteTCP"),
    ("ingressrouteudps", "IngressRouteUDP"),
    ("middlewares", "Middleware"),
    ("middlewaretcps", "MiddlewareTCP"),
    ("nodes", "Node"),
    ("secrets", "Secret"),
    ("serverstransports", "ServersTransport"),
    ("serverstransporttcps", "ServersTransportTCP"),
    ("services", "Service"),
    ("tlsoptions", "TLSOption"),
    ("tlsstores", "TLSStore"),
    ("traefikservices", "TraefikService"),
];

/// The server. Dropping it ends it.
#[derive(Debug)]
pub struct KubeApi(JoinHandle<()>);

impl KubeApi {
    /// Serves these objects.
    pub async fn start(address: SocketAddr, objects: Vec<Value>) -> Result<Self, Failure> {
        let listener = TcpListener::bind(address).await?;
        let objects = Arc::new(objects);
        Ok(Self(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let objects = Arc::clone(&objects);
                tokio::spawn(async move { answer(stream, &objects).await });
            }
        })))
    }
}

impl Drop for KubeApi {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn answer(mut stream: TcpStream, objects: &[Value]) -> Result<(), Failure> {
    let Some(request) = Request::read(&mut stream).await? else { return Ok(()) };
    let (path, query) = request.uri.split_once('?').unwrap_or((&request.uri, ""));
    // A list by way of a watch is newer than this, and clients then list.
    let streamed = query.contains("sendInitialEvents=");
    if query.contains("watch=true") && !streamed {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await?;
        // Nothing ever changes.
        return std::future::pending().await;
    }
    let (status, body) = match list(path, objects) {
        Some(body) if !streamed => (200, body),
        Some(_) => {
            (422, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422}))
        }
        None => {
            (404, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}))
        }
    };
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    Response { status, headers, body: body.to_string().into_bytes() }.write(&mut stream).await
}

/// `/api/VERSION/NAMES` or `/apis/GROUP/VERSION/NAMES`.
fn list(path: &str, objects: &[Value]) -> Option<Value> {
    let (version, names) = path.strip_prefix("/apis/").or_else(|| path.strip_prefix("/api/"))?.rsplit_once('/')?;
    let (_, kind) = KINDS.iter().find(|(plural, _)| *plural == names)?;
    let items: Vec<&Value> =
        objects.iter().filter(|object| object["kind"] == *kind && object["apiVersion"] == version).collect();
    let list = json!({"kind": format!("{kind}List"), "apiVersion": version, "metadata": {"resourceVersion": "1"}, "items": items});
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_listed_by_group_and_kind() {
        let objects = [json!({"apiVersion": "traefik.io/v1alpha1", "kind": "Middleware", "metadata": {"name": "a"}})];
        let count = |path| list(path, &objects).map(|list| list["items"].as_array().map_or(0, Vec::len));
        assert_eq!(count("/apis/traefik.io/v1alpha1/middlewares"), Some(1));
        assert_eq!((count("/apis/traefik.io/v1alpha1/ingressroutes"), count("/api/v1/services")), (Some(0), Some(0)));
        assert_eq!((count("/apis/x/v1/others"), count("/version")), (None, None));
    }
}
