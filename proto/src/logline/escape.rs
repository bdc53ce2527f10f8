//! No value from outside can end a log line, forge a field or another line, fill a log or steer a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// Longest form in which a value from outside stands in a line, in bytes: a request head of 32 KiB must not push the
/// lines about others out of a log that is kept by size.
pub const MAX_VALUE: usize = 256;

/// Stands at the end of a value that was cut.
const CUT: &str = "…";

/// Characters that do something instead of showing something: controls, line and paragraph
/// separators, and those that turn the direction of writing.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(character, '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn push_escaped(character: char, out: &mut String) {
    match character {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        other if u32::from(other) < 0x80 => {
            let _ = write!(out, "\\x{:02x}", u32::from(other));
        }
        other => {
            let _ = write!(out, "\\u{:04x}", u32::from(other));
        }
    }
}

/// In double quotes as Go's `%q` has it.
fn push_in_quotes(character: char, out: &mut String) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        other if acts(other) => push_escaped(other, out),
        other => out.push(other),
    }
}

/// As one word: blanks are written out, since the next field begins at one.
fn push_in_word(character: char, out: &mut String) {
    match character {
        other if other.is_whitespace() => push_escaped(other, out),
        other => push_in_quotes(other, out),
    }
}

/// Writes each character by `push`, and stops where the value would take more than [`MAX_VALUE`].
fn push_bounded(text: &str, push: fn(char, &mut String), out: &mut String) {
    let (begin, mut fits) = (out.len(), out.len());
    for character in text.chars() {
        push(character, out);
        if out.len() - begin > MAX_VALUE {
            out.truncate(fits);
            out.push_str(CUT);
            return;
        }
        if out.len() - begin <= MAX_VALUE - CUT.len() {
            fits = out.len();
        }
    }
}

/// The text with every character that acts written out, at its whole length: for texts of this program.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if acts(character) { push_escaped(character, &mut out) } else { out.push(character) }
    }
    Cow::Owned(out)
}

/// Appends the text in double quotes, at its whole length: for texts of this program.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    text.chars().for_each(|character| push_in_quotes(character, out));
    out.push('"');
}

/// Appends a value from outside in double quotes, at most [`MAX_VALUE`] bytes between them.
pub fn push_quoted(value: &str, out: &mut String) {
    out.push('"');
    push_bounded(value, push_in_quotes, out);
    out.push('"');
}

/// Appends a value from outside as one word of at most [`MAX_VALUE`] bytes: it has no blanks and no bare quotes, so that
/// what follows in the line is the line's own. An empty one is `-`.
pub fn push_word(value: &str, out: &mut String) {
    if value.is_empty() {
        return out.push('-');
    }
    push_bounded(value, push_in_word, out);
}

/// A value from outside with its end cut away beyond [`MAX_VALUE`] bytes, for lines that have an encoding of their own.
pub fn clipped(value: &str) -> Cow<'_, str> {
    if value.len() <= MAX_VALUE {
        return Cow::Borrowed(value);
    }
    let end = value.floor_char_boundary(MAX_VALUE - CUT.len());
    Cow::Owned(format!("{}{CUT}", &value[..end]))
}
