//! The site that this process serves: its part of the configuration, made ready for use.

use std::sync::Arc;

use actix_web::http::StatusCode;
use conclave_proto::cookie::{CookieAttributes, SetCookie, cookies_named, domain_for_host};
use conclave_proto::fetch_metadata::Cause;
use conclave_proto::forwarded::GatewayConfig;
use conclave_proto::id::{ProviderId, SiteId};
use conclave_proto::keyring::CookieSecret;
use conclave_proto::login::LoginCookieLimits;
use conclave_proto::oauth2_proxy::{pieces_of, signed_pieces};
use conclave_proto::redirect::{AllowedHosts, ReturnTo, Targets};
use conclave_proto::time::Ttl;
use thiserror::Error;

use super::extract::Visit;
use crate::config::{Config, HeaderConfig, ProviderConfig, SiteConfig};
use crate::inject::{InjectedHeaders, headers_of_nobody};

/// The configuration names a site that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidSite {
    /// No site at all.
    #[error("no site is configured")]
    None,
    /// Its provider is not in the list.
    #[error("site {site} names the provider {provider}, which is not configured")]
    Provider {
        /// The site.
        site: SiteId,
        /// What it names.
        provider: ProviderId,
    },
}

/// One site and the provider that its logins go to.
#[derive(Clone, Debug)]
pub struct Site {
    config: Arc<SiteConfig>,
    provider: Arc<ProviderConfig>,
    ok_status: StatusCode,
    nobody: InjectedHeaders,
    secrets: Arc<[CookieSecret]>,
}

impl Site {
    /// The one site that can be set today.
    pub fn of(config: &Config) -> Result<Self, InvalidSite> {
        let site = config.sites.first().ok_or(InvalidSite::None)?;
        let provider = config.providers.iter().find(|provider| provider.id == site.provider);
        let provider =
            provider.ok_or_else(|| InvalidSite::Provider { site: site.id.clone(), provider: site.provider.clone() })?;
        // The rules were tried when the configuration was read: without a session nothing else can be wrong with them.
        let nobody = headers_of_nobody(&site.headers).unwrap_or_default();
        Ok(Self {
            nobody,
            secrets: config.cluster.secrets.clone().into(),
            config: Arc::new(site.clone()),
            provider: Arc::new(provider.clone()),
            ok_status: if site.auth_ok_status == 200 { StatusCode::OK } else { StatusCode::ACCEPTED },
        })
    }

    /// Its name.
    pub fn id(&self) -> &SiteId {
        &self.config.id
    }

    /// Its provider's name.
    pub fn provider(&self) -> &ProviderId {
        &self.provider.id
    }

    /// The issuer as configured: what sessions and index keys are bound to.
    pub fn issuer(&self) -> &str {
        &self.provider.issuer_url
    }

    /// The provider's configuration.
    pub fn provider_config(&self) -> &ProviderConfig {
        &self.provider
    }

    /// All settings.
    pub fn config(&self) -> &SiteConfig {
        &self.config
    }

    /// Root of the service's own paths, `/oauth2` by default.
    pub fn prefix(&self) -> &str {
        &self.config.proxy_prefix
    }

    /// What allowed answers carry.
    pub fn headers(&self) -> &HeaderConfig {
        &self.config.headers
    }

    /// What they carry where no session is needed and none is there.
    pub fn headers_of_nobody(&self) -> &InjectedHeaders {
        &self.nobody
    }

    /// Hosts that absolute return targets may name.
    pub fn hosts(&self) -> &AllowedHosts {
        &self.config.allowed_hosts
    }

    /// Status of an allowed check.
    pub fn ok_status(&self) -> StatusCode {
        self.ok_status
    }

    /// Name of the session cookie.
    pub fn cookie_name(&self) -> &str {
        &self.config.cookie.name
    }

    /// How long a login may take.
    pub fn login_lifetime(&self) -> Ttl {
        self.config.cookie.login_expire
    }

    /// How many login cookies a browser may carry.
    pub fn login_limits(&self) -> LoginCookieLimits {
        // As oauth2-proxy counts: so many may arrive, and then one more is added.
        let most = LoginCookieLimits::default();
        LoginCookieLimits { count: most.count.min(self.config.cookie.login_limit + 1), ..most }
    }

    /// The session cookie.
    pub fn session_cookie(&self, value: &str, host: &str) -> SetCookie {
        let cookie = &self.config.cookie;
        SetCookie::set(&cookie.name, value, &cookie.attributes, self.domain(host), cookie.max_age())
    }

    /// A login cookie.
    pub fn login_cookie(&self, name: &str, value: &str, host: &str) -> SetCookie {
        let cookie = &self.config.cookie;
        SetCookie::set(name, value, &cookie.login_attributes, self.domain(host), Some(cookie.login_expire))
    }

    /// Takes a login cookie away.
    pub fn clear_login(&self, name: &str, host: &str) -> SetCookie {
        SetCookie::delete(name, &self.config.cookie.login_attributes, self.domain(host))
    }

