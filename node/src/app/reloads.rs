//! The files that count as they are now, not as they were at the start: people who may come in, and certificates.

use std::path::PathBuf;
use std::sync::Arc;

use actix::Actor;
use conclave_proto::htpasswd::LocalUsers;
use conclave_proto::policy::AuthenticatedEmails;
use tracing::warn;

use super::certificates::{Certificate, Certificates};
use crate::actors::file_reloader::{FileReloader, Taker};
use crate::actors::supervisor::Watched;
use crate::http::Service;

/// One actor for each.
pub(super) fn all(service: &Arc<Service>, certificates: &Certificates) -> Vec<Watched> {
    let site = service.site.config();
    let emails = site.authenticated_emails_file.clone().map(|path| emails(service, path));
    let users = site.local.as_ref().map(|local| local_users(service, local.file.clone()));
    let certificates = certificates.all().filter_map(|one| certificate(service, one));
    emails.into_iter().chain(users).chain(certificates).collect()
}

fn emails(service: &Arc<Service>, path: PathBuf) -> Watched {
    let service = Arc::clone(service);
    Watched::new("e-mail file reloader", move || {
        let service = Arc::clone(&service);
        let take: Taker<1> = Box::new(move |[text]| {
            let emails = AuthenticatedEmails::parse(text).map_err(|error| error.to_string())?;
            service.replace_emails(emails);
            Ok(())
        });
        FileReloader::new("authenticated_emails_file", [path.clone()], take).start()
    })
}

fn local_users(service: &Arc<Service>, path: PathBuf) -> Watched {
    let service = Arc::clone(service);
    Watched::new("htpasswd file reloader", move || {
        let service = Arc::clone(&service);
        let take: Taker<1> = Box::new(move |[text]| {
            let users = LocalUsers::parse(text).map_err(|error| error.to_string())?;
            if users.is_empty() {
                warn!("htpasswd_file names no user with a bcrypt or {{SHA}} hash any more: no local user is let in");
            }
            service.local.iter().for_each(|local| local.replace(users.clone()));
            Ok(())
        });
        FileReloader::new("htpasswd_file", [path.clone()], take).start()
    })
}

fn certificate(service: &Arc<Service>, certificate: &Arc<Certificate>) -> Option<Watched> {
    let files = certificate.files()?;
    let (service, certificate) = (Arc::clone(service), Arc::clone(certificate));
    Some(Watched::new("certificate reloader", move || {
        let (service, certificate) = (Arc::clone(&service), Arc::clone(&certificate));
        let option = certificate.option();
        let take: Taker<2> = Box::new(move |[chain, key]| {
            let taken = certificate.replace(chain, key).map_err(|error| error.to_string());
            // The first look finds what the start has read.
            if taken != Ok(false) {
                service.metrics.certificates_changed(option, taken.is_ok());
            }
            taken.map(drop)
        });
        FileReloader::new(option, files.clone(), take).start()
    }))
}
