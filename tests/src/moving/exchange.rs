//! The exchange: the same host, the same cookie name, the same client, another service.

use std::time::Duration;

use url::Url;

use super::{EXCHANGE, Journey, NEW_TICKET, value};
use crate::Failure;
use crate::browser::Robot;
use crate::check::SESSION_COOKIE;
use crate::corpus::normal::attribute;
use crate::http::Answer;
use crate::login::CALLBACK;
use crate::old_proxy::{Common, Leftovers, OldProxy, beginning_with};
use crate::timing;

/// The metric's name for a check that brings a cookie of oauth2-proxy's.
const REASON: &str = "reason=\"oauth2_proxy\"";

/// What the log says of it.
const COOKIE_WORDS: &str = "cookie of oauth2-proxy";

/// What the log says of a callback whose login began there.
const STATE_WORDS: &str = "did the login begin at an oauth2-proxy?";

/// Longest wait for a line of the log.
const LOGGED_WITHIN: Duration = Duration::from_secs(5);

/// Logins begun and left: more than a browser may carry cookies of.
const BEGUN_AND_LEFT: usize = 6;

/// Login cookies that a browser carries at the most.
const MOST_PENDING: usize = 5;

/// Somebody whose login began on one side and comes back on the other.
#[derive(Debug)]
pub struct Halfway {
    robot: Robot,
    callback: Url,
}

impl Journey {
    /// Somebody whose browser holds what the kinds of store before Redis leave: a session in pieces, and the cookies
    /// of logins that were never finished.
    pub async fn leave_more_behind(&mut self) -> Result<Robot, Failure> {
        let mut robot = self.browser("crowd");
        let Some(old) = &self.old else {
            for (index, piece) in self.recorded.pieces_signed_with(&self.cluster.secret)?.iter().enumerate() {
                robot.jar.set(&self.app.url("/"), &self.planted(&format!("{SESSION_COOKIE}_{index}"), piece));
            }
            for (name, content) in &self.recorded.pending {
                robot.jar.set(&self.app.url("/"), &self.planted(name, content));
            }
            return Ok(robot);
        };
        let registration = self.provider.registration();
        let common = Common {
            place: self.app,
            provider: &registration,
            secret: &self.cluster.secret,
            domain: self.scope.of_the_old(),
        };
        let store = ["--session-store-type=cookie".to_owned(), "--cookie-csrf-per-request=true".to_owned()];
        let in_cookies = OldProxy::start("oauth2-proxy-cookies", &self.dir, &old.program, common, &store).await?;
        // Not through nginx, whose buffers would have to be made larger for so many cookies.
        robot.route(&self.app.authority(), in_cookies.http);
        let end = robot.open(&self.app.url("/oauth2/start?rd=%2Fin-pieces")).await?;
        assert_eq!((end.status, end.url.path()), (202, "/in-pieces"), "logged in: {}", end.body);
        let mut state = String::new();
        for _ in 0..2 {
            let callback = robot.open_until(&self.app.url("/oauth2/start?rd=%2Funfinished"), CALLBACK).await?;
            state = parameter(&callback, "state");
        }
        robot.route(&self.app.authority(), self.app.address());
        let (pending, pieces): (Vec<_>, Vec<_>) =
            beginning_with(&robot.jar, "_oauth2_proxy_").into_iter().partition(|(name, _)| name.ends_with("_csrf"));
        let ticket = self.somebodys_ticket().await?;
        let pieces = pieces.into_iter().map(|(_, piece)| piece).collect();
        Leftovers { ticket, pieces, pending, state }.hold_against_recorded()?;
        Ok(robot)
    }

    async fn somebodys_ticket(&mut self) -> Result<String, Failure> {
        let mut robot = self.browser("somebody");
        self.arrive(&mut robot, &self.app.url("/somebody")).await?;
        Ok(value(&robot, SESSION_COOKIE))
    }

    /// Somebody goes to the provider from the old side and is on the way back.
    pub async fn begin_at_the_old(&mut self) -> Result<Halfway, Failure> {
        let mut robot = self.browser("halfway");
        if self.old.is_some() {
            let callback = robot.open_until(&self.app.url("/oauth2/start?rd=%2Fhalfway"), CALLBACK).await?;
            return Ok(Halfway { robot, callback });
        }
        let mut callback = self.app.url(CALLBACK);
        callback.query_pairs_mut().append_pair("code", "never-redeemed").append_pair("state", &self.recorded.state);
        for (name, content) in &self.recorded.pending {
            robot.jar.set(&self.app.url("/"), &self.planted(name, content));
        }
        Ok(Halfway { robot, callback })
    }

