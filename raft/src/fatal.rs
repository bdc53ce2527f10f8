//! The one place where a failing store ends the process: after an error of sled nothing that it
//! says can be trusted, and a replica that is gone does less harm than one that forgets.

use std::fmt::Display;

/// Exit status of a process whose store failed (EX_IOERR).
pub const EXIT_STORE_FAILED: i32 = 74;

/// Says what failed and ends the process.
#[expect(clippy::disallowed_methods, reason = "nothing may be flushed or drained into a store that failed")]
pub(crate) fn store_failed(doing: &'static str, error: &dyn Display) -> ! {
    tracing::error!(doing, %error, "the store failed; the process ends");
    eprintln!("conclave: the store failed while {doing}: {error}");
    std::process::exit(EXIT_STORE_FAILED)
}

/// Unwraps results of the open store.
pub(crate) trait OrEnd<T> {
    /// The value, or the end of the process.
    fn or_end(self, doing: &'static str) -> T;
}

impl<T, E: Display> OrEnd<T> for Result<T, E> {
    fn or_end(self, doing: &'static str) -> T {
        match self {
            Ok(value) => value,
            Err(error) => store_failed(doing, &error),
        }
    }
}
