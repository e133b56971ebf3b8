//! Finds the members of a published key that contain a secret. It never reads their values, except
//! to see whether they are empty.

use super::alg::Family;
use super::repair::{self, AlgText};
use super::report::excerpt;
use super::tree::{Json, Object};

/// Members that contain a secret: RFC 7518 §6.2.2, §6.3.2, §6.4.1, and `priv` of the AKP keys.
const PRIVATE: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Whether a JWK is a secret as a whole, whatever members it has.
pub(super) fn is_symmetric(object: &Object<'_>) -> bool {
    let kty = object.text("kty").unwrap_or_default();
    let secret_alg = || match object.text("alg").map(repair::alg) {
        Some(AlgText::Known(alg) | AlgText::Alias(alg)) => alg.family() == Family::Secret,
        Some(text) => text == AlgText::Secret,
        None => false,
    };
    kty.eq_ignore_ascii_case("oct")
        || kty.eq_ignore_ascii_case("MAC")
        || object.present("kty").is_none() && (object.present("k").is_some() || secret_alg())
}

/// Names of the members that contain a secret.
pub(super) fn leaked(object: &Object<'_>) -> Vec<String> {
    let symmetric = is_symmetric(object);
    let holds = |(name, value): &(std::borrow::Cow<'_, str>, Json<'_>)| {
        let listed = PRIVATE.contains(&&**name) || symmetric && name == "value";
        listed && *value != Json::Null && !is_blank(value)
            || matches!(value, Json::String(text) if text.contains("PRIVATE KEY-----"))
    };
    object.members.iter().filter(|member| holds(member)).map(|(name, _)| excerpt(name)).collect()
}

/// Empty text or an empty list: serializers write it for a missing member.
pub(super) fn is_blank(value: &Json<'_>) -> bool {
    match value {
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        _ => false,
    }
}
