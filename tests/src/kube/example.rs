//! The folders of `deploy/examples` that run whole: their files as they lie there, and what their pages tell a user to add.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::Url;

use crate::helm::{self, Checked};
use crate::provider::Registration;
use crate::workdir::WorkDir;
use crate::{Failure, repository};

/// The host of all logins.
pub const AUTH: &str = "auth.example.com";

/// A cookie secret as the examples' pages make one.
const COOKIE_SECRET: &str = "9f8e7d6c5b4a3928-1706f5e4d3c2b1a";

/// How an example is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// `helm install` with its values, `kubectl apply` of the rest.
    Helm,
    /// `kubectl apply -k`, and a secret made by hand.
    Kustomize,
}

/// One example.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// Its folder.
    pub folder: &'static str,
    how: How,
    /// Its objects besides the values.
    objects: &'static [&'static str],
    /// Host of its provider.
    pub provider: &'static str,
    /// Host of its app.
    pub app: &'static str,
    /// A page of the app, as far as the example's way back brings it back.
    page: &'static str,
    /// Client id and secret that stand in its files.
    client: Option<(&'static str, &'static str)>,
    /// Somebody whom it lets in.
    pub user: &'static str,
}

/// whoami for one group.
pub const WHOAMI: Example = Example {
    folder: "oidc-groups-whoami",
    how: How::Helm,
    objects: &["whoami.yaml"],
    provider: "id.example.com",
    app: "whoami.example.com",
    page: "/deep/page?x=1&y=%20z",
    client: None,
    user: "carol",
};

/// An app behind dex. The provider here takes dex's place.
pub const HELLO: Example = Example {
    folder: "dex-hello",
    how: How::Helm,
    objects: &["dex.yaml", "hello.yaml"],
    provider: "dex.example.com",
    app: "hello.example.com",
    page: "/deep/page?x=1&y=%20z",
    client: Some(("hello", "hello-secret-for-trying-out")),
    user: "alice",
};

/// Prometheus, plain manifests. Its way back is not escaped, so it brings one parameter back.
pub const PROMETHEUS: Example = Example {
    folder: "prometheus-nginx",
    how: How::Kustomize,
    objects: &[],
    provider: "id.example.com",
    app: "prometheus.example.com",
    page: "/graph?g0.expr=up",
    client: None,
    user: "alice",
};

impl Example {
    /// The page of the app.
    pub fn page(&self) -> Url {
        Url::parse(&format!("https://{}{}", self.app, self.page)).expect("a valid URL")
    }

    /// The client at its provider.
    pub fn registration(&self) -> Registration {
        let mut registration = Registration::usual(&format!("https://{}", self.provider));
        if let Some((id, secret)) = self.client {
            (registration.client_id, registration.client_secret) = (id.to_owned(), secret.to_owned());
        }
        registration
    }

    /// Its objects with Conclave among them: for the values under `cluster`, and `more` over all.
    pub fn render(&self, dir: &WorkDir, cluster: &Value, more: &[&str]) -> Result<Checked, Failure> {
        let (own, file) = (dir.join("overlay.json"), dir.join("render.yaml"));
        let text = match self.how {
            How::Helm => {
                std::fs::write(&own, self.added_values(cluster).to_string())?;
                helm::template(&[&self.file("values.yaml"), &own], more)?
            }
            How::Kustomize => helm::kustomize(&self.file(""))?,
        };
        std::fs::write(&file, text)?;
        let mut checked = helm::check(&file)?;
        assert!(checked.problems.is_empty(), "{:#?}", checked.problems);
        if self.how == How::Kustomize {
            checked.objects.push(self.secret());
        }
        Ok(checked)
    }

    /// Its further objects.
    pub fn apps(&self) -> Result<Vec<Checked>, Failure> {
        self.objects.iter().map(|name| helm::check(&self.file(name))).collect()
    }

    /// What its page tells to give beside the values, and what makes a run shorter.
    fn added_values(&self, cluster: &Value) -> Value {
        let mut values = json!({"cluster": cluster, "config": {"cookieSecret": COOKIE_SECRET}});
        if self.client.is_none() {
            let client = self.registration();
            values["config"]["clientID"] = client.client_id.into();
            values["config"]["clientSecret"] = client.client_secret.into();
        }
        values
    }

    /// `kubectl create secret generic oauth2-proxy-credentials`.
    fn secret(&self) -> Value {
        let client = self.registration();
        let encoded = |text: &str| STANDARD.encode(text);
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "oauth2-proxy-credentials", "namespace": helm::NAMESPACE},
            "data": {
                "client-id": encoded(&client.client_id), "client-secret": encoded(&client.client_secret),
                "cookie-secret": encoded(COOKIE_SECRET),
            },
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        repository().join("deploy/examples").join(self.folder).join(name)
    }
}
