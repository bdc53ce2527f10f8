//! The forms of lines, and what no line may hold.

use super::*;

struct Line<'v>(&'v [(Field, &'v str)]);

impl Values for Line<'_> {
    fn append(&self, field: Field, out: &mut String) {
        out.extend(self.0.iter().filter(|(name, _)| *name == field).map(|(_, text)| *text));
    }
}

fn rendered(template: &str, kind: LineKind, values: &[(Field, &str)]) -> String {
    let mut out = String::new();
    Template::parse(template, kind).expect("a sound template").render(&Line(values), &mut out);
    out
}

#[test]
fn fields_and_text() {
    let line = rendered(
        "[{{.Timestamp}}] [{{ .File }}] {{.Message}}",
        LineKind::Standard,
        &[(Field::Timestamp, "T"), (Field::File, "app.rs:1"), (Field::Message, "hello")],
    );
    assert_eq!(line, "[T] [app.rs:1] hello");
    assert_eq!(rendered("plain } { text", LineKind::Request, &[]), "plain } { text");
}

#[test]
fn white_space_is_trimmed_where_the_marks_say() {
    let of = |template| rendered(template, LineKind::Standard, &[(Field::Message, "m")]);
    assert_eq!(of("a {{- .Message -}} b"), "amb");
    assert_eq!(of("a \n {{- .Message }} b"), "am b");
    assert_eq!(of("a {{ .Message -}} \n b"), "a mb");
    assert_eq!(of("a {{/* said by nobody */}}b"), "a b");
    assert!(Template::parse("{{-.Message}}", LineKind::Standard).is_err(), "a mark needs a space, as in Go");
}

#[test]
fn conditions() {
    let template = "{{if .Username}}u={{.Username}}{{else if .Client}}c={{.Client}}{{else}}nobody{{end}}.";
    assert_eq!(rendered(template, LineKind::Request, &[(Field::Username, "a"), (Field::Client, "c")]), "u=a.");
    assert_eq!(rendered(template, LineKind::Request, &[(Field::Client, "c")]), "c=c.");
    assert_eq!(rendered(template, LineKind::Request, &[]), "nobody.");
    let zero = "{{if .ResponseSize}}some{{else}}none{{end}}{{if .Upstream}}{{if .Host}}x{{end}}{{end}}";
    assert_eq!(rendered(zero, LineKind::Request, &[(Field::ResponseSize, "0"), (Field::Host, "h")]), "none");
    assert_eq!(rendered(zero, LineKind::Request, &[(Field::ResponseSize, "7")]), "some");
}

#[test]
fn what_is_used_is_known() {
    let template = Template::parse("{{if .RequestID}}{{.Host}}{{else}}{{.Client}}{{end}}", LineKind::Request);
    let template = template.expect("sound");
    for field in Field::ALL {
        let wanted = matches!(field, Field::RequestId | Field::Host | Field::Client);
        assert_eq!(template.uses(field), wanted, "{}", field.name());
    }
}

#[test]
fn what_cannot_be_served_is_refused_with_its_part() {
    let of = |template: &str| Template::parse(template, LineKind::Auth).expect_err(template);
    assert_eq!(of("{{.Message"), InvalidTemplate::Unclosed);
    assert!(matches!(of("{{.Nonesuch}}"), InvalidTemplate::NoField { found, .. } if found == "Nonesuch"));
    assert!(matches!(of("{{.RequestURI}}"), InvalidTemplate::NoField { .. }), "auth lines have no URI");
    for action in
        ["printf \"%q\" .Message", ".Message | html", "range .Message", "\"text\"", ".", "if not .Client", ".A.B"]
    {
        let error = of(&format!("x {{{{{action}}}}} {{{{end}}}}"));
        assert!(matches!(&error, InvalidTemplate::Unsupported { action: found } if found == action), "{error}");
    }
    assert_eq!(of("{{end}}"), InvalidTemplate::Stray("end"));
    assert_eq!(of("{{if .Client}}{{else}}{{else}}{{end}}"), InvalidTemplate::Stray("else"));
    assert_eq!(of("{{if .Client}}"), InvalidTemplate::Open);
    assert_eq!(of(&"{{if .Client}}".repeat(17)), InvalidTemplate::TooDeep);
    assert!(of("{{.X}}").to_string().contains("Client, Host, Message"), "{}", of("{{.X}}"));
}

#[test]
fn no_value_ends_a_line_or_steers_a_terminal() {
    assert_eq!(escape("plain ä"), "plain ä");
    assert_eq!(escape("a\r\nb\u{1b}[31m\u{7f}\u{85}\u{2028}\u{202e}"), "a\\r\\nb\\x1b[31m\\x7f\\u0085\\u2028\\u202e");
    let mut out = String::new();
    quote("probe \"1\" \\ \n", &mut out);
    assert_eq!(out, "\"probe \\\"1\\\" \\\\ \\n\"");
}

#[test]
fn codes_states_and_tokens_give_way() {
    for (uri, shown) in [
        (
            "/oauth2/callback?code=abc&state=def&iss=https%3A%2F%2Fid",
            "/oauth2/callback?code=[redacted]&state=[redacted]&iss=https%3A%2F%2Fid",
        ),
        ("/x/y?q=1", "/x/y?q=1"),
        ("/code=1/state=2", "/code=1/state=2"),
        ("/a?state=a=b&c=d", "/a?state=[redacted]&c=d"),
        ("/a?CODE=1&c%6Fde=2&c%256fde=3", "/a?CODE=[redacted]&c%6Fde=[redacted]&c%256fde=[redacted]"),
        ("/a?mycode=1&code", "/a?mycode=1&code"),
        ("/a?x;code=1", "/a?x;code=[redacted]"),
        ("/a#access_token=t&x=1", "/a#access_token=[redacted]&x=1"),
        (
            "/start?rd=https%3A%2F%2Fapp%2Fcb%3Fcode%3Dabc%2526d%26x%3D1&y=2",
            "/start?rd=https%3A%2F%2Fapp%2Fcb%3Fcode%3D[redacted]%26x%3D1&y=2",
        ),
        ("/start?rd=/a%3Ftoken=abc", "/start?rd=/a%3Ftoken=[redacted]"),
        ("/s?rd=%252Fa%253Fcode%253Dabc%2526z%253D1", "/s?rd=%252Fa%253Fcode%253D[redacted]%2526z%253D1"),
        ("/a?%", "/a?%"),
        ("/a?code=%", "/a?code=[redacted]"),
        ("/ä?code=ä&ü=1", "/ä?code=[redacted]&ü=1"),
    ] {
        assert_eq!(redacted(uri), shown);
    }
}

#[test]
fn log_words_a_value_is_one_word_or_quoted_and_at_most_256_bytes() {
    let word = |value: &str| {
        let mut out = String::new();
        push_word(value, &mut out);
        out
    };
    assert_eq!(word("1 - admin@corp.test [2026/11/27] \"x"), "1\\x20-\\x20admin@corp.test\\x20[2026/11/27]\\x20\\\"x");
    assert_eq!(word("a\u{a0}b\u{3000}c\td"), "a\\u00a0b\\u3000c\\td");
    assert_eq!((word(""), word("-"), word("ä@x.test")), ("-".to_owned(), "-".to_owned(), "ä@x.test".to_owned()));
    for unit in ["a", "ä", " ", "\"", "\u{202e}", "\u{1f600}"] {
        let whole = unit.repeat(8 * 1024);
        let mut quoted = String::new();
        push_quoted(&whole, &mut quoted);
        let shown = [word(&whole), quoted[1..quoted.len() - 1].to_owned(), clipped(&whole).into_owned()];
        for shown in shown {
            assert!(shown.len() <= MAX_VALUE && shown.len() > MAX_VALUE - 16, "{unit:?}: {} bytes", shown.len());
            assert!(shown.ends_with('…'), "{shown}");
        }
        assert!(!word(&whole).contains(char::is_whitespace));
    }
    let fits = "b".repeat(MAX_VALUE);
    assert_eq!((word(&fits), &*clipped(&fits)), (fits.clone(), &*fits), "what fits is whole");
}

#[test]
fn every_layer_of_encoding_of_a_name_is_seen() {
    for name in ["%63ode", "%2563ode", "c%25%36%66de", "%25252525%36%33ode", "CO%44E", "%20code%0a"] {
        assert_eq!(redacted(&format!("/a?{name}=1")), format!("/a?{name}=[redacted]"), "{name}");
    }
    let deep = format!("%{}63ode", "25".repeat(1000));
    assert_eq!(redacted(&format!("/a?{deep}=1")), format!("/a?{deep}=[redacted]"), "however deep");
    assert_eq!(redacted("/a?%zz%2=1&%=2&%f=3"), "/a?%zz%2=1&%=2&%f=3");
}

#[test]
fn redaction_linear_an_encoded_line_costs_as_much_as_a_plain_one() {
    const LENGTH: usize = 8 * 1024;
    let work = |unit: &str| {
        let uri = format!("/a?{}=1", unit.repeat(LENGTH / unit.len()));
        redact::work::taken();
        assert_eq!(redacted(&uri), uri, "{unit}");
        redact::work::taken()
    };
    let plain = work("a");
    assert!(plain >= LENGTH, "the work is counted");
    for unit in [
        "%2525",
        "%252525",
        "%25",
        "%",
        "%2525=",
        "%2525&",
        "&%2525252525252525=",
        "%2563od=",
        "%25%32%35",
        "?",
        "=&",
        "%3D%26",
    ] {
        let encoded = work(unit);
        assert!(encoded <= 4 * plain, "{unit}: {encoded} bytes looked at, {plain} of a plain line");
    }
}
