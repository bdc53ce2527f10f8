//! What an `Authorization` header brings: a signed token, or a name with a password.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Clients that know only Basic put a token into the user name and this, or nothing, beside it.
const TOKEN_BESIDE: &[u8] = b"x-oauth-basic";

/// The header, read as oauth2-proxy reads it: scheme and value with one space between them, and the
/// scheme's letters as written.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization<'h> {
    /// `Bearer` and something.
    Bearer(&'h str),
    /// `Basic` with a name and a password.
    Basic(BasicCredentials),
    /// Anything else.
    Other,
}

/// A name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicCredentials {
    /// What stands before the first colon.
    pub user: String,
    /// The rest; need not be text.
    pub password: Zeroizing<Vec<u8>>,
}

impl<'h> Authorization<'h> {
    /// Reads a header's value; `None` for one that is empty, which is as good as absent.
    pub fn parse(value: &'h [u8]) -> Option<Self> {
        let value = value.trim_ascii();
        if value.is_empty() {
            return None;
        }
        let parts = std::str::from_utf8(value).ok().and_then(|text| text.split_once(' '));
        Some(match parts {
            Some((_, rest)) if rest.is_empty() || rest.contains(' ') => Self::Other,
            Some(("Bearer", token)) => Self::Bearer(token),
            Some(("Basic", encoded)) => BasicCredentials::decode(encoded).map_or(Self::Other, Self::Basic),
            Some(_) | None => Self::Other,
        })
    }

    /// What looks like a signed token: after `Bearer`, as the user name of `Basic`, or as its password.
    pub fn token(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Bearer(token) => Some(Cow::Borrowed(*token)).filter(|token| looks_signed(token)),
            Self::Basic(BasicCredentials { user, password }) => {
                if looks_signed(user) {
                    let alone = password.is_empty() || password.as_slice() == TOKEN_BESIDE;
                    return alone.then_some(Cow::Borrowed(user.as_str()));
                }
                std::str::from_utf8(password).ok().filter(|token| looks_signed(token)).map(Cow::Borrowed)
            }
            Self::Other => None,
        }
    }
}

impl fmt::Debug for Authorization<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(***)")
    }
}

impl BasicCredentials {
    /// Of padded base64 in the standard alphabet (RFC 7617).
    fn decode(encoded: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(encoded).ok()?);
        let colon = bytes.iter().position(|byte| *byte == b':')?;
        let user = std::str::from_utf8(&bytes[..colon]).ok()?.to_owned();
        Some(Self { user, password: Zeroizing::new(bytes[colon + 1..].to_vec()) })
    }
}

impl fmt::Debug for BasicCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BasicCredentials(***)")
    }
}

/// Three parts of base64url, of which the first two are JSON objects.
fn looks_signed(token: &str) -> bool {
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let object = |part: &str| part.starts_with("ey") && plain(part);
    object(header) && object(payload) && !signature.is_empty() && plain(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.AA-_";

    fn token_of(value: &str) -> Option<String> {
        Authorization::parse(value.as_bytes())?.token().map(Cow::into_owned)
    }

    fn basic(text: impl AsRef<[u8]>) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn tokens_come_as_bearer_or_inside_basic() {
        for value in [
            format!("Bearer {TOKEN}"),
            format!("  Bearer {TOKEN} "),
            basic(format!("{TOKEN}:")),
            basic(format!("{TOKEN}:x-oauth-basic")),
            basic(format!("anyone:{TOKEN}")),
            basic(format!(":{TOKEN}")),
        ] {
            assert_eq!(token_of(&value).as_deref(), Some(TOKEN), "{value}");
        }
        for value in [
            format!("bearer {TOKEN}"),
            format!("Bearer  {TOKEN}"),
            format!("Bearer\t{TOKEN}"),
            format!("Bearer {TOKEN} x"),
            format!("Bearer {TOKEN}=="),
            format!("Bearer \"{TOKEN}\""),
            format!("Token {TOKEN}"),
            TOKEN.to_owned(),
            "Bearer eyJ9.eyJ9.".to_owned(),
            "Bearer eyJ9.abc.x".to_owned(),
            "Bearer ey.ey.x.y".to_owned(),
            basic(format!("{TOKEN}:other")),
            basic(format!("{TOKEN}:{TOKEN}")),
            basic(TOKEN),
            format!("basic {}", STANDARD.encode(format!("{TOKEN}:"))),
        ] {
            assert_eq!(token_of(&value), None, "{value}");
        }
    }

    #[test]
    fn basic_is_split_at_the_first_colon() {
        let read = |value: &str| match Authorization::parse(value.as_bytes()) {
            Some(Authorization::Basic(found)) => Some((found.user.clone(), found.password.to_vec())),
            Some(Authorization::Bearer(_) | Authorization::Other) | None => None,
        };
        assert_eq!(read(&basic("bob:a:b")), Some(("bob".to_owned(), b"a:b".to_vec())));
        assert_eq!(read(&basic(":")), Some((String::new(), Vec::new())));
        assert_eq!(read(&basic(b"u:\xe4")), Some(("u".to_owned(), b"\xe4".to_vec())));
        for wrong in ["Basic", "Basic ", "Basic !!!", "Basic Ym9i", "Basic cTo_Pz8=", "Basic dTpw Zg==", "Basic dTpwYQ"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_empty_header_is_none() {
        assert_eq!(Authorization::parse(b" \t"), None);
        assert_eq!(Authorization::parse(b"\xff\xfe x"), Some(Authorization::Other));
        assert_eq!(format!("{:?}", Authorization::parse(basic("a:b").as_bytes())), "Some(Authorization(***))");
    }
}
