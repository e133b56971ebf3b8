//! JSON as a tree that keeps what ordinary readers drop: repeated members and the text of numbers.
//! RFC 8259, strictly, with limited depth. A lone surrogate escape (§8.2, "unpredictable") becomes
//! U+FFFD, so that one odd string does not affect the other keys of a set.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::ser::{Error as _, Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;

use super::fault::DocumentRefusal;

/// One JSON value; members keep their order, and repeated ones are kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// The original text.
    Number(Cow<'a, str>),
    /// A string, its escapes undone.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// The members of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object<'a> {
    /// Names and values, in their order.
    pub members: Vec<(Cow<'a, str>, Json<'a>)>,
    /// A repeated member.
    pub repeated: Option<String>,
}

impl<'a> Object<'a> {
    /// The first member of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.members.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// The same, but `null` counts as absent.
    pub(super) fn present(&self, name: &str) -> Option<&Json<'a>> {
        self.get(name).filter(|value| **value != Json::Null)
    }

    /// Every repeated name.
    pub(super) fn twice(&self) -> HashSet<&str> {
        if self.repeated.is_none() {
            return HashSet::new();
        }
        let mut seen = HashSet::with_capacity(self.members.len());
        self.members.iter().map(|(name, _)| &**name).filter(|name| !seen.insert(*name)).collect()
    }

    /// A key as PEM text, with the other members of a JWK beside it.
    pub(super) fn as_pem_jwk<'b>(&'b self, text: &'b str) -> Object<'b> {
        let mut members = vec![(Cow::Borrowed("value"), Json::String(Cow::Borrowed(text)))];
        for (name, value) in &self.members {
            let value = match value {
                Json::String(text) => Json::String(Cow::Borrowed(&**text)),
                Json::Number(text) => Json::Number(Cow::Borrowed(&**text)),
                _ => continue,
            };
            if ["kid", "alg", "use"].contains(&&**name) {
                members.push((Cow::Borrowed(&**name), value));
            }
        }
        Object { members, repeated: None }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Json::text)
    }
}

impl<'a> Json<'a> {
    /// Reads one JSON text in UTF-8; nesting is limited to 128.
    ///
    /// # Errors
    /// [`DocumentRefusal`]: not UTF-8, not JSON, or too deep.
    pub fn parse(text: &'a [u8]) -> Result<Self, DocumentRefusal> {
        let text = std::str::from_utf8(text).map_err(|_| DocumentRefusal::NotUtf8)?;
        parse(text, MAX_DEPTH)
    }

    /// The members of an object; none for any other value.
    pub fn members(&self) -> &[(Cow<'a, str>, Self)] {
        match self {
            Self::Object(object) => &object.members,
            _ => &[],
        }
    }

    /// Every member of that name.
    pub fn all<'b>(&'b self, name: &str) -> impl Iterator<Item = &'b Self> {
        self.members().iter().filter(move |(own, _)| own == name).map(|(_, value)| value)
    }

    /// The first member of that name.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.all(name).next()
    }

    /// The same, but `null` counts as absent.
    pub fn present(&self, name: &str) -> Option<&Self> {
        self.get(name).filter(|value| !value.is_null())
    }

    /// Repeated names in this object, in their order.
    pub fn duplicates(&self) -> Vec<&str> {
        let Self::Object(object) = self else { return Vec::new() };
        let twice = object.twice();
        let mut seen = HashSet::new();
        let names = object.members.iter().map(|(name, _)| &**name);
        names.filter(|name| twice.contains(name) && seen.insert(*name)).collect()
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The values of an array.
    pub fn list(&self) -> Option<&[Self]> {
        match self {
            Self::Array(list) => Some(list),
            _ => None,
        }
    }

    /// The strings of a list of strings.
    pub fn texts(&self) -> Option<Vec<&str>> {
        self.list()?.iter().map(Self::text).collect()
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether this is an object.
    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// Whole seconds of a NumericDate (RFC 7519 §2); a fraction is cut off, out of range saturates.
    pub fn seconds(&self) -> Option<i64> {
        let Self::Number(number) = self else { return None };
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let whole = || number.parse::<f64>().ok().map(|value| value as i64);
        number.parse().ok().or_else(whole)
    }

    /// The same value, independent of the text it was read from.
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(value),
            Self::Number(text) => Json::Number(Cow::Owned(text.into_owned())),
            Self::String(text) => Json::String(Cow::Owned(text.into_owned())),
            Self::Array(items) => Json::Array(items.into_iter().map(Json::into_owned).collect()),
            Self::Object(object) => {
                let own = |(name, value): (Cow<'_, str>, Json<'_>)| {
                    (Cow::Owned(name.into_owned()), value.into_owned())
                };
                let members = object.members.into_iter().map(own).collect();
                Json::Object(Object { members, repeated: object.repeated })
            }
        }
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
impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).unwrap_or_default())
    }
}

/// The original text: numbers keep their text, members their order and their duplicates.
impl Serialize for Json<'_> {
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
                let mut map = serializer.serialize_map(Some(object.members.len()))?;
                for (name, value) in &object.members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

/// Independent of the configuration: the reader is recursive, and this fits any thread's stack.
const MAX_DEPTH: usize = 128;

/// Reads one JSON text, with only white space after it.
pub(super) fn parse(text: &str, depth: usize) -> Result<Json<'_>, DocumentRefusal> {
    let limit = depth.min(MAX_DEPTH);
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, limit };
    let value = reader.value(0)?;
    reader.space();
    if reader.at < reader.bytes.len() {
        return Err(reader.fault("something follows the value"));
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    limit: usize,
}

