//! Tests of the rule that a claim reaches an application as it is or not at all.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::policy::percent_decode;

/// Every byte that a rule names, one that none does, and one beyond ASCII.
const LETTERS: [char; 11] = ['a', 'é', ',', ':', '%', ' ', '\t', '\r', '\n', '\0', '\x7f'];

const RULES: [Unfitting; 3] = [Unfitting::LeftOut, Unfitting::Encoded, Unfitting::Refused];
const PLACES: [Place; 3] = [Place::Alone, Place::Listed, Place::UserOfBasic];
const KINDS: [Kind; 4] = [Kind::Identity, Kind::Token, Kind::Single, Kind::Element];

/// All texts of up to three letters.
fn texts() -> Vec<String> {
    let mut all = vec![String::new()];
    let mut from = 0;
    for _ in 0..3 {
        let until = all.len();
        for at in from..until {
            let longer: Vec<String> = LETTERS.iter().map(|letter| format!("{}{letter}", all[at])).collect();
            all.extend(longer);
        }
        from = until;
    }
    all
}

/// What every reader of a header makes of it: blanks at the ends go, and a control character ends the message.
fn read(header: &str) -> String {
    assert!(header.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control()), "{header:?} does not arrive");
    header.trim_matches([' ', '\t']).to_owned()
}

#[test]
fn as_it_is_two_subjects_never_give_one_header_value() {
    for unfitting in RULES {
        for place in PLACES {
            for kind in KINDS {
                let mut seen = BTreeMap::new();
                for text in texts().iter().filter(|text| !text.is_empty()) {
                    let Ok(Written::Text(value)) = write(text, kind, place, unfitting) else { continue };
                    // What the header's reader takes for this value: up to the delimiter.
                    let value = read(&value);
                    let value = match place {
                        Place::Alone => value,
                        Place::Listed => value.split(',').next().unwrap_or("").to_owned(),
                        Place::UserOfBasic => value.split(':').next().unwrap_or("").to_owned(),
                    };
                    let other = seen.insert(value.clone(), text.clone());
                    assert_eq!(other, None, "{text:?} reads {value:?} too, as {kind:?} {place:?} {unfitting:?}");
                }
                assert!(seen.len() > 20, "hardly anything passes as {kind:?} {place:?} {unfitting:?}");
            }
        }
    }
}

#[test]
fn as_it_is_an_identity_arrives_unchanged_or_its_owner_does_not_get_in() {
    for unfitting in RULES {
        for text in texts() {
            let sound = read(&text.replace(['\r', '\n', '\0', '\x7f'], " ")) == text;
            let expected = match (text.is_empty(), sound) {
                (true, _) => Ok(Written::Nothing),
                (false, true) => Ok(Written::Text(Cow::Borrowed(text.as_str()))),
                (false, false) => Err(()),
            };
            let found = write(&text, Kind::Identity, Place::Alone, unfitting).map_err(drop);
            assert_eq!(found, expected, "{text:?} {unfitting:?}");
        }
    }
}

#[test]
fn as_it_is_a_list_holds_the_values_that_can_stand_there_and_no_others() {
    let lists: Vec<Vec<String>> =
        texts().into_iter().map(|text| vec!["staff".to_owned(), text, "ops".to_owned()]).collect();
    let header = |list: &[String], unfitting| {
        let mut parts = Vec::new();
        for value in list {
            match write(value, Kind::Element, Place::Listed, unfitting)? {
                Written::Text(text) => parts.push(text.into_owned()),
                Written::Nothing | Written::LeftOut(_) => {}
            }
        }
        Ok::<_, Unfit>(parts.join(","))
    };
    for list in &lists {
        let fitting: BTreeSet<&str> =
            list.iter().filter(|value| fits(value, Place::Listed).is_ok()).map(String::as_str).collect();
        let left = header(list, Unfitting::LeftOut).expect("never ends a login");
        assert_eq!(left.split(',').collect::<BTreeSet<_>>(), fitting, "{list:?}");
        let encoded = header(list, Unfitting::Encoded).expect("never ends a login");
        let decoded: Vec<String> = encoded
            .split(',')
            .map(|part| {
                let bytes = percent_decode(&read(part)).expect("sound escapes").into_owned();
                String::from_utf8(bytes).expect("UTF-8")
            })
            .collect();
        let wanted: Vec<&String> = list.iter().filter(|value| !value.is_empty()).collect();
        assert_eq!(decoded.iter().collect::<Vec<_>>(), wanted, "{encoded:?}");
        assert_eq!(header(list, Unfitting::Refused).is_ok(), fitting.len() == 3, "{list:?}");
    }
}

