//! Regular expressions as the configuration writes them: Go's RE2 syntax, with ASCII classes.

use regex::bytes::{Regex, RegexBuilder};
use thiserror::Error;

/// A pattern that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{pattern:?} is no regular expression: {why}")]
pub struct InvalidPattern {
    /// As configured.
    pub pattern: String,
    /// The compiler's words.
    pub why: String,
}

/// A compiled pattern, unanchored unless it says otherwise.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles RE2 syntax. `\d`, `\w`, `\s` and `\b` know ASCII only; so does case folding, unless
    /// the pattern itself names characters beyond ASCII.
    pub fn parse(pattern: &str) -> Result<Self, InvalidPattern> {
        let beyond_ascii = !pattern.is_ascii() || [r"\p", r"\P", r"\x"].iter().any(|escape| pattern.contains(escape));
        let compiled = RegexBuilder::new(&translate(pattern)).unicode(beyond_ascii).build();
        compiled.map(Self).map_err(|error| InvalidPattern { pattern: pattern.to_owned(), why: error.to_string() })
    }

    /// Whether the pattern matches anywhere in the text.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }
}

/// Puts RE2 into the words of the `regex` crate: ASCII classes spelled out, `\Q…\E` escaped, and in
/// brackets what this crate alone takes for set operations.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        rest = match c {
            '\\' => escape(&rest[1..], in_class, &mut out),
            '[' if in_class => in_brackets(rest, &mut out),
            '[' => {
                in_class = true;
                open_class(rest, &mut out)
            }
            '{' if !in_class && !begins_repetition(rest) => {
                out.push_str(r"\{");
                &rest[1..]
            }
            ']' => {
                in_class = false;
                take(rest, 1, &mut out)
            }
            '-' if in_class && rest.starts_with("--") => {
                out.push_str(r"-\-");
                &rest[2..]
            }
            '&' | '~' if in_class => {
                out.push('\\');
                take(rest, 1, &mut out)
            }
            other => take(rest, other.len_utf8(), &mut out),
        };
    }
    out
}

/// Whether `{n}`, `{n,}` or `{n,m}` stands here. RE2 takes any other brace for itself.
fn begins_repetition(rest: &str) -> bool {
    let Some((inner, _)) = rest[1..].split_once('}') else { return false };
    let (least, most) = inner.split_once(',').unwrap_or((inner, "0"));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && is_number(least) && is_number(most)
}

/// Copies so many bytes and returns what follows them.
fn take<'p>(rest: &'p str, bytes: usize, out: &mut String) -> &'p str {
    let (taken, after) = rest.split_at(bytes);
    out.push_str(taken);
    after
}

/// Copies `[`, a `^` and a `]` that stands first and so is a letter.
fn open_class<'p>(rest: &'p str, out: &mut String) -> &'p str {
    let mut rest = take(rest, 1, out);
    if rest.starts_with('^') {
        rest = take(rest, 1, out);
    }
    match rest.strip_prefix(']') {
        Some(after) => {
            out.push_str(r"\]");
            after
        }
        None => rest,
    }
}

/// A `[` inside brackets: the start of `[:alpha:]`, or a letter.
fn in_brackets<'p>(rest: &'p str, out: &mut String) -> &'p str {
    if rest.starts_with("[:")
        && let Some(end) = rest.find(":]")
    {
        return take(rest, end + 2, out);
    }
    out.push('\\');
    take(rest, 1, out)
}

/// What follows a backslash.
fn escape<'p>(rest: &'p str, in_class: bool, out: &mut String) -> &'p str {
    let Some(c) = rest.chars().next() else {
        out.push('\\');
        return rest;
    };
    let spelled = match c {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        's' => r"[\t\n\f\r ]",
        'S' => r"[^\t\n\f\r ]",
        'b' if !in_class => r"(?-u:\b)",
        'Q' => {
            let (literal, after) = rest[1..].split_once(r"\E").unwrap_or((&rest[1..], ""));
            out.push_str(&regex::escape(literal));
            return after;
        }
        'p' | 'P' | 'x' if rest[1..].starts_with('{') => {
            out.push('\\');
            return take(rest, rest.find('}').map_or(rest.len(), |end| end + 1), out);
        }
        other => {
            out.push('\\');
            return take(rest, other.len_utf8(), out);
        }
    };
    out.push_str(spelled);
    &rest[1..]
}
