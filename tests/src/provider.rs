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

impl Registration {
    /// The client of most scenarios.
    pub fn usual(issuer: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            client_id: "rp".to_owned(),
            client_secret: "rp-secret-rp-secret-rp-secret-32".to_owned(),
        }
    }
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
    /// How often each refresh token was brought to the token endpoint.
    pub refreshes: BTreeMap<String, u64>,
    /// Every token given out for a code.
    pub tokens: Vec<String>,
    /// Filled login forms.
    pub logins: u64,
}

/// The running provider.
#[derive(Debug)]
pub struct Provider {
    process: Process,
    address: SocketAddr,
    registration: Registration,
    client: reqwest::Client,
}

impl Provider {
    /// Starts it for a callback URL.
    pub async fn start(dir: &WorkDir, callback: &str) -> Result<Self, Failure> {
        let address = ports::free_address();
        let registration = Registration::usual(&format!("http://{address}"));
        Self::start_as(dir, callback, address, registration, "example.test").await
    }

    /// As [`Provider::start`], on an address of one's own, with this registration and its users' addresses in that
    /// domain; the issuer may be the name of a gateway in front.
    pub async fn start_as(
        dir: &WorkDir,
        callback: &str,
        address: SocketAddr,
        registration: Registration,
        email_domain: &str,
    ) -> Result<Self, Failure> {
        let home = repository().join("tests");
        if !home.join("node_modules/oidc-provider").exists() {
            return Err("the npm provider is missing: `make parts` installs it".into());
        }
        let script = home.join("providers/npm/op.mjs");
        let log = dir.join("provider.log");
        let mut process = Process::start_with("provider", &log, "node".as_ref(), &[script.as_os_str()], |command| {
            command.env("HOST_NAME", address.ip().to_string()).env("PORT", address.port().to_string());
            command.env("ISSUER", &registration.issuer).env("REDIRECT_URIS", callback);
            command.env("CLIENT_ID", &registration.client_id).env("CLIENT_SECRET", &registration.client_secret);
            command.env("EMAIL_DOMAIN", email_domain);
        })?;
        process.listening(address, Duration::from_secs(20)).await?;
        Ok(Self { process, address, registration, client: http::client() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How the service is registered with it.
    pub fn registration(&self) -> Registration {
        self.registration.clone()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browser::Robot;
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use url::Url;

    const CALLBACK: &str = "http://app.example.test/oauth2/callback";

    async fn redeem(provider: &Provider, code: &str, verifier: &str) -> u16 {
        let registration = provider.registration();
        let basic = STANDARD.encode(format!("{}:{}", registration.client_id, registration.client_secret));
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)])
            .append_pair("code_verifier", verifier)
            .finish();
        let request = provider.client.post(format!("{}/token", registration.issuer));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.header("authorization", format!("Basic {basic}")).body(form).send().await;
        answer.expect("answered").status().as_u16()
    }

    /// The instrument itself: a robot gets through the provider's forms, and a code's second use shows.
    #[tokio::test]
    async fn a_robot_logs_in_and_the_ledger_counts_codes() {
        let provider = Provider::start(&WorkDir::fresh("provider"), CALLBACK).await.expect("node and the npm provider");
        let verifier = "v".repeat(50);
        let challenge = URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()));
        let mut start = Url::parse(&format!("{}/auth", provider.registration().issuer)).expect("valid");
        start
            .query_pairs_mut()
            .extend_pairs([("client_id", "rp"), ("response_type", "code"), ("redirect_uri", CALLBACK)])
            .extend_pairs([("scope", "openid email profile groups"), ("state", "s"), ("nonce", "n")])
            .extend_pairs([("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")]);
        let mut robot = Robot::new("alice");
        let callback = robot.open_until(&start, "/oauth2/callback").await.expect("the form is filled");
        let code = callback.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
        assert_eq!(redeem(&provider, &code, &verifier).await, 200);
        assert_eq!(redeem(&provider, &code, &verifier).await, 400);
        let ledger = provider.ledger().await.expect("a ledger");
        assert_eq!((ledger.codes[&code].asked, ledger.codes[&code].granted, ledger.logins), (2, 1, 1));
        assert!(ledger.tokens.len() >= 2, "the tokens that must be found nowhere");
        let again = robot.open_until(&start, "/oauth2/callback").await.expect("known by now");
        assert!(again.query_pairs().any(|(name, value)| name == "code" && value != code));
        assert_eq!(provider.ledger().await.expect("a ledger").logins, 1, "without another form");
    }
}
