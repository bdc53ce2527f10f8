//! The rules of Conclave, without IO: formats, decisions and the replicated state machine.
//!
//! Nothing here reads a clock, draws a random number, or opens a file or socket: clock readings and
//! entropy are arguments ([`time::Clock`], [`time::Entropy`]). So every rule can be tested as a
//! plain function, and equal logs give equal states.
//!
//! # Where things are
//! - Vocabulary: [`time`], [`id`], [`session`] (what is kept of a login).
//! - The log and the state: [`command`] (one entry), [`transition`] (what it does), [`keyspace`]
//!   (the rows it does it to), [`wire`] (bytes of rows and peer messages; the only bincode).
//! - Secrets: [`keyring`] (everything derived from cookie secrets and the cluster key), [`ticket`]
//!   (the session cookie), [`seal`] (label and body), [`login`] (the login cookie), [`cookie`],
//!   [`oauth2_proxy`] (what an oauth2-proxy left in browsers).
//! - Requests: [`admin_host`] (who is an operator), [`forwarded`] (what the original request was), [`fetch_metadata`] (who
//!   caused it),
//!   [`redirect`] (where a browser may be sent), [`policy`] (who may pass), [`upstream`] (what answers outside the prefix),
//!   [`authorization`] and [`htpasswd`] (credentials besides the cookie).
//! - Answers: [`header_value`] (what a claim becomes in a header).
//! - Logs: [`logline`] (the forms of lines, and what no line may hold).
//!
//! # Invariants
//! Named where they are asserted.
//! - **I1** Equal logs give equal states, byte for byte: `apply` depends on the state, the entry and
//!   its index alone, and an entry that is not understood is not applied.
//! - **I2** A session has exactly one index row, one body row and one row in each of its indexes,
//!   or none of them; everything remembered has exactly one row that says until when.
//! - **I3** No session ends later than the longest lifetime after the stamp of the entry that made it.
//! - **I4** A login attempt makes at most one session, and a session that was revoked never comes
//!   back, whichever of a login, its retries and its revocation come first in the log.
//! - **I5** Revoking a person's sessions makes all those of earlier entries dead at once, and none
//!   of later ones.
//! - **I6** A write is done once, however often it is sent; the retry reports the first outcome.
//! - **I7** A session of another epoch is dead, whatever rows of it still stand.
//! - **I8** One entry's work is bounded, whatever the state holds.
//! - **I9** Bytes from a peer are bounded before they are read, and reading them never panics.
//! - **I10** Rows, log and wire hold no token and no ticket secret in the clear.

pub mod admin_host;
pub mod authorization;
pub mod command;
pub mod cookie;
mod crypto;
pub mod fetch_metadata;
pub mod forwarded;
pub mod header_value;
pub mod htpasswd;
pub mod id;
pub mod keyring;
pub mod keyspace;
pub mod login;
pub mod logline;
pub mod oauth2_proxy;
pub mod policy;
pub mod redirect;
pub mod seal;
pub mod session;
pub mod ticket;
pub mod time;
pub mod transition;
pub mod upstream;
pub mod wire;
