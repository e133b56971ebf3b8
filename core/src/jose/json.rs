//! Reads a JSON object without rewriting it: the position of each member in the text, so that
//! unchanged members keep their bytes. Strict where readers differ: a repeated member name (at any
//! level), nesting, lone surrogates, a byte order mark.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Independent of the configuration: the readers are recursive, and this fits any thread's stack.
pub(super) const MAX_DEPTH: usize = 128;

/// Why a text is not an object that all readers read alike.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// The text is not JSON, or not an object.
    #[error("is not a JSON object")]
    NotObject,
    /// A name occurs twice in one object, at any level.
    #[error("has a member twice")]
    Duplicate,
    /// It is nested deeper than allowed.
    #[error("is nested too deeply")]
    Depth,
    /// Half a surrogate pair (RFC 8259 §8.2) in this member, or in a name where it is empty.
    #[error("has half a surrogate pair in `{0}`")]
    Surrogate(Box<str>),
    /// A number that is out of range for a double (RFC 8259 §6), in this member.
    #[error("has a number beyond a double in `{0}`")]
    Number(Box<str>),
}

impl JsonFault {
    /// Valid by RFC 8259 but refused by serde_json, whose errors have no kinds for it.
    fn of(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        if text.starts_with("number out of range") {
            Self::Number("".into())
        } else if text.contains("surrogate") || text.starts_with("unexpected end of hex escape") {
            Self::Surrogate("".into())
        } else if text.starts_with("recursion limit exceeded") {
            Self::Depth
        } else {
            Self::NotObject
        }
    }

    /// The same fault, in the value of this member.
    fn of_member(self, name: &str) -> Self {
        match self {
            Self::Surrogate(_) => Self::Surrogate(super::report::excerpt(name).into()),
            Self::Number(_) => Self::Number(super::report::excerpt(name).into()),
            other => other,
        }
    }
}

/// One member of an object, by its position in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name, unescaped.
    pub name: Box<str>,
    /// From the opening quote of the name to the end of the value.
    pub span: Range<usize>,
    /// Only the value.
    pub value: Range<usize>,
}

/// The members of an object in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    text: String,
    members: Vec<Member>,
}

impl Object {
    /// # Errors
    /// [`JsonFault`]; `depth` bounds the nesting, the object itself counted.
    pub fn parse(text: String, depth: usize) -> Result<Self, JsonFault> {
        let depth = depth.min(MAX_DEPTH).saturating_sub(1);
        let members = unique_members(&text)?;
        for member in &members {
            check(&text[member.value.clone()], depth)
                .map_err(|fault| fault.of_member(&member.name))?;
        }
        Ok(Self { members, text })
    }

    /// The whole original text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The members, in the order of the text.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The JSON text of a member's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.members.iter().find(|m| &*m.name == name).map(|m| &self.text[m.value.clone()])
    }

    /// The member's value, if it is a string.
    pub fn string(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).and_then(string)
    }
}

/// The text of a JSON string; none for any other value.
pub fn string(json: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(json).ok().map(|text| text.0)
}

/// Whether a JSON value is a number.
pub(crate) fn is_number(json: &str) -> bool {
    json.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

/// A string as JSON text.
pub fn quote(text: &str) -> String {
    // A string always serializes.
    serde_json::to_string(text).unwrap_or_default()
}

/// A string that borrows where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The names at the top level, read as `N`, and the raw text of each value, which is only skipped.
pub(crate) fn members<'a, N: Deserialize<'a>>(
    text: &'a str,
) -> serde_json::Result<Vec<(N, &'a str)>> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let members = reader.deserialize_map(TopLevel(PhantomData))?;
    reader.end()?;
    Ok(members)
}

/// The position in `text` of `part`, which borrows from it.
pub(crate) fn range(text: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    start..start + part.len()
}

struct TopLevel<N>(PhantomData<N>);

impl<'de, N: Deserialize<'de>> Visitor<'de> for TopLevel<N> {
    type Value = Vec<(N, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(16);
        while let Some((name, value)) = map.next_entry::<N, &'de RawValue>()? {
            members.push((name, value.get()));
        }
        Ok(members)
    }
}

/// The members of an object whose names differ.
fn unique_members(json: &str) -> Result<Vec<Member>, JsonFault> {
    let members = members::<&RawValue>(json).map_err(|_| JsonFault::NotObject)?;
    let mut seen = HashSet::with_capacity(members.len());
    let unique = members.into_iter().map(|(quoted_name, value)| {
        let quoted_name = quoted_name.get();
        let name = string(quoted_name).ok_or_else(|| JsonFault::Surrogate("".into()))?;
        let value = range(json, value);
        let span = range(json, quoted_name).start..value.end;
        let member = Member { name: name.as_ref().into(), span, value };
        if seen.insert(name) { Ok(member) } else { Err(JsonFault::Duplicate) }
    });
    unique.collect()
}

