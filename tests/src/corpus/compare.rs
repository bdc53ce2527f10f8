//! Compares a recorded answer with ours, leaving out what differs everywhere by design.

use serde_json::{Map, Value, json};

/// One place where two answers differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Path inside the answer.
    pub at: String,
    /// What oauth2-proxy answered.
    pub recorded: Value,
    /// What Conclave answered.
    pub ours: Value,
}

/// All places where the two differ.
pub fn differences(recorded: &Value, ours: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(recorded, ours, "", &mut found);
    found
}

fn walk(recorded: &Value, ours: &Value, at: &str, found: &mut Vec<Difference>) {
    match (recorded, ours) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let (left, right) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                walk(left, right, &format!("{at}.{key}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (left, right)) in a.iter().zip(b).enumerate() {
                walk(left, right, &format!("{at}[{index}]"), found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(Difference { at: at.to_owned(), recorded: a.clone(), ours: b.clone() }),
    }
}

/// Parameters that our logins send where oauth2-proxy sends none by default, and PKCE's one method here.
const LOGIN_PARAMETERS: [&str; 3] = ["code_challenge", "code_challenge_method", "nonce"];

/// What a login start of ours lacks of them. `without` are those that the scenario's options turn off.
pub fn unprotected(answer: &Value, without: &[&str]) -> Option<String> {
    match answer {
        Value::Array(items) => items.iter().find_map(|item| unprotected(item, without)),
        Value::Object(map) => {
            let query = map.get("query").filter(|query| map.contains_key("to") && query.get("state").is_some());
            if let Some(query) = query {
                let missing = |name: &&&str| query.get(**name).is_none() && !without.contains(*name);
                if let Some(name) = LOGIN_PARAMETERS.iter().find(missing) {
                    return Some(format!("the login starts without {name}: {query}"));
                }
                let method = query.get("code_challenge_method").and_then(Value::as_str);
                if method != Some("S256") && !without.contains(&"code_challenge_method") {
                    return Some(format!("the login starts with the challenge method {method:?}"));
                }
            }
            map.values().find_map(|value| unprotected(value, without))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// The parts of an answer that are compared: a login start without PKCE, nonce and the state's text, forms in
/// any order, cookies without login cookies and, unless `deletions`, without deletions.
pub fn soften(answer: &Value, deletions: bool) -> Value {
    match answer {
        Value::Array(items) => items.iter().map(|item| soften(item, deletions)).collect(),
        Value::Object(map) => Value::Object(soften_map(map, deletions)),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other.clone(),
    }
}

fn soften_map(map: &Map<String, Value>, deletions: bool) -> Map<String, Value> {
    let mut soft: Map<String, Value> = map.iter().map(|(key, value)| (key.clone(), soften(value, deletions))).collect();
    if soft.contains_key("to")
        && let Some(Value::Object(query)) = soft.get_mut("query")
    {
        query.retain(|key, _| !LOGIN_PARAMETERS.contains(&key.as_str()));
        if query.contains_key("state") {
            query.insert("state".into(), json!("<random>"));
        }
    }
    if let Some(Value::Array(cookies)) = soft.get_mut("cookies") {
        cookies.retain(|cookie| {
            let name = cookie["name"].as_str().unwrap_or_default();
            let deletion = cookie["value"] == "empty";
            !name.ends_with("_csrf") && (!deletion || deletions)
        });
        cookies.dedup();
    }
    let is_page = |headers: &Map<String, Value>| {
        headers.get("content-type").and_then(Value::as_str).is_some_and(|kind| kind.starts_with("text/html"))
    };
    if let Some(Value::Object(headers)) = soft.get_mut("headers")
        && is_page(headers)
    {
        // Pages of ours forbid sniffing; see docs/differences.md.
        headers.remove("x-content-type-options");
    }
    if let Some(Value::Object(headers)) = soft.get_mut("headers") {
        // Where oauth2-proxy leaves a header out, ours stands empty; see docs/differences.md.
        headers.retain(|_, value| *value != "");
    }
    if let Some(Value::Array(forms)) = soft.get_mut("forms") {
        forms.sort_by_key(Value::to_string);
    }
    soft
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_header_counts_as_none() {
        let soft = soften(&json!({"headers": {"x-auth-request-groups": "", "x-auth-request-user": "u"}}), false);
        assert_eq!(soft, json!({"headers": {"x-auth-request-user": "u"}}));
    }

    #[test]
    fn a_difference_names_its_place() {
        let found = differences(&json!({"a": [1, 2]}), &json!({"a": [1, 3]}));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].at, ".a[1]");
    }

    #[test]
    fn a_login_without_its_protections_is_found() {
        let start = |query: Value| json!({"headers": {"location": {"to": "x", "query": query}}});
        let whole = json!({"state": "s", "nonce": "n", "code_challenge": "c", "code_challenge_method": "S256"});
        assert_eq!(unprotected(&start(whole), &[]), None);
        let bare = json!({"state": "s", "code_challenge": "c", "code_challenge_method": "S256"});
        assert!(unprotected(&start(bare.clone()), &[]).is_some());
        assert_eq!(unprotected(&start(bare), &["nonce"]), None);
        let plain = json!({"state": "s", "nonce": "n", "code_challenge": "c", "code_challenge_method": "plain"});
        assert!(unprotected(&start(plain), &[]).is_some());
    }

    #[test]
    fn deletions_count_where_asked() {
        let answer = json!({"cookies": [{"name": "_oauth2_proxy", "value": "empty"}]});
        assert_eq!(soften(&answer, false)["cookies"], json!([]));
        assert_eq!(soften(&answer, true)["cookies"].as_array().map(Vec::len), Some(1));
    }
}
