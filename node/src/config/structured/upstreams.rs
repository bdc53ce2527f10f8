//! Upstreams of a structured file.

use std::collections::BTreeSet;

use conclave_proto::policy::Pattern;

use super::fields::Fields;
use super::{OPTION, Reader};
use crate::config::problem::Findings;

/// Status of `static: true` without a code, as in oauth2-proxy.
const DEFAULT_STATUS: i64 = 200;

/// One upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructuredUpstream {
    /// The path that it answers for, or a pattern where a rewrite is given.
    pub path: String,
    /// What the path becomes upstream; `None` = it stays.
    pub rewrite: Option<String>,
    /// What answers.
    pub target: StructuredTarget,
}

/// What answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StructuredTarget {
    /// This service itself, with that status.
    Static(u16),
    /// What a URL names.
    Url(String),
}

/// Settings of single upstreams that the options have for all of them at once.
const COMMON: &[(&str, &str)] = &[
    ("insecureSkipTLSVerify", "ssl_upstream_insecure_skip_verify"),
    ("flushInterval", "flush_interval"),
    ("passHostHeader", "pass_host_header"),
    ("proxyWebSockets", "proxy_websockets"),
    ("timeout", "upstream_timeout"),
    ("disableKeepAlives", "disable_keep_alives"),
];

impl Reader<'_> {
    /// Reads the list; ids and paths are each given once.
    pub(super) fn upstreams(&mut self, mut fields: Fields<'_>, findings: &mut Findings) {
        fields.flag("proxyRawPath", findings);
        let items = fields.children("upstreams", findings);
        fields.finish(findings);
        let (mut ids, mut paths) = (BTreeSet::new(), BTreeSet::new());
        for mut item in items {
            let at = item.place("");
            let at = at.trim_end_matches('.');
            let id = item.text("id", findings).unwrap_or_default();
            if id.is_empty() {
                findings.problem(OPTION, format!("{at}.id is missing"));
            } else if !ids.insert(id) {
                findings.problem(OPTION, format!("{at}.id stands there twice"));
            }
            let Some(upstream) = self.upstream(item, at, findings) else { continue };
            if !paths.insert(upstream.path.clone()) {
                findings.problem(OPTION, format!("{at}.path stands there twice"));
            }
            self.structured.upstreams.push(upstream);
        }
    }

    fn upstream(&mut self, mut item: Fields<'_>, at: &str, findings: &mut Findings) -> Option<StructuredUpstream> {
        let path = item.text("path", findings).unwrap_or_default();
        let rewrite = item.text("rewriteTarget", findings).filter(|target| !target.is_empty());
        let uri = item.text("uri", findings).unwrap_or_default();
        let is_static = item.flag("static", findings).unwrap_or(false);
        let code = item.whole("staticCode", findings).unwrap_or(DEFAULT_STATUS);
        self.copy(&mut item, COMMON, findings);
        item.finish(findings);
        if path.is_empty() {
            findings.problem(OPTION, format!("{at}.path is missing"));
        }
        if rewrite.is_some() && Pattern::parse(&path).is_err() {
            findings.problem(OPTION, format!("{at}.path is no regular expression, which rewriteTarget makes it"));
        }
        let target = match (is_static, u16::try_from(code)) {
            (true, Ok(code)) if (200..=999).contains(&code) => StructuredTarget::Static(code),
            (true, Ok(_) | Err(_)) => {
                findings.problem(OPTION, format!("{at}.staticCode must be from 200 to 999"));
                return None;
            }
            (false, _) if uri.is_empty() => {
                findings.problem(OPTION, format!("{at}.uri is missing, and `static` is not set"));
                return None;
            }
            (false, _) => {
                let scheme = uri.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
                if !matches!(scheme.as_deref(), Some("http" | "https" | "unix" | "file")) {
                    findings.problem(OPTION, format!("{at}.uri must begin with http://, https://, unix:// or file://"));
                    return None;
                }
                StructuredTarget::Url(uri)
            }
        };
        Some(StructuredUpstream { path, rewrite, target })
    }
}
