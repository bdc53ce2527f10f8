//! Local users at run time: their passwords are checked beside the threads that serve, a few at a time.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;
use std::time::Duration;

use conclave_proto::authorization::BasicCredentials;
use conclave_proto::htpasswd::{LineDigest, LocalUsers, Trial};
use conclave_proto::id::ProviderId;
use conclave_proto::session::{Identity, SessionBody};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::LocalConfig;

mod turns;

use turns::Turns;

/// Issuer of their sessions. It is no URL, so no provider can have it.
pub const LOCAL_ISSUER: &str = "htpasswd";

/// Provider id of their sessions.
pub static LOCAL_PROVIDER: LazyLock<ProviderId> =
    LazyLock::new(|| ProviderId::parse(LOCAL_ISSUER).expect("few letters are a name"));

/// Most checks that wait for their turn, of all clients together: beyond it the answer is 503 at once. A client has its
/// share of them.
const MOST_WAITING: usize = 64;

/// Longest wait for a turn: a gateway waits with it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest password that bcrypt looks at, its closing zero included.
const BCRYPT_LIMIT: usize = 72;

/// Too many passwords are being checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too many passwords are being checked at once")]
pub struct TooBusy;

/// The users, and whose turn it is.
pub struct LocalDoor {
    config: LocalConfig,
    users: watch::Sender<Arc<LocalUsers>>,
    turns: Turns,
}

impl LocalDoor {
    /// Of the configured file.
    pub fn new(config: LocalConfig) -> Self {
        // Half of the cores go on serving, whatever is asked.
        let turns = available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        Self { users: watch::Sender::new(Arc::clone(&config.users)), turns: Turns::new(turns, MOST_WAITING), config }
    }

    /// Its settings.
    pub fn config(&self) -> &LocalConfig {
        &self.config
    }

    /// Takes a new file into use.
    pub fn replace(&self, users: LocalUsers) {
        self.users.send_replace(Arc::new(users));
    }

    /// The users as they are now, and as they will be.
    pub fn watch(&self) -> watch::Receiver<Arc<LocalUsers>> {
        self.users.subscribe()
    }

    /// The line that lets the user with these credentials in, if one does; the client that brings them has a share of the
    /// queue. bcrypt runs on `runtime`'s blocking threads.
    pub async fn admits(
        &self,
        credentials: BasicCredentials,
        client: Option<IpAddr>,
        runtime: &Handle,
    ) -> Result<Option<LineDigest>, TooBusy> {
        let users = Arc::clone(&self.users.borrow());
        let trial = users.trial(&credentials.user);
        if !users.is_costly() {
            return Ok(try_password(&trial, &credentials.password));
        }
        let place = self.turns.take_place(client).ok_or(TooBusy)?;
        let turn = timeout(PATIENCE, place).await;
        let Ok(Ok(turn)) = turn else { return Err(TooBusy) };
        // The turn goes along: it lasts as long as the work, even if the client hangs up.
        let work = runtime.spawn_blocking(move || {
            let admitted = try_password(&trial, &credentials.password);
            drop(turn);
            admitted
        });
        work.await.map_err(|_| TooBusy)
    }

    /// Who the user of that name is, let in by `line`. `by_basic`: the name came with the request, not by the form.
    pub fn session_body(&self, user: &str, line: LineDigest, by_basic: bool) -> SessionBody {
        let email = if by_basic && self.config.name_is_email { user.to_owned() } else { String::new() };
        SessionBody {
            identity: Identity {
                user: user.to_owned(),
                email,
                groups: self.config.groups.clone(),
                preferred_username: String::new(),
                groups_claimed: true,
            },
            issuer: LOCAL_ISSUER.to_owned(),
            id_token: String::new(),
            access_token: String::new(),
            refresh_token: String::new(),
            token_expires_at: None,
            additional_claims: Vec::new(),
            local_line: Some(line),
        }
    }
}

/// The line whose password it is. Does all that the trial asks for, whatever its outcome.
fn try_password(trial: &Trial, password: &[u8]) -> Option<LineDigest> {
    for cost in &trial.padding {
        std::hint::black_box(bcrypt(*cost, [0; 16], password));
    }
    trial.line.as_ref().filter(|(hash, _)| hash.fits(password, bcrypt)).map(|(_, line)| *line)
}

/// bcrypt of a password as a zero-ended string, of which the first 72 bytes count.
fn bcrypt(cost: u32, salt: [u8; 16], password: &[u8]) -> [u8; 24] {
    let mut ended = zeroize::Zeroizing::new([0; BCRYPT_LIMIT]);
    let length = password.len().min(BCRYPT_LIMIT);
    ended[..length].copy_from_slice(&password[..length]);
    bcrypt::bcrypt(cost, salt, &ended[..(length + 1).min(BCRYPT_LIMIT)])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use zeroize::Zeroizing;

    use super::*;

    const BCRYPT_PW: &str = "$2y$04$abcdefghijklmnopqrstuuyvPXIbu7xe6/CED2DzX8z6Si09MlzlW";

    fn door(file: &str) -> LocalDoor {
        LocalDoor::new(LocalConfig {
            file: PathBuf::new(),
            users: Arc::new(LocalUsers::parse(file).expect("users")),
            groups: vec!["local".to_owned()],
            show_form: true,
            name_is_email: false,
        })
    }

    fn credentials(user: &str, password: &str) -> BasicCredentials {
        BasicCredentials { user: user.to_owned(), password: Zeroizing::new(password.as_bytes().to_vec()) }
    }

    #[tokio::test]
    async fn passwords_of_both_kinds_are_checked() {
        let door = door(&format!("bob:{BCRYPT_PW}\nsha:{{SHA}}GpHWL3ymc5liWkNopqtdSjuqYHM=\n"));
        for (user, password, admitted) in
            [("bob", "pw", true), ("sha", "pw", true), ("bob", "PW", false), ("bob", "", false), ("eve", "pw", false)]
        {
            let line = door.admits(credentials(user, password), None, &Handle::current()).await;
            assert_eq!(line.map(|line| line.is_some()), Ok(admitted), "{user}");
        }
        let long = "x".repeat(100);
        assert_eq!(door.admits(credentials("bob", &long), None, &Handle::current()).await, Ok(None));
    }

    #[tokio::test]
    async fn cve_2025_24806_the_queue_is_one_for_all_names() {
        let door = door(&format!("bob:{BCRYPT_PW}\n"));
        let client = Some(IpAddr::from([192, 0, 2, 1]));
        let taken: Vec<_> = std::iter::from_fn(|| door.turns.take_place(client)).collect();
        assert!(taken.len() >= MOST_WAITING);
        for name in ["bob", "BOB", "bob@example.test", " bob", "eve"] {
            let asked = door.admits(credentials(name, "pw"), client, &Handle::current()).await;
            assert_eq!(asked, Err(TooBusy), "{name}");
        }
        drop(taken);
        assert!(matches!(door.admits(credentials("bob", "pw"), client, &Handle::current()).await, Ok(Some(_))));
    }
}
