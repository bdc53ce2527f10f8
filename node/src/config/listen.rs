//! Listener addresses: `[http://]host:port`, `unix://path[,mode=0777]`, `fd:N`.

use std::fmt;
use std::net::TcpListener;
use std::path::PathBuf;

use thiserror::Error;

/// Where a listener binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP address; an empty host means all of them, IPv6 and IPv4.
    Tcp {
        /// Name or address, without brackets.
        host: String,
        /// 0 = any free one.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// Its path.
        path: PathBuf,
        /// File mode to set, if given.
        mode: Option<u32>,
    },
    /// A listening descriptor handed over by systemd.
    Fd(usize),
}

/// Why an address was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidListenAddress {
    /// Not one of the known forms.
    #[error("is not [http://]HOST:PORT, unix://PATH[,mode=0777] or fd:N")]
    Malformed,
    /// The port is no number up to 65535.
    #[error("has a port that is no number from 0 to 65535")]
    Port,
    /// The mode is no octal number up to 0777.
    #[error("has a mode that is no octal number up to 0777")]
    Mode,
}

impl ListenAddress {
    /// Parses one address. `""` and `-`, which mean "off", are the caller's matter.
    pub fn parse(raw: &str) -> Result<Self, InvalidListenAddress> {
        if let Some(rest) = raw.strip_prefix("unix:") {
            return parse_unix(rest.strip_prefix("//").unwrap_or(rest));
        }
        if let Some(number) = raw.strip_prefix("fd:") {
            return number.parse().map(Self::Fd).map_err(|_| InvalidListenAddress::Malformed);
        }
        let rest = raw.strip_prefix("http://").or_else(|| raw.strip_prefix("https://")).unwrap_or(raw);
        let (host, port) = rest.rsplit_once(':').ok_or(InvalidListenAddress::Malformed)?;
        let port = port.parse().map_err(|_| InvalidListenAddress::Port)?;
        let bare = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or(InvalidListenAddress::Malformed)?,
            None if host.contains([':', '/', '@', ' ']) => return Err(InvalidListenAddress::Malformed),
            None => host,
        };
        Ok(Self::Tcp { host: bare.to_owned(), port })
    }

    /// Binds a TCP address. With an empty host, all addresses: IPv6 and IPv4 where the machine has both.
    pub fn bind_tcp(&self) -> std::io::Result<TcpListener> {
        let Self::Tcp { host, port } = self else {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a TCP address"));
        };
        if host.is_empty() {
            return TcpListener::bind(("::", *port)).or_else(|_| TcpListener::bind(("0.0.0.0", *port)));
        }
        TcpListener::bind((host.as_str(), *port))
    }
}

fn parse_unix(rest: &str) -> Result<ListenAddress, InvalidListenAddress> {
    let (path, mode) = match rest.split_once(',') {
        None => (rest, None),
        Some((path, option)) => {
            let octal = option.strip_prefix("mode=").ok_or(InvalidListenAddress::Mode)?;
            let mode = u32::from_str_radix(octal, 8).ok().filter(|mode| *mode <= 0o777);
            (path, Some(mode.ok_or(InvalidListenAddress::Mode)?))
        }
    };
    if path.is_empty() {
        return Err(InvalidListenAddress::Malformed);
    }
    Ok(ListenAddress::Unix { path: PathBuf::from(path), mode })
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { path, .. } => write!(f, "unix://{}", path.display()),
            Self::Fd(number) => write!(f, "fd:{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> ListenAddress {
        ListenAddress::Tcp { host: host.to_owned(), port }
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(ListenAddress::parse("127.0.0.1:4180"), Ok(tcp("127.0.0.1", 4180)));
        assert_eq!(ListenAddress::parse("http://0.0.0.0:80"), Ok(tcp("0.0.0.0", 80)));
        assert_eq!(ListenAddress::parse(":4180"), Ok(tcp("", 4180)));
        assert_eq!(ListenAddress::parse("[::1]:1"), Ok(tcp("::1", 1)));
        assert_eq!(ListenAddress::parse("fd:3"), Ok(ListenAddress::Fd(3)));
        let unix = ListenAddress::Unix { path: "/run/c.sock".into(), mode: Some(0o770) };
        assert_eq!(ListenAddress::parse("unix:///run/c.sock,mode=0770"), Ok(unix));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(ListenAddress::parse("localhost"), Err(InvalidListenAddress::Malformed));
        assert_eq!(ListenAddress::parse("::1:80"), Err(InvalidListenAddress::Malformed));
        assert_eq!(ListenAddress::parse("a:b"), Err(InvalidListenAddress::Port));
        assert_eq!(ListenAddress::parse("unix:///x,mode=9"), Err(InvalidListenAddress::Mode));
        assert_eq!(ListenAddress::parse("unix://"), Err(InvalidListenAddress::Malformed));
    }
}
