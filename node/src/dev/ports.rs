//! Which port is whose, and whether all of them can be had.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use thiserror::Error;

use super::Listeners;
use super::args::Options;

/// How many replicas there are: the smallest cluster that survives the loss of one.
pub(super) const REPLICAS: usize = 3;

/// A port that cannot be had.
#[derive(Debug, Error)]
#[error("port {port} on 127.0.0.1, meant for {purpose}, cannot be had: {why}; is another demonstration running?")]
pub struct PortTaken {
    /// The port.
    pub port: u16,
    /// What it was meant for.
    pub purpose: &'static str,
    /// What the system says.
    pub why: io::Error,
}

/// All ports of one demonstration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    /// The demo app.
    pub(super) app: u16,
    /// The demo provider.
    pub(super) provider: u16,
    /// The replicas, in order.
    pub(super) replicas: [ReplicaPorts; REPLICAS],
}

/// The ports of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplicaPorts {
    /// The service.
    pub(super) http: u16,
    /// The other replicas.
    pub(super) peer: u16,
    /// Operators.
    pub(super) admin: u16,
    /// Gateways; here the demo app.
    pub(super) auth: u16,
}

impl ReplicaPorts {
    /// The name by which the other replicas know it.
    pub(super) fn peer_name(self) -> String {
        format!("localhost:{}", self.peer)
    }
}

impl Ports {
    /// Lays the ports out; two uses of one port are found by [`Ports::claim`].
    pub(super) fn plan(options: &Options) -> Result<Self, PortTaken> {
        let replica = |number: u16| {
            let http = options.base_port + 100 * number;
            ReplicaPorts { http, peer: http + 1, admin: http + 2, auth: http + 3 }
        };
        Ok(Self {
            app: options.app_port,
            provider: options.app_port + 10,
            replicas: [replica(0), replica(1), replica(2)],
        })
    }

    /// Takes the two ports of this process for good, and tries those of the replicas, all at the
    /// same time so that none is counted twice.
    pub(super) fn claim(&self) -> Result<Listeners, PortTaken> {
        let app = bind(self.app, "the demo app")?;
        let provider = bind(self.provider, "the demo provider")?;
        let mut tried = Vec::with_capacity(4 * REPLICAS);
        for replica in self.replicas {
            tried.push(bind(replica.http, "a replica")?);
            tried.push(bind(replica.peer, "a replica's peers")?);
            tried.push(bind(replica.admin, "a replica's status")?);
            tried.push(bind(replica.auth, "a replica's checks")?);
        }
        Ok(Listeners { app, provider })
    }
}

fn bind(port: u16, purpose: &'static str) -> Result<TcpListener, PortTaken> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|why| PortTaken { port, purpose, why })?;
    listener.set_nonblocking(true).map_err(|why| PortTaken { port, purpose, why })?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ports_are_those_of_the_documentation() {
        let ports = Ports::plan(&Options::default()).unwrap();
        assert_eq!((ports.app, ports.provider), (4080, 4090));
        let http: Vec<u16> = ports.replicas.iter().map(|replica| replica.http).collect();
        assert_eq!(http, [4180, 4280, 4380]);
        let third = ports.replicas[2];
        assert_eq!((third.peer, third.admin, third.auth), (4381, 4382, 4383));
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = bind(0, "a test").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind(port, "the demo app").unwrap_err();
        assert!(error.to_string().contains(&format!("port {port}")), "{error}");
    }
}
