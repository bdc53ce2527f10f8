//! Tests of tickets: golden bytes computed by an independent program, and that no damaged, moved or
//! invented value is taken.

use proptest::prelude::*;

use super::*;
use crate::id::ClusterId;
use crate::keyring::tests::{CLUSTER, LITERAL, cluster_key, ring, ring_of, secret};

const NAME: &str = "_oauth2_proxy";
const GOLDEN: &str = "Aci4OMIAAAAHAAABi8_laHsQERITFBUWFxgZGhscHR4fQEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8AAAAAAAAAKmAEsUKcMJSxkq0Ot5xXueXvItBxXig-FeuBbjL1iJDh";

pub(crate) fn ticket() -> Ticket {
    let mut entropy = [0; TICKET_ENTROPY];
    for (place, byte) in (0x10..0x20).chain(0x40..0x60).enumerate() {
        entropy[place] = byte;
    }
    Ticket::mint(entropy, Epoch::new(7), Timestamp::from_millis(1_700_000_000_123)).with_index(LogIndex::new(42))
}

#[test]
fn golden_bytes() {
    assert_eq!(ticket().encode(&ring(), NAME), GOLDEN);
    assert_eq!(Ticket::decode(GOLDEN, &ring(), NAME), Ok(ticket()));
    assert_eq!(GOLDEN.len(), TICKET_LEN);
    assert_eq!(ticket().key().to_string(), "fc2e2c73072bfa2bda03ff9307472debd3cc8105028a8a9e235e35ba8d2e37f4");
}

#[test]
fn nothing_else_is_a_ticket() {
    let ring = ring();
    let decode = |value: &str| Ticket::decode(value, &ring, NAME);
    let old = "djIuWDI5aGRYUm9NbDl3Y205NGVTMHhNak0uYzJWamNtVjA=|1700000000|Zm9vYmFyYmF6cXV4";
    for value in
        ["", "x", old, &"=".repeat(TICKET_LEN), &"é".repeat(TICKET_LEN / 2), &GOLDEN[1..], &format!("{GOLDEN}A")]
    {
        assert_eq!(decode(value), Err(InvalidTicket::NotOurs), "{value}");
    }
    assert_eq!(decode(&GOLDEN.replacen("Aci4", "Asi4", 1)), Err(InvalidTicket::Version));
    assert_eq!(decode(&GOLDEN.replacen("Aci4", "Aci5", 1)), Err(InvalidTicket::UnknownKey));
}

#[test]
fn a_cookie_of_oauth2_proxy_is_told_apart() {
    let ring = ring();
    let mac = "ck6TqTzT1Nid2HSbiGy7cz3pOT90h7hgp5gUNDscF8g=";
    let in_redis = "djIuWDI5aGRYUm9NbDl3Y205NGVTMHdNREppTldKbU5EWXhZak0wTWpZM00yRXpNVE01TnpnNVl6WXpZMlU1Wmcuejkzb0s3VVdlakhkRkFnUHpHeUdjQQ==";
    for signed in [in_redis, &"x".repeat(3_900), &"y".repeat(TICKET_LEN - 56)] {
        let value = format!("{signed}|1795599748|{mac}");
        assert_eq!(Ticket::decode(&value, &ring, NAME), Err(InvalidTicket::Oauth2Proxy), "{value}");
    }
    let others = [format!("{in_redis}|{mac}"), format!("|1795599748|{mac}"), format!("{in_redis}|17955997x8|{mac}")];
    for value in others.into_iter().chain([format!("{in_redis}||{mac}"), format!("{in_redis}|1795599748|short")]) {
        assert_eq!(Ticket::decode(&value, &ring, NAME), Err(InvalidTicket::NotOurs), "{value}");
    }
}

