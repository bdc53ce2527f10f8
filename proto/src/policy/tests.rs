//! Who passes, by every rule and by generated ones.

use proptest::prelude::*;

use super::*;
use crate::forwarded::{OpeningFacts, OpeningUri};

fn person(email: &str, groups: &[&str]) -> Identity {
    Identity {
        user: "u1".to_owned(),
        email: email.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        preferred_username: String::new(),
        groups_claimed: true,
    }
}

fn rules(routes: &[&str]) -> OpeningRules {
    OpeningRules::parse(&[], routes, false, &[]).unwrap()
}

fn policy(domains: &[&str], groups: &[&str], routes: &[&str]) -> Policy {
    Policy {
        email_domains: EmailDomains::parse(domains),
        authenticated_emails: None,
        allowed_groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        opening: rules(routes),
    }
}

fn asked<'r>(method: &'r str, uri: &'r str, reported: bool) -> OpeningFacts<'r> {
    OpeningFacts { method: Some(method), uri: Some(OpeningUri { text: uri, reported }), client: None }
}

fn request(opening: OpeningFacts<'_>) -> OriginalRequest<'_> {
    OriginalRequest { method: None, scheme: None, host: None, uri: None, client: None, opening }
}

fn nothing() -> OpeningFacts<'static> {
    OpeningFacts::default()
}

#[test]
fn every_combination_has_an_answer() {
    let policy = policy(&["example.test"], &["staff"], &["^/open"]);
    let (insider, outsider) = (person("a@example.test", &["staff"]), person("a@else.test", &["staff"]));
    let ungrouped = person("a@example.test", &["other"]);
    let (free, staff) = (QueryConstraints::parse(""), QueryConstraints::parse("allowed_groups=staff"));
    let empty = QueryConstraints::parse("allowed_groups=");
    let closed = asked("GET", "/secret", true);
    let open = asked("GET", "/open", true);
    let refused = Decision::Forbid(DenyReason::UnreadableConstraint(UnreadableConstraint::Empty("allowed_groups")));
    for (facts, constraints, who, expected) in [
        (closed, &free, None, Decision::SignIn),
        (closed, &staff, None, Decision::SignIn),
        (closed, &empty, None, Decision::SignIn),
        (closed, &free, Some(&insider), Decision::Allow),
        (closed, &staff, Some(&insider), Decision::Allow),
        (closed, &empty, Some(&insider), refused.clone()),
        (closed, &free, Some(&outsider), Decision::Forbid(DenyReason::Email { from_file: false })),
        (closed, &free, Some(&ungrouped), Decision::Forbid(DenyReason::Group { claimed: true })),
        (open, &free, None, Decision::AllowWithoutSession),
        (open, &staff, None, Decision::AllowWithoutSession),
        (open, &empty, None, refused.clone()),
        (open, &free, Some(&outsider), Decision::Allow),
        (open, &staff, Some(&outsider), Decision::Allow),
        (open, &staff, Some(&ungrouped), Decision::Forbid(DenyReason::QueryGroup { claimed: true })),
        (open, &empty, Some(&insider), refused),
    ] {
        assert_eq!(
            decide(&policy, &request(facts), constraints, who.map(Known::by_provider)),
            expected,
            "{facts:?} {constraints:?} {who:?}"
        );
    }
}

#[test]
fn group_rules_are_exact_and_say_when_no_claim_came() {
    let policy = policy(&["*"], &["admins", "größe"], &[]);
    assert!(login_allowed(&policy, Known::by_provider(&person("a@x.test", &["x", "größe"]))).is_ok());
    for groups in [&["Admins"][..], &["admin"], &["admins "], &["admins,x"], &[]] {
        let denied = login_allowed(&policy, Known::by_provider(&person("a@x.test", groups)));
        assert_eq!(denied, Err(DenyReason::Group { claimed: true }), "{groups:?}");
    }
    let unclaimed = Identity { groups_claimed: false, ..person("a@x.test", &[]) };
    let reason = login_allowed(&policy, Known::by_provider(&unclaimed)).unwrap_err();
    assert!(reason.to_string().contains("add the scope `groups`"), "{reason}");
}

