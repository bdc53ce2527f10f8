//! The service's HTTP face: one file per endpoint, and what they all share.

use std::cell::Ref;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::Resource;
use actix_web::body::BoxBody;
use actix_web::dev::{Service as _, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::guard::{self, GuardContext};
use actix_web::http::header;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, Error};
use conclave_proto::forwarded::{Arrival, GatewayConfig};
use conclave_proto::htpasswd::LocalUsers;
use conclave_proto::keyring::Keyring;
use conclave_proto::policy::{AuthenticatedEmails, Policy, Voucher};
use conclave_proto::time::{Clock, Entropy};
use conclave_raft::{Readiness, ReplicatedStore, SessionReader};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::config::Config;
use crate::inject::{AnswerHeaders, LeftOut, Made};
use crate::local_users::LocalDoor;
use crate::metrics::{Metrics, Seen};
use crate::oidc::Provider;
use crate::opened::{Opened, OpenedSessions};
use crate::telemetry::Lines;

pub mod admin;
pub mod auth;
pub mod backend_logout;
pub mod callback;
pub mod chain;
pub mod check;
pub mod extract;
mod gateway_watch;
pub mod health;
mod latest;
mod local_sign_in;
pub mod lookup;
mod new_session;
mod observe;
pub mod pages;
pub mod peer;
pub mod problem;
pub mod proxied;
mod redeem;
pub mod request_id;
pub mod request_log;
pub mod respond;
pub mod secure;
pub mod sign_in;
pub mod sign_out;
pub mod site;
pub mod start;
#[cfg(test)]
mod tests;
pub mod userinfo;
pub mod whole_request;

use backend_logout::BackendLogout;
use chain::Bearer;
use gateway_watch::GatewayWatch;
use latest::Latest;
use problem::Problem;
use request_log::RequestLog;
use site::Site;

/// How long a login or sign-out waits for its commit: longer than an election at the wide-area
/// times, so that a change of leader is waited for.
pub const COMMIT_DEADLINE: Duration = Duration::from_secs(10);

/// The cluster as this process has it.
pub enum Cluster {
    /// The store is open.
    Open(ReplicatedStore),
    /// The store could not be opened: the process stays up, unready, and says why.
    Shut(String),
}

/// What all workers share.
pub struct Service {
    /// The whole configuration.
    pub config: Arc<Config>,
    /// The site served.
    pub site: Site,
    /// Who vouches for people.
    pub provider: Arc<dyn Provider>,
    /// Opened sessions.
    pub opened: OpenedSessions,
    /// Who is told of sign-outs, if anybody.
    pub backend_logout: Option<BackendLogout>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The wall clock, for login cookies and new tickets.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    cluster: Cluster,
    /// Whose tokens count; none if nobody's do.
    pub bearer: Option<Bearer>,
    /// Users of the operator's own.
    pub local: Option<LocalDoor>,
    policy: watch::Sender<Arc<Policy>>,
    runtime: Handle,
    /// Request lines; none where they are switched off.
    pub(crate) request_log: Option<RequestLog>,
    /// Where log lines go.
    pub lines: Lines,
    /// What checks have shown about the gateways.
    pub(crate) gateways: GatewayWatch,
    draining: AtomicBool,
    withheld_said: AtomicBool,
}

/// What [`Service::new`] is made of.
pub struct Parts {
    /// The whole configuration.
    pub config: Arc<Config>,
    /// The site served.
    pub site: Site,
    /// Who vouches for people.
    pub provider: Arc<dyn Provider>,
    /// Who is told of sign-outs, if anybody.
    pub backend_logout: Option<BackendLogout>,
    /// Whose tokens count.
    pub bearer: Option<Bearer>,
    /// The store.
    pub cluster: Cluster,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// Where work goes on that must not end with its request.
    pub runtime: Handle,
    /// Bytes of opened sessions to keep.
    pub opened_bytes: usize,
    /// Where log lines go.
    pub lines: Lines,
}

