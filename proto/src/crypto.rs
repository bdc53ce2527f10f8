//! The few uses of `ring` that the formats share: key derivation and AES-256-GCM. Nothing here draws
//! randomness: nonces are arguments.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf;
use zeroize::Zeroizing;

/// Length of every derived key in bytes.
pub(crate) const KEY_LEN: usize = 32;

/// Length of an AES-GCM nonce in bytes.
pub(crate) const NONCE_LEN: usize = 12;

/// What sealing adds to a plaintext: the authentication tag, in bytes.
pub(crate) const TAG_LEN: usize = 16;

/// 256 key bytes, wiped on drop.
pub(crate) type Key256 = Zeroizing<[u8; KEY_LEN]>;

/// HKDF-SHA256 of `secret`. `purpose` separates the uses of one secret; it ends in a version and no
/// purpose is a prefix of another, since `context` follows it directly.
pub(crate) fn derive(salt: &[u8], secret: &[u8], purpose: &str, context: &[&[u8]]) -> Key256 {
    let mut info = Vec::with_capacity(1 + context.len());
    info.push(purpose.as_bytes());
    info.extend_from_slice(context);
    let mut key = Zeroizing::new([0_u8; KEY_LEN]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(&info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(key.as_mut()))
        .expect("one hash length is always a valid HKDF output");
    key
}

/// An AES-256-GCM key.
pub(crate) struct AeadKey(LessSafeKey);

impl AeadKey {
    /// Takes 32 derived bytes.
    pub(crate) fn new(key: &Key256) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("AES-256 takes 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Appends ciphertext and tag to `out`.
    pub(crate) fn seal_into(&self, out: &mut Vec<u8>, nonce: [u8; NONCE_LEN], aad: &[u8], plain: &[u8]) {
        let mut buffer = Zeroizing::new(Vec::with_capacity(plain.len() + TAG_LEN));
        buffer.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0
            .seal_in_place_append_tag(nonce, Aad::from(aad), &mut *buffer)
            .expect("AES-GCM seals anything below 64 GiB");
        out.extend_from_slice(&buffer);
    }

    /// The plaintext, or nothing if a single bit of nonce, label or ciphertext differs.
    pub(crate) fn open(&self, nonce: [u8; NONCE_LEN], aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut buffer = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let length = self.0.open_in_place(nonce, Aad::from(aad), &mut buffer).ok()?.len();
        buffer.truncate(length);
        Some(buffer)
    }
}

/// Takes `N` bytes off the front of `bytes`.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn derived_keys_differ_by_every_input() {
        let base = derive(b"salt", b"secret", "a/1", &[b"x"]);
        for other in [
            derive(b"salt2", b"secret", "a/1", &[b"x"]),
            derive(b"salt", b"secret2", "a/1", &[b"x"]),
            derive(b"salt", b"secret", "b/1", &[b"x"]),
            derive(b"salt", b"secret", "a/1", &[b"y"]),
        ] {
            assert_ne!(*base, *other);
        }
    }

    /// RFC 5869, test case 1 (its first 32 bytes).
    #[test]
    fn derivation_is_hkdf_sha256() {
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let key = derive(&salt, &[0x0b; 22], "", &[&info]);
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf";
        assert_eq!(hex(key.as_ref()), expected);
    }

    #[test]
    fn every_bit_is_authenticated() {
        let key = AeadKey::new(&Zeroizing::new([7; KEY_LEN]));
        let mut sealed = Vec::new();
        key.seal_into(&mut sealed, [1; NONCE_LEN], b"aad", b"plain");
        assert_eq!(key.open([1; NONCE_LEN], b"aad", &sealed).as_deref().map(Vec::as_slice), Some(b"plain".as_slice()));
        assert!(key.open([2; NONCE_LEN], b"aad", &sealed).is_none());
        assert!(key.open([1; NONCE_LEN], b"aae", &sealed).is_none());
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open([1; NONCE_LEN], b"aad", &damaged).is_none(), "bit {bit}");
        }
        assert!(key.open([1; NONCE_LEN], b"aad", &sealed[..TAG_LEN - 1]).is_none());
    }

    pub(crate) fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
