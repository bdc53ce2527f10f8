//! Tests of the keyring: golden bytes computed by an independent program, wrapping, rotation, refusals.

use proptest::prelude::*;

use super::*;
use crate::crypto::tests::hex;
use crate::id::{ClusterId, Epoch, KeyId};

/// Bytes 0..32, as oauth2-proxy's own samples encode a secret.
pub(crate) const LITERAL: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const CLUSTER: ClusterId = ClusterId::from_bytes([0xc1; 16]);
const OTHER: &str = "zzzzzzzzyyyyyyyyxxxxxxxxwwwwwww1";

pub(crate) fn secret(literal: &str) -> CookieSecret {
    CookieSecret::parse(literal).expect("valid")
}

pub(crate) fn cluster_key() -> ClusterKey {
    ClusterKey::mint([0x5e; 32])
}

/// A ring over `literals`, the cluster key wrapped under each.
pub(crate) fn ring_of(literals: &[&str]) -> Keyring {
    let secrets: Vec<_> = literals.iter().map(|literal| secret(literal)).collect();
    let envelopes: Vec<_> = secrets.iter().map(|secret| cluster_key().wrap(secret, CLUSTER, [10; 12])).collect();
    Keyring::open(&secrets, &envelopes, CLUSTER, Epoch::new(7)).expect("opens")
}

pub(crate) fn ring() -> Keyring {
    ring_of(&[LITERAL])
}

#[test]
fn golden_derivations() {
    let secret = secret(LITERAL);
    assert_eq!(secret.bytes(), (0..32).collect::<Vec<u8>>());
    assert_eq!(secret.key_id(CLUSTER).to_string(), "c8b838c2");
    assert_eq!(hex(&secret.peer_ca_seed()), "c2a2ee4db4e0d45703646d6cd7a5905e509f7a4572e3218d6865a5d8d13288ec");
    let key = cluster_key();
    assert_eq!(
        key.subject_key("https://issuer.test", "client", "alice").to_string(),
        "1fbfb3c7510b85ca45da1761cfc55b6834a0d6e15299b5163c8f7804fd1d35e8"
    );
    assert_eq!(
        key.sid_key("https://issuer.test", "client", "alice").to_string(),
        "0d81234681fb63692c78a0227a9ef18fe3df441331c3fac5e4c78c41de37ba53"
    );
}

#[test]
fn golden_envelope() {
    let secret = secret(LITERAL);
    let envelope = cluster_key().wrap(&secret, CLUSTER, [10; 12]);
    assert_eq!(
        hex(&envelope.sealed),
        "010a0a0a0a0a0a0a0a0a0a0a0a3f55754f7054a349ac3af3797e98999dc0a2c3974d4156cf32e28219848e152f\
         744f56ed963f8d89ea036fb2c059b2ec"
    );
    let opened = ClusterKey::unwrap(&envelope, &secret, CLUSTER).expect("opens");
    assert_eq!(opened.subject_key("i", "c", "s"), cluster_key().subject_key("i", "c", "s"));
}

#[test]
fn secrets_decode_as_in_oauth2_proxy() {
    let length = |literal: &str| CookieSecret::parse(literal).map(|secret| secret.bytes().len());
    assert_eq!(length("0123456789abcdef"), Ok(16), "12 decoded bytes do not count");
    assert_eq!(length("0123456789abcdef0123456789abcdef"), Ok(24), "32 letters are base64 of 24 bytes");
    assert_eq!(length("AAECAwQFBgcICQoLDA0ODw=="), Ok(16));
    assert_eq!(length("AAECAwQFBgcICQoLDA0ODw"), Ok(16), "unpadded");
    assert_eq!(length("AAECAwQFBgcICQoLDA0ODx"), Ok(16), "Go ignores stray trailing bits");
    assert_eq!(length("-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_8="), Ok(32));
    assert_eq!(length("AAECAwQFBgcICQoLDA0ODxAREhM="), Err(InvalidCookieSecret { bytes: 28 }));
    assert_eq!(length("0123456789abcdef0"), Err(InvalidCookieSecret { bytes: 17 }));
    assert_eq!(length(""), Err(InvalidCookieSecret { bytes: 0 }));
    assert_eq!(length(&" ".repeat(16)), Err(InvalidCookieSecret { bytes: 0 }), "only white space");
}

