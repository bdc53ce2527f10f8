//! Rules that let a request pass without a session: paths, preflight requests, client addresses.

use thiserror::Error;

use super::path::{self, Readings};
use super::pattern::{InvalidPattern, Pattern};
use crate::forwarded::{InvalidCidr, IpSet, OpeningFacts};

/// An opening rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidRule {
    /// In `skip_auth_regex`.
    #[error("skip_auth_regex: {0}")]
    Regex(InvalidPattern),
    /// In `skip_auth_routes`.
    #[error("skip_auth_routes: {0}")]
    Route(InvalidPattern),
    /// In `trusted_ips`.
    #[error("trusted_ips: {0}")]
    TrustedIp(InvalidCidr),
}

/// One path rule.
#[derive(Clone, Debug)]
pub struct SkipRule {
    /// Upper case; empty for every method.
    method: String,
    negated: bool,
    pattern: Pattern,
}

impl SkipRule {
    /// Reads `METHOD=pattern`, `METHOD!=pattern`, `!=pattern`, `=pattern` or `pattern`. The first
    /// `=` or `!=` splits; `!=` anywhere negates, as in oauth2-proxy.
    pub fn parse(rule: &str) -> Result<Self, InvalidPattern> {
        let negated = rule.contains("!=");
        let (method, pattern) = match rule.split_once('=') {
            None => ("", rule),
            Some((before, after)) => (before.strip_suffix('!').unwrap_or(before), after),
        };
        Ok(Self { method: method.to_uppercase(), negated, pattern: Pattern::parse(pattern)? })
    }

    /// What stands before the `=`, where that is no method: a pattern that holds a `=` needs one in front.
    pub fn odd_method(&self) -> Option<&str> {
        let is_token = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_');
        (!self.method.bytes().all(is_token)).then_some(self.method.as_str())
    }

    fn opens(&self, method: Option<&str>, path: &Readings<'_>) -> bool {
        let method_fits = self.method.is_empty() || method == Some(self.method.as_str());
        method_fits && path.all(|reading| self.pattern.matches(reading) != self.negated)
    }
}

/// All opening rules of a site.
#[derive(Clone, Debug, Default)]
pub struct OpeningRules {
    skip: Vec<SkipRule>,
    preflight: bool,
    trusted_ips: IpSet,
}

impl OpeningRules {
    /// Reads `skip_auth_regex`, `skip_auth_routes`, `skip_auth_preflight` and `trusted_ips`.
    pub fn parse<S: AsRef<str>>(
        skip_auth_regex: &[S],
        skip_auth_routes: &[S],
        skip_auth_preflight: bool,
        trusted_ips: &[S],
    ) -> Result<Self, InvalidRule> {
        let regex = skip_auth_regex.iter().map(|pattern| {
            let pattern = Pattern::parse(pattern.as_ref()).map_err(InvalidRule::Regex)?;
            Ok(SkipRule { method: String::new(), negated: false, pattern })
        });
        let routes = skip_auth_routes.iter().map(|rule| SkipRule::parse(rule.as_ref()).map_err(InvalidRule::Route));
        Ok(Self {
            skip: regex.chain(routes).collect::<Result<_, _>>()?,
            preflight: skip_auth_preflight,
            trusted_ips: IpSet::parse(trusted_ips).map_err(InvalidRule::TrustedIp)?,
        })
    }

    /// Whether any rule stands: then it matters whose headers are believed.
    pub fn any(&self) -> bool {
        !self.skip.is_empty() || self.preflight || !self.trusted_ips.is_empty()
    }

    /// The path rules.
    pub fn skip_rules(&self) -> &[SkipRule] {
        &self.skip
    }

    /// Whether a rule matches.
    pub fn open(&self, facts: &OpeningFacts<'_>) -> bool {
        if self.preflight && facts.method == Some("OPTIONS") {
            return true;
        }
        if facts.client.is_some_and(|client| self.trusted_ips.contains(client)) {
            return true;
        }
        if self.skip.is_empty() {
            return false;
        }
        let Some(path) = facts.uri.as_ref().and_then(path::readings) else { return false };
        self.skip.iter().any(|rule| rule.opens(facts.method, &path))
    }
}
