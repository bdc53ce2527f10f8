//! The structured file (`--alpha-config`): the same settings under other names, and what only it can
//! say. What an option can say becomes that option's value; the rest stands in [`Structured`].

mod expand;
mod fields;
mod headers;
mod provider;
mod replaced;
mod secret;
mod server;
mod upstreams;

use std::collections::BTreeMap;
use std::path::Path;

use conclave_proto::id::ProviderId;
use conclave_proto::login::LoginParameter;
use serde_json::Value as Document;

use self::fields::Fields;
use super::headers::HeaderConfig;
use super::problem::Findings;
use super::settings::Variables;
use super::value::Value;
use super::{Secret, table};
pub use replaced::is_replaced;
pub use upstreams::{StructuredTarget, StructuredUpstream};

/// The option that every problem of the file is told under.
const OPTION: &str = "alpha_config";

/// Largest file that is read: far beyond any real one.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What only the structured file can say.
#[derive(Debug, Default)]
pub struct Structured {
    /// Headers on answers and upstream requests.
    pub headers: HeaderConfig,
    /// The first provider's name.
    pub provider_id: Option<ProviderId>,
    /// Parameters of the authorization request, besides the protocol's own.
    pub login_parameters: Vec<LoginParameter>,
    /// Claims that sessions keep besides those that a header rule names.
    pub additional_claims: Vec<String>,
    /// PEM certificate chain and key of the secure listener, where they are given as values.
    pub certificate: PemPair,
    /// The same of the secure listener for metrics.
    pub metrics_certificate: PemPair,
    /// More than one provider is named.
    pub several_providers: bool,
    /// What answers outside the prefix.
    pub upstreams: Vec<StructuredUpstream>,
    /// Values of options by their names.
    pub(super) values: BTreeMap<&'static str, Value>,
}

/// PEM texts of a listener.
#[derive(Clone, Debug, Default)]
pub struct PemPair {
    /// Certificate chain.
    pub certificate: Option<Secret<String>>,
    /// Private key.
    pub key: Option<Secret<String>>,
}

/// Reads and checks the file.
pub(super) fn read(path: &Path, variables: Variables<'_>, findings: &mut Findings) -> Structured {
    let text = std::fs::metadata(path).and_then(|meta| {
        if meta.len() > MAX_FILE_BYTES {
            return Err(std::io::Error::other("is larger than 1 MiB"));
        }
        std::fs::read_to_string(path)
    });
    match text {
        Ok(text) => of_text(&text, variables, findings),
        Err(error) => {
            findings.problem(OPTION, format!("cannot read {}: {error}", path.display()));
            Structured::default()
        }
    }
}

fn of_text(text: &str, variables: Variables<'_>, findings: &mut Findings) -> Structured {
    let text = expand::expand(text, &|name| variables(name)?.into_string().ok());
    match parse(&text) {
        Ok(document) => Reader { variables, structured: Structured::default() }.read(&document, findings),
        Err(why) => {
            findings.problem(OPTION, format!("is not YAML: {why}"));
            Structured::default()
        }
    }
}

/// The document, or where and why it cannot be read: without the line itself, which may hold a secret.
fn parse(text: &str) -> Result<Document, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

struct Reader<'v> {
    variables: Variables<'v>,
    structured: Structured,
}

impl Reader<'_> {
    fn read(mut self, document: &Document, findings: &mut Findings) -> Structured {
        let mut top = Fields::of(document, "", findings);
        let requests = top.children("injectRequestHeaders", findings);
        self.structured.headers.requests = self.headers("injectRequestHeaders", requests, findings);
        let answers = top.children("injectResponseHeaders", findings);
        self.structured.headers.answers = self.headers("injectResponseHeaders", answers, findings);
        let upstreams = top.child("upstreamConfig", findings);
        self.upstreams(upstreams, findings);
        let server = top.child("server", findings);
        self.structured.certificate = self.server(server, &server::SERVICE, findings);
        let metrics = top.child("metricsServer", findings);
        self.structured.metrics_certificate = self.server(metrics, &server::METRICS, findings);
        let providers = top.children("providers", findings);
        self.providers(providers, findings);
        top.finish(findings);
        self.structured
    }

    /// Gives an option its value.
    fn set(&mut self, option: &'static str, value: Value) {
        self.structured.values.insert(option, value);
    }

    /// Takes fields as the values of the options that mean the same.
    fn copy(&mut self, fields: &mut Fields<'_>, pairs: &[(&'static str, &'static str)], findings: &mut Findings) {
        use super::option::Kind;
        for (field, option) in pairs {
            let row = table::by_name(option).expect("the pairs name options of the table, which a test holds");
            let value = match row.kind {
                Kind::Bool => fields.flag(field, findings).map(Value::Bool),
                Kind::Int => fields.whole(field, findings).map(Value::Int),
                Kind::Text => fields.text(field, findings).map(Value::Text),
                Kind::List => fields.texts(field, findings).map(Value::List),
                Kind::Duration => fields.text(field, findings).and_then(|text| {
                    let at = fields.place(field);
                    let read = Value::of_flag(Kind::Duration, &text);
                    read.map_err(|error| findings.problem(OPTION, format!("{at} {error}"))).ok()
                }),
            };
            // A field may be known under two names.
            if let Some(value) = value {
                self.set(row.name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
