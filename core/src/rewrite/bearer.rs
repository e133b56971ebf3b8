//! `Authorization: Bearer`, RFC 6750 §2.1.

use super::{Encoding, Place};

/// The token of the request's `Authorization` header lines. Two lines are ambiguous, and so is
/// anything after the token; then there is none. The range counts in the line.
pub fn find<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<Place> {
    let mut lines = lines.into_iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let line = std::str::from_utf8(line).ok()?;
    let credentials = line.trim_ascii_start();
    let scheme = credentials.get(..6)?;
    // RFC 9110 §11.1: the scheme's case does not matter; at least one space follows.
    if !scheme.eq_ignore_ascii_case("bearer") || credentials.as_bytes().get(6) != Some(&b' ') {
        return None;
    }
    let token = credentials[7..].trim_ascii();
    // `b64token`, RFC 6750 §2.1.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if token.is_empty() || !token.bytes().all(plain) {
        return None;
    }
    let start = line.len() - line.trim_ascii_start().len() + 7;
    let start = start + (credentials[7..].len() - credentials[7..].trim_ascii_start().len());
    Some(Place {
        range: start..start + token.len(),
        name: "authorization".to_owned(),
        token: token.to_owned(),
        encoding: Encoding::Raw,
    })
}

#[cfg(test)]
mod tests {
    use super::super::splice;
    use super::*;

    fn replaced(line: &str) -> Option<String> {
        let place = find([line.as_bytes()])?;
        String::from_utf8(splice(line.as_bytes(), vec![(place, "new".to_owned())])).ok()
    }

    #[test]
    fn the_scheme_is_kept_as_written() {
        assert_eq!(replaced("Bearer a.b.c").as_deref(), Some("Bearer new"));
        assert_eq!(replaced("bEARER  a.b.c ").as_deref(), Some("bEARER  new "));
        assert_eq!(replaced(" Bearer opaque==").as_deref(), Some(" Bearer new"));
    }

    #[test]
    fn only_one_token_in_one_line() {
        for line in ["", "Bearer", "Bearer ", "Basic a", "Bearera b", "Bearer a b", "Bearer a,b"] {
            assert_eq!(replaced(line), None, "{line}");
        }
        assert_eq!(replaced("Bearér x"), None);
        assert_eq!(find([&b"Bearer a"[..], &b"Bearer a"[..]]), None);
        assert_eq!(find([&b"Bearer \xff"[..]]), None);
        assert_eq!(find([]), None);
    }
}
