//! What the headers of a JWKS or discovery answer do to the verifier's cache. It is a shared cache by
//! RFC 9111 without limits of its own: it keeps an answer as long as the headers say, and does not fetch
//! again for an unknown `kid`.

use super::{Answer, Cause};

/// A key set kept longer than this outlives a rotation.
const LONG_LIFETIME: u64 = 3600;

/// Faults of the headers for which nothing is refused.
pub fn warnings(answer: &Answer) -> Vec<Cause> {
    let mut out = Vec::new();
    let mut warn = |code, place: &str, text: &str| out.push(Cause::new(code, place, text));
    let control = joined(answer, "cache-control");
    let directive = |name: &str| {
        control.split(',').map(str::trim).find_map(|d| {
            let (n, value) = d.split_once('=').unwrap_or((d, ""));
            n.eq_ignore_ascii_case(name).then(|| value.trim_matches('"').to_owned())
        })
    };
    let refetches = "the verifier fetches it again for every token";
    let vary = joined(answer, "vary");
    let age = directive("s-maxage").or_else(|| directive("max-age")).map(|a| a.parse::<u64>());
    if vary.split(',').any(|v| v.trim() == "*") {
        warn("vary", "Vary", &format!("`*`: the answer cannot be cached, {refetches}"));
    } else if ["no-store", "no-cache", "private"].iter().any(|d| directive(d).is_some()) {
        warn("refetch", "Cache-Control", &format!("`{control}`: {refetches}"));
    } else if has(answer, "set-cookie") && directive("public").is_none() {
        let text = format!("with `Set-Cookie` and without `public` nothing is cached, {refetches}");
        warn("set_cookie", "Set-Cookie", &text);
    } else {
        match age {
            Some(Ok(0) | Err(_)) => {
                warn("refetch", "Cache-Control", &format!("`{control}`: {refetches}"));
            }
            Some(Ok(secs)) if secs > LONG_LIFETIME => {
                let span = crate::inspect::words::span(i64::try_from(secs).unwrap_or(i64::MAX));
                let text =
                    format!("`{control}`: a key added today is unknown to the verifier for {span}");
                warn("stale", "Cache-Control", &text);
            }
            Some(Ok(_)) => {}
            None if has(answer, "expires") => {}
            None if has(answer, "last-modified") => {
                let text = "only `Last-Modified`: the verifier keeps it for a tenth of its age, months for an old file";
                warn("heuristic", "Cache-Control", text);
            }
            None => warn("refetch", "Cache-Control", &format!("no lifetime: {refetches}")),
        }
    }
    if has(answer, "set-cookie") && directive("public").is_some() {
        warn("set_cookie", "Set-Cookie", "a cookie on a key set ends in every cache between");
    }
    out
}

fn has(answer: &Answer, name: &str) -> bool {
    answer.headers.iter().any(|(n, _)| n == name)
}

fn joined(answer: &Answer, name: &str) -> String {
    let values = answer.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
    values.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(headers: &[(&str, &str)]) -> Vec<&'static str> {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let answer = Answer { headers, ..Answer::default() };
        warnings(&answer).into_iter().map(|c| c.code).collect()
    }

    /// As measured on the verifier's own cache: how often three fetches reach the issuer.
    #[test]
    fn as_its_cache_does() {
        let max_age = ("cache-control", "max-age=300");
        assert_eq!(codes(&[max_age]), [""; 0]);
        assert_eq!(codes(&[]), ["refetch"]);
        for control in ["no-store", "no-cache", "private", "max-age=abc", "s-maxage=0, max-age=300"]
        {
            assert_eq!(codes(&[("cache-control", control)]), ["refetch"], "{control}");
        }
        assert_eq!(codes(&[max_age, ("set-cookie", "a=b")]), ["set_cookie"]);
        assert_eq!(codes(&[max_age, ("vary", "Accept, *")]), ["vary"]);
        assert_eq!(codes(&[max_age, ("vary", "Accept")]), [""; 0]);
        assert_eq!(codes(&[("last-modified", "Wed, 01 Jan 2020 00:00:00 GMT")]), ["heuristic"]);
        assert_eq!(codes(&[("cache-control", "max-age=31536000, immutable")]), ["stale"]);
        assert_eq!(codes(&[("expires", "Wed, 01 Jan 2031 00:00:00 GMT")]), [""; 0]);
    }
}
