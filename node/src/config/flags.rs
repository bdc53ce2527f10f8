//! Reading the command line as oauth2-proxy does: two dashes, `--flag=value`, `--flag value`, `--bool`.

use std::collections::BTreeMap;

use super::nearest::nearest;
use super::option::{Kind, Opt};
use super::problem::Findings;
use super::table;
use super::value::Value;

/// What the command line said.
#[derive(Debug, Default)]
pub struct Flags {
    /// By TOML name.
    pub values: BTreeMap<&'static str, Value>,
    /// `--help` or `-h`.
    pub help: bool,
}

/// Reads all flags. Words that are no flags are passed over, and so is all that follows `--`.
pub fn parse(args: &[String], findings: &mut Findings) -> Flags {
    let mut flags = Flags::default();
    let mut rest = args.iter();
    while let Some(word) = rest.next() {
        let Some(body) = word.strip_prefix("--") else {
            match word.strip_prefix('-') {
                Some("h") => flags.help = true,
                Some(_) => one_dash(word, findings),
                None => findings.warning("", "ignoring unexpected argument: options begin with --"),
            }
            continue;
        };
        if body.is_empty() {
            break;
        }
        let (name, given) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        if name == "help" {
            flags.help = true;
            continue;
        }
        let mut options = table::by_flag(name).peekable();
        let Some(first) = options.peek().copied() else {
            unknown(name, findings);
            continue;
        };
        let Some(raw) = given.or_else(|| bare(first, &mut rest)) else {
            findings.usage(first.name, format!("the flag --{name} needs a value: --{name}=VALUE"));
            continue;
        };
        options.for_each(|option| flags.set(option, raw, findings));
    }
    flags
}

/// The value of a flag without `=`: true for a boolean, the next word for all others.
fn bare<'a>(option: &Opt, rest: &mut std::slice::Iter<'a, String>) -> Option<&'a str> {
    match option.kind {
        Kind::Bool => Some("true"),
        Kind::Int | Kind::Text | Kind::Duration | Kind::List => rest.next().map(String::as_str),
    }
}

/// Without the value, which may be a secret.
fn one_dash(word: &str, findings: &mut Findings) {
    let name = word.trim_start_matches('-').split('=').next().unwrap_or_default();
    match table::by_flag(name).next() {
        Some(option) => findings.usage(option.name, format!("flags need two dashes: --{name}")),
        None => findings.usage("", "a flag with one dash: flags need two".to_owned()),
    }
}

fn unknown(name: &str, findings: &mut Findings) {
    let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    let known = table::all().map(|option| option.flag);
    let hint = match nearest(&name, known) {
        Some(near) => format!("did you mean --{near}?"),
        None => "see --help for all flags".to_owned(),
    };
    findings.usage("", format!("unknown flag --{name}: {hint}"));
}

impl Flags {
    /// The last one counts, but lists grow.
    fn set(&mut self, option: &'static Opt, raw: &str, findings: &mut Findings) {
        let value = match Value::of_flag(option.kind, raw) {
            Ok(value) => value,
            Err(error) => return findings.usage(option.name, format!("the flag --{} {error}", option.flag)),
        };
        match (self.values.get_mut(option.name), value) {
            (Some(Value::List(items)), Value::List(more)) => items.extend(more),
            (_, value) => {
                self.values.insert(option.name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::generated::{edited, edits};

    fn parsed(args: &[&str]) -> (Flags, String) {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut findings = Findings::default();
        let flags = parse(&args, &mut findings);
        let text = findings.finish(None::<()>).expect_err("nothing is handed on").to_string();
        (flags, text)
    }

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    #[test]
    fn every_form_of_a_flag() {
        let (flags, _) = parsed(&["--ping-path=/a", "--ping-path", "/b", "--cookie-name", "-x", "--reverse-proxy"]);
        assert!(flags.values["ping_path"] == text("/b"));
        assert!(flags.values["cookie_name"] == text("-x"));
        assert!(flags.values["reverse_proxy"] == Value::Bool(true));
        let (flags, _) = parsed(&["--cookie-secure=false", "false", "--", "--ping-path=/x"]);
        assert!(flags.values["cookie_secure"] == Value::Bool(false));
        assert!(!flags.values.contains_key("ping_path"));
    }

    #[test]
    fn lists_grow_and_one_flag_may_feed_two_options() {
        let (flags, _) = parsed(&["--whitelist-domain=a,b", "--whitelist-domain=c", "--google-group=g"]);
        let Value::List(items) = &flags.values["whitelist_domains"] else { panic!("a list") };
        assert_eq!(items, &["a", "b", "c"]);
        assert!(flags.values.contains_key("google_group") && flags.values.contains_key("google_groups"));
    }

    #[test]
    fn mistakes_name_the_nearest_and_never_the_value() {
        let (_, text) =
            parsed(&["--cookie-nam=hunter2", "--cookie_name=hunter2", "-cookie-name=hunter2", "--cookie-secret"]);
        assert_eq!(text.matches("--cookie-name").count(), 3, "{text}");
        assert!(text.contains("`cookie_secret`: the flag --cookie-secret needs a value"), "{text}");
        assert!(!text.contains("hunter2"));
    }

    const WORDS: [&str; 16] = [
        " ",
        "-",
        "--",
        "=",
        "!=",
        ",",
        "\"",
        "\n",
        "true",
        "=0",
        "=1h",
        "=-1",
        "99999999999999999999",
        "help",
        "no-",
        "\u{e9}",
    ];

    /// Each option once, given as a flag.
    static VALID: LazyLock<Vec<String>> = LazyLock::new(|| {
        let valid = |option: &Opt| match option.kind {
            Kind::Bool => format!("--{}", option.flag),
            Kind::Int => format!("--{}=7", option.flag),
            Kind::Text => format!("--{}=text", option.flag),
            Kind::Duration => format!("--{}=1h30m", option.flag),
            Kind::List => format!("--{}=a,b", option.flag),
        };
        table::all().map(valid).collect()
    });

    proptest! {
        #![proptest_config(crate::generated::config())]

        #[test]
        fn generated_inputs_are_read_or_refused(of in prop::collection::vec(any::<Index>(), 1..4), edits in edits(&WORDS)) {
            let words: Vec<&str> = of.iter().map(|index| index.get(&VALID).as_str()).collect();
            let line = edited(&words.join(" "), &edits);
            let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let mut findings = Findings::default();
            let flags = parse(&args, &mut findings);
            prop_assert!(flags.values.len() <= args.len() * 2, "one word sets at most two options");
        }
    }
}
