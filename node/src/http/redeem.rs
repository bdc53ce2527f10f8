//! From a code to a committed session: claim, exchange, verify, decide, seal, commit.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use conclave_proto::id::SessionKey;
use conclave_proto::login::LoginAttempt;
use conclave_proto::policy::{Known, login_allowed};
use conclave_proto::session::SessionBody;
use conclave_proto::wire::{AttemptOutcome, LoginRefusal};
use conclave_raft::{CLAIM_LIFETIME, Claim, ReplicatedStore};

use super::new_session::{self, Committed, NewSession};
use super::problem::Problem;
use super::{COMMIT_DEADLINE, Service};
use crate::audit::Asker;
use crate::oidc::SessionClaims;

/// How long a second comer waits for the first one's outcome: as long as a claim can last, and a
/// change of leader.
const CLAIM_DEADLINE: Duration = Duration::from_secs(20);

/// How long all calls to the provider together may take.
const EXCHANGE_DEADLINE: Duration = Duration::from_secs(12);

const _: () = assert!(
    EXCHANGE_DEADLINE.as_millis() + COMMIT_DEADLINE.as_millis() < CLAIM_LIFETIME.as_millis() as u128,
    "a claim outlasts the login that it is for: otherwise a second replica sends the code meanwhile"
);

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
    /// Sessions of this browser that the new one takes the place of.
    pub replaces: Vec<SessionKey>,
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
    let grant = match store.claim(attempt, login.client, CLAIM_DEADLINE).await? {
        Claim::Granted(grant) => grant,
        Claim::Finished(AttemptOutcome::Session) => return Ok(Redeemed::Elsewhere),
        Claim::Finished(AttemptOutcome::Refused(refusal)) => return Err(Problem::RefusedBefore(refusal)),
    };
    let made = make_session(&service, store, &login).await;
    grant.end(outcome_of(&made)).await;
    made
}

/// What the cluster remembers of the attempt; none if the code was not sent.
fn outcome_of(made: &Result<Redeemed, Problem>) -> Option<AttemptOutcome> {
    match made {
        Ok(Redeemed::Session(_) | Redeemed::Elsewhere) => Some(AttemptOutcome::Session),
        Err(problem) => {
            problem.spends().map(|kind| AttemptOutcome::Refused(LoginRefusal::new(kind, problem.to_string())))
        }
    }
}

async fn make_session(service: &Service, store: &ReplicatedStore, login: &Login) -> Result<Redeemed, Problem> {
    let claims = service.provider.exchange(&login.code, &login.attempt, &login.redirect_uri, EXCHANGE_DEADLINE).await?;
    login_allowed(&service.policy(), Known::by_provider(&claims.identity)).map_err(Problem::NotAllowed)?;
    let site = &service.site;
    let new = NewSession {
        attempt: login.attempt.attempt,
        provider: site.provider(),
        client_id: &site.provider_config().client_id,
        subject: &claims.subject,
        sid: claims.sid.as_deref(),
        body: body(service, &claims),
        client: login.client,
        user_agent: &login.user_agent,
        asker: &login.asker,
        replaces: login.replaces.clone(),
    };
    Ok(match new_session::commit(service, store, new).await? {
        Committed::Cookie(value) => Redeemed::Session(value),
        Committed::Elsewhere => Redeemed::Elsewhere,
    })
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
        local_line: None,
    }
}
