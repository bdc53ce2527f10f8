//! Values of options, and reading them as oauth2-proxy does from flags, variables and TOML.

use std::fmt;

use thiserror::Error;

use super::duration;
use super::option::Kind;

/// A value of one of the five kinds.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Int`].
    Int(i64),
    /// Of [`Kind::Text`].
    Text(String),
    /// Of [`Kind::Duration`], in nanoseconds; may be negative.
    Duration(i64),
    /// Of [`Kind::List`].
    List(Vec<String>),
}

/// Values may be secrets, so only their kind prints.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool(_) => "Bool(..)",
            Self::Int(_) => "Int(..)",
            Self::Text(_) => "Text(..)",
            Self::Duration(_) => "Duration(..)",
            Self::List(_) => "List(..)",
        })
    }
}

/// Why a value was refused. Never carries the value, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidValue {
    /// Not one of Go's spellings.
    #[error("needs true or false")]
    Bool,
    /// Not a whole number of 64 bits.
    #[error("needs a whole number")]
    Int,
    /// Not a Go duration.
    #[error("needs a duration such as 15m, 1h30m or 168h")]
    Duration,
    /// A list or table in the file.
    #[error("needs a string")]
    Text,
    /// Tables or lists inside a list.
    #[error("needs a list of strings")]
    List,
    /// A quote that is not closed, or stands in the middle.
    #[error("has a quote out of place; a value with a comma is written as '\"a,b\"'")]
    Quote,
}

impl Value {
    /// Reads a flag's value, strictly.
    pub fn of_flag(kind: Kind, raw: &str) -> Result<Self, InvalidValue> {
        match kind {
            Kind::Bool => parse_bool(raw).map(Self::Bool).ok_or(InvalidValue::Bool),
            Kind::Int => parse_int(raw).map(Self::Int).ok_or(InvalidValue::Int),
            Kind::Text => Ok(Self::Text(raw.to_owned())),
            Kind::Duration => duration::parse(raw).map(Self::Duration).ok_or(InvalidValue::Duration),
            Kind::List => parse_csv(raw).map(Self::List).ok_or(InvalidValue::Quote),
        }
    }

    /// Reads a variable's value, or a string in the file: an empty number is 0, an empty boolean
    /// false, a list is split at commas without trimming or quoting.
    pub fn of_string(kind: Kind, raw: &str) -> Result<Self, InvalidValue> {
        match kind {
            Kind::Bool if raw.is_empty() => Ok(Self::Bool(false)),
            Kind::Int if raw.is_empty() => Ok(Self::Int(0)),
            Kind::List if raw.is_empty() => Ok(Self::List(Vec::new())),
            Kind::List => Ok(Self::List(raw.split(',').map(str::to_owned).collect())),
            Kind::Bool | Kind::Int | Kind::Text | Kind::Duration => Self::of_flag(kind, raw),
        }
    }

    /// Reads a value of the file, weakly typed.
    pub fn of_toml(kind: Kind, raw: &toml::Value) -> Result<Self, InvalidValue> {
        if let toml::Value::String(text) = raw {
            return Self::of_string(kind, text);
        }
        match kind {
            Kind::Bool => number_of(raw).map(|number| Self::Bool(number != 0.0)).ok_or(InvalidValue::Bool),
            Kind::Int => whole_of(raw).map(Self::Int).ok_or(InvalidValue::Int),
            Kind::Text => text_of(raw).map(Self::Text).ok_or(InvalidValue::Text),
            Kind::Duration => whole_of(raw).map(Self::Duration).ok_or(InvalidValue::Duration),
            Kind::List => list_of(raw).map(Self::List).ok_or(InvalidValue::List),
        }
    }

    /// Reads a default of the option table.
    pub(super) fn of_default(kind: Kind, raw: &str) -> Self {
        match kind {
            Kind::List => {
                let inner = raw.trim_start_matches('[').trim_end_matches(']');
                Self::List(inner.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect())
            }
            Kind::Bool | Kind::Int | Kind::Text | Kind::Duration => {
                Self::of_flag(kind, raw).expect("the table's defaults are of their kind, which a test holds")
            }
        }
    }
}

