//! The option table: every option of oauth2-proxy and of Conclave, once.

mod access;
mod command;
mod conclave;
mod cookie;
mod headers;
mod logging;
mod page;
mod provider;
mod server;
mod session;
mod special;
mod upstream;

use super::option::Opt;

/// A part of the table.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its heading in help and documentation.
    pub title: &'static str,
    /// Its rows.
    pub rows: &'static [Opt],
}

/// The whole table, in the order of help and documentation.
pub const SECTIONS: &[Section] = &[
    Section { title: "Conclave", rows: conclave::ROWS },
    Section { title: "Listeners, health and the gateway in front", rows: server::ROWS },
    Section { title: "Provider", rows: provider::ROWS },
    Section { title: "Access", rows: access::ROWS },
    Section { title: "Cookies", rows: cookie::ROWS },
    Section { title: "Headers", rows: headers::ROWS },
    Section { title: "Pages", rows: page::ROWS },
    Section { title: "Logs", rows: logging::ROWS },
    Section { title: "Sessions", rows: session::ROWS },
    Section { title: "Upstreams", rows: upstream::ROWS },
    Section { title: "Particular providers", rows: special::ROWS },
    Section { title: "Flags only", rows: command::ROWS },
];

/// Every row.
pub fn all() -> impl Iterator<Item = &'static Opt> {
    SECTIONS.iter().flat_map(|section| section.rows)
}

/// The row of a TOML name.
pub fn by_name(name: &str) -> Option<&'static Opt> {
    all().find(|option| option.name == name)
}

/// The rows that a flag feeds; more than one for an old and a new name of one thing.
pub fn by_flag(flag: &str) -> impl Iterator<Item = &'static Opt> {
    all().filter(move |option| option.flag == flag)
}
