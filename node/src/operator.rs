//! `conclave cluster …`: what an operator asks of a running replica, over its admin listener.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use thiserror::Error;

use crate::http::admin::{HAND_OVER, MEANT, REKEY};

/// Longer than a write waits for a change of leader.
const PATIENCE: Duration = Duration::from_secs(20);

/// A status of a hundred members; more is no answer of ours.
const MOST_BYTES: u64 = 1024 * 1024;

const DEFAULT_ADDRESS: &str = "127.0.0.1:4182";

const VARIABLE: &str = "CONCLAVE_ADMIN_ADDRESS";

const USAGE: &str = "usage: conclave cluster COMMAND [--admin-address=HOST:PORT]

  status                       what this replica knows of the cluster, as JSON
  hand-over                    let another replica lead
  rekey --end-all-sessions     a new cluster key: for when every cookie_secret that opens the old one is lost";

/// Why nothing was done.
#[derive(Debug, Error)]
pub enum OperatorError {
    /// The words cannot be read.
    #[error("{USAGE}")]
    Usage,
    /// It would end every session, and that was not asked for in so many words.
    #[error("rekey ends every session of the cluster: say so with --end-all-sessions")]
    NotConfirmed,
    /// Nobody answers there.
    #[error("no replica answers at {address}: {error}; is admin_address another one? give --admin-address")]
    NoAnswer {
        /// Where it was asked.
        address: String,
        /// Why not.
        #[source]
        error: std::io::Error,
    },
    /// What answers there is no replica's admin listener.
    #[error("what answers at {0} is not the admin listener of a replica")]
    NotAReplica(String),
    /// The replica's own words.
    #[error("{0}")]
    Refused(String),
}

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    address: String,
    method: &'static str,
    path: &'static str,
}

/// Asks, and prints the answer.
pub fn run(args: &[String]) -> Result<(), OperatorError> {
    let variable = std::env::var(VARIABLE).ok().filter(|address| !address.is_empty());
    let question = parse(args, variable.as_deref())?;
    let answer =
        ask(&question).map_err(|error| OperatorError::NoAnswer { address: question.address.clone(), error })?;
    let (head, body) =
        answer.split_once("\r\n\r\n").ok_or_else(|| OperatorError::NotAReplica(question.address.clone()))?;
    match head.split(' ').nth(1) {
        Some("200") => {
            println!("{}", body.trim_end());
            Ok(())
        }
        Some("403" | "409" | "503") => Err(OperatorError::Refused(body.trim_end().to_owned())),
        Some(_) | None => Err(OperatorError::NotAReplica(question.address)),
    }
}

fn parse(args: &[String], variable: Option<&str>) -> Result<Question, OperatorError> {
    let (command, flags) = args.split_first().ok_or(OperatorError::Usage)?;
    let mut address = variable.unwrap_or(DEFAULT_ADDRESS).to_owned();
    let mut confirmed = false;
    for flag in flags {
        match flag.split_once('=') {
            Some(("--admin-address", given)) => given.clone_into(&mut address),
            None if flag == "--end-all-sessions" => confirmed = true,
            Some(_) | None => return Err(OperatorError::Usage),
        }
    }
    let (method, path) = match command.as_str() {
        "status" => ("GET", "/status"),
        "hand-over" => ("POST", HAND_OVER),
        "rekey" if confirmed => ("POST", REKEY),
        "rekey" => return Err(OperatorError::NotConfirmed),
        _ => return Err(OperatorError::Usage),
    };
    Ok(Question { address, method, path })
}

/// One request without a body, over HTTP/1.0 so that the end of the connection is the answer's.
fn ask(question: &Question) -> std::io::Result<String> {
    let Question { address, method, path } = question;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n{MEANT}: 1\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(MOST_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str], variable: Option<&str>) -> Result<Question, OperatorError> {
        parse(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>(), variable)
    }

    #[test]
    fn commands_are_read() {
        let status = parsed(&["status"], None).expect("a command");
        assert_eq!((status.method, status.path, status.address.as_str()), ("GET", "/status", DEFAULT_ADDRESS));
        assert_eq!(parsed(&["status"], Some("a:1")).expect("a command").address, "a:1");
        let rekey = parsed(&["rekey", "--admin-address=b:2", "--end-all-sessions"], Some("a:1")).expect("a command");
        assert_eq!((rekey.method, rekey.path, rekey.address.as_str()), ("POST", REKEY, "b:2"));
    }

    #[test]
    fn what_would_end_sessions_is_said_in_so_many_words() {
        assert!(matches!(parsed(&["rekey"], None), Err(OperatorError::NotConfirmed)));
        for args in [&[][..], &["recover"], &["status", "--x"], &["status", "--admin=a"]] {
            assert!(matches!(parsed(args, None), Err(OperatorError::Usage)), "{args:?}");
        }
    }
}
