//! Header values of a session by the configured rules: for answers and for upstream requests.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use conclave_proto::forwarded::Arrival;
use conclave_proto::header_value::{self, Kind, Place, SEPARATOR, Unfit, UnfitClaim, Written};
use conclave_proto::session::SessionBody;

use crate::config::headers::{Claim, ClaimForm, HeaderConfig, HeaderRule, ValueSource};
use crate::oidc::claims;

/// A response head larger than this does not fit into nginx's default `proxy_buffer_size` of 4 KiB
/// together with its own lines, and the user would see a 500.
pub const NGINX_HEAD_BUDGET: usize = 3800;

static GAP_AUTH: HeaderName = HeaderName::from_static("gap-auth");

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

/// What was made of a session.
#[derive(Debug)]
pub struct Made {
    /// What an allowed answer carries.
    pub headers: AnswerHeaders,
    /// What no header says, as it cannot stand there as it is.
    pub left_out: Vec<LeftOut>,
}

/// Values of a claim that headers lack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Which one, by its standard name.
    pub claim: String,
    /// How many of its values.
    pub values: u64,
}

/// Builds what an allowed answer says about a session. An error refuses its owner.
pub fn answer_headers(settings: &HeaderConfig, body: &SessionBody) -> Result<Made, UnfitClaim> {
    let left_out = left_out(settings, body)?;
    let build = |secrets| with_gap_auth(injected(settings, Some(body), secrets)?, settings, body);
    let whole = settings.secret_answers().next().map(|_| build(Secrets::Told)).transpose()?;
    Ok(Made { headers: AnswerHeaders { public: build(Secrets::Withheld)?, whole }, left_out })
}

/// What stands on an allowed answer where no session is needed and none is there: never a secret.
pub fn headers_of_nobody(settings: &HeaderConfig) -> Result<InjectedHeaders, UnfitClaim> {
    injected(settings, None, Secrets::Withheld)
}

/// Holds every claim that this configuration hands out against the rule; of upstream requests too.
fn left_out(settings: &HeaderConfig, body: &SessionBody) -> Result<Vec<LeftOut>, UnfitClaim> {
    let mut found: Vec<LeftOut> = Vec::new();
    for rule in settings.handing_out() {
        for source in &rule.values {
            let ValueSource::Claim { claim, form } = source else { continue };
            let place = place_of(rule, form);
            let mut values = 0;
            let all = values_of(claim, body);
            for value in all.texts() {
                match written(settings, claim, value, all.kind, place)? {
                    Written::LeftOut(_) => values += 1,
                    Written::Text(_) | Written::Nothing => {}
                }
            }
            if values > 0 {
                note(&mut found, claim, values);
            }
        }
    }
    Ok(found)
}

/// A value counts once, however many headers lack it.
fn note(found: &mut Vec<LeftOut>, claim: &Claim, values: u64) {
    let claim = claim.to_string();
    match found.iter_mut().find(|other| other.claim == claim) {
        Some(other) => other.values = other.values.max(values),
        None => found.push(LeftOut { claim, values }),
    }
}

/// Beside another source a single value is one of a list too.
fn place_of(rule: &HeaderRule, form: &ClaimForm) -> Place {
    match form {
        ClaimForm::Basic(_) => Place::UserOfBasic,
        ClaimForm::Prefixed(_) if rule.values.len() > 1 => Place::Listed,
        ClaimForm::Prefixed(_) => Place::Alone,
    }
}

/// What a value becomes, with the claim's name where it keeps its owner out.
fn written<'v>(
    settings: &HeaderConfig,
    claim: &Claim,
    value: &'v str,
    kind: Kind,
    place: Place,
) -> Result<Written<'v>, UnfitClaim> {
    let place = if kind == Kind::Element && place == Place::Alone { Place::Listed } else { place };
    let written = header_value::write(value, kind, place, settings.unfitting);
    written.map_err(|why| UnfitClaim { claim: claim.to_string(), why })
}

fn with_gap_auth(
    mut headers: InjectedHeaders,
    settings: &HeaderConfig,
    body: &SessionBody,
) -> Result<InjectedHeaders, UnfitClaim> {
    let identity = &body.identity;
    let (claim, who) =
        if identity.email.is_empty() { (Claim::User, &identity.user) } else { (Claim::Email, &identity.email) };
    if let Written::Text(who) = written(settings, &claim, who, Kind::Identity, Place::Alone)? {
        headers.push((GAP_AUTH.clone(), header_value(&claim.to_string(), &who)?));
    }
    Ok(headers)
}

