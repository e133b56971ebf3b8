//! The numbers of a JWK: from its members (RFC 7518 §6.2.1, §6.3.1, RFC 8037 §2) or, if those are
//! missing, from the certificate or PEM text beside them.

use super::alg::{Alg, Curve, Family};
use super::fault::{KeyFault, KeyMember};
use super::jwk::Material;
use super::pem;
use super::repair::{self, Bytes};
use super::report::excerpt;
use super::tree::{Json, Object};
use super::x509::{DerCertificate, DerKey};

/// The kind of a JWK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kty {
    Rsa,
    Ec,
    Okp,
    /// It has no `kty`, but a certificate or PEM text that shows the kind.
    OfCertificate,
}

/// The numbers, and their source.
pub(super) struct Numbers {
    pub(super) material: Material,
    /// The `alg` that the certificate restricts the key to.
    pub(super) alg: Option<Alg>,
    /// They are those of the certificate or PEM text, not of the JWK's own members.
    pub(super) from_certificate: bool,
    pub(super) repairs: Repairs,
}

pub(super) fn read(object: &Object, kty: Kty) -> Result<Numbers, KeyFault> {
    let absent = |names: &[&str]| names.iter().any(|name| object.present(name).is_none());
    let incomplete = match kty {
        Kty::Rsa => absent(&["n", "e"]),
        Kty::Ec => absent(&["x"]) && absent(&["y"]),
        Kty::Okp => absent(&["x"]),
        Kty::OfCertificate => true,
    };
    if incomplete && let Some((member, key)) = certified(object) {
        return of_certificate(member, key, kty);
    }
    let mut repairs = Vec::new();
    let material = match kty {
        Kty::Rsa => rsa(object, &mut repairs)?,
        Kty::Ec => ec(object, &mut repairs)?,
        Kty::Okp => okp(object, &mut repairs)?,
        Kty::OfCertificate => return Err(KeyFault::KtyMissing),
    };
    // The certificate of the same key may restrict it to an algorithm (RFC 4055 §1.2).
    let certified = x5c(object).and_then(pem::x5c_key).filter(|key| key.material == material);
    let alg = certified.and_then(|key| key.alg);
    Ok(Numbers { material, alg, from_certificate: false, repairs })
}

/// Whether a JWK without `kty` may still show its kind.
pub(super) fn is_certified(object: &Object) -> bool {
    let bare = ["n", "e", "x", "y"].iter().all(|name| object.present(name).is_none());
    bare && certified(object).is_some()
}

/// The leaf of `x5c` (RFC 7517 §4.7), which must be the first.
pub(super) fn leaf(object: &Object) -> Option<DerCertificate> {
    x5c(object).and_then(pem::x5c_certificate)
}

fn x5c(object: &Object) -> Option<&str> {
    match object.get("x5c")? {
        Json::Array(items) => items.first()?.text(),
        value => value.text(),
    }
}

/// The key of `x5c`, or of the PEM text some servers put into `value`.
fn certified(object: &Object) -> Option<(&'static str, DerKey)> {
    if let Some(key) = x5c(object).and_then(pem::x5c_key) {
        return Some(("x5c", key));
    }
    Some(("value", pem::first_key(object.text("value")?)?))
}

fn of_certificate(member: &'static str, key: DerKey, kty: Kty) -> Result<Numbers, KeyFault> {
    let (own, shown) = match &key.material {
        Material::Rsa { .. } => (Kty::Rsa, "n, e"),
        Material::Ec { .. } => (Kty::Ec, "crv, x, y"),
        Material::Okp { .. } => (Kty::Okp, "crv, x"),
    };
    if kty != own && kty != Kty::OfCertificate {
        return Err(KeyFault::X5cMismatch);
    }
    let code = if member == "x5c" { "from_x5c" } else { "from_pem" };
    let repairs = vec![(member, code, member.to_owned(), shown.to_owned())];
    let DerKey { material, alg } = key;
    Ok(Numbers { material, alg, from_certificate: true, repairs })
}

/// Member, code, before, after.
type Repairs = Vec<(&'static str, &'static str, String, String)>;

fn text(object: &Object, member: KeyMember) -> Result<&str, KeyFault> {
    match object.present(member.name()) {
        None => Err(KeyFault::MemberMissing(member)),
        Some(Json::String(text)) => Ok(text),
        Some(_) => Err(KeyFault::MemberType(member)),
    }
}

/// A number in base64url, after `repair`.
fn number(
    object: &Object,
    member: KeyMember,
    repairs: &mut Repairs,
    repair: impl Fn(Bytes) -> Result<Bytes, KeyFault>,
) -> Result<Box<[u8]>, KeyFault> {
    let before = text(object, member)?;
    let read = repair::base64(before).ok_or(KeyFault::Base64(member))?;
    Ok(record(member, before, repair(read)?, repairs))
}

fn record(member: KeyMember, before: &str, read: Bytes, repairs: &mut Repairs) -> Box<[u8]> {
    if !read.codes.is_empty() {
        let after = excerpt(&super::base64url::encode(&read.bytes));
        for code in read.codes {
            repairs.push((member.name(), code, excerpt(before), after.clone()));
        }
    }
    read.bytes.into()
}

fn rsa(object: &Object, repairs: &mut Repairs) -> Result<Material, KeyFault> {
    if object.text("n").is_some_and(repair::is_hex) {
        return Err(KeyFault::ModulusHex);
    }
    let n = number(object, KeyMember::N, repairs, |read| Ok(repair::minimal(read)))?;
    let e = match object.present("e") {
        Some(Json::Number(digits)) => {
            record(KeyMember::E, digits, repair::integer(digits)?, repairs)
        }
        // Decimal text also decodes as base64url, to a different number.
        Some(Json::String(text))
            if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            return Err(KeyFault::ExponentRange);
        }
        _ => number(object, KeyMember::E, repairs, |read| Ok(repair::minimal(read)))?,
    };
    Ok(Material::Rsa { n, e })
}

/// A `crv` with an algorithm in this family of keys.
fn curve(
    object: &Object,
    family: impl Fn(Curve) -> Family,
    repairs: &mut Repairs,
) -> Result<Curve, KeyFault> {
    let text = match object.present("crv") {
        None => return Err(KeyFault::MemberMissing(KeyMember::Crv)),
        Some(Json::String(text)) => text,
        Some(_) => return Err(KeyFault::Curve),
    };
    let (curve, registered) = repair::curve(text).ok_or(KeyFault::Curve)?;
    family(curve).default_alg().ok_or(KeyFault::Curve)?;
    if !registered {
        repairs.push(("crv", "crv_alias", excerpt(text), curve.name().to_owned()));
    }
    Ok(curve)
}

fn ec(object: &Object, repairs: &mut Repairs) -> Result<Material, KeyFault> {
    let curve = curve(object, Family::Ec, repairs)?;
    let mut coordinate =
        |member| number(object, member, repairs, |read| repair::full_length(read, curve));
    Ok(Material::Ec { curve, x: coordinate(KeyMember::X)?, y: coordinate(KeyMember::Y)? })
}

fn okp(object: &Object, repairs: &mut Repairs) -> Result<Material, KeyFault> {
    if matches!(object.text("crv"), Some("X25519" | "X448")) {
        return Err(KeyFault::NotSignature);
    }
    let curve = curve(object, Family::Okp, repairs)?;
    let x = number(object, KeyMember::X, repairs, Ok)?;
    Ok(Material::Okp { curve, x })
}
