//! For operators: metrics, probes, status, state hash and commands. Listens on loopback unless configured otherwise. What only
//! an operator may see (the cluster's id) or cause is held against the request's `Host` and `Origin`.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use conclave_proto::time::Ttl;
use conclave_raft::{HandOver, MemberStatus, ReplicatedStore, Status};
use serde::Serialize;

use super::{COMMIT_DEADLINE, Service, health};

/// Path of the command that ends all sessions.
pub const REKEY: &str = "/rekey";

/// Path of the command that gives the leadership away.
pub const HAND_OVER: &str = "/hand-over";

/// The header that commands carry.
pub const MEANT: &str = "x-conclave-command";

/// What `/status` says; numbers that do not fit a JavaScript number are texts.
#[derive(Debug, Default, Serialize)]
struct StatusView {
    version: &'static str,
    name: String,
    node_id: String,
    cluster: Option<String>,
    role: &'static str,
    term: u64,
    leader: Option<String>,
    applied: u64,
    last_log: u64,
    committed: u64,
    purged: u64,
    fresh_age_ms: Option<u64>,
    caught_up: bool,
    ready: bool,
    reasons: Vec<String>,
    snapshots_installed: u64,
    sessions: usize,
    opened_bytes: usize,
    clock_deviation_ms: Option<i64>,
    /// Gateways for whose checks no rule opens on this replica.
    closed_gateways: Vec<String>,
    disk: DiskView,
    members: Vec<MemberView>,
}

/// What this replica's disk has room for, and what is free beyond its reserve.
#[derive(Debug, Default, Serialize)]
struct DiskView {
    room: &'static str,
    free_bytes: u64,
}

#[derive(Debug, Serialize)]
struct MemberView {
    name: String,
    node_id: String,
    matched: Option<u64>,
    lag: Option<u64>,
    reachable: bool,
    round_trip_ms: Option<u64>,
}

/// Lays the paths of the admin listener.
pub fn configure(config: &mut ServiceConfig, service: &Arc<Service>) {
    config
        .app_data(web::Data::from(Arc::clone(service)))
        .service(web::resource("/metrics").to(metrics))
        .service(web::resource("/status").to(status))
        .service(web::resource("/state-hash").to(state_hash))
        .service(web::resource(REKEY).route(web::post().to(rekey)))
        .service(web::resource(HAND_OVER).route(web::post().to(hand_over)))
        .service(web::resource("/live").to(live))
        .service(web::resource("/ready").to(ready));
}

/// Lays the paths of `metrics_address`: metrics on every path, as in oauth2-proxy.
pub fn configure_metrics(config: &mut ServiceConfig, service: &Arc<Service>) {
    config.app_data(web::Data::from(Arc::clone(service))).default_service(web::to(metrics));
}

async fn metrics(service: web::Data<Service>) -> HttpResponse {
    service.observe();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(service.metrics.render())
}

/// Refuses what names another host or comes from a page: a page that a stranger's name server lets point at this machine
/// reads and sends here what an operator could.
fn operator(request: &HttpRequest, service: &Service) -> Result<(), HttpResponse> {
    let headers = request.headers();
    let hosts = headers.get_all(header::HOST).map(HeaderValue::as_bytes);
    let checked = service.config.admin_hosts.check(hosts, headers.contains_key(header::ORIGIN));
    checked.map_err(|refused| health::plain(StatusCode::FORBIDDEN, format!("{refused}\n")))
}

/// The store, if a command may be taken: from an operator on this machine, by a program that means it. A page in
/// an operator's browser can post here as well, but not with a header of its own.
fn commanded<'s>(request: &HttpRequest, service: &'s Service) -> Result<&'s ReplicatedStore, HttpResponse> {
    operator(request, service)?;
    let from_here = request.peer_addr().is_none_or(|address| address.ip().is_loopback());
    let meant = from_here && request.headers().contains_key(MEANT);
    service.store().filter(|_| meant).ok_or_else(not_taken)
}

