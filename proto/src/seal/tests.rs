//! Tests of the envelopes: golden bytes, binding to session, ticket and generation, and bounds.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

use super::*;
use crate::crypto::tests::hex;
use crate::htpasswd::LocalUsers;
use crate::id::Epoch;
use crate::keyring::tests::cluster_key;
use crate::session::Identity;
use crate::ticket::tests::ticket;
use crate::time::Timestamp;

const NONCE: [u8; NONCE_LEN] = [10; NONCE_LEN];
const GOLDEN_BODY: &str = "010a0a0a0a0a0a0a0a0a0a0a0a90ea6783be2b6bff799d08024a3d3742cf42545b5e5a3b50e6e15c2e1f09c133c32a3db98a\
    2dc9748a2dce58374830206d65d291bdeb2ef5ba1d08f4f76afab28a67bc6178b164062c5bb933ab771ef458644000a56b57051f289c8e\
    0a2dc38d7feb369d611a50fe910965c37e4ae7813de9c97a1da12305cd192712956f79f1370d57eefafde7051bd8616e599e10f3e08a50\
    3151c31ec846fea94dfd3ff576a1e669b97ce05c";
const GENERATION: Generation = Generation::new(3);

fn label() -> SessionLabel {
    SessionLabel {
        user: "alice".to_owned(),
        email: "alice@example.test".to_owned(),
        preferred_username: "al".to_owned(),
        client_address: "192.0.2.1".to_owned(),
        user_agent: "curl/8".to_owned(),
    }
}

fn body() -> SessionBody {
    SessionBody {
        identity: Identity { user: "alice".to_owned(), groups: vec!["staff".to_owned()], ..Identity::default() },
        issuer: "https://issuer.test".to_owned(),
        id_token: "a.b.c".to_owned(),
        access_token: "access".to_owned(),
        refresh_token: String::new(),
        token_expires_at: Some(Timestamp::from_secs(1_700_000_000)),
        additional_claims: vec![("dept".to_owned(), r#""lab""#.to_owned())],
        local_line: LocalUsers::parse("alice:{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=")
            .expect("a line")
            .trial("alice")
            .line
            .map(|line| line.1),
    }
}

fn other_ticket() -> Ticket {
    Ticket::mint([1; 48], Epoch::new(7), Timestamp::ZERO)
}

/// Text that does not compress.
fn noise(length: usize) -> String {
    let mut state = 1_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.push((state >> 56) as u8);
    }
    let mut text = URL_SAFE_NO_PAD.encode(bytes);
    text.truncate(length);
    text
}

#[test]
fn golden_label() {
    let sealed = seal_label(&cluster_key(), &ticket().key(), &label(), NONCE).expect("small");
    assert_eq!(
        hex(&sealed),
        "010a0a0a0a0a0a0a0a0a0a0a0a2f8703c9e48d90ba9a105ac0afb407a2e22beff25a2330e788b0b5c088fc3642427561a05e5f21\
         72412dd473f7b7e5cd8e02c2d24176862f419213a8ff990924c88bdc4558bf39f3edd1d1765ec90753a699fd9017a03d5f462843\
         6dfcb58becff"
    );
    assert_eq!(open_label(&cluster_key(), &ticket().key(), &sealed), Ok(label()));
}

/// What the first version wrote must open for ever; compression may change, so only opening is held.
#[test]
fn golden_body() {
    let sealed = unhex(GOLDEN_BODY);
    assert_eq!(open_body(&cluster_key(), &ticket(), GENERATION, &sealed), Ok(body()));
}

#[test]
fn bodies_come_back() {
    let sealed = seal_body(&cluster_key(), &ticket(), GENERATION, &body(), NONCE).expect("small");
    assert_eq!(open_body(&cluster_key(), &ticket(), GENERATION, &sealed), Ok(body()));
}

#[test]
fn a_body_is_bound_to_ticket_generation_and_cluster() {
    let sealed = seal_body(&cluster_key(), &ticket(), GENERATION, &body(), NONCE).expect("small");
    let open = |cluster: &ClusterKey, ticket: &Ticket, generation| open_body(cluster, ticket, generation, &sealed);
    let refused = Err(OpenSealError::NotAuthentic);
    assert_eq!(open(&cluster_key(), &other_ticket(), GENERATION), refused);
    assert_eq!(open(&cluster_key(), &ticket(), Generation::new(2)), refused);
    assert_eq!(open(&ClusterKey::mint([1; 32]), &ticket(), GENERATION), refused);
    let same_id_other_secret = Ticket { secret: other_ticket().secret, ..ticket() };
    assert_eq!(open(&cluster_key(), &same_id_other_secret, GENERATION), refused);
    let same_secret_other_id = Ticket { id: other_ticket().id, ..ticket() };
    assert_eq!(open(&cluster_key(), &same_secret_other_id, GENERATION), refused);
}

#[test]
fn a_label_is_bound_to_its_session() {
    let sealed = seal_label(&cluster_key(), &ticket().key(), &label(), NONCE).expect("small");
    let refused = Err(OpenSealError::NotAuthentic);
    assert_eq!(open_label(&cluster_key(), &other_ticket().key(), &sealed), refused);
    assert_eq!(open_label(&ClusterKey::mint([1; 32]), &ticket().key(), &sealed), refused);
    let body = seal_body(&cluster_key(), &ticket(), GENERATION, &body(), NONCE).expect("small");
    assert_eq!(open_label(&cluster_key(), &ticket().key(), &body), refused, "a body is no label");
}

#[test]
fn every_damaged_byte_is_noticed() {
    let sealed = seal_body(&cluster_key(), &ticket(), GENERATION, &body(), NONCE).expect("small");
    for place in 0..sealed.len() {
        let mut damaged = sealed.clone();
        damaged[place] ^= 1;
        let expected = if place == 0 { OpenSealError::Version } else { OpenSealError::NotAuthentic };
        assert_eq!(open_body(&cluster_key(), &ticket(), GENERATION, &damaged), Err(expected), "byte {place}");
        assert!(open_body(&cluster_key(), &ticket(), GENERATION, &sealed[..place]).is_err());
    }
}

#[test]
fn long_label_texts_are_cut_at_characters() {
    let long = SessionLabel {
        user: "ü".repeat(1000),
        email: "e".repeat(1000),
        preferred_username: "😀".repeat(1000),
        client_address: "1".repeat(1000),
        user_agent: "€".repeat(1000),
    };
    let sealed = seal_label(&cluster_key(), &ticket().key(), &long, NONCE).expect("cut to fit");
    assert!(sealed.len() <= MAX_SEALED_LABEL);
    let opened = open_label(&cluster_key(), &ticket().key(), &sealed).expect("opens");
    assert_eq!((opened.user.len(), opened.email.len(), opened.user_agent.len()), (400, 400, 255));
}

#[test]
fn a_body_over_the_limit_names_the_biggest_claims() {
    let claims = serde_json::json!({ "sub": "alice", "groups": [noise(90_000)], "photo\n": noise(40_000) });
    let id_token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let large = SessionBody { id_token, access_token: noise(20_000), ..body() };
    let error = seal_body(&cluster_key(), &ticket(), GENERATION, &large, NONCE).expect_err("too large");
    let SealError::TooLarge { bytes, limit, biggest } = &error;
    assert!(*bytes > *limit && *limit == MAX_SEALED_BODY);
    let names: Vec<_> = biggest.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["groups", "photo", "access token", "sub", "dept"]);
    assert!(error.to_string().contains("groups (90004), photo (40002)"), "{error}");
    assert!(!error.to_string().contains("alice"), "names, no values");
}

