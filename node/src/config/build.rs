//! From settings to the typed configuration: every check, every problem at once.

mod cluster;
mod cookies;
mod credentials;
mod gateway;
mod headers;
mod listeners;
mod logging;
mod pages;
mod provider;
mod sign_in;
mod site;
mod standing;
mod upstreams;

use conclave_proto::time::Ttl;

use super::problem::Findings;
use super::settings::Settings;
use super::{Config, HealthConfig};

const NANOS_PER_MILLI: i64 = 1_000_000;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Longest wait before a stop that an orchestrator still grants with sense.
const MAX_DRAIN_DELAY: Ttl = Ttl::from_secs(600);

/// Checks everything. Nothing comes back where a part could not be made; all problems are in `findings`.
pub fn config(settings: &Settings, findings: &mut Findings) -> Option<Config> {
    standing::check(settings, findings);
    standing::deployment_notices(settings, findings);
    headers::check_clashes(settings, findings);
    cookies::check_minimal_session(settings, findings);
    cookies::check_store(settings, findings);
    pages::check(settings, findings);
    let http = listeners::http(settings, findings);
    let admin_address = listeners::optional("admin_address", settings, findings);
    let admin_hosts = admin_address.as_ref().and_then(|own| listeners::admin_hosts(own.as_ref(), settings, findings));
    let metrics_address = listeners::optional("metrics_address", settings, findings);
    let metrics_tls = listeners::metrics_tls(settings, findings);
    let cluster = cluster::cluster(settings, findings);
    let gateway = gateway::gateway(settings, findings);
    let logging = logging::logging(settings, findings);
    let drain_delay = span("drain_delay", Ttl::ZERO, MAX_DRAIN_DELAY, settings, findings);
    let provider = provider::provider(settings, findings);
    let bearer = credentials::bearer(settings, provider.as_ref(), findings);
    let site = site::site(settings, bearer, findings);
    if let (Some(http), Some(site)) = (&http, &site) {
        headers::name_withheld(&site.headers, http.gateways.is_some(), findings);
    }
    Some(Config {
        http: http?,
        cluster: cluster?,
        admin_address: admin_address?,
        admin_hosts: admin_hosts?,
        metrics_address: metrics_address?,
        metrics_tls,
        gateway: gateway?,
        health: health(settings),
        logging: logging?,
        drain_delay: drain_delay?,
        sites: vec![site?],
        providers: vec![provider?],
        notices: Vec::new(),
    })
}

fn health(settings: &Settings) -> HealthConfig {
    HealthConfig {
        ping_path: settings.text("ping_path").to_owned(),
        ping_user_agent: settings.text("ping_user_agent").to_owned(),
        ready_path: settings.text("ready_path").to_owned(),
        gcp_healthchecks: settings.flag("gcp_healthchecks"),
    }
}

/// A span of time within bounds.
fn span(name: &'static str, shortest: Ttl, longest: Ttl, settings: &Settings, findings: &mut Findings) -> Option<Ttl> {
    let nanos = settings.nanos(name);
    if nanos > 0 && nanos < NANOS_PER_MILLI {
        findings.problem(name, "is less than a millisecond: a bare number in the file means nanoseconds, write \"1h\"");
        return None;
    }
    let millis = u64::try_from(nanos / NANOS_PER_MILLI).ok().map(Ttl::from_millis);
    let fits = millis.filter(|span| *span >= shortest && *span <= longest);
    if fits.is_none() {
        findings.problem(name, format!("must lie between {} and {}", shown(shortest), shown(longest)));
    }
    fits
}

/// A span as people write it.
fn shown(span: Ttl) -> String {
    let millis = span.as_millis();
    match millis {
        0 => "0".to_owned(),
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    }
}

/// Whether a file can be opened; otherwise a problem says why not.
fn readable(name: &str, path: &std::path::Path, findings: &mut Findings) -> bool {
    let opened = std::fs::File::open(path).and_then(|file| file.metadata());
    match opened {
        Ok(meta) if meta.is_file() => true,
        Ok(_) => {
            findings.problem(name, format!("{} is no file", path.display()));
            false
        }
        Err(error) => {
            findings.problem(name, format!("cannot read {}: {error}", path.display()));
            false
        }
    }
}
