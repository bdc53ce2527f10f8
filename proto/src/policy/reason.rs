//! Why somebody who is known may not pass, in words that say what to do.

use std::fmt;

use super::constraints::UnreadableConstraint;
use crate::header_value::UnfitClaim;

/// The rule that refused. Its text names rules and options, never a person, a group or a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DenyReason {
    /// The provider named no e-mail address.
    NoEmail,
    /// No e-mail rule lets the address in.
    Email {
        /// Whether a file of addresses is configured beside the domains.
        from_file: bool,
    },
    /// In none of `allowed_groups`.
    Group {
        /// Whether the provider sent a groups claim at all.
        claimed: bool,
    },
    /// In none of the query's `allowed_groups`.
    QueryGroup {
        /// Whether the provider sent a groups claim at all.
        claimed: bool,
    },
    /// None of the query's `allowed_emails`.
    QueryEmail,
    /// In none of the query's `allowed_email_domains`.
    QueryEmailDomain,
    /// The `Authorization` header names nobody, and where `bearer_token_login_fallback` is off it must.
    Credentials,
    /// A constraint in the query is empty or cannot be read: nobody passes.
    UnreadableConstraint(UnreadableConstraint),
    /// Headers cannot say who it is as it is.
    UnfitClaim(UnfitClaim),
}

impl DenyReason {
    /// Every [`Self::code`].
    pub const CODES: [&'static str; 9] = [
        "no_email",
        "email",
        "group",
        "query_group",
        "query_email",
        "query_email_domain",
        "credentials",
        "unreadable_constraint",
        "unfit_claim",
    ];

    /// A short stable name, for metrics and structured logs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoEmail => "no_email",
            Self::Email { .. } => "email",
            Self::Group { .. } => "group",
            Self::QueryGroup { .. } => "query_group",
            Self::QueryEmail => "query_email",
            Self::QueryEmailDomain => "query_email_domain",
            Self::Credentials => "credentials",
            Self::UnreadableConstraint(_) => "unreadable_constraint",
            Self::UnfitClaim(_) => "unfit_claim",
        }
    }
}

const NO_GROUPS_CLAIM: &str =
    "the provider sent no groups claim: add the scope `groups`, or name the claim in oidc_groups_claim";

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEmail => f.write_str(
                "the provider sent no e-mail address: add the scope `email`, or name the claim in oidc_email_claim",
            ),
            Self::Email { from_file: false } => f.write_str("no entry of email_domains lets this e-mail address in"),
            Self::Email { from_file: true } => {
                f.write_str("neither email_domains nor authenticated_emails_file lets this e-mail address in")
            }
            Self::Group { claimed: true } => f.write_str("in none of the groups that allowed_groups names"),
            Self::Group { claimed: false } => write!(f, "allowed_groups is set, and {NO_GROUPS_CLAIM}"),
            Self::QueryGroup { claimed: true } => {
                f.write_str("in none of the groups that the check's allowed_groups names")
            }
            Self::QueryGroup { claimed: false } => write!(f, "the check names allowed_groups, and {NO_GROUPS_CLAIM}"),
            Self::QueryEmail => f.write_str("not one of the addresses that the check's allowed_emails names"),
            Self::QueryEmailDomain => {
                f.write_str("in none of the domains that the check's allowed_email_domains names")
            }
            Self::Credentials => f.write_str(
                "the Authorization header holds no token that is accepted, and bearer_token_login_fallback is off",
            ),
            Self::UnreadableConstraint(constraint) => write!(f, "{constraint}"),
            Self::UnfitClaim(claim) => write!(f, "{claim}"),
        }
    }
}
