//! Finds the members of a published key that contain a secret. It never reads their values, except
//! to see whether they are empty.

use super::alg::Family;
use super::repair;
use super::report::excerpt;
use super::tree::{Json, Object};

/// Members that contain a secret: RFC 7518 §6.2.2, §6.3.2, §6.4.1, and `priv` of the AKP keys.
const PRIVATE: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Whether a JWK is a secret as a whole, whatever members it has.
pub(super) fn is_symmetric(object: &Object) -> bool {
    let kty = object.text("kty").unwrap_or_default();
    let is_hmac =
        |text| matches!(repair::alg(text), Ok(Some(alg)) if alg.family() == Family::Secret);
    kty.eq_ignore_ascii_case("oct")
        || kty.eq_ignore_ascii_case("MAC")
        || object.present("kty").is_none()
            && (object.present("k").is_some() || object.text("alg").is_some_and(is_hmac))
}

/// Names of the members that contain a secret.
pub(super) fn leaked(object: &Object) -> Vec<String> {
    let symmetric = is_symmetric(object);
    let holds_secret = |(name, value): &&(String, Json)| {
        let listed = PRIVATE.contains(&name.as_str()) || symmetric && name == "value";
        listed && !value.is_null() && !is_blank(value)
            || matches!(value, Json::String(text) if text.contains("PRIVATE KEY-----"))
    };
    object.members.iter().filter(holds_secret).map(|(name, _)| excerpt(name)).collect()
}

/// Empty text or an empty list: serializers write it for a missing member.
pub(super) fn is_blank(value: &Json) -> bool {
    match value {
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        _ => false,
    }
}