    /// Takes the session cookie away. A browser that sent several of the name holds variants of it
    /// for other domains or paths, left by earlier settings: then each that can be reached goes.
    pub fn clear_session(&self, host: &str, sent: &str) -> Vec<SetCookie> {
        let name = self.cookie_name();
        let attributes = &self.config.cookie.attributes;
        let mut cleared = vec![SetCookie::delete(name, attributes, self.domain(host))];
        if cookies_named(sent, name, 2).nth(1).is_none() {
            return cleared;
        }
        let root = CookieAttributes { path: "/".to_owned(), ..attributes.clone() };
        let domains = attributes.domains.iter().map(|domain| Some(domain.as_str()));
        for domain in domains.chain([None]) {
            for attributes in [attributes, &root] {
                let variant = SetCookie::delete(name, attributes, domain);
                if !cleared.contains(&variant) {
                    cleared.push(variant);
                }
            }
        }
        cleared
    }

    /// Takes away what oauth2-proxy's cookie store left under the session cookie's name, where a cookie secret of ours
    /// proves whose it was: no session here, but up to 8 KiB in each request, and a session again at an oauth2-proxy
    /// that comes back. What has such a name and no such proof may be the session of another service.
    pub fn clear_signed_pieces(&self, host: &str, sent: &str) -> Vec<SetCookie> {
        self.clear_all(&signed_pieces(sent, self.cookie_name(), &self.secrets), host)
    }

    /// Takes away every cookie with the name of such a piece, as oauth2-proxy does when somebody signs out: what was
    /// signed with an earlier secret would be a session again.
    pub fn clear_pieces(&self, host: &str, sent: &str) -> Vec<SetCookie> {
        self.clear_all(&pieces_of(sent, self.cookie_name()), host)
    }

    fn clear_all(&self, names: &[&str], host: &str) -> Vec<SetCookie> {
        let attributes = &self.config.cookie.attributes;
        names.iter().map(|name| SetCookie::delete(name, attributes, self.domain(host))).collect()
    }

    fn domain(&self, host: &str) -> Option<&str> {
        domain_for_host(&self.config.cookie.attributes.domains, host)
    }

    /// Who caused the request.
    pub fn cause(&self, visit: &Visit<'_>) -> Cause {
        visit.cause(&self.own_hosts(visit))
    }

    /// Where the browser goes afterwards; `named` is its `rd`.
    pub fn target(&self, visit: &Visit<'_>, named: Option<&str>, gateway: &GatewayConfig) -> ReturnTo {
        visit.target(named, gateway, &self.targets(&self.own_hosts(visit)))
    }

    /// A target that a login cookie kept; `/` if it may no longer be one.
    pub fn kept_target(&self, visit: &Visit<'_>, kept: &str) -> ReturnTo {
        let own_hosts = self.own_hosts(visit);
        ReturnTo::parse_again(kept, &self.targets(&own_hosts)).unwrap_or_else(|_| ReturnTo::root())
    }

    fn targets<'a>(&'a self, own_hosts: &'a [&'a str]) -> Targets<'a> {
        Targets { hosts: self.hosts(), prefix: self.prefix(), own_hosts }
    }

    /// By which names the browser may know this service: that of `Host`, and that of `redirect_url`, for a gateway
    /// may have put another one into `Host`.
    fn own_hosts<'a>(&'a self, visit: &Visit<'a>) -> [&'a str; 2] {
        [visit.host(), self.login_host().unwrap_or("")]
    }

    /// The host in `redirect_url`, where that has one.
    fn login_host(&self) -> Option<&str> {
        let url = self.config.redirect_url.as_deref().filter(|url| has_host(url))?;
        url.split_once("://")?.1.split(['/', '?', '#']).next()
    }

    /// Scheme and host of this service as the browser knows them.
    pub fn origin(&self, visit: &Visit<'_>) -> String {
        let secure = self.config.cookie.attributes.secure;
        let scheme = if secure { "https" } else { visit.original.scheme.unwrap_or("http") };
        format!("{scheme}://{}", visit.host())
    }

    /// Where the provider sends the browser back to.
    pub fn redirect_uri(&self, visit: &Visit<'_>) -> String {
        let default = format!("{}/callback", self.prefix());
        let configured = self.config.redirect_url.as_deref();
        if self.config.relative_redirect_url {
            return configured.unwrap_or(&default).to_owned();
        }
        if let Some(url) = configured.filter(|url| has_host(url)) {
            return if has_path(url) { url.to_owned() } else { format!("{url}{default}") };
        }
        let path = configured.filter(|path| path.starts_with('/')).unwrap_or(&default);
        format!("{}{path}", self.origin(visit))
    }
}

fn has_host(url: &str) -> bool {
    url.split_once("://").is_some_and(|(_, rest)| !rest.is_empty() && !rest.starts_with('/'))
}

fn has_path(url: &str) -> bool {
    url.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?', '#']))
}
