//! Finds secrets where none may be: in logs and on disks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use regex::bytes::Regex;

use crate::Failure;

/// Shorter values could stand anywhere by chance.
const SHORTEST: usize = 8;

/// Values that must not be found, each with its kind.
#[derive(Clone, Debug, Default)]
pub struct Canaries(BTreeMap<Vec<u8>, String>);

impl Canaries {
    /// Adds a value as it is, in hexadecimal of both cases, and as it stands in URLs; too short ones are left out.
    pub fn add(&mut self, kind: &str, value: &[u8]) {
        if value.len() < SHORTEST {
            return;
        }
        let hex = |digits: fn(u8) -> String| value.iter().map(|byte| digits(*byte)).collect::<String>();
        let forms = [
            (String::new(), value.to_vec()),
            (" in hexadecimal".to_owned(), hex(|byte| format!("{byte:02x}")).into_bytes()),
            (" in upper-case hexadecimal".to_owned(), hex(|byte| format!("{byte:02X}")).into_bytes()),
            (" as in a URL".to_owned(), percent_encode(value, NON_ALPHANUMERIC).to_string().into_bytes()),
        ];
        for (form, bytes) in forms {
            self.0.entry(bytes).or_insert_with(|| format!("{kind}{form}"));
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Kinds and places of everything found in `bytes`.
    pub fn found_in(&self, bytes: &[u8]) -> Result<Vec<(String, usize)>, Failure> {
        if self.is_empty() {
            return Err("nothing to look for: the scan would show nothing".into());
        }
        let literal = |value: &Vec<u8>| value.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        let pattern = self.0.keys().map(literal).collect::<Vec<_>>().join("|");
        let regex = regex::bytes::RegexBuilder::new(&format!("(?-u:{pattern})")).size_limit(1 << 30).build()?;
        Ok(self.matches(&regex, bytes))
    }

    fn matches(&self, regex: &Regex, bytes: &[u8]) -> Vec<(String, usize)> {
        let kind = |value: &[u8]| self.0.get(value).cloned().unwrap_or_default();
        regex.find_iter(bytes).map(|hit| (kind(hit.as_bytes()), hit.start())).collect()
    }
}

/// All files under `dir`.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_text_and_bytes_and_says_which() {
        let mut canaries = Canaries::default();
        canaries.add("token", b"a.b+c(d)e");
        canaries.add("secret", &[0, 0xff, 0x80, 1, 2, 3, 4, 5]);
        canaries.add("short", b"abc");
        let bytes = [b"abc..a.b+c(d)e..".as_slice(), &[0, 0xff, 0x80, 1, 2, 3, 4, 5]].concat();
        let found = canaries.found_in(&bytes).expect("scanned");
        assert_eq!(found, [("token".to_owned(), 5), ("secret".to_owned(), 16)]);
        assert!(canaries.found_in(b"aXb+c(d)e").expect("scanned").is_empty());
        for (form, kind) in [
            (b"..612e622b6328642965..".as_slice(), "token in hexadecimal"),
            (b"..612E622B6328642965..", "token in upper-case hexadecimal"),
            (b"..a%2Eb%2Bc%28d%29e..", "token as in a URL"),
        ] {
            assert_eq!(canaries.found_in(form).expect("scanned"), [(kind.to_owned(), 2)]);
        }
        assert!(Canaries::default().found_in(b"").is_err());
    }
}