#[test]
fn a_body_that_only_compresses_well_is_bounded_too() {
    let inflated = SessionBody { id_token: "a".repeat(MAX_PLAIN_BODY), ..body() };
    let error = seal_body(&cluster_key(), &ticket(), GENERATION, &inflated, NONCE).expect_err("too large");
    let SealError::TooLarge { limit, biggest, .. } = error;
    assert_eq!((limit, biggest[0].0.as_str()), (MAX_PLAIN_BODY, "ID token"));
    assert!(inflate(&deflate(&vec![0; MAX_PLAIN_BODY])).is_some());
    assert!(inflate(&deflate(&vec![0; MAX_PLAIN_BODY + 1])).is_none(), "a decompression bomb ends at the limit");
}

#[test]
fn the_largest_body_fits() {
    let largest = SessionBody { id_token: noise(140_000), ..body() };
    let sealed = seal_body(&cluster_key(), &ticket(), GENERATION, &largest, NONCE).expect("base64 packs to 3/4");
    assert!(sealed.len() > 100_000 && sealed.len() <= MAX_SEALED_BODY, "{}", sealed.len());
    assert_eq!(open_body(&cluster_key(), &ticket(), GENERATION, &sealed), Ok(largest));
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
    digits.chunks(2).map(byte).collect()
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open_body(&cluster_key(), &ticket(), GENERATION, &bytes).is_err());
        prop_assert!(open_label(&cluster_key(), &ticket().key(), &bytes).is_err());
    }

    #[test]
    fn any_stream_inflates_or_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(inflate(&bytes).is_none_or(|plain| plain.len() <= MAX_PLAIN_BODY));
    }

    #[test]
    fn any_id_token_can_be_named(token in ".*", name in ".*") {
        let odd = SessionBody { id_token: token, additional_claims: vec![(name, String::new())], ..body() };
        prop_assert!(biggest::parts(&odd).len() <= 5);
    }
}