#[test]
fn a_trailing_newline_changes_no_key() {
    assert_eq!(secret(LITERAL).key_id(CLUSTER), secret(&format!("{LITERAL}\n")).key_id(CLUSTER));
    assert_eq!(secret(LITERAL).peer_ca_seed(), secret(LITERAL.trim_end_matches('=')).peer_ca_seed());
    let short = secret("0123456789abcde\n");
    assert_eq!((short.bytes().len(), short.literal().len()), (15, 16), "taken as oauth2-proxy does");
    assert_eq!(short.check_for_peers(), Err(WeakCookieSecret::Short), "but not between peers");
}

#[test]
fn peers_refuse_secrets_that_can_be_guessed() {
    let check = |literal: &str| secret(literal).check_for_peers();
    assert_eq!(check("XXXXXXXXXXXXXXXX"), Err(WeakCookieSecret::Repeated));
    assert_eq!(check("AAAAAAAAAAAAAAAAAAAAAA=="), Err(WeakCookieSecret::Repeated), "16 zero bytes");
    assert_eq!(check("0123456789ABCDEF"), Err(WeakCookieSecret::Placeholder));
    assert_eq!(check("0123456789abcdef0123456789abcdef\n"), Err(WeakCookieSecret::Placeholder));
    assert_eq!(check("OQINaROshtE9TcZkNAm-5Zs2Pv3xaWytBmc5W7sPX7w"), Err(WeakCookieSecret::Placeholder), "unpadded");
    assert_eq!(check("AAECAwQFBgcICQoLDA0ODw"), Ok(vec![SecretWarning::Short { bytes: 16 }]), "16 bytes in base64");
}

#[test]
fn key_guess_secrets_that_look_typed_get_a_warning_between_peers() {
    let check = |literal: &str| secret(literal).check_for_peers();
    let short = |bytes| SecretWarning::Short { bytes };
    for typed in ["mysupersecretkey", "letmeinletmein12", "deadbeefdeadbeef", "8f3a01b2c4d5e697", "1234567812345678"] {
        assert_eq!(check(typed), Ok(vec![short(16), SecretWarning::LowVariety]), "{typed}");
    }
    assert_eq!(check("companysecret742"), Ok(vec![short(16)]), "various, but short");
    assert_eq!(check("5b0c6f3e9d1a48277e62c4f0a1d3958b"), Ok(vec![short(24), SecretWarning::LowVariety]), "hex digits");
    let phrase = "correct-horse-battery-staple-correct-horse-";
    assert_eq!(check(phrase), Ok(vec![SecretWarning::LowVariety]), "32 bytes as base64, yet 13 letters");
    assert_eq!(check("ourcompanysecretourcompanysecretourcompanys"), Ok(vec![SecretWarning::LowVariety]));
    for drawn in ["pA3Zk0vT9m-QyW2hXcJ7u_Bd8sLfRe5nGiO1tKx6YaM=", "pA3Zk0vT9m-QyW2hXcJ7u_Bd8sLfRe5nGiO1tKx6YaM"] {
        assert_eq!(check(drawn), Ok(Vec::new()), "{drawn}");
    }
}

/// What a stranger sees of a secret's id (a login cookie begins with it) must say nothing without the cluster's random id.
#[test]
fn key_guess_ids_differ_by_cluster() {
    let secret = secret(LITERAL);
    let elsewhere = ClusterId::from_bytes([2; 16]);
    assert_ne!(secret.key_id(CLUSTER), secret.key_id(elsewhere));
    let open = |cluster| {
        let envelope = cluster_key().wrap(&secret, cluster, [1; 12]);
        Keyring::open(std::slice::from_ref(&secret), &[envelope], cluster, Epoch::new(7)).expect("opens")
    };
    assert_eq!(open(CLUSTER).ids().collect::<Vec<_>>(), [secret.key_id(CLUSTER)]);
    assert_eq!(open(elsewhere).ids().collect::<Vec<_>>(), [secret.key_id(elsewhere)]);
}

#[test]
fn secrets_do_not_print() {
    let printed = format!("{:?} {:?} {:?}", secret(OTHER), cluster_key(), ring());
    assert!(!printed.contains("zzzz") && !printed.contains("5e5e") && !printed.contains("94, 94"), "{printed}");
    let refused = format!("{:?}", CookieSecret::parse("this-is-secret-but-short").map(|_| ()));
    assert!(!refused.contains("this-is"), "{refused}");
}

