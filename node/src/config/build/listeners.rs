//! Listeners.

use actix_web::http::header::HeaderName;
use conclave_proto::admin_host::AdminHosts;

use super::{Findings, Settings};
use crate::config::ciphers::cipher_suite_names;
use crate::config::structured::{PemPair, Structured};
use crate::config::{GatewaysConfig, HttpConfig, ListenAddress, PemSource, TlsConfig};

/// The service listener.
pub(super) fn http(settings: &Settings, findings: &mut Findings) -> Option<HttpConfig> {
    let tls = tls(settings, findings);
    let mut address = optional("http_address", settings, findings);
    if wants_tls(settings) && settings.structured().is_none() {
        // Beside tls_cert_file the plain address does not count, as in oauth2-proxy.
        address = address.map(|_| None);
    }
    if tls.is_none() && address == Some(None) && !wants_tls(settings) {
        findings.problem("http_address", "no listener at all: give an address, such as 127.0.0.1:4180");
    }
    if settings.flag("force_https") && !wants_tls(settings) {
        findings.problem("force_https", "needs tls_cert_file and tls_key_file; behind a gateway let that redirect");
    }
    let gateways = gateways(settings, findings);
    Some(HttpConfig {
        address: address?,
        gateways: gateways?,
        tls,
        force_https: settings.flag("force_https"),
        request_id_header: request_id_header(settings, findings)?,
        allow_query_semicolons: settings.flag("allow_query_semicolons"),
    })
}

/// The listener for gateways alone: with TLS where the service has it, unless the address says `http://`. The outer
/// option is empty after a problem.
#[expect(clippy::option_option, reason = "off and wrong are two things")]
fn gateways(settings: &Settings, findings: &mut Findings) -> Option<Option<GatewaysConfig>> {
    let Some(address) = optional("auth_address", settings, findings)? else { return Some(None) };
    let raw = settings.text("auth_address");
    let on_a_socket = matches!(address, ListenAddress::Unix { .. });
    if raw.starts_with("https://") && !wants_tls(settings) {
        findings.problem("auth_address", "says https, and the service has no certificate: give tls_cert_file");
        return None;
    }
    let tls = wants_tls(settings) && !on_a_socket && !raw.starts_with("http://");
    Some(Some(GatewaysConfig { address, tls }))
}

#[expect(clippy::option_option, reason = "none and wrong are two things")]
fn request_id_header(settings: &Settings, findings: &mut Findings) -> Option<Option<HeaderName>> {
    match settings.text("request_id_header") {
        "" => Some(None),
        name => {
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "is no name of a header");
            findings.take("request_id_header", header).map(Some)
        }
    }
}

/// An address that `-` or nothing turns off. The outer option is empty after a problem.
#[expect(clippy::option_option, reason = "off and wrong are two things")]
pub(super) fn optional(
    name: &'static str,
    settings: &Settings,
    findings: &mut Findings,
) -> Option<Option<ListenAddress>> {
    match settings.text(name) {
        "" | "-" => Some(None),
        raw => findings.take(name, ListenAddress::parse(raw)).map(Some),
    }
}

/// The names under which operators reach the listener at `own`.
pub(super) fn admin_hosts(
    own: Option<&ListenAddress>,
    settings: &Settings,
    findings: &mut Findings,
) -> Option<AdminHosts> {
    let own = own.and_then(|address| match address {
        ListenAddress::Tcp { host, .. } => Some(host.as_str()).filter(|host| !host.is_empty()),
        ListenAddress::Unix { .. } | ListenAddress::Fd(_) => None,
    });
    let hosts = AdminHosts::new(own, &settings.items("admin_hosts"));
    findings.take("admin_hosts", hosts.map_err(|(raw, error)| format!("{raw:?} {error}")))
}

fn wants_tls(settings: &Settings) -> bool {
    match settings.structured() {
        Some(_) => settings.is_given("https_address"),
        None => settings.some_text("tls_cert_file").is_some() || settings.some_text("tls_key_file").is_some(),
    }
}

/// The listener of metrics over HTTPS.
pub(super) fn metrics_tls(settings: &Settings, findings: &mut Findings) -> Option<TlsConfig> {
    let address = optional("metrics_secure_address", settings, findings).flatten()?;
    let given = settings.structured().map(|structured| &structured.metrics_certificate);
    let (certificate, key) = pair("metrics_tls_cert_file", "metrics_tls_key_file", given, settings, findings);
    refuse_unix("metrics_secure_address", &address, findings);
    Some(TlsConfig { address, certificate: certificate?, key: key?, only_tls13: false, cipher_suites: Vec::new() })
}

fn tls(settings: &Settings, findings: &mut Findings) -> Option<TlsConfig> {
    check_tls_words(settings, findings);
    if !wants_tls(settings) {
        return None;
    }
    let address = findings.take("https_address", ListenAddress::parse(settings.text("https_address")));
    address.iter().for_each(|address| refuse_unix("https_address", address, findings));
    let given = settings.structured().map(|structured: &Structured| &structured.certificate);
    let (certificate, key) = pair("tls_cert_file", "tls_key_file", given, settings, findings);
    Some(TlsConfig {
        address: address?,
        certificate: certificate?,
        key: key?,
        only_tls13: settings.text("tls_min_version") == "TLS1.3",
        cipher_suites: settings.items("tls_cipher_suites"),
    })
}

/// A process on the same machine gains nothing by TLS, and the option must not seem to give it.
fn refuse_unix(name: &'static str, address: &ListenAddress, findings: &mut Findings) {
    if matches!(address, ListenAddress::Unix { .. }) {
        findings.problem(name, "TLS is served on TCP only: give HOST:PORT, or the socket as a plain address");
    }
}

/// Certificate chain and key, from files or as given in the structured file.
fn pair(
    certificate: &'static str,
    key: &'static str,
    given: Option<&PemPair>,
    settings: &Settings,
    findings: &mut Findings,
) -> (Option<PemSource>, Option<PemSource>) {
    let mut source = |name: &'static str, other: &str, given: Option<&crate::config::Secret<String>>| match given {
        Some(text) => Some(PemSource::Given(text.clone())),
        None => file_of(name, other, settings, findings).map(PemSource::File),
    };
    (
        source(certificate, key, given.and_then(|pair| pair.certificate.as_ref())),
        source(key, certificate, given.and_then(|pair| pair.key.as_ref())),
    )
}

fn file_of(
    name: &'static str,
    other: &str,
    settings: &Settings,
    findings: &mut Findings,
) -> Option<std::path::PathBuf> {
    let Some(path) = settings.some_path(name) else {
        findings.problem(name, format!("is missing, while `{other}` is given"));
        return None;
    };
    super::readable(name, &path, findings).then_some(path)
}

fn check_tls_words(settings: &Settings, findings: &mut Findings) {
    if !wants_tls(settings) {
        return;
    }
    if !matches!(settings.text("tls_min_version"), "" | "TLS1.2" | "TLS1.3") {
        findings.problem("tls_min_version", "must be TLS1.2 or TLS1.3");
    }
    let served: Vec<String> = cipher_suite_names().collect();
    for suite in settings.items("tls_cipher_suites").iter().filter(|suite| !served.contains(suite)) {
        let text = format!("{suite:?} is no suite that can be served: give some of {}", served.join(", "));
        findings.problem("tls_cipher_suites", text);
    }
}
