//! Upstreams: checked as a whole, so that a mistake shows at start.

use conclave_proto::upstream::{Target, Upstream, Upstreams};

use super::{Findings, Settings};
use crate::config::structured::{StructuredTarget, StructuredUpstream};

/// Every entry has a known scheme, and no two stand for one path.
pub(super) fn upstreams(settings: &Settings, findings: &mut Findings) -> Option<Upstreams> {
    let list = match settings.structured() {
        Some(structured) => structured.upstreams.iter().filter_map(|given| of_structured(given, findings)).collect(),
        None => of_options(settings, findings)?,
    };
    for upstream in &list {
        warn_of(upstream, findings);
    }
    findings.take("upstreams", Upstreams::new(list))
}

/// A path with a rewrite is a pattern, and means something to an upstream that is proxied to only.
fn of_structured(given: &StructuredUpstream, findings: &mut Findings) -> Option<Upstream> {
    if given.rewrite.is_some() {
        findings.warning("upstreams", "an upstream with a rewriteTarget is not served yet: its paths are not answered");
        return None;
    }
    match &given.target {
        StructuredTarget::Static(status) => Some(Upstream::at(&given.path, Target::Static(*status))),
        StructuredTarget::Url(url) => {
            let parsed = findings.take("upstreams", Upstream::parse(url))?;
            Some(Upstream::at(&given.path, parsed.target()))
        }
    }
}

fn of_options(settings: &Settings, findings: &mut Findings) -> Option<Vec<Upstream>> {
    let entries = settings.items("upstreams");
    let given = entries.iter().filter(|entry| !entry.is_empty());
    let parsed: Vec<Option<Upstream>> = given.map(|entry| findings.take("upstreams", Upstream::parse(entry))).collect();
    parsed.into_iter().collect()
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