/// S-11 (CVE-2026-40574) among them.
#[test]
fn email_domains_compare_whole_names() {
    for (domain, email, expected) in [
        ("example.test", "alice@example.test", true),
        ("example.test", "U@EXAMPLE.TEST", true),
        ("EXAMPLE.test", "u@example.test", true),
        ("example.test", "@example.test", true),
        ("example.test", "u@sub.example.test", false),
        ("example.test", "u@badexample.test", false),
        ("example.test", "a@evil.test@example.test", false),
        ("example.test", "attacker@evil.com@example.test", false),
        ("example.test", "noat", false),
        ("example.test", "example.test", false),
        ("example.test", "u@example.test.", false),
        ("example.test", "u@example.test ", false),
        ("example.test", "", false),
        ("@example.test", "u@example.test", false),
        (".example.test", "u@sub.example.test", true),
        (".example.test", "u@a.b.example.test", true),
        ("*.example.test", "u@SUB.Example.Test", true),
        (".example.test", "u@example.test", false),
        ("*.example.test", "u@badexample.test", false),
        (".example.test", "u@evil.test@sub.example.test", false),
        (".example.test", "u@sub.example.test.evil.test", false),
        ("größe.test", "u@GRÖSSE.test", false),
        ("größe.test", "u@GRÖßE.test", true),
        ("*", "noat", true),
        ("*", "a@b@c", true),
        ("*", "", false),
        ("", "u@", false),
    ] {
        assert_eq!(EmailDomains::parse(&[domain]).allow(email), expected, "{domain:?} {email:?}");
    }
    let both = EmailDomains::parse(&["other.test", "*"]);
    assert!(both.allow("a@else.test") && both.everybody() && !both.is_empty());
    assert!(EmailDomains::parse::<&str>(&[]).is_empty());
}

#[test]
fn the_file_of_addresses_is_csv() {
    let text = "# people\nalice@example.test,\nCAROL@Example.test,staff\n   upper.case@example.test,x\n#odd@other.test,x\n\
                \"nogroups@example.test\",\"x,y\"\n\ndave@example.test   ,z\r\na@b@c.test,\"\"\"q\"\"\"\n";
    let emails = AuthenticatedEmails::parse(text).unwrap();
    for listed in ["alice@example.test", "Carol@example.TEST", "upper.case@example.test", "nogroups@example.test"] {
        assert!(emails.contains(listed), "{listed}");
    }
    assert!(emails.contains("dave@example.test") && emails.contains("a@b@c.test"));
    assert!(!emails.contains("odd@other.test") && !emails.contains("staff") && !emails.contains(""));
    assert_eq!(emails.len(), 6);
    assert_eq!(AuthenticatedEmails::parse("a@x\nb@x,staff\n"), Err(InvalidEmailsFile::Columns { line: 2 }));
    for stray in ["a\"b@x", "\"a@x", "\"a@x\"b"] {
        assert_eq!(AuthenticatedEmails::parse(stray), Err(InvalidEmailsFile::Quote { line: 1 }), "{stray}");
    }
    assert!(AuthenticatedEmails::parse("").unwrap().is_empty());
}

#[test]
fn a_listed_address_needs_no_domain() {
    let listed = AuthenticatedEmails::parse("alice@example.test\n").unwrap();
    let policy = Policy { authenticated_emails: Some(Arc::new(listed)), ..policy(&["other.test"], &[], &[]) };
    for allowed in ["alice@example.test", "x@other.test"] {
        assert!(login_allowed(&policy, Known::by_provider(&person(allowed, &[]))).is_ok(), "{allowed}");
    }
    assert_eq!(
        login_allowed(&policy, Known::by_provider(&person("b@example.test", &[]))),
        Err(DenyReason::Email { from_file: true })
    );
    assert_eq!(login_allowed(&policy, Known::by_provider(&person("", &[]))), Err(DenyReason::NoEmail));
}

#[test]
fn reasons_name_rules_and_nobody() {
    let policy = policy(&["example.test"], &["secret-group"], &[]);
    let who = person("mallory@evil.test", &["secret-group"]);
    let reason = login_allowed(&policy, Known::by_provider(&who)).unwrap_err();
    assert_eq!(reason.code(), "email");
    let text = format!("{reason} {reason:?}");
    assert!(!text.contains("mallory") && !text.contains("secret-group"), "{text}");
}

