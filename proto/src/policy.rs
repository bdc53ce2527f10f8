//! Who may pass: the total decision about one request, and the rules it is made of.

mod constraints;
mod email;
mod path;
mod pattern;
mod reason;
mod rules;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use constraints::{QueryConstraints, UnreadableConstraint};
pub use email::{AuthenticatedEmails, EmailDomains, InvalidEmailsFile};
pub(crate) use path::percent_decode;
pub use pattern::{InvalidPattern, Pattern};
pub use reason::DenyReason;
pub use rules::{InvalidRule, OpeningRules, SkipRule};

use crate::forwarded::OriginalRequest;
use crate::htpasswd::LineDigest;
use crate::session::Identity;

/// The rules of one site.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `email_domains`.
    pub email_domains: EmailDomains,
    /// The addresses of `authenticated_emails_file`; replaced as a whole when the file changes.
    pub authenticated_emails: Option<Arc<AuthenticatedEmails>>,
    /// `allowed_groups`; empty lets every group in. Letters count as written.
    pub allowed_groups: BTreeSet<String>,
    /// What needs no session.
    pub opening: OpeningRules,
}

/// The answer to a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The session may pass.
    Allow,
    /// An opening rule lets the request pass, and no session came with it.
    AllowWithoutSession,
    /// Nobody is logged in.
    SignIn,
    /// Who it is is known, and a rule refuses.
    Forbid(DenyReason),
}

/// By whose word somebody is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// The identity provider's, or a token issuer's. They name an e-mail address, and it is held
    /// against the site's e-mail rules.
    Provider,
    /// The operator's own: a line of `htpasswd_file`. That line is the permission, and it is asked for at each check;
    /// e-mail rules count only where the user has an address.
    LocalFile(LineDigest),
}

/// Somebody who is known.
#[derive(Clone, Copy, Debug)]
pub struct Known<'i> {
    /// Who.
    pub identity: &'i Identity,
    /// By whose word.
    pub voucher: Voucher,
}

impl<'i> Known<'i> {
    /// Known by the provider's word.
    pub fn by_provider(identity: &'i Identity) -> Self {
        Self { identity, voucher: Voucher::Provider }
    }
}

/// Decides about one request. Where an opening rule matches, the site's e-mail and group rules do
/// not count; the query's constraints do, but only for whom a session names.
pub fn decide(
    policy: &Policy,
    request: &OriginalRequest<'_>,
    constraints: &QueryConstraints,
    who: Option<Known<'_>>,
) -> Decision {
    let open = policy.opening.open(&request.opening);
    let Some(who) = who else {
        return match (open, constraints.unreadable()) {
            (false, _) => Decision::SignIn,
            (true, None) => Decision::AllowWithoutSession,
            (true, Some(constraint)) => Decision::Forbid(DenyReason::UnreadableConstraint(constraint)),
        };
    };
    let global = if open { Ok(()) } else { login_allowed(policy, who) };
    match global.and_then(|()| constraints.check(who.identity)) {
        Ok(()) => Decision::Allow,
        Err(reason) => Decision::Forbid(reason),
    }
}

/// Whether the site's e-mail and group rules let this person in: at login, and at each check.
pub fn login_allowed(policy: &Policy, who: Known<'_>) -> Result<(), DenyReason> {
    policy.email_allowed(who)?;
    let who = who.identity;
    if policy.allowed_groups.is_empty() || who.groups.iter().any(|group| policy.allowed_groups.contains(group)) {
        return Ok(());
    }
    Err(DenyReason::Group { claimed: who.groups_claimed })
}

impl Policy {
    /// Whether any opening rule stands: only then does it matter what the original request was.
    pub fn has_opening_rules(&self) -> bool {
        self.opening.any()
    }

    fn email_allowed(&self, who: Known<'_>) -> Result<(), DenyReason> {
        let email = who.identity.email.as_str();
        if email.is_empty() {
            return match who.voucher {
                Voucher::Provider => Err(DenyReason::NoEmail),
                Voucher::LocalFile(_) => Ok(()),
            };
        }
        let listed = || self.authenticated_emails.as_ref().is_some_and(|emails| emails.contains(email));
        if self.email_domains.allow(email) || listed() {
            return Ok(());
        }
        Err(DenyReason::Email { from_file: self.authenticated_emails.is_some() })
    }
}

#[cfg(test)]
mod tests;
