//! The demo app: does what nginx does before it shows a page, and shows what the cluster does.

mod buttons;
mod check;
mod cluster;
mod page;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::fleet::{FleetHandle, Life};
use super::html;
use super::ports::{Ports, REPLICAS};

/// The page that shows the cluster without a login.
pub(super) const CLUSTER_PAGE: &str = "/_dev/cluster";

/// The part of the page that is drawn again and again.
const FRAGMENT: &str = "/_dev/cluster.fragment";
const SCRIPT: &str = "/_dev/poll.js";
const SIGNED_OUT: &str = "/_dev/signed-out";

/// How long a replica is waited for: as long as nginx would be patient with a check, at most.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(3);

/// The demo app's state.
pub(super) struct Demo {
    ports: Ports,
    /// Stands in every form that changes something.
    button_token: String,
    fleet: FleetHandle,
    client: reqwest::Client,
    /// Whose turn it is.
    turn: AtomicUsize,
}

impl Demo {
    pub(super) fn new(ports: Ports, button_token: &str, fleet: FleetHandle) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(REPLICA_TIMEOUT)
            .build()?;
        Ok(Self { ports, button_token: button_token.to_owned(), fleet, client, turn: AtomicUsize::new(0) })
    }

    /// The replicas that run, beginning with the one whose turn it is.
    fn in_turn(&self) -> Vec<usize> {
        let lives = self.fleet.lives();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        (0..REPLICAS).map(|step| (first + step) % REPLICAS).filter(|index| lives[*index] == Life::Running).collect()
    }

    /// The origin of a replica for the browser: one that runs, the first if none does.
    fn service_origin(&self) -> String {
        let lives = self.fleet.lives();
        let index = lives.iter().position(|life| *life == Life::Running).unwrap_or(0);
        format!("http://localhost:{}", self.ports.replicas[index].http)
    }

    fn own_origin(&self) -> String {
        format!("http://localhost:{}", self.ports.app)
    }

    fn sign_in_url(&self, back_to: &str) -> String {
        format!("{}/oauth2/start?rd={}", self.service_origin(), escape(&format!("{}{back_to}", self.own_origin())))
    }

    fn sign_out_url(&self) -> String {
        let target = escape(&format!("{}{SIGNED_OUT}", self.own_origin()));
        format!("{}/oauth2/sign_out?rd={target}", self.service_origin())
    }

    /// Whether every replica says that it is ready.
    pub(super) async fn all_ready(&self) -> bool {
        let states = cluster::look(self).await;
        states.iter().all(|state| state.status.as_ref().is_some_and(|status| status.ready))
    }
}

/// A value for a query.
fn escape(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

/// Lays the app's paths: everything but the few below `/_dev/` is behind the login.
pub(super) fn configure(config: &mut ServiceConfig, demo: &Arc<Demo>) {
    config
        .app_data(super::shared(demo))
        .route(html::STYLE_PATH, web::get().to(html::style))
        .route(SCRIPT, web::get().to(script))
        .route(CLUSTER_PAGE, web::get().to(page::open_cluster))
        .route(FRAGMENT, web::get().to(page::fragment))
        .route(SIGNED_OUT, web::get().to(page::signed_out))
        .route(buttons::PATH, web::post().to(buttons::press))
        .default_service(web::get().to(protected));
}

async fn script() -> HttpResponse {
    HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(include_str!("app/poll.js"))
}

/// Any page of the app: asks a replica first.
async fn protected(http: HttpRequest, demo: web::Data<Demo>) -> HttpResponse {
    let uri = http.uri().path_and_query().map_or("/", |uri| uri.as_str());
    let cookies = check::cookies(&http);
    let checked = check::in_turn(&demo, &cookies, uri).await;
    page::answer(&demo, checked, &cookies, uri).await
}

#[cfg(test)]
mod tests;
