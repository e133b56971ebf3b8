//! Where the keys stand in a document. A set is `{"keys":[…]}` (RFC 7517 §5); these are the other
//! shapes found in its place, each recognised without being told, since the address is the issuer's
//! own, and each reported. A document with two readings is refused.

use super::collect::Collector;
use super::fault::DocumentRefusal;
use super::pem;
use super::tree::{self, Json, Object};

type Walk = Result<(), DocumentRefusal>;

/// Members around a set that are known to be nothing but wrapping.
const WRAPPERS: &[&str] = &["data", "jwks", "result", "response", "body"];
/// Wrappings inside each other.
const MAX_WRAPPERS: u8 = 3;

/// Finds the keys of a document and hands each to the collector.
pub(super) fn walk(text: &str, collector: &mut Collector<'_>) -> Walk {
    let start = text.trim_start();
    if !start.starts_with(['{', '[', '"']) && pem::is_pem(start) {
        collector.note("$", "pem_text");
        return collector.pem_text("$", start);
    }
    let mut walker = Walker { collector, strings: 1 };
    let value = tree::parse(text, walker.collector.depth())?;
    walker.document(&value, "$", MAX_WRAPPERS)
}

struct Walker<'c, 'o> {
    collector: &'c mut Collector<'o>,
    /// How many more times a JSON string may be read as JSON text.
    strings: u8,
}

impl Walker<'_, '_> {
    fn document(&mut self, value: &Json<'_>, path: &str, wrappers: u8) -> Walk {
        match value {
            Json::Object(object) => self.object(object, path, wrappers),
            Json::Array(items) => {
                if let [Json::Object(only)] = items.as_slice()
                    && is_set(only)
                {
                    return self.wrapped(&items[0], &format!("{path}[0]"), wrappers);
                }
                self.collector.note(path, "bare_array");
                self.array(items, path)
            }
            Json::String(text) => self.string(text, path, wrappers),
            _ => Err(DocumentRefusal::NotObject),
        }
    }

    fn string(&mut self, text: &str, path: &str, wrappers: u8) -> Walk {
        if pem::is_pem(text) {
            self.collector.note(path, "pem_text");
            return self.collector.pem_text(path, text);
        }
        if self.strings == 0 {
            return Err(DocumentRefusal::NotObject);
        }
        self.strings -= 1;
        self.collector.note(path, "json_string");
        let value = tree::parse(text, self.collector.depth())?;
        self.document(&value, path, wrappers)
    }