/// Checks a value that `RawValue` has only skipped: names unique at every level, nesting, strings
/// that are Unicode (readers differ on a lone surrogate), and numbers in the range of a double.
fn check(json: &str, depth: usize) -> Result<(), JsonFault> {
    match json.as_bytes().first() {
        Some(b'{' | b'[') => {
            let fault = Cell::new(None);
            let mut reader = serde_json::Deserializer::from_str(json);
            let checked = Check { depth, fault: &fault }.deserialize(&mut reader);
            checked.map_err(|error| fault.take().unwrap_or_else(|| JsonFault::of(&error)))
        }
        Some(b'"') if string(json).is_none() => Err(JsonFault::Surrogate("".into())),
        Some(b'-' | b'0'..=b'9') if !fits_double(json) => Err(JsonFault::Number("".into())),
        _ => Ok(()),
    }
}

fn fits_double(number: &str) -> bool {
    // Three hundred digits without an exponent always fit.
    number.len() < 300 && !number.contains(['e', 'E'])
        || number.parse::<f64>().is_ok_and(f64::is_finite)
}

/// One pass over an object or array: reading it again at each level would let a deeply nested token
/// cost many times its length, before any signature is checked.
#[derive(Clone, Copy)]
struct Check<'f> {
    depth: usize,
    fault: &'f Cell<Option<JsonFault>>,
}

impl Check<'_> {
    fn inside<E: de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(self.fail(JsonFault::Depth)),
        }
    }

    fn fail<E: de::Error>(self, fault: JsonFault) -> E {
        self.fault.set(Some(fault));
        E::custom("invalid")
    }
}

impl<'de> DeserializeSeed<'de> for Check<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        while seq.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<Text<'de>>()? {
            if !seen.insert(name.0) {
                return Err(self.fail(JsonFault::Duplicate));
            }
            map.next_value_seed(inside)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Object, JsonFault> {
        Object::parse(text.into(), 4)
    }

    #[test]
    fn members_have_their_positions_in_the_text() {
        let text = r#" { "a" : 1.50 ,"b\u0022,":"x\"y" , "c":{"d":[1]}} "#;
        let object = parse(text).unwrap();
        let spans: Vec<_> = object.members().iter().map(|m| &text[m.span.clone()]).collect();
        assert_eq!(spans, [r#""a" : 1.50"#, r#""b\u0022,":"x\"y""#, r#""c":{"d":[1]}"#]);
        assert_eq!(object.get("a"), Some("1.50"));
        assert_eq!(object.string("b\","), Some("x\"y".into()));
        assert_eq!(object.string("a"), None);
    }

    #[test]
    fn a_repeated_name_is_found_at_any_level_and_in_any_spelling() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"x":[[{"a":1,"\u0061":2}]]}"#,
        ] {
            assert_eq!(parse(text).err(), Some(JsonFault::Duplicate), "{text}");
        }
    }

    #[test]
    fn what_readers_disagree_on_is_refused() {
        for text in [
            "",
            "[]",
            "1",
            "null",
            "\u{feff}{}",
            "{} x",
            "{}{}",
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":NaN}"#,
            "{\"a\":\"\u{1}\"}",
            "{\"a\":1 // b\n}",
        ] {
            assert_eq!(parse(text).err(), Some(JsonFault::NotObject), "{text:?}");
        }
    }

    #[test]
    fn what_readers_refuse_is_refused_by_its_member() {
        let surrogate = |name: &str| Some(JsonFault::Surrogate(name.into()));
        for (text, name) in [
            (r#"{"x":1,"a":"\ud800"}"#, "a"),
            (r#"{"a":"\udc00x"}"#, "a"),
            (r#"{"a":{"b":["\ud83d x"]}}"#, "a"),
            (r#"{"\ud800":1}"#, ""),
        ] {
            assert_eq!(parse(text).err(), surrogate(name), "{text}");
        }
        for text in [
            r#"{"a":1e400}"#,
            r#"{"a":-1E999}"#,
            r#"{"a":[{"b":1e400}]}"#,
            &format!(r#"{{"a":1{}}}"#, "0".repeat(400)),
        ] {
            assert_eq!(parse(text).err(), Some(JsonFault::Number("a".into())), "{text}");
        }
        for good in [r#"{"a":1e308}"#, r#"{"a":1e-400}"#, r#"{"a":true,"b":false,"c":null}"#] {
            assert!(parse(good).is_ok(), "{good}");
        }
        let good = format!(r#"{{"a":1{}}}"#, "0".repeat(290));
        assert!(parse(&good).is_ok());
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(parse(r#"{"a":[[[1]]]}"#).is_ok());
        assert_eq!(parse(r#"{"a":[[[[1]]]]}"#).err(), Some(JsonFault::Depth));
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
        assert_eq!(Object::parse(deep, usize::MAX).err(), Some(JsonFault::Depth));
    }
}
