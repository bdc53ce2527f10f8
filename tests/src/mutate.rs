//! Generated input: valid values with a few things wrong, seldom bytes out of nowhere.

use crate::scale::Scale;

/// Longest generated input in bytes: beyond every limit of what is read on the way of a request.
const LONGEST: usize = 20_000;

/// Makes inputs of one kind.
#[derive(Clone, Debug)]
pub struct Mutator {
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    /// From valid values, and words of the grammar that may stand anywhere. Neither may be empty.
    pub fn new(seeds: impl IntoIterator<Item = Vec<u8>>, words: &[&str]) -> Self {
        let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        Self { seeds: seeds.into_iter().collect(), words }
    }

    /// The valid values.
    pub fn seeds(&self) -> &[Vec<u8>] {
        &self.seeds
    }

    /// The next input.
    pub fn next(&self, scale: &mut Scale) -> Vec<u8> {
        let mut input = self.seeds[scale.below(self.seeds.len())].clone();
        if scale.below(24) == 0 {
            input = (0..scale.below(300)).map(|_| byte(scale)).collect();
        }
        // One input in a hundred stays valid: the parser must get that far.
        let changes = if scale.below(100) == 0 { 0 } else { 1 + scale.below(4) };
        for _ in 0..changes {
            self.change(&mut input, scale);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&self, input: &mut Vec<u8>, scale: &mut Scale) {
        let at = scale.below(input.len() + 1);
        let until = at + scale.below((input.len() - at).min(40) + 1);
        match scale.below(10) {
            0 => drop(input.drain(at..until)),
            1 => {
                let repeated = input[at..until].to_vec();
                let times = 1 + scale.below(3);
                (0..times).for_each(|_| drop(input.splice(at..at, repeated.iter().copied())));
            }
            2 => input.truncate(at),
            3 => {
                let other = &self.seeds[scale.below(self.seeds.len())];
                let from = scale.below(other.len() + 1);
                input.splice(at..until, other[from..].iter().copied());
            }
            4 | 5 => {
                let word = &self.words[scale.below(self.words.len())];
                input.splice(at..until, word.iter().copied());
            }
            6 => input.insert(at, byte(scale)),
            7 => input[at..until].fill([0, 0xff, 0x7f, 0x80][scale.below(4)]),
            _ => {
                if let Some(here) = input.get_mut(at) {
                    *here ^= 1 << scale.below(8);
                }
            }
        }
    }
}

fn byte(scale: &mut Scale) -> u8 {
    u8::try_from(scale.below(256)).unwrap_or_default()
}
