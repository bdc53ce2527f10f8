//! Moving from oauth2-proxy to Conclave and back, step by step: who is let in where, what becomes of each cookie, and
//! what people meet on the way.

mod another_domain;
mod canary;
mod exchange;
mod parts;
mod way_back;

use std::net::SocketAddr;

use parts::OldSide;
use reqwest::header::{COOKIE, HOST};
use url::Url;

use crate::Failure;
use crate::browser::Robot;
use crate::check::SESSION_COOKIE;
use crate::cluster::Cluster;
use crate::gateway::{Gateway, Place, Seen};
use crate::http::{self, Answer};
use crate::lone::Lone;
use crate::old_proxy::Leftovers;
use crate::provider::Provider;
use crate::watch::{self, Watch};
use crate::workdir::WorkDir;

/// The canary's own host.
const CANARY_HOST: &str = "canary.example.test";

/// The domain that both hosts are in.
const DOMAIN: &str = ".example.test";

/// The canary's cookie.
const CANARY_COOKIE: &str = "_conclave";

/// Who watches: nobody in particular.
const STRANGER: &str = "a stranger";

/// Who watches: somebody with a ticket of oauth2-proxy's, who never comes to Conclave.
pub const OLD_TICKET: &str = "an old ticket";

/// Who watches: somebody with a ticket of Conclave's, from the exchange on.
pub const NEW_TICKET: &str = "a new ticket";

/// The phase in which the canary is tried.
pub const CANARY: &str = "canary";

/// The phase in which Conclave serves under the old name.
pub const EXCHANGE: &str = "exchange";

/// Where logins begin.
const START: &str = "/oauth2/start";

/// Requests of one way back in: the page, the start, the provider, the callback, the page again.
const MOST_REQUESTS: usize = 5;

/// Which hosts the cookies go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The one that set them.
    OwnHost,
    /// All of the domain, so that one sign-in serves several apps.
    Domain,
    /// The old side's to all of the domain, Conclave's to the one that set them.
    Narrowed,
}

impl Scope {
    fn of_the_old(self) -> Option<&'static str> {
        match self {
            Self::OwnHost => None,
            Self::Domain | Self::Narrowed => Some(DOMAIN),
        }
    }

    fn of_conclave(self) -> Option<&'static str> {
        match self {
            Self::OwnHost | Self::Narrowed => None,
            Self::Domain => Some(DOMAIN),
        }
    }
}

/// What came of it all.
#[derive(Debug, Default)]
pub struct Tally {
    /// Forms filled at the provider.
    pub forms: u64,
    /// Logins for which none had to be filled.
    pub quiet: u64,
    /// Most requests from a page that asked for a login back to it.
    pub longest: usize,
    /// Error pages of oauth2-proxy's own on the way back, each with a button that leads in.
    pub pages_of_oauth2_proxy: usize,
    /// What the watch was answered.
    pub answers: watch::Seen,
}

impl Tally {
    /// Adds another journey's.
    pub fn add(&mut self, other: Self) {
        self.forms += other.forms;
        self.quiet += other.quiet;
        self.pages_of_oauth2_proxy += other.pages_of_oauth2_proxy;
        self.longest = self.longest.max(other.longest);
        for (who, answers) in other.answers {
            let sums = self.answers.entry(who).or_default();
            answers.into_iter().for_each(|(status, count)| *sums.entry(status).or_default() += count);
        }
    }
}

/// All parts, before and after. Fields are dropped in this order.
#[derive(Debug)]
pub struct Journey {
    watch: Watch,
    gateway: Gateway,
    _canary_gateway: Gateway,
    old: Option<OldSide>,
    beside: Lone,
    cluster: Cluster,
    provider: Provider,
    app: Place,
    canary: Place,
    scope: Scope,
    recorded: Leftovers,
    tally: Tally,
    dir: WorkDir,
}

/// How somebody came to a page.
struct Arrival {
    /// Requests on the way, the page's own included.
    requests: usize,
    /// How often a login began.
    starts: usize,
}

