//! A public signature key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2). Private members cannot be
//! represented here, so they cannot be published. A value of [`PublicJwk`] has been checked: sizes,
//! exponent, ROCA, the point on its curve, and that a stated `alg` fits the key.

use super::alg::{Alg, Curve, Family};
use super::base64url;
use super::fault::KeyFault;
use super::json;
use super::names::Kid;
use super::roca;
use super::thumbprint::Thumbprint;
use super::verifying::{self, VerifyingKey};

/// RFC 7518 §3.3: "A key of size 2048 bits or larger MUST be used".
const RSA_MIN_BITS: usize = 2048;
/// The maximum that aws-lc, ring and biscuit verify; a larger key only costs time.
const RSA_MAX_BITS: usize = 8192;

/// The numbers of a key. Integers are big-endian: minimal for RSA, full length for coordinates.
#[expect(missing_docs, reason = "the members of RFC 7518 §6 and RFC 8037 §2")]
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Material {
    Rsa { n: Box<[u8]>, e: Box<[u8]> },
    Ec { curve: Curve, x: Box<[u8]>, y: Box<[u8]> },
    Okp { curve: Curve, x: Box<[u8]> },
}

impl Material {
    /// The kind of key, which decides its algorithms.
    pub fn family(&self) -> Family {
        match self {
            Self::Rsa { .. } => Family::Rsa,
            Self::Ec { curve, .. } => Family::Ec(*curve),
            Self::Okp { curve, .. } => Family::Okp(*curve),
        }
    }

    /// The members that a JWK of this key must have, in their published order.
    pub(super) fn members(&self) -> Vec<(&'static str, String)> {
        let text = str::to_owned;
        let number = |bytes: &[u8]| base64url::encode(bytes);
        match self {
            Self::Rsa { n, e } => vec![("kty", text("RSA")), ("n", number(n)), ("e", number(e))],
            Self::Ec { curve, x, y } => vec![
                ("kty", text("EC")),
                ("crv", text(curve.name())),
                ("x", number(x)),
                ("y", number(y)),
            ],
            Self::Okp { curve, x } => {
                vec![("kty", text("OKP")), ("crv", text(curve.name())), ("x", number(x))]
            }
        }
    }
}

/// Accepted encodings of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SignatureForm {
    /// RFC 7518 §3.4: `r || s`.
    #[default]
    Jose,
    /// Also ASN.1 DER for ECDSA, which some issuers send; per-issuer flag.
    JoseOrDer,
}

/// A checked public signature key.
#[derive(Clone)]
pub struct PublicJwk {
    material: Material,
    kid: Option<Kid>,
    alg: Option<Alg>,
    thumbprint: Thumbprint,
    /// The issuers of the key, or templates of them, if the entry names any.
    issuers: Vec<Box<str>>,
    verifying: VerifyingKey,
}

impl PublicJwk {
    /// # Errors
    /// [`KeyFault`] naming the check the key fails.
    pub fn new(material: Material, kid: Option<Kid>, alg: Option<Alg>) -> Result<Self, KeyFault> {
        let verifying = check_material(&material)?;
        // RFC 8725 §3.1 and §3.2: one key, one algorithm, of its own family and curve.
        match (material.family(), alg.map(Alg::family)) {
            (_, None) => {}
            (own, Some(stated)) if own == stated => {}
            (Family::Ec(_), Some(Family::Ec(_))) => return Err(KeyFault::AlgCurve),
            _ => return Err(KeyFault::AlgFamily),
        }
        let thumbprint = Thumbprint::of(&material);
        Ok(Self { material, kid, alg, thumbprint, issuers: Vec::new(), verifying })
    }

    /// Adds these issuers to the key's own.
    #[must_use]
    pub fn of_issuers(mut self, issuers: impl IntoIterator<Item = Box<str>>) -> Self {
        for issuer in issuers {
            if !self.issuers.contains(&issuer) {
                self.issuers.push(issuer);
            }
        }
        self
    }

