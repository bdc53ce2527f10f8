//! The normal form of an answer: what chance and addresses put in is named, what matters stays.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::wire::Response;

/// Headers that are compared besides `x-auth-request-*`, `x-forwarded-*` and those a step asks for.
const HEADERS: [&str; 11] = [
    "location",
    "content-type",
    "cache-control",
    "expires",
    "x-accel-expires",
    "www-authenticate",
    "gap-auth",
    "authorization",
    "x-content-type-options",
    "allow",
    "retry-after",
];

/// Longest text of a body that is compared.
const TEXT_LIMIT: usize = 300;

/// What stands for the addresses and the directory of one run.
#[derive(Clone, Debug)]
pub struct Places {
    /// The provider's URL and port.
    pub issuer: String,
    /// `host:port` of the program under test.
    pub addr: String,
    /// The working directory.
    pub dir: String,
    /// `host:port` where a Redis would be.
    pub redis: String,
}

fn port_of(addr: &str) -> &str {
    addr.rsplit_once(':').map_or("", |(_, port)| port)
}

fn quote(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string().replace("%2E", ".").replace("%2D", "-")
}

impl Places {
    /// Puts this run's addresses in place of the placeholders.
    pub fn fill(&self, text: &str) -> String {
        text.replace("{ISSUER}", &self.issuer)
            .replace("{ADDR}", &self.addr)
            .replace("{PORT}", port_of(&self.addr))
            .replace("{DIR}", &self.dir)
            .replace("{REDIS}", &format!("redis://{}", self.redis))
    }

    /// Puts the placeholders back.
    pub fn blank(&self, text: &str) -> String {
        text.replace(&self.issuer, "{ISSUER}")
            .replace(&self.addr, "{ADDR}")
            .replace(&self.dir, "{DIR}")
            .replace(&quote(&self.addr), "{ADDR%}")
            .replace(&quote(&self.issuer), "{ISSUER%}")
            .replace(&format!(":{}", port_of(&self.redis)), ":{REDIS_PORT}")
            .replace(&format!(":{}", port_of(&self.addr)), ":{PORT}")
            .replace(&format!(":{}", port_of(&self.issuer)), ":{ISSUER_PORT}")
    }

    fn blank_json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.blank(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.blank_json(item)).collect(),
            Value::Object(map) => map.into_iter().map(|(key, value)| (key, self.blank_json(value))).collect(),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
        }
    }

    /// The normal form of one response.
    pub fn answer(&self, response: &Response, want: &[String]) -> Value {
        let mut headers = Map::new();
        for (name, value) in &response.headers {
            let lower = name.to_ascii_lowercase();
            let wanted = HEADERS.contains(&lower.as_str())
                || lower.starts_with("x-auth-request-")
                || lower.starts_with("x-forwarded-")
                || want.iter().any(|name| name.eq_ignore_ascii_case(&lower));
            if lower == "location" {
                headers.insert(lower, self.location(value));
            } else if wanted {
                headers.insert(lower, Value::String(self.header(value)));
            }
        }
        if let Some(Value::String(token)) = headers.get_mut("x-auth-request-access-token")
            && !token.is_empty()
            && !token.starts_with('<')
        {
            *token = "<access token>".to_owned();
        }
        let cookies: Vec<Value> = response.all("set-cookie").map(cookie).collect();
        json!({"status": response.status, "headers": headers, "cookies": cookies, "body": self.body(response)})
    }

    fn header(&self, value: &str) -> String {
        let named = name_tokens(&self.blank(value));
        let dated =
            named.len() > 8 && named.as_bytes()[3] == b',' && named.ends_with(" GMT") && !named.contains("1970");
        if dated { "<date>".to_owned() } else { named }
    }

    fn location(&self, value: &str) -> Value {
        let (before, query) = value.split_once('?').unwrap_or((value, ""));
        let query = query.split_once('#').map_or(query, |(query, _)| query);
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        if !pairs.iter().any(|(key, _)| matches!(key.as_str(), "state" | "code_challenge" | "nonce")) {
            return Value::String(name_tokens(&self.blank(value)));
        }
        let mut named = Map::new();
        for (key, text) in pairs {
            let text = match key.as_str() {
                "code_challenge" | "nonce" => "<random>".to_owned(),
                "state" => text.split_once(':').map_or("<random>".into(), |(_, rest)| format!("<random>:{rest}")),
                _ => text,
            };
            named.insert(key, Value::String(self.blank(&text)));
        }
        json!({"to": self.blank(before), "query": named})
    }

    fn body(&self, response: &Response) -> Value {
        let text = response.text();
        if text.is_empty() {
            return Value::Null;
        }
        let kind = response.get("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        if kind == "application/json"
            && let Ok(value) = serde_json::from_str::<Value>(&text)
        {
            return json!({"json": self.blank_json(value)});
        }
        if kind == "text/html" || text.trim_start().starts_with('<') {
            if response.get("location").is_some() {
                return Value::Null;
            }
            return json!({"html": {"forms": self.forms(&text)}});
        }
        json!({"text": self.blank(&text).chars().take(TEXT_LIMIT).collect::<String>()})
    }

    fn forms(&self, page: &str) -> Vec<Value> {
        let mut forms = Vec::new();
        for piece in page.split("<form").skip(1) {
            let inside = piece.split("</form>").next().unwrap_or_default();
            let (head, rest) = inside.split_once('>').unwrap_or((inside, ""));
            let method = attribute(head, "method").unwrap_or("GET").to_ascii_uppercase();
            let mut fields: Vec<&str> =
                rest.split('<').filter_map(|tag| attribute(tag, "name")).filter(|name| !name.is_empty()).collect();
            fields.sort_unstable();
            fields.dedup();
            let rd = rest.split('<').find(|tag| attribute(tag, "name") == Some("rd"));
            let rd = rd.and_then(|tag| attribute(tag, "value")).map(|value| self.blank(value));
            let action = self.blank(attribute(head, "action").unwrap_or_default());
            forms.push(json!({"method": method, "action": action, "fields": fields, "rd": rd}));
        }
        forms
    }
}

