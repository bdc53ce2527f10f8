//! `/authorize`: checks the client's request, shows the login page and hands out a code.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::time::Instant;

use super::grants::{Grant, Request};
use super::{CLIENT_ID, Provider, claims};
use crate::dev::guard;
use crate::dev::html::{Escaped, Page};

/// The query of an authorization request; what is missing is empty.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Query {
    response_type: String,
    client_id: String,
    redirect_uri: String,
    scope: String,
    state: String,
    nonce: String,
    code_challenge: String,
    code_challenge_method: String,
    prompt: String,
}

/// What the login page sends.
#[derive(Deserialize)]
pub(super) struct Login {
    request: String,
    username: String,
    password: String,
}

/// Shows the login page.
pub(super) async fn show(provider: web::Data<Provider>, query: web::Query<Query>) -> HttpResponse {
    let query = query.into_inner();
    if query.client_id != CLIENT_ID || !provider.redirect_uris.contains(&query.redirect_uri) {
        return refusal("This login was asked for by a client that the demo provider does not know.");
    }
    if let Err(error) = acceptable(&query) {
        return send_back(&provider, &query.redirect_uri, &query.state, ("error", error));
    }
    let request = Request {
        redirect_uri: query.redirect_uri,
        scope: query.scope,
        state: query.state,
        nonce: query.nonce,
        code_challenge: query.code_challenge,
    };
    let name = provider.grants.lock().requests.put(Instant::now(), request);
    login_page(&name, StatusCode::OK)
}

/// The error code of OpenID Connect for a request that cannot be served.
fn acceptable(query: &Query) -> Result<(), &'static str> {
    if query.response_type != "code" {
        return Err("unsupported_response_type");
    }
    if !query.scope.split(' ').any(|scope| scope == "openid") {
        return Err("invalid_scope");
    }
    if query.code_challenge.is_empty() || query.code_challenge_method != "S256" {
        return Err("invalid_request");
    }
    if query.prompt.split(' ').any(|prompt| prompt == "none") {
        return Err("login_required");
    }
    Ok(())
}

/// Checks the password and sends the browser back with a code.
pub(super) async fn answer(http: HttpRequest, provider: web::Data<Provider>, login: web::Form<Login>) -> HttpResponse {
    if !guard::from_own_page(http.headers()) {
        return refusal("The login form has to be sent from the login page.");
    }
    let now = Instant::now();
    let Some(request) = provider.grants.lock().requests.get(now, &login.request) else {
        return refusal("This login page is too old. Go back to the app and start again.");
    };
    let Some(user) = claims::authenticate(login.username.trim(), &login.password) else {
        return login_page(&login.request, StatusCode::UNAUTHORIZED);
    };
    let (redirect_uri, state) = (request.redirect_uri.clone(), request.state.clone());
    let code = {
        let mut grants = provider.grants.lock();
        grants.requests.take(now, &login.request);
        grants.codes.put(now, Grant { user, request })
    };
    send_back(&provider, &redirect_uri, &state, ("code", &code))
}

fn send_back(provider: &Provider, redirect_uri: &str, state: &str, (key, value): (&str, &str)) -> HttpResponse {
    let mut location = format!("{redirect_uri}?{key}={}&iss={}", escape(value), escape(&provider.issuer));
    if !state.is_empty() {
        location.push_str("&state=");
        location.push_str(&escape(state));
    }
    HttpResponse::SeeOther().insert_header((header::LOCATION, location)).finish()
}

/// A value for a query.
pub(super) fn escape(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

fn refusal(why: &str) -> HttpResponse {
    let body = format!("<main class=\"card narrow\"><h1>That did not work</h1><p>{}</p></main>", Escaped(why));
    Page { title: "Demo provider", class: "center", head: "", body: &body }.respond(StatusCode::BAD_REQUEST)
}

fn login_page(request: &str, status: StatusCode) -> HttpResponse {
    let complaint = if status == StatusCode::UNAUTHORIZED {
        "<p class=\"alert\" role=\"alert\">Wrong name or password. For each user the password is the name.</p>"
    } else {
        ""
    };
    let request = Escaped(request);
    let body = format!(
        "<main class=\"card narrow\">\n\
         <p class=\"eyebrow\">Demo OpenID provider</p>\n<h1>Log in</h1>\n\
         <p class=\"soft\">Two people live here: <b>alice</b> and <b>bob</b>. The password is the name.</p>\n{complaint}\n\
         <form method=\"post\" action=\"/authorize\" class=\"stack\">\n\
         <input type=\"hidden\" name=\"request\" value=\"{request}\">\n\
         <label>User<input name=\"username\" autocomplete=\"off\" autocapitalize=\"none\" required autofocus></label>\n\
         <label>Password<input name=\"password\" type=\"password\" autocomplete=\"off\" required></label>\n\
         <button class=\"primary\">Log in</button>\n</form>\n</main>"
    );
    Page { title: "Log in · demo provider", class: "center", head: "", body: &body }.respond(status)
}
