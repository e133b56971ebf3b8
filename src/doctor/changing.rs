//! Claims that differ between two tokens of one person. Convex keys its query cache by all private claims,
//! nested ones flattened with dots. So when a token is renewed with a changed claim, every query that reads
//! the identity runs again (get-convex/convex-backend#542).

use std::collections::BTreeMap;

use crate::jose::tree::Json;
use crate::verifier::explain::{CLAIMS, section};

/// Registered claims (RFC 7519 §4.1) and `fva`, which are not in the cache's key.
const NOT_KEYED: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "fva"];

/// The result of comparing two or more tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changing {
    /// Names of the private claims that differ, with dots for nesting.
    Claims(Vec<String>),
    /// The tokens are not of one person: `sub` or `iss` differ.
    OtherPerson,
    /// One of the tokens cannot be decoded.
    Unreadable,
}

/// Compares the claims of `tokens`, which are not verified.
pub fn between(tokens: &[String]) -> Changing {
    let decoded: Option<Vec<_>> = tokens.iter().map(|token| section(token, CLAIMS)).collect();
    let Some(decoded) = decoded else { return Changing::Unreadable };
    let of = |claims: &Json<'_>, name: &str| claims.get(name).map(Json::to_string);
    let Some((first, others)) = decoded.split_first() else { return Changing::Claims(Vec::new()) };
    if others.iter().any(|o| of(o, "sub") != of(first, "sub") || of(o, "iss") != of(first, "iss")) {
        return Changing::OtherPerson;
    }
    let first = flat(first);
    let mut names = Vec::new();
    for other in others.iter().map(flat) {
        let all = first.keys().chain(other.keys());
        names.extend(all.filter(|name| first.get(*name) != other.get(*name)).cloned());
    }
    names.sort();
    names.dedup();
    Changing::Claims(names)
}

fn flat(claims: &Json<'_>) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (name, value) in claims.members() {
        if !NOT_KEYED.contains(&&**name) {
            flatten(name, value, &mut out);
        }
    }
    out
}

fn flatten(name: &str, value: &Json<'_>, out: &mut BTreeMap<String, String>) {
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
        let names = |list: &[&str]| Changing::Claims(list.iter().map(|n| (*n).into()).collect());
        assert_eq!(between(&[a.clone(), b]), names(&["nonce", "s.id"]));
        assert_eq!(between(&[a.clone(), a.clone()]), names(&[]));
        assert_eq!(between(&[a.clone(), token(r#"{"sub":"v"}"#)]), Changing::OtherPerson);
        assert_eq!(between(&[a, "x".into()]), Changing::Unreadable);
    }
}
