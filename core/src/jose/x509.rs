//! The public key in a DER structure: a certificate (RFC 5280 §4.1), a SubjectPublicKeyInfo (RFC
//! 5280 §4.1.2.7) or a bare RSAPublicKey (RFC 8017 §A.1.1). A certificate gives no trust: its
//! issuer and subject are not checked.

use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_PKCS1_RSAENCRYPTION, OID_PKCS1_RSASSAPSS, OID_SIG_ED25519, Oid,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::alg::{Alg, Curve};
use super::jwk::Material;
use super::names::UnixTime;
use super::repair::without_leading_zeros;

/// A key read from DER.
pub(super) struct DerKey {
    pub(super) material: Material,
    /// The `alg` that the structure restricts the key to: id-RSASSA-PSS keys do not sign PKCS #1
    /// v1.5 (RFC 4055 §1.2).
    pub(super) alg: Option<Alg>,
}

/// A certificate read from DER.
pub(super) struct DerCertificate {
    pub(super) key: Option<DerKey>,
    pub(super) not_after: UnixTime,
    /// The names in DER, to find which certificate issued which.
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
}

impl DerCertificate {
    pub(super) fn has_expired(&self, now: UnixTime) -> bool {
        self.not_after < now
    }
}

pub(super) fn certificate(der: &[u8]) -> Option<DerCertificate> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    Some(DerCertificate {
        key: spki(cert.public_key()),
        not_after: UnixTime::from_secs(cert.validity().not_after.timestamp()),
        subject: cert.subject().as_raw().to_vec(),
        issuer: cert.issuer().as_raw().to_vec(),
    })
}

pub(super) fn public_key_info(der: &[u8]) -> Option<DerKey> {
    SubjectPublicKeyInfo::from_der(der).ok().and_then(|(_, info)| spki(&info))
}

pub(super) fn rsa_public_key(der: &[u8]) -> Option<DerKey> {
    let (_, key) = RSAPublicKey::from_der(der).ok()?;
    // DER writes a zero before a number whose first bit is set.
    let number = |bytes| without_leading_zeros(bytes).into();
    let material = Material::Rsa { n: number(key.modulus), e: number(key.exponent) };
    Some(DerKey { material, alg: None })
}

/// `secp256k1`, which is missing in the parser's registry: 1.3.132.0.10.
const SECP256K1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x0a];

fn spki(info: &SubjectPublicKeyInfo<'_>) -> Option<DerKey> {
    let algorithm = &info.algorithm.algorithm;
    let bits = info.subject_public_key.data.as_ref();
    if *algorithm == OID_PKCS1_RSAENCRYPTION {
        return rsa_public_key(bits);
    }
    if *algorithm == OID_PKCS1_RSASSAPSS {
        return rsa_public_key(bits).map(|key| DerKey { alg: Some(Alg::Ps256), ..key });
    }
    let material = if *algorithm == OID_SIG_ED25519 {
        Material::Okp { curve: Curve::Ed25519, x: bits.into() }
    } else if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = curve(&info.algorithm.parameters.as_ref()?.as_oid().ok()?)?;
        // Compressed points (RFC 5480 §2.2) are not used for tokens.
        let len = curve.coordinate_len();
        let point = bits.strip_prefix(&[4]).filter(|point| point.len() == 2 * len)?;
        let (x, y) = point.split_at(len);
        Material::Ec { curve, x: x.into(), y: y.into() }
    } else {
        return None;
    };
    Some(DerKey { material, alg: None })
}

fn curve(oid: &Oid<'_>) -> Option<Curve> {
    match oid {
        _ if *oid == OID_EC_P256 => Some(Curve::P256),
        _ if *oid == OID_NIST_EC_P384 => Some(Curve::P384),
        _ if *oid == OID_NIST_EC_P521 => Some(Curve::P521),
        _ if oid.as_bytes() == SECP256K1 => Some(Curve::Secp256k1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate_of(alg: &'static rcgen::SignatureAlgorithm) -> (Vec<u8>, Vec<u8>) {
        let key = rcgen::KeyPair::generate_for(alg).unwrap();
        let params = rcgen::CertificateParams::new(vec!["issuer.example".to_owned()]).unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        (der, rcgen::PublicKeyData::subject_public_key_info(&key))
    }

    #[test]
    fn a_certificate_and_its_key_info_hold_the_same_key() {
        for alg in [
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
            &rcgen::PKCS_ECDSA_P521_SHA512,
            &rcgen::PKCS_ED25519,
        ] {
            let (der, info) = certificate_of(alg);
            let read = certificate(&der).unwrap();
            assert_eq!(read.subject, read.issuer);
            assert!(!read.has_expired(UnixTime::from_secs(0)));
            assert!(read.has_expired(UnixTime::from_secs(i64::MAX)));
            assert_eq!(read.key.unwrap().material, public_key_info(&info).unwrap().material);
        }
    }

    #[test]
    fn every_truncation_is_refused_without_a_panic() {
        let (der, info) = certificate_of(&rcgen::PKCS_ECDSA_P256_SHA256);
        for end in 0..der.len() {
            assert!(certificate(&der[..end]).is_none());
        }
        for end in 0..info.len() {
            assert!(public_key_info(&info[..end]).is_none());
        }
    }
}
