//! Times as oauth2-proxy prints them: `2006/01/02 15:04:05`, local or UTC.

use std::cell::RefCell;
use std::fmt::Write;

use chrono::{DateTime, Local, Utc};
use conclave_proto::time::Timestamp;

thread_local! {
    /// The last second printed on this thread, as most lines share theirs with the line before.
    static LAST: RefCell<(i64, bool, String)> = const { RefCell::new((i64::MIN, false, String::new())) };
}

fn utc(now: Timestamp) -> DateTime<Utc> {
    let millis = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

/// Appends the time of a line.
pub fn line(now: Timestamp, local: bool, out: &mut String) {
    let time = utc(now);
    LAST.with_borrow_mut(|(second, was_local, text)| {
        if (*second, *was_local) != (time.timestamp(), local) {
            *text = formatted(time, local, "%Y/%m/%d %H:%M:%S");
            (*second, *was_local) = (time.timestamp(), local);
        }
        out.push_str(text);
    });
}

/// The time in the name of a file that was rotated away; sorts by age.
pub fn file(now: Timestamp, local: bool) -> String {
    formatted(utc(now), local, "%Y-%m-%dT%H-%M-%S%.3f")
}

/// RFC 3339 in UTC, as the other JSON lines have it.
pub fn json(now: Timestamp) -> String {
    formatted(utc(now), false, "%Y-%m-%dT%H:%M:%S%.3fZ")
}

fn formatted(time: DateTime<Utc>, local: bool, form: &str) -> String {
    let mut text = String::with_capacity(24);
    let _ = if local {
        write!(text, "{}", time.with_timezone(&Local).format(form))
    } else {
        write!(text, "{}", time.format(form))
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_their_forms() {
        let now = Timestamp::from_millis(1_767_323_045_678);
        let mut text = String::new();
        line(now, false, &mut text);
        line(Timestamp::from_secs(1_767_323_046), false, &mut text);
        assert_eq!(text, "2026/01/02 03:04:052026/01/02 03:04:06");
        assert_eq!(file(now, false), "2026-01-02T03-04-05.678");
        assert_eq!(json(now), "2026-01-02T03:04:05.678Z");
        let mut local = String::new();
        line(now, true, &mut local);
        assert_eq!(local, utc(now).with_timezone(&Local).format("%Y/%m/%d %H:%M:%S").to_string());
    }
}
