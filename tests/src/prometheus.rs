//! A Prometheus server that scrapes the replicas of a cluster, to ask it what a dashboard asks.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use crate::process::Process;
use crate::workdir::WorkDir;
use crate::{Failure, http, ports};

/// How long it may take to listen.
const STARTING: Duration = Duration::from_secs(30);

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    _process: Process,
}

impl Prometheus {
    /// Starts one that scrapes each target every second, as pods of a job in a namespace.
    pub async fn start(dir: &WorkDir, job: &str, namespace: &str, targets: &[SocketAddr]) -> Result<Self, Failure> {
        let address = ports::free_address();
        let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
        let scraped = json!([{"targets": targets, "labels": {"namespace": namespace}}]);
        let config = json!({
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": job, "static_configs": scraped}],
        });
        // JSON is YAML.
        let file = dir.join("prometheus.yml");
        std::fs::write(&file, config.to_string())?;
        let args = [
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", dir.sub("prometheus").display()),
            format!("--web.listen-address={address}"),
        ];
        let mut process = Process::start("prometheus", &dir.join("prometheus.log"), Path::new("prometheus"), &args)?;
        process.listening(address, STARTING).await?;
        Ok(Self { address, _process: process })
    }

    /// The answer to an expression now: one entry a line.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>, Failure> {
        let mut url = Url::parse(&format!("http://{}/api/v1/query", self.address))?;
        url.query_pairs_mut().append_pair("query", expression);
        let answer: Value = serde_json::from_str(&http::client().get(url).send().await?.text().await?)?;
        if answer["status"] != "success" {
            return Err(format!("{expression}: {answer}").into());
        }
        Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
    }
}
