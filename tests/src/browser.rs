//! A robot that behaves as a browser does: cookies, redirects, the provider's login form.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, COOKIE, HOST, ORIGIN, USER_AGENT};
use url::Url;

use crate::Failure;
use crate::corpus::normal::attribute;
use crate::http::{self, Answer};
use crate::jar::Jar;

/// More hops than any login takes.
const MOST_HOPS: usize = 15;

/// One browser of one person.
#[derive(Clone, Debug)]
pub struct Robot {
    client: reqwest::Client,
    routes: BTreeMap<String, SocketAddr>,
    /// Its cookies.
    pub jar: Jar,
    /// The person: name and password at the provider.
    pub user: String,
    /// Every URL it was sent to, in order: where codes and states were seen.
    pub visited: Vec<Url>,
}

impl Robot {
    /// A fresh browser.
    pub fn new(user: &str) -> Self {
        Self::with_client(user, http::client())
    }

    /// A fresh browser over a shared connection pool.
    pub fn with_client(user: &str, client: reqwest::Client) -> Self {
        Self { client, routes: BTreeMap::new(), jar: Jar::default(), user: user.to_owned(), visited: Vec::new() }
    }

    /// Sends what is meant for `authority` (host:port of the URL) to `address`, as a load balancer would.
    #[must_use]
    pub fn via(mut self, authority: &str, address: SocketAddr) -> Self {
        self.route(authority, address);
        self
    }

    /// As [`Robot::via`], on one that exists.
    pub fn route(&mut self, authority: &str, address: SocketAddr) {
        self.routes.insert(authority.to_owned(), address);
    }

    /// GET without following redirects.
    pub async fn get(&mut self, url: &Url) -> Result<Answer, Failure> {
        self.send(Method::GET, url, None, &[]).await
    }

    /// GET with further headers, without following redirects.
    pub async fn get_with(&mut self, url: &Url, headers: &[(&str, &str)]) -> Result<Answer, Failure> {
        self.send(Method::GET, url, None, headers).await
    }

    /// Sends a form without following redirects.
    pub async fn post(&mut self, url: &Url, form: &[(String, String)]) -> Result<Answer, Failure> {
        self.send(Method::POST, url, Some(form), &[]).await
    }

    async fn send(
        &mut self,
        method: Method,
        url: &Url,
        form: Option<&[(String, String)]>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        let authority = authority_of(url);
        let mut target = url.clone();
        if let Some(address) = self.routes.get(&authority) {
            // The load balancer ends TLS.
            target.set_scheme("http").map_err(|()| "the URL has no scheme")?;
            target.set_ip_host(address.ip()).map_err(|()| "the URL has no host")?;
            target.set_port(Some(address.port())).map_err(|()| "the URL has no port")?;
        }
        let mut request = self.client.request(method, target).header(HOST, &authority).header(USER_AGENT, "robot/1");
        if let Some(cookies) = self.jar.header(url) {
            request = request.header(COOKIE, cookies);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(form) = form {
            let mut body = url::form_urlencoded::Serializer::new(String::new());
            body.extend_pairs(form);
            // Every form here goes to the origin of its own page.
            request = request.header(ORIGIN, url.origin().ascii_serialization());
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body.finish());
        }
        self.visited.push(url.clone());
        let answer = Answer::read(url.clone(), request.send().await?).await?;
        self.jar.take(url, &answer.headers);
        Ok(answer)
    }

    /// Opens `url`, follows redirects and fills the provider's form, until an answer is neither.
    pub async fn open(&mut self, url: &Url) -> Result<Answer, Failure> {
        let mut answer = self.get(url).await?;
        for _ in 0..MOST_HOPS {
            answer = match self.step(&answer).await? {
                Some(next) => next,
                None => return Ok(answer),
            };
        }
        Err(format!("over {MOST_HOPS} hops, the last to {}", answer.url.path()).into())
    }

    /// As [`Robot::open`], but stops before it requests a URL with that path, and returns the URL.
    pub async fn open_until(&mut self, url: &Url, path: &str) -> Result<Url, Failure> {
        let mut answer = self.get(url).await?;
        for _ in 0..MOST_HOPS {
            if let Some(next) = answer.location()
                && next.path() == path
            {
                return Ok(next);
            }
            let status = answer.status;
            answer = self.step(&answer).await?.ok_or_else(|| format!("ended with {status} before {path}"))?;
        }
        Err(format!("over {MOST_HOPS} hops without {path}").into())
    }

    /// One step of a journey: a redirect, or the form of a login page.
    async fn step(&mut self, answer: &Answer) -> Result<Option<Answer>, Failure> {
        if matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            let Some(next) = answer.location() else { return Err("a redirect without a Location".into()) };
            return Ok(Some(self.get(&next).await?));
        }
        let Some((action, hidden)) = login_form(answer) else { return Ok(None) };
        let mut form = vec![("username".to_owned(), self.user.clone()), ("password".to_owned(), self.user.clone())];
        form.extend(hidden);
        Ok(Some(self.send(Method::POST, &action, Some(&form), &[]).await?))
    }
}

/// `host:port`, or `host` for the default port.
pub fn authority_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Where the page's login form goes, if it has one, and its hidden fields.
fn login_form(answer: &Answer) -> Option<(Url, Vec<(String, String)>)> {
    let page = &answer.body;
    if answer.status != 200 || !page.contains("name=\"password\"") && !page.contains("name='password'") {
        return None;
    }
    let form = page[page.find("<form")?..].split("</form>").next()?;
    let head = &form[..form.find('>')?];
    let hidden = form.split("<input").skip(1).filter(|tag| attribute(tag, "type") == Some("hidden"));
    let fields =
        hidden.filter_map(|tag| Some((attribute(tag, "name")?.to_owned(), attribute(tag, "value")?.to_owned())));
    let action = attribute(head, "action")?.replace("&amp;", "&");
    Some((answer.url.join(&action).ok()?, fields.collect()))
}
