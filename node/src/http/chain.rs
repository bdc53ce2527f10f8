//! From a request to who stands behind it: the one place that knows all kinds of credentials.

use actix_web::HttpRequest;
use futures::future::LocalBoxFuture;

use super::Worker;
use super::extract::cookie_line;
use super::lookup::{self, Seen, Standing};

/// What is known of a request at once.
pub enum Found<'r> {
    /// All of it.
    Settled(Standing),
    /// Somebody has to be asked, or a password checked. Boxed, so that the common path does not
    /// carry the cold one's future.
    Later(LocalBoxFuture<'r, Standing>),
}

/// Who stands behind the request. A cookie session that memory knows settles without an await.
pub fn find<'r>(request: &'r HttpRequest, worker: &'r Worker) -> Found<'r> {
    match lookup::look(worker, &cookie_line(request)) {
        Seen::Settled(standing) => Found::Settled(standing),
        Seen::Ask(tally) => Found::Later(Box::pin(lookup::ask(worker, tally))),
    }
}
