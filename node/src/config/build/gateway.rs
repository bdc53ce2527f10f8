//! The gateway in front, and what to say about rules that open by its word.

use conclave_proto::forwarded::{Gateway, GatewayConfig, TrustedProxies};

use super::{Findings, Settings};

/// Headers that may carry the client's address, as in oauth2-proxy.
const CLIENT_IP_HEADERS: [&str; 5] =
    ["X-Forwarded-For", "X-Real-IP", "X-ProxyUser-IP", "X-Envoy-External-Address", "CF-Connecting-IP"];

/// What `gateway=nginx` stands for: the location of the check in a plain nginx. The guide prints it, and the tests
/// run it as printed there. Only as a whole is it right: each header that it sets is otherwise a client's to write.
pub(super) const PLAIN_NGINX: &str = include_str!("plain_nginx.conf");

/// What `gateway=haproxy` stands for, as [`PLAIN_NGINX`] for nginx: before HAProxy asks.
pub(super) const HAPROXY: &str = include_str!("haproxy.cfg");

/// Options whose rules open by the URL or the method of the original request.
const BY_REQUEST: [&str; 3] = ["skip_auth_routes", "skip_auth_regex", "skip_auth_preflight"];

/// The option whose rule opens by the client's address.
const BY_ADDRESS: &str = "trusted_ips";

/// Which headers say what the request was, and whose.
pub(super) fn gateway(settings: &Settings, findings: &mut Findings) -> Option<GatewayConfig> {
    let kind = settings.text("gateway");
    let gateway = if kind.is_empty() { Some(Gateway::None) } else { findings.take("gateway", Gateway::parse(kind)) };
    let trusted = findings.take("trusted_proxy_ips", TrustedProxies::parse(&settings.items("trusted_proxy_ips")));
    let reverse_proxy = settings.flag("reverse_proxy");
    let header = settings.text("real_client_ip_header");
    let known = CLIENT_IP_HEADERS.iter().any(|name| name.eq_ignore_ascii_case(header));
    if reverse_proxy && !known {
        findings.problem("real_client_ip_header", format!("must be one of {}", CLIENT_IP_HEADERS.join(", ")));
    }
    let config = GatewayConfig {
        gateway: gateway?,
        reverse_proxy,
        trusted: trusted?,
        real_client_ip_header: header.to_ascii_lowercase(),
    };
    let opening = opening_options(settings);
    say_whose_headers_count(&config, &opening, findings);
    say_what_opens(config.gateway, &opening, settings, findings);
    Some(config)
}

/// The options given whose rules open without a login.
fn opening_options(settings: &Settings) -> Vec<&'static str> {
    let is_given = |name: &'static str| match name {
        "skip_auth_preflight" => settings.flag(name),
        _ => !settings.items(name).is_empty(),
    };
    BY_REQUEST.into_iter().chain([BY_ADDRESS]).filter(|name| is_given(name)).collect()
}

/// Says what to set where a rule that opens could be steered by a header that no known gateway wrote.
fn say_whose_headers_count(config: &GatewayConfig, opening: &[&str], findings: &mut Findings) {
    let (behind, rules) = (config.reverse_proxy || config.gateway != Gateway::None, opening.join(", "));
    match (config.gateway, behind) {
        (_, true) if config.trusted.explicit() => {}
        (_, true) if opening.is_empty() => {
            let text = "not given: forwarded headers count from private addresses; give those of your gateway";
            findings.warning("trusted_proxy_ips", text);
        }
        (Gateway::None, true) => {
            let text =
                format!("not given: {rules} believe no forwarded header until it names your gateway's addresses");
            findings.warning("trusted_proxy_ips", text);
        }
        (kind, true) => {
            let text = format!(
                "not given: with gateway={} every private address may say for {rules} what the original request was; \
                 give the addresses of your gateway",
                kind.name()
            );
            findings.warning("trusted_proxy_ips", text);
        }
        (_, false) if opening.is_empty() => {}
        (_, false) => {
            let text = format!(
                "not given: on the auth endpoint {rules} match nothing; behind ingress-nginx set it to ingress-nginx"
            );
            findings.warning("gateway", text);
        }
    }
}