    /// The `issuer` members of the entry, which no RFC has but servers of many tenants write.
    pub fn issuers(&self) -> &[Box<str>] {
        &self.issuers
    }

    /// The numbers of the key.
    pub fn material(&self) -> &Material {
        &self.material
    }

    /// The issuer's `kid`, if it is usable.
    pub fn kid(&self) -> Option<&Kid> {
        self.kid.as_ref()
    }

    /// The `alg` the issuer stated.
    pub fn alg(&self) -> Option<Alg> {
        self.alg
    }

    /// The stated `alg`, else the default of the key's family; what is published.
    pub fn published_alg(&self) -> Option<Alg> {
        self.alg_or_default(Alg::Rs256)
    }

    /// The same with another default for RSA.
    pub(super) fn alg_or_default(&self, rsa: Alg) -> Option<Alg> {
        self.alg.or_else(|| match self.family() {
            Family::Rsa => Some(rsa),
            family => family.default_alg(),
        })
    }

    /// RFC 7638, SHA-256.
    pub fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// The kind of key, which decides its algorithms.
    pub fn family(&self) -> Family {
        self.material.family()
    }

    /// Whether a signature of `alg` may be checked with this key: same family, and the stated `alg`
    /// where there is one (RFC 7517 §4.4, RFC 8725 §3.1).
    pub fn permits(&self, alg: Alg) -> bool {
        self.family() == alg.family() && self.alg.is_none_or(|own| own == alg)
    }

    /// Checks one signature. False for an algorithm the key does not permit.
    pub fn verifies(&self, alg: Alg, form: SignatureForm, message: &[u8], sig: &[u8]) -> bool {
        if !self.permits(alg) {
            return false;
        }
        if let Some(len) = alg.row().signature_len
            && sig.len() != len
        {
            return match (form, alg.row().der, &self.material) {
                (SignatureForm::JoseOrDer, Some(der), Material::Ec { x, y, .. }) => {
                    verifying::verifies_der(der, (x, y), message, sig)
                }
                _ => false,
            };
        }
        self.verifying.verifies(alg, message, sig)
    }

    /// The JWK in its published form: members in a fixed order, nothing else.
    pub fn to_json(&self, kid: &Kid, alg: Option<Alg>) -> String {
        self.json_with(Some(kid.as_str()), alg, &[])
    }

    /// The same for storage: omits what the issuer omitted, and names the key's issuers.
    pub(super) fn to_stored_json(&self, kid: Option<&str>) -> String {
        self.json_with(kid, self.alg, &self.issuers)
    }

