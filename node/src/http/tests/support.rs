//! What the tests stand on: a node, a provider without a network, and a browser's cookie jar.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actix_http::Request;
use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{Service as ActixService, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::test::{self, TestRequest};
use async_trait::async_trait;
use conclave_proto::id::ProviderId;
use conclave_proto::login::LoginAttempt;
use conclave_proto::session::Identity;

use crate::app::{Node, Sources};
use crate::config::Config;
use crate::http::{self, Listener, Serves};
use crate::oidc::{
    BearerError, DiscoveryError, ExchangeError, InvalidIss, Provider, ProviderError, SessionClaims, TokenClaims,
    TokenIssuer,
};

/// Vouches for the person that the code names, or for what it claims as JSON; `pad:N` makes a session of N random-looking bytes.
#[derive(Default)]
pub struct FakeProvider {
    id: ProviderId,
    /// Codes redeemed.
    pub redeemed: AtomicU32,
    /// The code `held` waits for the signal to go on.
    pub go_on: tokio::sync::Notify,
}

#[async_trait]
impl TokenIssuer for FakeProvider {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    /// Takes the token whose signature is `good`, and needs newer keys for `new`.
    fn bearer(&self, token: &str) -> Result<TokenClaims, BearerError> {
        match token.rsplit('.').next() {
            Some("good") => Ok(TokenClaims {
                identity: Identity { user: "robot".to_owned(), email: "robot".to_owned(), ..Identity::default() },
                additional: further_claims(),
            }),
            Some("odd") => Ok(TokenClaims {
                identity: Identity { user: "robot\r\n".to_owned(), email: "robot".to_owned(), ..Identity::default() },
                additional: Vec::new(),
            }),
            Some("new") => Err(BearerError::NotReady),
            Some(_) | None => Err(BearerError::Issuer),
        }
    }

    async fn bearer_anew(&self, token: &str) -> Result<TokenClaims, BearerError> {
        self.bearer(token)
    }

    async fn refresh_metadata(&self) -> Result<(), Arc<DiscoveryError>> {
        Ok(())
    }
}

#[async_trait]
impl Provider for FakeProvider {
    fn ready(&self) -> bool {
        true
    }

    async fn prepare(&self, _: Duration) -> bool {
        true
    }

    fn authorize_url(
        &self,
        attempt: &LoginAttempt,
        redirect_uri: &str,
        _: &[(String, String)],
    ) -> Result<String, ProviderError> {
        Ok(format!("https://idp.test/authorize?state={}&redirect_uri={redirect_uri}", attempt.state()))
    }

    fn own_urls(&self) -> Vec<String> {
        vec!["https://idp.test/authorize".to_owned(), "https://end.idp.test/session/end".to_owned()]
    }

    fn check_iss(&self, iss: Option<&str>) -> Result<(), InvalidIss> {
        match iss {
            None | Some("https://idp.test") => Ok(()),
            Some(other) => Err(InvalidIss::Other { found: other.to_owned() }),
        }
    }

    async fn exchange(
        &self,
        code: &str,
        _: &LoginAttempt,
        _: &str,
        _: Duration,
    ) -> Result<SessionClaims, ExchangeError> {
        self.redeemed.fetch_add(1, Ordering::SeqCst);
        if code == "held" {
            self.go_on.notified().await;
        }
        if code == "down" {
            return Err(ExchangeError::Deadline);
        }
        if let Ok(identity) = serde_json::from_str::<Odd>(code) {
            return Ok(identity.claims());
        }
        let user = code.split(':').next().unwrap_or(code).to_owned();
        let pad = code.split(':').nth(1).and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
        Ok(SessionClaims {
            identity: Identity {
                email: format!("{user}@example.test"),
                groups: vec![user.clone(), "staff".to_owned()],
                preferred_username: user.clone(),
                groups_claimed: true,
                user: user.clone(),
            },
            subject: user,
            sid: None,
            issuer: "https://idp.test".to_owned(),
            id_token: noise(pad),
            access_token: None,
            refresh_token: None,
            token_expires_at: None,
            additional: further_claims(),
        })
    }
}

/// A code that says itself what the provider claims.
#[derive(serde::Deserialize)]
#[serde(default)]
struct Odd {
    sub: String,
    email: String,
    preferred_username: String,
    groups: Vec<String>,
}

impl Default for Odd {
    fn default() -> Self {
        let email = "alice@example.test".to_owned();
        Self { sub: "alice".to_owned(), email, preferred_username: String::new(), groups: Vec::new() }
    }
}

impl Odd {
    fn claims(self) -> SessionClaims {
        SessionClaims {
            subject: self.sub.clone(),
            identity: Identity {
                user: self.sub,
                email: self.email,
                groups: self.groups,
                preferred_username: self.preferred_username,
                groups_claimed: true,
            },
            sid: None,
            issuer: "https://idp.test".to_owned(),
            id_token: String::new(),
            access_token: None,
            refresh_token: None,
            token_expires_at: None,
            additional: Vec::new(),
        }
    }
}

/// Letters that do not compress.
fn noise(length: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut letter = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        char::from(LETTERS[(seed % 64) as usize])
    };
    (0..length).map(|_| letter()).collect()
}

