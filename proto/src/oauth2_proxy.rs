//! What an oauth2-proxy leaves in browsers: how its cookies differ from others, and when one of our cookie secrets
//! proves that they are of the oauth2-proxy that stood here before.

#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use ring::hmac;

use crate::cookie::{MAX_COOKIES_TRIED, cookie_pairs, cookies_named};
use crate::keyring::CookieSecret;

/// An HMAC-SHA256 in base64 with padding.
const MAC_CHARS: usize = 44;

/// A value in the form in which oauth2-proxy signs: `VALUE|SECONDS|HMAC-SHA256`.
struct Signed<'v> {
    value: &'v str,
    seconds: &'v str,
    mac: &'v str,
}

impl<'v> Signed<'v> {
    fn read(text: &'v str) -> Option<Self> {
        let mut parts = text.rsplitn(3, '|');
        let (mac, seconds, value) = (parts.next()?, parts.next()?, parts.next()?);
        let timed = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
        (timed && !value.is_empty() && mac.len() == MAC_CHARS).then_some(Self { value, seconds, mac })
    }

    /// Whether it was signed as the cookie `name` with that secret, whose literal is oauth2-proxy's key.
    fn is_by(&self, secret: &CookieSecret, name: &str) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.literal().as_bytes());
        let signed = [name, self.value, self.seconds].concat();
        URL_SAFE.decode(self.mac).is_ok_and(|mac| hmac::verify(&key, signed.as_bytes(), &mac).is_ok())
    }
}

/// Whether a cookie's value has the form in which oauth2-proxy signs: a ticket of its Redis store, or a whole session
/// of its cookie store. Whose secret signed it does not count.
pub fn has_signed_form(value: &str) -> bool {
    Signed::read(value).is_some()
}

/// Names of the pieces `NAME_0`, `NAME_1` … in a `Cookie` header, in which oauth2-proxy's cookie store keeps a session
/// that is too large for one cookie; each once, at most [`MAX_COOKIES_TRIED`]. Recognised by their names alone: each may as
/// well be the cookie of another service below the same domain.
pub fn pieces_of<'h>(header: &'h str, name: &str) -> Vec<&'h str> {
    let is_piece = |found: &str| {
        let number = found.strip_prefix(name).and_then(|rest| rest.strip_prefix('_'));
        number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut pieces = Vec::new();
    for (found, _) in cookie_pairs(header).filter(|(found, _)| is_piece(found)) {
        if pieces.len() < MAX_COOKIES_TRIED && !pieces.contains(&found) {
            pieces.push(found);
        }
    }
    pieces
}

/// Of those pieces the ones that join, in the order of their numbers, to a value that oauth2-proxy signed as the cookie
/// `name` with one of the secrets. None where they do not.
pub fn signed_pieces<'h>(header: &'h str, name: &str, secrets: &[CookieSecret]) -> Vec<&'h str> {
    let (mut names, mut joined) = (Vec::new(), String::new());
    for index in 0..MAX_COOKIES_TRIED {
        let piece = format!("{name}_{index}");
        let found = cookie_pairs(header).map(|(found, _)| found).find(|found| *found == piece);
        let (Some(found), Some(value)) = (found, cookies_named(header, &piece, 1).next()) else { return Vec::new() };
        names.push(found);
        joined.push_str(value);
        let signed = Signed::read(&joined);
        if signed.is_some_and(|signed| secrets.iter().any(|secret| signed.is_by(secret, name))) {
            return names;
        }
    }
    Vec::new()
}
