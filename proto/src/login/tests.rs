//! Tests of login attempts: golden bytes computed by an independent program, binding to browser,
//! name and time, and the bounds on what a browser carries.

use proptest::prelude::*;

use super::*;
use crate::keyring::tests::{LITERAL, ring, ring_of};

const BASE: &str = "_oauth2_proxy";
const LIFETIME: Ttl = Ttl::from_secs(900);
const BEGUN: Timestamp = Timestamp::from_millis(1_700_000_000_123);
const TARGET: &str = "https://app.test/a?b=c";
const GOLDEN_NAME: &str = "_oauth2_proxy_VuTGATI7_csrf";
const GOLDEN: &str = "Aci4OMIAAAGLz-VoewoKCgoKCgoKCgoKCmhO6mUTLuuoEJVE0_HM94LM1LTXD8aFVbDNsOlxENhJc8p3nu9HL5oQFfKG-UCHJzZYdXcbg6eDuEHHZCARlQpon7Dp_kEvD1wTuyQm6HUModzT6id8OQrtMHMM50JZKtew8Rrz9o8Dh1fylXT8aQd8Bfwg80F7jzxGM3YpoAovGMOO_Q36AyZ0H0KyXCEbME1NTX86IpQkqYSnbHi2FYKvq_4";

fn entropy(first: u8) -> [u8; LOGIN_ENTROPY] {
    std::array::from_fn(|place| first.wrapping_add(u8::try_from(place).expect("below 112")))
}

fn attempt() -> LoginAttempt {
    let site = SiteId::parse("wiki").expect("valid");
    LoginAttempt::begin(entropy(0), BEGUN, ProviderId::default(), site, TARGET)
}

fn open(value: &str, name: &str, now: Timestamp) -> Result<LoginAttempt, InvalidLogin> {
    LoginAttempt::open(value, &ring(), name, now, LIFETIME)
}

#[test]
fn golden_bytes() {
    let attempt = attempt();
    assert_eq!(LoginAttempt::cookie_name(BASE, attempt.state()), GOLDEN_NAME);
    assert_eq!(attempt.seal(&ring(), GOLDEN_NAME, [10; 12]), GOLDEN);
    assert_eq!(open(GOLDEN, GOLDEN_NAME, BEGUN), Ok(attempt));
}

