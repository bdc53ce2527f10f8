//! The first moment of a child: it ties its life to its parent's and becomes an ordinary replica.

use std::io;
use std::os::unix::process::{CommandExt as _, parent_id};
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

use super::DevError;

/// Replaces this process by `conclave FLAGS`, which the kernel kills when `parent` dies. Returns
/// only if that failed.
pub(super) fn become_replica(parent: u32, flags: &[String]) -> DevError {
    match prepare(parent) {
        Ok(mut replica) => DevError::Spawn(replica.args(flags).exec()),
        Err(error) => DevError::Spawn(error),
    }
}

fn prepare(parent: u32) -> io::Result<Command> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the kernel was told.
    if parent_id() != parent {
        return Err(io::Error::other("the demonstration has ended"));
    }
    Ok(Command::new(std::env::current_exe()?))
}
