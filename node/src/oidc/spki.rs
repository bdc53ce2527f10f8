//! Public keys in PEM files (`oidc_public_key_files`): just enough DER (RFC 5280, 5480, 8410) to
//! find the numbers that a JSON Web Key holds.

use openidconnect::core::{CoreJsonCurveType, CoreJsonWebKey};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// First byte of an elliptic curve point that spells out both coordinates.
const UNCOMPRESSED: u8 = 0x04;

/// The key in a `SubjectPublicKeyInfo`; nothing if it is of a kind that is not served.
pub(super) fn key(der: &[u8]) -> Option<CoreJsonWebKey> {
    let mut outer = Reader(der);
    let mut info = Reader(outer.element(SEQUENCE)?);
    let mut algorithm = Reader(info.element(SEQUENCE)?);
    let (kind, bits) = (algorithm.element(OBJECT_ID)?, info.element(BIT_STRING)?);
    let (&0, bits) = bits.split_first()? else { return None };
    match kind {
        RSA => {
            let mut numbers = Reader(Reader(bits).element(SEQUENCE)?);
            let (modulus, exponent) = (numbers.element(INTEGER)?, numbers.element(INTEGER)?);
            Some(CoreJsonWebKey::new_rsa(modulus.to_vec(), exponent.to_vec(), None))
        }
        EC => match algorithm.element(OBJECT_ID)? {
            P256 => point(bits, 32, CoreJsonCurveType::P256),
            P384 => point(bits, 48, CoreJsonCurveType::P384),
            _ => None,
        },
        ED25519 => Some(CoreJsonWebKey::new_okp(bits.to_vec(), CoreJsonCurveType::Ed25519, None)),
        _ => None,
    }
}

fn point(bits: &[u8], size: usize, curve: CoreJsonCurveType) -> Option<CoreJsonWebKey> {
    let (&UNCOMPRESSED, coordinates) = bits.split_first()? else { return None };
    if coordinates.len() != 2 * size {
        return None;
    }
    let (x, y) = coordinates.split_at(size);
    Some(CoreJsonWebKey::new_ec(x.to_vec(), y.to_vec(), curve, None))
}

/// Reads DER elements one after another.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next element, if it has that tag.
    fn element(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            // Two length bytes reach 64 KiB, beyond any key.
            let count = usize::from(first & 0x7f);
            let (bytes, tail) = rest.split_at_checked(count).filter(|_| (1..=2).contains(&count))?;
            rest = tail;
            bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
        };
        let (content, tail) = rest.split_at_checked(length)?;
        self.0 = tail;
        (found == tag).then_some(content)
    }
}
