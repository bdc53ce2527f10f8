//! What a claim's value becomes in a header: itself, or nothing. No two values become the same.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt::Write;

use thiserror::Error;

/// Stands between the values of one header.
pub const SEPARATOR: char = ',';

/// Ends the user's name in HTTP Basic credentials (RFC 7617).
const COLON: char = ':';

/// Readers of a header drop these at its ends.
const BLANKS: [char; 2] = [' ', '\t'];

/// What becomes of a value of a list that cannot stand there as it is: the option `list_separator_in_values`. It also
/// holds for other claims that do not say who somebody is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unfitting {
    /// The header lacks it.
    #[default]
    LeftOut,
    /// Its offending bytes, and each `%`, are percent-encoded.
    Encoded,
    /// Its owner does not get in.
    Refused,
    /// Line breaks become blanks, blanks at the ends go, and separators stay, as in oauth2-proxy. Identities too.
    AsOauth2Proxy,
}

/// A word that is none of the option's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("must be omit, encode, refuse or as-oauth2-proxy")]
pub struct UnknownUnfitting;

impl Unfitting {
    /// Reads the option.
    pub fn parse(word: &str) -> Result<Self, UnknownUnfitting> {
        match word {
            "omit" => Ok(Self::LeftOut),
            "encode" => Ok(Self::Encoded),
            "refuse" => Ok(Self::Refused),
            "as-oauth2-proxy" => Ok(Self::AsOauth2Proxy),
            _ => Err(UnknownUnfitting),
        }
    }
}

/// What a value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who somebody is: a person whose name cannot be said does not get in.
    Identity,
    /// A token of the provider: encoded it would be none.
    Token,
    /// The one value of a claim that is no list.
    Single,
    /// One of a list.
    Element,
}

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a header of its own.
    Alone,
    /// Among others, with [`SEPARATOR`] between them.
    Listed,
    /// As the user of HTTP Basic credentials.
    UserOfBasic,
}

/// Why a value cannot stand as it is. Reads on after the claim's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// CR, LF, NUL or another one: ends a header, or is changed on the way. A tab within arrives as it is (RFC 9110).
    #[error("has a control character, such as a line break")]
    Control,
    /// Readers of a header drop it.
    #[error("begins or ends with a blank or a tab")]
    Blank,
    /// Would end the value in a list.
    #[error("has a comma, which ends a value in a list")]
    Comma,
    /// Would end the name in HTTP Basic credentials.
    #[error("has a colon, which ends the user name in HTTP Basic credentials")]
    Colon,
    /// Cannot be seen in a list.
    #[error("is empty")]
    Empty,
}

/// A claim that keeps its owner out, as it cannot be passed on as it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the claim {claim} cannot reach applications as it is: it {why}")]
pub struct UnfitClaim {
    /// Which one, by its standard name.
    pub claim: String,
    /// What is wrong with its value.
    pub why: Unfit,
}

/// What a value becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written<'v> {
    /// This text.
    Text(Cow<'v, str>),
    /// There is no value.
    Nothing,
    /// There is one, and the header lacks it.
    LeftOut(Unfit),
}

/// What a value becomes in a header. An error refuses its owner.
pub fn write(value: &str, kind: Kind, place: Place, unfitting: Unfitting) -> Result<Written<'_>, Unfit> {
    if unfitting == Unfitting::AsOauth2Proxy {
        return as_oauth2_proxy(value);
    }
    // An application that decodes a claim decodes all its values.
    let encoded = unfitting == Unfitting::Encoded;
    let place = if encoded && kind == Kind::Single && place == Place::Alone { Place::Listed } else { place };
    if value.is_empty() && kind != Kind::Element {
        return Ok(Written::Nothing);
    }
    let unfit = fits(value, place).err();
    match (kind, unfitting, unfit) {
        (Kind::Identity, Unfitting::Encoded, None | Some(Unfit::Comma)) if place == Place::Listed => {
            Ok(Written::Text(percent_encoded(value, place)))
        }
        (Kind::Single | Kind::Element, Unfitting::Encoded, unfit) if unfit != Some(Unfit::Empty) => {
            Ok(Written::Text(percent_encoded(value, place)))
        }
        (_, _, None) => Ok(Written::Text(Cow::Borrowed(value))),
        (Kind::Identity, _, Some(unfit)) | (_, Unfitting::Refused, Some(unfit)) => Err(unfit),
        (Kind::Token | Kind::Single | Kind::Element, _, Some(unfit)) => Ok(Written::LeftOut(unfit)),
    }
}

/// Whether a value is read there as it was written. Bytes beyond ASCII are.
pub fn fits(value: &str, place: Place) -> Result<(), Unfit> {
    if value.is_empty() {
        return Err(Unfit::Empty);
    }
    if value.contains(is_control) {
        return Err(Unfit::Control);
    }
    if value.starts_with(BLANKS) || value.ends_with(BLANKS) {
        return Err(Unfit::Blank);
    }
    match place {
        Place::Listed if value.contains(SEPARATOR) => Err(Unfit::Comma),
        Place::UserOfBasic if value.contains(COLON) => Err(Unfit::Colon),
        Place::Alone | Place::Listed | Place::UserOfBasic => Ok(()),
    }
}

/// What no header carries as it is.
fn is_control(character: char) -> bool {
    character.is_ascii_control() && character != '\t'
}

/// The value with what cannot stand there as `%XX`, and each `%` too, so that it can be read back.
fn percent_encoded(value: &str, place: Place) -> Cow<'_, str> {
    let (from, to) = (value.len() - value.trim_start_matches(BLANKS).len(), value.trim_end_matches(BLANKS).len());
    let offends = |at: usize, character: char| {
        let ends = match place {
            Place::Alone => false,
            Place::Listed => character == SEPARATOR,
            Place::UserOfBasic => character == COLON,
        };
        ends || character == '%' || is_control(character) || at < from || at >= to
    };
    if !value.char_indices().any(|(at, character)| offends(at, character)) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len() + 8);
    for (at, character) in value.char_indices() {
        if offends(at, character) {
            // Only ASCII offends.
            let _ = write!(out, "%{:02X}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// Line breaks become blanks and what surrounds a value goes: neither ends a header nor begins another. What no header
/// can carry at all is still refused.
fn as_oauth2_proxy(value: &str) -> Result<Written<'_>, Unfit> {
    let value = value.trim_matches([' ', '\t', '\r', '\n']);
    if value.is_empty() {
        return Ok(Written::Nothing);
    }
    if value.contains(|c| is_control(c) && !matches!(c, '\r' | '\n')) {
        return Err(Unfit::Control);
    }
    let text =
        if value.contains(['\r', '\n']) { Cow::Owned(value.replace(['\r', '\n'], " ")) } else { Cow::Borrowed(value) };
    Ok(Written::Text(text))
}
