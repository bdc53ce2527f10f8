//! From a code to a committed session: claim, exchange, verify, decide, seal, commit.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use conclave_proto::command::{Command, CreateSession, Outcome, Refusal};
use conclave_proto::id::Generation;
use conclave_proto::keyring::Keyring;
use conclave_proto::login::LoginAttempt;
use conclave_proto::policy::{Known, login_allowed};
use conclave_proto::seal::{seal_body, seal_label};
use conclave_proto::session::{SessionBody, SessionLabel};
use conclave_proto::ticket::{TICKET_ENTROPY, Ticket};
use conclave_raft::{Claim, ReplicatedStore, WriteError};
use tracing::warn;

use super::problem::Problem;
use super::{COMMIT_DEADLINE, Service};
use crate::audit::{self, Asker};
use crate::inject::{NGINX_HEAD_BUDGET, answer_headers, head_bytes};
use crate::oidc::SessionClaims;

/// How long a second comer waits for the first one's outcome: as long as a claim can last, and a
/// change of leader.
const CLAIM_DEADLINE: Duration = Duration::from_secs(20);

/// How long all calls to the provider together may take.
const EXCHANGE_DEADLINE: Duration = Duration::from_secs(12);

/// A checked callback.
pub struct Login {
    /// The attempt whose state came back.
    pub attempt: LoginAttempt,
    /// The code to redeem.
    pub code: String,
    /// As it was sent to the provider.
    pub redirect_uri: String,
    /// The browser's address.
    pub client: Option<IpAddr>,
    /// The browser's name for itself.
    pub user_agent: String,
    /// For the log.
    pub asker: Asker,
}

/// What became of a code.
pub enum Redeemed {
    /// A session; its cookie's value.
    Session(String),
    /// Another request with the same answer made one.
    Elsewhere,
}

/// Redeems a code, once in the cluster. Runs to its end even if the browser hangs up.
pub async fn redeem(service: Arc<Service>, login: Login) -> Result<Redeemed, Problem> {
    let store = service.store().ok_or_else(|| service.not_ready())?;
    let attempt = login.attempt.attempt;
    match store.claim(attempt, login.client, CLAIM_DEADLINE).await? {
        Claim::Granted => {}
        Claim::Finished { ok: true } => return Ok(Redeemed::Elsewhere),
        Claim::Finished { ok: false } => return Err(Problem::AlreadyFailed),
    }
    let outcome = make_session(&service, store, &login).await;
    store.end_claim(attempt, outcome.is_ok()).await;
    outcome
}

async fn make_session(service: &Service, store: &ReplicatedStore, login: &Login) -> Result<Redeemed, Problem> {
    let claims = service.provider.exchange(&login.code, &login.attempt, &login.redirect_uri, EXCHANGE_DEADLINE).await?;
    login_allowed(&service.policy(), Known::by_provider(&claims.identity)).map_err(Problem::NotAllowed)?;
    let ring = service.keyring().ok_or_else(|| service.not_ready())?;
    let (ticket, command) = seal_session(service, &ring, login, &claims)?;
    match store.write(Command::CreateSession(command), COMMIT_DEADLINE).await {
        Ok(written) => match written.outcome {
            Outcome::Created { index, .. } => {
                service.metrics.logins_succeeded.inc();
                audit::logged_in(&login.asker, &claims.identity, service.site.provider().as_str());
                let name = service.site.cookie_name();
                Ok(Redeemed::Session(ticket.with_index(index).encode(&ring, name)))
            }
            Outcome::Refused(refusal) => refused(refusal),
            Outcome::Done | Outcome::Revoked(_) | Outcome::Expired(_) => Err(Problem::Refused(Refusal::Invalid)),
        },
        Err(WriteError::Refused(refusal)) => refused(refusal),
        Err(error) => Err(error.into()),
    }
}

fn refused(refusal: Refusal) -> Result<Redeemed, Problem> {
    match refusal {
        Refusal::AttemptUsed => Ok(Redeemed::Elsewhere),
        Refusal::AlreadyFounded
        | Refusal::NotFounded
        | Refusal::WrongEpoch
        | Refusal::TooOld
        | Refusal::TooLarge
        | Refusal::KeyTaken
        | Refusal::Invalid => Err(Problem::Refused(refusal)),
    }
}

/// A new session id each time, whatever cookie came along; both envelopes sealed.
fn seal_session(
    service: &Service,
    ring: &Keyring,
    login: &Login,
    claims: &SessionClaims,
) -> Result<(Ticket, CreateSession), Problem> {
    let site = &service.site;
    let body = body(service, claims);
    let headers = answer_headers(site.headers(), &body)?;
    let head = head_bytes(&headers);
    if head > NGINX_HEAD_BUDGET {
        warn!(head, "the headers of this session do not fit into nginx's default proxy_buffer_size of 4k: raise it");
    }
    let mut entropy = [0; TICKET_ENTROPY];
    service.entropy.fill(&mut entropy);
    let ticket = Ticket::mint(entropy, ring.epoch(), service.clock.now());
    let (key, cluster_key) = (ticket.key(), ring.cluster_key());
    let label = SessionLabel {
        user: claims.identity.user.clone(),
        email: claims.identity.email.clone(),
        preferred_username: claims.identity.preferred_username.clone(),
        client_address: login.client.map_or_else(String::new, |address| address.to_string()),
        user_agent: login.user_agent.clone(),
    };
    let (issuer, client_id) = (site.issuer(), site.provider_config().client_id.as_str());
    let command = CreateSession {
        key,
        attempt: login.attempt.attempt,
        epoch: ring.epoch(),
        provider: site.provider().clone(),
        site: site.id().clone(),
        lifetime: site.config().cookie.session_lifetime(),
        subject: cluster_key.subject_key(issuer, client_id, &claims.subject),
        sid: claims.sid.as_deref().map(|sid| cluster_key.sid_key(issuer, client_id, sid)),
        label: seal_label(cluster_key, &key, &label, nonce(service)).map_err(Problem::TooLarge)?,
        body: seal_body(cluster_key, &ticket, Generation::default(), &body, nonce(service))
            .map_err(Problem::TooLarge)?,
    };
    Ok((ticket, command))
}

/// What the session keeps; tokens only where the configuration uses them. The ID token stays,
/// unless sessions are to be minimal: the provider's end-session page wants it.
fn body(service: &Service, claims: &SessionClaims) -> SessionBody {
    let config = service.site.config();
    let refreshes = config.cookie.refresh.as_millis() > 0;
    let kept = |wanted: bool, token: &Option<String>| token.clone().filter(|_| wanted).unwrap_or_default();
    SessionBody {
        identity: claims.identity.clone(),
        issuer: service.site.issuer().to_owned(),
        id_token: if config.cookie.minimal { String::new() } else { claims.id_token.clone() },
        access_token: kept(config.headers.uses_access_token() || refreshes, &claims.access_token),
        refresh_token: kept(refreshes, &claims.refresh_token),
        token_expires_at: claims.token_expires_at,
        additional_claims: claims.additional.clone(),
    }
}

fn nonce(service: &Service) -> [u8; 12] {
    let mut nonce = [0; 12];
    service.entropy.fill(&mut nonce);
    nonce
}
