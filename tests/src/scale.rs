//! How much of a scenario runs (`SCALE`) and from which seed its choices come (`SEED`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Counts and random choices of one scenario.
#[derive(Debug)]
pub struct Scale {
    factor: f64,
    seed: u64,
    state: u64,
}

impl Scale {
    /// Reads `SCALE` (default 1: the full counts) and `SEED` (default: from the clock).
    pub fn from_env() -> Self {
        let factor = std::env::var("SCALE").ok().and_then(|raw| raw.parse::<f64>().ok()).unwrap_or(1.0);
        let seed = std::env::var("SEED").ok().and_then(|raw| raw.parse::<u64>().ok()).unwrap_or_else(fresh_seed);
        Self { factor: factor.clamp(0.0, 1.0), seed, state: seed }
    }

    /// The seed in use.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// `full` made smaller by the factor, but at least `least`.
    pub fn count(&self, full: usize, least: usize) -> usize {
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let scaled = (full as f64 * self.factor).round() as usize;
        scaled.clamp(least.min(full), full)
    }

    /// The next random number (SplitMix64: repeatable from the seed).
    pub fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A random number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        usize::try_from(self.random() % limit).unwrap_or_default()
    }

    /// A random span below `limit`.
    pub fn span(&mut self, limit: Duration) -> Duration {
        let micros = usize::try_from(limit.as_micros()).unwrap_or(usize::MAX);
        Duration::from_micros(u64::try_from(self.below(micros.max(1))).unwrap_or_default())
    }
}

#[expect(clippy::disallowed_methods, reason = "a seed nobody asked for comes from the clock, and is printed")]
fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default() % 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stay_between_least_and_full() {
        let scale = Scale { factor: 0.01, seed: 1, state: 1 };
        assert_eq!((scale.count(1000, 5), scale.count(100, 5), scale.count(3, 5)), (10, 5, 3));
    }

    #[test]
    fn one_seed_gives_one_sequence() {
        let draw = || {
            let mut scale = Scale { factor: 1.0, seed: 7, state: 7 };
            (scale.random(), scale.below(10), scale.random())
        };
        assert_eq!(draw(), draw());
        assert!(draw().1 < 10);
    }
}
