//! A key set document's envelope, read as a derived parser reads a struct: the members it knows
//! strictly, all others skipped unseen.

use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Cause;
use crate::inspect::tree::Tree;

/// The entries of `keys`. With `to_end` anything but blanks after the document is a fault.
pub(super) fn entries(document: &[u8], to_end: bool) -> Result<Vec<Tree>, Cause> {
    let mut deserializer = serde_json::Deserializer::from_slice(document);
    let found = deserializer.deserialize_any(Envelope);
    let found = found.and_then(|found| {
        if to_end {
            deserializer.end()?;
        }
        Ok(found)
    });
    let fault = |code, text: &str| Err(Cause::new(code, "$", text));
    match found {
        Ok(Found::Keys(keys)) => match keys.as_slice() {
            [Tree::List(entries)] => Ok(entries.clone()),
            [other] => fault("no_keys", &format!("`keys` is {}, not a list", other.kind())),
            [] => fault("no_keys", "there is no member `keys`"),
            _ => fault("duplicate_member", "`keys` stands there twice"),
        },
        Ok(Found::List(list)) => match list.as_slice() {
            [Tree::List(entries)] => Ok(entries.clone()),
            _ => fault("not_object", "a bare list of keys; it must be {\"keys\": […]}"),
        },
        Ok(Found::Other(kind)) => fault("not_object", &format!("{kind}, not an object")),
        Err(error) => Err(unreadable(document, &error)),
    }
}

fn unreadable(document: &[u8], error: &serde_json::Error) -> Cause {
    if document.iter().all(u8::is_ascii_whitespace) {
        return Cause::new("empty", "$", "the answer is empty");
    }
    if document.starts_with(b"\xef\xbb\xbf") {
        return Cause::new("bom", "$", "it starts with a byte order mark, which is not JSON");
    }
    let start = document.iter().find(|b| !b.is_ascii_whitespace());
    if start == Some(&b'<') {
        return Cause::new("html", "$", "this is HTML or XML, not JSON");
    }
    Cause::new("not_json", "$", format!("not JSON: {error}"))
}

enum Found {
    Keys(Vec<Tree>),
    List(Vec<Tree>),
    Other(&'static str),
}

struct Envelope;

impl<'de> Visitor<'de> for Envelope {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut keys = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "keys" {
                keys.push(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Found::Keys(keys))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element()? {
            list.push(value);
        }
        Ok(Found::List(list))
    }

    fn visit_str<E>(self, _: &str) -> Result<Found, E> {
        Ok(Found::Other("a string"))
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::Other("null"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(Found::Other("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        Ok(Found::Other("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found, E> {
        Ok(Found::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(Found::Other("a number"))
    }
}
