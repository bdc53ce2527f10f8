//! Where a request is sent that named a path of this host in another way than routers compare it.

use std::fmt::Write as _;

/// Path and query on this host for a `Location` header: begins with one slash that neither a slash
/// nor a backslash follows, and holds printable ASCII only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalUri(String);

impl LocalUri {
    /// The clean form of a path as it came on the wire: no empty segments and no dot segments.
    /// `None` if it is clean already.
    pub fn cleaned(path: &str, query: Option<&str>) -> Option<Self> {
        clean(path.as_bytes()).map(|clean| Self::new(&clean, is_wire_byte, query))
    }

    /// The same of a path whose escapes were decoded, which are put back.
    pub fn cleaned_decoded(path: &[u8], query: Option<&str>) -> Option<Self> {
        clean(path).map(|clean| Self::new(&clean, is_path_byte, query))
    }

    /// A path as it came on the wire, with a slash at its end.
    pub fn with_slash(path: &str, query: Option<&str>) -> Self {
        let mut path = clean(path.as_bytes()).unwrap_or_else(|| path.as_bytes().to_vec());
        if !path.ends_with(b"/") {
            path.push(b'/');
        }
        Self::new(&path, is_wire_byte, query)
    }

    /// The value for a `Location` header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn new(path: &[u8], kept: fn(u8) -> bool, query: Option<&str>) -> Self {
        let mut out = String::with_capacity(path.len() + query.map_or(0, str::len) + 8);
        escape_into(&mut out, path, kept);
        if let Some(query) = query {
            out.push('?');
            escape_into(&mut out, query.as_bytes(), |byte| byte.is_ascii_graphic());
        }
        Self(out)
    }
}

/// What may stand in a path as it is.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@!*'()".contains(&byte)
}

/// The same where escapes stand already.
fn is_wire_byte(byte: u8) -> bool {
    byte == b'%' || is_path_byte(byte)
}

fn escape_into(out: &mut String, bytes: &[u8], kept: fn(u8) -> bool) {
    for byte in bytes {
        if kept(*byte) {
            out.push(char::from(*byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing into a String does not fail");
        }
    }
}

/// The clean form, if the path is not clean. A slash at the end stays.
fn clean(path: &[u8]) -> Option<Vec<u8>> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let mut clean = b"/".to_vec();
    clean.extend(kept.join(&b'/'));
    if path.ends_with(b"/") && !kept.is_empty() {
        clean.push(b'/');
    }
    (clean != path).then_some(clean)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cleaned(path: &str) -> Option<String> {
        LocalUri::cleaned(path, None).map(|uri| uri.0)
    }

    #[test]
    fn empty_and_dot_segments_go() {
        let recorded = [
            ("//", "/"),
            ("//evil.test/x", "/evil.test/x"),
            ("//evil.test/..", "/"),
            ("///evil.test", "/evil.test"),
            ("/a//b", "/a/b"),
            ("/a/../b", "/b"),
            ("/./a", "/a"),
            ("/a/.", "/a"),
            ("/a/..", "/"),
            ("/..", "/"),
            ("/oauth2/auth/..", "/oauth2"),
            ("/a//b/", "/a/b/"),
        ];
        for (path, clean) in recorded {
            assert_eq!(cleaned(path).as_deref(), Some(clean), "{path}");
        }
        for path in ["/", "/a", "/a/", "/a/b%2f%2e%2e", "/\\evil.test", "/..a/b.."] {
            assert_eq!(cleaned(path), None, "{path}");
        }
    }

    #[test]
    fn the_query_stays() {
        let uri = LocalUri::cleaned("/x//y", Some("z=//w"));
        assert_eq!(uri.map(|uri| uri.0).as_deref(), Some("/x/y?z=//w"));
        assert_eq!(LocalUri::with_slash("/files", Some("x=1")).as_str(), "/files/?x=1");
    }

    #[test]
    fn decoded_paths_are_escaped_again() {
        let uri = |path: &[u8]| LocalUri::cleaned_decoded(path, None).map(|uri| uri.0);
        assert_eq!(uri(b"//evil.test").as_deref(), Some("/evil.test"));
        assert_eq!(uri(b"/../a b%?\\c").as_deref(), Some("/a%20b%25%3F%5Cc"));
        assert_eq!(uri("/./ü\r\n".as_bytes()).as_deref(), Some("/%C3%BC%0D%0A"));
        assert_eq!(uri(b"/a b"), None);
    }

    proptest! {
        #[test]
        fn no_browser_leaves_the_host(path in "[/\\\\.a%\\r\\t ü]{0,12}", query in proptest::option::of("[/\\\\a ü]{0,4}")) {
            let query = query.as_deref();
            let uris = [
                LocalUri::cleaned(&path, query),
                LocalUri::cleaned_decoded(path.as_bytes(), query),
                Some(LocalUri::with_slash(&path, query)),
            ];
            let origin = url::Url::parse("https://service.test/x").unwrap();
            for uri in uris.into_iter().flatten() {
                prop_assert!(uri.0.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert_eq!(origin.join(&uri.0).unwrap().origin(), origin.origin());
            }
        }
    }
}
