//! A request's URI for the log: codes, states and tokens give way, whatever they are nested in.

use std::borrow::Cow;

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
    #[cfg(test)]
    work::count(1);
    if *bytes.get(start)? != b'%' {
        return Some((bytes[start], start + 1, 0));
    }
    let (mut at, mut depth) = (start + 1, 1);
    while bytes.get(at..at + 2) == Some(b"25") {
        #[cfg(test)]
        work::count(2);
        (at, depth) = (at + 2, depth + 1);
    }
    let hex = std::str::from_utf8(bytes.get(at..at + 2)?).ok()?;
    let sign = u8::from_str_radix(hex, 16).ok()?;
    Some((sign, at + 2, depth))
}

/// Names count whatever their case and encoding: a server decodes them too.
fn is_secret(name: &str) -> bool {
    let name = if name.contains('%') { Cow::Owned(decoded(name)) } else { Cow::Borrowed(name) };
    SECRETS.iter().any(|secret| secret.eq_ignore_ascii_case(name.trim()))
}

/// The text with all its layers of percent encoding taken off in one pass: a byte that an escape at the end of what is
/// read stands for takes the escape's place, and may end another escape in its turn. Each step takes two bytes away.
fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text.as_bytes() {
        out.push(byte);
        while let [.., b'%', high, low] = *out.as_slice()
            && let Some(sign) = hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low)
        {
            #[cfg(test)]
            work::count(1);
            out.truncate(out.len() - 3);
            out.push(sign);
        }
        #[cfg(test)]
        work::count(1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// How many bytes were looked at: what a line costs is counted, since a clock shows other things as well.
#[cfg(test)]
pub(super) mod work {
    use std::cell::Cell;

    thread_local!(static LOOKED_AT: Cell<usize> = const { Cell::new(0) });

    /// So many more.
    pub fn count(bytes: usize) {
        LOOKED_AT.set(LOOKED_AT.get() + bytes);
    }

    /// All since the last question.
    pub fn taken() -> usize {
        LOOKED_AT.take()
    }
}
