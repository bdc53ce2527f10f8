//! No value from outside can end a log line, forge another or steer a terminal.

use std::borrow::Cow;
use std::fmt::Write;

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

/// The text with every character that acts written out.
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

/// Appends the text in double quotes as Go's `%q` has it.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            other if acts(other) => push_escaped(other, out),
            other => out.push(other),
        }
    }
    out.push('"');
}
