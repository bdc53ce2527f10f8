//! Listeners of a structured file.

use super::fields::Fields;
use super::{OPTION, PemPair, Reader};
use crate::config::problem::Findings;
use crate::config::value::Value;

/// The options that a listener's fields mean.
pub(super) struct Listener {
    plain: &'static str,
    secure: &'static str,
    certificate_file: &'static str,
    key_file: &'static str,
    /// TLS words, which only the service's own listener has as options.
    words: &'static [(&'static str, &'static str)],
}

/// `server`.
pub(super) const SERVICE: Listener = Listener {
    plain: "http_address",
    secure: "https_address",
    certificate_file: "tls_cert_file",
    key_file: "tls_key_file",
    words: &[("minVersion", "tls_min_version"), ("cipherSuites", "tls_cipher_suites")],
};

/// `metricsServer`.
pub(super) const METRICS: Listener = Listener {
    plain: "metrics_address",
    secure: "metrics_secure_address",
    certificate_file: "metrics_tls_cert_file",
    key_file: "metrics_tls_key_file",
    words: &[],
};

impl Reader<'_> {
    /// Reads a listener; an address that is not given is off.
    pub(super) fn server(&mut self, mut fields: Fields<'_>, listener: &Listener, findings: &mut Findings) -> PemPair {
        let plain = fields.text("bindAddress", findings).unwrap_or_default();
        let secure = fields.text("secureBindAddress", findings).unwrap_or_default();
        let at = fields.place("tls");
        let mut tls = fields.child("tls", findings);
        fields.finish(findings);
        let certificate = tls.some_child("cert", findings);
        let key = tls.some_child("key", findings);
        self.copy(&mut tls, listener.words, findings);
        if listener.words.is_empty() {
            // Checked as the service's are, and of no other effect: metrics take the library's defaults.
            tls.text("minVersion", findings);
            tls.texts("cipherSuites", findings);
        }
        tls.finish(findings);
        let wanted = !secure.is_empty() && secure != "-";
        if wanted && (certificate.is_none() || key.is_none()) {
            findings.problem(OPTION, format!("{at}: secureBindAddress needs cert and key"));
        }
        self.set(listener.plain, Value::Text(plain));
        if wanted {
            self.set(listener.secure, Value::Text(secure));
        }
        if !wanted {
            return PemPair::default();
        }
        PemPair {
            certificate: certificate.and_then(|source| self.pem(source, listener.certificate_file, findings)),
            key: key.and_then(|source| self.pem(source, listener.key_file, findings)),
        }
    }

    /// A file becomes the option that names one; everything else is read now.
    fn pem(
        &mut self,
        mut source: Fields<'_>,
        option: &'static str,
        findings: &mut Findings,
    ) -> Option<crate::config::Secret<String>> {
        match source.only_text("fromFile") {
            Some(path) => {
                self.set(option, Value::Text(path));
                None
            }
            None => self.secret(source, findings),
        }
    }
}
