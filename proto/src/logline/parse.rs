//! Reading a template: text, fields, conditions, and the marks that trim white space.

use super::{Field, InvalidTemplate, LineKind, Node};

/// Conditions inside each other; nobody reads a log line made of more.
pub(super) const MAX_DEPTH: usize = 16;

/// One piece of a template.
enum Piece<'t> {
    Text(&'t str),
    Action(&'t str),
}

/// Conditions that are still open, the innermost last.
struct Open {
    branches: Vec<(Field, Vec<Node>)>,
    /// Set once `{{else}}` came.
    otherwise: Option<Vec<Node>>,
}

pub(super) fn parse(text: &str, kind: LineKind) -> Result<Vec<Node>, InvalidTemplate> {
    let (mut root, mut open) = (Vec::new(), Vec::<Open>::new());
    for piece in pieces(text)? {
        match piece {
            Piece::Text("") => {}
            Piece::Text(text) => place(&mut root, &mut open).push(Node::Text(text.into())),
            Piece::Action(action) => act(action, kind, &mut root, &mut open)?,
        }
    }
    if open.is_empty() { Ok(root) } else { Err(InvalidTemplate::Open) }
}

/// Where the next node goes.
fn place<'n>(root: &'n mut Vec<Node>, open: &'n mut [Open]) -> &'n mut Vec<Node> {
    let Some(innermost) = open.last_mut() else { return root };
    match &mut innermost.otherwise {
        Some(otherwise) => otherwise,
        None => innermost.branches.last_mut().map_or(root, |(_, nodes)| nodes),
    }
}

fn act(action: &str, kind: LineKind, root: &mut Vec<Node>, open: &mut Vec<Open>) -> Result<(), InvalidTemplate> {
    let words: Vec<&str> = action.split_whitespace().collect();
    match words.as_slice() {
        ["if", condition] => {
            if open.len() >= MAX_DEPTH {
                return Err(InvalidTemplate::TooDeep);
            }
            let branches = vec![(field(condition, action, kind)?, Vec::new())];
            open.push(Open { branches, otherwise: None });
        }
        ["else", "if", condition] => {
            let condition = field(condition, action, kind)?;
            let innermost = open.last_mut().filter(|innermost| innermost.otherwise.is_none());
            innermost.ok_or(InvalidTemplate::Stray("else"))?.branches.push((condition, Vec::new()));
        }
        ["else"] => {
            let innermost = open.last_mut().filter(|innermost| innermost.otherwise.is_none());
            innermost.ok_or(InvalidTemplate::Stray("else"))?.otherwise = Some(Vec::new());
        }
        ["end"] => {
            let Open { branches, otherwise } = open.pop().ok_or(InvalidTemplate::Stray("end"))?;
            let otherwise = otherwise.unwrap_or_default();
            place(root, open).push(Node::If { branches, otherwise });
        }
        _ if action.starts_with("/*") && action.ends_with("*/") => {}
        [word] => {
            let field = field(word, action, kind)?;
            place(root, open).push(Node::Field(field));
        }
        _ => return Err(InvalidTemplate::Unsupported { action: action.to_owned() }),
    }
    Ok(())
}

fn field(word: &str, action: &str, kind: LineKind) -> Result<Field, InvalidTemplate> {
    let name =
        word.strip_prefix('.').filter(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()));
    let Some(name) = name else {
        return Err(InvalidTemplate::Unsupported { action: action.to_owned() });
    };
    kind.field(name).ok_or_else(|| InvalidTemplate::NoField { found: name.to_owned(), kind })
}

/// Splits at the braces. `{{- ` takes the white space before it away, ` -}}` that behind it.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, InvalidTemplate> {
    let (mut pieces, mut rest, mut trim) = (Vec::new(), text, false);
    loop {
        let (before, after) = match rest.split_once("{{") {
            Some((before, after)) => (before, Some(after)),
            None => (rest, None),
        };
        let before = if trim { before.trim_start() } else { before };
        let Some(after) = after else {
            pieces.push(Piece::Text(before));
            return Ok(pieces);
        };
        let (action, next) = after.split_once("}}").ok_or(InvalidTemplate::Unclosed)?;
        let (trims_before, action) = match action.strip_prefix('-') {
            Some(inner) if inner.starts_with(char::is_whitespace) => (true, inner),
            Some(_) | None => (false, action),
        };
        let (trims_after, action) = match action.strip_suffix('-') {
            Some(inner) if inner.ends_with(char::is_whitespace) => (true, inner),
            Some(_) | None => (false, action),
        };
        pieces.push(Piece::Text(if trims_before { before.trim_end() } else { before }));
        pieces.push(Piece::Action(action.trim()));
        (rest, trim) = (next, trims_after);
    }
}
