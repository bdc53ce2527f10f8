//! One replica on its own: a cluster of one, for scenarios in which nothing is lost or replicated.

use std::net::SocketAddr;
use std::time::Duration;

use crate::cluster::binary;
use crate::process::{Process, tail};
use crate::provider::Registration;
use crate::workdir::WorkDir;
use crate::{Failure, http, ports, timing};

/// Longer than opening an empty store takes, in a debug build on a loaded machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running cluster of one. Dropping it kills it.
#[derive(Debug)]
pub struct Lone {
    process: Process,
    /// Its public listener.
    pub http: SocketAddr,
    /// Its admin listener.
    pub admin: SocketAddr,
}

impl Lone {
    /// Starts it with the flags that every service needs and those given, and waits until it is ready.
    pub async fn start(dir: &WorkDir, provider: &Registration, flags: &[String]) -> Result<Self, Failure> {
        Self::start_at(ports::free_address(), dir, provider, flags).await
    }

    /// As [`Lone::start`], on a listener drawn before: a callback's URL holds its port.
    pub async fn start_at(
        http: SocketAddr,
        dir: &WorkDir,
        provider: &Registration,
        flags: &[String],
    ) -> Result<Self, Failure> {
        let program = [binary().display().to_string()];
        Self::start_by(&program, &dir.sub("data").display().to_string(), http, dir, provider, flags).await
    }

    /// As [`Lone::start_at`], by a command of one's own that becomes the program, with the data directory that
    /// the program sees.
    pub async fn start_by(
        command: &[String],
        data: &str,
        http: SocketAddr,
        dir: &WorkDir,
        provider: &Registration,
        flags: &[String],
    ) -> Result<Self, Failure> {
        let admin = ports::free_address();
        let (program, launcher) = command.split_first().ok_or("no command")?;
        let mut args = launcher.to_vec();
        args.extend([
            "--provider=oidc".to_owned(),
            format!("--oidc-issuer-url={}", provider.issuer),
            format!("--client-id={}", provider.client_id),
            format!("--client-secret={}", provider.client_secret),
            "--cookie-secret=0123456789abcdef0123456789abcdef".to_owned(),
            "--cookie-secure=false".to_owned(),
            "--email-domain=*".to_owned(),
            "--skip-provider-button=true".to_owned(),
            format!("--http-address={http}"),
            format!("--admin-address={admin}"),
            format!("--data-dir={data}"),
        ]);
        args.extend_from_slice(flags);
        let process = Process::start("conclave", &dir.join("conclave.log"), program.as_ref(), &args)?;
        let mut lone = Self { process, http, admin };
        lone.wait_ready().await?;
        Ok(lone)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether it has not ended.
    pub fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }

    async fn wait_ready(&mut self) -> Result<(), Failure> {
        let (begun, client) = (timing::now(), http::client());
        loop {
            let asked = client.get(format!("http://{}/ready", self.http)).timeout(Duration::from_secs(2)).send().await;
            if asked.is_ok_and(|answer| answer.status() == 200) {
                return Ok(());
            }
            if let Some(status) = self.process.ended() {
                return Err(format!("conclave ended with {status}:\n{}", tail(self.process.log())).into());
            }
            if begun.elapsed() > READY_WITHIN {
                return Err(format!("conclave is not ready:\n{}", tail(self.process.log())).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A registration with a provider that nobody runs: enough where no login is finished.
pub fn nobody() -> Registration {
    Registration {
        issuer: format!("http://{}", ports::free_address()),
        client_id: "rp".to_owned(),
        client_secret: "rp-secret-rp-secret-rp-secret-32".to_owned(),
    }
}
