//! Upstreams: what answers a request outside the service's own prefix, by its path.

use thiserror::Error;
use url::Url;

use crate::policy::percent_decode;
use crate::redirect::LocalUri;

/// The path of `file:///dev/null`, which tutorials give where nothing is to be served.
const DEV_NULL: &str = "/dev/null";

/// The status where `static://` names none, as in oauth2-proxy.
const DEFAULT_STATUS: u16 = 200;

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// This service itself, with that status: 200 to 999.
    Static(u16),
    /// A server, over HTTP.
    Http,
    /// A server, over HTTP on a Unix socket.
    Unix,
    /// Files.
    File,
}

impl Target {
    /// Its scheme, as the configuration writes it.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Static(_) => "static",
            Self::Http => "http",
            Self::Unix => "unix",
            Self::File => "file",
        }
    }
}

/// One entry of `upstreams`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The path that it answers for: with a slash at its end everything below, otherwise exactly it.
    path: String,
    target: Target,
}

/// An entry that cannot be read. Messages leave its text out: a URL may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidUpstream {
    /// No scheme.
    #[error("an entry has no scheme: give http://, https://, unix://, file:// or static://")]
    NoScheme,
    /// Another one.
    #[error("an entry has another scheme than http://, https://, unix://, file:// or static://")]
    Scheme,
    /// A status that no answer can end with.
    #[error("static:// needs a status from 200 to 999, such as static://202")]
    Status,
    /// No URL.
    #[error("an entry is no readable URL")]
    Url,
    /// Two for one path.
    #[error("two of them stand for the path {0:?}")]
    Twice(String),
}

impl Upstream {
    /// Reads one entry.
    pub fn parse(entry: &str) -> Result<Self, InvalidUpstream> {
        let (scheme, rest) = entry.split_once(':').ok_or(InvalidUpstream::NoScheme)?;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (path, target) = match scheme.to_ascii_lowercase().as_str() {
            "static" => ("/".to_owned(), Target::Static(status(rest)?)),
            "unix" => ("/".to_owned(), Target::Unix),
            "file" => (rest.split_once('#').map_or(rest, |(_, under)| under).to_owned(), Target::File),
            "http" | "https" => (path_of(entry)?, Target::Http),
            _ => return Err(InvalidUpstream::Scheme),
        };
        Ok(Self { path, target })
    }

    /// An entry whose path stands beside its target, as in the structured file.
    pub fn at(path: &str, target: Target) -> Self {
        Self { path: path.to_owned(), target }
    }

    /// What answers.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Whether it stands for nothing at all: `file:///dev/null`.
    pub fn is_nothing(&self) -> bool {
        self.target == Target::File && self.path == DEV_NULL
    }

    fn answers(&self, path: &[u8]) -> bool {
        if self.path.ends_with('/') { path.starts_with(self.path.as_bytes()) } else { path == self.path.as_bytes() }
    }

    fn lacks_slash(&self, path: &[u8]) -> bool {
        self.path.as_bytes().strip_suffix(b"/") == Some(path)
    }
}

/// What is no number means the default; a number that is no status is a mistake.
fn status(rest: &str) -> Result<u16, InvalidUpstream> {
    let text = rest.split('/').next().unwrap_or("");
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(DEFAULT_STATUS);
    }
    text.parse().ok().filter(|status| (200..=999).contains(status)).ok_or(InvalidUpstream::Status)
}

/// The `url` crate would mend white space and control characters; a mistake is better told.
fn path_of(entry: &str) -> Result<String, InvalidUpstream> {
    if entry.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(InvalidUpstream::Url);
    }
    let url = Url::parse(entry).map_err(|_| InvalidUpstream::Url)?;
    let path = percent_decode(url.path()).ok_or(InvalidUpstream::Url)?;
    String::from_utf8(path.into_owned()).map_err(|_| InvalidUpstream::Url)
}

/// All upstreams of a site, the longest path first.
#[derive(Clone, Debug, Default)]
pub struct Upstreams(Vec<Upstream>);

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To this.
    To(Target),
    /// Nowhere: its path, decoded, is not clean; this is the clean one.
    Unclean(LocalUri),
    /// Nowhere: it lacks the slash at the end of an upstream's path.
    NoSlash(LocalUri),
    /// Nowhere: no upstream answers for its path.
    Nothing,
}

/// A path whose escapes cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the path holds a % without two hexadecimal digits")]
pub struct BadEscape;

