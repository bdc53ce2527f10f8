//! Go's duration syntax: `168h`, `1h30m15.75s`, `-5m`, `0`.

const NANOS_PER_MICRO: i128 = 1_000;
const NANOS_PER_MILLI: i128 = 1_000_000;
const NANOS_PER_SECOND: i128 = 1_000_000_000;
const NANOS_PER_MINUTE: i128 = 60 * NANOS_PER_SECOND;
const NANOS_PER_HOUR: i128 = 60 * NANOS_PER_MINUTE;

/// Longest run of digits that is looked at: more cannot be in range, and 10^18 fits easily.
const MAX_DIGITS: usize = 18;

/// Nanoseconds, or nothing if Go's `time.ParseDuration` would refuse.
pub fn parse(raw: &str) -> Option<i64> {
    let (negative, mut rest) = match raw.as_bytes().first()? {
        b'-' => (true, &raw[1..]),
        b'+' => (false, &raw[1..]),
        _ => (false, raw),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (nanos, after) = parse_part(rest)?;
        total = total.checked_add(nanos)?;
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// One number with its unit, and what follows.
fn parse_part(raw: &str) -> Option<(i128, &str)> {
    let (whole, rest) = split_digits(raw);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let unit = unit(name)?;
    if whole.trim_start_matches('0').len() > MAX_DIGITS {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let kept = &fraction[..fraction.len().min(MAX_DIGITS)];
    let numerator: i128 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    let scale = 10i128.pow(u32::try_from(kept.len()).ok()?);
    Some((whole * unit + numerator * unit / scale, rest))
}

fn split_digits(raw: &str) -> (&str, &str) {
    raw.split_at(raw.find(|c: char| !c.is_ascii_digit()).unwrap_or(raw.len()))
}

fn unit(name: &str) -> Option<i128> {
    match name {
        "ns" => Some(1),
        "us" | "µs" | "μs" => Some(NANOS_PER_MICRO),
        "ms" => Some(NANOS_PER_MILLI),
        "s" => Some(NANOS_PER_SECOND),
        "m" => Some(NANOS_PER_MINUTE),
        "h" => Some(NANOS_PER_HOUR),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_reads() {
        let seconds = |raw| parse(raw).map(|nanos| nanos / 1_000_000_000);
        for raw in ["90m", "1h30m", "5400s", "1.5h", "1h30m0s", "5400000ms", "5400000000us", "5400000000µs", "+90m"] {
            assert_eq!(seconds(raw), Some(5400), "{raw}");
        }
        assert_eq!(parse("1h30m15.75s"), Some(5_415_750_000_000));
        assert_eq!(seconds("1m1m"), Some(120));
        assert_eq!(seconds("-5m"), Some(-300));
        assert_eq!(
            (parse("0"), parse("-0"), parse("0s"), parse(".5s")),
            (Some(0), Some(0), Some(0), Some(500_000_000))
        );
    }

    #[test]
    fn what_go_refuses() {
        for raw in
            ["", "-", "3600", "1 hour", "7d", "1h 30m", "9999999h", ".s", "1.", "s", "1h-30m", "99999999999999999999s"]
        {
            assert_eq!(parse(raw), None, "{raw}");
        }
    }
}