/// RFC 7636, appendix B.
#[test]
fn the_challenge_is_s256() {
    let mut attempt = attempt();
    attempt.verifier = Zeroizing::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned());
    assert_eq!(attempt.code_challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

#[test]
fn state_nonce_and_verifier_are_independent_and_long_enough() {
    let attempt = attempt();
    let state = attempt.state().strip_suffix(':').expect("what an oauth2-proxy looks for");
    let texts = [state, attempt.nonce(), attempt.verifier()];
    assert!(texts.iter().all(|text| text.len() == 43), "43 is the least a verifier may have");
    assert!(texts[0] != texts[1] && texts[1] != texts[2] && texts[0] != texts[2]);
    assert!(attempt.matches_state(attempt.state()));
    for other in ["", state, attempt.nonce(), &attempt.state()[1..], &format!("{}x", attempt.state())] {
        assert!(!attempt.matches_state(other));
    }
}

#[test]
fn a_state_is_told_from_that_of_oauth2_proxy() {
    for seed in 0..=u8::MAX {
        let attempt = LoginAttempt::begin(entropy(seed), BEGUN, ProviderId::default(), SiteId::default(), TARGET);
        assert!(LoginAttempt::could_be_state(attempt.state()), "{}", attempt.state());
    }
    let hash = "zpwW7TyTFkOrhIVp1BVFF6qsEwBlDmTfAv8eUOK8owQ";
    assert!(LoginAttempt::could_be_state(&format!("{hash}:")));
    for other in [
        format!("{hash}:/target"),
        hash.to_owned(),
        format!("{hash}=:"),
        format!("{}:", &hash[1..]),
        format!("+{}:", &hash[1..]),
        String::new(),
    ] {
        assert!(!LoginAttempt::could_be_state(&other), "{other}");
    }
}

#[test]
fn a_cookie_is_bound_to_its_name_and_key() {
    assert_eq!(open(GOLDEN, BASE, BEGUN), Err(InvalidLogin::NotAuthentic));
    assert_eq!(open(GOLDEN, "_oauth2_proxy_VuTGATI8_csrf", BEGUN), Err(InvalidLogin::NotAuthentic));
    let other = ring_of(&["Q7sZ1nGd0kV4mXwP"]);
    let opened = LoginAttempt::open(GOLDEN, &other, GOLDEN_NAME, BEGUN, LIFETIME);
    assert_eq!(opened, Err(InvalidLogin::UnknownKey));
    let rotated = ring_of(&["Q7sZ1nGd0kV4mXwP", LITERAL]);
    assert!(LoginAttempt::open(GOLDEN, &rotated, GOLDEN_NAME, BEGUN, LIFETIME).is_ok());
}

#[test]
fn an_attempt_ends_with_its_lifetime() {
    let at = |millis: u64| open(GOLDEN, GOLDEN_NAME, Timestamp::from_millis(millis)).map(|_| ());
    let begun = BEGUN.as_millis();
    assert_eq!(at(begun + 899_999), Ok(()));
    assert_eq!(at(begun + 900_000), Err(InvalidLogin::Expired));
    assert_eq!(at(begun - 300_000), Ok(()), "a clock may lag by five minutes");
    assert_eq!(at(begun - 300_001), Err(InvalidLogin::Expired));
}

#[test]
fn the_clear_prefix_is_authenticated() {
    let raw = URL_SAFE_NO_PAD.decode(GOLDEN).expect("valid");
    for bit in 0..raw.len() * 8 {
        let mut damaged = raw.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit / 8 {
            0 => InvalidLogin::Version,
            1..=4 => InvalidLogin::UnknownKey,
            _ => InvalidLogin::NotAuthentic,
        };
        assert_eq!(open(&URL_SAFE_NO_PAD.encode(damaged), GOLDEN_NAME, BEGUN), Err(expected), "bit {bit}");
    }
}

#[test]
fn a_target_over_the_limit_becomes_the_root() {
    let begin = |length: usize| {
        let target = format!("/{}", "x".repeat(length - 1));
        LoginAttempt::begin(entropy(0), BEGUN, ProviderId::default(), SiteId::default(), &target)
    };
    assert_eq!(begin(MAX_TARGET).target.len(), MAX_TARGET);
    assert_eq!(begin(MAX_TARGET + 1).target, "/");
    let longest = LoginAttempt {
        provider: ProviderId::parse(&"p".repeat(MAX_NAME_LEN)).expect("valid"),
        site: SiteId::parse(&"s".repeat(MAX_NAME_LEN)).expect("valid"),
        ..begin(MAX_TARGET)
    };
    let value = longest.seal(&ring(), "name", [0; 12]);
    assert!(value.len() <= MAX_LOGIN_COOKIE && MAX_LOGIN_COOKIE - value.len() < 4, "{}", value.len());
    assert_eq!(open(&value, "name", BEGUN), Ok(longest));
}

#[test]
fn an_attempt_does_not_print_its_secrets() {
    let attempt = attempt();
    let printed = format!("{attempt:?}");
    for secret in [attempt.state(), attempt.nonce(), attempt.verifier(), TARGET] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

/// `name=value` of an attempt begun `seconds` after the epoch.
fn pair(seed: u8, seconds: u64) -> (String, String) {
    let begun = Timestamp::from_secs(seconds);
    let attempt = LoginAttempt::begin(entropy(seed), begun, ProviderId::default(), SiteId::default(), "/");
    let name = LoginAttempt::cookie_name(BASE, attempt.state());
    let value = attempt.seal(&ring(), &name, [0; 12]);
    (name.clone(), format!("{name}={value}"))
}

fn header(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(_, pair)| pair.as_str()).collect::<Vec<_>>().join("; ")
}

#[test]
fn the_oldest_attempts_make_room() {
    let pairs: Vec<_> = [(1, 50), (2, 20), (3, 40), (4, 10), (5, 30)].map(|(seed, at)| pair(seed, at)).into();
    let surplus = |count| {
        let limits = LoginCookieLimits { count, bytes: usize::MAX };
        surplus_login_cookies(&header(&pairs), BASE, 300, limits)
    };
    assert_eq!(surplus(6), Vec::<String>::new());
    assert_eq!(surplus(5), [pairs[3].0.clone()]);
    assert_eq!(surplus(3), [&pairs[3], &pairs[1], &pairs[4]].map(|pair| pair.0.clone()));
    assert_eq!(surplus(0).len(), 5, "the new one is set all the same");
}

#[test]
fn the_bytes_of_all_attempts_are_bounded() {
    let pairs: Vec<_> = (1..=4).map(|seed| pair(seed, seed.into())).collect();
    let size = pairs[0].1.len() - 1;
    let surplus = |bytes| surplus_login_cookies(&header(&pairs), BASE, size, LoginCookieLimits { count: 9, bytes });
    assert_eq!(surplus(5 * size).len(), 0);
    assert_eq!(surplus(5 * size - 1), [pairs[0].0.clone()]);
    assert_eq!(surplus(size).len(), 4);
}

#[test]
fn only_login_cookies_of_this_name_are_cleared() {
    let limits = LoginCookieLimits { count: 0, bytes: 0 };
    let others = "_oauth2_proxy=x; _oauth2_proxy_csrf=y; other_12345678_csrf=z; _oauth2_proxy_123456789_csrf=z; app=1";
    assert_eq!(surplus_login_cookies(others, BASE, 0, limits), Vec::<String>::new());
    let unreadable = "_oauth2_proxy_12345678_csrf=junk";
    let (name, readable) = pair(1, 1);
    let both = format!("{readable}; {unreadable}; {readable}");
    assert_eq!(surplus_login_cookies(&both, BASE, 0, limits), ["_oauth2_proxy_12345678_csrf".to_owned(), name]);
}

proptest! {
    #[test]
    fn any_text_is_refused(value in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(open(&value, GOLDEN_NAME, BEGUN).is_err());
        prop_assert!(open(&URL_SAFE_NO_PAD.encode(bytes), GOLDEN_NAME, BEGUN).is_err());
    }

    #[test]
    fn any_plaintext_is_read_or_refused(plain in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = LoginAttempt::read(&plain, BEGUN);
    }

    #[test]
    fn any_header_and_state_are_taken(header in ".*", state in ".*") {
        let limits = LoginCookieLimits::default();
        let name = LoginAttempt::cookie_name(BASE, &state);
        let header = format!("{header}; {name}={header}");
        prop_assert!(surplus_login_cookies(&header, BASE, 0, limits).len() <= header.len());
        prop_assert!(crate::cookie::check_cookie_name(&name).is_ok());
    }

    #[test]
    fn what_is_begun_comes_back(seed in any::<u8>(), target in ".{0,200}", at in 0..u64::from(u32::MAX)) {
        let begun = Timestamp::from_millis(at);
        let attempt = LoginAttempt::begin(entropy(seed), begun, ProviderId::default(), SiteId::default(), &target);
        prop_assert_eq!(open(&attempt.seal(&ring(), "n", [seed; 12]), "n", begun), Ok(attempt));
    }
}
