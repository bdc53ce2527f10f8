//! Parameters of the authorization request besides the protocol's own: what the configuration fixes,
//! and what a browser may choose.

use crate::policy::Pattern;

/// One parameter.
#[derive(Clone, Debug)]
pub struct LoginParameter {
    /// Its name.
    pub name: String,
    /// Sent unless the browser asks for an allowed value.
    pub default: Vec<String>,
    /// What a browser may ask for; nothing = the default is fixed.
    pub allow: Vec<AllowedValue>,
}

/// A value that a browser may ask for.
#[derive(Clone, Debug)]
pub enum AllowedValue {
    /// This one.
    Exactly(String),
    /// Any that the pattern matches somewhere.
    Matching(Pattern),
}

impl LoginParameter {
    /// A parameter with one value that no browser changes.
    pub fn fixed(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), default: vec![value.into()], allow: Vec::new() }
    }

    fn allows(&self, asked: &str) -> bool {
        self.allow.iter().any(|allowed| match allowed {
            AllowedValue::Exactly(value) => value == asked,
            AllowedValue::Matching(pattern) => pattern.matches(asked.as_bytes()),
        })
    }
}

/// Names and values to send, given the query of the login's start.
pub fn login_parameters<'p>(rules: &'p [LoginParameter], asked: &'p [(String, String)]) -> Vec<(&'p str, &'p str)> {
    let mut sent = Vec::new();
    for rule in rules {
        let before = sent.len();
        let wanted = asked.iter().filter(|(name, value)| *name == rule.name && rule.allows(value));
        sent.extend(wanted.map(|(_, value)| (rule.name.as_str(), value.as_str())));
        if sent.len() == before {
            sent.extend(rule.default.iter().map(|value| (rule.name.as_str(), value.as_str())));
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_browser_chooses_only_what_is_allowed() {
        let pattern = Pattern::parse("bc").expect("a pattern");
        let rules = [
            LoginParameter::fixed("organization", "mine"),
            LoginParameter {
                name: "prompt".to_owned(),
                default: vec!["login".to_owned()],
                allow: vec![AllowedValue::Exactly("consent".to_owned())],
            },
            LoginParameter {
                name: "login_hint".to_owned(),
                default: Vec::new(),
                allow: vec![AllowedValue::Matching(pattern)],
            },
        ];
        let none = asked(&[("organization", "theirs"), ("prompt", "none"), ("login_hint", "x"), ("client_id", "y")]);
        assert_eq!(login_parameters(&rules, &none), [("organization", "mine"), ("prompt", "login")]);
        let some = asked(&[("prompt", "consent"), ("login_hint", "abcd")]);
        let sent = login_parameters(&rules, &some);
        assert_eq!(sent, [("organization", "mine"), ("prompt", "consent"), ("login_hint", "abcd")]);
    }
}
