//! The process's clock and source of randomness.

use conclave_proto::time::{Boottime, Clock, Entropy, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(millis(clock_gettime(ClockId::Realtime)))
    }

    fn boottime(&self) -> Boottime {
        Boottime::from_millis(millis(clock_gettime(ClockId::Boottime)))
    }
}

/// A clock before the epoch reads as the epoch.
fn millis(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)
}

/// The operating system's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl SystemEntropy {
    /// The one there is.
    pub const fn new() -> Self {
        Self
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        SystemRandom::new().fill(buffer).expect("the kernel's random source does not fail once it is initialised");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_run_forward() {
        let (wall, boot) = (SystemClock.now(), SystemClock.boottime());
        assert!(wall > Timestamp::from_secs(1_700_000_000));
        assert!(SystemClock.boottime() >= boot);
    }

    #[test]
    fn entropy_fills_the_buffer() {
        let (mut a, mut b) = ([0u8; 32], [0u8; 32]);
        SystemEntropy.fill(&mut a);
        SystemEntropy.fill(&mut b);
        assert!(a != [0u8; 32] && a != b);
    }
}
