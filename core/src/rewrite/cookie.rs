//! Tokens in `Set-Cookie` (RFC 6265 §4.1) and `Cookie` (§4.2) values. Lines are bytes, because
//! cookies of other applications may be UTF-8 or have any encoding.

use std::ops::Range;

use percent_encoding::percent_decode;

use super::{Encoding, Place, unrepeated};

/// The longest cookie, name and value together, that browsers keep (RFC 6265bis §5.5). They drop a
/// longer one silently.
pub const MAX: usize = 4096;

/// The longest token in bytes at `place` of a `Set-Cookie` line with which browsers still keep the
/// cookie.
///
/// ```
/// use countersign_core::rewrite::cookie;
///
/// let line = b"session=eyJh.eyJi.c2ln; Path=/";
/// let place = cookie::find(line, &["session".to_owned()]).remove(0);
/// assert_eq!(cookie::room(line, &place), 4096 - "session".len());
/// ```
pub fn room(set_cookie: &[u8], place: &Place) -> usize {
    let pair = set_cookie[..pair_end(set_cookie)].trim_ascii();
    let equals = usize::from(pair.contains(&b'='));
    let around = pair.len().saturating_sub(equals + place.range.len());
    MAX.saturating_sub(around)
}

/// The value of a `Set-Cookie` line whose cookie name is one of `names` (case-sensitive,
/// RFC 6265 §5.4). Attributes are ignored.
pub fn find(set_cookie: &[u8], names: &[String]) -> Vec<Place> {
    let pair = pair(set_cookie, 0..pair_end(set_cookie), names);
    pair.and_then(|(_, place)| place).into_iter().collect()
}

fn pair_end(set_cookie: &[u8]) -> usize {
    set_cookie.iter().position(|b| *b == b';').unwrap_or(set_cookie.len())
}

/// The values of a request's `Cookie` line. A repeated name is ambiguous, so neither value is a
/// place.
pub fn find_in_request(cookie: &[u8], names: &[String]) -> Vec<Place> {
    let mut next = 0;
    let found = cookie.split(|b| *b == b';').filter_map(|part| {
        let start = next;
        next += part.len() + 1;
        pair(cookie, start..start + part.len(), names)
    });
    unrepeated(found)
}

/// The name and the place of a `name=value` pair; no place if the value is not UTF-8. White space
/// around both and quotes around the value are not part of the token.
fn pair<'n>(
    line: &[u8],
    part: Range<usize>,
    names: &'n [String],
) -> Option<(&'n str, Option<Place>)> {
    let text = &line[part.clone()];
    let equals = text.iter().position(|b| *b == b'=')?;
    let (name, value) = (text[..equals].trim_ascii(), &text[equals + 1..]);
    let name = names.iter().find(|known| known.as_bytes() == name)?;
    let start = part.end - value.trim_ascii_start().len();
    let value = value.trim_ascii();
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    let (start, value) = match quoted {
        Some(inner) => (start + 1, inner),
        None => (start, value),
    };
    let encoding = if value.contains(&b'%') { Encoding::Percent } else { Encoding::Raw };
    // Text without `%` is itself.
    let token = percent_decode(value).decode_utf8().ok();
    let place = token.map(|token| Place {
        range: start..start + value.len(),
        name: name.clone(),
        token: token.into_owned(),
        encoding,
    });
    Some((name, place))
}

#[cfg(test)]
mod tests {
    use super::super::splice;
    use super::super::tests::replace_all;
    use super::*;

    fn replaced(line: &str, find: fn(&[u8], &[String]) -> Vec<Place>) -> String {
        let places = find(line.as_bytes(), &["session".to_owned()]);
        replace_all(line, places, |token| format!("new-{}", token))
    }

    #[test]
    fn attributes_stay() {
        let line =
            "session=a.b.c; Path=/; session=x; HttpOnly; Expires=Wed, 21 Oct 2026 07:28:00 GMT";
        assert_eq!(replaced(line, find), line.replacen("a.b.c", "new-a.b.c", 1));
    }

    #[test]
    fn quotes_and_space_stay() {
        assert_eq!(replaced(" session = \"a\" ;Secure", find), " session = \"new-a\" ;Secure");
        assert_eq!(replaced("session=", find), "session=new-");
        assert_eq!(replaced("session=\"", find), "session=new-\"");
        assert_eq!(replaced("session=a%2Eb", find), "session=new-a.b");
    }

    #[test]
    fn other_names_stay() {
        for line in
            ["", "session", "Session=a", "sessions=a; session=b", "x; session=a", "=session"]
        {
            assert_eq!(replaced(line, find), line);
        }
    }

    #[test]
    fn request_cookies() {
        assert_eq!(replaced("a=1; session=t;b=2", find_in_request), "a=1; session=new-t;b=2");
        let twice = "session=a; b=2; session=c";
        assert_eq!(replaced(twice, find_in_request), twice);
    }

    #[test]
    fn a_foreign_cookie_of_any_bytes_is_in_nobodys_way() {
        let line = b"name=Jos\xe9; x=\xff; session=t; n=Jos\xc3\xa9";
        let found = find_in_request(line, &["session".to_owned()]);
        assert_eq!((found.len(), found[0].token.as_str()), (1, "t"));
        let new = splice(line, vec![(found[0].clone(), "new".to_owned())]);
        assert_eq!(new, b"name=Jos\xe9; x=\xff; session=new; n=Jos\xc3\xa9");
        assert_eq!(find(b"session=\xff", &["session".to_owned()]), []);
    }

    #[test]
    fn the_room_of_a_cookie_is_what_browsers_keep() {
        let names = ["s".to_owned()];
        for (line, expected) in [
            ("s=t", 4095),
            (" s = \"t\" ; Path=/", 4096 - 1 - 2 - 2),
            ("s=a%2Eb; Domain=a.example", 4095),
        ] {
            let found = find(line.as_bytes(), &names);
            assert_eq!(room(line.as_bytes(), &found[0]), expected, "{line}");
        }
    }
}
