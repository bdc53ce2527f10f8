//! Carries one question to a peer and its answer back, over HTTP on mutual TLS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use conclave_proto::id::PeerName;
use conclave_proto::time::{Boottime, Clock};
use conclave_proto::wire::{Answer, AnswerBytes, Frame, FrameKind, MAX_ANSWER, PeerRefusal};
use parking_lot::RwLock;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

use crate::identity::{Identity, Peer};
use crate::lanes::{Lane, Slots};
use crate::tls::{LEAF_RENEWAL, PeerTls, TlsError, synthetic_name};

/// Path of the one endpoint of a peer listener.
pub const PEER_PATH: &str = "/peer";

/// Idle connections kept to one peer: what Raft, forwarding and freshness use side by side.
const MAX_IDLE: usize = 16;

/// A question goes on this long after its asker gave up, so that a connection over a slow link
/// gets made at all: at 300 ms one way TCP and TLS take longer than one heartbeat.
const AFTERLIFE: Duration = Duration::from_secs(4);

/// Longest time to connect, both handshakes included, at the slowest link that is served.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum AskError {
    /// The peer is not configured.
    #[error("is no configured peer")]
    Unknown,
    /// No connection, or it broke.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// Every slot of the question's lane to that peer is taken.
    #[error("has too many questions of this kind waiting")]
    Busy,
    /// No answer within the limit.
    #[error("did not answer in time")]
    Timeout,
    /// It answered that it will not.
    #[error("refused: it {0}")]
    Refused(PeerRefusal),
    /// The response cannot be read, or does not answer this question.
    #[error("sent an invalid response")]
    Malformed,
}

/// Connections to all configured peers.
pub(crate) struct Transport {
    identity: Arc<Identity>,
    tls: Arc<PeerTls>,
    clock: Arc<dyn Clock>,
    resolver: Arc<PeerResolver>,
    client: RwLock<(reqwest::Client, Boottime)>,
    links: BTreeMap<PeerName, Link>,
}

struct Link {
    url: String,
    slots: Slots,
}

impl Transport {
    pub(crate) fn new(identity: Arc<Identity>, tls: Arc<PeerTls>, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let resolver = Arc::new(PeerResolver::new(identity.others()));
        let client = build_client(&tls, &resolver)?;
        let links = identity.others().map(|peer| (peer.clone(), Link::new(peer))).collect();
        let born = clock.boottime();
        Ok(Self { identity, tls, clock, resolver, client: RwLock::new((client, born)), links })
    }

    /// Asks one question. It is sent even if the caller drops this future.
    pub(crate) async fn ask(
        &self,
        to: &Peer,
        kind: FrameKind,
        payload: Vec<u8>,
        limit: Duration,
    ) -> Result<Vec<u8>, AskError> {
        let link = self.links.get(&to.name).ok_or(AskError::Unknown)?;
        let slot = link.slots.take(Lane::of(kind)).ok_or(AskError::Busy)?;
        let head = self.identity.head(to, kind);
        let question = head.question;
        let body = Frame { head, payload }.encode().map_err(|_| AskError::Refused(PeerRefusal::TooLarge))?;
        let request = self.client().post(&link.url).body(body).timeout(limit + AFTERLIFE);
        let sent = tokio::spawn(async move {
            let result = post(request).await;
            drop(slot);
            result
        });
        let bytes = match tokio::time::timeout(limit, sent).await {
            Ok(Ok(result)) => result?,
            Ok(Err(_stopping)) => return Err(AskError::Unreachable("stopping".to_owned())),
            Err(_elapsed) => return Err(AskError::Timeout),
        };
        let answer = Answer::decode(&bytes, &question).map_err(|_| AskError::Malformed)?;
        if to.id.is_some_and(|id| id != answer.from) {
            return Err(AskError::Malformed);
        }
        let AnswerBytes(payload) = answer.payload.map_err(AskError::Refused)?;
        Ok(payload)
    }

    /// The client, rebuilt within a leaf's life: its connections would outlive their certificate.
    fn client(&self) -> reqwest::Client {
        let now = self.clock.boottime();
        {
            let held = self.client.read();
            if now.since(held.1) < LEAF_RENEWAL {
                return held.0.clone();
            }
        }
        let mut held = self.client.write();
        if now.since(held.1) >= LEAF_RENEWAL {
            match self.rebuild() {
                Ok(fresh) => *held = (fresh, now),
                Err(error) => tracing::error!(%error, "the peer certificate could not be renewed"),
            }
        }
        held.0.clone()
    }

    fn rebuild(&self) -> Result<reqwest::Client, TlsError> {
        self.tls.renew()?;
        build_client(&self.tls, &self.resolver)
    }
}

impl Link {
    fn new(peer: &PeerName) -> Self {
        // Without a port in the URL, the one that the resolver gives counts.
        let url = format!("https://{}{PEER_PATH}", synthetic_name(peer));
        Self { url, slots: Slots::default() }
    }
}

async fn post(request: reqwest::RequestBuilder) -> Result<Vec<u8>, AskError> {
    let unreachable = |error: reqwest::Error| AskError::Unreachable(describe(&error));
    let mut response = request.send().await.map_err(unreachable)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(AskError::Unreachable(format!("HTTP status {}", response.status().as_u16())));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > MAX_ANSWER {
            return Err(AskError::Malformed);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The innermost cause: reqwest's own words name only the URL.
fn describe(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn build_client(tls: &PeerTls, resolver: &Arc<PeerResolver>) -> Result<reqwest::Client, TlsError> {
    reqwest::Client::builder()
        .use_preconfigured_tls(tls.client())
        .https_only(true)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::clone(resolver))
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE)
        .build()
        .map_err(|error| TlsError::Client(describe(&error)))
}

/// Maps the synthetic name of a certificate to the peer's real address at each connect.
struct PeerResolver {
    places: BTreeMap<String, PeerName>,
}

impl PeerResolver {
    fn new<'a>(peers: impl Iterator<Item = &'a PeerName>) -> Self {
        Self { places: peers.map(|peer| (synthetic_name(peer), peer.clone())).collect() }
    }
}

impl Resolve for PeerResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let place = self.places.get(name.as_str()).cloned();
        Box::pin(async move {
            let Some(peer) = place else {
                return Err("is no peer's name".into());
            };
            let found: Vec<SocketAddr> = tokio::net::lookup_host((peer.host(), peer.port())).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
