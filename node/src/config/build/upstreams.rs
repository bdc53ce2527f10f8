//! Upstreams: checked as a whole, so that a mistake shows at start.

use conclave_proto::upstream::{Target, Upstream, Upstreams};

use super::{Findings, Settings};

/// Every entry has a known scheme, and no two stand for one path.
pub(super) fn upstreams(settings: &Settings, findings: &mut Findings) -> Option<Upstreams> {
    let entries = settings.items("upstreams");
    let given = entries.iter().filter(|entry| !entry.is_empty());
    let parsed: Vec<Option<Upstream>> = given.map(|entry| findings.take("upstreams", Upstream::parse(entry))).collect();
    let list = parsed.into_iter().collect::<Option<Vec<_>>>()?;
    for upstream in &list {
        warn_of(upstream, findings);
    }
    findings.take("upstreams", Upstreams::new(list))
}

fn warn_of(upstream: &Upstream, findings: &mut Findings) {
    match upstream.target() {
        Target::Static(_) => {}
        Target::Http | Target::Unix | Target::File if upstream.is_nothing() => {}
        target @ (Target::Http | Target::Unix | Target::File) => {
            let scheme = target.scheme();
            let text = format!("{scheme} upstreams are not served yet: requests of their paths are answered with 501");
            findings.warning("upstreams", text);
        }
    }
}