impl Service {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let policy = Arc::new(parts.site.config().policy.clone());
        let local = parts.site.config().local.clone().map(LocalDoor::new);
        // From the start on: an alert needs the zero.
        for claim in parts.site.headers().handed_out() {
            parts.metrics.values_left_out.with_label_values(&[claim.to_string()]);
        }
        Self {
            request_log: RequestLog::of(&parts.config, &parts.lines),
            gateways: GatewayWatch::new(Arc::clone(&parts.clock)),
            lines: parts.lines,
            config: parts.config,
            site: parts.site,
            provider: parts.provider,
            opened: OpenedSessions::new(parts.opened_bytes),
            backend_logout: parts.backend_logout,
            metrics: parts.metrics,
            clock: parts.clock,
            entropy: parts.entropy,
            cluster: parts.cluster,
            bearer: parts.bearer,
            local,
            policy: watch::Sender::new(policy),
            runtime: parts.runtime,
            draining: AtomicBool::new(false),
            withheld_said: AtomicBool::new(false),
        }
    }

    /// The store, if it is open.
    pub fn store(&self) -> Option<&ReplicatedStore> {
        match &self.cluster {
            Cluster::Open(store) => Some(store),
            Cluster::Shut(_) => None,
        }
    }

    /// Whether a path is one of the health checks.
    fn is_health_path(&self, path: &str) -> bool {
        self.config.health.paths().any(|health| health == path)
    }

    /// Whose headers say what the original request was.
    pub fn gateway(&self) -> &GatewayConfig {
        &self.config.gateway
    }

    /// Who may come in, as it is now; for cold paths.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.borrow())
    }

    /// Takes a new file of addresses into use, everywhere at once.
    pub fn replace_emails(&self, emails: AuthenticatedEmails) {
        self.policy.send_modify(|policy| {
            let emails = Some(Arc::new(emails));
            *policy = Arc::new(Policy { authenticated_emails: emails, ..Policy::clone(policy) });
        });
    }

    /// From now on not ready, so that no new requests are sent here.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
        if let Some(store) = self.store() {
            store.start_draining();
        }
    }

    /// Every reason against sending requests here; empty when ready.
    pub fn unready_reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.draining.load(Ordering::Relaxed) {
            reasons.push("draining: this replica is about to stop".to_owned());
        }
        match &self.cluster {
            Cluster::Shut(why) => reasons.push(why.clone()),
            Cluster::Open(store) => match store.readiness() {
                Readiness::Ready => {}
                Readiness::NotReady(found) => reasons.extend(found.iter().map(ToString::to_string)),
            },
        }
        reasons
    }

    /// Brings the gauges up to date.
    pub fn observe(&self) {
        if let Some(store) = self.store() {
            self.metrics.observe_store(&store.status());
        }
        let disk = rustix::fs::statvfs(self.config.cluster.data_dir.path());
        self.metrics.observe_process(&Seen {
            ready: self.unready_reasons().is_empty(),
            opened_bytes: self.opened.bytes(),
            provider: self.provider.id(),
            provider_ready: self.provider.ready(),
            closed_gateways: self.gateways.closed().len(),
            disk_free: disk.ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
        });
    }

    /// The problem to show while there is no keyring or no store.
    pub fn not_ready(&self) -> Problem {
        let reasons = self.unready_reasons();
        Problem::NotReady(if reasons.is_empty() { "it has just started".to_owned() } else { reasons.join("; ") })
    }

    /// Counts what headers lack that were just made. Names are the configuration's: as many as it names claims.
    pub fn made(&self, made: Made) -> AnswerHeaders {
        for LeftOut { claim, values } in &made.left_out {
            self.metrics.values_left_out.with_label_values(&[claim]).inc_by(*values);
            tracing::debug!(claim, values, "headers lack values of a claim: they cannot stand there as they are");
        }
        made.headers
    }

    /// Says once that an answer on the public port left secrets out, which a gateway that asks there misses.
    pub fn notice_withheld(&self) {
        if self.withheld_said.load(Ordering::Relaxed) || self.withheld_said.swap(true, Ordering::Relaxed) {
            return;
        }
        let names: Vec<&str> = self.site.headers().secret_answers().map(|rule| rule.name.as_str()).collect();
        tracing::warn!(
            headers = names.join(", "),
            "an answer on the public port left out the secrets of these headers: only auth_address tells them; \
             a gateway that needs them has to ask there"
        );
    }

    /// Where work goes on that must not end with its request, or would hold up a worker.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Runs work on the main runtime: it goes on when the client hangs up.
    pub async fn run<F>(&self, work: F) -> Result<F::Output, Problem>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.spawn(work).await.map_err(|_| Problem::Stopping)
    }

    /// The keys as they are now; for cold paths.
    pub fn keyring(&self) -> Option<Arc<Keyring>> {
        self.store().and_then(|store| store.keyring().borrow().clone())
    }
}

/// One worker thread's view of the service: what it reads on each check without a lock.
pub struct Worker {
    /// What all workers share.
    pub service: Arc<Service>,
    reader: Option<SessionReader>,
    keys: Latest<Option<Arc<Keyring>>>,
    policy: Latest<Arc<Policy>>,
    local_users: Option<Latest<Arc<LocalUsers>>>,
    arrival: Arrival,
}

impl Worker {
    /// The view of one worker thread of a listener.
    pub fn new(service: Arc<Service>, arrival: Arrival) -> Self {
        let reader = service.store().map(ReplicatedStore::reader);
        let keys = service.store().map_or_else(|| Latest::fixed(None), |store| Latest::of(store.keyring()));
        let policy = Latest::of(service.policy.subscribe());
        let local_users = service.local.as_ref().map(|local| Latest::of(local.watch()));
        Self { service, reader, keys, policy, local_users, arrival }
    }

    /// Reads sessions; none without a store.
    pub fn reader(&self) -> Option<&SessionReader> {
        self.reader.as_ref()
    }

