//! Typed identifiers. No two kinds convert into each other, and secret ones do not print.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name($inner);

        impl $name {
            /// Wraps the number.
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// The number.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Wraps the bytes.
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }
    };
}

macro_rules! printable {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

number_id!(
    /// A replica's Raft node id: random, minted with its disk, never derived from a pod's ordinal.
    NodeId, u64
);
number_id!(
    /// The index of an entry in the replicated log.
    LogIndex, u64
);
number_id!(
    /// Counts how often the cluster's sessions were ended as a whole; a ticket of another epoch is void.
    Epoch, u32
);
number_id!(
    /// The version of one session's body; each refresh raises it.
    Generation, u32
);
number_id!(
    /// What commands, rows and frames every member understands.
    FeatureLevel, u32
);

byte_id!(
    /// The cluster's identity, minted at founding.
    ClusterId, 16
);
byte_id!(
    /// SHA-256 of a session id: the only name under which a session is stored.
    SessionKey, 32
);
byte_id!(
    /// One login attempt; the session it creates carries it.
    AttemptId, 16
);
byte_id!(
    /// MAC over issuer, client id and `sub`: finds a person's sessions without naming the person.
    SubjectKey, 32
);
byte_id!(
    /// MAC over issuer, client id and `sid`: finds the session of a provider's session.
    SidKey, 32
);
byte_id!(
    /// Drawn at each start of a process; with a sequence number it names one write for good.
    ProcessId, 16
);
byte_id!(
    /// Names a cookie secret in one cluster's ring without revealing it.
    KeyId, 4
);
printable!(ClusterId);
printable!(SessionKey);
printable!(AttemptId);
printable!(SubjectKey);
printable!(SidKey);
printable!(ProcessId);
printable!(KeyId);

byte_id!(
    /// The 128-bit random id inside a ticket. Never stored, never printed: whoever knows it and the
    /// ticket's secret holds the session.
    SessionId, 16
);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(***)")
    }
}

/// Longest provider or site id in bytes: it is part of every index row, which stay small.
pub const MAX_NAME_LEN: usize = 32;

/// Why a provider or site id was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidName {
    /// Nothing was given.
    #[error("is empty")]
    Empty,
    /// More than [`MAX_NAME_LEN`] bytes.
    #[error("is longer than {MAX_NAME_LEN} bytes")]
    TooLong,
    /// A control character, which could forge log lines.
    #[error("contains a control character")]
    Control,
}

macro_rules! short_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(String);

        impl $name {
            /// Checks length and characters.
            pub fn parse(raw: &str) -> Result<Self, InvalidName> {
                if raw.is_empty() {
                    return Err(InvalidName::Empty);
                }
                if raw.len() > MAX_NAME_LEN {
                    return Err(InvalidName::TooLong);
                }
                if raw.chars().any(char::is_control) {
                    return Err(InvalidName::Control);
                }
                Ok(Self(raw.to_owned()))
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self("default".to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

short_name!(
    /// A configured OpenID provider: its `id` in the alpha configuration, otherwise `default`.
    ProviderId
);
short_name!(
    /// A site served by this cluster, with its own cookie, policy and provider; otherwise `default`.
    SiteId
);

/// The port a peer listens on when its name carries none.
pub const DEFAULT_PEER_PORT: u16 = 4181;

/// Longest peer name in bytes: a DNS name (253) and a port.
pub const MAX_PEER_NAME_LEN: usize = 259;

/// Why a peer name was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidPeerName {
    /// Not `host` or `host:port`.
    #[error("is not HOST or HOST:PORT")]
    Malformed,
    /// The port is no number from 1 to 65535.
    #[error("has a port that is no number from 1 to 65535")]
    Port,
}

/// A replica's stable name, `host:port`, lower case: what the configuration lists, what its
/// certificate proves and what membership maps to a [`NodeId`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerName(String);

impl PeerName {
    /// Parses `host` or `host:port`; a missing port is [`DEFAULT_PEER_PORT`].
    pub fn parse(raw: &str) -> Result<Self, InvalidPeerName> {
        let (host, port) = match raw.rsplit_once(':') {
            Some((host, port)) => (host, port.parse::<u16>().map_err(|_| InvalidPeerName::Port)?),
            None => (raw, DEFAULT_PEER_PORT),
        };
        if port == 0 {
            return Err(InvalidPeerName::Port);
        }
        let host_ok = !host.is_empty()
            && raw.len() <= MAX_PEER_NAME_LEN
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if !host_ok {
            return Err(InvalidPeerName::Malformed);
        }
        Ok(Self(format!("{}:{port}", host.to_ascii_lowercase())))
    }

    /// `host:port`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host without the port.
    pub fn host(&self) -> &str {
        self.0.rsplit_once(':').map_or(self.0.as_str(), |(host, _)| host)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        let port = self.0.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.unwrap_or(DEFAULT_PEER_PORT)
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_names_are_normalised() {
        let name = PeerName::parse("Conclave-0.Peers").expect("valid");
        assert_eq!((name.as_str(), name.host(), name.port()), ("conclave-0.peers:4181", "conclave-0.peers", 4181));
        assert_eq!(PeerName::parse("a:0"), Err(InvalidPeerName::Port));
        assert_eq!(PeerName::parse("a b"), Err(InvalidPeerName::Malformed));
        assert_eq!(PeerName::parse(""), Err(InvalidPeerName::Malformed));
    }

    #[test]
    fn session_ids_do_not_print() {
        assert_eq!(format!("{:?}", SessionId::from_bytes([7; 16])), "SessionId(***)");
    }

    #[test]
    fn names_are_bounded() {
        assert_eq!(SiteId::parse(&"x".repeat(33)), Err(InvalidName::TooLong));
        assert_eq!(SiteId::parse("a\nb"), Err(InvalidName::Control));
        assert_eq!(SiteId::default().as_str(), "default");
    }
}