#[test]
fn query_groups() {
    let alice = person("alice@example.test", &["alice", "staff"]);
    for (query, passes) in [
        ("", true),
        ("&&", true),
        ("allowed_groups=staff", true),
        ("allowed_groups=nosuch", false),
        ("allowed_groups=nosuch,staff", true),
        ("allowed_groups=nosuch&allowed_groups=staff", true),
        ("allowed_groups=nosuch&allowed_groups=other", false),
        ("allowed_groups=,staff,", true),
        ("allowed_groups=,,nosuch,,", false),
        ("allowed_groups=Staff", false),
        ("allowed_groups=sta", false),
        ("allowed_groups=%73taff", true),
        ("allowed_groups=nosuch%2Cstaff", true),
        ("allowed_groups=staff%20", false),
        ("allowed_groups=+staff", false),
        ("allowed_groups=*", false),
        ("allowed_groups=nosuch%7Cstaff", false),
        ("%61llowed_groups=nosuch", false),
        ("%61llowed_groups=staff", true),
        ("allowed_groups%20=nosuch", true),
        ("allowed_groups[]=nosuch", true),
        ("Allowed_Groups=nosuch", true),
        ("allowed_group=nosuch", true),
        ("rd=%2Fx&allowed_groups=staff&unknown=%zz", true),
        ("rd=/a;b=c", true),
        // S-25: what is empty or cannot be read refuses everyone.
        ("allowed_groups=", false),
        ("allowed_groups", false),
        ("allowed_groups=,", false),
        ("allowed_groups=%zz", false),
        ("allowed_groups=%ff", false),
        ("allowed_groups=staff;y", false),
        ("allowed_groups=staff;allowed_groups=staff", false),
        ("x=1;allowed_groups=staff", false),
        ("allowed_groups=staff#x", false),
        ("allowed_groups=staff%23x", false),
        ("allowed_groups=staff&allowed_emails=", false),
        ("allowed_groups=staff&allowed_groups=%zz", false),
        ("%zz=1", false),
        ("allowed%5fgroup%zz=staff", false),
    ] {
        assert_eq!(QueryConstraints::parse(query).check(&alice).is_ok(), passes, "{query}");
    }
    assert!(QueryConstraints::parse_proxied("allowed_groups=").check(&alice).is_ok());
    assert!(QueryConstraints::parse_proxied("allowed_groups=nosuch").check(&alice).is_err());
    assert!(QueryConstraints::parse_proxied("%zz").check(&alice).is_ok());
}

#[test]
fn query_emails_and_their_domains() {
    for (query, email, passes) in [
        ("allowed_emails=alice@example.test", "alice@example.test", true),
        ("allowed_emails=bob@example.test,alice%40example.test", "alice@example.test", true),
        ("allowed_emails=bob@example.test", "alice@example.test", false),
        ("allowed_emails=ALICE@example.test", "alice@example.test", false),
        ("allowed_emails=@example.test", "alice@example.test", false),
        ("allowed_emails=*", "alice@example.test", false),
        ("allowed_emails=alice+x@example.test", "alice+x@example.test", false),
        ("allowed_emails=alice%2Bx@example.test", "alice+x@example.test", true),
        ("allowed_email_domains=example.test", "alice@example.test", true),
        ("allowed_email_domains=.example.test", "alice@example.test", true),
        ("allowed_email_domains=*.test", "alice@example.test", true),
        ("allowed_email_domains=test", "alice@example.test", false),
        ("allowed_email_domains=*", "alice@example.test", false),
        ("allowed_email_domains=.", "alice@example.test", false),
        ("allowed_email_domains=*.", "alice@example.test", false),
        ("allowed_email_domains=*ample.test", "alice@example.test", false),
        ("allowed_email_domains=EXAMPLE.test", "alice@example.test", false),
        ("allowed_email_domains=@example.test", "alice@example.test", false),
        ("allowed_email_domains=example.test:443", "alice@example.test", false),
        ("allowed_email_domains=example.test:*", "alice@example.test", true),
        ("allowed_email_domains=example.test", "u@sub.example.test", false),
        ("allowed_email_domains=.example.test", "u@deep.sub.example.test", true),
        ("allowed_email_domains=.example.test", "u@badexample.test", false),
        ("allowed_email_domains=example.test", "a@evil.test@example.test", false),
        ("allowed_email_domains=noat", "noat", false),
        ("allowed_email_domains=example.test:8080", "u@example.test:8080", true),
        ("allowed_email_domains=example.test", "@example.test", true),
        ("allowed_email_domains=example.test", "u@", false),
        ("allowed_email_domains=example.test%0a", "u@example.test", false),
        ("allowed_groups=g&allowed_emails=u@x.test&allowed_email_domains=x.test", "u@x.test", true),
        ("allowed_groups=other&allowed_emails=u@x.test", "u@x.test", false),
        ("allowed_emails=u@x.test&allowed_email_domains=other.test", "u@x.test", false),
    ] {
        assert_eq!(QueryConstraints::parse(query).check(&person(email, &["g"])).is_ok(), passes, "{query} {email}");
    }
}