/// The value of `name="…"` in a tag.
pub fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let at = tag.find(&format!("{name}=\""))?;
    let value = &tag[at + name.len() + 2..];
    value.split('"').next()
}

fn cookie(header: &str) -> Value {
    let mut parts = header.split(';');
    let (name, value) = parts.next().and_then(|first| first.trim().split_once('=')).unwrap_or((header, ""));
    let mut named = Map::new();
    named.insert("name".into(), Value::String(csrf_name(name)));
    named.insert("value".into(), Value::String(if value.is_empty() { "empty" } else { "set" }.into()));
    for part in parts {
        let (key, text) = part.trim().split_once('=').unwrap_or((part.trim(), ""));
        let key = key.to_ascii_lowercase();
        let value = match key.as_str() {
            "expires" if value.is_empty() || text.contains("1970") => json!("past"),
            "expires" => json!("set"),
            "max-age" => json!(text.parse::<i64>().unwrap_or(-1)),
            _ if text.is_empty() => json!(true),
            _ => json!(text),
        };
        named.insert(key, value);
    }
    Value::Object(named)
}

fn csrf_name(name: &str) -> String {
    let Some(stem) = name.strip_suffix("_csrf") else { return name.to_owned() };
    let random = stem.len().checked_sub(8).and_then(|at| stem.is_char_boundary(at).then(|| stem.split_at(at)));
    match random {
        Some((base, tail))
            if base.ends_with('_') && tail.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) =>
        {
            format!("{base}<random>_csrf")
        }
        _ => name.to_owned(),
    }
}

/// A token in a header value becomes a name: whose, and of what kind.
fn name_tokens(value: &str) -> String {
    value.split(' ').map(name_token).collect::<Vec<_>>().join(" ")
}

fn name_token(word: &str) -> String {
    let Some(at) = word.find("eyJ") else { return word.to_owned() };
    let is_token_byte = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let (before, rest) = word.split_at(at);
    let (token, after) = rest.split_at(rest.find(|c| !is_token_byte(c)).unwrap_or(rest.len()));
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_)) = (parts.next(), parts.next(), parts.next()) else { return word.to_owned() };
    let claims = URL_SAFE_NO_PAD.decode(payload).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let name = match claims {
        Some(claims) if claims.get("aud").is_some() => {
            format!("<id_token sub={}>", claims.get("sub").and_then(Value::as_str).unwrap_or("None"))
        }
        _ => "<jwt>".to_owned(),
    };
    format!("{before}{name}{}", name_token(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_cookies_lose_their_chance_part() {
        assert_eq!(csrf_name("_oauth2_proxy_a-b_cdef_csrf"), "_oauth2_proxy_<random>_csrf");
        assert_eq!(csrf_name("_oauth2_proxy_csrf"), "_oauth2_proxy_csrf");
    }

    #[test]
    fn tokens_are_named_wherever_they_stand() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"aud":"rp","sub":"alice"}"#);
        let token = format!("eyJhbGciOiJub25lIn0.{payload}.c2ln");
        let named = name_tokens(&format!("Bearer /bye?t={token}&u={token}&x=1"));
        assert_eq!(named, "Bearer /bye?t=<id_token sub=alice>&u=<id_token sub=alice>&x=1");
    }
}
