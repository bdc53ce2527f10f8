//! The oauth2-proxy that people move from: a real one where `OAUTH2_PROXY` names it, otherwise the cookies that one
//! left in browsers, as recorded in `tests/fixtures/oauth2-proxy-cookies.json`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::check::SESSION_COOKIE;
use crate::cluster::settings_of_both;
use crate::gateway::Place;
use crate::jar::Jar;
use crate::process::Process;
use crate::provider::Registration;
use crate::workdir::WorkDir;
use crate::{Failure, ports, repository};

/// Longest wait for it to listen: it asks the provider and the store first.
const START: Duration = Duration::from_secs(15);

/// A running oauth2-proxy.
#[derive(Debug)]
pub struct OldProxy {
    _process: Process,
    /// Its listener.
    pub http: SocketAddr,
}

/// What a service and the one before it have in common.
#[derive(Clone, Copy, Debug)]
pub struct Common<'a> {
    /// Where browsers find it.
    pub place: Place,
    /// The client at the provider.
    pub provider: &'a Registration,
    /// The cookie secret.
    pub secret: &'a str,
    /// `Domain` of its cookies; none is host-only.
    pub domain: Option<&'a str>,
}

/// The program that `OAUTH2_PROXY` names, if any.
pub fn program() -> Option<PathBuf> {
    std::env::var_os("OAUTH2_PROXY").map(PathBuf::from)
}

impl OldProxy {
    /// Starts `program` as people run it behind ingress-nginx, with further flags for its store.
    pub async fn start(
        name: &str,
        dir: &WorkDir,
        program: &std::path::Path,
        common: Common<'_>,
        store: &[String],
    ) -> Result<Self, Failure> {
        let http = ports::free_address();
        let Common { place, provider, secret, domain } = common;
        let mut args = settings_of_both(place, provider, secret);
        args.extend([
            format!("--http-address={http}"),
            "--code-challenge-method=S256".to_owned(),
            "--upstream=static://202".to_owned(),
        ]);
        args.extend(domain.map(|domain| format!("--cookie-domain={domain}")));
        args.extend_from_slice(store);
        let mut process = Process::start(name, &dir.join(&format!("{name}.log")), program, &args)?;
        process.listening(http, START).await?;
        Ok(Self { _process: process, http })
    }
}

/// What an oauth2-proxy leaves in browsers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftovers {
    /// The ticket of a session in Redis.
    pub ticket: String,
    /// The pieces of a session in cookies, under `NAME_0`, `NAME_1` and so on.
    pub pieces: Vec<String>,
    /// Names and values of the cookies of logins under way.
    pub pending: Vec<(String, String)>,
    /// The `state` that such a login comes back with.
    pub state: String,
}

impl Leftovers {
    /// Those recorded of a real oauth2-proxy.
    pub fn recorded() -> Result<Self, Failure> {
        let file = Self::file();
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The pieces as recorded, of an oauth2-proxy with this cookie secret: only the signature at their end is another.
    pub fn pieces_signed_with(&self, secret: &str) -> Result<Vec<String>, Failure> {
        let whole = self.pieces.concat();
        let [value, seconds, _] = whole.split('|').collect::<Vec<_>>()[..] else {
            return Err("the recorded pieces join to no signed value".into());
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let mac = hmac::sign(&key, [SESSION_COOKIE, value, seconds].concat().as_bytes());
        let mut rest = format!("{value}|{seconds}|{}", URL_SAFE.encode(mac));
        let mut pieces = Vec::new();
        for piece in &self.pieces {
            let after = rest.split_off(piece.len());
            pieces.push(std::mem::replace(&mut rest, after));
        }
        Ok(pieces)
    }

    /// Holds those of a real oauth2-proxy against the recorded ones: the same shape, of other people's sessions.
    /// `UPDATE_GOLDEN=1` records them instead.
    pub fn hold_against_recorded(&self) -> Result<(), Failure> {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            return Ok(std::fs::write(Self::file(), format!("{}\n", serde_json::to_string_pretty(self)?))?);
        }
        let (here, recorded) = (self.shape(), Self::recorded()?.shape());
        if here == recorded {
            return Ok(());
        }
        Err(format!("this oauth2-proxy leaves {here:?}, recorded is {recorded:?}; UPDATE_GOLDEN=1 records").into())
    }

    /// What a reader of these cookies can tell them by: how many, their parts, and the names without the random.
    fn shape(&self) -> Vec<String> {
        let value = |value: &str| {
            let parts =
                value.split('|').map(|part| if part.len() > 200 { "long".to_owned() } else { part.len().to_string() });
            parts.collect::<Vec<_>>().join("|")
        };
        let mut shape = vec![value(&self.ticket), value(&self.state)];
        shape.extend(self.pieces.iter().map(|piece| value(piece)));
        shape.extend(self.pending.iter().map(|(name, content)| format!("{}={}", name.len(), value(content))));
        shape
    }

    fn file() -> PathBuf {
        repository().join("tests/fixtures/oauth2-proxy-cookies.json")
    }
}

/// Names and values of the cookies in a jar whose name begins so.
pub fn beginning_with(jar: &Jar, prefix: &str) -> Vec<(String, String)> {
    let found = jar.all().iter().filter(|cookie| cookie.name.starts_with(prefix));
    let mut pairs: Vec<_> = found.map(|cookie| (cookie.name.clone(), cookie.value.clone())).collect();
    pairs.sort();
    pairs
}
