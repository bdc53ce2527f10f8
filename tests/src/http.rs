//! The HTTP client of robots and checks, and what came back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use crate::Failure;

/// Longer than any deadline of the service: a request that takes this long counts as hung.
pub const HUNG: Duration = Duration::from_secs(40);

/// A client for plain HTTP that follows no redirect and keeps connections alive.
pub fn client() -> reqwest::Client {
    builder().build().expect("a plain client needs nothing")
}

/// A client that opens a new connection for each request, as plain `auth_request` does.
pub fn client_without_keep_alive() -> reqwest::Client {
    builder().pool_max_idle_per_host(0).build().expect("a plain client needs nothing")
}

/// A client as a browser on the outside: it trusts one more certificate, finds these hosts at that address, and opens
/// a new connection for each request.
pub fn client_trusting(
    root: CertificateDer<'static>,
    hosts: &[&str],
    at: SocketAddr,
) -> Result<reqwest::Client, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(root)?;
    let found =
        hosts.iter().fold(builder_with(roots).pool_max_idle_per_host(0), |client, host| client.resolve(host, at));
    Ok(found.build()?)
}

fn builder() -> reqwest::ClientBuilder {
    builder_with(RootCertStore::empty())
}

fn builder_with(roots: RootCertStore) -> reqwest::ClientBuilder {
    // Without a TLS configuration of its own this build of the client panics, for http as well.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .use_preconfigured_tls(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(HUNG)
}

/// One answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked, as the browser sees it.
    pub url: Url,
    /// Status code.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body as text; bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl Answer {
    /// Reads a response to its end.
    pub async fn read(url: Url, response: reqwest::Response) -> Result<Self, Failure> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = String::from_utf8_lossy(&response.bytes().await?).into_owned();
        Ok(Self { url, status, headers, body })
    }

    /// First value of a header; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The `Location`, resolved against the asked URL.
    pub fn location(&self) -> Option<Url> {
        let value = self.headers.get("location")?.to_str().ok()?;
        self.url.join(value).ok()
    }

    /// Whether any `Set-Cookie` names this cookie.
    pub fn touches_cookie(&self, name: &str) -> bool {
        let prefix = format!("{name}=");
        self.headers.get_all("set-cookie").iter().any(|value| value.as_bytes().starts_with(prefix.as_bytes()))
    }
}
