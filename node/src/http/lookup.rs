//! From the session cookies of a request to who stands behind it.

use std::sync::Arc;

use conclave_proto::header_value::UnfitClaim;
use conclave_proto::id::{Generation, SessionKey};
use conclave_proto::keyring::Keyring;
use conclave_proto::policy::Voucher;
use conclave_proto::seal::{OpenSealError, open_body};
use conclave_proto::session::{BodyRow, IndexRow, SessionBody};
use conclave_proto::ticket::{InvalidTicket, Ticket, has_ticket_shape, values_tried};
use conclave_raft::{Lookup, ReadError};
use thiserror::Error;

use super::Worker;
use super::site::Site;
use crate::inject::answer_headers;
use crate::local_users::{LOCAL_ISSUER, LOCAL_PROVIDER};
use crate::opened::Opened;

/// What a request's cookies amount to.
pub enum Standing {
    /// A live session.
    Live(Arc<Opened>),
    /// Certainly no session.
    Nobody(NoSession),
    /// It cannot be known here and now.
    Unknown(CannotKnow),
    /// Somebody, but headers cannot say who as it is: no session for a rule that opens without one, and otherwise
    /// refused.
    Unfit(UnfitClaim),
    /// Credentials that have to name somebody name nobody, and nothing else counts.
    Refused,
}

/// Why a request has no session. Goes into the log: a login loop is diagnosed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum NoSession {
    /// None was sent.
    #[error("no cookie")]
    NoCookie,
    /// One of our name, but of another shape.
    #[error("cookie not ours: does another program set this cookie_name too?")]
    NotOurs,
    /// oauth2-proxy's: of before the move, or of one that still serves this host.
    #[error("cookie of oauth2-proxy, which the next login replaces")]
    Oauth2Proxy,
    /// A ticket of another version of this program.
    #[error("cookie of another version of this program")]
    Version,
    /// Signed with a key that is not configured.
    #[error(
        "cookie signed with a key that is not in the ring: was cookie_secret changed without cookie_secret_previous?"
    )]
    UnknownKey,
    /// Ours by its shape, but not by its signature.
    #[error("mac mismatch: forged, made for another cookie_name, or was cookie_secret changed?")]
    BadMac,
    /// All sessions were ended since.
    #[error("cookie of another cluster epoch: all sessions were ended since")]
    OtherEpoch,
    /// Expired or signed out.
    #[error("session ended: expired or signed out")]
    Ended,
    /// Of another site of this cluster.
    #[error("session of another site or provider")]
    OtherSite,
    /// The issuer was taken out of the configuration.
    #[error("session of an issuer that is no longer configured")]
    OtherIssuer,
    /// The line of `htpasswd_file` that let the local user in is gone or says something else.
    #[error("session of a local user whose line in htpasswd_file is gone or was changed since")]
    LocalUser,
    /// The body does not open with this ticket.
    #[error("session does not open with this cookie")]
    Unopenable,
    /// Cookies of two people.
    #[error("cookies of two live sessions of different people")]
    TwoPeople,
}

impl NoSession {
    /// Every [`Self::code`].
    pub const CODES: [&'static str; 13] = [
        "no_cookie",
        "not_ours",
        "oauth2_proxy",
        "other_version",
        "unknown_key",
        "bad_mac",
        "other_epoch",
        "ended",
        "other_site",
        "other_issuer",
        "local_user",
        "unopenable",
        "two_people",
    ];

    /// A short stable name, for metrics.
    pub const fn code(self) -> &'static str {
        Self::CODES[self as usize]
    }
}

/// A reason without a code would end the process where it is told.
const _: () = assert!(NoSession::TwoPeople as usize + 1 == NoSession::CODES.len());

/// Why it cannot be known whether there is a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CannotKnow {
    /// No cluster key yet, or no store.
    #[error("this replica is not ready")]
    NotReady,
    /// This replica's knowledge is too old.
    #[error("this replica has not reached a leader for longer than max_staleness")]
    Stale,
    /// The leader could not be asked.
    #[error("no quorum answered")]
    NoQuorum,
    /// Written by a newer version.
    #[error("the session was written by another version of this program")]
    Version,
    /// The keys of a token's issuer were never had.
    #[error("the keys of the token's issuer are not known yet")]
    NoKeys,
    /// A password's turn to be checked did not come.
    #[error("too many passwords are being checked")]
    TooBusy,
    /// The index knows a session that the store does not hold.
    #[error("the store holds no body for a live session")]
    NoBody,
}

impl CannotKnow {
    /// Every [`Self::code`], each in its variant's place.
    pub const CODES: [&'static str; 7] =
        ["not_ready", "stale", "no_quorum", "newer_version", "no_keys", "too_busy", "no_body"];

    /// A short stable name, for metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotReady => "not_ready",
            Self::Stale => "stale",
            Self::NoQuorum => "no_quorum",
            Self::Version => "newer_version",
            Self::NoKeys => "no_keys",
            Self::TooBusy => "too_busy",
            Self::NoBody => "no_body",
        }
    }
}

