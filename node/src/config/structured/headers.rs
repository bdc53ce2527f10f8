//! Header rules of a structured file.

use actix_web::http::header::{HeaderName, HeaderValue};

use super::fields::Fields;
use super::{OPTION, Reader};
use crate::config::Secret;
use crate::config::headers::{Claim, ClaimForm, ClientCopies, HeaderRule, ValueSource};
use crate::config::problem::Findings;

impl Reader<'_> {
    /// One list of rules; no two for one header.
    pub(super) fn headers(&self, list: &str, items: Vec<Fields<'_>>, findings: &mut Findings) -> Vec<HeaderRule> {
        let mut rules: Vec<HeaderRule> = Vec::new();
        for item in items {
            let Some(rule) = self.header(item, findings) else { continue };
            if rules.iter().any(|other| other.name.eq_ignore_ascii_case(&rule.name)) {
                findings.problem(OPTION, format!("{list}: two rules for the header {}: join their values", rule.name));
            }
            rules.push(rule);
        }
        rules
    }

    fn header(&self, mut fields: Fields<'_>, findings: &mut Findings) -> Option<HeaderRule> {
        let name = fields.text("name", findings).unwrap_or_default();
        let keep = fields.flag("preserveRequestValue", findings).unwrap_or(false);
        let as_written = fields.flag("insecureSkipHeaderNormalization", findings).unwrap_or(false);
        let at = fields.place("name");
        let sources = fields.children("values", findings);
        // All are read before the first wrong one counts.
        let values: Vec<Option<_>> = sources.into_iter().map(|source| self.value(source, findings)).collect();
        fields.finish(findings);
        if HeaderName::try_from(&name).is_err() {
            findings.problem(OPTION, format!("{at} must be the name of a header"));
            return None;
        }
        let client_copies = match (keep, as_written) {
            (true, _) => ClientCopies::Kept,
            (false, true) => ClientCopies::RemovedAsWritten,
            (false, false) => ClientCopies::Removed,
        };
        Some(HeaderRule { name, client_copies, values: values.into_iter().collect::<Option<_>>()? })
    }

    fn value(&self, mut fields: Fields<'_>, findings: &mut Findings) -> Option<ValueSource> {
        let at = fields.place("claimSource");
        let claim = fields.some_child("claimSource", findings);
        let secret = fields.some_child("secretSource", findings);
        fields.finish(findings);
        match (claim, secret) {
            (Some(claim), None) => self.claim(claim, findings),
            (None, Some(secret)) => {
                let secret = printable(&at, self.secret(secret, findings)?, findings)?;
                Some(ValueSource::Secret(secret))
            }
            (None, None) | (Some(_), Some(_)) => {
                findings.problem(OPTION, format!("{at}: give one of claimSource and secretSource"));
                None
            }
        }
    }

    fn claim(&self, mut fields: Fields<'_>, findings: &mut Findings) -> Option<ValueSource> {
        let at = fields.place("claim");
        let name = fields.text("claim", findings).unwrap_or_default();
        let prefix = Secret::new(fields.text("prefix", findings).unwrap_or_default());
        let password = fields.some_child("basicAuthPassword", findings);
        fields.finish(findings);
        let form = match password {
            Some(password) => ClaimForm::Basic(self.secret(password, findings)?),
            None => ClaimForm::Prefixed(printable(&at, prefix, findings)?.expose().clone()),
        };
        match Claim::parse(&name) {
            Some(claim) => Some(ValueSource::Claim { claim, form }),
            None if name.is_empty() => {
                findings.problem(OPTION, format!("{at} is missing: name a claim, such as email"));
                None
            }
            None => {
                findings.problem(OPTION, format!("{at}: {name} is not handed out in headers"));
                None
            }
        }
    }
}

/// A text that may stand in a header.
fn printable(at: &str, text: Secret<String>, findings: &mut Findings) -> Option<Secret<String>> {
    if HeaderValue::from_bytes(text.expose().as_bytes()).is_err() {
        findings.problem(OPTION, format!("{at}: the text beside it holds a character that no header may carry"));
        return None;
    }
    Some(text)
}
