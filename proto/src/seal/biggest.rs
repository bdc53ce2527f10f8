//! Names what makes a session too large, so that an operator knows which claim to drop.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::session::SessionBody;

/// How many parts are named: enough to act on, short enough for a page.
const NAMED: usize = 5;

/// Longest name shown, in characters: names come from the provider.
const MAX_NAME: usize = 64;

/// The biggest parts of a body, biggest first: the claims of its ID token, or the token itself where
/// it is no JWT, the other tokens, and what was kept beside them.
pub(super) fn parts(body: &SessionBody) -> Vec<(String, usize)> {
    let mut parts = vec![
        ("access token".to_owned(), body.access_token.len()),
        ("refresh token".to_owned(), body.refresh_token.len()),
    ];
    match jwt_claims(&body.id_token) {
        Some(claims) => parts.extend(claims.iter().map(|(name, value)| (shown(name), value.to_string().len()))),
        None => parts.push(("ID token".to_owned(), body.id_token.len())),
    }
    let names_claim = |parts: &[(String, usize)], name: &str| parts.iter().any(|(known, _)| known == name);
    if !names_claim(&parts, "groups") {
        parts.push(("groups".to_owned(), body.identity.groups.iter().map(String::len).sum()));
    }
    for (name, value) in &body.additional_claims {
        let name = shown(name);
        if !names_claim(&parts, &name) {
            parts.push((name, value.len()));
        }
    }
    parts.retain(|(_, size)| *size > 0);
    parts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    parts.truncate(NAMED);
    parts
}

/// `name (bytes), name (bytes)`.
pub(super) fn list(parts: &[(String, usize)]) -> String {
    let shown: Vec<String> = parts.iter().map(|(name, size)| format!("{name} ({size})")).collect();
    shown.join(", ")
}

fn jwt_claims(token: &str) -> Option<Map<String, Value>> {
    let payload = token.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect()
}
