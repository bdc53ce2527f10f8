//! Header values of a session by the configured rules: for answers and for upstream requests.

use std::borrow::Cow;

use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use conclave_proto::session::SessionBody;
use thiserror::Error;

use crate::config::headers::{Claim, ClaimForm, HeaderConfig, HeaderRule, ValueSource};
use crate::oidc::claims;

/// A response head larger than this does not fit into nginx's default `proxy_buffer_size` of 4 KiB
/// together with its own lines, and the user would see a 500.
pub const NGINX_HEAD_BUDGET: usize = 3800;

static GAP_AUTH: HeaderName = HeaderName::from_static("gap-auth");

/// A claim whose value cannot stand in a header: a control character would end or forge one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the value of {claim} has characters that cannot stand in an HTTP header")]
pub struct Unprintable {
    /// Which one, by its name in the token.
    pub claim: String,
}

/// Headers with their values, in the order of the rules.
pub type InjectedHeaders = Vec<(HeaderName, HeaderValue)>;

/// Builds what an allowed answer says about a session.
pub fn answer_headers(settings: &HeaderConfig, body: &SessionBody) -> Result<InjectedHeaders, Unprintable> {
    let mut headers = injected(&settings.answers, Some(body))?;
    let identity = &body.identity;
    let who = if identity.email.is_empty() { &identity.user } else { &identity.email };
    let who = on_one_line(who);
    if !who.is_empty() {
        let value = HeaderValue::from_bytes(who.as_bytes()).map_err(|_| Unprintable { claim: "email".to_owned() })?;
        headers.push((GAP_AUTH.clone(), value));
    }
    Ok(headers)
}

/// What the rules make of a session; of none, what stands in them by itself. A rule without a value gives an empty header,
/// since a gateway that copies named headers may leave a client's own in place where the answer has none. Only
/// `Authorization` is left out where there is no session: there it is an API client's own credential.
pub fn injected(rules: &[HeaderRule], body: Option<&SessionBody>) -> Result<InjectedHeaders, Unprintable> {
    let mut headers = InjectedHeaders::new();
    for rule in rules {
        let mut joined = String::new();
        for source in &rule.values {
            append(&mut joined, source, body)?;
        }
        // Both were tried when the configuration was read.
        let (Ok(name), Ok(value)) = (HeaderName::try_from(&rule.name), HeaderValue::from_bytes(joined.as_bytes()))
        else {
            return Err(Unprintable { claim: rule.name.clone() });
        };
        let spared = body.is_none() && name == AUTHORIZATION;
        // A later rule of the same name takes an earlier one's place, but not with nothing.
        let written = || headers.iter().any(|(other, _)| *other == name);
        if !joined.is_empty() || !(spared || written()) {
            headers.push((name, value));
        }
    }
    Ok(headers)
}

/// Adds a source's values, each after a comma but for the first.
fn append(joined: &mut String, source: &ValueSource, body: Option<&SessionBody>) -> Result<(), Unprintable> {
    let mut put = |value: &str| {
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(value);
    };
    let (claim, form) = match source {
        ValueSource::Secret(secret) => {
            put(secret.expose());
            return Ok(());
        }
        ValueSource::Claim { claim, form } => (claim, form),
    };
    let Some(body) = body else { return Ok(()) };
    for value in values_of(claim, body).iter().map(|value| on_one_line(value)).filter(|value| !value.is_empty()) {
        if HeaderValue::from_bytes(value.as_bytes()).is_err() {
            return Err(Unprintable { claim: claim.to_string() });
        }
        match form {
            ClaimForm::Prefixed(prefix) => put(&format!("{prefix}{value}")),
            ClaimForm::Basic(password) => {
                put(&format!("Basic {}", STANDARD.encode(format!("{value}:{}", password.expose()))));
            }
        }
    }
    Ok(())
}

/// Line breaks become spaces, and what surrounds a value goes, as in oauth2-proxy: neither ends a
/// header nor begins another.
fn on_one_line(value: &str) -> Cow<'_, str> {
    let value = value.trim_matches([' ', '\t', '\r', '\n']);
    if value.contains(['\r', '\n']) { Cow::Owned(value.replace(['\r', '\n'], " ")) } else { Cow::Borrowed(value) }
}

fn values_of<'b>(claim: &Claim, body: &'b SessionBody) -> Cow<'b, [String]> {
    use std::slice::from_ref;
    let identity = &body.identity;
    let values = match claim {
        Claim::User => from_ref(&identity.user),
        Claim::Email => from_ref(&identity.email),
        Claim::PreferredUsername => from_ref(&identity.preferred_username),
        Claim::Groups => &identity.groups,
        Claim::AccessToken => from_ref(&body.access_token),
        Claim::IdToken => from_ref(&body.id_token),
        Claim::Additional(wanted) => {
            let found = body.additional_claims.iter().find(|(name, _)| name == wanted);
            let value = found.and_then(|(_, json)| serde_json::from_str(json).ok());
            return value.map_or(Cow::Borrowed(&[]), |value| Cow::Owned(claims::as_list(&value)));
        }
    };
    Cow::Borrowed(values)
}

