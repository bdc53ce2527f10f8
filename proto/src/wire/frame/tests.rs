//! Frames and answers: their bytes, their limits, and who is let in.

use proptest::prelude::*;

use super::*;
use crate::wire::golden::{hex, noise};

fn name(raw: &str) -> PeerName {
    PeerName::parse(raw).expect("a peer name")
}

fn head() -> FrameHead {
    FrameHead {
        cluster: Some(ClusterId::from_bytes([0xc1; 16])),
        epoch: Epoch::new(3),
        from: NodeId::new(0x0102_0304_0506_0708),
        from_name: name("a:1"),
        to: Some(NodeId::new(9)),
        to_name: name("b:2"),
        question: [0x55; 16],
        kind: FrameKind::Forward,
    }
}

fn me() -> Recipient {
    Recipient {
        cluster: Some(ClusterId::from_bytes([0xc1; 16])),
        epoch: Epoch::new(3),
        node: NodeId::new(9),
        name: name("b:2"),
    }
}

const GOLDEN_FRAME: &str = concat!(
    "01",                                 // version
    "0600",                               // kind
    "4d00",                               // length of the head
    "01",                                 // its version
    "01c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1", // cluster
    "03000000",                           // epoch
    "0807060504030201",                   // from
    "0300000000000000613a31",             // its name
    "010900000000000000",                 // to
    "0300000000000000623a32",             // its name
    "55555555555555555555555555555555",   // question
    "7061796c6f6164",                     // payload
);

#[test]
fn frame_bytes_are_fixed() {
    let frame = Frame { head: head(), payload: b"payload".to_vec() };
    let bytes = frame.encode().expect("within limits");
    assert_eq!(hex(&bytes), GOLDEN_FRAME);
    let (read, payload) = Frame::decode_head(&bytes).expect("just written");
    assert_eq!((read, payload), (head(), b"payload".as_slice()));
}

#[test]
fn kind_numbers_are_fixed() {
    let numbers: Vec<u16> = FrameKind::ALL.into_iter().map(FrameKind::code).collect();
    assert_eq!(numbers, (1..=14).collect::<Vec<u16>>());
    for kind in FrameKind::ALL {
        assert_eq!(FrameKind::from_code(kind.code()), Some(kind));
    }
    assert_eq!(FrameKind::from_code(0), None);
    assert_eq!(FrameKind::from_code(15), None);
}

#[test]
fn the_largest_frame_passes_and_one_byte_more_does_not() {
    let mut longest = head();
    longest.from_name = name(&format!("{}:65535", "x".repeat(253)));
    longest.to_name = longest.from_name.clone();
    let mut frame = Frame { head: longest, payload: vec![7; MAX_PAYLOAD] };
    let bytes = frame.encode().expect("at the limit");
    assert!(bytes.len() <= MAX_FRAME);
    assert!(Frame::decode_head(&bytes).is_ok());

    frame.payload.push(7);
    assert_eq!(frame.encode(), Err(WireError::TooLarge { bytes: MAX_PAYLOAD + 1, limit: MAX_PAYLOAD }));
    let mut grown = bytes;
    grown.push(7);
    assert!(matches!(Frame::decode_head(&grown), Err(WireError::TooLarge { .. })));
    let huge = vec![FRAME_VERSION; MAX_FRAME + 1];
    assert_eq!(Frame::decode_head(&huge), Err(WireError::TooLarge { bytes: MAX_FRAME + 1, limit: MAX_FRAME }));
}

#[test]
fn what_is_wrong_with_a_frame_is_told_apart() {
    let bytes = Frame { head: head(), payload: Vec::new() }.encode().expect("within limits");
    let with = |at: usize, byte: u8| {
        let mut changed = bytes.clone();
        changed[at] = byte;
        Frame::decode_head(&changed).map(|_| ()).expect_err("changed")
    };
    assert_eq!(Frame::decode_head(&[]), Err(WireError::Empty));
    assert_eq!(with(0, 2), WireError::Version { found: 2, supported: 1 });
    assert_eq!(with(1, 200), WireError::UnknownKind(200));
    assert_eq!(with(3, 0), WireError::Empty, "a head of no bytes");
    assert_eq!(with(4, 0xff), WireError::Malformed, "a head longer than the frame");
    assert_eq!(with(5, 9), WireError::Version { found: 9, supported: 1 });
    for len in 1..bytes.len() {
        assert!(Frame::decode_head(&bytes[..len]).is_err(), "cut to {len} bytes");
    }
}

#[test]
fn a_name_that_no_configuration_could_hold_is_malformed() {
    for bad in ["A:1", "a b", "", "a:0"] {
        let mut fields = head().fields();
        fields.from_name = unparsed(bad);
        assert_eq!(fields.into_head(FrameKind::Ping).expect_err("no name"), WireError::Malformed, "{bad:?}");
    }
}

