//! The example "whoami for one group" on a small Kubernetes: its values and objects as they lie in `deploy/examples`, with
//! a provider, TLS in front, and people at browsers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use url::Url;

use crate::browser::Robot;
use crate::check::SESSION_COOKIE;
use crate::cluster::binary;
use crate::gateway::Seen;
use crate::helm::{self, Checked};
use crate::kube::container::Program;
use crate::kube::ingress::{Ingress, Outside, Tls};
use crate::kube::network::Network;
use crate::kube::set::Set;
use crate::login::Login;
use crate::provider::{Provider, Registration};
use crate::workdir::WorkDir;
use crate::{Failure, http, ports, repository, timing};

/// The hosts of the example's files.
const AUTH: &str = "auth.example.com";
const APP: &str = "whoami.example.com";
const PROVIDER: &str = "id.example.com";

/// A page of the app, with a query to bring back.
const PAGE: &str = "https://whoami.example.com/deep/page?x=1&y=%20z";

/// Where an image keeps the authorities that its program trusts.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where an overlay mounts an authority that the program is told of.
const CA_FILE: &str = "/etc/provider-ca/ca.pem";

/// Everything that runs. Fields are dropped in this order: nginx first, the network last.
#[derive(Debug)]
pub struct Stage {
    /// nginx.
    pub ingress: Ingress,
    /// The pods.
    pub set: Set,
    /// The provider.
    pub provider: Provider,
    certificate: CertificateDer<'static>,
    overlay: Overlay,
    /// The node's network.
    pub network: Arc<Network>,
}

/// What differs from the example's values: what a user would fill in, and what makes a run shorter.
#[derive(Clone, Debug)]
struct Overlay {
    dir: WorkDir,
    values: Value,
}

impl Overlay {
    /// The provider's certificate is told of by a flag; where the image's own bundle counts, it takes that one's place.
    fn new(dir: &WorkDir, certificate: &str, registered: &Registration, cluster: &Value, program: &Program) -> Self {
        let (at, flags) = match program {
            Program::Binary(_) => (CA_FILE, json!({"provider-ca-file": CA_FILE})),
            Program::Image(_) => (BUNDLE, json!({})),
        };
        let values = json!({
            "cluster": cluster,
            "config": {
                "clientID": registered.client_id, "clientSecret": registered.client_secret,
                "cookieSecret": "9f8e7d6c5b4a3928-1706f5e4d3c2b1a",
            },
            "extraArgs": flags,
            "extraVolumes": [{"name": "provider-ca", "configMap": {"name": "provider-ca"}}],
            "extraVolumeMounts": [{"name": "provider-ca", "mountPath": at, "subPath": "ca.pem", "readOnly": true}],
            "extraObjects": [{
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "provider-ca", "namespace": helm::NAMESPACE}, "data": {"ca.pem": certificate},
            }],
            "networkPolicy": {"create": true},
        });
        Self { dir: dir.clone(), values }
    }

    /// The chart's render for the example's values, these, and `more` over both.
    fn render(&self, more: &[&str]) -> Result<Checked, Failure> {
        let (own, file) = (self.dir.join("overlay.json"), self.dir.join("render.yaml"));
        std::fs::write(&own, self.values.to_string())?;
        std::fs::write(&file, helm::template(&[&example("values.yaml"), &own], more)?)?;
        let checked = helm::check(&file)?;
        assert!(checked.problems.is_empty(), "{:#?}", checked.problems);
        Ok(checked)
    }
}

impl Stage {
    /// Installs the example; `cluster` are values under `cluster`.
    pub async fn install(dir: &WorkDir, cluster: &Value) -> Result<Self, Failure> {
        Self::install_of(&Program::Binary(binary()), dir, cluster).await
    }

    /// As [`Stage::install`], with a program of one's own.
    pub async fn install_of(program: &Program, dir: &WorkDir, cluster: &Value) -> Result<Self, Failure> {
        let network = Arc::new(Network::create()?);
        let front = network.attach()?;
        let issued = rcgen::generate_simple_self_signed([AUTH, APP, PROVIDER].map(str::to_owned))?;
        let tls = Tls { certificate: dir.join("tls.pem"), key: dir.join("tls.key") };
        std::fs::write(&tls.certificate, issued.cert.pem())?;
        std::fs::write(&tls.key, issued.signing_key.serialize_pem())?;
        let server = SocketAddr::from((network.node(), ports::free()));
        let provider = start_provider(dir, server).await?;
        let overlay = Overlay::new(dir, &issued.cert.pem(), &provider.registration(), cluster, program);
        // nginx first: the pods ask the provider through it. Its endpoints come as they get ready.
        let apps = helm::check(&example("whoami.yaml"))?;
        let names = vec![(PROVIDER.to_owned(), front.address)];
        let mut set = Set::apply(dir, &network, overlay.render(&[])?, names, program)?;
        let outside = vec![Outside { host: PROVIDER.to_owned(), server }];
        let objects = (set.checked(), &apps);
        let ingress = Ingress::start(&dir.join("nginx"), front, objects, (tls, outside), set.endpoints()).await?;
        set.fill().await?;
        ingress.settled(&set.endpoints()).await?;
        Ok(Self { ingress, set, provider, certificate: issued.cert.der().clone(), overlay, network })
    }

    /// Starts the provider anew after it was killed; it has forgotten who is logged in with it.
    pub async fn restart_provider(&mut self, dir: &WorkDir) -> Result<(), Failure> {
        self.provider = start_provider(dir, self.provider.address()).await?;
        Ok(())
    }

    /// The render of a `helm upgrade` with further values.
    pub fn render(&self, more: &[&str]) -> Result<Checked, Failure> {
        self.overlay.render(more)
    }

    /// A browser outside, for whom all hosts are nginx.
    pub fn browser(&self, user: &str) -> Result<Robot, Failure> {
        let at = SocketAddr::from((self.ingress.namespace.address, 443));
        Ok(Robot::with_client(user, http::client_trusting(self.certificate.clone(), &[AUTH, APP, PROVIDER], at)?))
    }

    /// Goes to the app as a stranger and comes back to the page logged in, as that person.
    pub async fn log_in(&self, robot: &mut Robot) -> Result<Login, Failure> {
        let begun = timing::now();
        let landed = robot.open(&page()).await?;
        let acknowledged_at = timing::now();
        assert_eq!(landed.url, page(), "not back at the page, but: {} {}", landed.status, landed.body);
        let seen = Seen::of(&landed).ok_or_else(|| format!("not the app: {} {}", landed.status, landed.body))?;
        assert_eq!(seen.user, robot.user, "the app sees somebody else");
        let ticket = robot.jar.value(SESSION_COOKIE).ok_or("no session cookie")?.to_owned();
        let callback_took = acknowledged_at.duration_since(begun);
        Ok(Login { user: robot.user.clone(), ticket, acknowledged_at, callback_took })
    }
}

async fn start_provider(dir: &WorkDir, at: SocketAddr) -> Result<Provider, Failure> {
    Provider::start_behind(dir, &format!("https://{AUTH}/oauth2/callback"), at, &format!("https://{PROVIDER}")).await
}

/// A page of the app.
pub fn page() -> Url {
    Url::parse(PAGE).expect("a valid URL")
}

fn example(name: &str) -> PathBuf {
    repository().join("deploy/examples/oidc-groups-whoami").join(name)
}