#[test]
fn skip_rules_have_four_forms() {
    for (rule, method, uri, opens) in [
        ("^/open", "GET", "/open/x?y", true),
        ("^/open", "POST", "/open", true),
        ("GET=^/open", "GET", "/open", true),
        ("get=^/open", "GET", "/open", true),
        ("GET=^/open", "get", "/open", false),
        ("GET=^/open", "POST", "/open", false),
        ("=^/c=d", "POST", "/c=d", true),
        ("GET!=^/private", "GET", "/public", true),
        ("GET!=^/private", "GET", "/private/x", false),
        ("GET!=^/private", "POST", "/public", false),
        ("!=^/private", "PUT", "/x/private", true),
        ("!=^/private", "PUT", "/private?x=1", false),
        ("!=^/private", "GET", "/Private", true),
        // The first `=` splits, and `!=` anywhere negates.
        ("^/a=b", "GET", "/a=b", false),
        ("^/a=b", "GET", "/b", false),
        ("GET=^/e=f", "GET", "/e=f", true),
        ("GET=^/p!=q", "GET", "/p!=q", false),
        ("GET=^/p!=q", "GET", "/x", true),
        ("/ok$", "GET", "/deep/ok", true),
        ("open", "GET", "/wide-open-door", true),
    ] {
        for reported in [false, true] {
            assert_eq!(rules(&[rule]).open(&asked(method, uri, reported)), opens, "{rule} {method} {uri}");
        }
    }
    assert_eq!(SkipRule::parse("^/a=b").unwrap().odd_method(), Some("^/A"));
    assert_eq!(SkipRule::parse("GET=^/a").unwrap().odd_method(), None);
    assert!(OpeningRules::parse(&["("], &[], false, &[]).is_err());
    assert!(OpeningRules::parse(&[], &["GET=["], false, &[]).is_err());
    assert!(OpeningRules::parse(&[], &[], false, &["10.0.0.1/8"]).is_err());
    let regex = OpeningRules::parse(&["^/a=b"], &[], false, &[]).unwrap();
    assert!(regex.any() && regex.open(&asked("PUT", "/a=b", true)), "skip_auth_regex knows no methods");
}

#[test]
fn what_is_not_known_matches_no_rule() {
    let all = OpeningRules::parse(&[".*"], &["!=^/private", "=.*"], true, &["10.0.0.0/8"]).unwrap();
    assert!(!all.open(&nothing()));
    assert!(!all.open(&OpeningFacts { method: Some("GET"), ..nothing() }));
    let unnamed = OpeningFacts { method: None, ..asked("GET", "/x", true) };
    assert!(!rules(&["GET=^/x"]).open(&unnamed) && rules(&["^/x"]).open(&unnamed));
}

#[test]
fn preflight_and_client_addresses_need_no_url() {
    let rules = OpeningRules::parse(&[], &[], true, &["10.1.2.3", "10.20.0.0/16", "::1"]).unwrap();
    let method = |method| OpeningFacts { method: Some(method), ..nothing() };
    assert!(rules.open(&method("OPTIONS")) && !rules.open(&method("options")) && !rules.open(&method("GET")));
    let client = |text: &str| OpeningFacts { client: Some(text.parse().unwrap()), ..nothing() };
    assert!(rules.open(&client("10.20.255.1")) && rules.open(&client("::1")) && !rules.open(&client("10.21.0.1")));
}

