//! The name of one request in all that is said of it.

use std::borrow::Cow;

use actix_web::{HttpMessage, HttpRequest};

use super::Service;

/// Longest id taken over from a client.
const MAX_LENGTH: usize = 64;

/// An id that was drawn; stays with its request.
struct Drawn(String);

/// The id that the gateway gave the request, by `request_id_header`, or else a random UUID that is the
/// same each time for one request.
pub fn of<'r>(request: &'r HttpRequest, service: &Service) -> Cow<'r, str> {
    let header = service.config.http.request_id_header.as_ref();
    let given = header.and_then(|name| request.headers().get(name)).and_then(|value| value.to_str().ok());
    if let Some(given) = given.filter(|given| !given.is_empty()) {
        // A header's text is ASCII: any place is between two characters.
        return Cow::Borrowed(&given[..given.len().min(MAX_LENGTH)]);
    }
    let mut extensions = request.extensions_mut();
    if let Some(Drawn(id)) = extensions.get() {
        return Cow::Owned(id.clone());
    }
    let mut random = [0; 16];
    service.entropy.fill(&mut random);
    let id = uuid(random);
    extensions.insert(Drawn(id.clone()));
    Cow::Owned(id)
}

/// A version 4 UUID (RFC 9562) of these bits.
fn uuid(mut random: [u8; 16]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in random.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0x0f)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_their_form() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
    }
}
