//! Values that never print, and where they come from.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;
use zeroize::Zeroize;

/// A value that neither `Debug` nor any error shows; wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Hides the value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the one place that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A secret given directly, or a file that is read anew on each use so that it can be rotated.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// Given directly.
    Given(Secret<String>),
    /// A file; a newline at its end does not count.
    File(PathBuf),
}

/// A secret's file could not be read.
#[derive(Debug, Error)]
#[error("cannot read the secret file {}: {source}", path.display())]
pub struct SecretUnreadable {
    path: PathBuf,
    source: std::io::Error,
}

impl SecretSource {
    /// The value now.
    pub fn read(&self) -> Result<Secret<String>, SecretUnreadable> {
        match self {
            Self::Given(secret) => Ok(secret.clone()),
            Self::File(path) => match std::fs::read_to_string(path) {
                Ok(mut text) => {
                    text.truncate(text.trim_end_matches(['\r', '\n']).len());
                    Ok(Secret::new(text))
                }
                Err(source) => Err(SecretUnreadable { path: path.clone(), source }),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let source = SecretSource::Given(Secret::new("hunter2".to_owned()));
        assert!(!format!("{source:?}").contains("hunter2"));
        assert_eq!(source.read().expect("given").expose(), "hunter2");
    }
}
