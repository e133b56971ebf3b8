//! The repairs: what can be read in only one way is read. Each is one function or table row, named
//! after the code it reports. What can be read in several ways is a fault.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::alg::{Alg, Curve};
use super::fault::{KeyFault, Member};

/// Accepts non-zero trailing bits as every lenient reader does, and reports them.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Bytes of a member, and the code of each needed repair.
pub(super) struct Bytes {
    pub(super) bytes: Vec<u8>,
    pub(super) codes: Vec<&'static str>,
}

/// base64url, RFC 7515 §2, after: line breaks, `=` padding, the standard alphabet, stray bits.
pub(super) fn base64(text: &str, member: Member) -> Result<Bytes, KeyFault> {
    let mut codes = Vec::new();
    let mut text = Cow::Borrowed(text);
    if text.contains([' ', '\t', '\r', '\n']) {
        text = Cow::Owned(text.replace([' ', '\t', '\r', '\n'], ""));
        codes.push("b64_whitespace");
    }
    let bare = text.trim_end_matches('=');
    let padding = text.len() - bare.len();
    if padding > 0 {
        // `AQAB==` has two `=` too many and still has one meaning; a text of only `=` has none.
        if bare.is_empty() {
            return Err(KeyFault::Base64(member));
        }
        text = Cow::Owned(bare.to_owned());
        codes.push("b64_padding");
    }
    let standard = text.contains(['+', '/']);
    if standard {
        // Both alphabets in one text: somebody converted half of it.
        if text.contains(['-', '_']) {
            return Err(KeyFault::Base64(member));
        }
        text = Cow::Owned(text.replace('+', "-").replace('/', "_"));
        codes.push("b64_standard");
    }
    let bytes = LENIENT.decode(text.as_bytes()).map_err(|_| KeyFault::Base64(member))?;
    if super::base64url::decode(text.as_bytes()).is_err() {
        codes.push("b64_bits");
    }
    Ok(Bytes { bytes, codes })
}

/// A number as RFC 7518 §2 `Base64urlUInt` requires: no leading zero bytes.
pub(super) fn minimal(mut read: Bytes) -> Bytes {
    let zeros = read.bytes.iter().take_while(|byte| **byte == 0).count();
    if zeros > 0 {
        read.bytes.drain(..zeros);
        read.codes.push("leading_zero");
    }
    read
}

/// A coordinate as RFC 7518 §6.2.1.2 requires: as long as the curve, with leading zeros.
pub(super) fn full_length(mut read: Bytes, curve: Curve) -> Result<Bytes, KeyFault> {
    let want = curve.coordinate_len();
    let have = read.bytes.len();
    if have == 0 {
        return Err(KeyFault::EcLength);
    }
    if have < want {
        read.bytes.splice(..0, std::iter::repeat_n(0, want - have));
        read.codes.push("ec_short");
    } else if have > want {
        let (extra, _) = read.bytes.split_at(have - want);
        if extra.iter().any(|byte| *byte != 0) {
            return Err(KeyFault::EcLength);
        }
        read.bytes.drain(..have - want);
        read.codes.push("ec_long");
    }
    Ok(read)
}

/// Hexadecimal text also decodes as base64url, to a different number. A modulus is written so by
/// chance once in 4^-256.
pub(super) fn is_hex(text: &str) -> bool {
    text.len() >= 256
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte.is_ascii_digit())
}

/// `e: 65537`, a JSON number where RFC 7518 §6.3.1.2 requires text.
pub(super) fn integer(text: &str) -> Result<Bytes, KeyFault> {
    let value: u64 = text.parse().map_err(|_| KeyFault::ExponentRange)?;
    let bytes = value.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Ok(Bytes { bytes: bytes[zeros..].to_vec(), codes: vec!["e_integer"] })
}

/// The meaning of an `alg` text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AlgText {
    /// The registered name.
    Known(Alg),
    /// Another spelling of it.
    Alias(Alg),
    /// It names only the kind of key.
    Family,
    /// A key for another use than signatures.
    NotSignature,
    /// HMAC under another name.
    Secret,
    Unknown,
}

