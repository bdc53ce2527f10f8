//! A gateway that asks as Envoy's ext_authz does over HTTP, set up by the objects of its note: no package carries Envoy.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;

use super::wire::{Headers, Request, Response, Server, serve, value_of};
use crate::Failure;
use crate::helm::Checked;

/// What Envoy hands a check besides the headers that it is given names of.
const ALWAYS_ASKED: [&str; 2] = ["Host", "Authorization"];

/// What the note's objects and the chart's HTTPRoute say.
#[derive(Clone, Debug)]
pub struct Setup {
    rejects_underscores: bool,
    removed: Vec<String>,
    asked: Vec<String>,
    told: Vec<String>,
    prefix: String,
    ours: Vec<String>,
}

impl Setup {
    /// Reads the objects; each has to be there.
    pub fn of(objects: &[Value], release: &Checked) -> Result<Self, Failure> {
        let find =
            |kind: &str| objects.iter().find(|object| object["kind"] == kind).ok_or_else(|| format!("no {kind}"));
        let (traffic, security) = (&find("ClientTrafficPolicy")?["spec"], &find("SecurityPolicy")?["spec"]["extAuth"]);
        let grant = &find("ReferenceGrant")?["spec"]["to"][0]["name"];
        if security["http"]["backendRefs"][0]["name"] != *grant {
            return Err("the grant is for another Service".into());
        }
        let route = release.kind("HTTPRoute").next().ok_or("the values bring no HTTPRoute")?;
        let matches = route["spec"]["rules"].as_array().into_iter().flatten();
        let paths = matches.flat_map(|rule| rule["matches"].as_array().into_iter().flatten());
        Ok(Self {
            rejects_underscores: traffic["headers"]["withUnderscoresAction"] == "RejectRequest",
            removed: names(&traffic["headers"]["earlyRequestHeaders"]["remove"])?,
            asked: names(&security["headersToExtAuth"])?,
            told: names(&security["http"]["headersToBackend"])?,
            prefix: security["http"]["path"].as_str().unwrap_or_default().to_owned(),
            ours: paths.map(|path| path["path"]["value"].as_str().unwrap_or_default().to_owned()).collect(),
        })
    }

    async fn answer(&self, mut request: Request, service: SocketAddr, app: SocketAddr) -> Result<Response, Failure> {
        if self.rejects_underscores && request.headers.iter().any(|(name, _)| name.contains('_')) {
            return Ok(Response { status: 400, ..Response::default() });
        }
        let is_one_of = |names: &[String], name: &str| names.iter().any(|other| other.eq_ignore_ascii_case(name));
        // Overwritten at the edge, before any filter.
        let own = ["x-forwarded-proto", "x-envoy-external-address"].map(str::to_owned);
        request.headers.retain(|(name, _)| !is_one_of(&self.removed, name) && !is_one_of(&own, name));
        request.headers.push((own[0].clone(), "http".to_owned()));
        request.headers.push((own[1].clone(), "127.0.0.1".to_owned()));
        if self.ours.iter().any(|path| request.uri.starts_with(path.as_str())) {
            return request.send(service).await;
        }
        let always = ALWAYS_ASKED.map(str::to_owned);
        let asked = |(name, _): &&(String, String)| is_one_of(&self.asked, name) || is_one_of(&always, name);
        let mut headers: Headers = request.headers.iter().filter(asked).cloned().collect();
        headers.push(("Content-Length".to_owned(), "0".to_owned()));
        let check = Request { method: request.method.clone(), uri: format!("{}{}", self.prefix, request.uri), headers };
        let verdict = check.send(service).await?;
        if verdict.status != 200 {
            return Ok(verdict);
        }
        for name in &self.told {
            // What the answer lacks stays as it came.
            let Some(value) = value_of(&verdict.headers, name) else { continue };
            request.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            request.headers.push((name.clone(), value.to_owned()));
        }
        request.send(app).await
    }
}

/// Serves over plain HTTP.
pub async fn start(at: SocketAddr, setup: Setup, service: SocketAddr, app: SocketAddr) -> Result<Server, Failure> {
    let setup = Arc::new(setup);
    serve(at, move |request| {
        let setup = Arc::clone(&setup);
        async move { setup.answer(request, service, app).await }
    })
    .await
}

fn names(list: &Value) -> Result<Vec<String>, Failure> {
    let list = list.as_array().filter(|list| !list.is_empty()).ok_or("no header is named")?;
    Ok(list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
}
