//! A digest of the state, by which replicas are compared.

use ring::digest;

/// Folds rows, in key order, into one SHA-256.
#[derive(Clone)]
pub struct StateHasher(digest::Context);

impl Default for StateHasher {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl std::fmt::Debug for StateHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateHasher")
    }
}

impl StateHasher {
    /// The next row in key order. Lengths go in as well, so that no two lists of rows run together.
    pub fn row(&mut self, key: &[u8], value: &[u8]) {
        for part in [key, value] {
            let len = u64::try_from(part.len()).unwrap_or(u64::MAX);
            self.0.update(&len.to_be_bytes());
            self.0.update(part);
        }
    }

    /// The digest of all rows.
    pub fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.finish().as_ref());
        out
    }
}
