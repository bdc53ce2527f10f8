//! The real program under test: its flags, logins written into its store, and questions to it.
//!
//! Sessions are written as if their people had logged in, so no provider is needed.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use conclave::clock::SystemClock;
use conclave_proto::command::{Command, CreateSession, Outcome};
use conclave_proto::id::{AttemptId, Generation, ProviderId, SiteId};
use conclave_proto::keyring::Keyring;
use conclave_proto::seal::{seal_body, seal_label};
use conclave_proto::session::{SessionBody, SessionLabel};
use conclave_proto::ticket::Ticket;
use conclave_proto::time::{Clock, Ttl};
use conclave_raft::ReplicatedStore;

use crate::Failure;
use crate::fixture::{COOKIE_NAME, random};

/// Names another program to measure than the one beside this one.
pub const PROGRAM: &str = "CONCLAVE_BIN";

/// Where the check is.
pub const AUTH: &str = "/oauth2/auth";

/// Whose word the sessions are.
pub const ISSUER: &str = "http://127.0.0.1:1";

/// No measurement waits as long for a start.
pub const READY_WITHIN: Duration = Duration::from_secs(300);

const CLIENT: &str = "bench";

/// No login of a healthy cluster takes as long.
const LOGIN_WITHIN: Duration = Duration::from_secs(30);

/// A question's answer, or an error.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// `$CONCLAVE_BIN`, or the program beside this one.
pub fn binary() -> Result<PathBuf, Failure> {
    let beside = std::env::current_exe()?.with_file_name("conclave");
    let binary = std::env::var_os(PROGRAM).map_or(beside, PathBuf::from);
    if binary.is_file() { Ok(binary) } else { Err(format!("{} is not there", binary.display()).into()) }
}

/// What the program is started with: ports of its listeners, its own name, its directory, the secret.
pub fn flags(http: u16, admin: u16, name: &str, data: &Path, secret: &str) -> Vec<String> {
    let flags = [
        format!("--http-address=127.0.0.1:{http}"),
        format!("--admin-address=127.0.0.1:{admin}"),
        format!("--self={name}"),
        format!("--data-dir={}", data.display()),
        format!("--cookie-secret={secret}"),
        format!("--client-id={CLIENT}"),
        "--client-secret=bench".to_owned(),
        "--provider=oidc".to_owned(),
        format!("--oidc-issuer-url={ISSUER}"),
        "--redirect-url=http://app.test/oauth2/callback".to_owned(),
        "--email-domain=*".to_owned(),
        "--set-xauthrequest=true".to_owned(),
        "--reverse-proxy=true".to_owned(),
        "--gateway=ingress-nginx".to_owned(),
        "--log-level=error".to_owned(),
    ];
    flags.to_vec()
}

/// Writes a session with this body; the cookie that its browser got.
pub async fn log_in(store: &ReplicatedStore, ring: &Keyring, body: SessionBody) -> Result<String, Failure> {
    let ticket = Ticket::mint(random(), ring.epoch(), SystemClock.now());
    let (key, cluster) = (ticket.key(), ring.cluster_key());
    let label = SessionLabel {
        user: body.identity.user.clone(),
        email: body.identity.email.clone(),
        preferred_username: body.identity.preferred_username.clone(),
        client_address: "203.0.113.7".to_owned(),
        user_agent: "Mozilla/5.0".to_owned(),
    };
    let create = CreateSession {
        key,
        attempt: AttemptId::from_bytes(random()),
        epoch: ring.epoch(),
        provider: ProviderId::default(),
        site: SiteId::default(),
        lifetime: Ttl::from_secs(24 * 3600),
        subject: cluster.subject_key(ISSUER, CLIENT, &body.identity.user),
        sid: None,
        label: seal_label(cluster, &key, &label, random())?,
        body: seal_body(cluster, &ticket, Generation::default(), &body, random())?,
        replaces: Vec::new(),
        sessions_per_person: 1000,
    };
    let written = store.write(Command::CreateSession(create), LOGIN_WITHIN).await?;
    match written.outcome {
        Outcome::Created { index, .. } => {
            Ok(format!("{COOKIE_NAME}={}", ticket.with_index(index).encode(ring, COOKIE_NAME)))
        }
        Outcome::Done | Outcome::Revoked(_) | Outcome::Expired(_) | Outcome::Refused(_) => {
            Err("a login was refused".into())
        }
    }
}

/// One answer.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its header lines.
    pub headers: Vec<String>,
    /// What follows them.
    pub body: String,
}

/// One question on a connection of its own; header lines besides `Host` end it.
pub fn ask(port: u16, path: &str, headers: &[(String, String)]) -> Result<Answer, Failure> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let mut request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name == "Host") {
        request += "Host: auth.test\r\n";
    }
    headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
    stream.write_all(format!("{request}\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("an answer without an end of its head")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or("no status line")?.parse()?;
    Ok(Answer { status, headers: lines.map(str::to_owned).collect(), body: body.to_owned() })
}
