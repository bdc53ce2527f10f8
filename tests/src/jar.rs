//! A browser's cookies, as far as the scenarios need them: domain, path, deletion.

use reqwest::header::{HeaderMap, SET_COOKIE};
use url::Url;

/// One cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Host it came from, or the `Domain` attribute.
    pub domain: String,
    /// Sent to that host only.
    pub host_only: bool,
    /// Path prefix.
    pub path: String,
}

/// All cookies of one browser. `Secure` is not looked at: the scenarios speak plain HTTP.
#[derive(Clone, Debug, Default)]
pub struct Jar(Vec<Cookie>);

impl Jar {
    /// Takes over every `Set-Cookie` of an answer from `url`.
    pub fn take(&mut self, url: &Url, headers: &HeaderMap) {
        for value in headers.get_all(SET_COOKIE) {
            self.set(url, &String::from_utf8_lossy(value.as_bytes()));
        }
    }

    /// Takes over one `Set-Cookie` line, as if an answer from `url` had brought it.
    pub fn set(&mut self, url: &Url, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let mut cookie = Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: url.host_str().unwrap_or_default().to_owned(),
            host_only: true,
            path: default_path(url.path()),
        };
        let mut gone = false;
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match key.to_ascii_lowercase().as_str() {
                "domain" if !value.is_empty() => {
                    cookie.domain = value.trim_start_matches('.').to_owned();
                    cookie.host_only = false;
                }
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "max-age" => gone = value.parse::<i64>().is_ok_and(|age| age <= 0),
                "expires" => gone |= value.contains(" 1970 ") || value.contains("-1970 "),
                _ => {}
            }
        }
        let same = |old: &Cookie| (&old.name, &old.domain, &old.path) == (&cookie.name, &cookie.domain, &cookie.path);
        match (self.0.iter().position(same), gone) {
            (Some(place), true) => drop(self.0.remove(place)),
            // It keeps its place: browsers send the one that was there first first, whatever it holds now.
            (Some(place), false) => self.0[place] = cookie,
            (None, true) => {}
            (None, false) => self.0.push(cookie),
        }
    }

    /// The `Cookie` header for `url`; `None` when nothing fits.
    pub fn header(&self, url: &Url) -> Option<String> {
        let host = url.host_str().unwrap_or_default();
        let mut fitting: Vec<&Cookie> = self.0.iter().filter(|cookie| fits(cookie, host, url.path())).collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// The value of the first cookie of that name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|cookie| cookie.name == name).map(|cookie| cookie.value.as_str())
    }

    /// Everything in it.
    pub fn all(&self) -> &[Cookie] {
        &self.0
    }

    /// Forgets the cookies of a host.
    pub fn forget(&mut self, host: &str) {
        self.0.retain(|cookie| cookie.domain != host);
    }
}

fn default_path(path: &str) -> String {
    match path.rfind('/') {
        Some(0) | None => "/".to_owned(),
        Some(at) => path[..at].to_owned(),
    }
}

fn fits(cookie: &Cookie, host: &str, path: &str) -> bool {
    let under = host.strip_suffix(cookie.domain.as_str()).is_some_and(|rest| rest.ends_with('.'));
    let host_fits = host == cookie.domain || (!cookie.host_only && under);
    let path_fits = path
        .strip_prefix(cookie.path.as_str())
        .is_some_and(|rest| rest.is_empty() || cookie.path.ends_with('/') || rest.starts_with('/'));
    host_fits && path_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(lines: &[&str]) -> Jar {
        let url = Url::parse("http://app.example.test:81/oauth2/callback").expect("valid");
        let mut jar = Jar::default();
        lines.iter().for_each(|line| jar.set(&url, line));
        jar
    }

    #[test]
    fn domain_and_path_decide() {
        let jar = jar(&["a=1; Path=/", "b=2", "c=3; Domain=example.test; Path=/"]);
        let header = |url: &str| jar.header(&Url::parse(url).expect("valid"));
        assert_eq!(header("http://app.example.test/"), Some("a=1; c=3".to_owned()));
        assert_eq!(header("http://app.example.test/oauth2/x"), Some("b=2; a=1; c=3".to_owned()));
        assert_eq!(header("http://other.example.test/"), Some("c=3".to_owned()));
        assert_eq!(header("http://badexample.test/"), None);
    }

    #[test]
    fn what_was_there_first_is_sent_first() {
        let jar = jar(&["a=1; Path=/", "a=2; Domain=example.test; Path=/", "a=3; Path=/"]);
        assert_eq!(jar.header(&Url::parse("http://app.example.test/").expect("valid")), Some("a=3; a=2".to_owned()));
    }

    #[test]
    fn deletion_and_replacement() {
        let jar = jar(&["a=1; Path=/", "a=2; Path=/", "b=1; Path=/", "b=; Path=/; Max-Age=0"]);
        assert_eq!((jar.value("a"), jar.value("b"), jar.all().len()), (Some("2"), None, 1));
    }
}