    fn json_with(&self, kid: Option<&str>, alg: Option<Alg>, issuers: &[Box<str>]) -> String {
        let mut texts = self.material.members();
        texts.extend(kid.map(|kid| ("kid", kid.to_owned())));
        texts.extend(alg.map(|alg| ("alg", alg.name().to_owned())));
        texts.push(("use", "sig".to_owned()));
        let member = |(name, text): &(_, String)| format!(r#""{name}":{}"#, json::quote(text));
        let mut members: Vec<String> = texts.iter().map(member).collect();
        if !issuers.is_empty() {
            members.push(format!(r#""issuer":{}"#, serde_json::json!(issuers)));
        }
        format!("{{{}}}", members.join(","))
    }
}

impl PartialEq for PublicJwk {
    fn eq(&self, other: &Self) -> bool {
        self.material == other.material
            && self.kid == other.kid
            && self.alg == other.alg
            && self.issuers == other.issuers
    }
}

impl Eq for PublicJwk {}

impl std::fmt::Debug for PublicJwk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublicJwk")
            .field("family", &self.family())
            .field("kid", &self.kid)
            .field("alg", &self.alg)
            .field("thumbprint", &self.thumbprint)
            .finish()
    }
}

/// The key for verification, after the checks. Everything that an RSA key needs can be checked from
/// its numbers.
fn check_material(material: &Material) -> Result<VerifyingKey, KeyFault> {
    match material {
        Material::Rsa { n, e } => {
            check_rsa(n, e)?;
            Ok(VerifyingKey::rsa(n, e))
        }
        Material::Ec { curve, x, y } => {
            if x.len() != curve.coordinate_len() || y.len() != curve.coordinate_len() {
                return Err(KeyFault::EcLength);
            }
            Family::Ec(*curve).default_alg().ok_or(KeyFault::AlgFamily)?;
            VerifyingKey::ec(*curve, x, y).ok_or(KeyFault::EcPoint)
        }
        Material::Okp { curve, x } => {
            if x.len() != 32 {
                return Err(KeyFault::OkpLength);
            }
            if is_small_order(x) {
                return Err(KeyFault::OkpPoint);
            }
            Family::Okp(*curve).default_alg().ok_or(KeyFault::AlgFamily)?;
            VerifyingKey::ed25519(x).ok_or(KeyFault::OkpPoint)
        }
    }
}

/// The points of order 1, 2, 4 and 8, with every spelling of their y (the sign of x is the top
/// bit). Anybody can sign for such a key (RFC 8032 §8.8 and libsodium's list). A key of zero bytes,
/// which a faulty issuer may publish, is one of them.
fn is_small_order(x: &[u8]) -> bool {
    #[rustfmt::skip]
    const ORDER_8: [[u8; 32]; 2] = [
        [0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
         0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05],
        [0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
         0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a],
    ];
    let Some((last, rest)) = x.split_last() else { return true };
    let top = last & 0x7f;
    let Some((first, middle)) = rest.split_first() else { return true };
    let zero = top == 0 && middle.iter().all(|byte| *byte == 0) && *first <= 1;
    // p - 1, p, p + 1
    let near_p =
        top == 0x7f && middle.iter().all(|byte| *byte == 0xff) && (0xec..=0xee).contains(first);
    zero || near_p || ORDER_8.iter().any(|point| rest == &point[..31] && top == point[31])
}

fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), KeyFault> {
    let is_minimal = |number: &[u8]| number.first().is_some_and(|first| *first != 0);
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    if ![n, e].into_iter().all(|number| is_minimal(number) && is_odd(number)) || e == [1] {
        return Err(KeyFault::RsaInvalid);
    }
    // aws-lc and Go refuse larger ones: a huge exponent makes every check slow.
    if e.len() > 4 {
        return Err(KeyFault::ExponentRange);
    }
    let bits = n.len() * 8 - n[0].leading_zeros() as usize;
    if bits < RSA_MIN_BITS {
        return Err(KeyFault::RsaSmall { bits });
    }
    if bits > RSA_MAX_BITS {
        return Err(KeyFault::RsaLarge { bits });
    }
    if roca::is_vulnerable(n) {
        return Err(KeyFault::Roca);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the identity as the key, `R = S·B` satisfies the equation for every message, so anybody
    /// could sign for the issuer.
    #[test]
    fn an_ed25519_key_of_small_order_is_refused() {
        let with = |first: u8, middle: u8, last: u8| {
            let mut x = [middle; 32];
            (x[0], x[31]) = (first, last);
            let material = Material::Okp { curve: Curve::Ed25519, x: x.into() };
            PublicJwk::new(material, None, None).map(drop)
        };
        for (first, middle, last) in [(0, 0, 0), (1, 0, 0), (0, 0, 0x80), (1, 0, 0x80)]
            .into_iter()
            .chain([0xec, 0xed, 0xee].into_iter().flat_map(|y| [(y, 0xff, 0x7f), (y, 0xff, 0xff)]))
        {
            assert_eq!(with(first, middle, last), Err(KeyFault::OkpPoint));
        }
        // y = 3, of large order.
        assert_eq!(with(3, 0, 0), Ok(()));
    }
}
