//! The real program as one of three replicas: started, killed, started again, and looked at.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::Failure;
use crate::measure::Latencies;
use crate::peers::{Place, free_port, scratch_dir};
use crate::service::{AUTH, READY_WITHIN, ask, binary, flags};
use crate::usage::{self, Memory};
use crate::wrk::Server;

/// How often to look whether something has come about.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A replica that wrote less than [`QUIET_BYTES`] for so long has finished what it had to do.
const QUIET_FOR: Duration = Duration::from_secs(3);

/// The marker is renewed every second, in a block or two.
const QUIET_BYTES: u64 = 64 * 1024;

/// The measured replica.
pub struct Replica {
    dir: TempDir,
    http: u16,
    admin: u16,
    flags: Vec<String>,
    server: Option<Server>,
}

impl Replica {
    /// Starts the first of `places`.
    pub fn start(places: &[Place], secret: &str, more: &[&str]) -> Result<Self, Failure> {
        let (dir, http, admin) = (scratch_dir()?, free_port()?, free_port()?);
        let (own, names) = (&places[0], places.iter().map(|place| place.name.to_string()).collect::<Vec<_>>());
        let mut flags = flags(http, admin, own.name.as_str(), &dir.path().join("data"), secret);
        flags.extend([format!("--peers={}", names.join(",")), format!("--peer-address={}", own.address)]);
        let mut replica = Self { dir, http, admin, flags, server: None };
        replica.spawn(more)?;
        Ok(replica)
    }

    fn spawn(&mut self, more: &[&str]) -> Result<(), Failure> {
        let mut flags = self.flags.clone();
        flags.extend(more.iter().map(|&flag| flag.to_owned()));
        self.server = Some(Server::start_unpinned(&binary()?, &flags)?);
        Ok(())
    }

    /// Ends it as a lost node would.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Kills it and starts it again; the time until it is ready.
    pub async fn restart(&mut self, more: &[&str]) -> Result<Duration, Failure> {
        self.kill();
        let begun = Instant::now();
        self.spawn(more)?;
        self.ready().await?;
        Ok(begun.elapsed())
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&mut self) -> Result<(), Failure> {
        let http = self.http;
        self.until("ready", || Ok(ask(http, "/ready", &[])?.status == 200)).await
    }

    /// Waits until it has applied so many logins.
    pub async fn holds(&mut self, sessions: usize) -> Result<(), Failure> {
        let admin = self.admin;
        self.until("filled", || Ok(number(&status(admin)?, "sessions")? == sessions as u64)).await
    }

    /// Waits until a snapshot was built, the log cut and what was cut removed.
    pub async fn cut(&mut self) -> Result<(), Failure> {
        let snapshots = self.data().join("snapshots");
        self.until("cut", || Ok(snapshots.join("current").exists())).await?;
        loop {
            let before = self.written()?;
            sleep(QUIET_FOR).await;
            if self.written()? < before + QUIET_BYTES {
                return Ok(());
            }
        }
    }

    async fn until(&mut self, what: &str, mut has: impl FnMut() -> Result<bool, Failure>) -> Result<(), Failure> {
        let begun = Instant::now();
        let server = self.server.as_mut().ok_or("it was killed")?;
        while begun.elapsed() < READY_WITHIN && server.runs() {
            // While it starts, nobody listens.
            if has().unwrap_or(false) {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        Err(format!("the replica is not {what} after {:?}", begun.elapsed()).into())
    }

    fn process(&self) -> Result<u32, Failure> {
        Ok(self.server.as_ref().ok_or("it was killed")?.id())
    }

    /// Its memory now.
    pub fn memory(&self) -> Result<Memory, Failure> {
        usage::memory(self.process()?)
    }

    /// Bytes it has written since it was started.
    pub fn written(&self) -> Result<u64, Failure> {
        usage::written(self.process()?)
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Bytes of its volume in use.
    pub fn disk(&self) -> Result<u64, Failure> {
        usage::disk(&self.data())
    }

    /// Bytes of its snapshots.
    pub fn snapshot(&self) -> Result<u64, Failure> {
        usage::disk(&self.data().join("snapshots"))
    }

    /// The memory of the process that proves its store whole, which it starts itself at each start.
    pub async fn proof(&self) -> Result<Memory, Failure> {
        let arguments = ["verify-store".to_owned(), self.data().display().to_string()];
        let mut proof = Server::start_unpinned(&binary()?, &arguments)?;
        let mut last = Memory::default();
        while proof.runs() {
            // Between its end and our noticing it has no memory.
            last = usage::memory(proof.id()).unwrap_or(last);
            sleep(Duration::from_millis(1)).await;
        }
        Ok(last)
    }

    /// Checks each cookie once, on one connection; the median round trip.
    pub fn check(&self, cookies: &[String]) -> Result<Duration, Failure> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.http))?;
        stream.set_nodelay(true)?;
        let (mut answers, mut stream) = (BufReader::new(stream.try_clone()?), stream);
        let mut took = Vec::with_capacity(cookies.len());
        for cookie in cookies {
            let begun = Instant::now();
            let question = format!("GET {AUTH} HTTP/1.1\r\nHost: auth.test\r\nCookie: {cookie}\r\n\r\n");
            stream.write_all(question.as_bytes())?;
            let status = read_head(&mut answers)?;
            if !status.contains(" 202 ") {
                return Err(format!("a check was answered {status}").into());
            }
            took.push(begun.elapsed());
        }
        let mut latencies = Latencies::default();
        latencies.extend(took);
        Ok(latencies.percentile(50))
    }
}

/// Reads an answer without a body; its status line.
fn read_head(answers: &mut impl BufRead) -> Result<String, Failure> {
    let mut status = String::new();
    answers.read_line(&mut status)?;
    let mut line = String::new();
    loop {
        line.clear();
        if answers.read_line(&mut line)? == 0 {
            return Err("the connection was closed".into());
        }
        if line == "\r\n" {
            return Ok(status.trim().to_owned());
        }
    }
}

fn status(admin: u16) -> Result<Value, Failure> {
    let answer = ask(admin, "/status", &[])?;
    // Chunked or not, the object is whole.
    Ok(serde_json::from_str(&answer.body)?)
}

fn number(status: &Value, name: &str) -> Result<u64, Failure> {
    Ok(status[name].as_u64().ok_or_else(|| format!("the status has no {name}"))?)
}
