//! Fields of `application/x-www-form-urlencoded` text (WHATWG URL §5): request bodies and queries.

use std::borrow::Cow;
use std::ops::Range;

use percent_encoding::percent_decode;

use super::{Encoding, Place, unrepeated};

/// The fields of `body` that are in `names`. A repeated field is ambiguous, so neither value is a
/// place.
pub fn find(body: &[u8], names: &[String]) -> Vec<Place> {
    find_in(body, 0..body.len(), names)
}

/// [`find`] within `part` of `text`. Ranges count from the start of `text`.
pub(super) fn find_in(text: &[u8], part: Range<usize>, names: &[String]) -> Vec<Place> {
    let mut next = part.start;
    let found = text[part].split(|b| *b == b'&').filter_map(|pair| {
        let start = next;
        next += pair.len() + 1;
        let equals = pair.iter().position(|b| *b == b'=')?;
        let key = decode(&pair[..equals])?;
        let name = names.iter().find(|name| **name == key)?;
        let place = decode(&pair[equals + 1..]).map(|token| Place {
            range: start + equals + 1..start + pair.len(),
            name: name.clone(),
            token: token.into_owned(),
            encoding: Encoding::Percent,
        });
        Some((name.as_str(), place))
    });
    unrepeated(found)
}

/// Decodes `+` as a space and `%XX` as a byte; `None` where the result is not UTF-8.
fn decode(text: &[u8]) -> Option<Cow<'_, str>> {
    if !text.contains(&b'+') {
        return percent_decode(text).decode_utf8().ok();
    }
    let spaced: Vec<u8> = text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    Some(percent_decode(&spaced).decode_utf8().ok()?.into_owned().into())
}

#[cfg(test)]
mod tests {
    use super::super::splice;
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_field_is_found_and_replaced() {
        let body = b"a=1&token=x%2Ey+z&b=2%20&token_type_hint=access_token";
        let found = find(body, &names(&["token"]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].token, "x.y z");
        let edits = found.into_iter().map(|place| (place, "new=".to_owned())).collect();
        let expected = b"a=1&token=new%3D&b=2%20&token_type_hint=access_token";
        assert_eq!(splice(body, edits), expected);
    }

    #[test]
    fn names_are_decoded_too() {
        assert_eq!(find(b"to%6ben=x", &names(&["token"])).len(), 1);
    }

    #[test]
    fn a_field_that_stands_twice_is_left_alone() {
        let found = find(b"token=a&t=c&to%6ben=b", &names(&["token", "t"]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "t");
    }

    #[test]
    fn odd_bodies() {
        for body in [&b""[..], b"&&&", b"token", b"=x", b"token=%ff", b"%=%", b"&=&=token"] {
            assert_eq!(find(body, &names(&["token"])), [], "{body:?}");
        }
        assert_eq!(find(b"token=", &names(&["token"]))[0].token, "");
    }
}
