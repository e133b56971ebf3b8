//! Claims that differ between two tokens of one person. Convex keys its query cache by all private claims,
//! nested ones flattened with dots. So when a token is renewed with a changed claim, every query that reads
//! the identity runs again (get-convex/convex-backend#542).

use std::collections::{BTreeMap, BTreeSet};

use crate::jose::tree::Json;
use crate::verifier::explain::{CLAIMS, section};

/// Registered claims (RFC 7519 §4.1) and `fva`, which are not in the cache's key.
const NOT_KEYED: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "fva"];

/// Why tokens cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotComparable {
    /// The tokens are not of one person: `sub` or `iss` differ.
    OtherPerson,
    /// One of the tokens cannot be decoded.
    Unreadable,
}

/// Compares the claims of `tokens`, which are not verified. Returns the names of the private claims that
/// differ, with dots for nesting.
///
/// # Errors
/// [`NotComparable`].
pub fn between(tokens: &[String]) -> Result<Vec<String>, NotComparable> {
    let decoded: Option<Vec<_>> = tokens.iter().map(|token| section(token, CLAIMS)).collect();
    let decoded = decoded.ok_or(NotComparable::Unreadable)?;
    let Some((first, others)) = decoded.split_first() else { return Ok(Vec::new()) };
    let of = |claims: &Json, name: &str| claims.get(name).map(Json::to_string);
    if others.iter().any(|o| of(o, "sub") != of(first, "sub") || of(o, "iss") != of(first, "iss")) {
        return Err(NotComparable::OtherPerson);
    }
    let first = flat(first);
    let mut names = BTreeSet::new();
    for other in others.iter().map(flat) {
        let all = first.keys().chain(other.keys());
        names.extend(all.filter(|name| first.get(*name) != other.get(*name)).cloned());
    }
    Ok(names.into_iter().collect())
}

fn flat(claims: &Json) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (name, value) in claims.members() {
        if !NOT_KEYED.contains(&&**name) {
            flatten(name, value, &mut out);
        }
    }
    out
}

fn flatten(name: &str, value: &Json, out: &mut BTreeMap<String, String>) {
    match value {
        Json::Object(_) => {
            for (member, value) in value.members() {
                flatten(&format!("{name}.{member}"), value, out);
            }
        }
        other => drop(out.insert(name.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn private_claims_alone_count_nested_ones_too() {
        let a = token(r#"{"sub":"u","iat":1,"jti":"a","fva":[0],"nonce":"x","s":{"id":1,"n":2}}"#);
        let b = token(r#"{"sub":"u","iat":2,"jti":"b","fva":[1],"s":{"id":9,"n":2},"nonce":"y"}"#);
        let names = |list: &[&str]| Ok(list.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(between(&[a.clone(), b]), names(&["nonce", "s.id"]));
        assert_eq!(between(&[a.clone(), a.clone()]), names(&[]));
        assert_eq!(between(&[a.clone(), token(r#"{"sub":"v"}"#)]), Err(NotComparable::OtherPerson));
        assert_eq!(between(&[a, "x".into()]), Err(NotComparable::Unreadable));
    }
}
