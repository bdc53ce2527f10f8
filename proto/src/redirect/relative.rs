//! Return targets on this host: which paths no browser can take for another host.

use std::borrow::Cow;

use super::InvalidReturnTo;

/// Refuses a path in which two separators stand side by side or with only white space or dots
/// between them, wherever that is (browsers take `\` for `/` and drop some white space), and cleans
/// what is left of a last dot segment.
pub(super) fn checked(raw: &str) -> Result<Cow<'_, str>, InvalidReturnTo> {
    if has_hollow_segment(raw) {
        return Err(InvalidReturnTo::Ambiguous);
    }
    Ok(without_last_dots(raw))
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// Whether some segment between two separators is empty, white space only, `.` or `..`.
fn has_hollow_segment(raw: &str) -> bool {
    let mut segments = raw.as_bytes().split(|byte| is_separator(*byte));
    segments.next();
    let mut segment = segments.next();
    for following in segments {
        let hollow = segment.is_some_and(|s| matches!(s, b"." | b"..") || s.iter().all(|byte| *byte == b' '));
        if hollow {
            return true;
        }
        segment = Some(following);
    }
    false
}

/// `/a/..` is `/` and `/a/.` is `/a`: dot segments inside were refused, so only the last can be one.
fn without_last_dots(raw: &str) -> Cow<'_, str> {
    let (path, rest) = raw.split_at(raw.find('?').unwrap_or(raw.len()));
    let Some((before, last)) = path.rsplit_once('/') else { return Cow::Borrowed(raw) };
    let kept = match last {
        "." => before,
        ".." => before.rsplit_once('/').map_or("", |(parent, _)| parent),
        _ => return Cow::Borrowed(raw),
    };
    let kept = if kept.is_empty() { "/" } else { kept };
    Cow::Owned(format!("{kept}{rest}"))
}
