//! A request's URI for the log: codes, states and tokens give way, whatever they are nested in.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Stands where a secret stood.
const GONE: &str = "[redacted]";

/// Parameters whose values are secrets, or let somebody take part in a login.
const SECRETS: [&str; 21] = [
    "access_token",
    "assertion",
    "authorization",
    "client_assertion",
    "client_secret",
    "code",
    "code_challenge",
    "code_verifier",
    "cookie",
    "id_token",
    "id_token_hint",
    "jwt",
    "logout_token",
    "nonce",
    "password",
    "refresh_token",
    "samlresponse",
    "session_state",
    "state",
    "ticket",
    "token",
];

/// The URI with the values of secret parameters taken out. A URL inside a parameter (`rd`) is looked
/// through as well, however often it is percent-encoded.
pub fn redacted(uri: &str) -> Cow<'_, str> {
    let mut out: Option<String> = None;
    let mut done = 0;
    let mut at = 0;
    // Whatever stands before the first separator is a path.
    while let Some(found) = next_separator(uri, at, usize::MAX) {
        at = found.end;
        let Some((name_end, value_start)) = name_before_value(uri, at) else { continue };
        if !is_secret(&uri[at..name_end]) {
            continue;
        }
        // A separator that is encoded deeper belongs to the value.
        let end = next_separator(uri, value_start, found.depth).map_or(uri.len(), |next| next.start);
        let out = out.get_or_insert_with(|| String::with_capacity(uri.len()));
        out.push_str(&uri[done..value_start]);
        out.push_str(GONE);
        (done, at) = (end, end);
    }
    match out {
        None => Cow::Borrowed(uri),
        Some(mut out) => {
            out.push_str(&uri[done..]);
            Cow::Owned(out)
        }
    }
}

/// A sign that parameters are told apart by, as often encoded as `depth` says.
struct Separator {
    start: usize,
    end: usize,
    depth: usize,
}

fn next_separator(uri: &str, from: usize, deepest: usize) -> Option<Separator> {
    let bytes = uri.as_bytes();
    (from..bytes.len()).find_map(|start| {
        let (sign, end, depth) = sign_at(bytes, start)?;
        (depth <= deepest && matches!(sign, b'?' | b'&' | b';' | b'#')).then_some(Separator { start, end, depth })
    })
}

/// Ends of the name at `from` and of the `=` behind it; none if a separator comes first.
fn name_before_value(uri: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = uri.as_bytes();
    for start in from..bytes.len() {
        match sign_at(bytes, start) {
            Some((b'=', end, _)) => return Some((start, end)),
            Some((b'?' | b'&' | b';' | b'#', _, _)) => return None,
            Some(_) | None => {}
        }
    }
    None
}

/// The sign at a place, plain or percent-encoded any number of times: itself, its end, how often.
fn sign_at(bytes: &[u8], start: usize) -> Option<(u8, usize, usize)> {
    if *bytes.get(start)? != b'%' {
        return Some((bytes[start], start + 1, 0));
    }
    let (mut at, mut depth) = (start + 1, 1);
    while bytes.get(at..at + 2) == Some(b"25") {
        (at, depth) = (at + 2, depth + 1);
    }
    let hex = std::str::from_utf8(bytes.get(at..at + 2)?).ok()?;
    let sign = u8::from_str_radix(hex, 16).ok()?;
    Some((sign, at + 2, depth))
}

/// Longest name looked at: the longest secret's, encoded a few times. Decoding a longer one over and
/// over would cost its sender nothing and us a lot.
const MAX_NAME: usize = 128;

/// Names count whatever their case and encoding: a server decodes them too.
fn is_secret(name: &str) -> bool {
    if name.len() > MAX_NAME {
        return false;
    }
    let mut name = Cow::Borrowed(name);
    while name.contains('%') {
        let decoded = percent_decode_str(&name).decode_utf8_lossy().into_owned();
        if decoded == *name {
            break;
        }
        name = Cow::Owned(decoded);
    }
    SECRETS.iter().any(|secret| secret.eq_ignore_ascii_case(name.trim()))
}
