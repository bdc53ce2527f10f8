//! What browsers send, and what each may change.

use super::*;

struct Sent<'t>(&'t [(&'t str, &'t str)]);

impl HeaderView for Sent<'_> {
    fn each<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        for (_, value) in self.0.iter().filter(|(sent, _)| *sent == name) {
            visit(value.as_bytes());
        }
    }
}

fn cause(method: &str, sent: &[(&str, &str)]) -> Cause {
    Cause::of(method, &Sent(sent), &["app.test:8443", "login.test"])
}

fn fetched<'t>(site: &'t str, mode: &'t str, dest: &'t str) -> [(&'t str, &'t str); 3] {
    [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)]
}

#[test]
fn a_login_begins_only_for_what_can_show_a_page() {
    for dest in ["document", "iframe", "frame", "embed", "object"] {
        for site in ["none", "same-origin", "same-site", "cross-site"] {
            assert!(cause("GET", &fetched(site, "navigate", dest)).shows_page(), "{site} {dest}");
        }
    }
    for dest in ["image", "script", "style", "font", "manifest", "worker", "serviceworker", "audio", "report", "new"] {
        assert_eq!(cause("GET", &fetched("same-origin", "no-cors", dest)), Cause::Background, "{dest}");
    }
    assert!(!cause("GET", &fetched("same-origin", "cors", "empty")).shows_page());
    assert!(!cause("POST", &fetched("same-origin", "cors", "empty")).shows_page());
    assert!(!cause("GET", &[("sec-fetch-mode", "cors")]).shows_page());
    assert!(cause("GET", &[]).shows_page(), "old browsers and command lines do not say");
}

#[test]
fn a_service_workers_navigation_is_a_navigation() {
    assert!(cause("GET", &fetched("same-origin", "navigate", "empty")).shows_page());
    assert!(cause("GET", &[("sec-fetch-dest", "empty"), ("upgrade-insecure-requests", "1")]).shows_page());
    let picture = [("sec-fetch-dest", "image"), ("upgrade-insecure-requests", "1")];
    assert!(!cause("GET", &picture).shows_page(), "and a picture is none");
}

#[test]
fn fetching_ahead_changes_nothing() {
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
        ("x-purpose", "Preview"),
    ] {
        for method in ["GET", "POST"] {
            let mut sent = fetched("same-origin", "navigate", "document").to_vec();
            sent.push((name, value));
            assert_eq!(cause(method, &sent), Cause::Background, "{name}: {value}");
        }
    }
    assert_eq!(cause("GET", &[("purpose", "reading")]), Cause::Own);
}

#[test]
fn what_changes_state_comes_from_here() {
    let may = |cause: Cause| (cause.may_end_session(), cause.may_bring_password());
    let rows = [
        ("none", "navigate", "document", (true, true)),
        ("same-origin", "navigate", "document", (true, true)),
        ("same-site", "navigate", "document", (true, false)),
        ("cross-site", "navigate", "document", (false, false)),
        ("cross-site", "navigate", "iframe", (false, false)),
        ("cross-site", "no-cors", "image", (false, false)),
        ("same-origin", "no-cors", "image", (false, false)),
        ("something-new", "navigate", "document", (false, false)),
    ];
    for (site, mode, dest, wanted) in rows {
        for method in ["GET", "POST"] {
            if method == "POST" && dest == "image" {
                continue;
            }
            let found = cause(method, &fetched(site, mode, dest));
            assert_eq!(may(found), wanted, "{method} {site} {mode} {dest}: {found:?}");
        }
    }
    let script = |method, site| may(cause(method, &fetched(site, "cors", "empty")));
    assert_eq!(script("POST", "same-origin"), (true, true), "an application's own script may sign out by POST");
    assert_eq!(script("GET", "same-origin"), (false, false));
    assert_eq!(script("POST", "same-site"), (false, false));
    assert_eq!(script("POST", "cross-site"), (false, false));
}

#[test]
fn without_fetch_metadata_the_origin_decides() {
    let by = |origin| cause("POST", &[("origin", origin)]);
    for own in ["https://app.test:8443", "http://APP.test:8443", "https://login.test", "https://login.test:444"] {
        assert_eq!(by(own), Cause::Own, "{own}");
    }
    for foreign in
        ["null", "", "https://app.test", "https://evil.test", "https://login.test.evil.test", "x", "https://a b"]
    {
        assert_eq!(by(foreign), Cause::Elsewhere, "{foreign:?}");
    }
    let both = [("sec-fetch-site", "cross-site"), ("origin", "https://app.test:8443")];
    assert_eq!(cause("POST", &both), Cause::Elsewhere, "Fetch Metadata is the stronger word");
    assert_eq!(Cause::of("POST", &Sent(&[("origin", "https://x.test")]), &["x.test/y", ""]), Cause::Elsewhere);
}
