//! An example on a small Kubernetes: its files as they lie in `deploy/examples`, with a provider, TLS in front, and people
//! at browsers.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use serde_json::Value;
use url::Url;

use crate::browser::Robot;
use crate::check::SESSION_COOKIE;
use crate::cluster::binary;
use crate::gateway::Seen;
use crate::helm::Checked;
use crate::kube::container::{Mount, Program};
use crate::kube::example::{AUTH, Example};
use crate::kube::ingress::{Ingress, Outside, Tls};
use crate::kube::network::Network;
use crate::kube::set::{Set, Surroundings};
use crate::login::Login;
use crate::provider::Provider;
use crate::workdir::WorkDir;
use crate::{Failure, http, ports, timing};

/// Where an image keeps the authorities that its program trusts; here the one that vouches for all hosts.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Everything that runs. Fields are dropped in this order: nginx first, the network last.
#[derive(Debug)]
pub struct Stage {
    /// nginx.
    pub ingress: Ingress,
    /// The pods.
    pub set: Set,
    /// The provider.
    pub provider: Provider,
    /// What is played.
    pub example: Example,
    certificate: CertificateDer<'static>,
    dir: WorkDir,
    cluster: Value,
    /// Flags of helm's for every render.
    more: Vec<String>,
    /// The node's network.
    pub network: Arc<Network>,
}

impl Stage {
    /// Installs an example; `cluster` are values under `cluster`.
    pub async fn install(example: Example, dir: &WorkDir, cluster: &Value) -> Result<Self, Failure> {
        Self::install_with(example, dir, cluster, &[]).await
    }

    /// As [`Stage::install`], with further flags of helm's, which later renders have as well.
    pub async fn install_with(
        example: Example,
        dir: &WorkDir,
        cluster: &Value,
        more: &[&str],
    ) -> Result<Self, Failure> {
        Self::install_whole(&Program::Binary(binary()), example, dir, cluster, more).await
    }

    /// As [`Stage::install`], with a program of one's own.
    pub async fn install_of(
        program: &Program,
        example: Example,
        dir: &WorkDir,
        cluster: &Value,
    ) -> Result<Self, Failure> {
        Self::install_whole(program, example, dir, cluster, &[]).await
    }

    async fn install_whole(
        program: &Program,
        example: Example,
        dir: &WorkDir,
        cluster: &Value,
        more: &[&str],
    ) -> Result<Self, Failure> {
        let network = Arc::new(Network::create()?);
        let front = network.attach()?;
        let issued = rcgen::generate_simple_self_signed([AUTH, example.app, example.provider].map(str::to_owned))?;
        let tls = Tls { certificate: dir.join("tls.pem"), key: dir.join("tls.key") };
        std::fs::write(&tls.certificate, issued.cert.pem())?;
        std::fs::write(&tls.key, issued.signing_key.serialize_pem())?;
        let server = SocketAddr::from((network.node(), ports::free()));
        let provider = start_provider(example, dir, server).await?;
        let surroundings = Surroundings {
            names: vec![(example.provider.to_owned(), front.address)],
            mounts: vec![Mount::read_only(&tls.certificate, BUNDLE)],
            program: program.clone(),
            gateway: front.address,
        };
        let mut set = Set::apply(dir, &network, example.render(dir, cluster, more)?, surroundings)?;
        // nginx before the pods, which ask the provider through it. Its endpoints come as they get ready.
        let outside = vec![Outside { host: example.provider.to_owned(), server }];
        let (apps, nginx) = (example.apps()?, dir.join("nginx"));
        let ingress = Ingress::start(&nginx, front, (set.checked(), &apps), (tls, outside), set.endpoints()).await?;
        set.fill().await?;
        ingress.settled(&set.endpoints()).await?;
        let certificate = issued.cert.der().clone();
        let (dir, cluster) = (dir.clone(), cluster.clone());
        let more = more.iter().map(|&flag| flag.to_owned()).collect();
        Ok(Self { ingress, set, provider, example, certificate, dir, cluster, more, network })
    }

    /// Starts the provider anew after it was killed; it has forgotten who is logged in with it.
    pub async fn restart_provider(&mut self) -> Result<(), Failure> {
        self.provider = start_provider(self.example, &self.dir, self.provider.address()).await?;
        Ok(())
    }

    /// The render of a `helm upgrade` with further values.
    pub fn render(&self, more: &[&str]) -> Result<Checked, Failure> {
        let more: Vec<&str> = self.more.iter().map(String::as_str).chain(more.iter().copied()).collect();
        self.example.render(&self.dir, &self.cluster, &more)
    }

    /// A browser outside, for whom all hosts are nginx.
    pub fn browser(&self, user: &str) -> Result<Robot, Failure> {
        let at = SocketAddr::from((self.ingress.namespace.address, 443));
        let hosts = [AUTH, self.example.app, self.example.provider];
        Ok(Robot::with_client(user, http::client_trusting(self.certificate.clone(), &hosts, at)?))
    }

    /// Goes to the app as a stranger and comes back to the page logged in, as that person.
    pub async fn log_in(&self, robot: &mut Robot) -> Result<Login, Failure> {
        let (begun, page) = (timing::now(), self.example.page());
        let landed = robot.open(&page).await?;
        let acknowledged_at = timing::now();
        assert_eq!(landed.url, page, "not back at the page, but: {} {}", landed.status, landed.body);
        let seen = Seen::of(&landed).ok_or_else(|| format!("not the app: {} {}", landed.status, landed.body))?;
        assert_eq!(seen.user, robot.user, "the app sees somebody else");
        let ticket = robot.jar.value(SESSION_COOKIE).ok_or("no session cookie")?.to_owned();
        let callback_took = acknowledged_at.duration_since(begun);
        Ok(Login { user: robot.user.clone(), ticket, acknowledged_at, callback_took })
    }
}

/// A page under the host of all logins.
pub fn auth_page(path: &str) -> Url {
    Url::parse(&format!("https://{AUTH}{path}")).expect("a valid path")
}

async fn start_provider(example: Example, dir: &WorkDir, at: SocketAddr) -> Result<Provider, Failure> {
    let callback = auth_page("/oauth2/callback");
    Provider::start_as(dir, callback.as_str(), at, example.registration(), "example.com").await
}
