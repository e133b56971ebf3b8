//! String values at dotted paths of a JSON body.

use std::collections::HashSet;

use serde::de::IgnoredAny;

use super::rules::Step;
use super::{Encoding, JsonPath, Place};

/// Why a body was not searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// It is no JSON, or cut off.
    #[error("the body is not JSON")]
    NotJson,
    /// A member on a path stands twice; readers disagree on which one counts (RFC 8259 §4).
    #[error("a member on the way to a token stands twice")]
    Ambiguous,
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

/// The string values at `paths`, in the order they stand in. A value of another type is no token.
///
/// # Errors
/// [`BodyFault`]: then nothing of the body is to be changed.
pub fn find(body: &[u8], paths: &[JsonPath]) -> Result<Vec<Place>, BodyFault> {
    // Iterative in serde_json, so depth costs no stack.
    let start = if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    serde_json::from_slice::<IgnoredAny>(&body[start..]).map_err(|_| BodyFault::NotJson)?;
    let mut scan = Scan { body, at: start, paths, found: Vec::new() };
    let live: Vec<Live> = (0..paths.len()).map(|path| Live { path, step: 0 }).collect();
    scan.value(&live).ok_or(BodyFault::NotJson)??;
    Ok(scan.found)
}

/// A path whose first `step` steps led here.
#[derive(Clone, Copy)]
struct Live {
    path: usize,
    step: usize,
}

struct Scan<'a> {
    body: &'a [u8],
    at: usize,
    paths: &'a [JsonPath],
    found: Vec<Place>,
}

/// `None`: the bytes are not what the first pass said (cannot happen, and is no panic).
type Scanned = Option<Result<(), BodyFault>>;

impl Scan<'_> {
    /// One value. Recursion is as deep as the longest path (64 steps), not as the document: a value
    /// no path leads into is skipped flat.
    fn value(&mut self, live: &[Live]) -> Scanned {
        self.space();
        let going = |l: &Live| l.step < self.paths[l.path].steps.len();
        match self.body.get(self.at)? {
            b'"' => {
                let range = self.string()?;
                if let Some(done) = live.iter().find(|l| !going(l)) {
                    let quoted = &self.body[range.start - 1..range.end + 1];
                    // Text that is no Unicode is no token.
                    if let Ok(token) = serde_json::from_slice::<String>(quoted) {
                        let name = self.paths[done.path].as_str().to_owned();
                        self.found.push(Place { range, name, token, encoding: Encoding::Json });
                    }
                }
                Some(Ok(()))
            }
            b'{' if live.iter().any(going) => self.object(live),
            b'[' if live.iter().any(going) => self.array(live),
            _ => self.skip(),
        }
    }

    fn object(&mut self, live: &[Live]) -> Scanned {
        let mut seen = HashSet::new();
        self.at += 1;
        loop {
            self.space();
            match self.body.get(self.at)? {
                b'}' => break,
                b',' => self.at += 1,
                b'"' => {
                    let range = self.string()?;
                    let key = &self.body[range.start - 1..range.end + 1];
                    let key: Option<String> = serde_json::from_slice(key).ok();
                    let next = self.follow(live, key.as_deref());
                    if !next.is_empty() && !key.is_none_or(|key| seen.insert(key)) {
                        return Some(Err(BodyFault::Ambiguous));
                    }
                    self.space();
                    self.at += 1; // the colon
                    if let Err(fault) = self.value(&next)? {
                        return Some(Err(fault));
                    }
                }
                _ => return None,
            }
        }
        self.at += 1;
        Some(Ok(()))
    }

    fn array(&mut self, live: &[Live]) -> Scanned {
        let next: Vec<Live> = live
            .iter()
            .filter(|l| matches!(self.paths[l.path].steps.get(l.step), Some(Step::Any)))
            .map(|l| Live { step: l.step + 1, ..*l })
            .collect();
        if next.is_empty() {
            return self.skip();
        }
        self.at += 1;
        loop {
            self.space();
            match self.body.get(self.at)? {
                b']' => break,
                b',' => self.at += 1,
                _ => {
                    if let Err(fault) = self.value(&next)? {
                        return Some(Err(fault));
                    }
                }
            }
        }
        self.at += 1;
        Some(Ok(()))
    }

    fn follow(&self, live: &[Live], key: Option<&str>) -> Vec<Live> {
        live.iter()
            .filter(|l| match self.paths[l.path].steps.get(l.step) {
                Some(Step::Any) => true,
                Some(Step::Member(name)) => Some(name.as_str()) == key,
                None => false,
            })
            .map(|l| Live { step: l.step + 1, ..*l })
            .collect()
    }

    /// Past one value without looking into it.
    fn skip(&mut self) -> Scanned {
        let mut depth = 0usize;
        loop {
            self.space();
            match self.body.get(self.at)? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' => {
                    self.at += 1;
                    continue;
                }
                _ => {
                    // A number, true, false or null.
                    while self.body.get(self.at).is_some_and(|b| !b" \t\r\n,:]}".contains(b)) {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return Some(Ok(()));
            }
        }
    }

    /// Past a string; the range between its quotes.
    fn string(&mut self) -> Option<std::ops::Range<usize>> {
        let start = self.at + 1;
        let mut at = start;
        loop {
            match self.body.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        Some(start..at)
    }

    fn space(&mut self) {
        while self.body.get(self.at).is_some_and(|b| b" \t\r\n".contains(b)) {
            self.at += 1;
        }
    }
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
        let body = r#"{"acc\u0065ss":"a\u002eb\/c","q\"":"\"}","bad":"\ud800"}"#;
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