/// What memory says of a request's cookies.
pub enum Seen {
    /// Nothing more to find out.
    Settled(Standing),
    /// These may be newer than what is applied here.
    Ask(Box<Tally>),
}

/// What was found so far.
pub struct Tally {
    live: Option<Arc<Opened>>,
    ask: Vec<Ticket>,
    cannot: Option<CannotKnow>,
    unfit: Option<UnfitClaim>,
    why: NoSession,
}

/// Looks the request's cookies up in memory: no await, no lock, no IO unless the opened session was
/// evicted.
pub fn look(worker: &Worker, cookies: &str) -> Seen {
    let ring = worker.keyring();
    let mut tally = Tally { live: None, ask: Vec::new(), cannot: None, unfit: None, why: NoSession::NoCookie };
    let name = worker.service.site.cookie_name();
    for value in values_tried(cookies, name) {
        let Some(ring) = ring.as_deref() else {
            // What has not the shape of a ticket is not ours whatever the key.
            tally.why = tally.why.max(NoSession::NotOurs);
            tally.cannot = tally.cannot.or(has_ticket_shape(value).then_some(CannotKnow::NotReady));
            continue;
        };
        match Ticket::decode(value, ring, name) {
            Ok(ticket) => tally.count(worker, ring, ticket),
            Err(invalid) => {
                worker.service.metrics.bad_input("cookie");
                tally.nobody(invalid.into());
            }
        }
    }
    if tally.ask.is_empty() { Seen::Settled(tally.standing()) } else { Seen::Ask(Box::new(tally)) }
}

/// Asks the leader about what memory did not know.
pub async fn ask(worker: &Worker, mut tally: Box<Tally>) -> Standing {
    let Some(reader) = worker.reader() else { return Standing::Unknown(CannotKnow::NotReady) };
    for ticket in std::mem::take(&mut tally.ask) {
        let (reader, asked) = (reader.clone(), ticket.clone());
        // On the main runtime: a connection to a peer must not be driven by a thread that serves browsers.
        let answer = worker.service.run(async move { reader.ask(&asked).await }).await;
        match answer.unwrap_or(Err(ReadError::Unavailable)) {
            Ok(Some((row, body))) => {
                // The ring may have changed while waiting; it is read anew and not held across awaits.
                let ring = worker.keyring();
                match ring.as_deref() {
                    Some(ring) => tally.open(worker, ring, &ticket, &row, Some(&body)),
                    None => tally.unknown(CannotKnow::NotReady),
                }
            }
            Ok(None) => tally.nobody(NoSession::Ended),
            Err(ReadError::Stale) => tally.unknown(CannotKnow::Stale),
            Err(ReadError::Unavailable | ReadError::Busy) => tally.unknown(CannotKnow::NoQuorum),
        }
    }
    tally.standing()
}

/// The authentic tickets of a request, each once: what sign-out ends.
pub fn tickets(worker: &Worker, cookies: &str) -> Result<Vec<Ticket>, CannotKnow> {
    let ring = worker.keyring();
    let name = worker.service.site.cookie_name();
    let mut found: Vec<Ticket> = Vec::new();
    for value in values_tried(cookies, name) {
        match ring.as_deref() {
            None if has_ticket_shape(value) => return Err(CannotKnow::NotReady),
            None => {}
            Some(ring) => {
                let ticket = Ticket::decode(value, ring, name).ok();
                found.extend(ticket.filter(|ticket| found.iter().all(|other| other.id != ticket.id)));
            }
        }
    }
    Ok(found)
}

/// Opens the body of a live session, for those who need a token that the cache does not keep.
pub fn body_of(worker: &Worker, ticket: &Ticket) -> Option<SessionBody> {
    let reader = worker.reader()?;
    let Lookup::Live(row) = reader.find(ticket) else { return None };
    let sealed = reader.body(&ticket.key())?;
    let ring = worker.keyring();
    open_body(ring.as_deref()?.cluster_key(), ticket, row.generation, &sealed.body).ok()
}

impl Tally {
    fn count(&mut self, worker: &Worker, ring: &Keyring, ticket: Ticket) {
        if ticket.epoch != ring.epoch() {
            // A newer epoch than the ring's: the ring follows within moments.
            let newer = ticket.epoch > ring.epoch();
            return if newer { self.unknown(CannotKnow::NotReady) } else { self.nobody(NoSession::OtherEpoch) };
        }
        let Some(reader) = worker.reader() else { return self.unknown(CannotKnow::NotReady) };
        match reader.find(&ticket) {
            Lookup::Live(row) => self.open(worker, ring, &ticket, &row, None),
            Lookup::Gone => self.nobody(NoSession::Ended),
            Lookup::Behind => self.ask.push(ticket),
            Lookup::Stale => self.unknown(CannotKnow::Stale),
        }
    }

