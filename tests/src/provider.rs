//! The certified npm provider as a process, and its ledger of codes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use crate::process::Process;
use crate::workdir::WorkDir;
use crate::{Failure, http, ports, repository};

/// What the service needs to know of a provider.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Issuer exactly as the provider names itself.
    pub issuer: String,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
}

/// How often one code came to the token endpoint.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct CodeUse {
    /// Requests with it.
    pub asked: u32,
    /// Answers with tokens.
    pub granted: u32,
}

/// What the provider saw.
#[derive(Clone, Debug, Deserialize)]
pub struct Ledger {
    /// Every code that was brought to the token endpoint.
    pub codes: BTreeMap<String, CodeUse>,
    /// Every token given out.
    pub tokens: Vec<String>,
    /// Filled login forms.
    pub logins: u64,
}

/// The running provider.
#[derive(Debug)]
pub struct Provider {
    process: Process,
    address: SocketAddr,
    client: reqwest::Client,
}

impl Provider {
    /// Starts it for a callback URL.
    pub async fn start(dir: &WorkDir, callback: &str) -> Result<Self, Failure> {
        let home = repository().join("tests");
        if !home.join("node_modules/oidc-provider").exists() {
            return Err("the npm provider is missing: `make parts` installs it".into());
        }
        let address = ports::free_address();
        let script = home.join("providers/npm/op.mjs");
        let log = dir.join("provider.log");
        let mut process = Process::start_with("provider", &log, "node".as_ref(), &[script.as_os_str()], |command| {
            command.env("PORT", address.port().to_string()).env("REDIRECT_URIS", callback);
        })?;
        process.listening(address, Duration::from_secs(20)).await?;
        Ok(Self { process, address, client: http::client() })
    }

    /// How the service is registered with it.
    pub fn registration(&self) -> Registration {
        Registration {
            issuer: format!("http://{}", self.address),
            client_id: "rp".to_owned(),
            client_secret: "rp-secret-rp-secret-rp-secret-32".to_owned(),
        }
    }

    /// What it has seen since the start or the last reset.
    pub async fn ledger(&self) -> Result<Ledger, Failure> {
        self.control("ledger").await
    }

    /// Empties the ledger.
    pub async fn reset(&self) -> Result<(), Failure> {
        self.control("reset").await.map(drop)
    }

    /// Lets every later token request wait.
    pub async fn delay_tokens(&self, delay: Duration) -> Result<(), Failure> {
        self.control(&format!("delay?ms={}", delay.as_millis())).await.map(drop)
    }

    async fn control(&self, what: &str) -> Result<Ledger, Failure> {
        let answer = self.client.get(format!("http://{}/control/{what}", self.address)).send().await?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    /// The process, for faults.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
