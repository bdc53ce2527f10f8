//! Forms of log lines: the part of Go's `text/template` that they use, read once and then rendered
//! without allocating. What a line may hold is decided here; where it goes is not.

use std::fmt;

use thiserror::Error;

mod escape;
mod parse;
mod redact;
#[cfg(test)]
mod tests;

pub use escape::{MAX_VALUE, clipped, escape, push_quoted, push_word, quote};
pub use redact::redacted;

/// What a line can tell, by oauth2-proxy's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Address of the client.
    Client,
    /// Where in the program a line was written.
    File,
    /// The host that was asked for.
    Host,
    /// What happened.
    Message,
    /// `HTTP/1.1`.
    Protocol,
    /// Seconds with three decimals.
    RequestDuration,
    /// The request's id.
    RequestId,
    /// `GET`.
    RequestMethod,
    /// Path and query, quoted, secrets taken out.
    RequestUri,
    /// Bytes of the answer's body.
    ResponseSize,
    /// `AuthSuccess`, `AuthFailure` or `AuthError`.
    Status,
    /// Status of the answer.
    StatusCode,
    /// When.
    Timestamp,
    /// Where the request went on to.
    Upstream,
    /// The client's name for itself, quoted.
    UserAgent,
    /// Who asked.
    Username,
}

impl Field {
    const ALL: [Self; 16] = [
        Self::Client,
        Self::File,
        Self::Host,
        Self::Message,
        Self::Protocol,
        Self::RequestDuration,
        Self::RequestId,
        Self::RequestMethod,
        Self::RequestUri,
        Self::ResponseSize,
        Self::Status,
        Self::StatusCode,
        Self::Timestamp,
        Self::Upstream,
        Self::UserAgent,
        Self::Username,
    ];

    /// Its name in a template.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "Client",
            Self::File => "File",
            Self::Host => "Host",
            Self::Message => "Message",
            Self::Protocol => "Protocol",
            Self::RequestDuration => "RequestDuration",
            Self::RequestId => "RequestID",
            Self::RequestMethod => "RequestMethod",
            Self::RequestUri => "RequestURI",
            Self::ResponseSize => "ResponseSize",
            Self::Status => "Status",
            Self::StatusCode => "StatusCode",
            Self::Timestamp => "Timestamp",
            Self::Upstream => "Upstream",
            Self::UserAgent => "UserAgent",
            Self::Username => "Username",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::ResponseSize | Self::StatusCode)
    }
}

/// The three sorts of lines, each with fields of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// About running.
    Standard,
    /// About logins, refusals and sign-outs.
    Auth,
    /// One per HTTP request.
    Request,
}

impl LineKind {
    /// What its lines can tell.
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::Standard => &[Field::File, Field::Message, Field::Timestamp],
            Self::Auth => &[
                Field::Client,
                Field::Host,
                Field::Message,
                Field::Protocol,
                Field::RequestId,
                Field::RequestMethod,
                Field::Status,
                Field::Timestamp,
                Field::UserAgent,
                Field::Username,
            ],
            Self::Request => &[
                Field::Client,
                Field::Host,
                Field::Protocol,
                Field::RequestDuration,
                Field::RequestId,
                Field::RequestMethod,
                Field::RequestUri,
                Field::ResponseSize,
                Field::StatusCode,
                Field::Timestamp,
                Field::Upstream,
                Field::UserAgent,
                Field::Username,
            ],
        }
    }

    fn field(self, name: &str) -> Option<Field> {
        self.fields().iter().copied().find(|field| field.name() == name)
    }
}

/// Why a template was refused. The text names the part that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidTemplate {
    /// `{{` without `}}`.
    #[error("the template has {{{{ without }}}}")]
    Unclosed,
    /// No such field in lines of this kind.
    #[error("the template has no field {found:?}: there are {}", Names(*.kind))]
    NoField {
        /// What was named.
        found: String,
        /// In what kind of line.
        kind: LineKind,
    },
    /// More of Go's language than lines are made of.
    #[error(
        "{{{{{action}}}}} is not supported: a template holds text, fields such as {{{{.Message}}}}, \
         and {{{{if .Field}}}} with {{{{else}}}} and {{{{end}}}}"
    )]
    Unsupported {
        /// The action between the braces.
        action: String,
    },
    /// `{{else}}` or `{{end}}` without `{{if}}`.
    #[error("{{{{{0}}}}} stands without its {{{{if}}}}")]
    Stray(&'static str),
    /// `{{if}}` without `{{end}}`.
    #[error("an {{{{if}}}} has no {{{{end}}}}")]
    Open,
    /// More than [`parse::MAX_DEPTH`] conditions inside each other.
    #[error("conditions stand more than {} deep", parse::MAX_DEPTH)]
    TooDeep,
}

/// Names of a kind's fields, for messages.
struct Names(LineKind);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.fields().iter().map(|field| field.name()).collect();
        f.write_str(&names.join(", "))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Text(Box<str>),
    Field(Field),
    If { branches: Vec<(Field, Vec<Node>)>, otherwise: Vec<Node> },
}

/// The form of one kind of line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    nodes: Vec<Node>,
    /// Bit `field as usize` is set if the field stands anywhere in the template.
    used: u16,
}

/// What a line is filled with.
pub trait Values {
    /// Appends the text of one field. Whatever comes from outside is escaped or quoted already.
    fn append(&self, field: Field, out: &mut String);
}

impl Template {
    /// Reads a template of one kind of line.
    pub fn parse(text: &str, kind: LineKind) -> Result<Self, InvalidTemplate> {
        let nodes = parse::parse(text, kind)?;
        let used = Field::ALL.iter().filter(|field| uses(&nodes, **field)).fold(0, |used, field| used | bit(*field));
        Ok(Self { nodes, used })
    }

    /// Whether a field stands anywhere in it, so that what costs something to find out need not be.
    pub fn uses(&self, field: Field) -> bool {
        self.used & bit(field) != 0
    }

    /// Appends the line, without an end of line.
    pub fn render(&self, values: &impl Values, out: &mut String) {
        render(&self.nodes, values, out);
    }
}

const fn bit(field: Field) -> u16 {
    1 << field as u16
}

fn uses(nodes: &[Node], wanted: Field) -> bool {
    nodes.iter().any(|node| match node {
        Node::Text(_) => false,
        Node::Field(field) => *field == wanted,
        Node::If { branches, otherwise } => {
            branches.iter().any(|(field, inner)| *field == wanted || uses(inner, wanted)) || uses(otherwise, wanted)
        }
    })
}

fn render(nodes: &[Node], values: &impl Values, out: &mut String) {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Field(field) => values.append(*field, out),
            Node::If { branches, otherwise } => {
                let taken = branches.iter().find(|(field, _)| is_true(*field, values, out));
                render(taken.map_or(otherwise, |(_, inner)| inner), values, out);
            }
        }
    }
}

/// Go's truth: a text that is not empty, a number that is not zero.
fn is_true(field: Field, values: &impl Values, out: &mut String) -> bool {
    let before = out.len();
    values.append(field, out);
    let text = &out[before..];
    let falsy = text.is_empty() || (field.is_number() && text == "0");
    out.truncate(before);
    !falsy
}
