//! From somebody known to a committed session: mint, seal, commit.

use std::net::IpAddr;

use conclave_proto::command::{Command, CreateSession, Outcome, Refusal};
use conclave_proto::id::{AttemptId, Generation, ProviderId, SessionKey};
use conclave_proto::keyring::Keyring;
use conclave_proto::seal::{seal_body, seal_label};
use conclave_proto::session::{SessionBody, SessionLabel};
use conclave_proto::ticket::{TICKET_ENTROPY, Ticket};
use conclave_raft::{ReplicatedStore, WriteError};
use tracing::warn;

use super::problem::Problem;
use super::{COMMIT_DEADLINE, Service};
use crate::audit::{self, Asker};
use crate::inject::{NGINX_HEAD_BUDGET, answer_headers};

/// What a session is made of.
pub struct NewSession<'a> {
    /// What makes at most one session.
    pub attempt: AttemptId,
    /// Who vouched.
    pub provider: &'a ProviderId,
    /// With the body's issuer, what the person's index keys are bound to.
    pub client_id: &'a str,
    /// The person, for the voucher.
    pub subject: &'a str,
    /// The voucher's own session, where it names one.
    pub sid: Option<&'a str>,
    /// What the session keeps.
    pub body: SessionBody,
    /// The browser's address.
    pub client: Option<IpAddr>,
    /// The browser's name for itself.
    pub user_agent: &'a str,
    /// For the log.
    pub asker: &'a Asker,
    /// Sessions whose cookies came along: they end in the same write.
    pub replaces: Vec<SessionKey>,
}

/// What became of it.
pub enum Committed {
    /// The value of its cookie.
    Cookie(String),
    /// The attempt made one already.
    Elsewhere,
}

/// Makes the session, under a new id whatever cookie came along.
pub async fn commit(service: &Service, store: &ReplicatedStore, new: NewSession<'_>) -> Result<Committed, Problem> {
    let ring = service.keyring().ok_or_else(|| service.not_ready())?;
    let (ticket, command) = seal(service, &ring, &new)?;
    match store.write(Command::CreateSession(command), COMMIT_DEADLINE).await {
        Ok(written) => match written.outcome {
            Outcome::Created { index, .. } => {
                new.replaces.iter().for_each(|key| service.opened.remove(key));
                service.metrics.logins_succeeded.inc();
                audit::logged_in(new.asker, &new.body.identity, new.provider.as_str());
                let name = service.site.cookie_name();
                Ok(Committed::Cookie(ticket.with_index(index).encode(&ring, name)))
            }
            Outcome::Refused(refusal) => refused(service, refusal),
            Outcome::Done | Outcome::Revoked(_) | Outcome::Expired(_) => Err(Problem::Refused(Refusal::Invalid)),
        },
        Err(WriteError::Refused(refusal)) => refused(service, refusal),
        Err(error) => Err(error.into()),
    }
}

fn refused(service: &Service, refusal: Refusal) -> Result<Committed, Problem> {
    match refusal {
        Refusal::AttemptUsed => Ok(Committed::Elsewhere),
        Refusal::StorageNearlyFull => {
            service.metrics.logins_without_room.inc();
            Err(Problem::StorageNearlyFull)
        }
        Refusal::AlreadyFounded
        | Refusal::NotFounded
        | Refusal::WrongEpoch
        | Refusal::TooOld
        | Refusal::TooLarge
        | Refusal::KeyTaken
        | Refusal::Invalid => Err(Problem::Refused(refusal)),
    }
}

fn seal(service: &Service, ring: &Keyring, new: &NewSession<'_>) -> Result<(Ticket, CreateSession), Problem> {
    let (site, body) = (&service.site, &new.body);
    let head = answer_headers(site.headers(), body)?.head_bytes();
    if head > NGINX_HEAD_BUDGET {
        warn!(head, "the headers of this session do not fit into nginx's default proxy_buffer_size of 4k: raise it");
    }
    let mut entropy = [0; TICKET_ENTROPY];
    service.entropy.fill(&mut entropy);
    let ticket = Ticket::mint(entropy, ring.epoch(), service.clock.now());
    let (key, cluster_key) = (ticket.key(), ring.cluster_key());
    let label = SessionLabel {
        user: body.identity.user.clone(),
        email: body.identity.email.clone(),
        preferred_username: body.identity.preferred_username.clone(),
        client_address: new.client.map_or_else(String::new, |address| address.to_string()),
        user_agent: new.user_agent.to_owned(),
    };
    let command = CreateSession {
        key,
        attempt: new.attempt,
        epoch: ring.epoch(),
        provider: new.provider.clone(),
        site: site.id().clone(),
        lifetime: site.config().cookie.session_lifetime(),
        subject: cluster_key.subject_key(&body.issuer, new.client_id, new.subject),
        sid: new.sid.map(|sid| cluster_key.sid_key(&body.issuer, new.client_id, sid)),
        label: seal_label(cluster_key, &key, &label, nonce(service)).map_err(Problem::TooLarge)?,
        body: seal_body(cluster_key, &ticket, Generation::default(), body, nonce(service))
            .map_err(Problem::TooLarge)?,
        replaces: new.replaces.clone(),
        sessions_per_person: service.config.cluster.sessions_per_person,
    };
    Ok((ticket, command))
}

fn nonce(service: &Service) -> [u8; 12] {
    let mut nonce = [0; 12];
    service.entropy.fill(&mut nonce);
    nonce
}
