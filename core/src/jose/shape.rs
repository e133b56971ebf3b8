//! Finds the keys in a document. A set is `{"keys":[…]}` (RFC 7517 §5). Other shapes occur in its
//! place. Each is recognised without configuration, because the address belongs to the issuer, and
//! each is reported. A document that can be read in two ways is refused.

use super::collect::Collector;
use super::fault::DocumentRefusal;
use super::likeness::Likeness;
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
    let start = text.trim_start();
    if !start.starts_with(['{', '[', '"']) {
        if pem::is_pem(start) {
            collector.note("$", "pem_text");
            return collector.pem_text("$", start);
        }
        if let Some(likeness) = Likeness::of_text(start) {
            return Err(DocumentRefusal::Other(likeness));
        }
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
        if let Some(likeness) = Likeness::of_text(text) {
            return Err(DocumentRefusal::Other(likeness));
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
        if let [Json::Object(only)] = items
            && Likeness::of_object(only) == Some(Likeness::Discovery)
        {
            return Err(DocumentRefusal::Other(Likeness::Discovery));
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
            None if is_entity_statement(object) => Err(DocumentRefusal::Ambiguous {
                what: "an entity statement, whose own `jwks` is the federation's",
            }),
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

    /// The value of `keys`.
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
            Json::String(text)
                if pem::is_pem(text) || text.trim_start().starts_with(['{', '[']) =>
            {
                self.string(text, path, wrappers)
            }
            _ => Err(DocumentRefusal::NoKeys),
        }
    }

    /// Neither a set nor a key: a map from kid to key, or a wrapping.
    fn other(&mut self, object: &Object<'_>, path: &str, wrappers: u8) -> Walk {
        let members = || object.members.iter();
        let mut sets =
            members().filter(|(_, value)| matches!(value, Json::Object(object) if is_set(object)));
        let set = sets.next();
        let several = sets.next().is_some();
        let entries = members().filter(|(_, value)| is_entry(value)).count();
        let is_map = entries > 0;
        match set {
            Some(_) if several => Err(DocumentRefusal::Ambiguous { what: "two sets" }),
            Some(_) if is_map => Err(DocumentRefusal::Ambiguous { what: "a set beside keys" }),
            Some((name, value)) => self.wrapped(value, &member_path(path, name), wrappers),
            // Each member is a key, and its name is the key's.
            None if entries == object.members.len()
                && !members().all(|(name, _)| is_role(name)) =>
            {
                self.collector.note(path, "kid_map");
                self.map(object, path)
            }
            None if is_map => self.lone(object, path),
            None => self.wrapper(object, path, wrappers),
        }
    }

    /// One key among members that are not keys, or under a name that only describes it: the
    /// member's name is not the key's; a `kid` beside it is.
    fn lone(&mut self, object: &Object<'_>, path: &str) -> Walk {
        let several =
            DocumentRefusal::Ambiguous { what: "several keys, and members that are none" };
        let mut entries = object.members.iter().filter(|(_, value)| is_entry(value));
        let Some((name, first)) = entries.next() else { return Err(DocumentRefusal::NoKeys) };
        let text = match first {
            Json::String(text) => text,
            Json::Object(jwk) if entries.next().is_none() => {
                self.collector.note(path, "single_jwk");
                self.collector.jwk(&member_path(path, name), None, jwk);
                return Ok(());
            }
            _ => return Err(several),
        };
        // A certificate and its key are one key.
        let key = |text: &str| pem::first_key(text).map(|key| key.material);
        let same = |value: &Json<'_>| matches!(value, Json::String(other) if key(other).is_some_and(|k| Some(k) == key(text)));
        if !entries.all(|(_, value)| same(value)) {
            return Err(several);
        }
        self.collector.note(path, "single_pem");
        self.collector.jwk(path, None, &object.as_pem_jwk(text));
        Ok(())
    }

    /// A wrapping with a known name.
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
            (None, _) => Err(match Likeness::of_object(object) {
                Some(likeness) => DocumentRefusal::Other(likeness),
                None => DocumentRefusal::NoKeys,
            }),
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

/// Whether a name only says that the value is a key.
fn is_role(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['_', '-'], "");
    ROLES.contains(&name.as_str())
}

/// Claims of an entity statement (OpenID Federation 1.0 §3.1). Its `jwks` signs such statements.
/// The keys of the provider's tokens are in `metadata`, or where it points.
fn is_entity_statement(object: &Object<'_>) -> bool {
    let is_object = |name: &str| matches!(object.get(name), Some(Json::Object(_)));
    is_object("jwks") && is_object("metadata") && object.text("sub").is_some()
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