/// Other spellings, in lower case: of Java (`SHA256withRSA`), of XML signatures (RFC 6931 §2.3), of
/// the X.509 names (RFC 4055 §5), of RFC 9864 §2, and mistakes.
#[rustfmt::skip]
const ALIASES: &[(&str, Alg)] = &[
    ("rsa256", Alg::Rs256), ("rsa384", Alg::Rs384), ("rsa512", Alg::Rs512),
    ("rsa-sha256", Alg::Rs256), ("rsa-sha384", Alg::Rs384), ("rsa-sha512", Alg::Rs512),
    ("rsa_sha256", Alg::Rs256), ("rsa_sha384", Alg::Rs384), ("rsa_sha512", Alg::Rs512),
    ("sha256withrsa", Alg::Rs256), ("sha384withrsa", Alg::Rs384), ("sha512withrsa", Alg::Rs512),
    ("sha256withrsaencryption", Alg::Rs256), ("sha384withrsaencryption", Alg::Rs384),
    ("sha512withrsaencryption", Alg::Rs512),
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", Alg::Rs256),
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", Alg::Rs384),
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", Alg::Rs512),
    ("sha256withecdsa", Alg::Es256), ("sha384withecdsa", Alg::Es384), ("sha512withecdsa", Alg::Es512),
    ("ecdsa-sha256", Alg::Es256), ("ecdsa-sha384", Alg::Es384), ("ecdsa-sha512", Alg::Es512),
    ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", Alg::Es256),
    ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384", Alg::Es384),
    ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512", Alg::Es512),
    ("esp256", Alg::Es256), ("esp384", Alg::Es384), ("esp512", Alg::Es512),
    ("es521", Alg::Es512),
    ("ed25519", Alg::EdDsa),
];

/// Reads an `alg`, RFC 7517 §4.4.
pub(super) fn alg(text: &str) -> AlgText {
    if let Some(alg) = Alg::from_name(text) {
        // The fully specified name is correct (RFC 9864 §2.2), but few readers know it.
        return if alg.name() == text { AlgText::Known(alg) } else { AlgText::Alias(alg) };
    }
    let lower = text.to_ascii_lowercase();
    if let Some(alg) = Alg::all().find(|alg| alg.name().eq_ignore_ascii_case(&lower)) {
        return AlgText::Alias(alg);
    }
    if let Some((_, alg)) = ALIASES.iter().find(|(alias, _)| *alias == lower) {
        return AlgText::Alias(*alg);
    }
    match lower.as_str() {
        "rsa" | "ec" | "ecdsa" | "okp" | "rsassa-pkcs1-v1_5" => AlgText::Family,
        "hmacsha256" | "hmacsha384" | "hmacsha512" => AlgText::Secret,
        "dir" | "rsa1_5" | "rsaes" => AlgText::NotSignature,
        _ if ["rsa-oaep", "ecdh", "a128", "a192", "a256", "pbes2"]
            .iter()
            .any(|prefix| lower.starts_with(prefix)) =>
        {
            AlgText::NotSignature
        }
        _ => AlgText::Unknown,
    }
}

/// The meaning of a `use` for signatures, RFC 7517 §4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UseText {
    Sig,
    /// Another spelling of `sig`.
    Alias,
    Other,
    /// A root that signs certificates, never tokens: the key is left out.
    Root,
    Unknown,
}

pub(super) fn key_use(text: &str) -> UseText {
    match text {
        "sig" => UseText::Sig,
        "enc" => UseText::Other,
        _ => match text.to_ascii_lowercase().as_str() {
            // SPIFFE bundles, §4.2.2 of the SPIFFE Trust Domain and Bundle specification.
            "jwt-svid" => UseText::Alias,
            "x509-svid" | "wit-svid" => UseText::Root,
            "sig" | "sign" | "signature" | "signing" | "verify" => UseText::Alias,
            "enc" | "encrypt" | "encryption" => UseText::Other,
            _ => UseText::Unknown,
        },
    }
}

