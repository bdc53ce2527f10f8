//! `$VARIABLE` and `${VARIABLE}` in the structured file, as Go's `os.Expand` has them.

/// Puts variables in: an unset one is empty, `$$` is a dollar, and what is no name, such as the `$1` of
/// a rewrite or the `$` at the end of a pattern, stays as it is.
pub(super) fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(more) = after.strip_prefix('$') {
            out.push('$');
            rest = more;
            continue;
        }
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, more) = braced.unwrap_or_else(|| after.split_at(name_length(after)));
        if is_name(name) {
            out.push_str(&variable(name).unwrap_or_default());
            rest = more;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn name_length(text: &str) -> usize {
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()
}

fn is_name(text: &str) -> bool {
    name_length(text) == text.len() && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_and_everything_else_stays() {
        let variable = |name: &str| (name == "A_1").then(|| "x".to_owned());
        for (text, expected) in [
            ("a: $A_1, ${A_1}z", "a: x, xz"),
            ("$NONE|${NONE}|", "||"),
            ("a$$b", "a$b"),
            ("/$1 ${1} ^x$ ^[^@]*$' $", "/$1 ${1} ^x$ ^[^@]*$' $"),
            ("${A_1", "${A_1"),
            ("ä$A_1ö", "äxö"),
        ] {
            assert_eq!(expand(text, &variable), expected);
        }
    }
}
