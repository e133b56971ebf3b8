//! Values written as text: durations and sizes.

use std::time::Duration;

/// `"300ms"`, `"5s"`, `"10m"`, `"12h"`, `"7d"`; `"0s"` is zero.
///
/// # Errors
/// What a duration looks like.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let bad = || format!("`{text}` is no duration; write `300ms`, `5s`, `10m`, `12h` or `7d`");
    let number: u64 = number.parse().map_err(|_| bad())?;
    let milliseconds = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" | "min" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    // A century bounds every sum of times that is made later.
    let total = milliseconds.and_then(|factor| number.checked_mul(factor)).ok_or_else(bad)?;
    if total > 36_525 * 86_400_000 {
        return Err(format!("`{text}` is longer than a century"));
    }
    Ok(Duration::from_millis(total))
}

/// `"16KiB"`, `"1MiB"`, `"4096"`; KB and MB count in thousands.
///
/// # Errors
/// What a size looks like.
pub fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = split(text);
    let bad = || format!("`{text}` is no size; write `4096`, `16KiB` or `1MiB`");
    let number: usize = number.parse().map_err(|_| bad())?;
    let factor = match unit {
        "" | "B" => 1,
        "KiB" | "K" => 1024,
        "MiB" | "M" => 1024 * 1024,
        "GiB" | "G" => 1024 * 1024 * 1024,
        "KB" | "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(bad()),
    };
    number.checked_mul(factor).ok_or_else(bad)
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// The candidate nearest to `word`, when it is near enough to have been meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, over bytes; words longer than a key are far from everything.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let cost = diagonal + usize::from(!x.eq_ignore_ascii_case(&y));
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("300s"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        assert_eq!(duration(" 5 min "), Ok(Duration::from_secs(300)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for bad in ["", "5", "s", "-1s", "1.5h", "1y", "99999999999999999999s", "40000d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("512KiB"), Ok(524_288));
        assert_eq!(size("1 MiB"), Ok(1_048_576));
        assert_eq!(size("4096"), Ok(4096));
        for bad in ["", "KiB", "-1", "1TiB", "18446744073709551615GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_typing_error_finds_its_word() {
        let keys = ["listen", "public_url", "threads"];
        assert_eq!(nearest("lisen", keys), Some("listen"));
        assert_eq!(nearest("public-url", keys), Some("public_url"));
        assert_eq!(nearest("zebra", keys), None);
        assert_eq!(nearest(&"x".repeat(100), keys), None);
    }
}
