//! The cost of a ticket and of the two envelopes, on one core.

use conclave_proto::command::FIRST_EPOCH;
use conclave_proto::id::Generation;
use conclave_proto::keyring::Keyring;
use conclave_proto::seal::{open_body, seal_body};
use conclave_proto::ticket::Ticket;
use conclave_proto::time::Timestamp;

use crate::Failure;
use crate::fixture::{COOKIE_NAME, body, keyring, random};
use crate::measure::{number, rate};
use crate::report::Table;

pub fn run() -> Result<Vec<Table>, Failure> {
    let ring = keyring()?;
    let ticket = Ticket::mint(random(), FIRST_EPOCH, Timestamp::from_secs(1_700_000_000));
    let cookie = ticket.encode(&ring, COOKIE_NAME);
    let other = Ticket::mint(random(), FIRST_EPOCH, Timestamp::from_secs(1_700_000_000));
    let forged = other.encode(&keyring()?, COOKIE_NAME);

    let mut table = Table::new(
        "ticket",
        "One core. Every check decodes and authenticates a whole ticket.",
        &["operation", "per second", "µs each"],
    );
    let mut row = |name: &str, rate: f64| table.row(&[name.to_owned(), number(rate), format!("{:.2}", 1e6 / rate)]);
    row("mint and encode", rate(|| Ticket::mint(random(), FIRST_EPOCH, Timestamp::ZERO).encode(&ring, COOKIE_NAME)));
    row("decode, ours", rate(|| Ticket::decode(&cookie, &ring, COOKIE_NAME).is_ok()));
    row("decode, of another cluster", rate(|| Ticket::decode(&forged, &ring, COOKIE_NAME).is_err()));
    row("decode, an oauth2-proxy cookie", rate(|| Ticket::decode("djE|1700000000|c2ln", &ring, COOKIE_NAME).is_err()));
    for (name, token) in [("1 KiB", 900), ("6 KiB", 10_500)] {
        let (sealed, seals, opens) = envelope(&ring, &ticket, token)?;
        let size = format!("{name} ({sealed} bytes sealed)");
        row(&format!("seal a body of {size}"), seals);
        row(&format!("open a body of {size}"), opens);
    }
    Ok(vec![table])
}

/// Sealed size, and rates of sealing and opening.
fn envelope(ring: &Keyring, ticket: &Ticket, token: usize) -> Result<(usize, f64, f64), Failure> {
    let body = body(1, "https://issuer.example.test", token);
    let key = ring.cluster_key();
    let generation = Generation::default();
    let sealed = seal_body(key, ticket, generation, &body, random())?;
    let seals = rate(|| seal_body(key, ticket, generation, &body, random()).is_ok());
    let opens = rate(|| open_body(key, ticket, generation, &sealed).is_ok());
    Ok((sealed.len(), seals, opens))
}