/// What the fake provider says besides, whatever is asked for.
fn further_claims() -> Vec<(String, String)> {
    [("dept", r#"["lab",7]"#), ("level", "3"), ("kept", r#""secret""#)]
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .to_vec()
}

/// A node under test.
pub struct Bench {
    /// The node.
    pub node: Node,
    /// Its provider.
    pub provider: Arc<FakeProvider>,
    directory: Directory,
}

/// A data directory. A failed test keeps it: the store in it still runs, and ends the process when
/// its files go, before the failure is reported.
pub struct Directory(Option<tempfile::TempDir>);

impl Directory {
    /// A new one.
    pub fn fresh() -> Self {
        Self(Some(tempfile::tempdir().expect("a directory")))
    }

    /// Its path.
    pub fn path(&self) -> &std::path::Path {
        self.0.as_ref().expect("kept until the drop").path()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.take().map(tempfile::TempDir::keep);
        }
    }
}

impl Bench {
    /// Starts a cluster of one with these flags besides the needed ones.
    pub async fn start(flags: &[&str]) -> Self {
        let bench = Self::restart(Directory(Some(tempfile::tempdir().expect("a directory"))), flags).await;
        bench.until_ready().await;
        bench
    }

    /// Starts on a directory that was used before; does not wait until it is ready.
    pub async fn restart(directory: Directory, flags: &[&str]) -> Self {
        Self::changed(directory, flags, |_| {}).await
    }

    /// As [`Bench::restart`], with a change that the flags alone do not make without files.
    pub async fn changed(directory: Directory, flags: &[&str], change: impl FnOnce(&mut Config)) -> Self {
        let store = std::fs::File::open(directory.path().join("store/db"));
        let patience = tokio::time::Instant::now() + Duration::from_secs(20);
        while store.as_ref().is_ok_and(|db| db.try_lock().is_err()) {
            assert!(tokio::time::Instant::now() < patience, "somebody still has the store open");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(store);
        let data = format!("--data-dir={}", directory.path().display());
        let mut all = vec![
            "--provider=oidc",
            "--oidc-issuer-url=https://idp.test",
            "--client-id=rp",
            "--client-secret=secret",
            "--cookie-secret=x8Qh2mVb7nR4tY6uJ9kL0pWs3dF5gH1z",
            "--email-domain=*",
            "--cookie-secure=false",
            "--redirect-url=http://app.test/oauth2/callback",
            "--http-address=127.0.0.1:0",
            "--admin-address=127.0.0.1:0",
            "--peer-address=127.0.0.1:0",
            "--set-xauthrequest=true",
            data.as_str(),
        ];
        all.extend(flags);
        let mut config = crate::config::load::from_args(&all).expect("a sound configuration");
        change(&mut config);
        Self::serve(directory, config).await
    }

    /// Starts a cluster of one by a structured file, its listener and provider apart, and waits.
    pub async fn structured(rest: &str, flags: &[&str]) -> Self {
        let directory = Directory(Some(tempfile::tempdir().expect("a directory")));
        let file = directory.path().join("alpha.yaml");
        let head = "server: {bindAddress: 127.0.0.1:0}\nproviders:\n- {id: main, provider: oidc, clientID: rp, \
                    clientSecret: secret, oidcConfig: {issuerURL: 'https://idp.test'}}\n";
        std::fs::write(&file, format!("{head}{rest}")).expect("written");
        let (data, alpha) =
            (format!("--data-dir={}", directory.path().display()), format!("--alpha-config={}", file.display()));
        let mut all = vec![
            data.as_str(),
            alpha.as_str(),
            "--cookie-secret=x8Qh2mVb7nR4tY6uJ9kL0pWs3dF5gH1z",
            "--email-domain=*",
            "--cookie-secure=false",
            "--admin-address=127.0.0.1:0",
            "--peer-address=127.0.0.1:0",
        ];
        all.extend(flags);
        let config = crate::config::load::from_args(&all).expect("a sound configuration");
        let bench = Self::serve(directory, config).await;
        bench.until_ready().await;
        bench
    }

    async fn serve(directory: Directory, config: Config) -> Self {
        let provider = Arc::new(FakeProvider::default());
        let mut sources = Sources::system(crate::telemetry::Lines::nowhere());
        sources.provider = Some(Arc::clone(&provider) as Arc<dyn Provider>);
        sources.verifier = conclave_raft::Verify::InProcess;
        let node = Node::start(config, sources).await.expect("starts");
        Self { node, provider, directory }
    }

    /// Waits for the founding of the cluster of one, or for its return.
    pub async fn until_ready(&self) {
        let patience = tokio::time::Instant::now() + Duration::from_secs(20);
        while !self.node.service.unready_reasons().is_empty() {
            assert!(tokio::time::Instant::now() < patience, "not ready: {:?}", self.node.service.unready_reasons());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The HTTP service, in process.
    pub async fn app(&self) -> impl ActixService<Request, Response = ServiceResponse<BoxBody>, Error = Error> + use<> {
        let service = Arc::clone(&self.node.service);
        test::init_service(http::app(&service, Serves::All(Listener::Plain))).await
    }

    /// The listener for gateways alone, in process.
    pub async fn gateways_app(
        &self,
    ) -> impl ActixService<Request, Response = ServiceResponse<BoxBody>, Error = Error> + use<> {
        let service = Arc::clone(&self.node.service);
        test::init_service(http::app(&service, Serves::Check)).await
    }

    /// Stops the node and keeps its directory.
    pub async fn halt(self) -> Directory {
        self.node.stop().await;
        self.directory
    }

    /// Stops it all.
    pub async fn stop(self) {
        drop(self.halt().await);
    }
}

/// An answer, taken apart.
#[derive(Debug)]
pub struct Seen {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

impl Seen {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// All `Set-Cookie`s.
    pub fn set_cookies(&self) -> Vec<String> {
        let texts = self.headers.get_all("set-cookie").filter_map(|value| value.to_str().ok());
        texts.map(str::to_owned).collect()
    }

    /// The `state` in a redirect to the provider.
    pub fn state(&self) -> String {
        let location = self.header("location").expect("a redirect");
        let (_, rest) = location.split_once("state=").expect("a state");
        rest.split('&').next().unwrap_or(rest).to_owned()
    }
}

/// A browser: sends what it holds, takes what it is given.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// Its jar.
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    /// One request; redirects are not followed.
    pub async fn get<S>(&mut self, app: &S, uri: &str) -> Seen
    where
        S: ActixService<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
    {
        self.send(app, TestRequest::get().uri(uri)).await
    }

    /// One prepared request.
    pub async fn send<S>(&mut self, app: &S, request: TestRequest) -> Seen
    where
        S: ActixService<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
    {
        let jar = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let request = request.insert_header(("Host", "app.test"));
        let request = if jar.is_empty() { request } else { request.insert_header(("Cookie", jar)) };
        let response = test::call_service(app, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = actix_web::body::to_bytes(response.into_body()).await.expect("a whole body");
        let seen = Seen { status, headers, body: String::from_utf8_lossy(&body).into_owned() };
        for cookie in seen.set_cookies() {
            let (name, rest) = cookie.split_once('=').expect("a cookie");
            let value = rest.split(';').next().unwrap_or("");
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        seen
    }

    /// A whole login as the user that `code` names.
    pub async fn log_in<S>(&mut self, app: &S, code: &str, target: &str) -> Seen
    where
        S: ActixService<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
    {
        let start = self.get(app, &format!("/oauth2/start?rd={target}")).await;
        assert_eq!(start.status, StatusCode::FOUND, "{start:?}");
        self.get(app, &format!("/oauth2/callback?code={code}&state={}", start.state())).await
    }
}
