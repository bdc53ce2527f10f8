//! Where the service listens: HTTPS with certificates that change on the disk, the suites that the list names, and a
//! socket that a supervisor opened.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conclave_tests::cluster::{READY_WITHIN, binary};
use conclave_tests::process::{Process, tail};
use conclave_tests::report::Scenario;
use conclave_tests::timing::until;
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, http, ports};
use rustls::{ClientConfig, RootCertStore, SupportedCipherSuite};

/// The name in the certificates.
const NAME: &str = "auth.example.test";

/// The one suite that the list names.
const LISTED: &str = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";

/// A changed file is looked for four times a second; a loaded machine may take longer.
const TAKEN_WITHIN: Duration = Duration::from_secs(20);

/// Changes of the certificate.
const CHANGES: usize = 10;

const ONLY_TLS12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

/// A certificate of its own, and who trusts nothing else.
struct Issued {
    chain: String,
    key: String,
    roots: RootCertStore,
}

impl Issued {
    fn new() -> Result<Self, Failure> {
        let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        Ok(Self { chain: made.cert.pem(), key: made.signing_key.serialize_pem(), roots })
    }

    /// As kubelet lays a secret's volume: a new directory, and a link that is swapped.
    fn mount(&self, volume: &Path, version: usize) -> Result<(), Failure> {
        let (directory, link) = (volume.join(format!("..v{version}")), volume.join("..data.new"));
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join("tls.crt"), &self.chain)?;
        std::fs::write(directory.join("tls.key"), &self.key)?;
        std::os::unix::fs::symlink(format!("..v{version}"), &link)?;
        Ok(std::fs::rename(link, volume.join("..data"))?)
    }

    /// A client that opens a connection for each request, over TLS 1.2 with these suites, or as it likes best.
    fn client(&self, server: SocketAddr, only: Option<&[SupportedCipherSuite]>) -> Result<reqwest::Client, Failure> {
        let mut crypto = rustls::crypto::ring::default_provider();
        let versions = if only.is_some() { ONLY_TLS12 } else { rustls::ALL_VERSIONS };
        if let Some(only) = only {
            crypto.cipher_suites = only.to_vec();
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(crypto))
            .with_protocol_versions(versions)?
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        let builder = reqwest::Client::builder().use_preconfigured_tls(tls).resolve(NAME, server);
        Ok(builder.pool_max_idle_per_host(0).no_proxy().timeout(http::HUNG).build()?)
    }
}

/// What every service needs; the provider is not asked for anything here.
fn flags(dir: &WorkDir, admin: SocketAddr) -> Vec<String> {
    let flags = [
        "--provider=oidc".to_owned(),
        "--oidc-issuer-url=http://127.0.0.1:1".to_owned(),
        "--client-id=listeners".to_owned(),
        "--client-secret=listeners".to_owned(),
        "--cookie-secret=0123456789abcdef0123456789abcdef".to_owned(),
        "--email-domain=*".to_owned(),
        "--drain-delay=0s".to_owned(),
        format!("--admin-address={admin}"),
        format!("--data-dir={}", dir.sub("data").display()),
    ];
    flags.to_vec()
}

