//! Upstreams: checked, so that a mistake shows at start.

use std::collections::BTreeSet;

use super::provider::is_readable_url;
use super::{Findings, Settings};

/// Every entry has a known scheme, and no two stand for one path.
pub(super) fn check(settings: &Settings, findings: &mut Findings) {
    let mut paths = BTreeSet::new();
    for upstream in settings.items("upstreams") {
        match path_of(&upstream) {
            Ok(path) if paths.contains(&path) => {
                findings.problem("upstreams", format!("two of them stand for the path {path:?}"));
            }
            Ok(path) => {
                paths.insert(path);
            }
            Err(text) => findings.problem("upstreams", text),
        }
    }
}

/// The path that an upstream answers for. Messages leave its text out: a URL may hold a password.
fn path_of(upstream: &str) -> Result<String, String> {
    let Some((scheme, rest)) = upstream.split_once(':') else {
        return Err("an entry has no scheme: give http://, https://, unix://, file:// or static://".to_owned());
    };
    match scheme.to_ascii_lowercase().as_str() {
        "static" => match rest.trim_start_matches("//").split('/').next().map(str::parse::<u16>) {
            Some(Ok(_)) => Ok("/".to_owned()),
            Some(Err(_)) | None => Err("static:// needs a status, such as static://202".to_owned()),
        },
        "unix" => Ok("/".to_owned()),
        "file" => {
            let path = rest.trim_start_matches("//");
            Ok(path.split_once('#').map_or(path, |(_, under)| under).to_owned())
        }
        "http" | "https" if is_readable_url(upstream) => {
            let parsed = url::Url::parse(upstream).map_err(|error| format!("an entry is no URL: {error}"))?;
            Ok(parsed.path().to_owned())
        }
        "http" | "https" => Err("an entry is no readable URL".to_owned()),
        _ => Err("an entry has another scheme than http://, https://, unix://, file:// or static://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_and_paths() {
        assert_eq!(path_of("static://202").as_deref(), Ok("/"));
        assert_eq!(path_of("static://204/x").as_deref(), Ok("/"));
        assert_eq!(path_of("file:///dev/null").as_deref(), Ok("/dev/null"));
        assert_eq!(path_of("file:///srv/#/a/").as_deref(), Ok("/a/"));
        assert_eq!(path_of("http://a.test/x").as_deref(), Ok("/x"));
        for wrong in ["ftp://h.test/", "h.test:8080", "//h.test/", "http://[::1/", "static://x", "http://h.test/%zz"] {
            assert!(path_of(wrong).is_err(), "{wrong}");
        }
    }
}
