//! The provider that does wrong what a scenario asks it to do wrong, as a process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::process::Process;
use crate::provider::Registration;
use crate::workdir::WorkDir;
use crate::{Failure, http, ports, repository};

/// The person whom it logs in, without a form.
pub const PERSON: &str = "alice";

/// The issuer under which it behaves, unless a login asks for a fault.
const SOUND: &str = "sound";

/// A bearer token that it made.
#[derive(Clone, Debug, Deserialize)]
pub struct Bearer {
    /// What is odd about it.
    pub name: String,
    /// The token.
    pub token: String,
    /// Whether it counts.
    pub sound: bool,
}

/// A fault of one login.
#[derive(Clone, Debug, Deserialize)]
pub struct LoginFault {
    /// Its name, to be asked for in the authorization request.
    pub name: String,
    /// Whether the login succeeds all the same.
    pub harmless: bool,
}

/// Everything that it can do wrong.
#[derive(Clone, Debug, Deserialize)]
pub struct Faults {
    /// Faults of its documents, each at an issuer of that name.
    pub documents: Vec<String>,
    /// Faults of one login at the sound issuer, which is among them.
    pub logins: Vec<LoginFault>,
}

/// The running provider.
#[derive(Debug)]
pub struct Scripted {
    process: Process,
    address: SocketAddr,
    client: reqwest::Client,
}

impl Scripted {
    /// Starts it.
    pub async fn start(dir: &WorkDir) -> Result<Self, Failure> {
        let address = ports::free_address();
        let script = repository().join("tests/providers/scripted/op.mjs");
        let usual = Registration::usual("");
        let log = dir.join("scripted.log");
        let mut process = Process::start_with("scripted", &log, "node".as_ref(), &[script.as_os_str()], |command| {
            command.env("PORT", address.port().to_string());
            command.env("CLIENT_ID", &usual.client_id).env("CLIENT_SECRET", &usual.client_secret);
        })?;
        process.listening(address, Duration::from_secs(20)).await?;
        Ok(Self { process, address, client: http::client() })
    }

    /// How a service is registered with it as a sound provider.
    pub fn registration(&self) -> Registration {
        self.registration_with(SOUND)
    }

    /// How a service is registered with the issuer whose documents have that fault.
    pub fn registration_with(&self, fault: &str) -> Registration {
        Registration::usual(&format!("http://{}/{fault}", self.address))
    }

    /// Whether it has not ended.
    pub fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Everything that it can do wrong.
    pub async fn faults(&self) -> Result<Faults, Failure> {
        self.control("faults").await
    }

    /// How often each path was asked for.
    pub async fn counts(&self) -> Result<BTreeMap<String, u64>, Failure> {
        self.control("counts").await
    }

    /// How often the keys of the sound issuer were asked for.
    pub async fn keys_asked(&self) -> Result<u64, Failure> {
        Ok(self.counts().await?.get(&format!("/{SOUND}/keys")).copied().unwrap_or_default())
    }

    /// How often something was asked for that only a service asks for that was led astray: another
    /// issuer's documents, or what a redirect led to.
    pub async fn astray(&self) -> Result<u64, Failure> {
        let counts = self.counts().await?;
        let led = counts.iter().filter(|(path, _)| path.starts_with("/evil/") || path.contains("/elsewhere/"));
        Ok(led.map(|(_, count)| count).sum())
    }

    /// Sound and forged bearer tokens of the sound issuer.
    pub async fn bearers(&self) -> Result<Vec<Bearer>, Failure> {
        self.control("bearers").await
    }

    /// Tokens that each name another key that no issuer publishes.
    pub async fn strangers(&self, count: usize) -> Result<Vec<String>, Failure> {
        self.control(&format!("strangers?n={count}")).await
    }

    async fn control<T: DeserializeOwned>(&self, what: &str) -> Result<T, Failure> {
        let answer = self.client.get(format!("http://{}/control/{what}", self.address)).send().await?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }
}
