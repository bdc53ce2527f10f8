//! The buttons that stop and start replicas.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::{CLUSTER_PAGE, Demo};
use crate::dev::fleet::{Order, OrderError};
use crate::dev::guard;
use crate::dev::html::{Escaped, Page};
use crate::dev::ports::REPLICAS;

/// Where the forms go.
pub(super) const PATH: &str = "/_dev/replica";

/// What a button sends.
#[derive(Deserialize)]
pub(super) struct Press {
    token: String,
    /// Counted from 1.
    replica: usize,
    action: Action,
    #[serde(default)]
    back: Back,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Stop,
    Start,
}

/// The page to return to: one of two, so that the form cannot send anybody elsewhere.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Back {
    /// The page behind the login.
    #[default]
    App,
    /// The page that needs none.
    Cluster,
}

impl Back {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Cluster => "cluster",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::App => "/",
            Self::Cluster => CLUSTER_PAGE,
        }
    }
}

/// Carries out what a button says, if it was drawn by this run.
pub(super) async fn press(http: HttpRequest, demo: web::Data<Demo>, press: web::Form<Press>) -> HttpResponse {
    let genuine = bool::from(press.token.as_bytes().ct_eq(demo.button_token.as_bytes()));
    if !genuine || !guard::from_own_page(http.headers()) {
        return complaint(StatusCode::FORBIDDEN, "This button belongs to another run. Reload the page and try again.");
    }
    let Some(index) = press.replica.checked_sub(1).filter(|index| *index < REPLICAS) else {
        return complaint(StatusCode::NOT_FOUND, "There is no such replica.");
    };
    let order = match press.action {
        Action::Stop => Order::Stop(index),
        Action::Start => Order::Start(index),
    };
    match demo.fleet.order(order).await {
        Ok(()) => HttpResponse::SeeOther().insert_header((header::LOCATION, press.back.path())).finish(),
        Err(error @ (OrderError::Busy | OrderError::Failed(_))) => {
            complaint(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
        }
    }
}

fn complaint(status: StatusCode, why: &str) -> HttpResponse {
    let body = format!(
        "<main class=\"card narrow\"><h1>Not done</h1><p>{}</p><p><a class=\"button\" href=\"{CLUSTER_PAGE}\">Back</a></p></main>",
        Escaped(why)
    );
    Page { title: "Not done", class: "center", head: "", body: &body }.respond(status)
}
