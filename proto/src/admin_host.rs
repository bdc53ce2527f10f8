//! Which requests the admin listener takes for those of an operator: their `Host` is this machine, the listener's own
//! address or a configured name. A page whose name a stranger lets point at this machine (DNS rebinding) sends its own name.

use std::net::{IpAddr, Ipv6Addr};

use thiserror::Error;

/// Names and addresses, without ports, under which operators reach the listener. Loopback always counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminHosts(Vec<String>);

/// Why a configured name was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("is no host name or address without a port, such as ops.example.com")]
pub struct InvalidAdminHost;

/// Why a request is not an operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotAnOperator {
    /// Its `Host` is missing, given twice, or another one.
    #[error(
        "the Host of this request is neither loopback nor the admin address: ask at one of these, or add the name to \
         admin_hosts"
    )]
    Host,
    /// A page in a browser sent it.
    #[error("this request has an Origin, so a page in a browser sent it: use `conclave cluster` or another program")]
    Origin,
}

impl AdminHosts {
    /// `own` is the host of the listener's address, if it has one; `more` the configured names.
    pub fn new(own: Option<&str>, more: &[String]) -> Result<Self, (String, InvalidAdminHost)> {
        let mut hosts: Vec<String> = own.into_iter().map(str::to_ascii_lowercase).collect();
        for raw in more {
            let bare = raw.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(raw);
            let is_host = bare.parse::<IpAddr>().is_ok() || is_name(bare);
            if !is_host {
                return Err((raw.clone(), InvalidAdminHost));
            }
            hosts.push(bare.to_ascii_lowercase());
        }
        Ok(Self(hosts))
    }

    /// Whether a request with these values of `Host` may be an operator's.
    pub fn check<'v>(&self, hosts: impl IntoIterator<Item = &'v [u8]>, has_origin: bool) -> Result<(), NotAnOperator> {
        if has_origin {
            return Err(NotAnOperator::Origin);
        }
        let mut hosts = hosts.into_iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(NotAnOperator::Host) };
        let host = std::str::from_utf8(host).ok().and_then(without_port).ok_or(NotAnOperator::Host)?;
        let loopback = match host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        };
        let known = loopback || self.0.iter().any(|known| known.eq_ignore_ascii_case(host));
        if known { Ok(()) } else { Err(NotAnOperator::Host) }
    }
}

/// The host of `HOST[:PORT]`, an IPv6 address without its brackets.
fn without_port(value: &str) -> Option<&str> {
    let (host, port) = match value.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, port)
        }
        None => value.split_at(value.find(':').unwrap_or(value.len())),
    };
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok());
    (is_port && !host.is_empty()).then_some(host)
}

fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.bytes().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(own: &str, more: &[&str]) -> AdminHosts {
        let more: Vec<String> = more.iter().map(|name| (*name).to_owned()).collect();
        AdminHosts::new(Some(own), &more).expect("names")
    }

    #[test]
    fn operators_host_is_loopback_the_admin_address_or_a_configured_name() {
        let admin = hosts("10.1.2.3", &["ops.example.com", "[2001:db8::1]"]);
        let check = |host: &str| admin.check([host.as_bytes()], false);
        for own in [
            "localhost",
            "LOCALHOST:14182",
            "127.0.0.1:4182",
            "127.1.2.3",
            "[::1]:4182",
            "10.1.2.3:4182",
            "Ops.Example.com",
            "ops.example.com:80",
            "[2001:db8::1]:4182",
        ] {
            assert_eq!(check(own), Ok(()), "{own}");
        }
        for foreign in [
            "evil.example:4182",
            "10.1.2.4:4182",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost:4182:evil",
            "localhost:99999",
            "localhost:x",
            "evil@localhost",
            "[localhost]",
            "[::1",
            "::1",
            "sub.ops.example.com",
            "",
            ":4182",
        ] {
            assert_eq!(check(foreign), Err(NotAnOperator::Host), "{foreign}");
        }
        assert_eq!(admin.check([], false), Err(NotAnOperator::Host), "none at all");
        assert_eq!(admin.check([&b"localhost"[..], b"localhost"], false), Err(NotAnOperator::Host), "two of them");
        assert_eq!(admin.check([&b"localhost\xff"[..]], false), Err(NotAnOperator::Host), "not UTF-8");
    }

    #[test]
    fn operators_host_any_origin_refuses() {
        assert_eq!(hosts("127.0.0.1", &[]).check([&b"localhost"[..]], true), Err(NotAnOperator::Origin));
    }

    #[test]
    fn operators_host_names_are_checked() {
        for odd in ["", "ops.example.com:4182", "*", "http://ops", "a b", "[ops]x"] {
            let refused = AdminHosts::new(None, &[odd.to_owned()]).expect_err("no name");
            assert_eq!(refused, (odd.to_owned(), InvalidAdminHost));
        }
    }
}
