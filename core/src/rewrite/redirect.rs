//! Tokens in a `Location`: in its query, and in the fragment of the implicit and hybrid flows
//! (OAuth 2.0 Multiple Response Types §5). The value is handled as bytes, because many servers
//! write UTF-8 there.

use super::{Place, form};

/// The parameters `names` in query and fragment. A parameter that is in both gives two places. One
/// that is repeated within the query or the fragment is ambiguous and not a place.
/// Parameters that are not replaced keep their encoding.
pub fn find(location: &[u8], names: &[String]) -> Vec<Place> {
    let end = location.len();
    let position = |range: std::ops::Range<usize>, byte: u8| {
        location[range.clone()].iter().position(|b| *b == byte).map(|at| range.start + at)
    };
    let hash = position(0..end, b'#').unwrap_or(end);
    let mut found = Vec::new();
    if let Some(mark) = position(0..hash, b'?') {
        found = form::find_in(location, mark + 1..hash, names);
    }
    if hash < end {
        // A client-side router puts its path before the parameters: `#/callback?access_token=…`.
        let start = position(hash..end, b'?').unwrap_or(hash) + 1;
        found.extend(form::find_in(location, start..end, names));
    }
    found
}

/// The decoded value of the parameter `name`, for hash claims (`code`, `state`).
pub fn value(location: &[u8], name: &str) -> Option<String> {
    let mut found = find(location, &[name.to_owned()]).into_iter();
    match (found.next(), found.next()) {
        (Some(place), None) => Some(place.token),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::replace_all;
    use super::*;

    fn replaced(location: &str) -> String {
        let names = ["id_token".to_owned(), "access_token".to_owned()];
        let places = find(location.as_bytes(), &names);
        replace_all(location, places, |token| format!("<{}>", token))
    }

    #[test]
    fn query_and_fragment() {
        assert_eq!(
            replaced("https://a/cb?id_token=t&x=%7e+#access_token=u&state=a%20b"),
            "https://a/cb?id_token=%3Ct%3E&x=%7e+#access_token=%3Cu%3E&state=a%20b"
        );
        assert_eq!(replaced("/cb#/in?id_token=t"), "/cb#/in?id_token=%3Ct%3E");
        assert_eq!(replaced("app://cb#id_token=t"), "app://cb#id_token=%3Ct%3E");
    }

    #[test]
    fn a_location_without_tokens_is_itself() {
        for location in ["", "/", "?", "#", "?#", "https://a/b?c=d#e", "/id_token=x", "?id_token"] {
            assert_eq!(replaced(location), location);
        }
    }

    #[test]
    fn a_parameter_that_stands_twice_is_left_alone() {
        let twice = "/cb?id_token=a&id_token=b";
        assert_eq!(replaced(twice), twice);
    }

    #[test]
    fn letters_beyond_ascii_stand_beside_tokens() {
        let location = "https://a/caf\u{e9}?id_token=t&name=Jos\u{e9}#x";
        assert_eq!(replaced(location), location.replace("=t&", "=%3Ct%3E&"));
        let names = ["id_token".to_owned()];
        assert_eq!(find(b"/\xff?x=\xfe&id_token=t", &names).len(), 1);
    }

    #[test]
    fn companions() {
        assert_eq!(value(b"/cb?code=a%2Bb&state=s", "code").as_deref(), Some("a+b"));
        assert_eq!(value(b"/cb?code=a&code=b", "code"), None);
    }
}
