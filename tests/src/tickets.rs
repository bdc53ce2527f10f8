//! Session cookies that no replica made: every small change to a good one, and two good ones cut together.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Failure;

/// The letters of base64url.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// How far on in the alphabet the letters are that each letter is replaced by: they differ in several bits.
const STEPS: [usize; 3] = [3, 21, 42];

/// A forged value and how it was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Forged {
    /// The cookie's value.
    pub value: String,
    /// How it was made.
    pub how: String,
}

/// Every distinct forgery of `one`, with parts of `other`; neither is among them.
pub fn forgeries(one: &str, other: &str) -> Result<Vec<Forged>, Failure> {
    let (raw, strange) = (URL_SAFE_NO_PAD.decode(one)?, URL_SAFE_NO_PAD.decode(other)?);
    let mut made = Vec::new();
    made.extend(flipped_bits(&raw));
    made.extend(other_letters(one));
    made.extend(shortened(one));
    made.extend(lengthened(one));
    made.extend(spliced(&raw, &strange));
    let mut seen = BTreeSet::from([one.to_owned(), other.to_owned()]);
    Ok(made.into_iter().filter(|forged| seen.insert(forged.value.clone())).collect())
}

fn forged(value: String, how: String) -> Forged {
    Forged { value, how }
}

/// Each bit of the bytes that the value stands for.
fn flipped_bits(raw: &[u8]) -> impl Iterator<Item = Forged> + '_ {
    (0..raw.len() * 8).map(|bit| {
        let mut bytes = raw.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        forged(URL_SAFE_NO_PAD.encode(bytes), format!("bit {bit} flipped"))
    })
}

fn other_letters(value: &str) -> Vec<Forged> {
    let mut made = Vec::new();
    for (at, letter) in value.bytes().enumerate() {
        let place = LETTERS.iter().position(|known| *known == letter).unwrap_or_default();
        for step in STEPS {
            let mut bytes = value.as_bytes().to_vec();
            bytes[at] = LETTERS[(place + step) % LETTERS.len()];
            made.push(forged(String::from_utf8_lossy(&bytes).into_owned(), format!("letter {at} moved on by {step}")));
        }
    }
    made
}

fn shortened(value: &str) -> impl Iterator<Item = Forged> + '_ {
    let ends = (0..value.len()).map(|at| forged(value[..at].to_owned(), format!("cut at {at}")));
    let begins = (1..value.len()).map(|at| forged(value[at..].to_owned(), format!("without the first {at}")));
    let middles = (0..value.len()).map(|at| {
        let mut shorter = value.to_owned();
        shorter.remove(at);
        forged(shorter, format!("without letter {at}"))
    });
    ends.chain(begins).chain(middles)
}

fn lengthened(value: &str) -> impl Iterator<Item = Forged> + '_ {
    let inserted = (0..=value.len()).map(|at| {
        let mut longer = value.to_owned();
        longer.insert(at, 'A');
        forged(longer, format!("a letter put in at {at}"))
    });
    let behind =
        ["=", "==", ".", "%00", "AAAA", "|x", "\u{e9}"].into_iter().map(move |more| (more, format!("{value}{more}")));
    let twice = [("itself", format!("{value}{value}"))];
    inserted.chain(behind.chain(twice).map(|(more, longer)| forged(longer, format!("followed by {more}"))))
}

/// The front of one and the back of the other, cut at each byte: fields of two people in one ticket.
fn spliced<'a>(one: &'a [u8], other: &'a [u8]) -> impl Iterator<Item = Forged> + 'a {
    (1..one.len().min(other.len())).flat_map(move |at| {
        [(one, other, "one"), (other, one, "the other")].map(|(front, back, whose)| {
            let bytes = [&front[..at], &back[at..]].concat();
            forged(URL_SAFE_NO_PAD.encode(bytes), format!("spliced at {at}, the front of {whose}"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgeries_are_many_and_never_the_good_ones() {
        let values = [7, 9].map(|byte: u8| URL_SAFE_NO_PAD.encode((0..105).map(|at| at ^ byte).collect::<Vec<u8>>()));
        let made = forgeries(&values[0], &values[1]).expect("base64");
        assert!(made.len() >= 1_700, "{}", made.len());
        let distinct: BTreeSet<&String> = made.iter().map(|forged| &forged.value).collect();
        assert!(distinct.len() == made.len() && values.iter().all(|value| !distinct.contains(value)));
    }
}