type Parsed<T> = Result<T, DocumentRefusal>;

impl<'a> Reader<'a> {
    fn fault(&self, what: &'static str) -> DocumentRefusal {
        DocumentRefusal::NotJson { what, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let hit = self.peek() == Some(byte);
        self.at += usize::from(hit);
        hit
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Parsed<()> {
        if self.eat(byte) { Ok(()) } else { Err(self.fault(what)) }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Parsed<Json<'a>> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault("an unknown word"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn value(&mut self, depth: usize) -> Parsed<Json<'a>> {
        self.space();
        match self.peek() {
            Some(b'{' | b'[') if depth >= self.limit => {
                Err(DocumentRefusal::Depth { limit: self.limit })
            }
            Some(b'{') => self.object(depth + 1).map(Json::Object),
            Some(b'[') => self.array(depth + 1).map(Json::Array),
            Some(b'"') => self.string().map(Json::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(|text| Json::Number(Cow::Borrowed(text))),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(_) => Err(self.fault("an unexpected character")),
            None => Err(self.fault("the text ends early")),
        }
    }

    fn array(&mut self, depth: usize) -> Parsed<Vec<Json<'a>>> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.eat(b']') {
            return Ok(items);
        }
        loop {
            items.push(self.value(depth)?);
            self.space();
            if self.eat(b']') {
                return Ok(items);
            }
            self.expect(b',', "no comma between the items of an array")?;
        }
    }

    fn object(&mut self, depth: usize) -> Parsed<Object<'a>> {
        self.at += 1;
        let mut members = Vec::new();
        self.space();
        if self.eat(b'}') {
            return Ok(Object { members, repeated: None });
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.fault("no member name"));
            }
            let name = self.string()?;
            self.space();
            self.expect(b':', "no colon after a member name")?;
            members.push((name, self.value(depth)?));
            self.space();
            if self.eat(b'}') {
                let repeated = repeated(&members);
                return Ok(Object { members, repeated });
            }
            self.expect(b',', "no comma between the members of an object")?;
        }
    }

    fn digits(&mut self) -> Parsed<()> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if from == self.at { Err(self.fault("no digit in a number")) } else { Ok(()) }
    }

    fn number(&mut self) -> Parsed<&'a str> {
        let from = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        Ok(&self.text[from..self.at])
    }

    fn string(&mut self) -> Parsed<Cow<'a, str>> {
        self.at += 1;
        let from = self.at;
        self.plain()?;
        if self.eat(b'"') {
            return Ok(Cow::Borrowed(&self.text[from..self.at - 1]));
        }
        let mut out = self.text[from..self.at].to_owned();
        loop {
            if self.eat(b'"') {
                return Ok(Cow::Owned(out));
            }
            self.at += 1;
            out.push(self.escape()?);
            let from = self.at;
            self.plain()?;
            out.push_str(&self.text[from..self.at]);
        }
    }

    /// Moves on to the next quote or backslash.
    fn plain(&mut self) -> Parsed<()> {
        loop {
            match self.peek() {
                Some(b'"' | b'\\') => return Ok(()),
                Some(0..=0x1f) => return Err(self.fault("a control character in a string")),
                Some(_) => self.at += 1,
                None => return Err(self.fault("the text ends in a string")),
            }
        }
    }

    fn escape(&mut self) -> Parsed<char> {
        let Some(byte) = self.peek() else { return Err(self.fault("the text ends in a string")) };
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.fault("an unknown escape")),
        })
    }

    fn unicode(&mut self) -> Parsed<char> {
        let high = self.hex4()?;
        if !(0xd800..0xdc00).contains(&high) {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let pair = self.bytes[self.at..].starts_with(b"\\u");
        let back = self.at;
        if pair {
            self.at += 2;
            let low = self.hex4()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            // The second escape is read by itself.
            self.at = back;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Parsed<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).unwrap_or_default();
        let value = digits.iter().try_fold(0, |acc, &digit| {
            char::from(digit).to_digit(16).map(|digit| acc * 16 + digit)
        });
        match value {
            Some(value) if digits.len() == 4 => {
                self.at += 4;
                Ok(value)
            }
            _ => Err(self.fault("an escape without four digits")),
        }
    }
}

/// The first repeated name; linear, because the names may be hostile.
fn repeated(members: &[(Cow<'_, str>, Json<'_>)]) -> Option<String> {
    let mut seen = HashSet::with_capacity(members.len());
    members.iter().find(|(name, _)| !seen.insert(&**name)).map(|(name, _)| name.to_string())
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
    fn what_was_written_stays() {
        let text = r#"{"b":1,"a":[null,true,1.50,"x",123456789012345678901],"b":{},"c":0,"b":2}"#;
        let tree = Json::parse(text.as_bytes()).unwrap().into_owned();
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
        assert_eq!(object.repeated.as_deref(), Some("keys"));
        assert_eq!(parse(r#""\ud83d\ude00\ud800x""#, 4), Ok(Json::String("😀\u{fffd}x".into())));
    }

    #[test]
    fn depth_is_counted_before_the_stack_can_overflow() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(parse(&deep, 32), Err(DocumentRefusal::Depth { limit: 32 }));
        assert_eq!(parse(&deep, usize::MAX), Err(DocumentRefusal::Depth { limit: 128 }));
        assert!(parse(&format!("{}{}", "[".repeat(32), "]".repeat(32)), 32).is_ok());
    }

    fn same(ours: &Json<'_>, theirs: &serde_json::Value) -> bool {
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
                a.repeated.is_some()
                    || a.members.len() == b.len()
                        && a.members.iter().all(|(k, v)| same(v, &b[&**k]))
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