/// A name as a peer's bytes may carry it.
fn unparsed(raw: &str) -> PeerName {
    super::super::decode(1, &encode(1, raw), MAX_HEAD).expect("a string")
}

#[test]
fn only_frames_for_this_replica_of_this_cluster_are_admitted() {
    let refused = |change: fn(&mut FrameHead)| {
        let mut changed = head();
        change(&mut changed);
        changed.admit(&me()).err()
    };
    assert_eq!(refused(|_| {}), None);
    assert_eq!(refused(|head| head.to = None), None, "an id need not be known");
    assert_eq!(refused(|head| head.to = Some(NodeId::new(8))), Some(PeerRefusal::WrongRecipient));
    assert_eq!(refused(|head| head.to_name = name("c:2")), Some(PeerRefusal::WrongRecipient));
    assert_eq!(refused(|head| head.cluster = Some(ClusterId::from_bytes([0xc2; 16]))), Some(PeerRefusal::WrongCluster));
    assert_eq!(refused(|head| head.cluster = None), Some(PeerRefusal::WrongCluster));
    assert_eq!(refused(|head| head.epoch = Epoch::new(2)), Some(PeerRefusal::OldEpoch));
    assert_eq!(refused(|head| head.epoch = Epoch::new(4)), None, "a new epoch comes by the log");
}

#[test]
fn introductions_cross_clusters_but_not_replicas() {
    let mut hello = FrameHead { kind: FrameKind::Hello, cluster: None, epoch: Epoch::default(), ..head() };
    assert_eq!(hello.admit(&me()), Ok(()));
    hello.to_name = name("c:2");
    assert_eq!(hello.admit(&me()), Err(PeerRefusal::WrongRecipient));
}

#[test]
fn a_replica_without_a_cluster_admits_its_founder() {
    let pristine = Recipient { cluster: None, epoch: Epoch::default(), ..me() };
    assert_eq!(head().admit(&pristine), Ok(()));
}

#[test]
fn answer_bytes_are_fixed_and_bound_to_their_question() {
    let answer = Answer { question: [9; 16], from: NodeId::new(4), payload: Ok(AnswerBytes(b"yes".to_vec())) };
    let bytes = answer.encode();
    assert_eq!(
        hex(&bytes),
        "01 09090909090909090909090909090909 0400000000000000 00000000 0300000000000000 796573".replace(' ', "")
    );
    assert_eq!(Answer::decode(&bytes, &[9; 16]), Ok(answer));
    assert_eq!(Answer::decode(&bytes, &[8; 16]), Err(WireError::Malformed));
}

#[test]
fn refusal_numbers_are_fixed() {
    let refusals = [
        PeerRefusal::WrongCluster,
        PeerRefusal::WrongRecipient,
        PeerRefusal::UnknownSender,
        PeerRefusal::OldEpoch,
        PeerRefusal::NotLeader { leader: Some(NodeId::new(7)) },
        PeerRefusal::TooLarge,
        PeerRefusal::NotReady,
        PeerRefusal::Busy,
        PeerRefusal::Malformed,
        PeerRefusal::Unsupported,
        PeerRefusal::Deadline,
    ];
    for (number, refusal) in (0_u8..).zip(&refusals) {
        let bytes = encode(1, refusal);
        assert_eq!(bytes[..5], [1, number, 0, 0, 0], "{refusal:?}");
    }
    assert_eq!(hex(&encode(1, &refusals[4])), "0104000000010700000000000000");
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_never_more_than_refused(bytes in noise(FRAME_VERSION)) {
        if let Ok((head, payload)) = Frame::decode_head(&bytes) {
            let again = Frame { head, payload: payload.to_vec() }.encode().expect("was within limits");
            prop_assert_eq!(again, bytes.clone());
        }
        let _ = Answer::decode(&bytes, &[0; 16]);
    }

    #[test]
    fn a_damaged_frame_is_refused_or_means_what_it_says(at in 0_usize..80, byte: u8) {
        let mut bytes = Frame { head: head(), payload: b"p".to_vec() }.encode().expect("within limits");
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok((head, payload)) = Frame::decode_head(&bytes) {
            let again = Frame { head, payload: payload.to_vec() }.encode().expect("was within limits");
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn a_length_inside_cannot_ask_for_more_than_is_there(len: u64) {
        // An answer whose payload claims `len` bytes and brings three.
        let mut bytes = Answer { question: [0; 16], from: NodeId::new(1), payload: Ok(AnswerBytes(vec![1; 3])) }.encode();
        let at = bytes.len() - 3 - 8;
        bytes[at..at + 8].copy_from_slice(&len.to_le_bytes());
        prop_assert_eq!(Answer::decode(&bytes, &[0; 16]).is_ok(), len == 3);
    }
}
