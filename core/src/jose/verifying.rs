//! A key that checks signatures: a JWK or a configured secret, converted once when it is read.
//!
//! `jsonwebtoken` only checks signatures over given bytes. [`super::jws`] and [`super::verify`]
//! check forms, headers, claims and times. Its provider is named here and not looked up in the
//! process, where another crate could have installed a different one.

use aws_lc_rs::signature::{
    ED25519, EcdsaVerificationAlgorithm, ParsedPublicKey, UnparsedPublicKey,
};
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, DecodingKey};

use super::alg::{Alg, Check, Curve, Family};

/// See the module. Clones share the content.
#[derive(Clone)]
pub(super) enum VerifyingKey {
    Jsonwebtoken(DecodingKey),
    AwsLc(ParsedPublicKey),
}

impl VerifyingKey {
    /// Integers as in a JWK, big-endian and minimal.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Self {
        Self::Jsonwebtoken(DecodingKey::from_rsa_raw_components(n, e))
    }

    /// `None` if the point is not on the curve.
    pub(super) fn ec(curve: Curve, x: &[u8], y: &[u8]) -> Option<Self> {
        let row = Family::Ec(curve).default_alg()?.row();
        let point = uncompressed(x, y);
        match &row.check {
            Check::AwsLc(fixed) => ParsedPublicKey::new(*fixed, point).ok().map(Self::AwsLc),
            Check::Jsonwebtoken(_) => {
                // `jsonwebtoken` notices it only at the first verification.
                ParsedPublicKey::new(row.der?, &point).ok()?;
                Some(Self::Jsonwebtoken(DecodingKey::from_ec_der(&point)))
            }
        }
    }

    /// `None` if the bytes are not a key.
    pub(super) fn ed25519(x: &[u8]) -> Option<Self> {
        ParsedPublicKey::new(&ED25519, x).ok()?;
        Some(Self::Jsonwebtoken(DecodingKey::from_ed_der(x)))
    }

    /// `None` for an empty secret.
    pub(super) fn secret(bytes: &[u8]) -> Option<Self> {
        DecodingKey::from_secret(bytes).ok().map(Self::Jsonwebtoken)
    }

    /// Whether this key made `signature`, in the form of JOSE, over `message`. The caller checks
    /// that the key permits `alg`; a key of another family returns false anyway.
    pub(super) fn verifies(&self, alg: Alg, message: &[u8], signature: &[u8]) -> bool {
        match (&alg.row().check, self) {
            (Check::Jsonwebtoken(name), Self::Jsonwebtoken(key)) => {
                verified(*name, key, message, signature)
            }
            (Check::AwsLc(_), Self::AwsLc(key)) => key.verify_sig(message, signature).is_ok(),
            _ => false,
        }
    }
}

/// Whether `jsonwebtoken` accepts the signature.
pub(super) fn verified(
    alg: Algorithm,
    key: &DecodingKey,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let verifier = (DEFAULT_PROVIDER.verifier_factory)(&alg, key);
    verifier.is_ok_and(|verifier| verifier.verify(message, &signature.to_vec()).is_ok())
}

/// The same for an ECDSA signature in DER, which `jsonwebtoken` does not read.
pub(super) fn verifies_der(
    der: &'static EcdsaVerificationAlgorithm,
    (x, y): (&[u8], &[u8]),
    message: &[u8],
    signature: &[u8],
) -> bool {
    UnparsedPublicKey::new(der, uncompressed(x, y)).verify(message, signature).is_ok()
}

/// SEC 1 §2.3.3.
fn uncompressed(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}
