//! `conclave dev`: three replicas, a demo OpenID provider and a demo app on this machine, to look at.
//!
//! Everything listens on loopback only, has keys of its own that are drawn at each start, and ends
//! with this process. Serving knows nothing of it: the replicas are ordinary child processes.

mod adopt;
mod app;
mod args;
mod fleet;
mod guard;
mod html;
mod ports;
mod provider;
mod workdir;

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use conclave_proto::time::Entropy as _;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::SystemEntropy;
use args::{Command, Options};
use fleet::Fleet;
use ports::Ports;
use workdir::Workdir;

/// Why the demonstration cannot run, in words that say what to do.
#[derive(Debug, Error)]
pub enum DevError {
    /// The arguments cannot be read.
    #[error(transparent)]
    Arguments(#[from] args::InvalidArguments),
    /// A port is taken, or cannot be had.
    #[error(transparent)]
    Port(#[from] ports::PortTaken),
    /// No directory for the replicas' data.
    #[error("cannot make a directory for the replicas' data below {dir}: {why}")]
    Workdir {
        /// The directory for temporary files.
        dir: String,
        /// What the system says.
        why: std::io::Error,
    },
    /// This program cannot start itself.
    #[error("cannot start a replica: {0}")]
    Spawn(std::io::Error),
    /// Threads, signals or listeners failed.
    #[error("cannot run the demonstration: {0}")]
    System(#[from] std::io::Error),
    /// Keys or clients could not be made.
    #[error("cannot prepare the demo provider: {0}")]
    Provider(#[from] provider::ProviderError),
    /// The client that asks the replicas could not be made.
    #[error("cannot prepare the demo app: {0}")]
    Client(#[from] reqwest::Error),
}

/// Runs `conclave dev` with the arguments after the word `dev`, until Ctrl-C.
pub fn run(args: &[String]) -> Result<(), DevError> {
    match args::parse(args)? {
        Command::Help => {
            print(args::HELP);
            Ok(())
        }
        Command::Adopt { parent, flags } => Err(adopt::become_replica(parent, &flags)),
        Command::Run(options) => demonstrate(&options),
    }
}

/// Secrets of this run; no other run has them.
struct RunKeys {
    cookie_secret: String,
    client_secret: String,
    /// Proves that a button was drawn by this run's page.
    button_token: String,
}

impl RunKeys {
    fn draw() -> Self {
        Self { cookie_secret: random_token(), client_secret: random_token(), button_token: random_token() }
    }
}

/// 256 random bits in letters that fit headers, forms and variables.
fn random_token() -> String {
    use base64::Engine as _;
    let mut bytes = [0_u8; 32];
    SystemEntropy.fill(&mut bytes);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn demonstrate(options: &Options) -> Result<(), DevError> {
    // Another part of the process may have installed one already: any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ports = Ports::plan(options)?;
    let listeners = ports.claim()?;
    let keys = RunKeys::draw();
    let workdir = Workdir::make(&random_token()[..8])
        .map_err(|why| DevError::Workdir { dir: std::env::temp_dir().display().to_string(), why })?;
    let fleet = Fleet::launch(&ports, &keys, workdir.path()).map_err(DevError::Spawn)?;
    let outcome = actix_web::rt::System::new().block_on(serve(ports, listeners, &keys, &fleet));
    fleet.end();
    outcome
}

/// The two sockets that this process itself answers on.
struct Listeners {
    app: TcpListener,
    provider: TcpListener,
}

async fn serve(ports: Ports, listeners: Listeners, keys: &RunKeys, fleet: &Fleet) -> Result<(), DevError> {
    let provider = Arc::new(provider::Provider::new(&ports, &keys.client_secret)?);
    let demo = Arc::new(app::Demo::new(ports, &keys.button_token, fleet.handle())?);
    let provider_server = HttpServer::new(move || {
        let provider = Arc::clone(&provider);
        App::new()
            .wrap(from_fn(move |request, next| guard::own_pages_only(ports.provider, request, next)))
            .configure(|config| provider::configure(config, &provider))
    });
    let watched = Arc::clone(&demo);
    let app_server = HttpServer::new(move || {
        let demo = Arc::clone(&demo);
        App::new()
            .wrap(from_fn(move |request, next| guard::own_pages_only(ports.app, request, next)))
            .configure(|config| app::configure(config, &demo))
    });
    let provider_server = provider_server.workers(1).disable_signals().listen(listeners.provider)?.run();
    let app_server = app_server.workers(1).disable_signals().listen(listeners.app)?.run();
    actix_web::rt::spawn(provider_server);
    actix_web::rt::spawn(app_server);

    print(&where_to_click(&ports));
    let mut ended = signal(SignalKind::terminate())?;
    tokio::select! {
        () = announce_readiness(&watched, &ports) => {}
        _ = tokio::signal::ctrl_c() => return Ok(()),
        _ = ended.recv() => return Ok(()),
    }
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = ended.recv() => {}
    }
    print("\nStopping.\n");
    Ok(())
}

/// How often the start is looked at.
const READINESS_POLL: Duration = Duration::from_millis(250);

async fn announce_readiness(demo: &app::Demo, ports: &Ports) {
    while !demo.all_ready().await {
        tokio::time::sleep(READINESS_POLL).await;
    }
    print(&format!("  Ready. Open http://localhost:{} and log in as alice (password alice).\n\n", ports.app));
}

fn where_to_click(ports: &Ports) -> String {
    let replicas: String =
        ports.replicas.iter().map(|replica| format!("  http://localhost:{}", replica.http)).collect();
    format!(
        "\n  Conclave demonstration\n\n\
         \x20 Demo app   http://localhost:{app}          behind the login; start here\n\
         \x20 Cluster    http://localhost:{app}{cluster}  what the replicas do; stop and start them\n\
         \x20 Replicas {replicas}\n\
         \x20 Provider   http://localhost:{provider}          users alice and bob, password = name\n\n\
         \x20 Everything is on loopback, with keys of this run only. Ctrl-C stops it all.\n\
         \x20 Starting three replicas …\n",
        app = ports.app,
        cluster = app::CLUSTER_PAGE,
        provider = ports.provider,
    )
}

/// What the person at the terminal reads. A closed terminal is no reason to end.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// What went wrong beside the demonstration's own course.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Shared state for handlers.
fn shared<T: 'static>(state: &Arc<T>) -> web::Data<T> {
    web::Data::from(Arc::clone(state))
}
