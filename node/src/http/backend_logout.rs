//! `backend_logout_url`: the provider is told of a sign-out by this service, not by the browser.

use std::time::Duration;

use tracing::warn;

use crate::config::{ProviderConfig, SiteConfig};
use crate::oidc::{HttpClientError, http_client};

/// Stands for the session's ID token.
pub const ID_TOKEN_PLACEHOLDER: &str = "{id_token}";

/// How long a browser's sign-out waits for it: the session here has ended already.
const PATIENCE: Duration = Duration::from_secs(5);

/// The address and a client to ask it with: the provider's roots, no redirects.
#[derive(Clone)]
pub struct BackendLogout {
    client: reqwest::Client,
    url: String,
}

impl BackendLogout {
    /// What the site asks for; none where it names no address.
    pub fn of(site: &SiteConfig, provider: &ProviderConfig) -> Result<Option<Self>, HttpClientError> {
        let Some(url) = site.backend_logout_url.clone() else { return Ok(None) };
        Ok(Some(Self { client: http_client(provider)?, url }))
    }

    /// Tells it. A failure is only logged, without the address, which may hold the token.
    pub async fn tell(&self, id_token: &str) {
        let url = self.url.replace(ID_TOKEN_PLACEHOLDER, id_token);
        match self.client.get(url).timeout(PATIENCE).send().await {
            Ok(answer) if matches!(answer.status().as_u16(), 200 | 204) => {}
            Ok(answer) => warn!(status = answer.status().as_u16(), "backend_logout_url did not answer 200 or 204"),
            Err(error) => warn!(error = %error.without_url(), "backend_logout_url could not be reached"),
        }
    }
}
