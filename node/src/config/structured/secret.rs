//! Secrets of a structured file: a value, a variable or a file; exactly one of them.

use super::fields::Fields;
use super::{OPTION, Reader};
use crate::config::Secret;
use crate::config::problem::Findings;

impl Reader<'_> {
    /// Reads the secret now. A newline at a file's end does not count.
    pub(super) fn secret(&self, mut fields: Fields<'_>, findings: &mut Findings) -> Option<Secret<String>> {
        let at = fields.place("").trim_end_matches('.').to_owned();
        let value = fields.text("value", findings);
        let variable = fields.text("fromEnv", findings).filter(|name| !name.is_empty());
        let file = fields.text("fromFile", findings).filter(|path| !path.is_empty());
        fields.finish(findings);
        let read = match (value, variable, file) {
            (Some(value), None, None) => Ok(value),
            (None, Some(name), None) => {
                let found = (self.variables)(&name).and_then(|value| value.into_string().ok());
                found.filter(|value| !value.is_empty()).ok_or_else(|| format!("the variable {name} is empty or unset"))
            }
            (None, None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => Err(format!("cannot read {path}: {error}")),
            },
            (None, None, None) => Err("is missing: give one of value, fromEnv and fromFile".to_owned()),
            (_, _, _) => Err("has several sources: give one of value, fromEnv and fromFile".to_owned()),
        };
        match read {
            Ok(text) => Some(Secret::new(text)),
            Err(why) => {
                findings.problem(OPTION, format!("{at}: {why}"));
                None
            }
        }
    }
}
