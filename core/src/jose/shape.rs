//! Finds the keys in a document. A set is `{"keys":[…]}` (RFC 7517 §5). Other shapes occur in its
//! place. Each is recognised without configuration, because the address belongs to the issuer, and
//! each is reported. A document that can be read in two ways is refused.

use std::collections::HashSet;

use super::collect::Collector;
use super::fault::DocumentRefusal;
use super::other_document::OtherDocument;
use super::pem;
use super::tree::{self, Json, Object};

type Walk = Result<(), DocumentRefusal>;

/// Members that are known to only wrap a set.
const WRAPPERS: &[&str] =
    &["data", "jwks", "result", "response", "body", "publicKeys", "public_keys"];
/// Names of members that describe their content and are not a key's own name; without case, `_` and
/// `-`.
const ROLES: &[&str] = &[
    "key",
    "pem",
    "publickey",
    "pubkey",
    "rsapublickey",
    "jwtpublickey",
    "signingkey",
    "value",
    "cert",
    "certificate",
    "x509",
    "x509certificate",
    "x5c",
];
/// Maximum nesting of wrappings.
const MAX_WRAPPERS: u8 = 3;

/// Finds the keys of a document and passes each to the collector.
pub(super) fn walk(text: &str, collector: &mut Collector<'_>) -> Walk {
    let mut walker = Walker { collector, strings: 1 };
    let start = text.trim_start();
    if !start.starts_with(['{', '[', '"'])
        && let Some(done) = walker.other_text(start, "$")
    {
        return done;
    }
    let value = tree::parse(text, walker.collector.depth())?;
    walker.document(&value, "$", MAX_WRAPPERS)
}

struct Walker<'c, 'o> {
    collector: &'c mut Collector<'o>,
    /// How many more times a JSON string may be read as JSON text.
    strings: u8,
}

impl Walker<'_, '_> {
    fn document(&mut self, value: &Json, path: &str, wrappers: u8) -> Walk {
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
        if let Some(done) = self.other_text(text, path) {
            return done;
        }
        self.strings = self.strings.checked_sub(1).ok_or(DocumentRefusal::NotObject)?;
        self.collector.note(path, "json_string");
        let value = tree::parse(text, self.collector.depth())?;
        self.document(&value, path, wrappers)
    }

    /// Text that is not JSON: PEM, or recognised as something else.
    fn other_text(&mut self, text: &str, path: &str) -> Option<Walk> {
        if pem::is_pem(text) {
            self.collector.note(path, "pem_text");
            return Some(self.collector.pem_text(path, text));
        }
        OtherDocument::from_text(text).map(|other| Err(DocumentRefusal::Other(other)))
    }

    fn array(&mut self, items: &[Json], path: &str) -> Walk {
        if items.is_empty() {
            return Err(DocumentRefusal::EmptySet);
        }
        if let [Json::Object(only)] = items
            && OtherDocument::from_object(only) == Some(OtherDocument::Discovery)
        {
            return Err(DocumentRefusal::Other(OtherDocument::Discovery));
        }
        self.collector.check_count(items.len())?;
        for (i, item) in items.iter().enumerate() {
            self.collector.entry(&format!("{path}[{i}]"), None, item);
        }
        Ok(())
    }

    fn object(&mut self, object: &Object, path: &str, wrappers: u8) -> Walk {
        let keys = object.get("keys");
        if keys.is_none() && is_entity_statement(object) {
            return Err(DocumentRefusal::Ambiguous(
                "an entity statement, whose own `jwks` is the federation's",
            ));
        }
        if let Some(name) = object.repeated().first() {
            return Err(DocumentRefusal::DuplicateMember { path: member_path(path, name) });
        }
        match keys {
            Some(_) if is_jwk(object) => Err(DocumentRefusal::Ambiguous("a JWK with `keys` in it")),
            Some(keys) => self.keys(keys, &format!("{path}.keys"), wrappers),
            None if is_jwk(object) => self.single_jwk(object, path),
            None => self.other_object(object, path, wrappers),
        }
    }

    fn single_jwk(&mut self, object: &Object, path: &str) -> Walk {
        self.collector.note(path, "single_jwk");
        self.collector.jwk(path, None, object);
        Ok(())
    }

    /// The value of `keys`.
    fn keys(&mut self, keys: &Json, path: &str, wrappers: u8) -> Walk {
        match keys {
            Json::Array(items) => self.array(items, path),
            Json::Object(inner) if is_set(inner) => self.wrapped(keys, path, wrappers),
            Json::Object(inner) if is_jwk(inner) => self.single_jwk(inner, path),
            Json::Object(inner) if inner.members.is_empty() => Err(DocumentRefusal::EmptySet),
            Json::Object(inner) => {
                self.collector.note(path, "keys_object");
                self.map(inner, path)
            }
            Json::String(text)
                if pem::is_pem(text) || text.trim_start().starts_with(['{', '[']) =>
            {
                self.string(text, path, wrappers)
            }
            _ => Err(DocumentRefusal::NoKeys),
        }
    }

