//! Tokens in string values at dotted paths of a JSON body.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

use super::rules::Step;
use super::{Encoding, JsonPath, Place};
use crate::jose::json;

/// Why a body was not searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// It is not JSON, or is truncated.
    #[error("the body is not JSON")]
    NotJson,
    /// A member on a path is repeated, and parsers disagree on which one counts (RFC 8259 §4).
    #[error("a member on the way to a token occurs twice")]
    Ambiguous,
}

impl From<serde_json::Error> for BodyFault {
    fn from(_: serde_json::Error) -> Self {
        Self::NotJson
    }
}

impl BodyFault {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotJson => "body_not_json",
            Self::Ambiguous => "body_ambiguous",
        }
    }
}

/// The string values at `paths`, in the order of the body. Values of other types are ignored.
///
/// # Errors
/// [`BodyFault`]. Then no part of the body may be changed.
pub fn find(body: &[u8], paths: &[JsonPath]) -> Result<Vec<Place>, BodyFault> {
    let text = as_text(body);
    // serde_json skips raw values iteratively, so nesting uses no stack.
    let root: &RawValue = serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(&text))?;
    let open: Vec<_> = paths.iter().map(|path| OpenPath { path, rest: &path.steps }).collect();
    let mut found = Vec::new();
    search(&text, root.get(), &open, &mut found)?;
    Ok(found)
}

/// The body as text. A body that is not UTF-8 violates RFC 8259 §8.1, but its tokens can still be
/// read, since they are ASCII. Each other byte is replaced by `?`, so that positions do not change.
fn as_text(body: &[u8]) -> Cow<'_, str> {
    let ascii = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { '?' };
    match std::str::from_utf8(body) {
        Ok(text) => text.into(),
        Err(_) => body.iter().map(ascii).collect::<String>().into(),
    }
}

/// A path that leads to or through the current value, and its remaining steps.
#[derive(Clone, Copy)]
struct OpenPath<'p> {
    path: &'p JsonPath,
    rest: &'p [Step],
}

