//! Load by wrk, pinned to a core, and what it reports.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::Failure;

/// The core of the server under load.
const SERVER_CORE: &str = "0";

/// The core of the load.
const LOAD_CORE: &str = "1";

/// Connections kept busy.
const CONNECTIONS: &str = "-c64";

/// What wrk found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Answers per second.
    pub per_second: f64,
    /// Median latency in milliseconds.
    pub p50: f64,
    /// 99th percentile in milliseconds.
    pub p99: f64,
}

/// A process that ends with the value.
pub struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// Starts a server on its own core.
    pub fn start(program: &Path, args: &[String]) -> Result<Self, Failure> {
        let mut command = Command::new("taskset");
        command.args(["-c", SERVER_CORE]).arg(program);
        Self::spawn(command, args)
    }

    /// Starts a server on whichever core is free.
    pub fn start_unpinned(program: &Path, args: &[String]) -> Result<Self, Failure> {
        Self::spawn(Command::new(program), args)
    }

    fn spawn(mut command: Command, args: &[String]) -> Result<Self, Failure> {
        Ok(Self(command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

/// A script that asks `path` with `headers`, a cookie of `cookies` in turn.
pub fn script(path: &str, headers: &[(String, String)], cookies: &[String]) -> String {
    let mut out = String::from("local requests, at = {}, 0\nlocal cookies = {\n");
    cookies.iter().for_each(|cookie| {
        let _ = writeln!(out, "{cookie:?},");
    });
    out += "}\nfunction init(args)\n";
    headers.iter().for_each(|(name, value)| {
        let _ = writeln!(out, "wrk.headers[{name:?}] = {value:?}");
    });
    let _ = write!(
        out,
        "for i, cookie in ipairs(cookies) do\nwrk.headers[\"Cookie\"] = cookie\n\
         requests[i] = wrk.format(\"GET\", {path:?})\nend\nend\n\
         function request()\nat = at % #requests + 1\nreturn requests[at]\nend\n"
    );
    out
}

/// Loads the server at `port` for so many seconds.
pub fn load(port: u16, script: &Path, seconds: u32) -> Result<Found, Failure> {
    let mut command = Command::new("taskset");
    command.args(["-c", LOAD_CORE, "wrk", "-t1", CONNECTIONS, &format!("-d{seconds}s"), "--latency", "-s"]);
    let ran = command.arg(script).arg(format!("http://127.0.0.1:{port}")).output()?;
    if !ran.status.success() {
        return Err(format!("wrk failed: {}", String::from_utf8_lossy(&ran.stderr)).into());
    }
    parse(&String::from_utf8_lossy(&ran.stdout))
}

fn parse(output: &str) -> Result<Found, Failure> {
    // A line that is only there when something went wrong.
    for bad in ["Non-2xx", "Socket errors"] {
        if let Some(line) = output.lines().find(|line| line.contains(bad)) {
            return Err(line.trim().to_owned().into());
        }
    }
    let after = |label: &str| {
        let line = output.lines().find_map(|line| line.trim().strip_prefix(label));
        line.map(str::trim).ok_or_else(|| format!("wrk did not report {label}"))
    };
    Ok(Found {
        per_second: after("Requests/sec:")?.parse()?,
        p50: milliseconds(after("50%")?)?,
        p99: milliseconds(after("99%")?)?,
    })
}

fn milliseconds(shown: &str) -> Result<f64, Failure> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    let found = units.iter().find_map(|(unit, factor)| Some((shown.strip_suffix(unit)?, factor)));
    let (number, factor) = found.ok_or("a latency without a unit")?;
    Ok(number.parse::<f64>()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "  Latency Distribution\n     50%  320.00us\n     75%    0.40ms\n     90%    0.50ms\n     \
        99%    1.25ms\n  100 requests in 3.00s\nRequests/sec: 123456.78\nTransfer/sec:     10.00MB\n";

    #[test]
    fn wrks_words_are_understood() {
        let found = parse(OUTPUT).expect("as wrk prints");
        assert_eq!(found, Found { per_second: 123_456.78, p50: 0.32, p99: 1.25 });
        assert_eq!(milliseconds("1.50s").expect("seconds"), 1500.0);
    }

    #[test]
    fn refused_requests_are_no_result() {
        assert!(parse(&format!("{OUTPUT}  Non-2xx or 3xx responses: 7\n")).is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn the_script_names_every_cookie() {
        let headers = [("X-Original-Method".to_owned(), "GET".to_owned())];
        let script = script("/oauth2/auth", &headers, &["a=1".to_owned(), "a=2".to_owned()]);
        assert!(
            script.contains("\"a=1\",\n\"a=2\",") && script.contains("wrk.headers[\"X-Original-Method\"] = \"GET\"")
        );
    }
}