async fn rekey(request: HttpRequest, service: web::Data<Service>) -> HttpResponse {
    let store = match commanded(&request, &service) {
        Ok(store) => store,
        Err(refusal) => return refusal,
    };
    match store.rekey(COMMIT_DEADLINE).await {
        Ok(_) => {
            service.opened.clear();
            tracing::warn!("an operator had the cluster re-keyed: all sessions have ended");
            health::plain(StatusCode::OK, "re-keyed: all sessions have ended\n".to_owned())
        }
        Err(error) => health::plain(StatusCode::SERVICE_UNAVAILABLE, format!("not re-keyed: {error}\n")),
    }
}

async fn hand_over(request: HttpRequest, service: web::Data<Service>) -> HttpResponse {
    let store = match commanded(&request, &service) {
        Ok(store) => store,
        Err(refusal) => return refusal,
    };
    let (status, said) = match store.hand_over().await {
        HandOver::To(leader) => (StatusCode::OK, format!("{leader} leads now\n")),
        HandOver::NotLeading => (StatusCode::OK, "this replica does not lead\n".to_owned()),
        HandOver::Alone => (StatusCode::CONFLICT, "there is no other replica\n".to_owned()),
        HandOver::NobodyLed => (StatusCode::SERVICE_UNAVAILABLE, "no other replica took over in time\n".to_owned()),
    };
    health::plain(status, said)
}

fn not_taken() -> HttpResponse {
    let said = "commands are taken from this machine, from `conclave cluster`, while the store is open\n";
    health::plain(StatusCode::FORBIDDEN, said.to_owned())
}

async fn live() -> HttpResponse {
    health::plain(StatusCode::OK, "OK".to_owned())
}

async fn ready(service: web::Data<Service>) -> HttpResponse {
    health::readiness(&service)
}

async fn status(request: HttpRequest, service: web::Data<Service>) -> HttpResponse {
    if let Err(refusal) = operator(&request, &service) {
        return refusal;
    }
    let reasons = service.unready_reasons();
    let mut view = match service.store() {
        Some(store) => view(&store.status()),
        None => {
            StatusView { name: service.config.cluster.self_name.to_string(), role: "stopped", ..StatusView::default() }
        }
    };
    view.version = env!("CARGO_PKG_VERSION");
    view.ready = reasons.is_empty();
    view.reasons = reasons;
    view.opened_bytes = service.opened.bytes();
    view.closed_gateways = service.gateways.closed();
    HttpResponse::Ok().json(view)
}

fn view(status: &Status) -> StatusView {
    StatusView {
        name: status.name.to_string(),
        node_id: status.node_id.to_string(),
        cluster: status.cluster.map(|cluster| cluster.to_string()),
        role: status.role.as_str(),
        term: status.term,
        leader: status.leader.as_ref().map(ToString::to_string),
        applied: status.applied.get(),
        last_log: status.last_log.get(),
        committed: status.committed.get(),
        purged: status.purged.get(),
        fresh_age_ms: status.fresh_age.map(Ttl::as_millis),
        caught_up: status.caught_up,
        snapshots_installed: status.snapshots_installed,
        sessions: status.sessions,
        clock_deviation_ms: status.clock_deviation_ms,
        disk: DiskView { room: status.disk_room.as_str(), free_bytes: status.disk_free },
        members: status.members.iter().map(member).collect(),
        ..StatusView::default()
    }
}

fn member(member: &MemberStatus) -> MemberView {
    MemberView {
        name: member.name.to_string(),
        node_id: member.id.to_string(),
        matched: member.matched.map(|index| index.get()),
        lag: member.lag,
        reachable: member.reachable,
        round_trip_ms: member.round_trip.map(Ttl::as_millis),
    }
}

/// The hash of the whole replicated state and the entry it stands at: equal on replicas that are equal.
async fn state_hash(request: HttpRequest, service: web::Data<Service>) -> HttpResponse {
    if let Err(refusal) = operator(&request, &service) {
        return refusal;
    }
    let Some(store) = service.store().cloned() else {
        return HttpResponse::ServiceUnavailable().json(serde_json::json!({ "error": "the store is not open" }));
    };
    // Walks the whole state: not on a thread that answers others.
    match web::block(move || store.state_hash()).await {
        Ok((index, hash)) => {
            let hex = hash.iter().fold(String::with_capacity(64), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            HttpResponse::Ok().json(serde_json::json!({ "index": index.get(), "hash": hex }))
        }
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}