    /// Neither a set nor a key: a map from kid to key, or a wrapping.
    fn other_object(&mut self, object: &Object, path: &str, wrappers: u8) -> Walk {
        let members = || object.members.iter();
        let entries: Vec<_> = members().filter(|(_, value)| is_entry(value)).collect();
        let sets: Vec<_> =
            members().filter(|(_, value)| value.object().is_some_and(is_set)).collect();
        match sets.as_slice() {
            [] if entries.is_empty() => self.wrapper(object, path, wrappers),
            // Each member is a key, and its name is the key's.
            [] if entries.len() == object.members.len()
                && !entries.iter().all(|(name, _)| is_role(name)) =>
            {
                self.collector.note(path, "kid_map");
                self.map(object, path)
            }
            [] => self.only_key(object, &entries, path),
            [(name, value)] if entries.is_empty() => {
                self.wrapped(value, &member_path(path, name), wrappers)
            }
            [_] => Err(DocumentRefusal::Ambiguous("a set beside keys")),
            _ => Err(DocumentRefusal::Ambiguous("two sets")),
        }
    }

    /// One key among members that are not keys, or under a name that only describes it: the
    /// member's name is not the key's; a `kid` beside it is.
    fn only_key(&mut self, object: &Object, entries: &[&(String, Json)], path: &str) -> Walk {
        match entries {
            [(name, Json::Object(jwk))] => {
                self.collector.note(path, "single_jwk");
                self.collector.jwk(&member_path(path, name), None, jwk);
                Ok(())
            }
            [(_, Json::String(text)), others @ ..]
                if others.iter().all(|(_, other)| is_same_pem_key(other, text)) =>
            {
                self.collector.note(path, "single_pem");
                self.collector.jwk(path, None, &pem_jwk(object, text));
                Ok(())
            }
            _ => Err(DocumentRefusal::Ambiguous("several keys among members that are not keys")),
        }
    }

    /// A wrapping with a known name.
    fn wrapper(&mut self, object: &Object, path: &str, wrappers: u8) -> Walk {
        let is_wrapper = |(name, value): &&(String, Json)| {
            let holds_json = match value {
                Json::Array(_) | Json::Object(_) => true,
                Json::String(text) => text.trim_start().starts_with(['{', '[']),
                _ => false,
            };
            holds_json && WRAPPERS.contains(&name.as_str())
        };
        let mut found = object.members.iter().filter(is_wrapper);
        match (found.next(), found.next()) {
            (Some((name, value)), None) => self.wrapped(value, &member_path(path, name), wrappers),
            (Some(_), Some(_)) => Err(DocumentRefusal::Ambiguous("two wrappings")),
            (None, _) => {
                let other = OtherDocument::from_object(object);
                Err(other.map_or(DocumentRefusal::NoKeys, DocumentRefusal::Other))
            }
        }
    }

    fn wrapped(&mut self, value: &Json, path: &str, wrappers: u8) -> Walk {
        let left = wrappers.checked_sub(1).ok_or(DocumentRefusal::NoKeys)?;
        self.collector.note(path, "wrapped");
        self.document(value, path, left)
    }

    fn map(&mut self, object: &Object, path: &str) -> Walk {
        self.collector.check_count(object.members.len())?;
        let repeated = HashSet::<_>::from_iter(object.repeated());
        for (name, value) in &object.members {
            let path = member_path(path, name);
            if repeated.contains(name.as_str()) {
                self.collector.repeated_name(&path, value);
            } else {
                self.collector.entry(&path, Some(name), value);
            }
        }
        Ok(())
    }
}

fn is_set(object: &Object) -> bool {
    object.get("keys").is_some() && !is_jwk(object)
}

/// Whether an object is meant as a JWK. Its members are text, those of a map are keys.
fn is_jwk(object: &Object) -> bool {
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

/// Whether a name only says that the value is a key.
fn is_role(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['_', '-'], "");
    ROLES.contains(&name.as_str())
}

/// Claims of an entity statement (OpenID Federation 1.0 §3.1). Its `jwks` signs such statements.
/// The keys of the provider's tokens are in `metadata`, or where it points.
fn is_entity_statement(object: &Object) -> bool {
    let is_object = |name| object.get(name).is_some_and(Json::is_object);
    is_object("jwks") && is_object("metadata") && object.text("sub").is_some()
}

/// Whether a value in a map is meant as a key.
fn is_entry(value: &Json) -> bool {
    match value {
        Json::Object(object) => is_jwk(object),
        Json::String(text) => pem::is_pem(text),
        _ => false,
    }
}

/// A certificate and its key are one key.
fn is_same_pem_key(value: &Json, text: &str) -> bool {
    let key = |text: &str| pem::first_key(text).map(|key| key.material);
    value.text().and_then(key).is_some_and(|own| Some(own) == key(text))
}

/// A key as PEM text, with the other members of a JWK beside it.
fn pem_jwk(object: &Object, text: &str) -> Object {
    let is_jwk_member = |(name, value): &&(String, Json)| {
        ["kid", "alg", "use"].contains(&name.as_str())
            && matches!(value, Json::String(_) | Json::Number(_))
    };
    let mut members = vec![("value".to_owned(), Json::String(text.to_owned()))];
    members.extend(object.members.iter().filter(is_jwk_member).cloned());
    Object { members }
}

fn member_path(path: &str, name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.len() <= 48 && name.chars().all(plain) {
        format!("{path}.{name}")
    } else {
        format!("{path}['{}']", super::report::excerpt(name))
    }
}
