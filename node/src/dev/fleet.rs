//! The replicas as child processes: one thread starts, stops and watches them.
//!
//! It is a thread of its own because the kernel ties a child to the thread that started it
//! (`PR_SET_PDEATHSIG`), and threads of a runtime come and go.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::ports::{Ports, REPLICAS};
use super::{RunKeys, args, complain};

/// How often exits are looked for while nobody orders anything.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// Orders under way at once: more buttons than anybody presses.
const ORDERS: usize = 16;

/// Lines of a replica's log that are shown when it ends by itself.
const LAST_LINES: usize = 15;

/// What the demonstration is called at its provider.
pub(super) const CLIENT_ID: &str = "conclave-dev";

/// The session cookie: `localhost` shares cookies between ports, so no usual name.
const COOKIE_NAME: &str = "_conclave_dev";

/// Whether a replica's process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It runs.
    Running,
    /// Somebody pressed the button.
    Stopped,
    /// It ended by itself.
    Ended,
}

/// What to do with one replica, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Start it if it does not run.
    Start(usize),
    /// Kill it, as a crash would.
    Stop(usize),
}

enum Message {
    Order(Order, oneshot::Sender<io::Result<()>>),
    End,
}

type Lives = Arc<Mutex<[Life; REPLICAS]>>;

/// The running replicas; [`Fleet::end`] kills them.
pub(super) struct Fleet {
    handle: FleetHandle,
    thread: JoinHandle<()>,
}

/// Gives orders and tells who lives.
#[derive(Clone)]
pub(super) struct FleetHandle {
    messages: SyncSender<Message>,
    lives: Lives,
}

/// A replica that the thread did not answer for.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// Too many orders at once, or the demonstration is ending.
    #[error("the demonstration is busy or ending")]
    Busy,
    /// The process could not be started.
    #[error("the replica cannot be started: {0}")]
    Failed(io::Error),
}

impl Fleet {
    /// Starts all replicas.
    pub(super) fn launch(ports: &Ports, keys: &RunKeys, dir: &Path) -> io::Result<Self> {
        let exe = std::env::current_exe()?;
        let crew = Crew {
            recipes: std::array::from_fn(|index| Recipe::new(&exe, ports, keys, dir, index)),
            children: std::array::from_fn(|_| None),
            lives: Arc::new(Mutex::new([Life::Stopped; REPLICAS])),
        };
        let (messages, inbox) = sync_channel(ORDERS);
        let handle = FleetHandle { messages, lives: Arc::clone(&crew.lives) };
        let (started, outcome) = std::sync::mpsc::channel();
        let thread =
            std::thread::Builder::new().name("replicas".to_owned()).spawn(move || crew.run(&inbox, &started))?;
        let fleet = Self { handle, thread };
        match outcome.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that starts replicas ended"))) {
            Ok(()) => Ok(fleet),
            Err(error) => {
                fleet.end();
                Err(error)
            }
        }
    }

    pub(super) fn handle(&self) -> FleetHandle {
        self.handle.clone()
    }

    /// Kills all replicas and waits until they are gone.
    pub(super) fn end(self) {
        let _ = self.handle.messages.send(Message::End);
        if self.thread.join().is_err() {
            complain("conclave dev: the thread that watches the replicas failed");
        }
    }
}

impl FleetHandle {
    /// Carries the order out.
    pub(super) async fn order(&self, order: Order) -> Result<(), OrderError> {
        let (done, outcome) = oneshot::channel();
        self.messages.try_send(Message::Order(order, done)).map_err(|_| OrderError::Busy)?;
        outcome.await.map_err(|_| OrderError::Busy)?.map_err(OrderError::Failed)
    }

    /// Who lives.
    pub(super) fn lives(&self) -> [Life; REPLICAS] {
        *self.lives.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A handle without a thread behind it.
    #[cfg(test)]
    pub(super) fn fixed(lives: [Life; REPLICAS]) -> Self {
        Self { messages: sync_channel(1).0, lives: Arc::new(Mutex::new(lives)) }
    }
}

/// How to start one replica.
struct Recipe {
    exe: PathBuf,
    flags: Vec<String>,
    /// By variables, because flags can be read by every user of the machine.
    secrets: [(&'static str, String); 2],
    log: PathBuf,
}

impl Recipe {
    fn new(exe: &Path, ports: &Ports, keys: &RunKeys, dir: &Path, index: usize) -> Self {
        let own = ports.replicas[index];
        let peers: Vec<String> = ports.replicas.iter().map(|replica| replica.peer_name()).collect();
        let name = format!("replica-{}", index + 1);
        let flags = vec![
            format!("--http-address=127.0.0.1:{}", own.http),
            format!("--peer-address=127.0.0.1:{}", own.peer),
            format!("--admin-address=127.0.0.1:{}", own.admin),
            format!("--auth-address=127.0.0.1:{}", own.auth),
            format!("--peers={}", peers.join(",")),
            format!("--self={}", own.peer_name()),
            format!("--data-dir={}", dir.join(&name).display()),
            "--provider=oidc".to_owned(),
            "--provider-display-name=the demo provider".to_owned(),
            format!("--oidc-issuer-url=http://localhost:{}", ports.provider),
            format!("--client-id={CLIENT_ID}"),
            format!("--redirect-url=http://localhost:{}/oauth2/callback", own.http),
            "--scope=openid email profile groups".to_owned(),
            "--email-domain=*".to_owned(),
            format!("--whitelist-domain=localhost:{}", ports.app),
            format!("--cookie-name={COOKIE_NAME}"),
            "--cookie-secure=false".to_owned(),
            "--set-xauthrequest=true".to_owned(),
            "--gateway=ingress-nginx".to_owned(),
            // Short, so that the loss of the majority shows within a visit to the page.
            "--max-staleness=10s".to_owned(),
            "--drain-delay=0s".to_owned(),
        ];
        let secrets = [
            ("OAUTH2_PROXY_COOKIE_SECRET", keys.cookie_secret.clone()),
            ("OAUTH2_PROXY_CLIENT_SECRET", keys.client_secret.clone()),
        ];
        Self { exe: exe.to_owned(), flags, secrets, log: dir.join(format!("{name}.log")) }
    }

    fn start(&self) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.exe);
        // Settings that stand in this shell are meant for something else.
        for (name, _) in std::env::vars_os() {
            let ours =
                name.to_str().is_some_and(|name| name.starts_with("OAUTH2_PROXY_") || name.starts_with("CONCLAVE_"));
            if ours {
                command.env_remove(name);
            }
        }
        command
            .args(["dev", args::ADOPT, &std::process::id().to_string()])
            .args(&self.flags)
            .envs(self.secrets.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
    }
}

/// The children and how to start them; lives on its own thread.
struct Crew {
    recipes: [Recipe; REPLICAS],
    children: [Option<Child>; REPLICAS],
    lives: Lives,
}

impl Crew {
    fn run(mut self, inbox: &Receiver<Message>, started: &std::sync::mpsc::Sender<io::Result<()>>) {
        let all = (0..REPLICAS).try_for_each(|index| self.start(index));
        let running = all.is_ok();
        let _ = started.send(all);
        if running {
            self.obey(inbox);
        }
        (0..REPLICAS).for_each(|index| self.stop(index));
    }