/// Go's `strconv.ParseBool`.
fn parse_bool(raw: &str) -> Option<bool> {
    match raw {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Go's `strconv.ParseInt` with base 0: `0x`, `0o`, `0b` and a leading 0 name a base.
fn parse_int(raw: &str) -> Option<i64> {
    let (negative, digits) = match raw.as_bytes().first()? {
        b'-' => (true, &raw[1..]),
        b'+' => (false, &raw[1..]),
        _ => (false, raw),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, base).ok()?);
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

fn number_of(raw: &toml::Value) -> Option<f64> {
    match raw {
        toml::Value::Boolean(flag) => Some(f64::from(u8::from(*flag))),
        // Only whether it is 0 matters, which the cast keeps.
        #[expect(clippy::cast_precision_loss, reason = "compared with 0 only")]
        toml::Value::Integer(number) => Some(*number as f64),
        toml::Value::Float(number) => Some(*number),
        toml::Value::String(_) | toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

/// Fractions are cut off, as the original does.
fn whole_of(raw: &toml::Value) -> Option<i64> {
    match raw {
        toml::Value::Boolean(flag) => Some(i64::from(*flag)),
        toml::Value::Integer(number) => Some(*number),
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked, the fraction is to go")]
        toml::Value::Float(number) => (number.abs() < 9.0e18).then_some(*number as i64),
        toml::Value::String(_) | toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

fn text_of(raw: &toml::Value) -> Option<String> {
    match raw {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Boolean(flag) => Some(u8::from(*flag).to_string()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

fn list_of(raw: &toml::Value) -> Option<Vec<String>> {
    match raw {
        toml::Value::Array(items) => items.iter().map(text_of).collect(),
        toml::Value::String(_)
        | toml::Value::Boolean(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Datetime(_)
        | toml::Value::Table(_) => text_of(raw).map(|item| vec![item]),
    }
}

/// One line of CSV, as the flags of lists are: quotes allow commas, a doubled quote is one.
fn parse_csv(raw: &str) -> Option<Vec<String>> {
    if raw.is_empty() {
        return Some(Vec::new());
    }
    let mut items = Vec::new();
    let mut rest = raw;
    loop {
        let (item, after) = csv_item(rest)?;
        items.push(item);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(items),
        }
    }
}

/// The first item and what follows it.
fn csv_item(raw: &str) -> Option<(String, &str)> {
    let Some(mut rest) = raw.strip_prefix('"') else {
        let end = raw.find(',').unwrap_or(raw.len());
        let (item, after) = raw.split_at(end);
        return (!item.contains('"')).then(|| (item.to_owned(), after));
    };
    let mut item = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        item.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                item.push('"');
                rest = more;
            }
            None => return Some((item, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Value {
        Value::List(items.iter().map(|item| (*item).to_owned()).collect())
    }

    #[test]
    fn the_three_list_syntaxes() {
        let flag = |raw| Value::of_flag(Kind::List, raw);
        assert!(flag("a,b") == Ok(list(&["a", "b"])));
        assert!(flag("\"^/a{1,2}$\"") == Ok(list(&["^/a{1,2}$"])));
        assert!(flag("\"^/\"\"q\"\"$\",x") == Ok(list(&["^/\"q\"$", "x"])));
        assert!(flag("\"^/x") == Err(InvalidValue::Quote));
        assert!(flag("") == Ok(list(&[])));
        let variable = |raw| Value::of_string(Kind::List, raw);
        assert!(variable("a, b,") == Ok(list(&["a", " b", ""])));
        assert!(variable("\"a\"") == Ok(list(&["\"a\""])));
        let file = |raw: &str| Value::of_toml(Kind::List, &raw.parse::<toml::Table>().expect("TOML")["x"]);
        assert!(file("x = ['a,b', 'c']") == Ok(list(&["a,b", "c"])));
        assert!(file("x = 'a,b'") == Ok(list(&["a", "b"])));
        assert!(file("x = 7") == Ok(list(&["7"])));
        assert!(file("[[x]]\ny = 1") == Err(InvalidValue::List));
    }

    #[test]
    fn the_file_is_weakly_typed() {
        let file = |kind, raw: &str| Value::of_toml(kind, &raw.parse::<toml::Table>().expect("TOML")["x"]);
        for truth in ["x = 'true'", "x = '1'", "x = 'T'", "x = 2", "x = 0.5", "x = true"] {
            assert!(file(Kind::Bool, truth) == Ok(Value::Bool(true)), "{truth}");
        }
        for lie in ["x = 'false'", "x = ''", "x = 0", "x = 'F'"] {
            assert!(file(Kind::Bool, lie) == Ok(Value::Bool(false)), "{lie}");
        }
        for wrong in ["x = 'yes'", "x = '2'", "x = [true]"] {
            assert!(file(Kind::Bool, wrong) == Err(InvalidValue::Bool), "{wrong}");
        }
        assert!(file(Kind::Int, "x = 1.9") == Ok(Value::Int(1)));
        assert!(file(Kind::Int, "x = '5'") == Ok(Value::Int(5)));
        assert!(file(Kind::Int, "x = '1.5'") == Err(InvalidValue::Int));
        assert!(file(Kind::Text, "x = 1.5") == Ok(Value::Text("1.5".to_owned())));
        assert!(file(Kind::Text, "x = ['a']") == Err(InvalidValue::Text));
        assert!(file(Kind::Duration, "x = 7200000000000") == Ok(Value::Duration(7_200_000_000_000)));
        assert!(file(Kind::Duration, "x = ''") == Err(InvalidValue::Duration));
    }

    #[test]
    fn flags_are_strict() {
        assert!(Value::of_flag(Kind::Bool, "").is_err() && Value::of_flag(Kind::Bool, "yes").is_err());
        assert!(Value::of_flag(Kind::Int, "").is_err() && Value::of_flag(Kind::Int, "five").is_err());
        assert!(Value::of_flag(Kind::Int, "0x10") == Ok(Value::Int(16)));
        assert!(Value::of_flag(Kind::Int, "99999999999999999999") == Err(InvalidValue::Int));
        assert!(Value::of_flag(Kind::Int, "-9223372036854775808") == Ok(Value::Int(i64::MIN)));
    }

    #[test]
    fn values_do_not_print() {
        assert_eq!(format!("{:?}", Value::Text("hunter2".to_owned())), "Text(..)");
    }
}
