//! E-mail rules: domains, and a file of addresses.

use std::borrow::Cow;
use std::collections::BTreeSet;

use thiserror::Error;

/// The part after the only `@`; an address with none or several has no domain that could be believed.
pub(super) fn domain_of(email: &str) -> Option<&str> {
    email.split_once('@').map(|(_, domain)| domain).filter(|domain| !domain.contains('@'))
}

fn lower(email: &str) -> Cow<'_, str> {
    if email.chars().any(|c| c != c.to_ascii_lowercase() || !c.is_ascii()) {
        Cow::Owned(email.to_lowercase())
    } else {
        Cow::Borrowed(email)
    }
}

/// `email_domains`: `domain` is that domain alone, `.domain` and `*.domain` are all below it, `*` is
/// everybody with an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmailDomains {
    everybody: bool,
    exact: Vec<String>,
    /// Each begins with its dot.
    below: Vec<String>,
}

impl EmailDomains {
    /// Reads a configured list; entries that no address can have match nobody.
    pub fn parse<S: AsRef<str>>(list: &[S]) -> Self {
        let mut domains = Self::default();
        for entry in list.iter().map(|entry| entry.as_ref().to_lowercase()) {
            match entry.as_str() {
                "*" => domains.everybody = true,
                "" => {}
                below if below.starts_with("*.") => domains.below.push(below[1..].to_owned()),
                below if below.starts_with('.') => domains.below.push(below.to_owned()),
                _ => domains.exact.push(entry),
            }
        }
        domains
    }

    /// Whether the list lets everybody with an address in.
    pub fn everybody(&self) -> bool {
        self.everybody
    }

    /// Whether the list names nobody.
    pub fn is_empty(&self) -> bool {
        !self.everybody && self.exact.is_empty() && self.below.is_empty()
    }

    /// Whether the list lets the address in; an empty one never.
    pub fn allow(&self, email: &str) -> bool {
        if email.is_empty() || self.everybody {
            return !email.is_empty();
        }
        let Some(domain) = domain_of(email).map(lower) else { return false };
        self.exact.iter().any(|exact| *exact == *domain) || self.below.iter().any(|below| domain.ends_with(below))
    }
}

/// A file of addresses that cannot be read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidEmailsFile {
    /// Lines of one file have the same number of columns.
    #[error("line {line} of authenticated_emails_file has another number of columns than the first")]
    Columns {
        /// Counted from 1.
        line: usize,
    },
    /// A quotation mark where none can stand.
    #[error("line {line} of authenticated_emails_file has a stray quotation mark")]
    Quote {
        /// Counted from 1.
        line: usize,
    },
}

/// The addresses of `authenticated_emails_file`, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthenticatedEmails(BTreeSet<String>);

impl AuthenticatedEmails {
    /// Reads CSV, of which the first column counts; `#` begins a comment line.
    pub fn parse(text: &str) -> Result<Self, InvalidEmailsFile> {
        let mut emails = BTreeSet::new();
        let mut columns = None;
        for (index, raw) in text.lines().enumerate() {
            if raw.is_empty() || raw.starts_with('#') {
                continue;
            }
            let line = index + 1;
            let fields = csv_fields(raw).ok_or(InvalidEmailsFile::Quote { line })?;
            if *columns.get_or_insert(fields.len()) != fields.len() {
                return Err(InvalidEmailsFile::Columns { line });
            }
            let email = fields.first().map(|field| field.trim().to_lowercase()).unwrap_or_default();
            if !email.is_empty() {
                emails.insert(email);
            }
        }
        Ok(Self(emails))
    }

    /// Whether the file lists the address.
    pub fn contains(&self, email: &str) -> bool {
        self.0.contains(lower(email).as_ref())
    }

    /// How many addresses it lists.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it lists nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The fields of one line; `None` for a quotation mark inside a plain field or after a quoted one.
fn csv_fields(line: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let (field, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                (Some(Cow::Borrowed(field)).filter(|field| !field.contains('"'))?, after)
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(fields),
        }
    }
}

/// Reads up to the closing quotation mark; two of them stand for one.
fn quoted_field(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut from = 0;
    loop {
        let end = from + text[from..].find('"')?;
        let after = &text[end + 1..];
        if !after.starts_with('"') {
            let field = &text[..end];
            let field =
                if field.contains('"') { Cow::Owned(field.replace("\"\"", "\"")) } else { Cow::Borrowed(field) };
            return Some((field, after));
        }
        from = end + 2;
    }
}