    /// Follows orders until the end.
    fn obey(&mut self, inbox: &Receiver<Message>) {
        loop {
            match inbox.recv_timeout(WATCH_INTERVAL) {
                Ok(Message::Order(order, done)) => {
                    let outcome = match order {
                        Order::Start(index) => self.start(index),
                        Order::Stop(index) => {
                            self.stop(index);
                            Ok(())
                        }
                    };
                    let _ = done.send(outcome);
                }
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => self.look_for_exits(),
            }
        }
    }

    fn start(&mut self, index: usize) -> io::Result<()> {
        if self.children[index].is_none() {
            self.children[index] = Some(self.recipes[index].start()?);
            self.set(index, Life::Running);
        }
        Ok(())
    }

    fn stop(&mut self, index: usize) {
        if let Some(mut child) = self.children[index].take() {
            // Fails only for a child that is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.set(index, Life::Stopped);
    }

    fn look_for_exits(&mut self) {
        for index in 0..REPLICAS {
            let exit = self.children[index].as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(exit) = exit {
                self.children[index] = None;
                self.set(index, Life::Ended);
                complain(&self.obituary(index, exit));
            }
        }
    }

    fn obituary(&self, index: usize, exit: ExitStatus) -> String {
        let log = std::fs::read_to_string(&self.recipes[index].log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n    ");
        format!("  Replica {} ended by itself ({exit}); its last words:\n    {last}", index + 1)
    }

    fn set(&self, index: usize, life: Life) {
        self.lives.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[index] = life;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::args::Options;

    #[test]
    fn secrets_stay_off_the_command_line() {
        let ports = Ports::plan(&Options::default()).unwrap();
        let keys = RunKeys::draw();
        let recipe = Recipe::new(Path::new("conclave"), &ports, &keys, Path::new("/x"), 1);
        let flags = recipe.flags.join(" ");
        assert!(!flags.contains(&keys.cookie_secret) && !flags.contains(&keys.client_secret));
        assert!(flags.contains("--self=localhost:4281") && flags.contains("--data-dir=/x/replica-2"), "{flags}");
        assert!(flags.contains("--peers=localhost:4181,localhost:4281,localhost:4381"), "{flags}");
    }

    /// Uses children that sleep in the place of replicas.
    #[test]
    fn children_are_stopped_started_and_missed() {
        let dir = tempfile::tempdir().unwrap();
        let recipe = |name: &str, exe: &str| Recipe {
            exe: PathBuf::from(exe),
            flags: Vec::new(),
            secrets: [("A", String::new()), ("B", String::new())],
            log: dir.path().join(name),
        };
        // `cat` waits for its input, which is empty here: it ends at once, complaining about its flags.
        let crew = Crew {
            recipes: [recipe("1", "/bin/cat"), recipe("2", "/bin/cat"), recipe("3", "/nonexistent")],
            children: std::array::from_fn(|_| None),
            lives: Arc::new(Mutex::new([Life::Stopped; REPLICAS])),
        };
        let mut crew = crew;
        assert!(crew.start(2).is_err());
        crew.start(0).unwrap();
        assert_eq!(crew.lives.lock().unwrap()[0], Life::Running);
        let exit = crew.children[0].as_mut().unwrap().wait().unwrap();
        assert!(!exit.success());
        crew.look_for_exits();
        assert_eq!(*crew.lives.lock().unwrap(), [Life::Ended, Life::Stopped, Life::Stopped]);
        assert!(crew.obituary(0, exit).contains("Replica 1"), "{}", crew.obituary(0, exit));
        crew.start(1).unwrap();
        crew.stop(1);
        assert_eq!(crew.lives.lock().unwrap()[1], Life::Stopped);
    }
}