impl Journey {
    /// People who are logged in at the old side.
    pub async fn old_world(&mut self, count: usize) -> Result<Vec<Robot>, Failure> {
        let mut people = Vec::new();
        for index in 0..count {
            let mut robot = self.browser(&format!("person-{index}"));
            if self.old.is_some() {
                let arrival = self.arrive(&mut robot, &self.app.url("/first")).await?;
                assert_eq!(arrival.starts, 1, "everybody logs in once");
            } else {
                let line = self.planted(SESSION_COOKIE, &self.recorded.ticket);
                robot.jar.set(&self.app.url("/"), &line);
            }
            assert!(is_old(&value(&robot, SESSION_COOKIE)), "a ticket of oauth2-proxy's");
            people.push(robot);
        }
        let filled = if self.old.is_some() { count as u64 } else { 0 };
        assert_eq!(self.forms().await?, filled, "a form for each login at the old side");
        // The last one: never signs out, and goes back with this very cookie.
        let last = people.last().ok_or("nobody")?;
        self.watch.add(OLD_TICKET, self.app, &last.jar.header(&self.app.url("/")).unwrap_or_default());
        Ok(people)
    }

    /// Ends the watch; what came of it all.
    pub async fn end(mut self) -> Result<Tally, Failure> {
        self.tally.forms = self.forms().await?;
        let Self { watch, mut tally, .. } = self;
        tally.answers = watch.end()?;
        Ok(tally)
    }

    fn browser(&self, user: &str) -> Robot {
        // No connection is kept: one that is open and unused would have the old configuration until it is closed.
        let robot = Robot::with_client(user, http::client_without_keep_alive());
        let robot = robot.via(&self.app.authority(), self.app.address());
        robot.via(&self.canary.authority(), self.canary.address())
    }

    /// A `Set-Cookie` line as oauth2-proxy sends it.
    fn planted(&self, name: &str, content: &str) -> String {
        let domain = self.scope.of_the_old().map(|domain| format!("; Domain={domain}")).unwrap_or_default();
        format!("{name}={content}; Path=/{domain}; Max-Age=604800; HttpOnly")
    }

    async fn forms(&self) -> Result<u64, Failure> {
        Ok(self.provider.ledger().await?.logins)
    }

    /// Opens a page of an app, logging in where that is asked for, and makes sure that the app sees the right person.
    async fn arrive(&mut self, robot: &mut Robot, url: &Url) -> Result<Arrival, Failure> {
        robot.visited.clear();
        let answer = robot.open(url).await?;
        let seen = Seen::of(&answer).ok_or_else(|| format!("not the app: {} {}", answer.status, answer.body))?;
        assert_eq!(
            (answer.url.as_str(), seen.user.as_str()),
            (url.as_str(), robot.user.as_str()),
            "the page and the person"
        );
        assert_eq!(seen.email, format!("{}@example.test", robot.user), "the person's address");
        let starts = robot.visited.iter().filter(|visited| visited.path() == START).count();
        Ok(Arrival { requests: robot.visited.len(), starts })
    }

    /// As [`Journey::arrive`], where one login is due and the provider still knows the person: no form, no circle.
    async fn arrive_quietly(&mut self, robot: &mut Robot, url: &Url) -> Result<(), Failure> {
        let before = self.forms().await?;
        let arrival = self.arrive(robot, url).await?;
        assert_eq!((arrival.starts, self.forms().await?), (1, before), "one login, and nothing to fill in");
        assert!(arrival.requests <= MOST_REQUESTS, "{} requests to {url}: {:?}", arrival.requests, paths(robot));
        self.tally.quiet += 1;
        self.tally.longest = self.tally.longest.max(arrival.requests);
        Ok(())
    }

    /// As [`Journey::arrive`], where the session that is there counts.
    async fn arrive_at_once(&mut self, robot: &mut Robot, url: &Url) -> Result<(), Failure> {
        let arrival = self.arrive(robot, url).await?;
        assert_eq!(arrival.requests, 1, "{} has a session and is let in at once", robot.user);
        Ok(())
    }
}

/// Asks for a page with these cookies and no others, and follows nothing.
async fn ask_with(place: Place, address: SocketAddr, cookies: &str) -> Result<Answer, Failure> {
    let request = http::client().get(format!("http://{address}/asked")).header(HOST, place.authority());
    Answer::read(place.url("/asked"), request.header(COOKIE, cookies).send().await?).await
}

fn value(robot: &Robot, name: &str) -> String {
    robot.jar.value(name).unwrap_or_default().to_owned()
}

fn is_old(ticket: &str) -> bool {
    ticket.split('|').count() == 3
}

fn paths(robot: &Robot) -> Vec<String> {
    robot.visited.iter().map(|url| url.path().to_owned()).collect()
}
