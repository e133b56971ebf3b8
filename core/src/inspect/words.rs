//! Times as text for the user.

use time::OffsetDateTime;

use crate::jose::names::UnixTime;

const DAY: i64 = 86_400;

/// `2026-11-24 11:30:48 UTC`: RFC 3339 except for the spaces; `None` outside the years 0 to 9999.
pub fn utc(at: UnixTime) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp(at.secs()).ok().filter(|at| at.year() >= 0)?;
    let ((year, month, day), (hour, minute, second)) = (at.to_calendar_date(), at.to_hms());
    let month = u8::from(month);
    Some(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC"))
}

/// `in 9 minutes`, `3 hours 2 minutes ago`, `now`.
pub fn relative(at: UnixTime, now: UnixTime) -> String {
    let ahead = at.secs().saturating_sub(now.secs());
    match ahead {
        0 => "now".to_owned(),
        1.. => format!("in {}", span(ahead)),
        _ => format!("{} ago", span(ahead.saturating_neg())),
    }
}

/// A duration in its two largest units.
pub fn span(secs: i64) -> String {
    const UNITS: [(i64, &str); 5] =
        [(365 * DAY, "year"), (DAY, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let mut rest = secs;
    let mut parts = Vec::new();
    for (unit, name) in UNITS {
        let count = rest / unit;
        rest %= unit;
        if count > 0 {
            parts.push(format!("{count} {name}{}", if count == 1 { "" } else { "s" }));
        }
        if !parts.is_empty() && (parts.len() == 2 || count == 0) {
            break;
        }
    }
    if parts.is_empty() { "0 seconds".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    #[test]
    fn dates() {
        for (secs, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_795_519_848, "2026-11-24 11:30:48 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(utc(at(secs)).as_deref(), Some(text));
        }
        assert_eq!(utc(at(i64::MAX)), None);
    }

    #[test]
    fn distances() {
        let now = at(1_000_000);
        for (secs, text) in [
            (1_000_000, "now"),
            (1_000_001, "in 1 second"),
            (1_000_540, "in 9 minutes"),
            (1_000_000 + 3 * 3600 + 125, "in 3 hours 2 minutes"),
            (999_000, "16 minutes 40 seconds ago"),
            (1_000_000 - 90_000, "1 day 1 hour ago"),
        ] {
            assert_eq!(relative(at(secs), now), text);
        }
        assert!(relative(at(i64::MIN), at(i64::MAX)).ends_with("ago"));
    }
}
