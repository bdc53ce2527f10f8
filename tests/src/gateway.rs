//! nginx in front of the replicas, configured as ingress-nginx, as the operating guide or as oauth2-proxy's
//! documentation has it, or with the headers of another gateway, and an app that echoes what it got.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use url::Url;

use crate::http::Answer;
use crate::process::Process;
use crate::workdir::WorkDir;
use crate::{Failure, ports, repository, timing};

/// The host that browsers know. Not `localhost`: cookies across subdomains need a real-looking name.
pub const APP_HOST: &str = "app.example.test";

/// The host of the auth-url, as a cluster-internal Service.
pub const AUTH_HOST: &str = "auth.test";

/// The response header in which the gateway names the replica that it asked.
pub const ASKED_HEADER: &str = "x-asked-replica";

/// How nginx is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As ingress-nginx does, for `--gateway=ingress-nginx`.
    Ingress,
    /// As the operating guide does, for `--gateway=nginx`.
    Guide,
    /// As oauth2-proxy's documentation does, for no gateway kind.
    Plain,
    /// With the headers of Traefik's provider for ingress-nginx objects, which hands on a client's `X-Original-*`.
    Forward,
}

/// Workers of each nginx.
const WORKERS: usize = 2;

/// Longest wait until a reload is done: the old workers end when their last request has.
const RELOAD_WITHIN: Duration = Duration::from_secs(20);

/// A running nginx.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    place: Place,
    kind: Kind,
    config: PathBuf,
    /// Where checks go, if not to the replicas' public listener.
    checks: Option<SocketAddr>,
}

/// Where a gateway will listen: known before it starts, since the service's redirect URL needs it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    host: &'static str,
    address: SocketAddr,
    app: SocketAddr,
    behind: SocketAddr,
}

impl Place {
    /// Draws the ports, for [`APP_HOST`].
    pub fn draw() -> Self {
        Self::draw_for(APP_HOST)
    }

    /// Draws the ports, for another host.
    pub fn draw_for(host: &'static str) -> Self {
        let app = ports::free_address();
        Self { host, address: ports::free_address(), app, behind: app }
    }

    /// With another app behind the gateway than the one that echoes.
    pub fn before(self, app: SocketAddr) -> Self {
        Self { behind: app, ..self }
    }

    /// The host that browsers know.
    pub fn host(self) -> &'static str {
        self.host
    }

    /// The gateway's listener.
    pub fn address(self) -> SocketAddr {
        self.address
    }

    /// `host:port` as browsers see it.
    pub fn authority(self) -> String {
        format!("{}:{}", self.host, self.address.port())
    }

    /// A URL of the app: `path` begins with a slash and may hold a query.
    pub fn url(self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.authority())).expect("a valid path")
    }

    /// The callback to register.
    pub fn callback(self) -> String {
        self.url("/oauth2/callback").into()
    }
}

impl Gateway {
    /// Starts nginx as ingress-nginx over the given replicas, round robin.
    pub async fn start(dir: &WorkDir, place: Place, replicas: &[SocketAddr]) -> Result<Self, Failure> {
        Self::start_as(Kind::Ingress, dir, place, replicas).await
    }

    /// Starts nginx of that kind over the given replicas, round robin.
    pub async fn start_as(kind: Kind, dir: &WorkDir, place: Place, replicas: &[SocketAddr]) -> Result<Self, Failure> {
        Self::start_apart(kind, dir, place, replicas, None).await
    }

    /// As [`Gateway::start_as`], with checks that go to a listener of their own.
    pub async fn start_apart(
        kind: Kind,
        dir: &WorkDir,
        place: Place,
        replicas: &[SocketAddr],
        checks: Option<SocketAddr>,
    ) -> Result<Self, Failure> {
        let home = dir.sub(&format!("nginx-{}", place.host));
        let config = home.join("nginx.conf");
        std::fs::write(&config, configuration(kind, place, replicas, checks, &place.authority())?)?;
        let prefix = format!("{}/", home.display());
        let args = ["-p".as_ref(), prefix.as_ref(), "-c".as_ref(), config.as_os_str()];
        let mut process = Process::start("nginx", &dir.join("nginx.log"), "nginx".as_ref(), &args)?.with_children();
        process.listening(place.address, Duration::from_secs(10)).await?;
        Ok(Self { process, place, kind, config, checks })
    }

    /// Another service answers from now on, and browsers sign in at `sign_in` (host:port): the configuration is
    /// written anew and reloaded, as ingress-nginx does it. Returns when no worker has the old one.
    pub async fn point_at(&mut self, replicas: &[SocketAddr], sign_in: &str) -> Result<(), Failure> {
        std::fs::write(&self.config, configuration(self.kind, self.place, replicas, self.checks, sign_in)?)?;
        // It listens before it has workers: those of its start must not be taken for new ones.
        let old = self.workers_besides(&[]).await?;
        self.process.signal(Signal::HUP)?;
        self.workers_besides(&old).await?;
        Ok(())
    }

    /// Waits until it has its workers, and no other children, none of them among `old`.
    async fn workers_besides(&self, old: &[u32]) -> Result<Vec<u32>, Failure> {
        timing::until("the workers of nginx, and the end of older ones", RELOAD_WITHIN, || {
            let now = self.process.children().unwrap_or_default();
            let whole = now.len() == WORKERS && now.iter().all(|worker| !old.contains(worker));
            async move { whole.then_some(now) }
        })
        .await
    }

