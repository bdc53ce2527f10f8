//! The one table of what can go wrong in a browser: cause, status, and what to do about it.

use actix_web::http::StatusCode;
use conclave_proto::command::Refusal;
use conclave_proto::header_value::UnfitClaim;
use conclave_proto::policy::DenyReason;
use conclave_proto::seal::SealError;
use conclave_proto::wire::{LoginRefusal, RefusalKind};
use conclave_raft::{ClaimError, WriteError};
use thiserror::Error;

use super::extract::InvalidInput;
use super::lookup::CannotKnow;
use crate::local_users::TooBusy;
use crate::oidc::{ExchangeError, InvalidIdToken, ProviderError};

/// Why a browser's endpoint could not do what it was asked. `Display` is the cause on the page.
#[derive(Debug, Error)]
pub enum Problem {
    /// The request itself.
    #[error(transparent)]
    Input(#[from] InvalidInput),
    /// The same, on an endpoint where oauth2-proxy answers unreadable parameters with 500.
    #[error("{0}")]
    Unparsable(InvalidInput),
    /// A name and a password that another site's page sent.
    #[error("this sign-in form was not sent from this service's own page")]
    ForeignForm,
    /// A callback without what every callback has.
    #[error("the provider's answer has no {0}")]
    Incomplete(&'static str),
    /// The browser did not bring this attempt's login cookie.
    #[error("this browser has no login in progress that the answer belongs to")]
    NoLoginCookie {
        /// For the log.
        why: &'static str,
    },
    /// The provider's answer names an error, but belongs to no login of this browser: the author of the link wrote the
    /// error, so that none of it is shown.
    #[error("the answer names an error, but this browser has no login in progress that it belongs to")]
    RefusedWithoutLogin {
        /// For the log.
        why: &'static str,
    },
    /// The provider refused, in its words.
    #[error("the identity provider refused the login: {code}{}", described(.description))]
    RefusedByProvider {
        /// The `error` parameter.
        code: String,
        /// `error_description`.
        description: Option<String>,
    },
    /// The answer names another issuer, or none where the provider always names one.
    #[error("the answer does not come from the configured identity provider (iss)")]
    Issuer,
    /// The provider has no usable metadata.
    #[error("the identity provider cannot be used at the moment")]
    Provider(#[from] ProviderError),
    /// The code could not be redeemed.
    #[error("the login could not be completed with the identity provider")]
    Exchange(#[from] ExchangeError),
    /// A rule keeps this person out.
    #[error("this account may not sign in here: {0}")]
    NotAllowed(DenyReason),
    /// A password's turn to be checked did not come.
    #[error(transparent)]
    TooBusy(#[from] TooBusy),
    /// A claim that cannot reach applications as it is.
    #[error(transparent)]
    UnfitClaim(#[from] UnfitClaim),
    /// More than a session may hold.
    #[error("the identity provider sends too much for a session: it {0}")]
    TooLarge(SealError),
    /// The answer was used before, and that login failed.
    #[error("this answer of the identity provider was used already, and that login did not succeed")]
    AlreadyFailed,
    /// The attempt was refused before, by whichever replica: the same page again, and the code goes
    /// nowhere.
    #[error("{}", .0.cause())]
    RefusedBefore(LoginRefusal),
    /// Not ready.
    #[error("this replica cannot serve logins yet: {0}")]
    NotReady(String),
    /// It cannot be known whether the session lives.
    #[error("{0}")]
    CannotKnow(#[from] CannotKnow),
    /// The cluster took no write.
    #[error("the cluster could not record it: {0}")]
    Write(#[from] WriteError),
    /// The state machine refused the write.
    #[error("the cluster refused to record it ({0:?})")]
    Refused(Refusal),
    /// The leader takes no further sessions.
    #[error("the storage of this service is nearly full: sessions that exist go on, new logins wait for room")]
    StorageNearlyFull,
    /// The right to redeem the code could not be had.
    #[error("the cluster could not agree on this login: {0}")]
    Claim(#[from] ClaimError),
    /// The work was cut off by the end of the process.
    #[error("this replica is stopping")]
    Stopping,
}

/// How a problem is shown.
pub struct Shown {
    /// The answer's status.
    pub status: StatusCode,
    /// In a few words.
    pub title: &'static str,
    /// What the reader can do.
    pub advice: &'static str,
}

impl Problem {
    /// The table.
    pub fn shown(&self) -> Shown {
        let shown = |status, title, advice| Shown { status, title, advice };
        match self {
            Self::Input(invalid) => not_understood(input_status(*invalid)),
            Self::Unparsable(InvalidInput::Parameters) => not_understood(StatusCode::INTERNAL_SERVER_ERROR),
            Self::Unparsable(invalid) => not_understood(input_status(*invalid)),
            Self::ForeignForm => shown(
                StatusCode::FORBIDDEN,
                "Not signed in",
                "Nothing was changed. To sign in here, use this service's own form.",
            ),
            Self::Incomplete(_) => shown(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Login failed",
                "Start again from the page that you wanted to see, not from a bookmark of the login.",
            ),
            Self::NoLoginCookie { .. } | Self::RefusedWithoutLogin { .. } => shown(
                StatusCode::FORBIDDEN,
                "Login failed",
                "Logins have to end in the browser that began them, within 15 minutes and with cookies allowed. \
                 Please try again.",
            ),
            Self::RefusedByProvider { .. } => {
                shown(StatusCode::FORBIDDEN, "Login failed", "Try again, or ask whoever runs the identity provider.")
            }
            Self::Issuer => shown(
                StatusCode::FORBIDDEN,
                "Login failed",
                "Try again. If it happens again, somebody may be trying to mix up logins: tell whoever runs this service.",
            ),
            Self::Provider(_) => refused(RefusalKind::Outage),
            Self::Exchange(error) => refused(kind_of(error)),
            Self::NotAllowed(_) => refused(RefusalKind::Policy),
            Self::UnfitClaim(_) => refused(RefusalKind::Claim),
            Self::TooLarge(_) => refused(RefusalKind::TooLarge),
            Self::RefusedBefore(refusal) => refused(refusal.kind),
            Self::AlreadyFailed => shown(StatusCode::FORBIDDEN, "Login failed", "Please try again."),
            Self::NotReady(_) | Self::CannotKnow(_) | Self::TooBusy(_) | Self::Stopping => {
                shown(StatusCode::SERVICE_UNAVAILABLE, "Not available right now", TRY_SOON)
            }
            Self::StorageNearlyFull => shown(
                StatusCode::SERVICE_UNAVAILABLE,
                "Storage nearly full",
                "Ask the operators of this service to enlarge its volumes, then sign in again.",
            ),
            Self::Write(_) | Self::Refused(_) | Self::Claim(_) => refused(RefusalKind::NotRecorded),
        }
    }

    /// Whether whoever runs this service should look at it, rather than the person in the browser.
    pub fn is_ours(&self) -> bool {
        // Said when it happened, or asked for too often: a visitor can repeat both at will.
        let repeats = matches!(self, Self::RefusedBefore(_) | Self::Claim(ClaimError::Busy));
        !repeats && self.shown().status.is_server_error() && self.malformed().is_none()
    }

    /// What was malformed, if that is what is wrong; a short stable name for metrics.
    pub fn malformed(&self) -> Option<&'static str> {
        match self {
            Self::Input(invalid) | Self::Unparsable(invalid) => Some(invalid.kind()),
            Self::Incomplete(what) => Some(*what),
            Self::NoLoginCookie { .. } | Self::RefusedWithoutLogin { .. } => Some("state"),
            Self::RefusedByProvider { .. }
            | Self::ForeignForm
            | Self::Issuer
            | Self::Provider(_)
            | Self::Exchange(_)
            | Self::NotAllowed(_)
            | Self::UnfitClaim(_)
            | Self::TooLarge(_)
            | Self::AlreadyFailed
            | Self::RefusedBefore(_)
            | Self::NotReady(_)
            | Self::CannotKnow(_)
            | Self::TooBusy(_)
            | Self::Write(_)
            | Self::Refused(_)
            | Self::StorageNearlyFull
            | Self::Claim(_)
            | Self::Stopping => None,
        }
    }

    /// Whether the attempt's login cookie goes with the answer: a person who was identified, or came late,
    /// has no more use for it. Where the provider did not vouch it stays, as in oauth2-proxy, so that
    /// the page can be asked for again.
    pub fn clears_the_attempt(&self) -> bool {
        match self {
            Self::NotAllowed(_)
            | Self::UnfitClaim(_)
            | Self::TooLarge(_)
            | Self::AlreadyFailed
            | Self::Write(_)
            | Self::Refused(_)
            | Self::StorageNearlyFull => true,
            Self::Input(_)
            | Self::Unparsable(_)
            | Self::ForeignForm
            | Self::Incomplete(_)
            | Self::NoLoginCookie { .. }
            | Self::RefusedWithoutLogin { .. }
            | Self::RefusedByProvider { .. }
            | Self::Issuer
            | Self::Provider(_)
            | Self::Exchange(_)
            | Self::RefusedBefore(_)
            | Self::NotReady(_)
            | Self::CannotKnow(_)
            | Self::TooBusy(_)
            | Self::Claim(_)
            | Self::Stopping => false,
        }
    }

    /// Whether an attempt that ended like this is refused from then on, and as what. None where the
    /// code was certainly not sent.
    pub fn spends(&self) -> Option<RefusalKind> {
        match self {
            Self::Exchange(error) => error.code_was_sent().then(|| kind_of(error)),
            Self::NotAllowed(_) => Some(RefusalKind::Policy),
            Self::UnfitClaim(_) => Some(RefusalKind::Claim),
            Self::TooLarge(_) => Some(RefusalKind::TooLarge),
            Self::RefusedBefore(refusal) => Some(refusal.kind),
            // Later than the exchange.
            Self::AlreadyFailed
            | Self::Write(_)
            | Self::Refused(_)
            | Self::StorageNearlyFull
            | Self::NotReady(_)
            | Self::Stopping => Some(RefusalKind::NotRecorded),
            Self::Input(_)
            | Self::Unparsable(_)
            | Self::ForeignForm
            | Self::Incomplete(_)
            | Self::NoLoginCookie { .. }
            | Self::RefusedWithoutLogin { .. }
            | Self::RefusedByProvider { .. }
            | Self::Issuer
            | Self::Provider(_)
            | Self::CannotKnow(_)
            | Self::TooBusy(_)
            | Self::Claim(_) => None,
        }
    }

    /// The cause in full, for the log.
    pub fn reason(&self) -> String {
        match self {
            Self::NoLoginCookie { why } | Self::RefusedWithoutLogin { why } => (*why).to_owned(),
            Self::Provider(error) => error.to_string(),
            Self::Exchange(error) => error.to_string(),
            Self::RefusedBefore(refusal) => format!("this attempt was refused before ({:?})", refusal.kind),
            Self::Input(_)
            | Self::Unparsable(_)
            | Self::ForeignForm
            | Self::Incomplete(_)
            | Self::RefusedByProvider { .. }
            | Self::Issuer
            | Self::NotAllowed(_)
            | Self::UnfitClaim(_)
            | Self::TooLarge(_)
            | Self::AlreadyFailed
            | Self::NotReady(_)
            | Self::CannotKnow(_)
            | Self::TooBusy(_)
            | Self::Write(_)
            | Self::Refused(_)
            | Self::StorageNearlyFull
            | Self::Claim(_)
            | Self::Stopping => self.to_string(),
        }
    }
}

const TRY_SOON: &str = "Please try again in a moment. If it lasts, tell whoever runs this service.";
const TRY_AGAIN: &str = "Please try again. If it happens again, tell whoever runs this service.";
const ASK_PROVIDER: &str = "Ask whoever runs the identity provider to correct the account.";

fn not_understood(status: StatusCode) -> Shown {
    Shown {
        status,
        title: "Request not understood",
        advice: "Go back and start again from the page that you wanted to see.",
    }
}

fn input_status(invalid: InvalidInput) -> StatusCode {
    match invalid {
        InvalidInput::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        InvalidInput::UriTooLong => StatusCode::URI_TOO_LONG,
        InvalidInput::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        InvalidInput::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
        InvalidInput::Body | InvalidInput::Parameters | InvalidInput::Duplicate(_) => StatusCode::BAD_REQUEST,
    }
}

/// What kind of refusal a failed exchange is.
fn kind_of(error: &ExchangeError) -> RefusalKind {
    if error.is_outage() {
        return RefusalKind::Outage;
    }
    match error {
        ExchangeError::IdToken(InvalidIdToken::NoAudience(_))
        | ExchangeError::Provider(_)
        | ExchangeError::Deadline
        | ExchangeError::Token(_)
        | ExchangeError::Userinfo(_)
        | ExchangeError::Claims(_) => RefusalKind::Provider,
        ExchangeError::IdToken(_) => RefusalKind::IdToken,
    }
}

/// The page of a refusal, the first time and each time after it. oauth2-proxy's statuses: 403 where
/// its session validation fails, 500 for the rest.
fn refused(kind: RefusalKind) -> Shown {
    let (status, title, advice) = match kind {
        RefusalKind::Provider => (StatusCode::INTERNAL_SERVER_ERROR, "Login failed", TRY_AGAIN),
        RefusalKind::IdToken => (StatusCode::FORBIDDEN, "Login failed", TRY_AGAIN),
        RefusalKind::Outage => (StatusCode::BAD_GATEWAY, "Identity provider not available", TRY_SOON),
        RefusalKind::Policy => (
            StatusCode::FORBIDDEN,
            "Not allowed",
            "Sign in with another account, or ask whoever runs this service for access.",
        ),
        RefusalKind::Claim => (StatusCode::FORBIDDEN, "Login failed", ASK_PROVIDER),
        RefusalKind::TooLarge => (
            StatusCode::FORBIDDEN,
            "Login failed",
            "Ask whoever runs the identity provider to send fewer claims or groups to this application.",
        ),
        RefusalKind::NotRecorded => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Not available right now",
            "Nothing was changed in your browser. Please try again in a moment.",
        ),
    };
    Shown { status, title, advice }
}

fn described(description: &Option<String>) -> String {
    description.as_ref().map_or_else(String::new, |text| format!(" ({text})"))
}
