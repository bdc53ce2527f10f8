//! Who caused a request: the person, a page of ours, another site, or something that shows no page. Whatever changes
//! state asks here. `Sec-Fetch-*` decides where it stands, else `Origin`; clients that send neither pass.

use url::Url;

use crate::forwarded::HeaderView;
use crate::redirect::names_host;

/// What a browser says of the cause of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A navigation that a page of this origin or the person caused, or a client that does not say.
    Own,
    /// A script of this origin that sends a form, or anything else that is no GET.
    OwnScript,
    /// A navigation that a page of another host of this site caused.
    SameSite,
    /// A navigation that another site caused.
    Elsewhere,
    /// A script's read, a picture, a style, a prefetch: the answer is not shown as a page.
    Background,
}

/// The headers in which browsers say that they only fetch ahead.
const AHEAD: [&str; 4] = ["sec-purpose", "purpose", "x-purpose", "x-moz"];

impl Cause {
    /// Reads the request's own headers. `own_hosts` are `host[:port]` as the browser knows them.
    pub fn of(method: &str, headers: &dyn HeaderView, own_hosts: &[&str]) -> Self {
        let page = shows_page(headers);
        match (page, site(headers, own_hosts)) {
            (true, Site::Origin) => Self::Own,
            (true, Site::Same) => Self::SameSite,
            (true, Site::Other) => Self::Elsewhere,
            (false, Site::Origin) if !matches!(method, "GET" | "HEAD") && !is_ahead(headers) => Self::OwnScript,
            (false, Site::Origin | Site::Same | Site::Other) => Self::Background,
        }
    }

    /// Whether the answer is shown as a page: only then a login may begin.
    pub fn shows_page(self) -> bool {
        match self {
            Self::Own | Self::SameSite | Self::Elsewhere => true,
            Self::OwnScript | Self::Background => false,
        }
    }

    /// Whether it may end the session whose cookie it brings.
    pub fn may_end_session(self) -> bool {
        match self {
            Self::Own | Self::OwnScript | Self::SameSite => true,
            Self::Elsewhere | Self::Background => false,
        }
    }

    /// Whether it may bring a name and a password: a foreign form would sign its victim in as somebody else.
    pub fn may_bring_password(self) -> bool {
        match self {
            Self::Own | Self::OwnScript => true,
            Self::SameSite | Self::Elsewhere | Self::Background => false,
        }
    }
}

#[derive(Clone, Copy)]
enum Site {
    Origin,
    Same,
    Other,
}

/// Fetch Metadata's word, which no page can forge; without it that of `Origin`.
fn site(headers: &dyn HeaderView, own_hosts: &[&str]) -> Site {
    match first(headers, "sec-fetch-site") {
        Some("same-origin" | "none") => return Site::Origin,
        Some("same-site") => return Site::Same,
        Some(_) => return Site::Other,
        None => {}
    }
    let Some(origin) = first(headers, "origin") else { return Site::Origin };
    let own = Url::parse(origin).is_ok_and(|url| own_hosts.iter().any(|host| names_host(&url, host)));
    if own { Site::Origin } else { Site::Other }
}

/// Whether a window or a frame shows the answer. A service worker that hands a navigation on sends the destination
/// `empty`, but the mode `navigate` or `Upgrade-Insecure-Requests`, which stand on navigations alone.
fn shows_page(headers: &dyn HeaderView) -> bool {
    let navigates = || {
        let mode = first(headers, "sec-fetch-mode");
        mode == Some("navigate") || first(headers, "upgrade-insecure-requests") == Some("1")
    };
    let page = match first(headers, "sec-fetch-dest") {
        Some("document" | "iframe" | "frame" | "fencedframe" | "embed" | "object") => true,
        Some("empty") => navigates(),
        Some(_) => false,
        None => first(headers, "sec-fetch-mode").is_none() || navigates(),
    };
    page && !is_ahead(headers)
}

fn is_ahead(headers: &dyn HeaderView) -> bool {
    AHEAD.iter().filter_map(|name| first(headers, name)).any(|purpose| {
        let mut words = purpose.split([';', ',', ' ']);
        words.any(|word| ["prefetch", "prerender", "preview"].iter().any(|ahead| word.eq_ignore_ascii_case(ahead)))
    })
}

fn first<'h>(headers: &'h dyn HeaderView, name: &str) -> Option<&'h str> {
    let mut found = None;
    headers.each(name, &mut |value| {
        found = found.or(Some(std::str::from_utf8(value.trim_ascii()).unwrap_or("?")));
    });
    found
}

#[cfg(test)]
mod tests;
