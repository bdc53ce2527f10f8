//! `check-config`: what becomes of every option that is given, and whether the whole can be served.

use std::fmt::Write;

use super::option::Standing;
use super::problem::Findings;
use super::settings::{Settings, Variables};
use super::{Notice, NoticeLevel, build};

/// The answer to print, and the exit code. Values never print, so no secret does.
pub fn report(args: &[String], variables: Variables<'_>) -> (String, u8) {
    let mut findings = Findings::default();
    let settings = Settings::load(args, variables, &mut findings);
    if settings.help {
        return (super::help::text(), 0);
    }
    let config = build::config(&settings, &mut findings);
    let mut out = String::new();
    let is_idle = |notice: &&Notice| notice.level == NoticeLevel::WithoutEffect;
    for (option, origin) in settings.given() {
        let idle = findings.notices().iter().filter(is_idle).find(|notice| notice.option == option.name);
        if let Some(Notice { text, .. }) = idle {
            let _ = writeln!(out, "{}: ignored ({}). {text}", option.name, origin.word());
            continue;
        }
        let _ = write!(out, "{}: {} ({})", option.name, option.standing.word(), origin.word());
        match option.standing.sentence() {
            "" => out.push('\n'),
            sentence => {
                let _ = writeln!(out, ". {sentence}");
            }
        }
    }
    if out.is_empty() {
        out.push_str("no option is given\n");
    }
    let said: Vec<_> =
        settings.given().filter(|(option, _)| !matches!(option.standing, Standing::Honoured(_))).collect();
    let hints = findings.notices().iter().filter(|notice| !is_idle(notice)).filter(|notice| {
        !said.iter().any(|(option, _)| option.name == notice.option && option.standing.sentence() == notice.text)
    });
    for hint in hints {
        let _ = writeln!(out, "note: {hint}");
    }
    match findings.finish(config) {
        Ok(_) => {
            out.push_str("configuration is valid\n");
            (out, 0)
        }
        Err(error) => {
            let _ = writeln!(out, "{error}");
            (out, error.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report_of(args: &[&str]) -> (String, u8) {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        report(&args, &|_| None)
    }

    #[test]
    fn every_option_given_has_its_line() {
        let (text, code) = report_of(&[
            "--provider=oidc",
            "--oidc-issuer-url=https://id.test",
            "--client-id=c",
            "--client-secret=hunter2",
            "--cookie-secret=9f8e7d6c5b4a3928-1706f5e4d3c2b1a",
            "--email-domain=*",
            "--redis-connection-url=redis://:hunter2@r",
            "--cookie-csrf-per-request",
            "--reverse-proxy",
            "--skip-auth-route=^/open",
        ]);
        assert_eq!(code, 0, "{text}");
        for line in [
            "client_secret: honoured (flag)\n",
            "redis_connection_url: ignored (flag). Not needed",
            "cookie_csrf_per_request: mapped (flag). Always on",
            "note: trusted_proxy_ips: not given: skip_auth_routes believe no forwarded header",
            "configuration is valid\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("hunter2") && !text.contains("9f8e7d"));
    }

    #[test]
    fn what_cannot_be_served_is_said_with_its_exit_code() {
        let (text, code) = report_of(&["--provider=oidc", "--allowed-role=admin"]);
        assert_eq!(code, 1);
        assert!(
            text.contains("allowed_roles: refused (flag)") && text.contains("`cookie_secret`: is missing"),
            "{text}"
        );
        assert_eq!(report_of(&["--no-such-flag"]).1, 2);
    }
}
