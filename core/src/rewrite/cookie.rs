//! Tokens in `Set-Cookie` (RFC 6265 §4.1) and `Cookie` (§4.2) values.

use std::ops::Range;

use percent_encoding::percent_decode_str;

use super::{Encoding, Place};

/// The value of a `Set-Cookie` line, when its name is one of `names` (case-sensitive, RFC 6265
/// §5.4). Attributes are never looked at.
pub fn find(set_cookie: &str, names: &[String]) -> Vec<Place> {
    let end = set_cookie.find(';').unwrap_or(set_cookie.len());
    pair(set_cookie, 0..end, names).into_iter().collect()
}

/// The values of a request's `Cookie` line. A name that stands twice is ambiguous, and no place.
pub fn find_in_request(cookie: &str, names: &[String]) -> Vec<Place> {
    let mut found: Vec<Place> = Vec::new();
    let mut at = 0;
    for part in cookie.split(';') {
        found.extend(pair(cookie, at..at + part.len(), names));
        at += part.len() + 1;
    }
    let mut seen: Vec<String> = found.iter().map(|place| place.name.clone()).collect();
    seen.sort_unstable();
    let twice = |name: &String| {
        let first = seen.partition_point(|other| other < name);
        seen.get(first + 1) == Some(name)
    };
    found.retain(|place| !twice(&place.name));
    found
}

/// One `name=value`, white space around either apart; quotes around the value stay where they are.
fn pair(text: &str, part: Range<usize>, names: &[String]) -> Option<Place> {
    let (name, value) = text[part.clone()].split_once('=')?;
    let name = names.iter().find(|known| *known == name.trim())?;
    let start = part.end - value.trim_start().len();
    let value = value.trim();
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let (start, value) = match quoted {
        Some(inner) => (start + 1, inner),
        None => (start, value),
    };
    let encoding = if value.contains('%') { Encoding::Percent } else { Encoding::Raw };
    let token = match encoding {
        Encoding::Percent => percent_decode_str(value).decode_utf8().ok()?.into_owned(),
        _ => value.to_owned(),
    };
    Some(Place { range: start..start + value.len(), name: name.clone(), token, encoding })
}

#[cfg(test)]
mod tests {
    use super::super::splice;
    use super::*;

    fn replaced(line: &str, find: fn(&str, &[String]) -> Vec<Place>) -> String {
        let edits = find(line, &["session".to_owned()])
            .into_iter()
            .map(|place| {
                let new = format!("new-{}", place.token);
                (place, new)
            })
            .collect();
        String::from_utf8(splice(line.as_bytes(), edits)).unwrap()
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
}