    /// Its listener.
    pub fn address(&self) -> SocketAddr {
        self.place.address
    }

    /// The process, for faults.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// What the app behind the gateway saw of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Request target, query included.
    pub uri: String,
    /// The path as the app's own server reads it: decoded, dot segments resolved, slashes merged.
    pub path: String,
    /// Request method.
    pub method: String,
    /// `X-Auth-Request-User`.
    pub user: String,
    /// `X-Auth-Request-Email`.
    pub email: String,
    /// `X-Auth-Request-Groups`.
    pub groups: String,
    /// `Authorization`, where the gateway's app tells it.
    pub authorization: String,
}

impl Seen {
    /// Reads the app's echo; `None` if the answer is not the app's.
    pub fn of(answer: &Answer) -> Option<Self> {
        let mut seen = Self::default();
        let mut lines = answer.body.lines();
        if answer.status != 200 || lines.next() != Some("app") {
            return None;
        }
        for line in lines {
            let (name, value) = line.split_once('=')?;
            let field = match name {
                "uri" => &mut seen.uri,
                "path" => &mut seen.path,
                "method" => &mut seen.method,
                "user" => &mut seen.user,
                "email" => &mut seen.email,
                "groups" => &mut seen.groups,
                "authorization" => &mut seen.authorization,
                _ => return None,
            };
            value.clone_into(field);
        }
        Some(seen)
    }
}

fn configuration(
    kind: Kind,
    place: Place,
    replicas: &[SocketAddr],
    checks: Option<SocketAddr>,
    sign_in: &str,
) -> Result<String, Failure> {
    let servers = |addresses: &[SocketAddr]| {
        let mut text = String::new();
        for address in addresses {
            writeln!(text, "        server {address};").expect("a string takes all");
        }
        text
    };
    let block = if kind == Kind::Guide { printed_block()? } else { String::new() };
    let filled = kind
        .template()
        .replace("@BLOCK@", &block)
        .replace("@SERVERS@", &servers(replicas))
        .replace("@CHECKS@", &servers(checks.as_ref().map_or(replicas, std::slice::from_ref)))
        .replace("@LISTEN@", &place.address.to_string())
        .replace("@PORT@", &place.address.port().to_string())
        .replace("@APP@", &place.app.to_string())
        .replace("@BEHIND@", &place.behind.to_string())
        .replace("@WORKERS@", &WORKERS.to_string())
        .replace("@APP_HOST@", place.host)
        .replace("@SIGN_IN@", sign_in)
        .replace("@AUTH_HOST@", AUTH_HOST);
    Ok(filled)
}

/// The location of the check as the operating guide prints it for a plain nginx.
fn printed_block() -> Result<String, Failure> {
    let guide = std::fs::read_to_string(repository().join("docs/operating.md"))?;
    let block = guide.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next());
    Ok(block.ok_or("docs/operating.md has no block for nginx")?.to_owned())
}

impl Kind {
    const fn template(self) -> &'static str {
        match self {
            Self::Ingress => include_str!("gateway/nginx.conf"),
            Self::Guide => include_str!("gateway/guide.conf"),
            Self::Plain => include_str!("gateway/plain.conf"),
            Self::Forward => include_str!("gateway/forward.conf"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browser::Robot;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers every check with the user that the cookie names, or 401 without one.
    async fn stand_in() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = vec![0_u8; 16 * 1024];
                let count = stream.read(&mut buffer).await.unwrap_or_default();
                let request = String::from_utf8_lossy(&buffer[..count]).into_owned();
                let known = request.to_ascii_lowercase().contains("\r\ncookie: user=alice\r\n");
                assert!(request.contains("\r\nX-Original-URL: http://app.example.test:"), "{request}");
                let head = if known { "202 Accepted\r\nX-Auth-Request-User: alice" } else { "401 Unauthorized" };
                let answer = format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn the_gateway_asks_and_the_app_sees_the_answer() {
        let dir = WorkDir::fresh("gateway");
        let place = Place::draw();
        let gateway = Gateway::start(&dir, place, &[stand_in().await]).await.expect("nginx starts");
        let mut robot = Robot::new("alice").via(&place.authority(), gateway.address());
        let url = place.url("/a%2Fb?x=1&y=%20");
        let stranger = robot.get_with(&url, &[("X-Auth-Request-User", "root")]).await.expect("answered");
        assert_eq!(stranger.status, 302);
        let target = format!("/oauth2/start?rd=http://{}%2Fa%252Fb%3Fx%3D1%26y%3D%2520", place.authority());
        assert!(stranger.header("location").ends_with(&target), "{}", stranger.header("location"));
        let known =
            robot.get_with(&url, &[("Cookie", "user=alice"), ("X-Auth-Request-User", "root")]).await.expect("answered");
        let seen = Seen::of(&known).expect("the app answers");
        assert_eq!((seen.uri.as_str(), seen.user.as_str(), seen.email.as_str()), ("/a%2Fb?x=1&y=%20", "alice", ""));
    }
}
