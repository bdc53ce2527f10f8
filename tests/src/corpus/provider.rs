//! The corpus's OpenID provider as a child process, and a robot that fills its forms.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::normal::attribute;
use super::wire::{Jar, Response, send};
use crate::timing;

/// Longest wait for a port to open.
const START: Duration = Duration::from_secs(15);

/// Most pages between the start of a login and the way back.
const MOST_PAGES: usize = 20;

/// A running provider; ends with its value.
#[derive(Debug)]
pub struct Provider {
    child: Child,
    /// `host:port`.
    pub addr: String,
}

impl Provider {
    /// Starts the provider of `folder` (its packages installed) for the program at `rp`.
    pub fn start(folder: &Path, port: u16, rp: &str) -> Self {
        let mut uris = vec![format!("http://{rp}/oauth2/callback"), format!("http://{rp}/prefix/callback")];
        for scheme in ["http", "https"] {
            for host in ["auth.example.test", "app.example.test", "other.test", rp] {
                for path in ["/oauth2/callback", "/prefix/callback", "/custom/cb"] {
                    uris.push(format!("{scheme}://{host}{path}"));
                }
            }
        }
        uris.dedup();
        let addr = format!("127.0.0.1:{port}");
        let child = Command::new("node")
            .arg("op.mjs")
            .current_dir(folder)
            .env("PORT", port.to_string())
            .env("ISSUER", format!("http://{addr}"))
            .env("REDIRECT_URIS", uris.join(","))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let provider = Self { child, addr };
        assert!(wait_port(&provider.addr, START, None), "the corpus's provider does not answer");
        provider
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something listens; gives up early when the child has ended.
pub fn wait_port(addr: &str, limit: Duration, mut child: Option<&mut Child>) -> bool {
    let mut listens = false;
    timing::holds_within(limit, || {
        let ended = child.as_deref_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))));
        listens = !ended && std::net::TcpStream::connect(addr).is_ok();
        ended || listens
    });
    listens
}

/// Follows the provider's forms as `user` until it sends the browser away: the URL it is sent to.
pub fn through_provider(provider: &str, start: &Response, jar: &mut Jar, user: &str) -> Result<String, String> {
    let mut url = start.get("location").unwrap_or_default().to_owned();
    let (mut method, mut body): (&str, Option<String>) = ("GET", None);
    for _ in 0..MOST_PAGES {
        let Some(path) = url.strip_prefix(&format!("http://{provider}")) else { return Ok(url) };
        let mut headers = vec![("Accept".into(), "text/html".into()), ("User-Agent".into(), "Mozilla/5.0".into())];
        headers.extend(jar.header().map(|cookies| ("Cookie".to_owned(), cookies)));
        if body.is_some() {
            headers.push(("Content-Type".into(), "application/x-www-form-urlencoded".into()));
        }
        let response = send(provider, method, path, &headers, body.as_deref()).map_err(|error| error.to_string())?;
        jar.take(&response);
        (method, body) = ("GET", None);
        if matches!(response.status, 301 | 302 | 303 | 307) {
            url = join(&url, response.get("location").unwrap_or_default());
            continue;
        }
        let page = response.text();
        let Some(action) = page.split("<form").nth(1).and_then(|form| attribute(form, "action")) else {
            return Err(format!(
                "the provider stopped: {} {}",
                response.status,
                page.chars().take(300).collect::<String>()
            ));
        };
        url = join(&url, &action.replace("&amp;", "&"));
        (method, body) = ("POST", Some(fill(&page, user)));
    }
    Err("the provider went round in a circle".to_owned())
}

fn fill(page: &str, user: &str) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for tag in page.split("<input").skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let (Some(name), value) = (attribute(tag, "name"), attribute(tag, "value")) else { continue };
        match (name, value) {
            ("login", _) => form.append_pair("login", user),
            ("password", _) => form.append_pair("password", "x"),
            (name, Some(value)) => form.append_pair(name, value),
            (_, None) => continue,
        };
    }
    form.finish()
}

fn join(base: &str, target: &str) -> String {
    let joined = url::Url::parse(base).and_then(|base| base.join(target));
    joined.map_or_else(|_| target.to_owned(), |url| url.to_string())
}
