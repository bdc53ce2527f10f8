//! One HTTP call to a provider: bounded in time and size, measured, never redirected.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use conclave_proto::id::ProviderId;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, StatusCode};
use thiserror::Error;
use tokio::time::Instant;

/// Longest a single call may take, the body included: providers answer in well under a second, and
/// a browser waits.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest answer read. Token answers with hundreds of groups stay under 100 KiB; key sets too.
const MAX_ANSWER: usize = 1024 * 1024;

/// What is asked of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderCall {
    /// Its metadata.
    Discovery,
    /// Its signing keys.
    Keys,
    /// Tokens for a code.
    Token,
    /// More claims.
    Userinfo,
}

impl ProviderCall {
    /// All of them, for metrics that exist from the start.
    pub const ALL: [Self; 4] = [Self::Discovery, Self::Keys, Self::Token, Self::Userinfo];

    /// A stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Keys => "keys",
            Self::Token => "token",
            Self::Userinfo => "userinfo",
        }
    }
}

/// Told of each call that ended.
pub trait CallObserver: Send + Sync {
    /// `ok`: an answer with status 200 came in time.
    fn called(&self, provider: &ProviderId, call: ProviderCall, ok: bool, took: Duration);
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl CallObserver for NoObserver {
    fn called(&self, _: &ProviderId, _: ProviderCall, _: bool, _: Duration) {}
}

/// Why no answer came.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// Nobody there, TLS failed, or the connection broke.
    #[error("{url} cannot be reached: {cause}")]
    Unreachable {
        /// The endpoint, without its query.
        url: String,
        /// The innermost causes.
        cause: String,
    },
    /// No whole answer within the limit.
    #[error("{url} did not answer within {} s", CALL_TIMEOUT.as_secs())]
    Timeout {
        /// The endpoint, without its query.
        url: String,
    },
    /// More than is read.
    #[error("{url} answered more than {MAX_ANSWER} bytes")]
    TooLarge {
        /// The endpoint, without its query.
        url: String,
    },
}

/// An answer of any status.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

/// Calls one provider.
#[derive(Clone)]
pub(super) struct Caller {
    provider: ProviderId,
    http: Client,
    observer: Arc<dyn CallObserver>,
}

impl Caller {
    pub(super) fn new(provider: ProviderId, http: Client, observer: Arc<dyn CallObserver>) -> Self {
        Self { provider, http, observer }
    }

    /// The client, to build a request for [`Caller::send`].
    pub(super) fn http(&self) -> &Client {
        &self.http
    }

    /// A GET that wants JSON.
    pub(super) async fn get(&self, call: ProviderCall, url: &str) -> Result<Reply, CallError> {
        self.send(call, self.http.get(url).header(reqwest::header::ACCEPT, "application/json"), url).await
    }

    /// Sends `request`, which goes to `url`.
    pub(super) async fn send(
        &self,
        call: ProviderCall,
        request: RequestBuilder,
        url: &str,
    ) -> Result<Reply, CallError> {
        let begun = Instant::now();
        let reply = read(request.timeout(CALL_TIMEOUT), without_query(url)).await;
        let ok = reply.as_ref().is_ok_and(|reply| reply.status == StatusCode::OK);
        self.observer.called(&self.provider, call, ok, begun.elapsed());
        reply
    }
}

async fn read(request: RequestBuilder, url: &str) -> Result<Reply, CallError> {
    let failed = |error: reqwest::Error| failure(url, &error);
    let mut answer = request.send().await.map_err(failed)?;
    let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(CallError::TooLarge { url: url.to_owned() });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status, content_type, body })
}

/// reqwest's own text repeats the URL and leaves the cause to `source()`.
fn failure(url: &str, error: &reqwest::Error) -> CallError {
    if error.is_timeout() {
        return CallError::Timeout { url: url.to_owned() };
    }
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    if causes.is_empty() {
        causes.push("the request failed".to_owned());
    }
    CallError::Unreachable { url: url.to_owned(), cause: causes.join(": ") }
}

fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(endpoint, _)| endpoint)
}
