//! One child process with its log file: started, signalled, waited for, and gone when the harness is.

use std::ffi::OsStr;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::{Failure, timing};

/// How long a program with children of its own may take to end them.
const GENTLE_END: Duration = Duration::from_secs(2);

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    has_children: bool,
}

impl Process {
    /// Starts `program`; stdout and stderr are appended to `log`. The kernel kills it should the
    /// harness die, so that no run leaves processes behind.
    pub fn start<A: AsRef<OsStr>>(name: &str, log: &Path, program: &Path, args: &[A]) -> Result<Self, Failure> {
        Self::start_with(name, log, program, args, |_| {})
    }

    /// As [`Process::start`], with a last touch on the command (environment, directory).
    pub fn start_with<A: AsRef<OsStr>>(
        name: &str,
        log: &Path,
        program: &Path,
        args: &[A],
        touch: impl FnOnce(&mut Command),
    ) -> Result<Self, Failure> {
        let output = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(args);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        touch(&mut command);
        let child = command.spawn().map_err(|error| format!("{name} does not start: {error}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), has_children: false })
    }

    /// Ends it by SIGTERM when dropped: nginx's workers outlive a master that is killed.
    pub fn with_children(mut self) -> Self {
        self.has_children = true;
        self
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Process ids of its children.
    pub fn children(&self) -> Result<Vec<u32>, Failure> {
        let id = self.child.id();
        let listed = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        Ok(listed.split_whitespace().filter_map(|child| child.parse().ok()).collect())
    }

    /// The log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGKILL without waiting.
    pub fn kill_now(&mut self) {
        let _ = self.child.kill();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or("no process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// SIGTERM, and waits up to `limit`.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus, Failure> {
        self.signal(Signal::TERM)?;
        let what = format!("the end of {}", self.name);
        timing::until(&what, limit, || {
            let ended = self.child.try_wait().ok().flatten();
            async move { ended }
        })
        .await
    }

    /// Waits until `address` accepts connections; fails at once, with the log's tail, if the process ends.
    pub async fn listening(&mut self, address: SocketAddr, limit: Duration) -> Result<(), Failure> {
        let begun = timing::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if let Some(status) = self.ended() {
                return Err(format!("{} ended with {status}:\n{}", self.name, tail(&self.log)).into());
            }
            if begun.elapsed() > limit {
                return Err(format!("{} does not listen on {address}:\n{}", self.name, tail(&self.log)).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.has_children && self.signal(Signal::TERM).is_ok() {
            let begun = timing::now();
            while self.ended().is_none() && begun.elapsed() < GENTLE_END {
                std::thread::yield_now();
            }
        }
        self.kill();
    }
}

/// The last lines of a log, for messages.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// Runs a command to its end; fails with its output unless it succeeds.
pub fn run<A: AsRef<OsStr>>(program: &str, args: &[A]) -> Result<String, Failure> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(
            format!("{program} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
