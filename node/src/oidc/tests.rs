//! Logins against a provider in this process: requests, answers, outages, rotation.

mod bearer;
mod discovery;
pub(super) mod fake;
pub(super) mod keys;
mod login;