#[test]
fn the_words_of_the_findings() {
    let out = |value, kind, place, rule| write(value, kind, place, rule);
    let listed = |value, rule| out(value, Kind::Element, Place::Listed, rule);
    assert_eq!(listed("x,admins", Unfitting::LeftOut), Ok(Written::LeftOut(Unfit::Comma)));
    assert_eq!(listed("x,admins", Unfitting::Encoded), Ok(Written::Text("x%2Cadmins".into())));
    assert_eq!(listed("x,admins", Unfitting::Refused), Err(Unfit::Comma));
    assert_eq!(listed("x,admins", Unfitting::AsOauth2Proxy), Ok(Written::Text("x,admins".into())));
    assert_eq!(listed("staff\nadmins", Unfitting::LeftOut), Ok(Written::LeftOut(Unfit::Control)));
    assert_eq!(listed("staff\nadmins", Unfitting::AsOauth2Proxy), Ok(Written::Text("staff admins".into())));
    assert_eq!(listed(" 100% ", Unfitting::Encoded), Ok(Written::Text("%20100%25%20".into())));
    assert_eq!(listed("", Unfitting::Encoded), Ok(Written::LeftOut(Unfit::Empty)));
    let who = |value, rule| out(value, Kind::Identity, Place::Alone, rule);
    assert_eq!(who("alice\r\n", Unfitting::Encoded), Err(Unfit::Control));
    assert_eq!(who("a\tb", Unfitting::LeftOut), Ok(Written::Text("a\tb".into())));
    assert_eq!(who("alice\t", Unfitting::LeftOut), Err(Unfit::Blank));
    assert_eq!(who(" alice", Unfitting::LeftOut), Err(Unfit::Blank));
    assert_eq!(who("Doe, Jane: 100%", Unfitting::Encoded), Ok(Written::Text("Doe, Jane: 100%".into())));
    assert_eq!(who("alice\r\n", Unfitting::AsOauth2Proxy), Ok(Written::Text("alice".into())));
    assert_eq!(who("a\0", Unfitting::AsOauth2Proxy), Err(Unfit::Control));
    let basic = out("system:robot", Kind::Identity, Place::UserOfBasic, Unfitting::LeftOut);
    assert_eq!(basic, Err(Unfit::Colon));
    let shared = |rule| out("x,admins", Kind::Identity, Place::Listed, rule);
    assert_eq!(shared(Unfitting::LeftOut), Err(Unfit::Comma));
    assert_eq!(shared(Unfitting::Encoded), Ok(Written::Text("x%2Cadmins".into())));
    let single = |rule| out("Doe, Jane", Kind::Single, Place::Alone, rule);
    assert_eq!(single(Unfitting::LeftOut), Ok(Written::Text("Doe, Jane".into())));
    assert_eq!(single(Unfitting::Encoded), Ok(Written::Text("Doe%2C Jane".into())));
    assert_eq!(out("a%b", Kind::Token, Place::Alone, Unfitting::Encoded), Ok(Written::Text("a%b".into())));
    assert_eq!(Unfitting::parse("encoded"), Err(UnknownUnfitting));
}
