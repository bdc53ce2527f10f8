//! The cipher suites that can be served, by Go's names for them.

use rustls::CipherSuite;

/// What Go calls a suite: the registry's name, which rustls has too but for the mark of TLS 1.3.
pub fn cipher_suite_name(suite: CipherSuite) -> String {
    let name = format!("{suite:?}");
    name.strip_prefix("TLS13_").map_or_else(|| name.clone(), |rest| format!("TLS_{rest}"))
}

/// Those of TLS 1.2, which a list may choose from, and of TLS 1.3, which are always on.
pub(super) fn cipher_suite_names() -> impl Iterator<Item = String> {
    rustls::crypto::ring::default_provider().cipher_suites.into_iter().map(|suite| cipher_suite_name(suite.suite()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_bear_the_names_that_go_gives_them() {
        let names: Vec<String> = cipher_suite_names().collect();
        for name in ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"] {
            assert!(names.contains(&name.to_owned()), "{name} is not in {names:?}");
        }
    }
}
