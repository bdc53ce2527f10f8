//! Cookies that a real oauth2-proxy (7.15.6) signed, whole and in pieces, and what is not its work.

use proptest::prelude::*;

use super::*;

/// Signed as `_oauth2_proxy` with the secret [`OLD`].
const SIGNED: &str =
    "YSBzZXNzaW9uPz5hIHNlc3Npb24_PmEgc2Vzc2lvbj8-|1795599748|dOz9jTo2LPwhCd9NQWctMS3CIeFak8u0wuMt155TURQ=";
/// The same value, signed as `_oauth2_proxy_1` with that secret.
const OF_OTHER_NAME: &str =
    "YSBzZXNzaW9uPz5hIHNlc3Npb24_PmEgc2Vzc2lvbj8-|1795599748|cvDlQa64cP6jmzv3jgc31fz3NE5YRqG1yY_5JaNllzI=";
/// The same value, signed as `_oauth2_proxy` with a secret read from a file, whose newline counts.
const OF_FILE: &str =
    "YSBzZXNzaW9uPz5hIHNlc3Npb24_PmEgc2Vzc2lvbj8-|1795599748|hFucrCUfB-aW20oJmXrGQ9CUaW1TY1VYrQhoknOKHdU=";
const OLD: &str = "x8Qh2mVb7nR4tY6uJ9kL0pWs3dF5gH1z";
const NAME: &str = "_oauth2_proxy";

fn secrets(literals: &[&str]) -> Vec<CookieSecret> {
    literals.iter().map(|literal| CookieSecret::parse(literal).expect("a secret")).collect()
}

/// `value` in pieces that end at these places.
fn in_pieces(value: &str, ends: &[usize]) -> String {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let ends = ends.iter().copied().chain([value.len()]);
    let pieces = starts.zip(ends).enumerate();
    pieces.map(|(index, (start, end))| format!("{NAME}_{index}={}; ", &value[start..end])).collect()
}

#[test]
fn pieces_of_a_session_are_told_by_their_names() {
    let header = "a_0=1; a=2; a_1=3; a_0=4; a_x=5; a_=6; a_1x=7; ba_2=8; a_12345678_csrf=9; a_10=0";
    assert_eq!(pieces_of(header, "a"), ["a_0", "a_1", "a_10"]);
    let many: String = (0..50).map(|piece| format!("a_{piece}=x; ")).collect();
    assert_eq!(pieces_of(&many, "a").len(), MAX_COOKIES_TRIED);
    assert!(pieces_of("_conclave_0=1", NAME).is_empty());
}

#[test]
fn pieces_of_ours_alone_are_those_that_a_secret_of_ours_signed_together() {
    let ring = secrets(&["0123456789abcdef", OLD]);
    for ends in [[20].as_slice(), &[1, 60], &[44, 55], &[10, 20, 30, 40, 50, 60, 70]] {
        let names: Vec<_> = (0..=ends.len()).map(|index| format!("{NAME}_{index}")).collect();
        let header = in_pieces(SIGNED, ends);
        assert_eq!(signed_pieces(&header, NAME, &ring), names, "{header}");
        // Beside others, in any order; the first of a name is what oauth2-proxy reads.
        let mixed = format!("x=1; {NAME}=t; {}{NAME}_0=y; {NAME}_9=z", header);
        assert_eq!(signed_pieces(&mixed, NAME, &ring), names, "{mixed}");
        let turned: Vec<_> = header.trim_end_matches("; ").split("; ").collect();
        let turned: Vec<_> = turned.into_iter().rev().collect();
        assert_eq!(signed_pieces(&turned.join("; "), NAME, &ring), names);
        assert!(signed_pieces(&header, NAME, &secrets(&["0123456789abcdef"])).is_empty(), "of another secret");
        assert!(signed_pieces(&header, "_oauth2", &ring).is_empty(), "of another name");
    }
    // What follows the whole is a leftover of an older, longer session, or another service's.
    let longer = format!("{}{NAME}_2=ours", in_pieces(SIGNED, &[20]));
    assert_eq!(signed_pieces(&longer, NAME, &ring), [format!("{NAME}_0"), format!("{NAME}_1")]);
}

#[test]
fn what_does_not_join_to_a_signed_value_is_somebody_elses() {
    let ring = secrets(&[OLD]);
    let ticket = "A".repeat(140);
    let other = in_pieces(OF_OTHER_NAME, &[20]);
    let gap = in_pieces(SIGNED, &[20, 40]).replace(&format!("{NAME}_1="), "gone=");
    let flipped = in_pieces(&SIGNED.replacen("YSBz", "YSBy", 1), &[20]);
    let later = in_pieces(&SIGNED.replacen("1795599748", "1795599749", 1), &[20]);
    let many = in_pieces(SIGNED, &[10, 20, 30, 40, 50, 60, 70, 80]);
    let sibling = format!("{NAME}=x; {NAME}_1={ticket}; {NAME}_2={ticket}");
    for header in [other, gap, flipped, later, many, sibling, format!("{NAME}_1={OF_OTHER_NAME}"), String::new()] {
        assert!(signed_pieces(&header, NAME, &ring).is_empty(), "{header}");
    }
}

#[test]
fn a_secret_counts_as_it_was_configured() {
    let header = in_pieces(OF_FILE, &[30]);
    assert_eq!(signed_pieces(&header, NAME, &secrets(&["AAECAwQFBgcICQoLDA0ODw==\n"])).len(), 2);
    assert!(signed_pieces(&header, NAME, &secrets(&["AAECAwQFBgcICQoLDA0ODw=="])).is_empty());
}

#[test]
fn the_form_is_told_whoever_signed() {
    assert!(has_signed_form(SIGNED) && has_signed_form(OF_FILE));
    for other in ["", "||", "a|b|c", "a|1|short", &SIGNED[1..40], &SIGNED.replace('|', ".")] {
        assert!(!has_signed_form(other), "{other}");
    }
}

proptest! {
    #[test]
    fn any_header_is_read(header in ".*", name in ".*") {
        prop_assert!(signed_pieces(&header, &name, &secrets(&[OLD])).is_empty());
        prop_assert!(pieces_of(&header, &name).len() <= MAX_COOKIES_TRIED);
        has_signed_form(&header);
    }
}
