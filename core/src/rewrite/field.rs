//! A token that is the value of a header field: alone (`set-auth-jwt`), or behind a scheme
//! (`Authorization: Bearer`, RFC 6750 §2.1).

use super::{Encoding, Place};

/// The token in one line of the field `name`; `None` if anything follows it. The range counts from
/// the start of the line.
///
/// ```
/// use countersign_core::rewrite::field;
///
/// let place = field::find(b"Bearer eyJh.eyJi.c2ln", "authorization");
/// assert_eq!(place.map(|place| place.token).as_deref(), Some("eyJh.eyJi.c2ln"));
/// assert_eq!(field::find(b"Basic YTpi", "authorization"), None);
/// ```
pub fn find(line: &[u8], name: &str) -> Option<Place> {
    let value = line.trim_ascii();
    // The scheme is case-insensitive, and at least one space follows it (RFC 9110 §11.1).
    let token = match value.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => rest.trim_ascii_start(),
        _ => value,
    };
    // The characters of `b64token` (RFC 6750 §2.1).
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(b);
    if token.is_empty() || !token.iter().all(plain) {
        return None;
    }
    let end = line.trim_ascii_end().len();
    Some(Place {
        range: end - token.len()..end,
        name: name.to_owned(),
        token: std::str::from_utf8(token).ok()?.to_owned(),
        encoding: Encoding::Raw,
    })
}

#[cfg(test)]
mod tests {
    use super::super::splice;
    use super::*;

    fn replaced(line: &str) -> Option<String> {
        let place = find(line.as_bytes(), "x-token")?;
        String::from_utf8(splice(line.as_bytes(), vec![(place, "new".to_owned())])).ok()
    }

    #[test]
    fn the_scheme_is_kept_as_written() {
        assert_eq!(replaced("a.b.c").as_deref(), Some("new"));
        assert_eq!(replaced(" a.b.c ").as_deref(), Some(" new "));
        assert_eq!(replaced("Bearer a.b.c").as_deref(), Some("Bearer new"));
        assert_eq!(replaced("bEARER  a.b.c ").as_deref(), Some("bEARER  new "));
        assert_eq!(replaced(" Bearer opaque==").as_deref(), Some(" Bearer new"));
    }

    #[test]
    fn only_one_token_in_one_line() {
        for line in ["", " ", "Bearer a b", "Bearer a,b", "Basic a", "a b", "a, b", "a;b", "\"a\""]
        {
            assert_eq!(replaced(line), None, "{line}");
        }
        assert_eq!(find(b"Bearer \xff", "x"), None);
        assert_eq!(find("Bear\u{e9}r x".as_bytes(), "x"), None);
    }
}
