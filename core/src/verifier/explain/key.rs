//! Explains what is wrong with one entry of a key set: types and values of its members
//! (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use biscuit::jwa::{ContentEncryptionAlgorithm, KeyManagementAlgorithm, SignatureAlgorithm};
use biscuit::jwk::EllipticCurve;
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error, StrDeserializer};

use super::Cause;
use crate::jose::tree::Json;

const TEXTS: [&str; 7] = ["kty", "use", "alg", "kid", "crv", "x5u", "x5t"];
const LISTS: [&str; 2] = ["key_ops", "x5c"];
const NUMBERS: [&str; 11] = ["n", "e", "x", "y", "k", "d", "p", "q", "dp", "dq", "qi"];

/// The faults that a strict parser rejects. Empty where none is found; then only the parser's own
/// message is available.
pub fn faults(key: &Json, place: &str) -> Vec<Cause> {
    let mut causes = shape(key, place);
    if !key.is_object() {
        return causes;
    }
    let mut unknown = |code, name: &str, known: &dyn Fn(&str) -> bool| {
        if let Some(text) = key.get(name).and_then(Json::text).filter(|text| !known(text)) {
            let why = format!("`{name}` {text} is not known to it");
            causes.push(Cause::new(code, &format!("{place}.{name}"), why));
        }
    };
    unknown("kty_unknown", "kty", &|kty| ["RSA", "EC", "oct", "OKP"].contains(&kty));
    unknown("alg_unknown", "alg", &|alg| {
        known::<SignatureAlgorithm>(alg)
            || known::<KeyManagementAlgorithm>(alg)
            || known::<ContentEncryptionAlgorithm>(alg)
    });
    if matches!(key.get("kty").and_then(Json::text), Some("EC" | "OKP")) {
        unknown("crv_unknown", "crv", &|crv| known::<EllipticCurve>(crv));
    }
    causes
}

/// The same by the RFCs alone: wrong types, duplicates and missing members.
pub fn shape(key: &Json, place: &str) -> Vec<Cause> {
    if !key.is_object() {
        return vec![Cause::new("entry", place, format!("{} in place of a key", key.kind()))];
    }
    let at = |name: &str| format!("{place}.{name}");
    let mut causes = Vec::new();
    for name in key.duplicates() {
        causes.push(Cause::new("duplicate_member", &at(name), format!("`{name}` occurs twice")));
    }
    for name in TEXTS {
        if let Some(value) = key.present(name).filter(|value| value.text().is_none()) {
            let code = match name {
                "kid" => "kid_type",
                "alg" => "alg_type",
                _ => "member_type",
            };
            let text = format!("`{name}` is {}, not a string", value.kind());
            causes.push(Cause::new(code, &at(name), text));
        }
    }
    for name in LISTS {
        if let Some(value) = key.present(name).filter(|value| value.texts().is_none()) {
            let text = format!("`{name}` is {}, not a list of strings", value.kind());
            causes.push(Cause::new("member_type", &at(name), text));
        }
    }
    let needed: &[&str] = match key.get("kty").and_then(Json::text) {
        Some("RSA") => &["n", "e"],
        Some("EC") => &["crv", "x", "y"],
        Some("OKP") => &["crv", "x"],
        Some("oct") => &["k"],
        Some(_) => &[],
        None => &["kty"],
    };
    for name in needed {
        if key.get(name).is_none() {
            let code = if *name == "kty" { "kty_missing" } else { "member_missing" };
            causes.push(Cause::new(code, &at(name), format!("`{name}` is missing")));
        }
    }
    for name in NUMBERS {
        let Some(value) = key.get(name) else { continue };
        // Skip members that this type of key does not use, such as `k` of an RSA key.
        if !needed.contains(&name) && ["n", "e", "x", "y", "k"].contains(&name) {
            continue;
        }
        if let Err((code, why)) = number(value) {
            causes.push(Cause::new(code, &at(name), format!("`{name}` {why}")));
        }
    }
    causes
}

/// Decodes base64url without padding of at least one byte (RFC 7518 §2).
///
/// # Errors
/// A code, and the end of a sentence that begins with the member.
pub fn number(value: &Json) -> Result<Vec<u8>, (&'static str, String)> {
    let Some(text) = value.text() else {
        return Err(("member_type", format!("is {}, not a string", value.kind())));
    };
    let why = match URL_SAFE_NO_PAD.decode(text) {
        Ok(bytes) if !bytes.is_empty() => return Ok(bytes),
        Ok(_) => "is empty",
        Err(_) if text.ends_with('=') => "is padded with `=`",
        Err(_) if text.contains(['+', '/']) => "is standard base64, not base64url",
        Err(_) => "is not base64url",
    };
    Err(("b64", why.to_owned()))
}

/// Whether the crate knows this name.
fn known<'de, T: Deserialize<'de>>(name: &'de str) -> bool {
    let reader: StrDeserializer<'de, Error> = name.into_deserializer();
    T::deserialize(reader).is_ok()
}
