//! The demo OpenID provider: just enough of OpenID Connect Core for the code flow with PKCE, with
//! two users whose passwords everybody knows.

mod authorize;
mod claims;
mod grants;
mod signing;
mod token;

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, http::header};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;

use super::fleet::CLIENT_ID;
use super::html;
use super::ports::Ports;
use grants::Grants;
use signing::SigningKey;

/// Why the provider could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProviderError {
    /// The random source failed, or the key it gave was refused.
    #[error("no signing key could be made")]
    Key,
}

/// The provider's state.
pub(super) struct Provider {
    issuer: String,
    client_secret: String,
    /// Exactly these: one callback for each replica.
    redirect_uris: Vec<String>,
    /// Where it may send a browser that was signed out.
    after_sign_out: String,
    key: SigningKey,
    grants: Mutex<Grants>,
}

impl Provider {
    pub(super) fn new(ports: &Ports, client_secret: &str) -> Result<Self, ProviderError> {
        let callback = |port| format!("http://localhost:{port}/oauth2/callback");
        Ok(Self {
            issuer: format!("http://localhost:{}", ports.provider),
            client_secret: client_secret.to_owned(),
            redirect_uris: ports.replicas.iter().map(|replica| callback(replica.http)).collect(),
            after_sign_out: format!("http://localhost:{}/", ports.app),
            key: SigningKey::draw()?,
            grants: Mutex::new(Grants::default()),
        })
    }
}

/// Lays the provider's paths.
pub(super) fn configure(config: &mut ServiceConfig, provider: &Arc<Provider>) {
    config
        .app_data(super::shared(provider))
        .route(html::STYLE_PATH, web::get().to(html::style))
        .route("/.well-known/openid-configuration", web::get().to(discovery))
        .route("/jwks", web::get().to(jwks))
        .route("/authorize", web::get().to(authorize::show))
        .route("/authorize", web::post().to(authorize::answer))
        .route("/token", web::post().to(token::redeem))
        .route("/userinfo", web::get().to(token::userinfo))
        .route("/userinfo", web::post().to(token::userinfo))
        .route("/end_session", web::get().to(end_session));
}

async fn discovery(provider: web::Data<Provider>) -> HttpResponse {
    let issuer = &provider.issuer;
    HttpResponse::Ok().json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "end_session_endpoint": format!("{issuer}/end_session"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "email", "profile", "groups"],
        "claims_supported": claims::SUPPORTED,
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn jwks(provider: web::Data<Provider>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "keys": [provider.key.public_jwk()] }))
}

#[derive(Deserialize)]
struct EndSession {
    #[serde(default)]
    post_logout_redirect_uri: String,
    #[serde(default)]
    state: String,
}

/// There is no session to end: every login here asks for the password. Sends the browser back.
async fn end_session(provider: web::Data<Provider>, query: web::Query<EndSession>) -> HttpResponse {
    let target = &query.post_logout_redirect_uri;
    if !target.starts_with(&provider.after_sign_out) || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        let body = "<main class=\"card narrow\"><h1>Signed out</h1><p>The demo provider keeps no sessions.</p></main>";
        let page = html::Page { title: "Signed out", class: "center", head: "", body };
        return page.respond(actix_web::http::StatusCode::OK);
    }
    let location = match (query.state.as_str(), target.contains('?')) {
        ("", _) => target.clone(),
        (state, true) => format!("{target}&state={}", authorize::escape(state)),
        (state, false) => format!("{target}?state={}", authorize::escape(state)),
    };
    HttpResponse::Found().insert_header((header::LOCATION, location)).finish()
}

/// Whether these are the one client's credentials: from a Basic header, or from the form.
fn is_the_client(provider: &Provider, basic: Option<&str>, form: (&str, &str)) -> bool {
    use base64::Engine as _;
    use subtle::ConstantTimeEq as _;
    let decode =
        |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(|text| text.into_owned());
    let from_header = basic.map(|encoded| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (id, secret) = text.split_once(':')?;
        Some((decode(id)?, decode(secret)?))
    });
    let (id, secret) = match from_header {
        Some(Some(credentials)) => credentials,
        Some(None) => return false,
        None => (form.0.to_owned(), form.1.to_owned()),
    };
    id == CLIENT_ID && bool::from(secret.as_bytes().ct_eq(provider.client_secret.as_bytes()))
}

#[cfg(test)]
mod tests;
