//! The Redis that a real oauth2-proxy keeps its sessions in while it is played.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::provider::wait_port;

/// Longest wait for it to listen.
const START: Duration = Duration::from_secs(10);

/// A running server without a file on disk; ends with its value.
#[derive(Debug)]
pub struct Redis(Child);

impl Redis {
    /// Starts `redis-server`, which has to be installed where a real oauth2-proxy is played.
    pub fn start(port: u16) -> Self {
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed: oauth2-proxy keeps its sessions there");
        let mut redis = Self(child);
        let listens = wait_port(&format!("127.0.0.1:{port}"), START, Some(&mut redis.0));
        assert!(listens, "redis-server does not listen");
        redis
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