/// Bytes that these headers take in a response head.
pub fn head_bytes(headers: &InjectedHeaders) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

#[cfg(test)]
mod tests {
    use conclave_proto::session::Identity;

    use super::*;
    use crate::config::Secret;

    fn body() -> SessionBody {
        SessionBody {
            identity: Identity {
                user: "u1".to_owned(),
                email: "u1@example.test".to_owned(),
                groups: vec!["a,b".to_owned(), String::new(), "größe".to_owned()],
                preferred_username: String::new(),
                groups_claimed: true,
            },
            issuer: "https://idp.test".to_owned(),
            id_token: "id.to.ken".to_owned(),
            access_token: "access".to_owned(),
            refresh_token: String::new(),
            token_expires_at: None,
            additional_claims: vec![("dept".to_owned(), r#""lab""#.to_owned())],
        }
    }

    fn texts(headers: &InjectedHeaders) -> Vec<(String, String)> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    #[test]
    fn headers_follow_the_rules() {
        let bare = answer_headers(&HeaderConfig::default(), &body()).expect("printable");
        assert_eq!(texts(&bare), pairs([("gap-auth", "u1@example.test")]));
        let settings = HeaderConfig {
            answers: vec![
                HeaderRule::of_claim("X-Auth-Request-User", Claim::User, ""),
                HeaderRule::of_claim("X-Auth-Request-Preferred-Username", Claim::PreferredUsername, ""),
                HeaderRule::of_claim("X-Auth-Request-Groups", Claim::Groups, ""),
                HeaderRule::of_claim("X-Dept", Claim::Additional("dept".to_owned()), "of "),
                HeaderRule::of_claim("X-None", Claim::Additional("none".to_owned()), "of "),
                HeaderRule::basic(Claim::Email, Secret::new("pw".to_owned())),
            ],
            ..HeaderConfig::default()
        };
        let expected = pairs([
            ("x-auth-request-user", "u1"),
            ("x-auth-request-preferred-username", ""),
            ("x-auth-request-groups", "a,b,größe"),
            ("x-dept", "of lab"),
            ("x-none", ""),
            ("authorization", "Basic dTFAZXhhbXBsZS50ZXN0OnB3"),
            ("gap-auth", "u1@example.test"),
        ]);
        assert_eq!(texts(&answer_headers(&settings, &body()).expect("printable")), expected);
    }

    #[test]
    fn several_sources_share_a_header_and_secrets_stand_alone() {
        let mut rule = HeaderRule::of_claim("X-All", Claim::User, "");
        rule.values.push(ValueSource::Secret(Secret::new("end".to_owned())));
        let rules = [rule, HeaderRule::of_claim("X-User", Claim::User, "")];
        let with = injected(&rules, Some(&body())).expect("printable");
        assert_eq!(texts(&with), pairs([("x-all", "u1,end"), ("x-user", "u1")]));
        assert_eq!(texts(&injected(&rules, None).expect("printable")), pairs([("x-all", "end"), ("x-user", "")]));
    }

    #[test]
    fn a_rule_without_a_value_gives_an_empty_header_and_takes_no_credentials_away() {
        let rules = [
            HeaderRule::of_claim("X-Groups", Claim::Groups, "of "),
            HeaderRule::of_claim("Authorization", Claim::IdToken, "Bearer "),
            HeaderRule::of_claim("X-User", Claim::User, ""),
            HeaderRule::of_claim("x-user", Claim::PreferredUsername, ""),
        ];
        let nobody = injected(&rules, None).expect("printable");
        assert_eq!(texts(&nobody), pairs([("x-groups", ""), ("x-user", "")]));
        let mut body = body();
        body.identity.groups.clear();
        body.id_token.clear();
        let somebody = injected(&rules, Some(&body)).expect("printable");
        assert_eq!(texts(&somebody), pairs([("x-groups", ""), ("authorization", ""), ("x-user", "u1")]));
    }

    #[test]
    fn a_claim_cannot_forge_a_header() {
        let mut body = body();
        body.identity.groups = vec![" x\r\nX-Forged: 1\n".to_owned()];
        let rules = [HeaderRule::of_claim("X-Groups", Claim::Groups, "")];
        assert_eq!(texts(&injected(&rules, Some(&body)).expect("printable")), pairs([("x-groups", "x  X-Forged: 1")]));
        body.identity.groups.push("x\0".to_owned());
        assert_eq!(injected(&rules, Some(&body)), Err(Unprintable { claim: "groups".to_owned() }));
    }
}