mod paths;

#[test]
fn patterns_are_re2_with_ascii_classes() {
    for (pattern, text, matches) in [
        (r"^/\d+$", "/12", true),
        (r"^/\d+$", "/١٢", false),
        (r"^/\w+$", "/a_9", true),
        (r"^/\w+$", "/é", false),
        (r"^/[\w-]+$", "/a-b", true),
        (r"^/[\w-]+$", "/é", false),
        (r"^/[^\d]$", "/1", false),
        (r"^/[^\d]$", "/x", true),
        (r"^/[\D]$", "/1", false),
        (r"^/\S+\s?$", "/x\u{a0}", true),
        (r"^/a\s$", "/a\u{a0}", false),
        (r"^/a\s$", "/a\u{b}", false),
        (r"(?i)^/kilo", "/KILO", true),
        (r"(?i)^/kilo", "/\u{212a}ilo", false),
        (r"(?i)^/s$", "/\u{17f}", false),
        (r"^/\bx\b$", "/x", true),
        (r"^/größe$", "/größe", true),
        (r"^/[öä]$", "/ö", true),
        (r"^/ö\d$", "/ö١", false),
        (r"^/\p{Greek}$", "/α", true),
        (r"^/\pL+$", "/é", true),
        (r"^/[[:alpha:]]+$", "/ab", true),
        (r"^/[[:^digit:]]$", "/1", false),
        (r"^/[[a]$", "/[", true),
        (r"^/[]a]$", "/]", true),
        (r"^/[^]a]$", "/]", false),
        (r"^/[a&&b]$", "/&", true),
        (r"^/[a~~b]$", "/~", true),
        (r"^/[+--]$", "/,", true),
        (r"^/\Qa.b\E$", "/a.b", true),
        (r"^/\Qa.b\E$", "/axb", false),
        (r"^/\Qa.b", "/a.b(", true),
        (r"^/a\.b$", "/axb", false),
        (r"^/\x41$", "/A", true),
        (r"^/(?P<id>x)$", "/x", true),
        (r"^/a{2}$", "/aa", true),
        (r"^/a{1,2}$", "/aaa", false),
        (r"^/a{1", "/a{1", true),
        (r"^/a{,2}$", "/a{,2}", true),
        (r"2}$", "/x2}", true),
        (r"^/\x{e9}$", "/é", true),
        (r"^/\/x$", "//x", true),
        (r"^/.$", "/\n", false),
        (r"(?s)^/.$", "/\n", true),
        (r"/b\z", "/a/b", true),
    ] {
        let compiled = Pattern::parse(pattern).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(compiled.matches(text.as_bytes()), matches, "{pattern} {text:?}");
    }
    for bad in ["(", "[", "a**b(", r"\8", "(?=x)", r"(a)\1", r"\"] {
        assert!(Pattern::parse(bad).is_err(), "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_input_panics(text in any::<String>(), other in any::<String>(), email in any::<String>()) {
        let constraints = QueryConstraints::parse(&text);
        let _ = (constraints.check(&person(&email, &[&other])), QueryConstraints::parse_proxied(&other));
        let _ = (EmailDomains::parse(&[&text]).allow(&email), AuthenticatedEmails::parse(&text), SkipRule::parse(&text));
        let rules = rules(&["^/open", "!=^/private"]);
        let _ = (rules.open(&asked(&other, &text, true)), rules.open(&asked(&other, &text, false)));
    }

    #[test]
    fn an_address_with_two_at_signs_is_in_no_domain(local in "[a-z@]{0,5}", evil in "[a-z.]{1,6}") {
        let email = format!("{local}@{evil}@example.test");
        prop_assert!(!EmailDomains::parse(&["example.test", ".test", "*.example.test"]).allow(&email));
        prop_assert!(QueryConstraints::parse("allowed_email_domains=example.test").check(&person(&email, &[])).is_err());
    }
}
