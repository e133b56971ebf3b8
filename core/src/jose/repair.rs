//! The repairs: what can be read in only one way is read. Each is one function or table row, named
//! after the code it reports. What can be read in several ways is a fault.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::alg::{Alg, Curve};
use super::fault::KeyFault;

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

/// base64url, RFC 7515 §2, after: line breaks, `=` padding, the standard alphabet, stray bits. None
/// if the text has several readings, or no reading.
pub(super) fn base64(text: &str) -> Option<Bytes> {
    let mut codes = Vec::new();
    let mut text = text.to_owned();
    if text.contains([' ', '\t', '\r', '\n']) {
        text = text.replace([' ', '\t', '\r', '\n'], "");
        codes.push("b64_whitespace");
    }
    let unpadded = text.trim_end_matches('=').len();
    if unpadded < text.len() {
        // `AQAB==` has two `=` too many and still has one meaning; a text of only `=` has none.
        if unpadded == 0 {
            return None;
        }
        text.truncate(unpadded);
        codes.push("b64_padding");
    }
    if text.contains(['+', '/']) {
        // Both alphabets in one text: somebody converted half of it.
        if text.contains(['-', '_']) {
            return None;
        }
        text = text.replace('+', "-").replace('/', "_");
        codes.push("b64_standard");
    }
    let bytes = LENIENT.decode(&text).ok()?;
    if super::base64url::decode(&text).is_err() {
        codes.push("b64_bits");
    }
    Some(Bytes { bytes, codes })
}

/// A big-endian number without leading zero bytes.
pub(super) fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

/// A number as RFC 7518 §2 `Base64urlUInt` requires: no leading zero bytes.
pub(super) fn minimal(mut read: Bytes) -> Bytes {
    let bytes = without_leading_zeros(&read.bytes);
    if bytes.len() < read.bytes.len() {
        read.bytes = bytes.to_vec();
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
        if read.bytes.drain(..have - want).any(|byte| byte != 0) {
            return Err(KeyFault::EcLength);
        }
        read.codes.push("ec_long");
    }
    Ok(read)
}

/// Hexadecimal text also decodes as base64url, to a different number. A modulus looks so by
/// chance with a probability of 4^-256.
pub(super) fn is_hex(text: &str) -> bool {
    text.len() >= 256
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte.is_ascii_digit())
}

/// `e: 65537`, a JSON number where RFC 7518 §6.3.1.2 requires text.
pub(super) fn integer(text: &str) -> Result<Bytes, KeyFault> {
    let value: u64 = text.parse().map_err(|_| KeyFault::ExponentRange)?;
    let bytes = without_leading_zeros(&value.to_be_bytes()).to_vec();
    Ok(Bytes { bytes, codes: vec!["e_integer"] })
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
    ("hmacsha256", Alg::Hs256), ("hmacsha384", Alg::Hs384), ("hmacsha512", Alg::Hs512),
];

/// The algorithm that an `alg` text means (RFC 7517 §4.4), in any spelling; none if the text only
/// names the kind of key.
///
/// # Errors
/// `NotSignature` and `AlgUnknown`.
pub(super) fn alg(text: &str) -> Result<Option<Alg>, KeyFault> {
    let lower = text.to_ascii_lowercase();
    let in_other_case = || Alg::all().find(|alg| alg.name().eq_ignore_ascii_case(text));
    let alias = || ALIASES.iter().find(|(alias, _)| *alias == lower).map(|(_, alg)| *alg);
    let named = Alg::from_name(text).or_else(in_other_case).or_else(alias);
    if named.is_some() {
        return Ok(named);
    }
    let has_prefix = |prefixes: &[&str]| prefixes.iter().any(|prefix| lower.starts_with(prefix));
    match lower.as_str() {
        "rsa" | "ec" | "ecdsa" | "okp" | "rsassa-pkcs1-v1_5" => Ok(None),
        "dir" | "rsa1_5" | "rsaes" => Err(KeyFault::NotSignature),
        _ if has_prefix(&["rsa-oaep", "ecdh", "a128", "a192", "a256", "pbes2"]) => {
            Err(KeyFault::NotSignature)
        }
        _ => Err(KeyFault::AlgUnknown),
    }
}

/// The meaning of a `use`, RFC 7517 §4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyUse {
    /// Signatures, in any spelling.
    Signature,
    /// Another use that is known.
    Other,
    /// A root that signs certificates, never tokens: the key is left out.
    Root,
    Unknown,
}

pub(super) fn key_use(text: &str) -> KeyUse {
    match text.to_ascii_lowercase().as_str() {
        // `jwt-svid`: SPIFFE bundles, §4.2.2 of the SPIFFE Trust Domain and Bundle specification.
        "sig" | "sign" | "signature" | "signing" | "verify" | "jwt-svid" => KeyUse::Signature,
        "x509-svid" | "wit-svid" => KeyUse::Root,
        "enc" | "encrypt" | "encryption" => KeyUse::Other,
        _ => KeyUse::Unknown,
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

    fn read(text: &str) -> Option<(Vec<u8>, Vec<&'static str>)> {
        base64(text).map(|read| (read.bytes, read.codes))
    }

    #[test]
    fn text_with_one_reading_is_read() {
        let bytes = vec![0xfb, 0xff, 0xbf];
        assert_eq!(read("-_-_"), Some((bytes.clone(), vec![])));
        assert_eq!(read("+/+/"), Some((bytes.clone(), vec!["b64_standard"])));
        assert_eq!(read("-_\r\n-_ "), Some((bytes.clone(), vec!["b64_whitespace"])));
        assert_eq!(read("-_-_==="), Some((bytes.clone(), vec!["b64_padding"])));
        assert_eq!(
            read(" +/+/\n=="),
            Some((bytes, vec!["b64_whitespace", "b64_padding", "b64_standard"]))
        );
        assert_eq!(read("AR"), Some((vec![1], vec!["b64_bits"])));
    }

    #[test]
    fn text_with_several_readings_is_a_fault() {
        for bad in ["+/-_", "AQ,,", "A", "AQ=AB", "=", "==", "AQAB%3D", "äöüß"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_of_algorithms() {
        for name in ["RS256", "rs256", "RSA256", "SHA256withRSA", "SHA256WithRSAEncryption"] {
            assert_eq!(alg(name), Ok(Some(Alg::Rs256)), "{name}");
        }
        assert_eq!(alg("Ed25519"), Ok(Some(Alg::EdDsa)));
        assert_eq!(alg("ESP384"), Ok(Some(Alg::Es384)));
        assert_eq!(alg("HMACSHA256"), Ok(Some(Alg::Hs256)));
        assert_eq!(alg("RSA"), Ok(None));
        assert_eq!(alg("RSA-OAEP-512"), Err(KeyFault::NotSignature));
        assert_eq!(alg("ECDH-ES+A128KW"), Err(KeyFault::NotSignature));
        for unknown in ["none", "NONE", "RS1", "Ed448", "RS256 ", "ML-DSA-65"] {
            assert_eq!(alg(unknown), Err(KeyFault::AlgUnknown), "{unknown}");
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