#[test]
fn every_bit_counts() {
    let ring = ring();
    let raw = URL_SAFE_NO_PAD.decode(GOLDEN).expect("valid");
    for bit in 0..raw.len() * 8 {
        let mut damaged = raw.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit / 8 {
            0 => InvalidTicket::Version,
            1..=4 => InvalidTicket::UnknownKey,
            _ => InvalidTicket::BadMac,
        };
        assert_eq!(Ticket::decode(&URL_SAFE_NO_PAD.encode(damaged), &ring, NAME), Err(expected), "bit {bit}");
    }
}

#[test]
fn a_ticket_is_bound_to_cookie_name_secret_and_cluster() {
    let ring = ring();
    for name in ["", "_oauth2_prox", "_oauth2_proxy_csrf", "_OAUTH2_PROXY"] {
        assert_eq!(Ticket::decode(GOLDEN, &ring, name), Err(InvalidTicket::BadMac), "{name}");
    }
    let secrets = [secret(LITERAL)];
    let elsewhere = ClusterId::from_bytes([0xc2; 16]);
    let envelopes = [cluster_key().wrap(&secrets[0], elsewhere, [1; 12])];
    let other_cluster = Keyring::open(&secrets, &envelopes, elsewhere, Epoch::new(7)).expect("opens");
    assert_ne!(elsewhere, CLUSTER);
    assert_eq!(Ticket::decode(GOLDEN, &other_cluster, NAME), Err(InvalidTicket::UnknownKey));
    let mut renamed = URL_SAFE_NO_PAD.decode(GOLDEN).expect("base64");
    renamed[1..5].copy_from_slice(other_cluster.active().as_bytes());
    let renamed = URL_SAFE_NO_PAD.encode(renamed);
    assert_eq!(Ticket::decode(&renamed, &other_cluster, NAME), Err(InvalidTicket::BadMac), "not by the id alone");
    let other_secret = ring_of(&["Q7sZ1nGd0kV4mXwP"]);
    assert_eq!(Ticket::decode(GOLDEN, &other_secret, NAME), Err(InvalidTicket::UnknownKey));
}

#[test]
fn rotation_keeps_old_tickets_and_mints_new_ones() {
    let rotated = ring_of(&["Q7sZ1nGd0kV4mXwP", LITERAL]);
    assert_eq!(Ticket::decode(GOLDEN, &rotated, NAME), Ok(ticket()));
    let minted = ticket().encode(&rotated, NAME);
    assert_ne!(minted, GOLDEN);
    assert_eq!(Ticket::decode(&minted, &rotated, NAME), Ok(ticket()));
    assert_eq!(Ticket::decode(&minted, &ring(), NAME), Err(InvalidTicket::UnknownKey));
}

#[test]
fn a_ticket_does_not_print() {
    let printed = format!("{:?}", ticket());
    assert!(!printed.contains("64, 65") && !printed.contains("16, 17") && printed.contains("***"), "{printed}");
}

proptest! {
    #[test]
    fn any_text_is_refused(value in ".*") {
        prop_assert!(Ticket::decode(&value, &ring(), NAME).is_err());
    }

    #[test]
    fn any_bytes_of_the_right_length_are_refused(
        bytes in proptest::collection::vec(any::<u8>(), RAW_LEN), own_head in any::<bool>()
    ) {
        let mut bytes = bytes;
        if own_head {
            bytes[0] = VERSION;
            bytes[1..5].copy_from_slice(ring().active().as_bytes());
        }
        prop_assert!(Ticket::decode(&URL_SAFE_NO_PAD.encode(bytes), &ring(), NAME).is_err());
    }

    #[test]
    fn what_is_minted_comes_back(
        entropy in any::<[[u8; 16]; 3]>(), epoch in any::<u32>(), at in any::<u64>(), index in any::<u64>(), name in "[a-z_]{1,40}"
    ) {
        let entropy = entropy.concat().try_into().expect("48 bytes");
        let ticket = Ticket::mint(entropy, Epoch::new(epoch), Timestamp::from_millis(at)).with_index(LogIndex::new(index));
        prop_assert_eq!(Ticket::decode(&ticket.encode(&ring(), &name), &ring(), &name), Ok(ticket));
    }
}