async fn check(client: &reqwest::Client, address: SocketAddr) -> Result<u16, reqwest::Error> {
    let asked = client.get(format!("https://{NAME}:{}/oauth2/auth", address.port())).send().await?;
    Ok(asked.status().as_u16())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_follow_their_certificates() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("listeners.certificates", CHANGES, CHANGES, "changed certificates");
    let dir = WorkDir::fresh("listeners_certificates");
    let (https, admin, volume) = (ports::free_address(), ports::free_address(), dir.sub("volume"));
    let gateways = ports::free_address();
    let mut issued = Issued::new()?;
    issued.mount(&volume, 0)?;
    let mut args = flags(&dir, admin);
    args.push(format!("--https-address={https}"));
    args.push(format!("--auth-address={gateways}"));
    args.push(format!("--tls-cert-file={}", volume.join("..data/tls.crt").display()));
    args.push(format!("--tls-key-file={}", volume.join("..data/tls.key").display()));
    args.push(format!("--tls-cipher-suite={LISTED}"));
    let mut process = Process::start("conclave", &dir.join("conclave.log"), &binary(), &args)?;
    process.listening(https, READY_WITHIN).await?;
    for served in [https, gateways] {
        assert_eq!(check(&issued.client(served, None)?, served).await?, 401);
        only_the_listed_suite_is_served(&issued, served).await?;
    }
    for version in 1..=scenario.count() {
        let before = std::mem::replace(&mut issued, Issued::new()?);
        issued.mount(&volume, version)?;
        let client = issued.client(https, None)?;
        until("the new certificate is served", TAKEN_WITHIN, || async { check(&client, https).await.ok() }).await?;
        assert!(check(&before.client(https, None)?, https).await.is_err(), "the old one is served no more");
        assert_eq!(check(&issued.client(gateways, None)?, gateways).await?, 401, "the gateways' listener follows");
        assert!(check(&before.client(gateways, None)?, gateways).await.is_err(), "there as well");
    }
    // A key of another certificate: what was served goes on.
    let foreign = Issued { key: Issued::new()?.key, ..Issued::new()? };
    foreign.mount(&volume, scenario.count() + 1)?;
    let client = http::client();
    let counted = |result: &'static str, least: usize| {
        let (client, url) = (client.clone(), format!("http://{admin}/metrics"));
        async move {
            let text = client.get(url).send().await.ok()?.text().await.ok()?;
            let start = format!("conclave_tls_reloads_total{{option=\"tls_cert_file\",result=\"{result}\"}} ");
            let count: usize = text.lines().find_map(|line| line.strip_prefix(&start))?.parse().ok()?;
            (count >= least).then_some(count)
        }
    };
    until("the foreign key is counted", TAKEN_WITHIN, || counted("failed", 1)).await?;
    let taken = until("the changes are counted", TAKEN_WITHIN, || counted("ok", scenario.count())).await?;
    assert_eq!(taken, scenario.count(), "what was read at the start is no change");
    assert_eq!(check(&issued.client(https, None)?, https).await?, 401, "the last good certificate is served");
    let log = std::fs::read_to_string(process.log())?;
    assert!(log.contains("the file is not taken") && log.contains("tls_cert_file"), "{}", tail(process.log()));
    assert!(!log.contains("PRIVATE KEY"), "a key is in the log");
    scenario.held("foreign keys refused", 1);
    scenario.passed();
    Ok(())
}

async fn only_the_listed_suite_is_served(issued: &Issued, https: SocketAddr) -> Result<(), Failure> {
    use rustls::crypto::ring::cipher_suite as suites;
    let listed = [suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384];
    assert_eq!(check(&issued.client(https, Some(&listed))?, https).await?, 401);
    let others = [suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256];
    assert!(check(&issued.client(https, Some(&others))?, https).await.is_err(), "a suite that is not listed");
    Ok(())
}

/// Opens a socket as systemd does, hands it over as descriptor 3, and becomes the program.
const ACTIVATE: &str = "
import os, socket, sys
kind, where = sys.argv[1], sys.argv[2]
if kind == 'unix':
    opened = socket.socket(socket.AF_UNIX)
    opened.bind(where)
else:
    opened = socket.socket(socket.AF_INET)
    host, port = where.rsplit(':', 1)
    opened.bind((host, int(port)))
opened.listen(64)
os.dup2(opened.fileno(), 3)
if opened.fileno() == 3:
    os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')
os.execv(sys.argv[3], sys.argv[3:])
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_take_a_socket_that_is_handed_over() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("listeners.sockets", 2, 2, "sockets handed over");
    let dir = WorkDir::fresh("listeners_sockets");
    let mut answered = 0;
    let (address, socket) = (ports::free_address(), dir.join("public.sock"));
    for (kind, at) in [("inet", address.to_string()), ("unix", socket.display().to_string())] {
        let mut args = ["-c", ACTIVATE, kind, &at].map(str::to_owned).to_vec();
        args.push(binary().display().to_string());
        args.extend(flags(&dir, ports::free_address()));
        args.push("--http-address=fd:3".to_owned());
        let log = dir.join(&format!("{kind}.log"));
        let mut process = Process::start("conclave", &log, "python3".as_ref(), &args)?;
        until("it answers on the socket", READY_WITHIN, || async {
            let status = match kind {
                "unix" => ping_unix(&socket).await.ok()?,
                _ => http::client().get(format!("http://{address}/ping")).send().await.ok()?.status().as_u16(),
            };
            (status == 200).then_some(())
        })
        .await
        .map_err(|error| format!("{error}\n{}", tail(&log)))?;
        process.terminate(READY_WITHIN).await?;
        answered += 1;
    }
    scenario.held("sockets that answer", answered);
    scenario.passed();
    Ok(())
}

async fn ping_unix(socket: &Path) -> Result<u16, Failure> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::UnixStream::connect(socket).await?;
    stream.write_all(b"GET /ping HTTP/1.1\r\nHost: local\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split(' ').nth(1).ok_or("no status")?.parse()?)
}
