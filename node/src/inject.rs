//! Header values of a session by the configured rules: for answers and for upstream requests.

use std::borrow::Cow;

use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use conclave_proto::forwarded::Arrival;
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

/// What allowed answers say about one session. The operator's secrets are in one of its two forms alone, and the
/// listener chooses the form: no handler can hand a secret to a browser.
#[derive(Clone, Debug)]
pub struct AnswerHeaders {
    /// Without any secret.
    public: InjectedHeaders,
    /// With them; none where no rule has a secret.
    whole: Option<InjectedHeaders>,
}

impl AnswerHeaders {
    /// Those that go out at a listener.
    pub fn at(&self, arrival: Arrival) -> &InjectedHeaders {
        match (arrival, &self.whole) {
            (Arrival::GatewaysOnly, Some(whole)) => whole,
            (Arrival::GatewaysOnly, None) | (Arrival::Shared, _) => &self.public,
        }
    }

    /// Whether a secret is left out there.
    pub const fn withheld_at(&self, arrival: Arrival) -> bool {
        matches!(arrival, Arrival::Shared) && self.whole.is_some()
    }

    /// Bytes that the longest answer takes in a response head.
    pub fn head_bytes(&self) -> usize {
        head_bytes(self.at(Arrival::GatewaysOnly))
    }

    /// Bytes of memory: values that both forms have are shared, and counted twice all the same.
    pub fn weight(&self) -> usize {
        head_bytes(&self.public) + self.whole.as_ref().map_or(0, head_bytes)
    }
}

/// Whether rules tell secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Secrets {
    Told,
    Withheld,
}

/// Builds what an allowed answer says about a session.
pub fn answer_headers(settings: &HeaderConfig, body: &SessionBody) -> Result<AnswerHeaders, Unprintable> {
    let build = |secrets| with_gap_auth(injected(&settings.answers, Some(body), secrets)?, body);
    let whole = settings.secret_answers().next().map(|_| build(Secrets::Told)).transpose()?;
    Ok(AnswerHeaders { public: build(Secrets::Withheld)?, whole })
}

/// What stands on an allowed answer where no session is needed and none is there: never a secret.
pub fn headers_of_nobody(settings: &HeaderConfig) -> Result<InjectedHeaders, Unprintable> {
    injected(&settings.answers, None, Secrets::Withheld)
}

fn with_gap_auth(mut headers: InjectedHeaders, body: &SessionBody) -> Result<InjectedHeaders, Unprintable> {
    let identity = &body.identity;
    let who = if identity.email.is_empty() { &identity.user } else { &identity.email };
    let who = on_one_line(who);
    if !who.is_empty() {
        let value = HeaderValue::from_bytes(who.as_bytes()).map_err(|_| Unprintable { claim: "email".to_owned() })?;
        headers.push((GAP_AUTH.clone(), value));
    }
    Ok(headers)
}

/// What the rules make of a session, or of none. A rule without a value gives an empty header, since a gateway that
/// copies named headers may leave a client's own in place where the answer has none. Only `Authorization` is left out
/// where there is no session: there it is an API client's own credential.
fn injected(
    rules: &[HeaderRule],
    body: Option<&SessionBody>,
    secrets: Secrets,
) -> Result<InjectedHeaders, Unprintable> {
    let mut headers = InjectedHeaders::new();
    for rule in rules {
        let mut joined = String::new();
        let told = |source: &&ValueSource| secrets == Secrets::Told || !source.is_secret();
        for source in rule.values.iter().filter(told) {
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
fn head_bytes(headers: &InjectedHeaders) -> usize {
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
            local_line: None,
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
        assert_eq!(texts(bare.at(Arrival::Shared)), pairs([("gap-auth", "u1@example.test")]));
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
        let found = answer_headers(&settings, &body()).expect("printable");
        assert_eq!(texts(found.at(Arrival::GatewaysOnly)), expected);
        let withheld = |(name, value): (String, String)| {
            let value = if name == "authorization" { String::new() } else { value };
            (name, value)
        };
        let public: Vec<_> = expected.into_iter().map(withheld).collect();
        assert_eq!(texts(found.at(Arrival::Shared)), public);
    }

    #[test]
    fn several_sources_share_a_header_and_secrets_leave_it_where_they_may_not_go() {
        let secret = || ValueSource::Secret(Secret::new("end".to_owned()));
        let mut both = HeaderRule::of_claim("X-All", Claim::User, "");
        both.values.push(secret());
        let alone = HeaderRule { name: "X-Key".to_owned(), values: vec![secret()], ..both.clone() };
        let answers = vec![both, alone, HeaderRule::of_claim("X-User", Claim::User, "")];
        let settings = HeaderConfig { answers, ..HeaderConfig::default() };
        let found = answer_headers(&settings, &body()).expect("printable");
        let gap = ("gap-auth", "u1@example.test");
        let whole = pairs([("x-all", "u1,end"), ("x-key", "end"), ("x-user", "u1"), gap]);
        assert_eq!(texts(found.at(Arrival::GatewaysOnly)), whole);
        let public = pairs([("x-all", "u1"), ("x-key", ""), ("x-user", "u1"), gap]);
        assert_eq!(texts(found.at(Arrival::Shared)), public);
        assert!(found.withheld_at(Arrival::Shared) && !found.withheld_at(Arrival::GatewaysOnly));
        let nobody = pairs([("x-all", ""), ("x-key", ""), ("x-user", "")]);
        assert_eq!(texts(&headers_of_nobody(&settings).expect("printable")), nobody);
        assert_eq!(found.head_bytes(), head_bytes(found.at(Arrival::GatewaysOnly)));
        assert!(found.weight() > found.head_bytes(), "both forms are in memory");
    }

    #[test]
    fn p5_a_every_configured_header_stands_on_every_allowed_answer_and_takes_no_credentials_away() {
        let rules = [
            HeaderRule::of_claim("X-Groups", Claim::Groups, "of "),
            HeaderRule::of_claim("Authorization", Claim::IdToken, "Bearer "),
            HeaderRule::of_claim("X-User", Claim::User, ""),
            HeaderRule::of_claim("x-user", Claim::PreferredUsername, ""),
        ];
        let nobody = injected(&rules, None, Secrets::Told).expect("printable");
        assert_eq!(texts(&nobody), pairs([("x-groups", ""), ("x-user", "")]));
        let mut body = body();
        body.identity.groups.clear();
        body.id_token.clear();
        let somebody = injected(&rules, Some(&body), Secrets::Told).expect("printable");
        assert_eq!(texts(&somebody), pairs([("x-groups", ""), ("authorization", ""), ("x-user", "u1")]));
    }

    #[test]
    fn a_claim_cannot_forge_a_header() {
        let mut body = body();
        body.identity.groups = vec![" x\r\nX-Forged: 1\n".to_owned()];
        let rules = [HeaderRule::of_claim("X-Groups", Claim::Groups, "")];
        let injected = |body: &SessionBody| injected(&rules, Some(body), Secrets::Told);
        assert_eq!(texts(&injected(&body).expect("printable")), pairs([("x-groups", "x  X-Forged: 1")]));
        body.identity.groups.push("x\0".to_owned());
        assert_eq!(injected(&body), Err(Unprintable { claim: "groups".to_owned() }));
    }
}
