//! JSON as a tree that keeps what ordinary readers drop: repeated members and the text of numbers.
//! RFC 8259, strictly, with limited depth. A lone surrogate escape (§8.2, "unpredictable") becomes
//! U+FFFD, so that one odd string does not affect the other keys of a set.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserializer as _, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

use super::fault::DocumentRefusal;
use super::json;

/// One JSON value; members keep their order, and repeated ones are kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// The original text.
    Number(String),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(Object),
}

/// An object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Names and values, in their order.
    pub members: Vec<(String, Json)>,
}

impl Object {
    /// The first member of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Json> {
        self.members.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// The same, but `null` counts as absent.
    pub(super) fn present(&self, name: &str) -> Option<&Json> {
        self.get(name).filter(|value| !value.is_null())
    }

    /// The text of a member that is a string.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Json::text)
    }

    /// The repeated names, each once. Linear, because the names may be hostile.
    pub(super) fn repeated(&self) -> Vec<&str> {
        let mut seen = HashSet::with_capacity(self.members.len());
        let mut repeated = HashSet::new();
        let names = self.members.iter().map(|(name, _)| name.as_str());
        names.filter(|name| !seen.insert(*name)).filter(|name| repeated.insert(*name)).collect()
    }
}

impl Json {
    /// Reads one JSON text in UTF-8; nesting is limited to 128.
    ///
    /// # Errors
    /// [`DocumentRefusal`]: not UTF-8, not JSON, or too deep.
    pub fn parse(text: &[u8]) -> Result<Self, DocumentRefusal> {
        let text = std::str::from_utf8(text).map_err(|_| DocumentRefusal::NotUtf8)?;
        parse(text, json::MAX_DEPTH)
    }

    /// The object, if it is one.
    pub fn object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The members of an object; none for any other value.
    pub fn members(&self) -> &[(String, Self)] {
        self.object().map_or(&[], |object| &object.members)
    }

    /// Every member of that name.
    pub fn all<'b>(&'b self, name: &str) -> impl Iterator<Item = &'b Self> {
        self.members().iter().filter(move |(own, _)| own == name).map(|(_, value)| value)
    }

    /// The first member of that name.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.object()?.get(name)
    }

    /// The same, but `null` counts as absent.
    pub fn present(&self, name: &str) -> Option<&Self> {
        self.object()?.present(name)
    }

    /// The repeated names of an object, each once.
    pub fn duplicates(&self) -> Vec<&str> {
        self.object().map(Object::repeated).unwrap_or_default()
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The strings of a list of strings.
    pub fn texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Array(items) => items.iter().map(Self::text).collect(),
            _ => None,
        }
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether this is an object.
    pub fn is_object(&self) -> bool {
        self.object().is_some()
    }

    /// Whole seconds of a NumericDate (RFC 7519 §2); a fraction is cut off, out of range saturates.
    pub fn seconds(&self) -> Option<i64> {
        let Self::Number(number) = self else { return None };
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let whole = || number.parse::<f64>().ok().map(|value| value as i64);
        number.parse().ok().or_else(whole)
    }

    /// The kind of value, for reports that must not show the value.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// Compact JSON.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).unwrap_or_default())
    }
}

/// The original text: numbers keep their text, members their order and their duplicates.
impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => value.serialize(serializer),
            Self::Number(text) => serde_json::from_str::<&RawValue>(text)
                .map_err(S::Error::custom)?
                .serialize(serializer),
            Self::String(text) => text.serialize(serializer),
            Self::Array(items) => items.serialize(serializer),
            Self::Object(object) => {
                serializer.collect_map(object.members.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

/// [`read`] reads each byte once for every level around it, so the mean depth is bounded too. Key
/// sets lie far below.
const MAX_MEAN_DEPTH: usize = 8;
/// Bytes that [`read`] may read of any document, however deep.
const FREE_BYTES: usize = 64 * 1024;

/// Reads one JSON text, with only white space around it.
pub(super) fn parse(text: &str, depth: usize) -> Result<Json, DocumentRefusal> {
    let limit = depth.min(json::MAX_DEPTH);
    let (deepest, work) = nesting(text);
    let max_work = text.len().saturating_mul(MAX_MEAN_DEPTH).saturating_add(FREE_BYTES);
    if deepest > limit || work > max_work {
        return Err(DocumentRefusal::Depth { limit });
    }
    // Checks the whole grammar, so that the position in an error is one in the document.
    let value: &RawValue = serde_json::from_str(text)?;
    Ok(read(value.get())?)
}

/// The deepest nesting of objects and arrays, and how many bytes [`read`] will read.
fn nesting(text: &str) -> (usize, usize) {
    let (mut depth, mut deepest, mut work) = (0_usize, 0, 0_usize);
    let mut bytes = text.bytes();
    loop {
        let before = bytes.len();
        let Some(byte) = bytes.next() else { return (deepest, work) };
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
        deepest = deepest.max(depth);
        work = work.saturating_add(depth.saturating_mul(before - bytes.len()));
    }
}

fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

fn read(text: &str) -> serde_json::Result<Json> {
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let member = |(name, value): (&RawValue, _)| Ok((unescape(name.get())?, read(value)?));
            let members = json::members(text)?.into_iter().map(member);
            Json::Object(Object { members: members.collect::<serde_json::Result<_>>()? })
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            let items = items.into_iter().map(|item| read(item.get()));
            Json::Array(items.collect::<serde_json::Result<_>>()?)
        }
        Some(b'"') => Json::String(unescape(text)?),
        Some(b't') => Json::Bool(true),
        Some(b'f') => Json::Bool(false),
        Some(b'n') => Json::Null,
        _ => Json::Number(text.to_owned()),
    })
}

