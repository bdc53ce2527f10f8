//! nginx.conf for the rules of Ingress objects over a set of endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv4Addr;

use super::rules::{Backend, Rule};
use super::{STATUS_PORT, Sites, told};

/// Where the app behind every other Service listens, inside the controller's namespace, if none is given.
const APP: &str = "127.0.0.1:8080";

/// nginx.conf as ingress-nginx v1.15 would generate it, in plain nginx. Without endpoints, as there, 503.
pub(super) fn configuration(sites: &Sites, endpoints: &BTreeMap<usize, Ipv4Addr>) -> String {
    let own = if sites.app.is_none() { include_str!("app.conf") } else { "" };
    let mut text = include_str!("head.conf")
        .replace("@APP_SERVER@", own)
        .replace("@APP@", &sites.app.map_or_else(|| APP.to_owned(), |app| app.to_string()))
        .replace("@STATUS@", &format!("{}:{STATUS_PORT}", sites.listen.ip()))
        .replace("@ENDPOINTS@", &told(endpoints));
    for port in ports(sites).into_iter().filter(|_| !endpoints.is_empty()) {
        write!(text, "    upstream {0} {{\n        zone {0} 64k;\n", upstream(port)).expect("a string takes all");
        for address in endpoints.values() {
            writeln!(text, "        server {address}:{port} max_fails=0;").expect("a string takes all");
        }
        text += "    }\n";
    }
    let hosts: BTreeSet<&str> = sites.rules.iter().map(|rule| rule.host.as_str()).collect();
    for host in hosts {
        let rules = sites.rules.iter().filter(|rule| rule.host == host);
        let locations: String = rules.map(|rule| location(sites, rule, endpoints.is_empty())).collect();
        text += &server(sites, host, &locations);
    }
    for outside in &sites.outside {
        let target = format!("http://{}", outside.server);
        text += &server(
            sites,
            &outside.host,
            &include_str!("backend.conf").replace("@PATH@", "/").replace("@TARGET@", &target),
        );
    }
    text + "}\n"
}

/// The pods' ports that something leads to.
fn ports(sites: &Sites) -> BTreeSet<u16> {
    let behind = |rule: &Rule| match rule.backend {
        Backend::Pods(port) => Some(port),
        Backend::Nowhere | Backend::App => None,
    };
    let asked = |rule: &Rule| rule.auth.as_ref().and_then(|auth| auth.pods);
    sites.rules.iter().flat_map(|rule| [behind(rule), asked(rule)]).flatten().collect()
}

/// What the pods at one port are called.
fn upstream(port: u16) -> String {
    format!("conclave_{port}")
}

fn server(sites: &Sites, host: &str, locations: &str) -> String {
    include_str!("server.conf")
        .replace("@LISTEN@", &sites.listen.to_string())
        .replace("@PORT@", &sites.listen.port().to_string())
        .replace("@HOST@", host)
        .replace("@CERTIFICATE@", &sites.tls.certificate.display().to_string())
        .replace("@KEY@", &sites.tls.key.display().to_string())
        .replace("@LOCATIONS@", locations)
}

fn location(sites: &Sites, rule: &Rule, is_empty: bool) -> String {
    let (target, needs_pods) = match rule.backend {
        Backend::Pods(port) => (format!("http://{}", upstream(port)), true),
        Backend::App => ("http://app".to_owned(), rule.auth.is_some()),
        Backend::Nowhere => (String::new(), true),
    };
    if rule.backend == Backend::Nowhere || is_empty && needs_pods {
        return format!("        location {} {{ return 503; }}\n", rule.path);
    }
    let Some(auth) = &rule.auth else {
        return include_str!("backend.conf").replace("@PATH@", &rule.path).replace("@TARGET@", &target);
    };
    let mut headers = String::new();
    for (index, name) in auth.response_headers.iter().enumerate() {
        let variable = name.to_ascii_lowercase().replace('-', "_");
        writeln!(headers, "            auth_request_set $authHeader{index} $upstream_http_{variable};")
            .expect("a string");
        writeln!(headers, "            proxy_set_header '{name}' $authHeader{index};").expect("a string takes all");
    }
    let asked =
        auth.pods.map_or_else(|| format!("https://{}", sites.listen), |port| format!("http://{}", upstream(port)));
    include_str!("protected.conf")
        .replace("@PATH@", &rule.path)
        .replace("@TARGET@", &target)
        .replace("@AUTH_HOST@", &auth.host)
        .replace("@AUTH_TARGET@", &asked)
        .replace("@AUTH_PATH@", &auth.path)
        .replace("@SIGNIN@", &auth.signin)
        .replace("@HEADERS@", &headers)
}
