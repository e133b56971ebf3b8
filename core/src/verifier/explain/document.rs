//! Explains why a verifier cannot read a key set or a discovery document.

use biscuit::Empty;
use biscuit::jwk::JWK;

use super::super::Answer;
use super::super::convex::OidcKey;
use super::{Cause, key};
use crate::jose::fault::DocumentRefusal;
use crate::jose::tree::Json;

/// The entries of `keys`, or why the document is not a key set.
///
/// # Errors
/// A [`Cause`] whose place is the document, `$`.
pub fn entries(document: &[u8]) -> Result<Vec<Json>, Cause> {
    let fault = |code, text: String| Err(Cause::new(code, "$", text));
    let tree = Json::parse(document).map_err(|refusal| unreadable(document, &refusal))?;
    let keys: Vec<_> = tree.all("keys").collect();
    match (&tree, keys.as_slice()) {
        (Json::Object(_), [Json::Array(entries)]) => Ok(entries.clone()),
        (Json::Object(_), [other]) => {
            fault("no_keys", format!("`keys` is {}, not an array", other.kind()))
        }
        (Json::Object(_), []) => fault("no_keys", "there is no member `keys`".to_owned()),
        (Json::Object(_), _) => fault("duplicate_member", "`keys` occurs twice".to_owned()),
        (Json::Array(_), _) => {
            fault("not_object", "a bare array of keys; it must be {\"keys\": […]}".to_owned())
        }
        (other, _) => fault("not_object", format!("{}, not an object", other.kind())),
    }
}

/// What a document that is not JSON seems to be.
pub fn unreadable(document: &[u8], refusal: &DocumentRefusal) -> Cause {
    let first = document.iter().find(|b| !b.is_ascii_whitespace());
    match first {
        None => Cause::new("empty", "$", "the answer is empty"),
        Some(0xef) if document.starts_with(b"\xef\xbb\xbf") => {
            Cause::new("bom", "$", "it starts with a byte order mark, which is not JSON")
        }
        Some(b'<') => Cause::new("html", "$", "this is an HTML or XML page, not JSON"),
        Some(b'-') if document.windows(10).take(200).any(|w| w == b"-----BEGIN") => {
            Cause::new("pem", "$", "this is PEM, not a JSON key set")
        }
        _ => Cause::new("not_json", "$", refusal.to_string()),
    }
}

/// Why biscuit refuses a set: each key that it cannot parse on its own.
pub(super) fn key_set(document: &[u8], detail: &str) -> Vec<Cause> {
    let entries = match entries(document) {
        Ok(entries) => entries,
        Err(cause) => return vec![cause],
    };
    let mut causes = each(&entries, |text| serde_json::from_str::<JWK<Empty>>(text).err());
    if causes.is_empty() {
        causes.push(Cause::new("not_json", "$", detail));
    }
    causes
}

/// Why openidconnect skips keys: it cannot parse them.
pub(super) fn skipped(document: &[u8]) -> Vec<Cause> {
    let Ok(entries) = entries(document) else { return Vec::new() };
    each(&entries, |text| serde_json::from_str::<OidcKey>(text).err())
}

fn each(entries: &[Json], refuses: impl Fn(&str) -> Option<serde_json::Error>) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let Some(error) = refuses(&entry.to_string()) else { continue };
        let place = format!("$.keys[{i}]");
        let found = key::faults(entry, &place);
        match found.is_empty() {
            true => causes.push(Cause::new("entry", &place, error.to_string())),
            false => causes.extend(found),
        }
    }
    causes
}

/// Why a discovery document is refused. `member` is where the parser stopped.
pub(super) fn discovery(answer: &Answer, member: &str, detail: &str) -> Cause {
    let tree = match Json::parse(&answer.body) {
        Ok(tree @ Json::Object(_)) => tree,
        Ok(other) => {
            let text = format!("the discovery document is {}, not an object", other.kind());
            return Cause::new("not_object", "$", text);
        }
        Err(refusal) => return unreadable(&answer.body, &refusal),
    };
    let place = format!("$.{member}");
    let found = tree.all(member).count();
    match (member, found) {
        ("", _) => Cause::new("discovery", "$", detail),
        (member, 2..) => Cause::new("duplicate_member", &place, format!("`{member}` occurs twice")),
        ("issuer", 0) => Cause::new("issuer_missing", &place, "there is no `issuer`"),
        ("jwks_uri", 0) => Cause::new("jwks_uri_missing", &place, "there is no `jwks_uri`"),
        ("jwks_uri", _) => {
            let text = "`jwks_uri` is not an absolute URL";
            Cause::new("jwks_uri", &place, text)
        }
        (member, _) => {
            let kind = tree.get(member).map_or("missing", Json::kind);
            let text = format!("`{member}` is {kind}, which is not read: {detail}");
            Cause::new("discovery_member", &place, text)
        }
    }
}