    /// Counts a live session. `body` is given where the leader sent it, else the cache or the store has it.
    fn open(&mut self, worker: &Worker, ring: &Keyring, ticket: &Ticket, row: &IndexRow, body: Option<&BodyRow>) {
        let site = &worker.service.site;
        let local = worker.service.local.is_some() && row.provider == *LOCAL_PROVIDER;
        if row.site != *site.id() || !(local || row.provider == *site.provider()) {
            return self.nobody(NoSession::OtherSite);
        }
        let key = ticket.key();
        let opened = match worker.service.opened.get(&key, ticket, row.generation) {
            Some(opened) => Ok(opened),
            None => open_cold(worker, ring, ticket, &key, row.generation, body),
        };
        match opened {
            // Refused at this check and no more: another replica may have read a newer file, or this one an older.
            Ok(opened) if !worker.is_vouched_for(&opened) => self.nobody(NoSession::LocalUser),
            Ok(opened) => self.alive(opened),
            Err(NotOpened::Nobody(why)) => self.nobody(why),
            Err(NotOpened::Unknown(why)) => self.unknown(why),
            // Of today's settings: it was fit when it was made, or was made before them.
            Err(NotOpened::Unfit(claim)) => self.unfit = Some(claim),
        }
    }

    fn alive(&mut self, opened: Arc<Opened>) {
        let same = self.live.as_ref().is_none_or(|other| other.identity.user == opened.identity.user);
        if same {
            self.live = Some(opened);
        } else {
            self.why = NoSession::TwoPeople;
        }
    }

    fn nobody(&mut self, why: NoSession) {
        self.why = self.why.max(why);
    }

    fn unknown(&mut self, why: CannotKnow) {
        self.cannot = self.cannot.or(Some(why));
    }

    fn standing(self) -> Standing {
        match (self.live, self.cannot) {
            (Some(_), _) if self.why == NoSession::TwoPeople => Standing::Nobody(NoSession::TwoPeople),
            (Some(opened), _) => Standing::Live(opened),
            (None, Some(cannot)) => Standing::Unknown(cannot),
            (None, None) => self.unfit.map_or(Standing::Nobody(self.why), Standing::Unfit),
        }
    }
}

enum NotOpened {
    Nobody(NoSession),
    Unknown(CannotKnow),
    Unfit(UnfitClaim),
}

/// Opens a body that the cache does not hold, and puts it there.
fn open_cold(
    worker: &Worker,
    ring: &Keyring,
    ticket: &Ticket,
    key: &SessionKey,
    generation: Generation,
    body: Option<&BodyRow>,
) -> Result<Arc<Opened>, NotOpened> {
    let stored;
    let sealed = match body {
        Some(body) => body,
        None => {
            stored = worker.reader().and_then(|reader| reader.body(key)).ok_or_else(|| vanished(worker, ticket))?;
            &stored
        }
    };
    let body = open_body(ring.cluster_key(), ticket, generation, &sealed.body).map_err(|error| match error {
        OpenSealError::Version => NotOpened::Unknown(CannotKnow::Version),
        OpenSealError::Malformed | OpenSealError::NotAuthentic | OpenSealError::Content => {
            NotOpened::Nobody(NoSession::Unopenable)
        }
    })?;
    let site = &worker.service.site;
    let voucher = match (body.issuer.as_str(), body.local_line) {
        (LOCAL_ISSUER, Some(line)) if worker.service.local.is_some() => Voucher::LocalFile(line),
        (issuer, None) if issuer == site.issuer() => Voucher::Provider,
        _ => return Err(NotOpened::Nobody(NoSession::OtherIssuer)),
    };
    let made = answer_headers(site.headers(), &body).map_err(NotOpened::Unfit)?;
    let headers = worker.service.made(made);
    let told = told(site, body.additional_claims);
    let opened = Arc::new(Opened::new(ticket, generation, body.identity, voucher, headers, told));
    worker.service.opened.insert(*key, Arc::clone(&opened));
    Ok(opened)
}

/// Of the further claims, those that their owner may ask for.
pub(super) fn told(site: &Site, mut claims: Vec<(String, String)>) -> Vec<(String, String)> {
    let listed = &site.provider_config().claims.told;
    claims.retain(|(name, _)| listed.contains(name));
    claims
}

/// A row without a body: the session was ended between the two look-ups, or the store is not whole.
fn vanished(worker: &Worker, ticket: &Ticket) -> NotOpened {
    match worker.reader().map(|reader| reader.find(ticket)) {
        Some(Lookup::Gone) => NotOpened::Nobody(NoSession::Ended),
        Some(Lookup::Stale) => NotOpened::Unknown(CannotKnow::Stale),
        Some(Lookup::Live(_) | Lookup::Behind) | None => NotOpened::Unknown(CannotKnow::NoBody),
    }
}

impl From<InvalidTicket> for NoSession {
    fn from(invalid: InvalidTicket) -> Self {
        match invalid {
            InvalidTicket::NotOurs => Self::NotOurs,
            InvalidTicket::Oauth2Proxy => Self::Oauth2Proxy,
            InvalidTicket::Version => Self::Version,
            InvalidTicket::UnknownKey => Self::UnknownKey,
            InvalidTicket::BadMac => Self::BadMac,
        }
    }
}