    /// The annotations lead to Conclave. Who comes with oauth2-proxy's ticket is sent round once and is back.
    pub async fn exchange(&mut self, movers: &mut [Robot]) -> Result<(), Failure> {
        self.watch.phase(EXCHANGE);
        self.gateway.point_at(&self.cluster.addresses(), &self.app.authority()).await?;
        for robot in &mut *movers {
            let ticket = value(robot, SESSION_COOKIE);
            let page = self.app.url(&format!("/moved/{}", robot.user));
            self.arrive_quietly(robot, &page).await?;
            let held = robot.jar.all().iter().filter(|cookie| cookie.name == SESSION_COOKIE).count();
            assert!(held == 1 && value(robot, SESSION_COOKIE) != ticket, "the old cookie is replaced");
            for turn in 0..self.cluster.replicas.len() {
                self.arrive_at_once(robot, &self.app.url(&format!("/stays/{turn}"))).await?;
            }
            self.one_line_says_why(page.path(), COOKIE_WORDS).await?;
        }
        let mut counted = 0.0;
        for replica in &self.cluster.replicas {
            counted += replica.metric_with("conclave_auth_denied_total", REASON).await?;
        }
        assert!(counted >= movers.len() as f64, "the metric counts each: {counted}");
        let first = movers.first().ok_or("nobody")?;
        self.watch.add(NEW_TICKET, self.app, &first.jar.header(&self.app.url("/")).unwrap_or_default());
        Ok(())
    }

    /// Whoever wonders why somebody had to log in finds one line with the page and the cause.
    async fn one_line_says_why(&self, path: &str, words: &str) -> Result<(), Failure> {
        let what = format!("a line about {path} that says {words:?}");
        // The log is written beside the answers, not before them.
        let found = timing::until(&what, LOGGED_WITHIN, || async {
            let logs = self.cluster.replicas.iter().filter_map(|replica| std::fs::read_to_string(&replica.log).ok());
            let lines = logs.map(|log| log.lines().filter(|line| line.contains(path) && line.contains(words)).count());
            Some(lines.sum::<usize>()).filter(|found| *found > 0)
        });
        assert_eq!(found.await?, 1, "only {what}");
        Ok(())
    }

    /// A login that began at the old side comes back at Conclave: a page that says what to do, and one click does it.
    pub async fn finish_at_conclave(&mut self, halfway: &mut Halfway) -> Result<(), Failure> {
        let Halfway { robot, callback } = halfway;
        let page = robot.get(callback).await?;
        assert_eq!(page.status, 403, "not 500, and no login: {}", page.body);
        self.one_line_says_why(CALLBACK, STATE_WORDS).await?;
        let before = self.forms().await?;
        self.sign_in_by_the_button(robot, &page).await?;
        let filled = if self.old.is_some() { before } else { before + 1 };
        assert_eq!(self.forms().await?, filled, "the provider knows who was there already");
        Ok(())
    }

    /// One click on an error page's button: logged in.
    pub(super) async fn sign_in_by_the_button(&mut self, robot: &mut Robot, page: &Answer) -> Result<(), Failure> {
        let end = robot.open(&sign_in_button(page)?).await?;
        assert_eq!((end.status, end.url.path()), (200, "/"), "one click, and logged in: {}", end.body);
        self.arrive_at_once(robot, &self.app.url("/in-after-all")).await
    }

    /// What other stores left is no obstacle. The pieces go with the login; the cookies of logins under way count
    /// with Conclave's own, and go first when a browser has too many.
    pub async fn clear_up_after(&mut self, robot: &mut Robot) -> Result<(), Failure> {
        let before = beginning_with(&robot.jar, "_oauth2_proxy_");
        assert!(before.len() >= 3 && before.iter().any(|(name, _)| name == "_oauth2_proxy_1"), "leftovers: {before:?}");
        self.arrive(robot, &self.app.url("/with-leftovers")).await?;
        let pending = before.into_iter().filter(|(name, _)| name.ends_with("_csrf")).collect::<Vec<_>>();
        assert_eq!(beginning_with(&robot.jar, "_oauth2_proxy_"), pending, "the pieces are gone, and nothing else");
        for _ in 0..BEGUN_AND_LEFT {
            let start = robot.get(&self.app.url("/oauth2/start?rd=%2Fleft")).await?;
            assert_eq!(start.status, 302, "{}", start.body);
        }
        let carried = beginning_with(&robot.jar, "_oauth2_proxy_");
        let old = carried.iter().filter(|cookie| pending.contains(cookie)).count();
        assert_eq!((carried.len(), old), (MOST_PENDING, 0), "the oldest went");
        self.arrive_at_once(robot, &self.app.url("/with-leftovers")).await
    }
}

fn parameter(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Where the button "Sign in again" of an error page leads.
fn sign_in_button(page: &Answer) -> Result<Url, Failure> {
    let form = page.body.split("<form").find(|form| form.contains("/oauth2/sign_in")).ok_or("no button to sign in")?;
    let action = attribute(form, "action").ok_or("a form without an action")?;
    let mut target = page.url.join(action)?;
    let field = form.split("<input").find(|tag| attribute(tag, "name") == Some("rd"));
    let rd = field.and_then(|tag| attribute(tag, "value")).unwrap_or("/").to_owned();
    target.query_pairs_mut().clear().append_pair("rd", &rd);
    Ok(target)
}