#[test]
fn an_envelope_opens_for_its_secret_and_cluster_only() {
    let (mine, other) = (secret(LITERAL), secret(OTHER));
    let envelope = cluster_key().wrap(&mine, CLUSTER, [1; 12]);
    let failure = |envelope: &KeyEnvelope, secret: &CookieSecret, cluster| {
        ClusterKey::unwrap(envelope, secret, cluster).map(|_| ()).expect_err("must not open")
    };
    assert_eq!(failure(&envelope, &other, CLUSTER), UnwrapError::OtherSecret);
    let elsewhere = ClusterId::from_bytes([2; 16]);
    assert_eq!(failure(&envelope, &mine, elsewhere), UnwrapError::OtherSecret, "the id is the cluster's too");
    let renamed = KeyEnvelope { key_id: mine.key_id(elsewhere), sealed: envelope.sealed.clone() };
    assert_eq!(failure(&renamed, &mine, elsewhere), UnwrapError::NotAuthentic);
    let renamed = KeyEnvelope { key_id: other.key_id(CLUSTER), sealed: envelope.sealed.clone() };
    assert_eq!(failure(&renamed, &other, CLUSTER), UnwrapError::NotAuthentic);
    for length in 0..envelope.sealed.len() {
        let cut = KeyEnvelope { key_id: envelope.key_id, sealed: envelope.sealed[..length].to_vec() };
        let error = failure(&cut, &mine, CLUSTER);
        assert!(matches!(error, UnwrapError::Malformed | UnwrapError::NotAuthentic), "{length}");
    }
}

#[test]
fn index_keys_cannot_be_shifted_between_their_parts() {
    let key = cluster_key();
    assert_ne!(key.subject_key("ab", "c", "d"), key.subject_key("a", "bc", "d"));
    assert_ne!(key.subject_key("a", "b", "cd"), key.subject_key("a", "bc", "d"));
    assert_ne!(key.subject_key("a", "b", "c").as_bytes(), key.sid_key("a", "b", "c").as_bytes());
    assert_ne!(key.subject_key("a", "b", "c"), ClusterKey::mint([0x5f; 32]).subject_key("a", "b", "c"));
}

#[test]
fn a_ring_without_a_fitting_secret_does_not_open() {
    let envelopes = [cluster_key().wrap(&secret(LITERAL), CLUSTER, [1; 12])];
    let opened = Keyring::open(&[secret(OTHER)], &envelopes, CLUSTER, Epoch::new(0));
    assert_eq!(opened.map(|_| ()), Err(NoEnvelopeOpens));
    assert_eq!(Keyring::open(&[], &envelopes, CLUSTER, Epoch::new(0)).map(|_| ()), Err(NoEnvelopeOpens));
}

#[test]
fn a_secret_without_an_envelope_verifies_but_does_not_mint() {
    let (old, new) = (secret(LITERAL), secret(OTHER));
    let envelopes = [cluster_key().wrap(&old, CLUSTER, [1; 12])];
    let ring = Keyring::open(&[new.clone(), old.clone(), old.clone()], &envelopes, CLUSTER, Epoch::new(3));
    let ring = ring.expect("the old secret opens it");
    assert_eq!(ring.active(), old.key_id(CLUSTER));
    assert_eq!(ring.ids().collect::<Vec<_>>(), [new.key_id(CLUSTER), old.key_id(CLUSTER)]);
    assert!(ring.ticket_key(new.key_id(CLUSTER)).is_some() && ring.login_key(new.key_id(CLUSTER)).is_some());
    assert!(ring.ticket_key(KeyId::from_bytes([0; 4])).is_none());
    assert_eq!((ring.epoch(), ring.cluster()), (Epoch::new(3), CLUSTER));
}

proptest! {
    /// A warning that drawn secrets get would teach people to look away.
    #[test]
    fn key_guess_no_drawn_secret_gets_a_warning(bytes in any::<[u8; 32]>()) {
        let drawn = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE, bytes);
        let variety = bytes.iter().collect::<std::collections::BTreeSet<_>>().len();
        prop_assume!(variety > 24);
        prop_assert_eq!(secret(&drawn).check_for_peers(), Ok(Vec::new()));
    }

    #[test]
    fn any_text_is_a_secret_or_refused(literal in ".*") {
        let _ = CookieSecret::parse(&literal).map(|secret| secret.check_for_peers());
    }

    #[test]
    fn any_envelope_opens_or_is_refused(sealed in proptest::collection::vec(any::<u8>(), 0..200)) {
        let secret = secret(LITERAL);
        let envelope = KeyEnvelope { key_id: secret.key_id(CLUSTER), sealed };
        prop_assert!(ClusterKey::unwrap(&envelope, &secret, CLUSTER).is_err());
    }
}
