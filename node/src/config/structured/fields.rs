//! Typed fields of a structured document: names in any case, no weak typing, each mistake with its
//! place. Messages name places, never values, which may be secrets.

use serde_json::Value;

use super::OPTION;
use crate::config::nearest::nearest;
use crate::config::problem::Findings;

/// The fields of one mapping. What nobody asked for is a mistake, found by [`Fields::finish`].
pub(super) struct Fields<'d> {
    place: String,
    left: Vec<(&'d str, &'d Value)>,
    asked: Vec<&'static str>,
}

impl<'d> Fields<'d> {
    /// The fields of a mapping; nothing at all is an empty one.
    pub(super) fn of(value: &'d Value, place: &str, findings: &mut Findings) -> Self {
        let left = match value {
            Value::Object(map) => map.iter().map(|(name, value)| (name.as_str(), value)).collect(),
            Value::Null => Vec::new(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                findings.problem(OPTION, format!("{} must be a mapping", named(place)));
                Vec::new()
            }
        };
        Self { place: place.to_owned(), left, asked: Vec::new() }
    }

    /// Where a field of this mapping stands.
    pub(super) fn place(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    /// A text that stands here alone; everything else is left as it is.
    pub(super) fn only_text(&mut self, name: &'static str) -> Option<String> {
        let [(given, Value::String(text))] = self.left.as_slice() else { return None };
        given.eq_ignore_ascii_case(name).then(|| text.clone())
    }

    fn take(&mut self, name: &'static str) -> Option<&'d Value> {
        self.asked.push(name);
        let at = self.left.iter().position(|(given, _)| given.eq_ignore_ascii_case(name))?;
        Some(self.left.remove(at).1).filter(|value| !value.is_null())
    }

    fn wrong(&self, name: &str, must_be: &str, findings: &mut Findings) {
        findings.problem(OPTION, format!("{} must be {must_be}", self.place(name)));
    }

    /// A text.
    pub(super) fn text(&mut self, name: &'static str, findings: &mut Findings) -> Option<String> {
        let value = self.take(name)?;
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong(name, "text: put it in quotes", findings);
        }
        text
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &'static str, findings: &mut Findings) -> Option<bool> {
        let value = self.take(name)?;
        if value.as_bool().is_none() {
            self.wrong(name, "true or false", findings);
        }
        value.as_bool()
    }

    /// A whole number.
    pub(super) fn whole(&mut self, name: &'static str, findings: &mut Findings) -> Option<i64> {
        let value = self.take(name)?;
        if value.as_i64().is_none() {
            self.wrong(name, "a whole number", findings);
        }
        value.as_i64()
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, name: &'static str, findings: &mut Findings) -> Option<Vec<String>> {
        let value = self.take(name)?;
        let texts: Option<Vec<String>> =
            value.as_array().and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
        if texts.is_none() {
            self.wrong(name, "a list of texts", findings);
        }
        texts
    }

    /// A mapping, which may be empty or absent.
    pub(super) fn child(&mut self, name: &'static str, findings: &mut Findings) -> Fields<'d> {
        let place = self.place(name);
        Fields::of(self.take(name).unwrap_or(&Value::Null), &place, findings)
    }

    /// A mapping, if it is there.
    pub(super) fn some_child(&mut self, name: &'static str, findings: &mut Findings) -> Option<Fields<'d>> {
        let place = self.place(name);
        self.take(name).map(|value| Fields::of(value, &place, findings))
    }

    /// A list of mappings, which may be absent.
    pub(super) fn children(&mut self, name: &'static str, findings: &mut Findings) -> Vec<Fields<'d>> {
        let place = self.place(name);
        match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(items)) => {
                let numbered = items.iter().enumerate();
                numbered.map(|(at, item)| Fields::of(item, &format!("{place}[{at}]"), findings)).collect()
            }
            Some(_) => {
                self.wrong(name, "a list", findings);
                Vec::new()
            }
        }
    }

    /// Names what is left: unknown, or given twice.
    pub(super) fn finish(self, findings: &mut Findings) {
        for (name, _) in &self.left {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            let at = named(&self.place);
            let twice = self.asked.iter().any(|asked| asked.eq_ignore_ascii_case(name));
            let text = match nearest(name, self.asked.iter().copied()) {
                _ if twice => format!("`{shown}` stands twice in {at}"),
                Some(near) => format!("unknown key `{shown}` in {at}: did you mean `{near}`?"),
                None => format!("unknown key `{shown}` in {at}: there are {}", self.asked.join(", ")),
            };
            findings.problem(OPTION, text);
        }
    }
}

fn named(place: &str) -> &str {
    if place.is_empty() { "the structured file" } else { place }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(read: impl FnOnce(&mut Findings)) -> String {
        let mut findings = Findings::default();
        read(&mut findings);
        findings.finish(None::<()>).expect_err("nothing is handed on").to_string()
    }

    #[test]
    fn names_know_no_case_and_types_are_strict() {
        let document = json!({"clientid": "rp", "static": "true", "list": ["a", 1], "n": null});
        let text = problems(|findings| {
            let mut fields = Fields::of(&document, "providers[0]", findings);
            assert_eq!(fields.text("clientID", findings).as_deref(), Some("rp"));
            assert_eq!(fields.flag("static", findings), None);
            assert_eq!(fields.texts("list", findings), None);
            assert_eq!(fields.text("n", findings), None);
            fields.finish(findings);
        });
        assert!(text.contains("providers[0].static must be true or false"), "{text}");
        assert!(text.contains("providers[0].list must be a list of texts"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn what_nobody_asked_for_is_named_with_the_nearest() {
        let document = json!({"bindAdress": "x", "BINDADDRESS": "y", "bindAddress": "hunter2"});
        let text = problems(|findings| {
            let mut fields = Fields::of(&document, "server", findings);
            fields.text("bindAddress", findings);
            fields.finish(findings);
        });
        assert!(text.contains("unknown key `bindAdress` in server: did you mean `bindAddress`?"), "{text}");
        assert!(text.contains("stands twice in server") && !text.contains("hunter2"), "{text}");
    }
}
