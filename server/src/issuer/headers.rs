//! What an issuer's answer says about time: how long it is fresh (RFC 9111), and when to retry (RFC 9110
//! §10.2.3).

use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{self, HeaderMap, HeaderName};

use crate::jose::names::UnixTime;

/// RFC 9111 §4.2.1 as a shared cache: `s-maxage`, `max-age`, `Expires`; less `Age` (§5.1). `no-store`
/// and `no-cache` count as zero, and our own minimum applies. `None`: the answer does not say.
pub(super) fn freshness(headers: &HeaderMap, now: UnixTime) -> Option<Duration> {
    let mut max_age = None;
    let mut shared = None;
    for line in headers.get_all(header::CACHE_CONTROL) {
        for directive in line.to_str().ok()?.split(',') {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let secs = || value.trim().trim_matches('"').parse().ok().map(Duration::from_secs);
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => return Some(Duration::ZERO),
                // The first of two counts (RFC 9111 §4.2.1 lets a cache choose; this is the common choice).
                "max-age" => max_age = max_age.or_else(secs),
                "s-maxage" => shared = shared.or_else(secs),
                _ => {}
            }
        }
    }
    let lifetime = match shared.or(max_age) {
        Some(lifetime) => lifetime,
        None => date(headers, header::EXPIRES)?.since(now),
    };
    let age = text(headers, header::AGE).and_then(|t| t.trim().parse().ok());
    Some(lifetime.saturating_sub(Duration::from_secs(age.unwrap_or(0))))
}

/// `Retry-After`: seconds or a date.
pub(super) fn retry_after(headers: &HeaderMap, now: UnixTime) -> Option<Duration> {
    let value = text(headers, header::RETRY_AFTER)?.trim();
    match value.parse() {
        Ok(secs) => Some(Duration::from_secs(secs)),
        Err(_) => Some(date(headers, header::RETRY_AFTER)?.since(now)),
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<UnixTime> {
    let time = httpdate::parse_http_date(text(headers, name)?.trim()).ok()?;
    let secs = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    i64::try_from(secs).ok().map(UnixTime::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06T08:49:37Z, the date of RFC 9110 §5.6.7.
    const NOW: UnixTime = UnixTime::from_secs(784_111_777);

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        map
    }

    fn fresh(lines: &[(&'static str, &'static str)]) -> Option<u64> {
        freshness(&headers(lines), NOW).map(|d| d.as_secs())
    }

    #[test]
    fn freshness_is_read_as_a_shared_cache_reads_it() {
        assert_eq!(fresh(&[]), None);
        assert_eq!(fresh(&[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")]), None);
        let long = [("cache-control", "max-age=31536000, immutable")];
        assert_eq!(fresh(&long), Some(31_536_000));
        assert_eq!(fresh(&[("cache-control", "no-store")]), Some(0));
        assert_eq!(fresh(&[("cache-control", "public, no-cache, max-age=9")]), Some(0));
        assert_eq!(fresh(&[("cache-control", "max-age=300, s-maxage=60")]), Some(60));
        assert_eq!(fresh(&[("cache-control", "Max-Age=\"300\""), ("age", "100")]), Some(200));
        assert_eq!(fresh(&[("cache-control", "max-age=5"), ("age", "100")]), Some(0));
        assert_eq!(fresh(&[("expires", "Sun, 06 Nov 1994 08:50:37 GMT")]), Some(60));
        assert_eq!(fresh(&[("expires", "-1")]), None);
        assert_eq!(fresh(&[("cache-control", "max-age=abc")]), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let after = |v| retry_after(&headers(&[("retry-after", v)]), NOW).map(|d| d.as_secs());
        assert_eq!(after("60"), Some(60));
        assert_eq!(after("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
        assert_eq!(after("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(after("soon"), None);
    }
}
