//! `/token` and `/userinfo`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conclave_proto::time::Clock as _;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::grants::{Grant, TOKEN_LIFETIME};
use super::{CLIENT_ID, Provider, claims, is_the_client};
use crate::clock::SystemClock;

/// How long an ID token is good for, in seconds: it is looked at once, right after the login.
const ID_TOKEN_SECONDS: u64 = 300;

/// A token request; what is missing is empty.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Form {
    grant_type: String,
    code: String,
    redirect_uri: String,
    code_verifier: String,
    client_id: String,
    client_secret: String,
}

/// Redeems a code, once.
pub(super) async fn redeem(http: HttpRequest, provider: web::Data<Provider>, form: web::Form<Form>) -> HttpResponse {
    if !is_the_client(&provider, credentials(&http, "Basic"), (&form.client_id, &form.client_secret)) {
        let challenge = (header::WWW_AUTHENTICATE, "Basic realm=\"demo provider\"");
        return HttpResponse::Unauthorized().insert_header(challenge).json(json!({ "error": "invalid_client" }));
    }
    if form.grant_type != "authorization_code" {
        return bad_request("unsupported_grant_type");
    }
    let now = Instant::now();
    // Taken before it is checked: a code that was tried wrongly is spent.
    let grant = provider.grants.lock().codes.take(now, &form.code);
    let Some(grant) = grant.filter(|grant| proves(&form, grant)) else { return bad_request("invalid_grant") };
    let Ok(id_token) = provider.key.sign(&id_token(&provider, &grant)) else {
        return HttpResponse::InternalServerError().json(json!({ "error": "server_error" }));
    };
    let scope = grant.request.scope;
    let access_token = provider.grants.lock().tokens.put(now, (grant.user, scope.clone()));
    HttpResponse::Ok().json(json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": TOKEN_LIFETIME.as_secs(),
        "scope": scope,
        "id_token": id_token,
    }))
}

/// Whether the request comes from whom the code was made for: RFC 7636 section 4.6.
fn proves(form: &Form, grant: &Grant) -> bool {
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, form.code_verifier.as_bytes()));
    form.redirect_uri == grant.request.redirect_uri && challenge == grant.request.code_challenge
}

fn id_token(provider: &Provider, grant: &Grant) -> Value {
    let now = SystemClock.now().as_secs();
    let mut token = claims::about(grant.user, &grant.request.scope);
    token.insert("iss".to_owned(), json!(provider.issuer));
    token.insert("aud".to_owned(), json!(CLIENT_ID));
    token.insert("iat".to_owned(), json!(now));
    token.insert("exp".to_owned(), json!(now + ID_TOKEN_SECONDS));
    token.insert("auth_time".to_owned(), json!(now));
    if !grant.request.nonce.is_empty() {
        token.insert("nonce".to_owned(), json!(grant.request.nonce));
    }
    Value::Object(token)
}

/// Says again what the access token's scope says about its user.
pub(super) async fn userinfo(http: HttpRequest, provider: web::Data<Provider>) -> HttpResponse {
    let token = credentials(&http, "Bearer").unwrap_or_default();
    match provider.grants.lock().tokens.get(Instant::now(), token) {
        Some((user, scope)) => HttpResponse::Ok().json(claims::about(user, &scope)),
        None => {
            let challenge = (header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"");
            HttpResponse::Unauthorized().insert_header(challenge).finish()
        }
    }
}

fn credentials<'h>(http: &'h HttpRequest, scheme: &str) -> Option<&'h str> {
    let value = http.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (given, credentials) = value.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then_some(credentials)
}

fn bad_request(error: &str) -> HttpResponse {
    HttpResponse::BadRequest().json(json!({ "error": error }))
}
