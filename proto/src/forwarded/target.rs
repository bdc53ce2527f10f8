//! Where a browser goes after its login when no target was named.

use std::fmt::Write as _;

use super::{Endpoint, Gateway, GatewayConfig, HeaderView, OwnRequest, PeerAddress, Reported, Source};

/// Candidates for the return target besides `rd` and `X-Auth-Request-Redirect`, best first, each
/// still to be parsed: the forwarded URL of another host, the forwarded URI, the own one. A URI
/// under the proxy prefix is replaced by `/`: returning there would start another login.
pub fn default_targets(
    config: &GatewayConfig,
    peer: &PeerAddress,
    endpoint: Endpoint,
    own: OwnRequest<'_>,
    headers: &dyn HeaderView,
    proxy_prefix: &str,
) -> Vec<String> {
    // As in oauth2-proxy, without a kind the headers count wherever a browser is. A kind reports on checks alone.
    let reported = if config.gateway == Gateway::None || endpoint.asks() {
        Source::of(config, peer, headers).url()
    } else {
        Reported::NOTHING
    };
    let outside_prefix = |uri: &str| match uri.strip_prefix(proxy_prefix) {
        Some(rest) if rest.starts_with('/') => "/".to_owned(),
        _ => uri.to_owned(),
    };
    let uri = match reported.uri.one() {
        Some(reported) => outside_prefix(reported),
        None => escaped(&outside_prefix(own.uri)),
    };
    let mut candidates = Vec::with_capacity(2);
    if let Some(host) = reported.host.filter(|host| *host != own.host) {
        let scheme = reported.scheme.unwrap_or(own.scheme);
        candidates.push(format!("{scheme}://{host}{uri}"));
    }
    candidates.push(uri);
    candidates
}

/// A request line's path with the characters escaped that stand raw in no URL: browsers read a
/// backslash as a slash.
fn escaped(uri: &str) -> String {
    let (path, query) = uri.split_at(uri.find('?').unwrap_or(uri.len()));
    let mut out = String::with_capacity(uri.len());
    for letter in path.chars() {
        match letter {
            '\\' | '"' | '<' | '>' | '^' | '`' | '{' | '|' | '}' => {
                // Each is one byte.
                let _ = write!(out, "%{:02X}", u32::from(letter));
            }
            _ => out.push(letter),
        }
    }
    out + query
}
