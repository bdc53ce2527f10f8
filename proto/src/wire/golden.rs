//! For tests: formats held against bytes that were once written down.

use std::fmt::Debug;

use proptest::prelude::*;

use super::Versioned;

/// Two lower-case digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `value` encodes to `golden` (blanks aside), and that reads back as `value`, within its limit.
pub(crate) fn assert_golden<T: Versioned + PartialEq + Debug>(value: &T, golden: &str) {
    let bytes = value.to_bytes();
    let golden: String = golden.split_whitespace().collect();
    assert_eq!(hex(&bytes), golden, "the format of {value:?} changed");
    assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(value));
    assert!(bytes.len() <= T::LIMIT, "{} bytes, over the limit of {}", bytes.len(), T::LIMIT);
}

/// Bytes near to `value`'s: cut, grown or with one byte changed never panic, and what still reads
/// has one encoding only.
pub(crate) fn assert_survives_damage<T: Versioned + PartialEq + Debug>(value: &T) {
    let bytes = value.to_bytes();
    for len in 0..bytes.len() {
        assert!(T::from_bytes(&bytes[..len]).is_err(), "cut to {len} bytes");
    }
    let mut grown = bytes.clone();
    grown.push(0);
    assert!(T::from_bytes(&grown).is_err(), "left-over bytes");
    for at in 0..bytes.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = byte;
            if let Ok(read) = T::from_bytes(&damaged) {
                assert_eq!(read.to_bytes(), damaged, "byte {at} set to {byte:#x}");
            }
        }
    }
}

/// Arbitrary bytes, half of them under the right version.
pub(crate) fn noise(version: u8) -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..600);
    (bytes, any::<bool>()).prop_map(move |(mut bytes, right)| {
        if let (true, Some(first)) = (right, bytes.first_mut()) {
            *first = version;
        }
        bytes
    })
}