/// Reads a `crv`: the curve, and whether it is the registered name (RFC 7518 §7.6). `P-256K`, which
/// some write for `secp256k1`, was also used for other curves.
pub(super) fn curve(text: &str) -> Option<(Curve, bool)> {
    let all = [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1, Curve::Ed25519];
    if let Some(curve) = all.into_iter().find(|curve| curve.name() == text) {
        return Some((curve, true));
    }
    let curve = match text.to_ascii_lowercase().as_str() {
        "p-256" | "p256" | "secp256r1" | "prime256v1" | "nistp256" => Curve::P256,
        "p-384" | "p384" | "secp384r1" | "nistp384" => Curve::P384,
        "p-521" | "p521" | "secp521r1" | "nistp521" => Curve::P521,
        "ed25519" => Curve::Ed25519,
        _ => return None,
    };
    Some((curve, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Vec<u8>, Vec<&'static str>), &'static str> {
        base64(text, Member::N).map(|read| (read.bytes, read.codes)).map_err(|fault| fault.code())
    }

    #[test]
    fn one_reading_is_read() {
        let bytes = vec![0xfb, 0xff, 0xbf];
        assert_eq!(read("-_-_"), Ok((bytes.clone(), vec![])));
        assert_eq!(read("+/+/"), Ok((bytes.clone(), vec!["b64_standard"])));
        assert_eq!(read("-_\r\n-_ "), Ok((bytes.clone(), vec!["b64_whitespace"])));
        assert_eq!(read("-_-_==="), Ok((bytes.clone(), vec!["b64_padding"])));
        assert_eq!(
            read(" +/+/\n=="),
            Ok((bytes, vec!["b64_whitespace", "b64_padding", "b64_standard"]))
        );
        assert_eq!(read("AR"), Ok((vec![1], vec!["b64_bits"])));
    }

    #[test]
    fn several_readings_are_a_fault() {
        for bad in ["+/-_", "AQ,,", "A", "AQ=AB", "=", "==", "AQAB%3D", "äöüß"] {
            assert_eq!(read(bad), Err("b64"), "{bad}");
        }
    }

    #[test]
    fn names_of_algorithms() {
        assert_eq!(alg("RS256"), AlgText::Known(Alg::Rs256));
        for alias in ["rs256", "RSA256", "SHA256withRSA", "SHA256WithRSAEncryption"] {
            assert_eq!(alg(alias), AlgText::Alias(Alg::Rs256), "{alias}");
        }
        assert_eq!(alg("Ed25519"), AlgText::Alias(Alg::EdDsa));
        assert_eq!(alg("ESP384"), AlgText::Alias(Alg::Es384));
        assert_eq!(alg("RSA"), AlgText::Family);
        assert_eq!(alg("RSA-OAEP-512"), AlgText::NotSignature);
        assert_eq!(alg("ECDH-ES+A128KW"), AlgText::NotSignature);
        for unknown in ["none", "NONE", "RS1", "Ed448", "RS256 ", "ML-DSA-65"] {
            assert_eq!(alg(unknown), AlgText::Unknown, "{unknown}");
        }
    }

    #[test]
    fn no_alias_is_shadowed_by_a_registered_name() {
        for (alias, _) in ALIASES {
            let registered = Alg::all().any(|alg| alg.name().eq_ignore_ascii_case(alias));
            assert!(!registered, "{alias}");
            assert_eq!(*alias, alias.to_ascii_lowercase());
        }
    }

    #[test]
    fn coordinates_have_the_length_of_the_curve() {
        let of = |len: usize, first: u8| {
            let mut bytes = vec![7; len];
            bytes[0] = first;
            full_length(Bytes { bytes, codes: vec![] }, Curve::P256)
                .map(|read| (read.bytes.len(), read.codes))
                .map_err(|fault| fault.code())
        };
        assert_eq!(of(32, 7), Ok((32, vec![])));
        assert_eq!(of(31, 7), Ok((32, vec!["ec_short"])));
        assert_eq!(of(33, 0), Ok((32, vec!["ec_long"])));
        assert_eq!(of(33, 7), Err("ec_length"));
        assert_eq!(of(65, 4), Err("ec_length"));
    }
}
