//! Clock and entropy of a test's replica.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use conclave_proto::time::{Boottime, Clock, Entropy, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};

/// The real clocks, moved by what a test says.
pub struct TestClock {
    born: Instant,
    wall_offset_ms: AtomicI64,
    slept_ms: AtomicU64,
}

impl Default for TestClock {
    #[expect(clippy::disallowed_methods, reason = "the clock that the tests set")]
    fn default() -> Self {
        Self { born: Instant::now(), wall_offset_ms: AtomicI64::new(0), slept_ms: AtomicU64::new(1_000_000) }
    }
}

impl TestClock {
    /// Sets the wall clock wrong by so much.
    pub fn set_wrong_by(&self, millis: i64) {
        self.wall_offset_ms.store(millis, Ordering::SeqCst);
    }

    /// What a suspended machine sees when it wakes: both clocks went on, its timers did not.
    pub fn sleep_through(&self, span: Duration) {
        let millis = i64::try_from(span.as_millis()).expect("a short sleep");
        self.slept_ms.fetch_add(millis.unsigned_abs(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    #[expect(clippy::disallowed_methods, reason = "the clock that the tests set")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let millis = u64::try_from(since.as_millis()).expect("before the year 500000000");
        Timestamp::from_millis(millis.saturating_add_signed(self.wall_offset_ms.load(Ordering::SeqCst)))
    }

    fn boottime(&self) -> Boottime {
        let passed = u64::try_from(self.born.elapsed().as_millis()).expect("a short test");
        Boottime::from_millis(passed + self.slept_ms.load(Ordering::SeqCst))
    }
}

/// The operating system's random numbers.
pub struct Chance;

impl Entropy for Chance {
    fn fill(&self, buffer: &mut [u8]) {
        SystemRandom::new().fill(buffer).expect("the system has random numbers");
    }
}
