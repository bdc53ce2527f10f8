//! Generated input for parsers in tests: valid text with a few things wrong.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::Config;

/// Inputs in a full run; `SCALE` makes it smaller.
const FULL: f64 = 1_000_000.0;

/// What runs where nobody says otherwise: `SCALE=0.02`.
const USUAL: f64 = 0.02;

/// One thing wrong: so many bytes there give way to that word.
pub type Edit = (Index, usize, String);

/// As many cases as `SCALE` asks for.
pub fn config() -> Config {
    let scale = std::env::var("SCALE").ok().and_then(|raw| raw.parse::<f64>().ok()).unwrap_or(USUAL).clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let cases = (FULL * scale).round() as u32;
    println!("{cases} of {FULL} inputs");
    Config { cases, max_shrink_iters: 4096, failure_persistence: None, ..Config::default() }
}

/// Up to five edits with words of a grammar, or with any character.
pub fn edits(words: &'static [&'static str]) -> impl Strategy<Value = Vec<Edit>> {
    let word = prop_oneof![
        4 => prop::sample::select(words).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => Just(String::new()),
    ];
    prop::collection::vec((any::<Index>(), 0..6_usize, word), 0..6)
}

/// The text with its edits; never cut within a character.
pub fn edited(text: &str, edits: &[Edit]) -> String {
    let mut text = text.to_owned();
    for (place, length, word) in edits {
        let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let from = boundary(place.index(text.len() + 1));
        let until = boundary(from + length).max(from);
        text.replace_range(from..until, word);
    }
    text
}
