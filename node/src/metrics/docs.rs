//! `docs/metrics.md`, from the families that are registered.

use std::fmt::Write;

use super::Metrics;

const INTRODUCTION: &str = "\
# Metrics

Made from the families in the code by `conclave print-metrics`; do not edit.

In Prometheus' text format at `/metrics` of the admin listener (`admin_address`, 127.0.0.1:4182), and on every path of
`metrics_address` and `metrics_secure_address`. A histogram NAME prints as `NAME_bucket`, `NAME_sum` and `NAME_count`.
Names and labels are stable: dashboards and alerts stand on them. The `oauth2_proxy_*` ones are oauth2-proxy's own; the
default route of ping and ready is not counted in them.

| Name | Type | Labels | Meaning |
|---|---|---|---|
";

/// The whole page.
pub fn page() -> String {
    let mut out = INTRODUCTION.to_owned();
    let mut families = Metrics::new().described().to_vec();
    families.sort_by(|a, b| a.name.cmp(&b.name));
    for family in families {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(", ") };
        let _ =
            writeln!(out, "| `{}` | {} | {labels} | {} |", family.name, family.kind, family.help.replace('|', "\\|"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        let stored = std::fs::read_to_string(path).expect("docs/metrics.md");
        assert!(stored == page(), "docs/metrics.md is old: cargo run -- print-metrics > docs/metrics.md");
    }

    #[test]
    fn what_is_printed_is_described() {
        let page = page();
        let text = Metrics::new().render();
        let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert!(names.len() > 20, "{names:?}");
        for line in names {
            let (name, kind) = line.split_once(' ').expect("a name and a type");
            assert!(page.contains(&format!("| `{name}` | {kind} |")), "{line} is not on the page");
        }
    }
}
