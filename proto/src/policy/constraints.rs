//! Constraints in the query of a check: `allowed_groups`, `allowed_emails`, `allowed_email_domains`.

use std::borrow::Cow;

use thiserror::Error;

use super::DenyReason;
use super::email::domain_of;
use crate::redirect::AllowedHosts;
use crate::session::Identity;

/// A constraint that nobody can meet because nobody can say what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnreadableConstraint {
    /// A constraint without a value.
    #[error("{0} in the check's query is empty: name at least one value, or leave it out")]
    Empty(&'static str),
    /// A pair that may be a constraint, with bad escapes, bytes that are no text, or a semicolon.
    #[error("the check's query cannot be read: escape it as application/x-www-form-urlencoded")]
    Malformed,
}

/// What the query asks for. Each of the three that is named has to be met; within one, any value will do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryConstraints {
    groups: Option<Vec<String>>,
    emails: Option<Vec<String>>,
    domains: Option<AllowedHosts>,
    unreadable: Option<UnreadableConstraint>,
}

const GROUPS: &str = "allowed_groups";
const EMAILS: &str = "allowed_emails";
const DOMAINS: &str = "allowed_email_domains";

/// Every constraint begins so: what does not, cannot be meant as one.
const COMMON: &str = "allowed_";

impl QueryConstraints {
    /// Reads the raw query of a check, without its `?`. A constraint that is empty or cannot be
    /// read refuses everyone: dropping it would let everyone in.
    pub fn parse(query: &str) -> Self {
        let mut constraints = Self::parse_open(query);
        let named = [
            (GROUPS, constraints.groups.as_ref().map(Vec::is_empty)),
            (EMAILS, constraints.emails.as_ref().map(Vec::is_empty)),
            (DOMAINS, constraints.domains.as_ref().map(AllowedHosts::is_empty)),
        ];
        let empty = named.into_iter().find(|(_, empty)| *empty == Some(true));
        constraints.unreadable = constraints.unreadable.or(empty.map(|(name, _)| UnreadableConstraint::Empty(name)));
        constraints
    }

    /// Reads the query of a proxied path, which belongs to the application: there an empty
    /// constraint asks for nothing, as in oauth2-proxy.
    pub fn parse_proxied(query: &str) -> Self {
        let mut constraints = Self::parse_open(query);
        constraints.unreadable = None;
        constraints.groups = constraints.groups.filter(|groups| !groups.is_empty());
        constraints.emails = constraints.emails.filter(|emails| !emails.is_empty());
        constraints.domains = constraints.domains.filter(|domains| !domains.is_empty());
        constraints
    }

    fn parse_open(query: &str) -> Self {
        let mut read = Self::default();
        let mut domains = None::<Vec<String>>;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let list = match constraint(key) {
                Key::Other if pair.contains(';') && pair.split(';').any(may_constrain) => {
                    read.unreadable = Some(UnreadableConstraint::Malformed);
                    continue;
                }
                Key::Other => continue,
                Key::Unreadable => {
                    read.unreadable = Some(UnreadableConstraint::Malformed);
                    continue;
                }
                Key::Groups => read.groups.get_or_insert_default(),
                Key::Emails => read.emails.get_or_insert_default(),
                Key::Domains => domains.get_or_insert_default(),
            };
            match decode(value).filter(|_| !value.contains(';')) {
                Some(value) => list.extend(value.split(',').filter(|item| !item.is_empty()).map(str::to_owned)),
                None => read.unreadable = Some(UnreadableConstraint::Malformed),
            }
        }
        read.domains = domains.and_then(|domains| match AllowedHosts::parse(&domains) {
            Ok(domains) => Some(domains),
            Err(_) => {
                read.unreadable = Some(UnreadableConstraint::Malformed);
                None
            }
        });
        read
    }

    /// Why nobody passes, if so.
    pub fn unreadable(&self) -> Option<UnreadableConstraint> {
        self.unreadable
    }

    /// Whether this person meets all that is asked for.
    pub fn check(&self, who: &Identity) -> Result<(), DenyReason> {
        if let Some(constraint) = self.unreadable {
            return Err(DenyReason::UnreadableConstraint(constraint));
        }
        if self.groups.as_ref().is_some_and(|groups| !groups.iter().any(|group| who.groups.contains(group))) {
            return Err(DenyReason::QueryGroup { claimed: who.groups_claimed });
        }
        if self.emails.as_ref().is_some_and(|emails| !emails.contains(&who.email)) {
            return Err(DenyReason::QueryEmail);
        }
        let in_domain = |domains: &AllowedHosts| domain_of(&who.email).is_some_and(|domain| domains.allow(domain));
        if self.domains.as_ref().is_some_and(|domains| !in_domain(domains)) {
            return Err(DenyReason::QueryEmailDomain);
        }
        Ok(())
    }
}

enum Key {
    Groups,
    Emails,
    Domains,
    Other,
    Unreadable,
}

fn constraint(raw: &str) -> Key {
    match decode(raw).as_deref() {
        Some(GROUPS) => Key::Groups,
        Some(EMAILS) => Key::Emails,
        Some(DOMAINS) => Key::Domains,
        Some(_) => Key::Other,
        None => Key::Unreadable,
    }
}

/// Whether a piece between semicolons could have been meant as a constraint.
fn may_constrain(piece: &str) -> bool {
    let key = piece.split_once('=').map_or(piece, |(key, _)| key);
    decode(key).is_none_or(|key| key.starts_with(COMMON))
}

/// Decodes one key or value of a form-encoded query; bad escapes and bytes that are no UTF-8 are `None`.
fn decode(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains(['%', '+']) {
        return Some(Cow::Borrowed(raw));
    }
    let spaced = raw.replace('+', " ");
    let bytes = super::path::percent_decode(&spaced)?;
    String::from_utf8(bytes.into_owned()).ok().map(Cow::Owned)
}
