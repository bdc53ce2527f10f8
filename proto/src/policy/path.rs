//! The path that opening rules are held against: decoded, cut and clean, or none.

use std::borrow::Cow;

use crate::forwarded::OpeningUri;

/// The decoded path without query and fragment. `None` for whatever two servers may read
/// differently: bad escapes, control characters, dot segments, empty segments; and, where another
/// server resolves the URI, backslashes, encoded question marks, path parameters on dots, and bytes
/// that are no UTF-8 (`%c0%af` is a slash to who decodes without looking).
pub(super) fn for_rules<'u>(uri: &OpeningUri<'u>) -> Option<Cow<'u, [u8]>> {
    let raw = uri.text.split(['?', '#']).next().filter(|raw| raw.starts_with('/'))?;
    let decoded = percent_decode(raw)?;
    if decoded.iter().any(u8::is_ascii_control) || !is_clean(&decoded, uri.reported) {
        return None;
    }
    if uri.reported && (decoded.contains(&b'?') || std::str::from_utf8(&decoded).is_err()) {
        return None;
    }
    match decoded.iter().position(|byte| *byte == b'#') {
        None => Some(decoded),
        Some(end) => Some(match decoded {
            Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[..end]),
            Cow::Owned(mut bytes) => {
                bytes.truncate(end);
                Cow::Owned(bytes)
            }
        }),
    }
}

/// Whether no segment is empty (but the last) or made of dots. Looks beyond an encoded `#`, since
/// a server that decodes later resolves those segments too.
fn is_clean(path: &[u8], reported: bool) -> bool {
    let is_separator = |byte: &u8| *byte == b'/' || (reported && matches!(byte, b'\\' | b'#'));
    let mut segments = path.split(is_separator).skip(1).peekable();
    while let Some(segment) = segments.next() {
        let name = if reported { segment.split(|byte| *byte == b';').next().unwrap_or(segment) } else { segment };
        let dots = matches!(name, b"." | b"..");
        if dots || (segment.is_empty() && segments.peek().is_some()) {
            return false;
        }
    }
    true
}

/// Decodes `%xx`; `None` for a `%` without two hexadecimal digits.
pub(crate) fn percent_decode(raw: &str) -> Option<Cow<'_, [u8]>> {
    if !raw.contains('%') {
        return Some(Cow::Borrowed(raw.as_bytes()));
    }
    let mut bytes = raw.bytes();
    let mut decoded = Vec::with_capacity(raw.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    Some(Cow::Owned(decoded))
}
