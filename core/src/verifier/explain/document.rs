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
    let tree = Json::parse(document).map_err(|refusal| unreadable(document, &refusal))?;
    let keys: Vec<_> = tree.all("keys").collect();
    let (code, text) = match (&tree, keys.as_slice()) {
        (Json::Object(_), [Json::Array(entries)]) => return Ok(entries.clone()),
        (Json::Object(_), [other]) => {
            ("no_keys", format!("`keys` is {}, not an array", other.kind()))
        }
        (Json::Object(_), []) => ("no_keys", "there is no member `keys`".to_owned()),
        (Json::Object(_), _) => ("duplicate_member", "`keys` occurs twice".to_owned()),
        (Json::Array(_), _) => {
            ("not_object", "a bare array of keys; it must be {\"keys\": […]}".to_owned())
        }
        (other, _) => ("not_object", format!("{}, not an object", other.kind())),
    };
    Err(Cause::new(code, "$", text))
}

/// What a document that is not JSON seems to be.
fn unreadable(document: &[u8], refusal: &DocumentRefusal) -> Cause {
    let is_pem = || document.windows(10).take(200).any(|w| w == b"-----BEGIN");
    let (code, text) = match document.trim_ascii_start() {
        [] => ("empty", "the answer is empty"),
        [b'<', ..] => ("html", "this is an HTML or XML page, not JSON"),
        [b'-', ..] if is_pem() => ("pem", "this is PEM, not a JSON key set"),
        _ if document.starts_with(b"\xef\xbb\xbf") => {
            ("bom", "it starts with a byte order mark, which is not JSON")
        }
        _ => return Cause::new("not_json", "$", refusal.to_string()),
    };
    Cause::new(code, "$", text)
}

/// Why biscuit refuses a set: each key that it cannot parse on its own.
pub(super) fn key_set(document: &[u8], detail: &str) -> Vec<Cause> {
    let mut causes = match entries(document) {
        Ok(entries) => each(&entries, |text| serde_json::from_str::<JWK<Empty>>(text).err()),
        Err(cause) => return vec![cause],
    };
    if causes.is_empty() {
        causes.push(Cause::new("not_json", "$", detail));
    }
    causes
}

/// The keys that an OIDC provider silently skips in a set, because openidconnect cannot parse them.
pub fn skipped(set: &Answer) -> Vec<Cause> {
    let Ok(entries) = entries(&set.body) else { return Vec::new() };
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
    match (member, tree.all(member).count()) {
        ("", _) => Cause::new("discovery", "$", detail),
        (member, 2..) => Cause::new("duplicate_member", &place, format!("`{member}` occurs twice")),
        ("issuer", 0) => Cause::new("issuer_missing", &place, "there is no `issuer`"),
        ("jwks_uri", 0) => Cause::new("jwks_uri_missing", &place, "there is no `jwks_uri`"),
        ("jwks_uri", _) => Cause::new("jwks_uri", &place, "`jwks_uri` is not an absolute URL"),
        (member, _) => {
            let kind = tree.get(member).map_or("missing", Json::kind);
            let text = format!("`{member}` is {kind}, which is not read: {detail}");
            Cause::new("discovery_member", &place, text)
        }
    }
}