/// Searches one value in `text`. Recursion is limited by the longest path (64 steps), not by the
/// document: a value that no path leads into is skipped without recursion.
fn search(
    text: &str,
    value: &str,
    open: &[OpenPath<'_>],
    found: &mut Vec<Place>,
) -> Result<(), BodyFault> {
    let ended = open.iter().find(|path| path.rest.is_empty());
    match (value.as_bytes().first(), ended) {
        (Some(b'"'), Some(ended)) => found.extend(place(text, value, ended.path)),
        (Some(b'{'), _) if open.iter().any(|path| !path.rest.is_empty()) => {
            let mut seen = HashSet::new();
            for (name, value) in json::members::<&RawValue>(value)? {
                // A name that is not Unicode is on no path but through `*`.
                let name = json::string(name.get()).unwrap_or(Cow::Borrowed(name.get()));
                let next = step_into(open, Some(&name));
                if !next.is_empty() && !seen.insert(name) {
                    return Err(BodyFault::Ambiguous);
                }
                search(text, value, &next, found)?;
            }
        }
        (Some(b'['), _) => {
            let next = step_into(open, None);
            if !next.is_empty() {
                let items: Vec<&RawValue> = serde_json::from_str(value)?;
                items.iter().try_for_each(|item| search(text, item.get(), &next, found))?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// The paths that continue into a member with this name, or into the items of an array.
fn step_into<'p>(open: &[OpenPath<'p>], member: Option<&str>) -> Vec<OpenPath<'p>> {
    let next = open.iter().filter_map(|path| match path.rest.split_first()? {
        (Step::Member(own), _) if Some(own.as_str()) != member => None,
        (_, rest) => Some(OpenPath { rest, ..*path }),
    });
    next.collect()
}

/// The place of a string; `None` if it is not valid Unicode, because then it cannot be a token.
fn place(text: &str, quoted: &str, path: &JsonPath) -> Option<Place> {
    Some(Place {
        range: json::range(text, &quoted[1..quoted.len() - 1]),
        name: path.as_ref().to_owned(),
        token: serde_json::from_str(quoted).ok()?,
        encoding: Encoding::Json,
    })
}

#[cfg(test)]
mod tests {
    use super::super::splice;
    use super::*;

    fn at(body: &str, paths: &[&str]) -> Result<Vec<(String, String)>, BodyFault> {
        let paths: Vec<_> = paths.iter().map(|path| JsonPath::parse(path).unwrap()).collect();
        let found = find(body.as_bytes(), &paths)?;
        Ok(found.into_iter().map(|place| (place.name, place.token)).collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn members_and_lists() {
        let body = r#" {"a":"1","s":[{"t":"2","x":{"t":"no"}},{"t":"3"},7],"o":{"k":{"t":"4"}}} "#;
        assert_eq!(at(body, &["a"]), Ok(pairs(&[("a", "1")])));
        let listed = pairs(&[("s[*].t", "2"), ("s[*].t", "3")]);
        assert_eq!(at(body, &["s[*].t"]), Ok(listed));
        assert_eq!(at(body, &["o.*.t"]), Ok(pairs(&[("o.*.t", "4")])));
        assert_eq!(at(body, &["s.t", "t", "o", "a.b", "s[*]"]), Ok(vec![]));
        assert_eq!(
            at(r#"["x",{"t":"y"}]"#, &["[*].t", "[*]"]),
            Ok(pairs(&[("[*]", "x"), ("[*].t", "y")]))
        );
    }

    #[test]
    fn escapes_in_names_and_values() {
        let body = r#"{"acc\u0065ss":"a\u002eb\/c","q\"":"\"}","bad":"\ud800","\ud800":1}"#;
        assert_eq!(at(body, &["access"]), Ok(pairs(&[("access", "a.b/c")])));
        assert_eq!(at(body, &["q\"", "bad"]), Ok(pairs(&[("q\"", "\"}")])));
    }

    #[test]
    fn a_member_that_stands_twice_is_ambiguous_on_a_path_only() {
        assert_eq!(at(r#"{"t":"1","\u0074":"2"}"#, &["t"]), Err(BodyFault::Ambiguous));
        assert_eq!(at(r#"{"a":{"t":"1"},"a":{}}"#, &["a.t"]), Err(BodyFault::Ambiguous));
        assert_eq!(at(r#"{"x":1,"x":2,"t":"1"}"#, &["t"]), Ok(pairs(&[("t", "1")])));
    }

    #[test]
    fn what_is_no_json_is_left_alone() {
        for body in ["", "{", "<html>", "{\"t\":\"1\"} x", "{'t':'1'}", "t=1", "\u{feff}\u{feff}{}"]
        {
            assert_eq!(at(body, &["t"]), Err(BodyFault::NotJson), "{body}");
        }
        assert_eq!(at("\u{feff}{\"t\":\"1\"}", &["t"]), Ok(pairs(&[("t", "1")])));
    }

    #[test]
    fn a_token_is_found_beside_text_that_is_not_utf_8() {
        let found =
            find(b"{\"name\":\"Jos\xe9\",\"t\":\"x.y.z\"}", &[JsonPath::parse("t").unwrap()]);
        let found = found.unwrap();
        assert_eq!((found[0].token.as_str(), found[0].range.clone()), ("x.y.z", 20..25));
    }

    #[test]
    fn hostile_depth_costs_no_stack() {
        let deep = format!("{{\"a\":{}1{},\"t\":\"x\"}}", "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(at(&deep, &["t", "a[*][*].t"]), Ok(pairs(&[("t", "x")])));
        let members = format!("{}1{}", "{\"a\":".repeat(200_000), "}".repeat(200_000));
        assert_eq!(at(&members, &["a.a.a.t"]), Ok(vec![]));
    }

    #[test]
    fn the_rest_stays_byte_for_byte() {
        let body = br#"{ "n":1.0e+2 ,"t" : "old","u":"\u00e9" ,"z":[ ] }"#;
        let found = find(body, &[JsonPath::parse("t").unwrap()]).unwrap();
        let edits = found.into_iter().map(|place| (place, "n\"w".to_owned())).collect();
        let expected = br#"{ "n":1.0e+2 ,"t" : "n\"w","u":"\u00e9" ,"z":[ ] }"#;
        assert_eq!(splice(body, edits), expected);
    }
}