    fn array(&mut self, items: &[Json<'_>], path: &str) -> Walk {
        if items.is_empty() {
            return Err(DocumentRefusal::EmptySet);
        }
        self.collector.admit(items.len())?;
        for (i, item) in items.iter().enumerate() {
            self.collector.json(&format!("{path}[{i}]"), None, item);
        }
        Ok(())
    }

    fn object(&mut self, object: &Object<'_>, path: &str, wrappers: u8) -> Walk {
        let jwk = is_jwk(object);
        match object.get("keys") {
            Some(_) if object.repeated.is_some() => self.repeated(object, path),
            Some(_) if jwk => Err(DocumentRefusal::Ambiguous { what: "a JWK with `keys` in it" }),
            Some(keys) => self.keys(keys, &format!("{path}.keys"), wrappers),
            None if object.repeated.is_some() => self.repeated(object, path),
            None if jwk => {
                self.collector.note(path, "single_jwk");
                self.collector.jwk(path, None, object);
                Ok(())
            }
            None => self.other(object, path, wrappers),
        }
    }

    fn repeated(&self, object: &Object<'_>, path: &str) -> Walk {
        let name = object.repeated.as_deref().unwrap_or_default();
        Err(DocumentRefusal::DuplicateMember { path: member_path(path, name) })
    }

    /// What stands under `keys`.
    fn keys(&mut self, keys: &Json<'_>, path: &str, wrappers: u8) -> Walk {
        match keys {
            Json::Array(items) => self.array(items, path),
            Json::Object(inner) if is_set(inner) => self.wrapped(keys, path, wrappers),
            Json::Object(inner) if is_jwk(inner) => {
                self.collector.note(path, "single_jwk");
                self.collector.jwk(path, None, inner);
                Ok(())
            }
            Json::Object(inner) if inner.members.is_empty() => Err(DocumentRefusal::EmptySet),
            Json::Object(inner) => {
                self.collector.note(path, "keys_object");
                self.map(inner, path)
            }
            Json::String(text) => self.keys_string(text, path, wrappers),
            _ => Err(DocumentRefusal::NoKeys),
        }
    }

    fn keys_string(&mut self, text: &str, path: &str, wrappers: u8) -> Walk {
        if pem::is_pem(text) || text.trim_start().starts_with(['{', '[']) {
            self.string(text, path, wrappers)
        } else {
            Err(DocumentRefusal::NoKeys)
        }
    }

    /// Neither a set nor a key: a map from kid to key, or a wrapping.
    fn other(&mut self, object: &Object<'_>, path: &str, wrappers: u8) -> Walk {
        let members = || object.members.iter();
        let mut sets = members().filter(|(_, value)| is_set_value(value));
        let set = sets.next();
        let several = sets.next().is_some();
        let is_map = members().any(|(_, value)| is_entry(value));
        match set {
            Some(_) if several => Err(DocumentRefusal::Ambiguous { what: "two sets" }),
            Some(_) if is_map => Err(DocumentRefusal::Ambiguous { what: "a set beside keys" }),
            Some((name, value)) => self.wrapped(value, &member_path(path, name), wrappers),
            None if is_map => {
                self.collector.note(path, "kid_map");
                self.map(object, path)
            }
            None => self.wrapper(object, path, wrappers),
        }
    }

    /// A wrapping known by its name.
    fn wrapper(&mut self, object: &Object<'_>, path: &str, wrappers: u8) -> Walk {
        let known = |(name, value): &&(std::borrow::Cow<'_, str>, Json<'_>)| {
            WRAPPERS.contains(&&**name)
                && match value {
                    Json::Array(_) | Json::Object(_) => true,
                    Json::String(text) => text.trim_start().starts_with(['{', '[']),
                    _ => false,
                }
        };
        let mut found = object.members.iter().filter(known);
        match (found.next(), found.next()) {
            (Some((name, value)), None) => self.wrapped(value, &member_path(path, name), wrappers),
            (Some(_), Some(_)) => Err(DocumentRefusal::Ambiguous { what: "two wrappings" }),
            (None, _) => Err(DocumentRefusal::NoKeys),
        }
    }

    fn wrapped(&mut self, value: &Json<'_>, path: &str, wrappers: u8) -> Walk {
        let left = wrappers.checked_sub(1).ok_or(DocumentRefusal::NoKeys)?;
        self.collector.note(path, "wrapped");
        self.document(value, path, left)
    }

    fn map(&mut self, object: &Object<'_>, path: &str) -> Walk {
        self.collector.admit(object.members.len())?;
        let twice = object.twice();
        for (name, value) in &object.members {
            let path = member_path(path, name);
            if twice.contains(&**name) {
                self.collector.repeated_name(&path, value);
            } else {
                self.collector.json(&path, Some(name), value);
            }
        }
        Ok(())
    }
}

fn is_set(object: &Object<'_>) -> bool {
    object.get("keys").is_some() && !is_jwk(object)
}

fn is_set_value(value: &Json<'_>) -> bool {
    matches!(value, Json::Object(object) if is_set(object))
}

/// Whether an object is meant as a JWK. Its members are text, those of a map are keys.
fn is_jwk(object: &Object<'_>) -> bool {
    let text = |name| object.text(name).is_some();
    let x5c = matches!(object.get("x5c"), Some(Json::Array(_) | Json::String(_)));
    text("kty")
        || text("n") && object.present("e").is_some()
        || text("crv") && text("x")
        || text("k") && (text("alg") || text("kid"))
        || x5c
        // The token_key answer of older UAA servers: PEM text, or a secret.
        || text("value") && text("alg")
}

/// Whether a value in a map is meant as a key.
fn is_entry(value: &Json<'_>) -> bool {
    match value {
        Json::Object(object) => is_jwk(object),
        Json::String(text) => pem::is_pem(text),
        _ => false,
    }
}

fn member_path(path: &str, name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.len() <= 48 && name.chars().all(plain) {
        format!("{path}.{name}")
    } else {
        format!("{path}['{}']", super::report::excerpt(name))
    }
}