    /// The keys. The guard must not live across an await.
    pub fn keyring(&self) -> Ref<'_, Option<Arc<Keyring>>> {
        self.keys.get()
    }

    /// Whose requests come in at this worker's listener.
    pub const fn arrival(&self) -> Arrival {
        self.arrival
    }

    /// Who may come in. The guard must not live across an await.
    pub fn policy(&self) -> Ref<'_, Arc<Policy>> {
        self.policy.get()
    }

    /// Whether the source of a session's identity at login still vouches for it: for a local user, the file as it is now.
    pub fn is_vouched_for(&self, opened: &Opened) -> bool {
        match &opened.voucher {
            Voucher::Provider => true,
            Voucher::LocalFile(line) => {
                self.local_users.as_ref().is_some_and(|users| users.get().vouch_for(&opened.identity.user, line))
            }
        }
    }
}

/// What a listener of the service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// HTTP in the clear.
    Plain,
    /// HTTP over TLS.
    Tls,
}

impl Listener {
    /// As it stands in a URL.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls => "https",
        }
    }
}

/// What a listener serves, and so to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// Every path, to browsers and gateways alike.
    All(Listener),
    /// The check alone, to gateways: browsers are not led there.
    Check,
}

impl Serves {
    /// Whose requests come in there.
    pub const fn arrival(self) -> Arrival {
        match self {
            Self::All(_) => Arrival::Shared,
            Self::Check => Arrival::GatewaysOnly,
        }
    }
}

/// The service's own application: every request is counted, and logged where that is wanted. Called
/// once per worker thread of each listener.
pub fn app(
    service: &Arc<Service>,
    serves: Serves,
) -> App<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<BoxBody>, Error = Error, InitError = ()>
    + use<>,
> {
    let observing = Arc::clone(service);
    App::new()
        .wrap_fn(move |mut request, inner| {
            if observing.config.http.allow_query_semicolons {
                extract::part_at_semicolons(request.head_mut());
            }
            let seen = observe::begin(&request, &observing);
            let rest = whole_request::limit(&mut request);
            let answer = inner.call(request);
            let service = Arc::clone(&observing);
            async move {
                let response = answer.await?;
                observe::answered(seen, &response, &service);
                Ok(whole_request::answered(rest, response))
            }
        })
        .configure(|config| configure(config, service, serves))
}

/// An application for operators: its paths, and the deadline that every request has.
pub fn operators_app(
    lay: impl FnOnce(&mut ServiceConfig),
) -> App<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<BoxBody>, Error = Error, InitError = ()>,
> {
    App::new()
        .wrap_fn(|mut request, inner| {
            let rest = whole_request::limit(&mut request);
            let answer = inner.call(request);
            async move {
                let response = answer.await?;
                Ok(whole_request::answered(rest, response))
            }
        })
        .configure(lay)
}

/// Lays the check first, before `force_https`: it is answered whatever it came by, or every site would break.
fn configure(config: &mut ServiceConfig, service: &Arc<Service>, serves: Serves) {
    let arrival = serves.arrival();
    config
        .app_data(web::Data::new(Worker::new(Arc::clone(service), arrival)))
        .app_data(arrival)
        .service(under(service, "auth").to(auth::auth));
    match serves {
        Serves::All(listener) => lay_pages(config, service, listener),
        Serves::Check => drop(config.default_service(web::to(auth::nothing_else))),
    }
}

/// A path below the prefix.
fn under(service: &Service, name: &str) -> Resource {
    at(&format!("{}/{name}", service.site.prefix()))
}

/// Lays the service's other paths.
fn lay_pages(config: &mut ServiceConfig, service: &Arc<Service>, listener: Listener) {
    let under = |name: &str| under(service, name);
    if service.config.http.force_https {
        let service = Arc::clone(service);
        let in_the_clear =
            guard::fn_guard(move |context| secure::came_in_the_clear(context.head(), listener, &service));
        config.service(web::resource("{any:.*}").guard(in_the_clear).to(secure::to_https));
    }
    lay_health(config, service);
    config
        .service(at("/robots.txt").to(health::robots))
        .service(under("start").to(start::start))
        .service(under("callback").to(callback::callback))
        .service(under("sign_in").to(sign_in::sign_in))
        .service(under("sign_out").to(sign_out::sign_out))
        .service(under("userinfo").to(userinfo::userinfo))
        .default_service(web::to(proxied::proxied));
}

/// Paths that begin without a slash are switched off; none with a brace ever comes over the wire.
fn lay_health(config: &mut ServiceConfig, service: &Arc<Service>) {
    let health = &service.config.health;
    let served = |path: &&str| path.starts_with('/') && !path.contains(['{', '}']);
    for path in health.live_paths().filter(served) {
        let service = Arc::clone(service);
        let asked = move |context: &GuardContext<'_>| {
            let agent = context.head().headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
            service.config.health.answers(agent)
        };
        config.service(at(path).guard(guard::fn_guard(asked)).to(health::ping));
    }
    if served(&health.ready_path.as_str()) {
        config.service(at(&health.ready_path).to(health::ready));
    }
}

/// Exactly this path, as it is on the wire: a router that decodes would let `/oauth2/%61uth` be
/// `/oauth2/auth`, which no gateway's rules about paths expect.
fn at(path: &str) -> Resource {
    let literal = path.to_owned();
    web::resource(path).guard(guard::fn_guard(move |context| context.head().uri.path() == literal))
}