impl Upstreams {
    /// Puts them in order. Two of them may not stand for one path.
    pub fn new(mut list: Vec<Upstream>) -> Result<Self, InvalidUpstream> {
        list.sort_by(|a, b| b.path.len().cmp(&a.path.len()).then_with(|| a.path.cmp(&b.path)));
        match list.windows(2).find(|pair| pair[0].path == pair[1].path) {
            Some(pair) => Err(InvalidUpstream::Twice(pair[0].path.clone())),
            None => Ok(Self(list)),
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Upstream> {
        self.0.iter()
    }

    /// Whether a request is handed on to a server, with headers about its session.
    pub fn hands_on(&self) -> bool {
        self.0.iter().any(|upstream| match upstream.target {
            Target::Http | Target::Unix => true,
            Target::Static(_) | Target::File => false,
        })
    }

    /// Where a request of this path goes. The path is as on the wire and clean; it is compared
    /// decoded, as oauth2-proxy does.
    pub fn route(&self, path: &str, query: Option<&str>) -> Result<Route, BadEscape> {
        let decoded = percent_decode(path).ok_or(BadEscape)?;
        if let Some(clean) = LocalUri::cleaned_decoded(&decoded, query) {
            return Ok(Route::Unclean(clean));
        }
        if let Some(upstream) = self.0.iter().find(|upstream| upstream.answers(&decoded)) {
            return Ok(Route::To(upstream.target));
        }
        if self.0.iter().any(|upstream| upstream.lacks_slash(&decoded)) {
            return Ok(Route::NoSlash(LocalUri::with_slash(path, query)));
        }
        Ok(Route::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstreams(entries: &[&str]) -> Upstreams {
        let list = entries.iter().map(|entry| Upstream::parse(entry).expect("readable")).collect();
        Upstreams::new(list).expect("one for each path")
    }

    fn route(entries: &[&str], path: &str) -> Route {
        upstreams(entries).route(path, None).expect("sound escapes")
    }

    #[test]
    fn schemes_and_paths() {
        let parsed = |entry| Upstream::parse(entry).map(|upstream| (upstream.path, upstream.target));
        let root = |target| Ok(("/".to_owned(), target));
        assert_eq!(parsed("static://202"), root(Target::Static(202)));
        assert_eq!(parsed("static://204/x"), root(Target::Static(204)));
        assert_eq!(parsed("static://abc"), root(Target::Static(200)));
        assert_eq!(parsed("unix:///run/app.sock"), root(Target::Unix));
        assert_eq!(parsed("HTTPS://a.test"), root(Target::Http));
        assert_eq!(parsed("http://a.test/x%20y/"), Ok(("/x y/".to_owned(), Target::Http)));
        assert_eq!(parsed("file:///dev/null"), Ok((DEV_NULL.to_owned(), Target::File)));
        assert_eq!(parsed("file:///srv/#/a/"), Ok(("/a/".to_owned(), Target::File)));
        for (entry, why) in [
            ("ftp://h.test/", InvalidUpstream::Scheme),
            ("h.test:8080", InvalidUpstream::Scheme),
            ("//h.test/", InvalidUpstream::NoScheme),
            ("http://[::1/", InvalidUpstream::Url),
            ("http://h.test/%zz", InvalidUpstream::Url),
            ("static://100", InvalidUpstream::Status),
            ("static://99999", InvalidUpstream::Status),
        ] {
            assert_eq!(parsed(entry), Err(why), "{entry}");
        }
        assert!(Upstream::parse("file:///dev/null").is_ok_and(|upstream| upstream.is_nothing()));
        assert!(Upstream::parse("file:///dev/#/dev/").is_ok_and(|upstream| !upstream.is_nothing()));
    }

    #[test]
    fn one_path_has_one_upstream() {
        let list = ["static://200", "http://a.test/"].map(|entry| Upstream::parse(entry).unwrap());
        assert_eq!(Upstreams::new(list.to_vec()).err(), Some(InvalidUpstream::Twice("/".to_owned())));
    }

    #[test]
    fn the_longest_path_answers() {
        let entries = ["static://202", "http://h.test/a/", "file:///srv/#/a/b/", "unix:///s", "http://h.test/exact"];
        let entries = [entries[0], entries[1], entries[2], entries[4]];
        assert_eq!(route(&entries, "/a/b/c"), Route::To(Target::File));
        assert_eq!(route(&entries, "/a/x"), Route::To(Target::Http));
        assert_eq!(route(&entries, "/%61/x"), Route::To(Target::Http));
        assert_eq!(route(&entries, "/exact"), Route::To(Target::Http));
        assert_eq!(route(&entries, "/exact/x"), Route::To(Target::Static(202)));
        // The root answers before a slash would be put on.
        assert_eq!(route(&entries, "/a"), Route::To(Target::Static(202)));
    }

    #[test]
    fn what_no_upstream_answers_for() {
        let only = ["http://h.test/only/"];
        assert_eq!(route(&only, "/x"), Route::Nothing);
        assert_eq!(route(&[], "/"), Route::Nothing);
        assert_eq!(route(&only, "/onlyx"), Route::Nothing);
        assert_eq!(route(&only, "/only"), Route::NoSlash(LocalUri::with_slash("/only", None)));
        assert!(matches!(route(&only, "/%2f%2fonly/"), Route::Unclean(uri) if uri.as_str() == "/only/"));
        assert_eq!(upstreams(&only).route("/%", None), Err(BadEscape));
    }
}