/// The text of a JSON string. Each lone surrogate becomes U+FFFD.
fn unescape(json: &str) -> serde_json::Result<String> {
    serde_json::Deserializer::from_str(json).deserialize_bytes(LossyText)
}

struct LossyText;

impl Visitor<'_> for LossyText {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    /// `serde_json` writes a lone surrogate as three bytes that are not UTF-8. The first is 0xED.
    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            if chunk.invalid().first() == Some(&0xed) {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accepts(text: &str) -> bool {
        parse(text, 32).is_ok()
    }

    #[test]
    fn the_grammar_is_that_of_rfc_8259() {
        for good in [
            "0",
            "-0",
            "-1.5e+7",
            "1E400",
            "\"\"",
            " [ ] ",
            "{}",
            "{\"a\":[1,{}]}\n",
            "null",
            r#""\ud83d\ude00""#,
            r#""\ud800""#,
            r#""\ud800\n""#,
            "123456789012345678901234567890",
        ] {
            assert!(accepts(good), "{good}");
        }
        for bad in [
            "",
            "01",
            "1.",
            "+1",
            ".5",
            "-",
            "1e",
            "tru",
            "nul",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "[1 2]",
            "[1}",
            "\"a",
            "\"\n\"",
            r#""\x""#,
            r#""\u12""#,
            "// c\n1",
            "1 2",
            "{}{}",
            "NaN",
            "\u{feff}1",
            "[",
            "{\"a\"",
            "{\"a\":",
        ] {
            assert!(!accepts(bad), "{bad}");
        }
    }

    #[test]
    fn names_numbers_and_duplicates_keep_their_text() {
        let text = r#"{"b":1,"a":[null,true,1.50,"x",123456789012345678901],"b":{},"c":0,"b":2}"#;
        let tree = Json::parse(text.as_bytes()).unwrap();
        assert_eq!(tree.to_string(), text);
        assert_eq!(tree.duplicates(), ["b"]);
        assert_eq!(tree.all("b").count(), 3);
        assert_eq!(Json::parse(b"\xff"), Err(DocumentRefusal::NotUtf8));
        let seconds = |text: &'static str| Json::Number(text.into()).seconds();
        assert_eq!(seconds("1.9"), Some(1));
        assert_eq!(seconds("1e400"), Some(i64::MAX));
        assert_eq!(seconds("18446744073709551615"), Some(i64::MAX));
    }

    #[test]
    fn escapes_are_undone_before_names_are_compared() {
        let Json::Object(object) = parse(r#"{"keys":1,"\u006beys":2}"#, 4).unwrap() else {
            panic!("not an object")
        };
        assert_eq!(object.repeated(), ["keys"]);
        assert_eq!(parse(r#""\ud83d\ude00\ud800x""#, 4), Ok(Json::String("😀\u{fffd}x".into())));
    }

    #[test]
    fn depth_is_counted_before_the_stack_can_overflow() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(parse(&deep, 32), Err(DocumentRefusal::Depth { limit: 32 }));
        assert_eq!(parse(&deep, usize::MAX), Err(DocumentRefusal::Depth { limit: 128 }));
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(parse(&nested(33), 32), Err(DocumentRefusal::Depth { limit: 32 }));
        assert!(parse(r#""[\"[""#, 1).is_ok() && parse(r#"[{},{"]":[]}]"#, 3).is_ok());
        assert!(parse(&nested(32), 32).is_ok());
    }

    #[test]
    fn a_document_that_is_deep_everywhere_is_refused() {
        let nested = |zeros: usize| {
            format!("{}{}{}", "[".repeat(31), "0,".repeat(zeros) + "0", "]".repeat(31))
        };
        assert!(parse(&nested(1000), 32).is_ok());
        assert_eq!(parse(&nested(100_000), 32), Err(DocumentRefusal::Depth { limit: 32 }));
        let flat = format!("[{}0]", "0,".repeat(1_000_000));
        assert!(parse(&flat, 32).is_ok());
    }

    fn same(ours: &Json, theirs: &serde_json::Value) -> bool {
        use serde_json::Value;
        match (ours, theirs) {
            (Json::Null, Value::Null) => true,
            (Json::Bool(a), Value::Bool(b)) => a == b,
            (Json::Number(a), Value::Number(b)) => {
                let value: f64 = a.parse().unwrap();
                let other = b.as_f64().unwrap();
                value == other || (value - other).abs() <= other.abs() * 1e-12
            }
            (Json::String(a), Value::String(b)) => a == b,
            (Json::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            // serde_json keeps the last of two members.
            (Json::Object(a), Value::Object(b)) => {
                !a.repeated().is_empty()
                    || a.members.len() == b.len() && a.members.iter().all(|(k, v)| same(v, &b[k]))
            }
            _ => false,
        }
    }

    proptest! {
        /// Any text: the same answer as serde_json, but for what it refuses and the RFC allows.
        #[test]
        fn agrees_with_serde_json(text in r#"([\[\]{}:,"]|"[a-z\\n/u0-9]{0,3}":?|-?[0-9.eE+]{1,3}|true|null| |\\u[dD][89a-f]..){0,12}"#) {
            let theirs: Result<serde_json::Value, _> = serde_json::from_str(&text);
            match (parse(&text, 100), theirs) {
                (Ok(ours), Ok(theirs)) => prop_assert!(same(&ours, &theirs), "{text}"),
                (Ok(_), Err(e)) => {
                    let e = e.to_string();
                    prop_assert!(e.contains("out of range") || e.contains("surrogate") || e.contains("hex escape"), "{text}: {e}");
                }
                (Err(e), Ok(_)) => prop_assert!(false, "{text}: {e}"),
                (Err(_), Err(_)) => {}
            }
        }
    }
}
