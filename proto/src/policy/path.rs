//! The path that opening rules are held against: every reading that a server may have of it, or none.

use std::borrow::Cow;

use crate::forwarded::OpeningUri;

/// Most layers of percent encoding that are looked through. A gateway and an application decode once each, some
/// frameworks once more; a path with more layers has no honest sender, and each of them costs a pass over the path.
const MAX_LAYERS: usize = 8;

/// What one path means to the servers that may resolve it. A rule opens a request only where it opens each reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Readings<'u> {
    first: Cow<'u, [u8]>,
    others: Vec<Vec<u8>>,
}

impl<'u> Readings<'u> {
    fn one(path: impl Into<Cow<'u, [u8]>>) -> Self {
        Self { first: path.into(), others: Vec::new() }
    }

    /// Whether this holds for each reading.
    pub(super) fn all(&self, mut holds: impl FnMut(&[u8]) -> bool) -> bool {
        holds(&self.first) && self.others.iter().all(|path| holds(path))
    }
}

/// The readings of a URI's path. `None` for an ambiguous one, which no rule opens, negated ones included. The query
/// is not looked at.
pub(super) fn readings<'u>(uri: &OpeningUri<'u>) -> Option<Readings<'u>> {
    if uri.reported { elsewhere(uri.text) } else { here(uri.text) }
}

/// Where another server resolves the URI. Ambiguous is what servers cut, drop or resolve at different moments: `#`,
/// `;`, `\`, an encoded `?`, control characters, bytes that are not UTF-8, empty and dot segments, in any layer of
/// encoding. Two differences among servers are harmless where the rule opens both readings: an encoded slash parts
/// segments or is a letter of one, and raw bytes beyond ASCII are UTF-8 or Latin-1 (Node and Python).
fn elsewhere(uri: &str) -> Option<Readings<'_>> {
    // Some servers look for the fragment first, so that a `#` in the query moves its end.
    if uri.contains('#') {
        return None;
    }
    let raw = uri.split('?').next().filter(|raw| raw.starts_with('/') && is_plain(raw.as_bytes()))?;
    if raw.is_ascii() && !raw.contains('%') {
        return Some(Readings::one(raw.as_bytes()));
    }
    if !has_sound_escapes(raw.as_bytes()) {
        return None;
    }
    let mut found = Vec::new();
    unfold(raw.as_bytes(), &mut found)?;
    if !raw.is_ascii() {
        let latin: String = raw.bytes().map(char::from).collect();
        unfold(latin.as_bytes(), &mut found)?;
    }
    let first = Cow::Owned(found.remove(0));
    Some(Readings { first, others: found })
}

/// Adds the path as it is after each layer of encoding, encoded slashes decoded and kept: at least one. `None` if
/// any of them is ambiguous, or if there are more than [`MAX_LAYERS`]; and if an encoded slash stands last, which
/// some servers drop.
fn unfold(raw: &[u8], found: &mut Vec<Vec<u8>>) -> Option<()> {
    for slash in [Slash::Decoded, Slash::Kept] {
        let mut path = raw.to_vec();
        for layer in 0.. {
            let (inner, decoded) = decode_layer(&path, slash);
            if !decoded && layer > 0 {
                break;
            }
            if layer == MAX_LAYERS || !is_plain(&inner) || (inner.ends_with(b"/") && !raw.ends_with(b"/")) {
                return None;
            }
            if !found.contains(&inner) {
                found.push(inner.clone());
            }
            path = inner;
        }
    }
    Some(())
}

/// What becomes of an encoded slash.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slash {
    Decoded,
    Kept,
}

/// One layer less, and whether there was one. A `%` without two hexadecimal digits is text.
fn decode_layer(path: &[u8], slash: Slash) -> (Vec<u8>, bool) {
    let mut inner = Vec::with_capacity(path.len());
    let mut decoded = false;
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let meant = if byte == b'%' { escaped(after) } else { None };
        match meant.filter(|meant| *meant != b'/' || slash == Slash::Decoded) {
            Some(meant) => {
                inner.push(meant);
                decoded = true;
                rest = &after[2..];
            }
            None => {
                inner.push(byte);
                rest = after;
            }
        }
    }
    (inner, decoded)
}

/// The byte that two hexadecimal digits at the beginning stand for.
fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn has_sound_escapes(path: &[u8]) -> bool {
    path.iter().enumerate().all(|(at, byte)| *byte != b'%' || escaped(&path[at + 1..]).is_some())
}

/// Whether every server reads this layer of a path alike.
fn is_plain(path: &[u8]) -> bool {
    let cuts = |byte: &u8| byte.is_ascii_control() || matches!(byte, b'#' | b';' | b'\\' | b'?');
    !path.iter().any(cuts) && std::str::from_utf8(path).is_ok() && has_plain_segments(path)
}

/// Whether no segment but the last is empty and none is made of dots.
fn has_plain_segments(path: &[u8]) -> bool {
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let dots = matches!(segment, b"." | b"..");
        if dots || (segment.is_empty() && segments.peek().is_some()) {
            return false;
        }
    }
    true
}

/// Where this process resolves the URI itself: decoded once, as in oauth2-proxy, and cut at a `#`. Dots beyond it
/// count all the same.
fn here(uri: &str) -> Option<Readings<'_>> {
    let raw = uri.split(['?', '#']).next().filter(|raw| raw.starts_with('/'))?;
    let mut path = percent_decode(raw)?;
    if path.iter().any(u8::is_ascii_control) || !has_plain_segments(&path) {
        return None;
    }
    if let Some(end) = path.iter().position(|byte| *byte == b'#') {
        path.to_mut().truncate(end);
    }
    Some(Readings::one(path))
}

/// Decodes `%xx`; `None` for a `%` without two hexadecimal digits.
pub(crate) fn percent_decode(raw: &str) -> Option<Cow<'_, [u8]>> {
    if !raw.contains('%') {
        return Some(Cow::Borrowed(raw.as_bytes()));
    }
    has_sound_escapes(raw.as_bytes()).then(|| Cow::Owned(decode_layer(raw.as_bytes(), Slash::Decoded).0))
}