/// What the rules of answers make of a session, or of none. A rule without a value gives an empty header, since a
/// gateway that copies named headers may leave a client's own in place where the answer has none. Only `Authorization`
/// is left out where there is no session: there it is an API client's own credential.
fn injected(
    settings: &HeaderConfig,
    body: Option<&SessionBody>,
    secrets: Secrets,
) -> Result<InjectedHeaders, UnfitClaim> {
    let mut headers = InjectedHeaders::new();
    for rule in &settings.answers {
        let mut joined = String::new();
        let told = |source: &&ValueSource| secrets == Secrets::Told || !source.is_secret();
        for source in rule.values.iter().filter(told) {
            append(&mut joined, settings, rule, source, body)?;
        }
        // The name was tried when the configuration was read.
        let Ok(name) = HeaderName::try_from(&rule.name) else { continue };
        let value = header_value(&rule.name, &joined)?;
        let spared = body.is_none() && name == AUTHORIZATION;
        // A later rule of the same name takes an earlier one's place, but not with nothing.
        let written = || headers.iter().any(|(other, _)| *other == name);
        if !joined.is_empty() || !(spared || written()) {
            headers.push((name, value));
        }
    }
    Ok(headers)
}

/// The rule lets nothing through that no header can carry, and secrets and prefixes were tried when the configuration
/// was read.
fn header_value(claim: &str, text: &str) -> Result<HeaderValue, UnfitClaim> {
    let unfit = |_| UnfitClaim { claim: claim.to_owned(), why: Unfit::Control };
    HeaderValue::from_bytes(text.as_bytes()).map_err(unfit)
}

/// Adds a source's values, each after a comma but for the first.
fn append(
    joined: &mut String,
    settings: &HeaderConfig,
    rule: &HeaderRule,
    source: &ValueSource,
    body: Option<&SessionBody>,
) -> Result<(), UnfitClaim> {
    let mut put = |value: &str| {
        if !joined.is_empty() {
            joined.push(SEPARATOR);
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
    let values = values_of(claim, body);
    for value in values.texts() {
        let Written::Text(value) = written(settings, claim, value, values.kind, place_of(rule, form))? else {
            continue;
        };
        match form {
            ClaimForm::Prefixed(prefix) => put(&format!("{prefix}{value}")),
            ClaimForm::Basic(password) => {
                put(&format!("Basic {}", STANDARD.encode(format!("{value}:{}", password.expose()))));
            }
        }
    }
    Ok(())
}

/// A claim's values, and what they say.
struct Values<'b> {
    kind: Kind,
    texts: Cow<'b, [String]>,
}

impl Values<'_> {
    fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }
}

fn values_of<'b>(claim: &Claim, body: &'b SessionBody) -> Values<'b> {
    use std::slice::from_ref;
    let identity = &body.identity;
    let (kind, texts) = match claim {
        Claim::User => (Kind::Identity, from_ref(&identity.user)),
        Claim::Email => (Kind::Identity, from_ref(&identity.email)),
        Claim::PreferredUsername => (Kind::Identity, from_ref(&identity.preferred_username)),
        Claim::Groups => (Kind::Element, identity.groups.as_slice()),
        Claim::AccessToken => (Kind::Token, from_ref(&body.access_token)),
        Claim::IdToken => (Kind::Token, from_ref(&body.id_token)),
        Claim::Additional(wanted) => return further(wanted, body),
    };
    Values { kind, texts: Cow::Borrowed(texts) }
}

/// A further claim: a list, or one value.
fn further<'b>(wanted: &str, body: &'b SessionBody) -> Values<'b> {
    let found = body.additional_claims.iter().find(|(name, _)| name == wanted);
    let value: Option<serde_json::Value> = found.and_then(|(_, json)| serde_json::from_str(json).ok());
    let Some(value) = value else { return Values { kind: Kind::Single, texts: Cow::Borrowed(&[]) } };
    let kind = if value.is_array() { Kind::Element } else { Kind::Single };
    Values { kind, texts: Cow::Owned(claims::as_list(&value)) }
}

/// Bytes that these headers take in a response head.
fn head_bytes(headers: &InjectedHeaders) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}
