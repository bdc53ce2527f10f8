//! A provider in this process: answers what a test tells it to, and counts what it is asked.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use conclave_proto::id::{ProviderId, SiteId};
use conclave_proto::login::{LoginAttempt, LoginParameter};
use conclave_proto::time::{Boottime, Clock, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::{NoObserver, Provider, build, http_client};
use super::keys::{TestKey, key_set};
use crate::config::{ClaimRules, PkceMode, ProviderConfig, ProviderKind, Secret, SecretSource};
use crate::config::{EndpointOverrides, VerificationRules};

pub const CLIENT: &str = "client/1";
pub const SECRET: &str = "s3cret+/=";
pub const NOW: u64 = 1_700_000_000;
pub const REDIRECT: &str = "https://app.test/oauth2/callback";

/// A clock that moves when told.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(NOW * 1000)))
    }

    pub fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1000, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn boottime(&self) -> Boottime {
        Boottime::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// What the provider answers on one path.
#[derive(Clone)]
pub struct Scripted {
    pub status: u16,
    pub headers: String,
    pub body: String,
}

impl Scripted {
    pub fn json(body: impl ToString) -> Self {
        Self { status: 200, headers: "content-type: application/json\r\n".to_owned(), body: body.to_string() }
    }

    pub fn status(status: u16, body: impl ToString) -> Self {
        Self { status, ..Self::json(body) }
    }
}

/// One request that came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub head: String,
    pub body: String,
}

impl Asked {
    /// A form field of the body.
    pub fn field(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.body.as_bytes());
        pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, Vec<Scripted>>,
    asked: Vec<Asked>,
}

/// The provider.
#[derive(Clone)]
pub struct Fake {
    pub issuer: String,
    script: Arc<Mutex<Script>>,
}

impl Fake {
    /// Listens, and answers discovery and keys as a whole provider does.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let issuer = format!("http://{}", listener.local_addr().expect("bound"));
        let fake = Self { issuer, script: Arc::default() };
        fake.answer("/.well-known/openid-configuration", Scripted::json(fake.metadata()));
        fake.answer("/keys", Scripted::json(key_set(&[TestKey::Rsa.jwk(Some("k1"))])));
        let script = Arc::clone(&fake.script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script)));
            }
        });
        fake
    }

    pub fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer, "authorization_endpoint": at("/authorize?tenant=a b"), "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"), "jwks_uri": at("/keys"),
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": true,
        })
    }

    /// From now on every request of `path` gets this.
    pub fn answer(&self, path: &str, answer: Scripted) {
        self.answers(path, vec![answer]);
    }

    /// One after another; the last one stays.
    pub fn answers(&self, path: &str, mut answers: Vec<Scripted>) {
        answers.reverse();
        self.script.lock().answers.insert(path.to_owned(), answers);
    }

    /// The requests of `path` so far.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        self.script.lock().asked.iter().filter(|asked| asked.path == path).cloned().collect()
    }

    /// Answers the token request with an ID token of these claims.
    pub fn issue(&self, claims: &Value) {
        self.issue_token(&TestKey::Rsa.token(Some("k1"), claims));
    }

    pub fn issue_token(&self, id_token: &str) {
        let answer = json!({
            "access_token": "at-1", "token_type": "Bearer", "expires_in": 300, "refresh_token": "rt-1",
            "id_token": id_token,
        });
        self.answer("/token", Scripted::json(answer));
    }

    /// The claims of a good ID token for `attempt`.
    pub fn claims(&self, attempt: &LoginAttempt) -> Value {
        json!({
            "iss": self.issuer, "sub": "alice", "aud": CLIENT, "exp": NOW + 300, "iat": NOW, "nonce": attempt.nonce(),
            "email": "alice@example.test", "email_verified": true, "preferred_username": "al", "groups": ["staff"],
            "sid": "session-1",
        })
    }

    /// A provider object that talks to this one, with `change` made to its configuration.
    pub fn provider(
        &self,
        dir: &Path,
        clock: &Arc<ManualClock>,
        change: impl FnOnce(&mut ProviderConfig),
    ) -> Arc<dyn Provider> {
        let mut config = config(&self.issuer);
        change(&mut config);
        let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
        let http = http_client(&config).expect("client");
        build(&config, http, dir, clock, Arc::new(NoObserver)).expect("builds")
    }
}

/// The configuration of a generic client of `issuer`.
pub fn config(issuer: &str) -> ProviderConfig {
    ProviderConfig {
        id: ProviderId::default(),
        kind: ProviderKind::Oidc,
        display_name: String::new(),
        issuer_url: issuer.to_owned(),
        client_id: CLIENT.to_owned(),
        client_secret: Some(SecretSource::Given(Secret::new(SECRET.to_owned()))),
        scope: "openid email profile".to_owned(),
        login_parameters: vec![LoginParameter::fixed("approval_prompt", "force")],
        response_mode: None,
        resource: None,
        pkce: PkceMode::WhereAllowed,
        claims: ClaimRules {
            email: "email".to_owned(),
            groups: "groups".to_owned(),
            audience: vec!["aud".to_owned()],
            told: Vec::new(),
            additional: Vec::new(),
            skip_userinfo: false,
        },
        endpoints: EndpointOverrides::default(),
        verification: VerificationRules::default(),
        ca_files: Vec::new(),
        use_system_trust_store: false,
        insecure_skip_tls_verify: false,
    }
}

/// A login attempt.
pub fn attempt() -> LoginAttempt {
    let now = Timestamp::from_secs(NOW);
    LoginAttempt::begin([7; 112], now, ProviderId::default(), SiteId::default(), "/")
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
        if let Some(place) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break place + 4;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let length = Asked { path: String::new(), head: head.clone(), body: String::new() };
    let length: usize = length.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while bytes.len() < head_end + length {
        stream.read_buf(&mut bytes).await?;
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let body = String::from_utf8_lossy(&bytes[head_end..]).into_owned();
    let answer = {
        let mut script = script.lock();
        script.asked.push(Asked { path: path.clone(), head, body });
        let answers = script.answers.entry(path).or_default();
        if answers.len() > 1 { answers.pop() } else { answers.last().cloned() }
    };
    // Nothing scripted: never answers.
    let Some(Scripted { status, headers, body }) = answer else { return std::future::pending().await };
    let length = body.len();
    let answer = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await
}
