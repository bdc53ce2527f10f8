//! One auth check sent straight to one replica, with the headers that nginx sends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::header::{COOKIE, HOST, HeaderMap};

use crate::gateway::{APP_HOST, AUTH_HOST};
use crate::{Failure, http, timing};

/// Name of the session cookie.
pub const SESSION_COOKIE: &str = "_oauth2_proxy";

/// An answer to a check.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Status code.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// When it was sent.
    pub sent_at: Instant,
    /// How long the answer took.
    pub took: Duration,
}

impl Verdict {
    /// `X-Auth-Request-User`; empty when absent.
    pub fn user(&self) -> &str {
        self.headers.get("x-auth-request-user").and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether it lets through, as that person.
    pub fn admits(&self, user: &str) -> bool {
        self.status == 202 && self.user() == user
    }

    /// Whether it sends any `Set-Cookie`: a check never deletes the session's.
    pub fn sets_cookie(&self) -> bool {
        self.headers.contains_key("set-cookie")
    }
}

/// Asks replicas.
#[derive(Clone, Debug)]
pub struct Asker {
    client: reqwest::Client,
    path: String,
}

impl Default for Asker {
    fn default() -> Self {
        Self { client: http::client(), path: "/".to_owned() }
    }
}

impl Asker {
    /// One that asks about another path of the app.
    pub fn about(path: &str) -> Self {
        Self { client: http::client(), path: path.to_owned() }
    }

    /// One that opens a new connection for each question, as plain `auth_request` does.
    pub fn without_keep_alive() -> Self {
        Self { client: http::client_without_keep_alive(), ..Self::default() }
    }

    /// Asks `replica` about a bearer of that ticket (empty: no cookie).
    pub async fn ask(&self, replica: SocketAddr, ticket: &str) -> Result<Verdict, Failure> {
        self.ask_within(replica, ticket, http::HUNG).await
    }

    /// As [`Asker::ask`], giving up after `limit`.
    pub async fn ask_within(&self, replica: SocketAddr, ticket: &str, limit: Duration) -> Result<Verdict, Failure> {
        let mut request = self
            .client
            .get(format!("http://{replica}/oauth2/auth"))
            .timeout(limit)
            .header(HOST, AUTH_HOST)
            .header("X-Original-URL", format!("http://{APP_HOST}{}", self.path))
            .header("X-Original-Method", "GET")
            .header("X-Real-IP", "127.0.0.1")
            .header("X-Forwarded-For", "127.0.0.1")
            .header("X-Sent-From", "nginx-ingress-controller")
            .header("X-Auth-Request-Redirect", &self.path);
        if !ticket.is_empty() {
            request = request.header(COOKIE, format!("{SESSION_COOKIE}={ticket}"));
        }
        let sent_at = timing::now();
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        response.bytes().await?;
        Ok(Verdict { status, headers, sent_at, took: sent_at.elapsed() })
    }
}
