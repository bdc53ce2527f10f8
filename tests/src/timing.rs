//! The harness's clock and its waiting: polls with a limit, never a bare sleep as synchronisation.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::Failure;

/// Between two polls.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// The instant this is called.
#[expect(clippy::disallowed_methods, reason = "the scenarios measure real processes from outside")]
pub fn now() -> Instant {
    Instant::now()
}

/// Polls `probe` until it yields a value; fails, naming `what`, after `limit`.
pub async fn until<T, F, Fut>(what: &str, limit: Duration, mut probe: F) -> Result<T, Failure>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let begun = now();
    loop {
        if let Some(value) = probe().await {
            return Ok(value);
        }
        if begun.elapsed() > limit {
            return Err(format!("not within {limit:?}: {what}").into());
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// [`until`] for threads without a runtime: whether `probe` held within `limit`.
pub fn holds_within(limit: Duration, mut probe: impl FnMut() -> bool) -> bool {
    let begun = now();
    loop {
        if probe() {
            return true;
        }
        if begun.elapsed() > limit {
            return false;
        }
        pause(POLL_EVERY);
    }
}

/// Lets time pass where that itself is what a scenario asks for.
#[expect(clippy::disallowed_methods, reason = "the one place that sleeps for threads without a runtime")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Durations of one kind, for percentiles.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds one.
    pub fn add(&mut self, one: Duration) {
        self.0.push(one);
    }

    /// Adds all of another.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value below which `share` (0.0 to 1.0) of all lie; zero when empty.
    pub fn percentile(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let at = (last as f64 * share).round() as usize;
        sorted.get(at).copied().unwrap_or_default()
    }

    /// The largest; zero when empty.
    pub fn max(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }

    /// `p50 A, p99 B, max C` in milliseconds.
    pub fn summary(&self) -> String {
        let show = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
        format!("p50 {}, p99 {}, max {}", show(self.percentile(0.5)), show(self.percentile(0.99)), show(self.max()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_values() {
        let mut times = Times::default();
        for millis in [30, 10, 20, 50, 40] {
            times.add(Duration::from_millis(millis));
        }
        assert_eq!(times.percentile(0.5), Duration::from_millis(30));
        assert_eq!(times.percentile(0.99), Duration::from_millis(50));
        assert_eq!(Times::default().max(), Duration::ZERO);
    }
}
