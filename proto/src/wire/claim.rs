//! What a replica asks the leader about a login attempt, and what came of one.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::id::AttemptId;

/// Longest cause of a refusal in bytes: a page's sentence, and little enough to be kept for each of
/// many thousand refused attempts.
pub const MAX_REFUSAL_CAUSE: usize = 512;

/// Question of [`super::FrameKind::Claim`]: may I redeem this attempt's code? It is answered at once:
/// a replica that has to wait asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimQuestion {
    /// The login attempt.
    pub attempt: AttemptId,
    /// Drawn by the asker: tells its repeated question from that of another.
    pub token: [u8; 16],
    /// The browser's address, by which claims are bounded.
    pub client: Option<IpAddr>,
}

/// Answer to [`ClaimQuestion`]. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClaimAnswer {
    /// Go ahead.
    Granted,
    /// Another was first and has ended.
    Finished(AttemptOutcome),
    /// Another was first and has not ended: ask again.
    Pending,
    /// Too many attempts are under way, of this client or of all.
    Full,
}

/// What came of an attempt whose code was sent to the provider. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttemptOutcome {
    /// A session.
    Session,
    /// No session: the code is spent, and the attempt stays refused.
    Refused(LoginRefusal),
}

/// Why an attempt made no session, as far as a page needs it to say the same again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginRefusal {
    /// What kind of refusal it was.
    pub kind: RefusalKind,
    cause: String,
}

/// Who or what refused. Append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RefusalKind {
    /// The provider refused the code, or answered something that cannot be used.
    Provider,
    /// The provider did not answer, or failed by itself: the code may be spent.
    Outage,
    /// The ID token did not hold.
    IdToken,
    /// A rule keeps this person out.
    Policy,
    /// A claim cannot become a header.
    Claim,
    /// The claims are more than a session may hold.
    TooLarge,
    /// The cluster did not record the session in time.
    NotRecorded,
}

impl RefusalKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Provider, Self::Outage, Self::IdToken, Self::Policy, Self::Claim, Self::TooLarge, Self::NotRecorded];
}

impl LoginRefusal {
    /// A refusal with the sentence that its page shows, cut to [`MAX_REFUSAL_CAUSE`].
    pub fn new(kind: RefusalKind, mut cause: String) -> Self {
        if cause.len() > MAX_REFUSAL_CAUSE {
            cause.truncate(cause.floor_char_boundary(MAX_REFUSAL_CAUSE));
        }
        Self { kind, cause }
    }

    /// The sentence that its page shows. It may name a claim, never a token or code.
    pub fn cause(&self) -> &str {
        &self.cause
    }
}

/// Without the cause, which may name a person's claims.
impl fmt::Debug for LoginRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoginRefusal({:?})", self.kind)
    }
}

/// Question of [`super::FrameKind::ClaimEnd`]; the answer is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimEnd {
    /// The login attempt.
    pub attempt: AttemptId,
    /// The token of the question that was granted: a word that comes late ends no later grant, not even one of the same
    /// replica.
    pub token: [u8; 16],
    /// The browser's address, for a leader that did not grant the claim.
    pub client: Option<IpAddr>,
    /// What came of it; none if the code was not sent, so that the attempt may be claimed anew.
    pub outcome: Option<AttemptOutcome>,
}