/// Says which rules this kind of gateway cannot open, and what could not be verified.
fn say_what_opens(kind: Gateway, opening: &[&'static str], settings: &Settings, findings: &mut Findings) {
    match kind {
        Gateway::Nginx => say_unverified("a plain nginx", PLAIN_NGINX, opening, settings, findings),
        Gateway::Haproxy => say_unverified("HAProxy", HAPROXY, opening, settings, findings),
        Gateway::Envoy => say_what_envoy_opens(opening, settings, findings),
        Gateway::None | Gateway::IngressNginx | Gateway::Traefik | Gateway::Caddy => {}
    }
}

/// A product that sets nothing by itself: its configuration is printed, since nothing in a check shows whether it is
/// in use. At the gateways' own listener the checks do show it.
fn say_unverified(
    product: &str,
    printed: &str,
    opening: &[&'static str],
    settings: &Settings,
    findings: &mut Findings,
) {
    if opening.is_empty() || !matches!(settings.text("auth_address"), "" | "-") {
        return;
    }
    let text = format!(
        "{} open by headers that {product} hands on as the client wrote them, unless its configuration sets them. It \
         could not be verified that yours does; it has to hold all of:\n{printed}",
        opening.join(", ")
    );
    findings.warning("gateway", text.trim_end());
}

fn say_what_envoy_opens(opening: &[&'static str], settings: &Settings, findings: &mut Findings) {
    let serves_static = settings.items("upstreams").iter().any(|upstream| upstream.starts_with("static:"))
        || settings.structured().is_some();
    for name in opening.iter().filter(|name| **name == BY_ADDRESS) {
        let text = "Opens nothing on a check with gateway=envoy: Envoy hands on an X-Envoy-External-Address that a \
                    client of its own network wrote";
        findings.without_effect(name, text);
    }
    for name in opening.iter().filter(|name| **name != BY_ADDRESS && !serves_static) {
        let text = "Opens nothing on the auth endpoint with gateway=envoy: a check there does not say what was asked \
                    for. Let Envoy ask at upstreams=static://200, without a path prefix: there the check's own URL \
                    is the original one";
        findings.without_effect(name, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check;

    fn report_of(args: &[&str]) -> String {
        let base = [
            "--provider=oidc",
            "--oidc-issuer-url=https://id.test",
            "--client-id=c",
            "--client-secret=s",
            "--cookie-secret=9f8e7d6c5b4a3928-1706f5e4d3c2b1a",
            "--email-domain=*",
        ];
        let args: Vec<String> = base.iter().chain(args).map(|arg| (*arg).to_owned()).collect();
        let (text, code) = check::report(&args, &|_| None);
        assert_eq!(code, 0, "{text}");
        text
    }

    #[test]
    fn the_guide_prints_what_could_not_be_verified() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operating.md");
        let guide = std::fs::read_to_string(path).expect("docs/operating.md");
        assert!(guide.contains(&format!("```nginx\n{PLAIN_NGINX}```\n")), "not the block of plain_nginx.conf");
        assert!(guide.contains(&format!("```haproxy\n{HAPROXY}```\n")), "not the lines of haproxy.cfg");
    }

    #[test]
    fn a_product_that_sets_nothing_by_itself_could_not_be_verified() {
        for rule in ["--skip-auth-route=^/open", "--skip-auth-preflight", "--trusted-ip=192.0.2.1"] {
            let text = report_of(&["--gateway=nginx", rule]);
            assert!(text.contains("could not be verified") && text.contains(PLAIN_NGINX), "{text}");
            let text = report_of(&["--gateway=haproxy", rule]);
            assert!(text.contains("could not be verified") && text.contains(HAPROXY), "{text}");
            let text = report_of(&["--gateway=ingress-nginx", rule]);
            assert!(!text.contains("could not be verified"), "{text}");
        }
        assert!(!report_of(&["--gateway=nginx"]).contains("could not be verified"));
        let apart = report_of(&["--gateway=nginx", "--skip-auth-route=^/open", "--auth-address=127.0.0.1:4183"]);
        assert!(!apart.contains("could not be verified"), "checks there show it: {apart}");
    }

    #[test]
    fn rules_that_open_nothing_are_not_called_honoured() {
        let rules = ["--skip-auth-route=^/open", "--skip-auth-preflight", "--trusted-ip=192.0.2.1"];
        let report = |more: &[&str]| report_of(&[&rules[..], more].concat());
        let words = |text: &str| {
            ["skip_auth_routes", "skip_auth_preflight", "trusted_ips"]
                .map(|name| text.contains(&format!("{name}: honoured (flag)")))
        };
        for (kind, expected) in [
            ("--gateway=haproxy", [true; 3]),
            ("--gateway=envoy", [false; 3]),
            ("--gateway=traefik", [true; 3]),
            ("--gateway=ingress-nginx", [true; 3]),
        ] {
            let text = report(&[kind]);
            assert_eq!(words(&text), expected, "{text}");
            assert_eq!(text.contains("skip_auth_routes: ignored (flag). Opens nothing"), !expected[0], "{text}");
        }
        let text = report(&["--gateway=envoy", "--upstream=static://200"]);
        assert_eq!(words(&text), [true, true, false], "{text}");
    }

    #[test]
    fn whose_headers_count_is_said_as_it_is() {
        let rule = "--skip-auth-route=^/open";
        let text = report_of(&["--gateway=traefik", rule]);
        assert!(text.contains("with gateway=traefik every private address may say for skip_auth_routes"), "{text}");
        assert!(!text.contains("believe no forwarded header"), "{text}");
        let text = report_of(&["--reverse-proxy", rule]);
        assert!(text.contains("skip_auth_routes believe no forwarded header"), "{text}");
        let text = report_of(&["--gateway=traefik", "--trusted-proxy-ip=10.0.0.7", rule]);
        assert!(!text.contains("note: trusted_proxy_ips"), "{text}");
        assert!(report_of(&[rule]).contains("match nothing; behind ingress-nginx set it to ingress-nginx"));
    }
}
