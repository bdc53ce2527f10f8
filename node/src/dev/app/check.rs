//! Asking a replica whether a request may pass, with the headers that ingress-nginx sends.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use reqwest::Response;
use tokio::time::Instant;

use super::Demo;

/// Who a replica says is logged in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) user: String,
    pub(super) email: String,
    pub(super) preferred_username: String,
    pub(super) groups: Vec<String>,
}

impl Person {
    /// The best name there is.
    pub(super) fn name(&self) -> &str {
        [&self.preferred_username, &self.user, &self.email].into_iter().find(|name| !name.is_empty()).map_or("?", |n| n)
    }
}

/// What a replica answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// 202.
    Passed(Person),
    /// 401.
    SignIn,
    /// 403.
    Forbidden,
    /// 503: it cannot know.
    CannotKnow,
    /// Something that a check never answers.
    Odd(u16),
    /// Nothing.
    Silent,
}

/// One answer.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    /// Counted from 0.
    pub(super) replica: usize,
    pub(super) verdict: Verdict,
    pub(super) took: Duration,
    /// To be handed on to the browser.
    pub(super) set_cookie: Vec<String>,
}

/// All cookies of the browser, as one header value.
pub(super) fn cookies(http: &HttpRequest) -> String {
    let values: Vec<&str> = http.headers().get_all(header::COOKIE).filter_map(|value| value.to_str().ok()).collect();
    values.join("; ")
}

/// Asks the running replicas in turn until one knows; the last answer counts, none if none runs.
/// A replica that is silent or cannot know is passed over, as a Service passes over unready ones.
pub(super) async fn in_turn(demo: &Demo, cookies: &str, uri: &str) -> Option<Checked> {
    let mut last = None;
    for replica in demo.in_turn() {
        let checked = ask(demo, replica, cookies, uri).await;
        let settled = !matches!(checked.verdict, Verdict::Silent | Verdict::CannotKnow);
        last = Some(checked);
        if settled {
            break;
        }
    }
    last
}

/// Asks one replica.
pub(super) async fn ask(demo: &Demo, replica: usize, cookies: &str, uri: &str) -> Checked {
    let url = format!("http://127.0.0.1:{}/oauth2/auth", demo.ports.replicas[replica].auth);
    let mut question = demo
        .client
        .get(url)
        .header("x-original-url", format!("{}{uri}", demo.own_origin()))
        .header("x-original-method", "GET")
        .header("x-real-ip", "127.0.0.1")
        .header("x-forwarded-for", "127.0.0.1");
    if !cookies.is_empty() {
        question = question.header("cookie", cookies);
    }
    let since = Instant::now();
    let (verdict, set_cookie) = match question.send().await {
        Ok(answer) => (verdict(&answer), set_cookies(&answer)),
        Err(_) => (Verdict::Silent, Vec::new()),
    };
    Checked { replica, verdict, took: since.elapsed(), set_cookie }
}

fn verdict(answer: &Response) -> Verdict {
    match answer.status().as_u16() {
        200 | 202 => Verdict::Passed(person(answer)),
        401 => Verdict::SignIn,
        403 => Verdict::Forbidden,
        503 => Verdict::CannotKnow,
        other => Verdict::Odd(other),
    }
}

fn person(answer: &Response) -> Person {
    let header = |name| {
        let value = answer.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        value.unwrap_or_default()
    };
    let groups = header("x-auth-request-groups");
    Person {
        user: header("x-auth-request-user"),
        email: header("x-auth-request-email"),
        preferred_username: header("x-auth-request-preferred-username"),
        groups: groups.split(',').filter(|group| !group.is_empty()).map(str::to_owned).collect(),
    }
}

fn set_cookies(answer: &Response) -> Vec<String> {
    let values = answer.headers().get_all("set-cookie").iter();
    values.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
}
