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
    let text = |name: &str| key.get(name).and_then(Json::text);
    let is_alg = |alg: &str| {
        is_known::<SignatureAlgorithm>(alg)
            || is_known::<KeyManagementAlgorithm>(alg)
            || is_known::<ContentEncryptionAlgorithm>(alg)
    };
    let has_curve = matches!(text("kty"), Some("EC" | "OKP"));
    let unknown = [
        ("kty", "kty_unknown", text("kty").filter(|t| !["RSA", "EC", "oct", "OKP"].contains(t))),
        ("alg", "alg_unknown", text("alg").filter(|t| !is_alg(t))),
        ("crv", "crv_unknown", text("crv").filter(|t| has_curve && !is_known::<EllipticCurve>(t))),
    ];
    let mut causes = shape(key, place);
    for (name, code, value) in unknown {
        let Some(value) = value else { continue };
        let why = format!("`{name}` {value} is not known to it");
        causes.push(Cause::new(code, &format!("{place}.{name}"), why));
    }
    causes
}

/// The same by the RFCs alone: wrong types, duplicates and missing members.
pub fn shape(key: &Json, place: &str) -> Vec<Cause> {
    if !key.is_object() {
        return vec![Cause::new("entry", place, format!("{} in place of a key", key.kind()))];
    }
    let mut causes = Vec::new();
    let mut add = |code, name: &str, text: String| {
        causes.push(Cause::new(code, &format!("{place}.{name}"), text));
    };
    for name in key.duplicates() {
        add("duplicate_member", name, format!("`{name}` occurs twice"));
    }
    for name in TEXTS {
        if let Some(value) = key.present(name).filter(|value| value.text().is_none()) {
            let code = match name {
                "kid" => "kid_type",
                "alg" => "alg_type",
                _ => "member_type",
            };
            add(code, name, format!("`{name}` is {}, not a string", value.kind()));
        }
    }
    for name in LISTS {
        if let Some(value) = key.present(name).filter(|value| value.texts().is_none()) {
            add(
                "member_type",
                name,
                format!("`{name}` is {}, not a list of strings", value.kind()),
            );
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
    for name in needed.iter().filter(|name| key.get(name).is_none()) {
        let code = if *name == "kty" { "kty_missing" } else { "member_missing" };
        add(code, name, format!("`{name}` is missing"));
    }
    for name in NUMBERS {
        // Skip members that this type of key does not use, such as `k` of an RSA key.
        let is_used = needed.contains(&name) || !["n", "e", "x", "y", "k"].contains(&name);
        if let Some(Err((code, why))) = key.get(name).filter(|_| is_used).map(number) {
            add(code, name, format!("`{name}` {why}"));
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
fn is_known<'de, T: Deserialize<'de>>(name: &'de str) -> bool {
    let reader: StrDeserializer<'de, Error> = name.into_deserializer();
    T::deserialize(reader).is_ok()
}
