//! People who log in again and again: the provider knows them after the first time, as in a company.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use url::Url;

use crate::browser::Robot;
use crate::check::SESSION_COOKIE;
use crate::gateway::{APP_HOST, Place};
use crate::{Failure, timing};

/// Path of the callback.
pub const CALLBACK: &str = "/oauth2/callback";

/// A login that was acknowledged to its browser.
#[derive(Clone, Debug)]
pub struct Login {
    /// Who.
    pub user: String,
    /// Value of the session cookie.
    pub ticket: String,
    /// When the last byte of the acknowledgement was read.
    pub acknowledged_at: Instant,
    /// How long the callback took.
    pub callback_took: Duration,
}

/// A person at one browser.
#[derive(Clone, Debug)]
pub struct Person {
    /// The browser.
    pub robot: Robot,
    place: Place,
}

impl Person {
    /// A person with a fresh browser.
    pub fn new(user: &str, place: Place) -> Self {
        Self { robot: Robot::new(user), place }
    }

    /// A number of people, named `person-0` and so on.
    pub fn many(count: usize, place: Place) -> Vec<Self> {
        (0..count).map(|index| Self::new(&format!("person-{index}"), place)).collect()
    }

    /// Logs in with every request of the service going to `replica`; a session held before is forgotten.
    pub async fn log_in(&mut self, replica: SocketAddr) -> Result<Login, Failure> {
        let callback = self.begin(replica).await?;
        self.finish(&callback).await
    }

    /// Goes to the provider and comes back with the callback's URL, not yet asked for.
    pub async fn begin(&mut self, replica: SocketAddr) -> Result<Url, Failure> {
        self.robot.jar.forget(APP_HOST);
        self.robot.route(&self.place.authority(), replica);
        self.robot.visited.clear();
        self.robot.open_until(&self.place.url("/oauth2/start?rd=%2Fhome"), CALLBACK).await
    }

    /// Asks for the callback.
    pub async fn finish(&mut self, callback: &Url) -> Result<Login, Failure> {
        let begun = timing::now();
        let answer = self.robot.get(callback).await?;
        let acknowledged_at = timing::now();
        if answer.status != 302 {
            let body: String = answer.body.chars().take(600).collect();
            return Err(format!("the callback answers {} with: {body}", answer.status).into());
        }
        let ticket = self.robot.jar.value(SESSION_COOKIE).ok_or("the callback sets no session cookie")?.to_owned();
        let callback_took = acknowledged_at.duration_since(begun);
        Ok(Login { user: self.robot.user.clone(), ticket, acknowledged_at, callback_took })
    }

    /// Signs out at `replica`; true when it was acknowledged.
    pub async fn sign_out(&mut self, replica: SocketAddr) -> Result<crate::http::Answer, Failure> {
        self.robot.route(&self.place.authority(), replica);
        self.robot.get(&self.place.url("/oauth2/sign_out?rd=%2F")).await
    }
}
