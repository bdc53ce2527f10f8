//! Keycloak as a process, with a realm imported at its start.

use std::path::PathBuf;
use std::time::Duration;

use crate::process::Process;
use crate::provider::Registration;
use crate::workdir::WorkDir;
use crate::{Failure, http, ports, process, repository, timing};

/// A cold start of the server takes 25 to 48 s on two free cores.
const UP_WITHIN: Duration = Duration::from_secs(240);

/// A running Keycloak. Only its tests use it: dropping it kills the server.
#[derive(Debug)]
pub struct Keycloak {
    _process: Process,
    registration: Registration,
}

impl Keycloak {
    /// Starts it with the realm `scenarios` (users `alice` and `bob`, password = name) for a callback.
    pub async fn start(dir: &WorkDir, callback: &str) -> Result<Self, Failure> {
        let home = dir.join("keycloak");
        let original = installed()?;
        // A copy, so that what one run leaves behind does not meet the next one.
        process::run("cp", &["-r".as_ref(), original.as_os_str(), home.as_os_str()])?;
        let import = home.join("data/import");
        std::fs::create_dir_all(&import)?;
        let realm = std::fs::read_to_string(repository().join("tests/providers/keycloak/realm.json"))?;
        std::fs::write(import.join("realm.json"), realm.replace("@CALLBACK@", callback))?;
        let address = ports::free_address();
        let port = format!("--http-port={}", address.port());
        let script = home.join("bin/kc.sh");
        let args = ["start-dev", "--import-realm", "--http-host=127.0.0.1", &port];
        let mut server = Process::start_with("keycloak", &dir.join("keycloak.log"), &script, &args, |command| {
            command.env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin").env("KC_BOOTSTRAP_ADMIN_PASSWORD", "admin");
            command.env("KC_HTTP_MANAGEMENT_PORT", ports::free().to_string());
        })?;
        server.listening(address, UP_WITHIN).await?;
        let issuer = format!("http://{address}/realms/scenarios");
        let client = http::client();
        let discovery = format!("{issuer}/.well-known/openid-configuration");
        timing::until("Keycloak's discovery", UP_WITHIN, || async {
            let answer = client.get(&discovery).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await?;
        let client_secret = "keycloak-secret-keycloak-secret".to_owned();
        Ok(Self { _process: server, registration: Registration { issuer, client_id: "rp".to_owned(), client_secret } })
    }

    /// How the service is registered with it.
    pub fn registration(&self) -> &Registration {
        &self.registration
    }
}

/// Where `make parts-full` unpacks it.
fn installed() -> Result<PathBuf, Failure> {
    let tools = repository().join(".tools/keycloak");
    let entries = std::fs::read_dir(&tools).map_err(|_| "Keycloak is missing: `make parts-full` installs it")?;
    let found = entries.flatten().map(|entry| entry.path()).find(|path| path.join("bin/kc.sh").exists());
    found.ok_or_else(|| "Keycloak is missing: `make parts-full` installs it".into())
}
