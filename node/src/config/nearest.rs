//! The known name nearest to one that is unknown.

/// Further than this, a suggestion misleads more than it helps.
const MAX_DISTANCE: usize = 4;

/// Longest name that is compared: the work is quadratic, and no option is longer.
const MAX_LEN: usize = 64;

/// The nearest of `known`, if any is near enough.
pub fn nearest<'k>(wrong: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if wrong.len() > MAX_LEN {
        return None;
    }
    let wrong = wrong.replace('-', "_").to_ascii_lowercase();
    // No name is nearer than the difference of the lengths.
    let close = known.filter(|name| name.len().abs_diff(wrong.len()) <= MAX_DISTANCE);
    let scored = close.map(|name| (distance(&wrong, &name.replace('-', "_")), name));
    let (best, name) = scored.min_by_key(|(score, _)| *score)?;
    (best <= MAX_DISTANCE && best * 2 < wrong.len().max(2)).then_some(name)
}

/// Edits between two names; of those that are further than [`MAX_DISTANCE`], no more than that.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
        // Later rows never get below this one's least.
        if row.iter().all(|edits| *edits > MAX_DISTANCE) {
            return MAX_DISTANCE + 1;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised() {
        let known = ["cookie_name", "cookie_path", "email_domains"];
        assert_eq!(nearest("cookie-name", known.into_iter()), Some("cookie_name"));
        assert_eq!(nearest("email_domain", known.into_iter()), Some("email_domains"));
        assert_eq!(nearest("zzzz", known.into_iter()), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("abcdefgh", "ijklmnop"), MAX_DISTANCE + 1);
    }
}
