//! How rates and latencies are taken: a warm-up, then the median of several rounds.

use std::hint::black_box;
use std::time::Duration;

use tokio::time::Instant;

/// Rounds of one rate; their median shrugs off a neighbour's burst.
const ROUNDS: usize = 7;

/// Length of a round.
const ROUND: Duration = Duration::from_millis(250);

/// How often `work` can be done in a second.
pub fn rate<T>(mut work: impl FnMut() -> T) -> f64 {
    round(&mut work);
    let mut rates: Vec<f64> = (0..ROUNDS).map(|_| round(&mut work)).collect();
    median(&mut rates)
}

fn round<T>(work: &mut impl FnMut() -> T) -> f64 {
    let begun = Instant::now();
    let mut done = 0_u32;
    while begun.elapsed() < ROUND {
        // The clock costs as much as the quickest of what is measured: read it once in a while.
        for _ in 0..16 {
            black_box(work());
        }
        done += 16;
    }
    f64::from(done) / begun.elapsed().as_secs_f64()
}

/// The middle one.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The time that each of many operations took.
#[derive(Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Adds those of another worker.
    pub fn extend(&mut self, others: Vec<Duration>) {
        self.0.extend(others);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The one that so many hundredths do not exceed.
    pub fn percentile(&mut self, hundredths: usize) -> Duration {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * hundredths / 100).copied().unwrap_or_default()
    }
}

/// `12,345`, or with digits after the point below ten.
pub fn number(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1.23 ms`.
pub fn millis(span: Duration) -> String {
    format!("{:.2} ms", span.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let shown: Vec<_> = [0.5, 10.0, 999.0, 1000.0, 1_234_567.0].into_iter().map(number).collect();
        assert_eq!(shown, ["0.50", "10", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let mut latencies = Latencies::default();
        latencies.extend((0..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(latencies.percentile(50), Duration::from_millis(50));
        assert_eq!(latencies.percentile(99), Duration::from_millis(99));
        assert_eq!(Latencies::default().percentile(99), Duration::ZERO);
    }
}
