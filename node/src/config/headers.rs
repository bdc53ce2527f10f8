//! Header rules: what answers and upstream requests say about a session. Options and the structured
//! file both end here.

use std::fmt;

use super::Secret;

/// What answers and upstream requests carry.
#[derive(Clone, Debug, Default)]
pub struct HeaderConfig {
    /// On answers that let a request through.
    pub answers: Vec<HeaderRule>,
    /// On upstream requests.
    pub requests: Vec<HeaderRule>,
    /// Local users are known by an e-mail address: their name counts as both.
    pub prefer_email_to_user: bool,
}

impl HeaderConfig {
    /// The rules of answers that have a secret in them.
    pub fn secret_answers(&self) -> impl Iterator<Item = &HeaderRule> {
        self.answers.iter().filter(|rule| rule.has_secret())
    }

    /// Whether sessions need to keep the access token.
    pub fn uses_access_token(&self) -> bool {
        self.claims().any(|claim| *claim == Claim::AccessToken)
    }

    /// Names of the claims that sessions must keep for the rules besides those of every session.
    pub fn additional_claims(&self) -> impl Iterator<Item = &str> {
        self.claims().filter_map(|claim| match claim {
            Claim::Additional(name) => Some(name.as_str()),
            Claim::User
            | Claim::Email
            | Claim::PreferredUsername
            | Claim::Groups
            | Claim::AccessToken
            | Claim::IdToken => None,
        })
    }

    /// Every claim that a rule names.
    pub fn claims(&self) -> impl Iterator<Item = &Claim> {
        let values = self.answers.iter().chain(&self.requests).flat_map(|rule| &rule.values);
        values.filter_map(|value| match value {
            ValueSource::Claim { claim, .. } => Some(claim),
            ValueSource::Secret(_) => None,
        })
    }
}

/// One header: its values are joined by commas; without any value it stands empty on answers.
#[derive(Clone, Debug)]
pub struct HeaderRule {
    /// As given.
    pub name: String,
    /// What becomes of a client's own header of that name; upstream only.
    pub client_copies: ClientCopies,
    /// Where its values come from, in order.
    pub values: Vec<ValueSource>,
}

impl HeaderRule {
    /// Whether a part of its value is the operator's secret and no claim.
    pub fn has_secret(&self) -> bool {
        self.values.iter().any(ValueSource::is_secret)
    }

    /// A claim under a name.
    pub fn of_claim(name: &str, claim: Claim, prefix: &str) -> Self {
        let value = ValueSource::Claim { claim, form: ClaimForm::Prefixed(prefix.to_owned()) };
        Self { name: name.to_owned(), client_copies: ClientCopies::Removed, values: vec![value] }
    }

    /// `Authorization: Basic` with a claim as the user.
    pub fn basic(claim: Claim, password: Secret<String>) -> Self {
        let value = ValueSource::Claim { claim, form: ClaimForm::Basic(password) };
        Self { name: "Authorization".to_owned(), client_copies: ClientCopies::Removed, values: vec![value] }
    }
}

/// What becomes of a client's own header of a rule's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCopies {
    /// Taken away in every spelling that an upstream may take for it: any case, `_` for `-`.
    #[default]
    Removed,
    /// Taken away in that spelling, whatever its case.
    RemovedAsWritten,
    /// Passed on.
    Kept,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum ValueSource {
    /// Given in the configuration.
    Secret(Secret<String>),
    /// The session's.
    Claim {
        /// Which one.
        claim: Claim,
        /// How it is written.
        form: ClaimForm,
    },
}

impl ValueSource {
    /// Whether its value holds what the operator alone knows: it goes with a session to gateways, and to nothing else.
    pub const fn is_secret(&self) -> bool {
        match self {
            Self::Secret(_) | Self::Claim { form: ClaimForm::Basic(_), .. } => true,
            Self::Claim { form: ClaimForm::Prefixed(_), .. } => false,
        }
    }
}

/// How a claim is written into a header.
#[derive(Clone, Debug)]
pub enum ClaimForm {
    /// After a text, which may be empty.
    Prefixed(String),
    /// As the user of HTTP Basic with this password.
    Basic(Secret<String>),
}

/// What a session says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// `sub`.
    User,
    /// The e-mail address.
    Email,
    /// The preferred user name.
    PreferredUsername,
    /// The groups, one value each.
    Groups,
    /// The access token.
    AccessToken,
    /// The ID token.
    IdToken,
    /// Any other claim of the ID token, or of userinfo.
    Additional(String),
}

impl Claim {
    /// Reads oauth2-proxy's names. `None` for what no header may carry: the refresh token, which works
    /// once in the whole cluster, and times that depend on how the store counts.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "user" => Some(Self::User),
            "email" => Some(Self::Email),
            "preferred_username" => Some(Self::PreferredUsername),
            "groups" => Some(Self::Groups),
            "access_token" => Some(Self::AccessToken),
            "id_token" => Some(Self::IdToken),
            "" | "refresh_token" | "created_at" | "expires_on" => None,
            other => Some(Self::Additional(other.to_owned())),
        }
    }

    /// Whether it is a token of the provider, which a minimal session does not keep.
    pub fn is_token(&self) -> bool {
        matches!(self, Self::AccessToken | Self::IdToken)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "sub",
            Self::Email => "email",
            Self::PreferredUsername => "preferred_username",
            Self::Groups => "groups",
            Self::AccessToken => "access_token",
            Self::IdToken => "id_token",
            Self::Additional(name) => name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_say_what_sessions_must_keep() {
        let rule = |claim| HeaderRule::of_claim("X-A", claim, "");
        let config = HeaderConfig {
            answers: vec![rule(Claim::Groups), rule(Claim::Additional("dept".to_owned()))],
            requests: vec![rule(Claim::AccessToken)],
            prefer_email_to_user: false,
        };
        assert!(config.uses_access_token());
        assert_eq!(config.additional_claims().collect::<Vec<_>>(), ["dept"]);
        assert!(!HeaderConfig::default().uses_access_token());
        assert_eq!(Claim::parse("refresh_token"), None);
        assert_eq!(Claim::parse("dept.name"), Some(Claim::Additional("dept.name".to_owned())));
    }
}
